//! Changing a job, as it is written in JSON.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{Answer, Platform, request};

async fn job(platform: &Platform, kind: &str, scope: Value, terms: Value) -> String {
    let package = platform.package().await;
    let new = json!({"packageId": package, "kind": kind, "scope": scope, "terms": terms});
    let made = platform.made("/jobs", &new.to_string()).await;
    made["job"]["id"].as_str().unwrap().to_owned()
}

async fn change(platform: &Platform, job: &str, change: &Value) -> Answer {
    platform.send(request(Method::PATCH, &format!("/jobs/{job}"), &change.to_string())).await
}

#[tokio::test]
async fn what_is_given_is_changed_and_null_takes_a_limit_away() {
    let platform = Platform::with_product().await;
    let named = json!({"kind": "named", "deviceNames": ["lamp-1"]});
    let terms =
        json!({"startAt": "2099-01-01T00:00:00Z", "endAt": "2099-01-20T00:00:00Z", "endRunning": true});
    let job = job(&platform, "STATIC", named, terms).await;
    let windows = json!([{"days": ["mon"], "from": "22:00", "to": "24:00"}]);
    let changed = json!({
        "ratePerMinute": 7, "timeoutMinutes": 90,
        "terms": {
            "attempts": 5, "retryIntervalMinutes": 2, "rollbackFails": false, "startTimeoutMinutes": 0, "mostPushes": 9,
            "startAt": "2099-01-01T01:00:00Z", "windows": windows, "maxMbitPerSecond": 1.5,
            "tags": [{"key": "ring", "value": "beta"}],
        },
    });
    let answer = change(&platform, &job, &changed).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    let told = &answer.json;
    assert_eq!((&told["ratePerMinute"], &told["timeoutMinutes"]), (&json!(7), &json!(90)));
    for (field, value) in changed["terms"].as_object().unwrap() {
        let value = if field == "startAt" { json!("2099-01-01T01:00:00.000Z") } else { value.clone() };
        assert_eq!(told["terms"][field], value, "{field}");
    }
    assert_eq!(told["terms"]["endAt"], "2099-01-20T00:00:00.000Z", "as it was");

    let none = json!({"timeoutMinutes": null, "terms": {
        "startAt": null, "endAt": null, "windows": [], "maxMbitPerSecond": null, "tags": []}});
    let told = change(&platform, &job, &none).await.json;
    assert_eq!(told.get("timeoutMinutes"), None);
    for field in ["startAt", "endAt", "windows", "maxMbitPerSecond", "tags"] {
        assert_eq!(told["terms"].get(field), None, "{field}");
    }
    assert_eq!(told["terms"]["endRunning"], false, "it says nothing without an end");
    let events = platform.get(&format!("/events?jobId={job}")).await.json;
    let fields = |event: &Value| event["params"]["fields"].clone();
    let told: Vec<Value> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["code"] == "jobChanged")
        .map(fields)
        .collect();
    let all = json!([
        "ratePerMinute",
        "maxMbitPerSecond",
        "timeoutMinutes",
        "attempts",
        "retryIntervalMinutes",
        "rollbackFails",
        "startTimeoutMinutes",
        "mostPushes",
        "startAt",
        "windows",
        "tags"
    ]);
    assert_eq!(told[0], all);
    let unchanged = change(&platform, &job, &json!({})).await;
    assert_eq!(unchanged.status, StatusCode::OK);
    assert_eq!(told.len(), 2);
}

#[tokio::test]
async fn the_scope_of_a_dynamic_job_is_changed() {
    let platform = Platform::with_product().await;
    platform.made("/products/a1TestPk001/groups", r#"{"name":"north"}"#).await;
    let job = job(&platform, "DYNAMIC", json!({"kind": "all"}), json!({"srcVersions": ["1.0.0"]})).await;
    for scope in
        [json!({"kind": "group", "group": "north"}), json!({"kind": "filter", "filter": "has tag.ring"})]
    {
        let told = change(&platform, &job, &json!({"scope": scope, "terms": {"srcVersions": []}})).await.json;
        assert_eq!((&told["scope"], told["terms"].get("srcVersions")), (&scope, None), "{told}");
    }
    for (scope, code) in [
        (json!({"kind": "all"}), "policyInvalid"),
        (json!({"kind": "named", "deviceNames": ["lamp-1"]}), "policyInvalid"),
        (json!({"kind": "percent", "percent": 1}), "policyInvalid"),
        (json!({"kind": "group", "group": "south"}), "groupNotFound"),
        (json!({"kind": "filter", "filter": "ring = 1"}), "filterInvalid"),
    ] {
        let answer = change(&platform, &job, &json!({"scope": scope})).await;
        assert_eq!(answer.problem(), code, "{scope}: {}", answer.json);
    }
    let all = json!({"scope": {"kind": "all"}, "terms": {"srcVersions": ["1.0.0", "1.1.0"]}});
    assert_eq!(change(&platform, &job, &all).await.json["scope"], json!({"kind": "all"}));
    platform.made(&format!("/jobs/{job}/close"), "").await;
    let answer = change(&platform, &job, &all).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::CONFLICT, "jobEnded"));
}

#[tokio::test]
async fn what_does_not_change_is_named_with_the_reason() {
    let platform = Platform::with_product().await;
    let named = json!({"kind": "named", "deviceNames": ["lamp-1"]});
    let job = job(&platform, "STATIC", named, json!({"attempts": 2})).await;
    let before = platform.get(&format!("/jobs/{job}")).await.json;
    let terms = |field: &str, value: Value| json!({"terms": {field: value}});
    for (body, code, field) in [
        (json!({"packageId": "x"}), "fieldFixed", "packageId"),
        (json!({"protocol": "http", "ratePerMinute": 1}), "fieldFixed", "protocol"),
        (terms("overwrite", json!("keep")), "fieldFixed", "overwrite"),
        (terms("waves", json!([])), "fieldFixed", "waves"),
        (terms("maxFailures", json!(1)), "fieldFixed", "maxFailures"),
        (json!({"scope": {"kind": "filter", "filter": "has tag.ring"}}), "fieldFixed", "scope"),
        (terms("srcVersions", json!(["1"])), "fieldFixed", "srcVersions"),
        (terms("startAt", json!("2099-01-01T00:00:00Z")), "jobStarted", "startAt"),
        (terms("endAt", json!("2001-01-01T00:00:00Z")), "scheduleInvalid", "endAt"),
        (terms("endAt", json!("tomorrow")), "timeInvalid", "endAt"),
        (terms("endRunning", json!(true)), "termsContradict", "endRunning"),
        (terms("attempts", json!(0)), "numberInvalid", "attempts"),
        (terms("attempts", json!("2")), "badField", "terms.attempts"),
        (terms("speed", json!(1)), "badField", "terms.speed"),
        (json!({"ratePerMinute": 0}), "numberInvalid", "ratePerMinute"),
        (json!({"timeoutMinutes": 0}), "numberInvalid", "timeoutMinutes"),
        (json!({"timeoutMinutes": 1}), "retryIntervalInvalid", "retryIntervalMinutes"),
        (terms("maxMbitPerSecond", json!(0)), "numberInvalid", "maxMbitPerSecond"),
    ] {
        let answer = change(&platform, &job, &body).await;
        assert_eq!(answer.problem(), code, "{body}: {}", answer.json);
        assert_eq!(answer.json["params"]["field"], field, "{body}: {}", answer.json);
        assert_eq!(answer.status == StatusCode::CONFLICT, code == "jobStarted", "{body}");
        assert!(answer.json["detail"].as_str().unwrap().contains(field), "{}", answer.json);
    }
    let large = json!({"terms": {"tags": [{"key": "k", "value": "v".repeat(2_000)}]}});
    assert_eq!(change(&platform, &job, &large).await.problem(), "noticeTooLarge");
    let after = platform.get(&format!("/jobs/{job}")).await.json;
    assert_eq!((&after["terms"], &after["ratePerMinute"]), (&before["terms"], &before["ratePerMinute"]));
    let mut allowed = large;
    allowed["allowLargeNotice"] = true.into();
    assert_eq!(change(&platform, &job, &allowed).await.status, StatusCode::OK);
    platform.made(&format!("/jobs/{job}/cancel"), "").await;
    let answer = change(&platform, &job, &json!({"ratePerMinute": 1})).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::CONFLICT, "jobEnded"));
    let unknown = change(&platform, "job_01h2xk7m3c8p0", &json!({})).await;
    assert_eq!((unknown.status, unknown.problem()), (StatusCode::NOT_FOUND, "jobNotFound"));
}

#[tokio::test]
async fn what_would_mean_nothing_is_refused_as_of_a_new_job() {
    let platform = Platform::with_product().await;
    let package = platform.package().await;
    let scope = json!({"kind": "named", "deviceNames": ["lamp-1"]});
    let new = json!({"packageId": package, "kind": "STATIC", "scope": scope, "needPush": false,
        "terms": {"attempts": 1}});
    let made = platform.made("/jobs", &new.to_string()).await;
    let job = made["job"]["id"].as_str().unwrap();
    for (body, fields) in [
        (json!({"ratePerMinute": 5}), ["ratePerMinute", "needPush"]),
        (json!({"terms": {"mostPushes": 5}}), ["mostPushes", "needPush"]),
        (json!({"terms": {"retryIntervalMinutes": 5}}), ["retryIntervalMinutes", "attempts"]),
        (json!({"terms": {"retryIntervalMinutes": 5, "attempts": 1}}), ["retryIntervalMinutes", "attempts"]),
    ] {
        let answer = change(&platform, job, &body).await;
        assert_eq!(answer.problem(), "termsContradict", "{body}: {}", answer.json);
        assert_eq!(answer.json["params"]["fields"], json!(fields), "{body}");
    }
    let told = platform.get(&format!("/events?jobId={job}")).await.json.to_string();
    assert!(!told.contains("jobChanged"), "{told}");
    for body in [
        json!({"terms": {"mostPushes": 0}}),
        json!({"terms": {"retryIntervalMinutes": 5, "attempts": 2}}),
        json!({"terms": {"retryIntervalMinutes": 6}}),
        json!({"terms": {"attempts": 1}}),
    ] {
        assert_eq!(change(&platform, job, &body).await.status, StatusCode::OK, "{body}");
    }
}
