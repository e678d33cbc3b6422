//! Fields of a new job beside each other: every two of them either go together, or are refused with both their names
//! before anything is made.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::common::Platform;

/// Values of fields, each with what it is called below; a later one takes the place of an earlier one's members.
fn samples() -> Vec<(&'static str, Value)> {
    let term = |name: &str, value: Value| json!({"terms": {name: value}});
    vec![
        ("kind VERIFY", json!({"kind": "VERIFY"})),
        ("kind DYNAMIC", json!({"kind": "DYNAMIC", "scope": {"kind": "all"}})),
        ("scope percent", json!({"scope": {"kind": "percent", "percent": 50}})),
        ("protocol", json!({"protocol": "mqtt"})),
        ("needPush false", json!({"needPush": false})),
        ("timeoutMinutes", json!({"timeoutMinutes": 60})),
        ("ratePerMinute", json!({"ratePerMinute": 10})),
        ("allowLargeNotice", json!({"allowLargeNotice": true})),
        ("allowSha256OverMqtt", json!({"allowSha256OverMqtt": true})),
        ("attempts 1", term("attempts", json!(1))),
        ("attempts 2", term("attempts", json!(2))),
        ("retryCount 0", term("retryCount", json!(0))),
        ("retryCount 1", term("retryCount", json!(1))),
        ("retryIntervalMinutes 5", term("retryIntervalMinutes", json!(5))),
        ("retryIntervalMinutes 60", term("retryIntervalMinutes", json!(60))),
        ("rollbackFails", term("rollbackFails", json!(false))),
        ("startTimeoutMinutes", term("startTimeoutMinutes", json!(5))),
        ("mostPushes", term("mostPushes", json!(3))),
        ("mostPushes 0", term("mostPushes", json!(0))),
        ("overwrite keep", term("overwrite", json!("keep"))),
        ("overwrite replace", term("overwrite", json!("replace"))),
        ("multiModule", term("multiModule", json!(true))),
        ("needConfirm", term("needConfirm", json!(true))),
        ("srcVersions", term("srcVersions", json!(["1.0.0"]))),
        ("onlyNew", term("onlyNew", json!(true))),
        ("startAt", term("startAt", json!("2098-01-01T00:00:00Z"))),
        ("endAt", term("endAt", json!("2099-01-01T00:00:00Z"))),
        ("endRunning", term("endRunning", json!(true))),
        ("windows", term("windows", json!([{"from": "22:00", "to": "04:00"}]))),
        ("maxMbitPerSecond", term("maxMbitPerSecond", json!(8))),
        ("tags", term("tags", json!([{"key": "ring", "value": "beta"}]))),
        (
            "waves",
            term("waves", json!([{"kind": "percent", "percent": 10}, {"kind": "percent", "percent": 100}])),
        ),
        ("minSuccess", term("minSuccess", json!({"kind": "count", "n": 3}))),
        ("soakMinutes", term("soakMinutes", json!(10))),
        ("maxWaitMinutes", term("maxWaitMinutes", json!(90))),
        ("maxWaitMinutes 5", term("maxWaitMinutes", json!(5))),
        ("maxFailures", term("maxFailures", json!(3))),
        ("maxFailurePercent", term("maxFailurePercent", json!(5))),
        ("minOffers", term("minOffers", json!(20))),
        ("evidence", term("evidence", json!({"acceptedPercent": 1, "rejectedPercent": 10}))),
        ("lostAfterMinutes", term("lostAfterMinutes", json!(30))),
        ("lostAfterMinutes 60", term("lostAfterMinutes", json!(60))),
        ("lostAfterMinutes 0", term("lostAfterMinutes", json!(0))),
    ]
}

/// Samples that do not go together.
const APART: [[&str; 2]; 18] = [
    ["kind VERIFY", "scope percent"],
    ["kind VERIFY", "waves"],
    ["kind DYNAMIC", "scope percent"],
    ["kind DYNAMIC", "waves"],
    ["needPush false", "ratePerMinute"],
    ["needPush false", "mostPushes"],
    ["attempts 1", "retryCount 0"],
    ["attempts 1", "retryCount 1"],
    ["attempts 2", "retryCount 0"],
    ["attempts 2", "retryCount 1"],
    ["attempts 1", "retryIntervalMinutes 5"],
    ["attempts 1", "retryIntervalMinutes 60"],
    ["retryCount 0", "retryIntervalMinutes 5"],
    ["retryCount 0", "retryIntervalMinutes 60"],
    ["timeoutMinutes", "retryIntervalMinutes 60"],
    ["timeoutMinutes", "lostAfterMinutes 60"],
    ["overwrite replace", "multiModule"],
    ["soakMinutes", "maxWaitMinutes 5"],
];

/// Samples that mean nothing without another one.
const NEEDS: [[&str; 2]; 8] = [
    ["kind DYNAMIC", "srcVersions"],
    ["onlyNew", "kind DYNAMIC"],
    ["endRunning", "endAt"],
    ["minSuccess", "waves"],
    ["soakMinutes", "waves"],
    ["maxWaitMinutes", "waves"],
    ["maxWaitMinutes 5", "waves"],
    ["minOffers", "maxFailurePercent"],
];

/// The fields of two samples.
fn fields([a, b]: [&str; 2]) -> BTreeSet<String> {
    [a, b].map(|sample| sample.split(' ').next().unwrap_or(sample).to_owned()).into()
}

/// The contradictions in what is given, one of which is to be told.
fn contradictions(given: [&str; 2]) -> Vec<BTreeSet<String>> {
    // A wave soaks for an hour unless it is told otherwise.
    let usual_soak =
        [["maxWaitMinutes 5", "soakMinutes"]].into_iter().filter(|[wait, _]| given.contains(wait));
    let apart = APART.into_iter().filter(|[a, b]| given.contains(a) && given.contains(b));
    let needs = NEEDS.into_iter().filter(|[a, b]| given.contains(a) && !given.contains(b));
    usual_soak.chain(apart).chain(needs).map(fields).collect()
}

/// `with` over `value`, member by member.
fn merge(value: &mut Map<String, Value>, with: &Value) {
    for (name, member) in with.as_object().unwrap() {
        match (value.get_mut(name), member) {
            (Some(Value::Object(terms)), Value::Object(_)) if name == "terms" => merge(terms, member),
            _ => drop(value.insert(name.clone(), member.clone())),
        }
    }
}

/// Whether two samples are of one field: then they cannot both be given.
fn is_one_field(a: &str, b: &str) -> bool {
    a != b && fields([a, b]).len() == 1
}

#[tokio::test]
async fn fields_that_contradict_each_other_are_refused_with_both_names() {
    let platform = Platform::with_product().await;
    let package = platform.package().await;
    let scope = json!({"kind": "named", "deviceNames": ["lamp-1"]});
    let plain = json!({"packageId": package, "kind": "STATIC", "scope": scope, "terms": {}});
    let samples = samples();
    let (mut fine, mut refused) = (0, 0);
    for (n, (a, one)) in samples.iter().enumerate() {
        for (b, other) in samples[n..].iter().filter(|(b, _)| !is_one_field(a, b)) {
            let mut job = plain.as_object().unwrap().clone();
            merge(&mut job, one);
            merge(&mut job, other);
            let job = Value::from(job).to_string();
            let wrong = contradictions([a, b]);
            let answer = platform.post("/jobs/dry-run", &job).await;
            let text = format!("{a} and {b}: {}", answer.json);
            if wrong.is_empty() {
                // A package that needs no verification is not verified.
                let fits = [StatusCode::OK, StatusCode::CONFLICT];
                assert!(fits.contains(&answer.status), "{text}");
                fine += 1;
                continue;
            }
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
            let told: BTreeSet<String> =
                serde_json::from_value(answer.json["params"]["fields"].clone()).expect(&text);
            assert!(wrong.contains(&told), "{text}");
            let detail = answer.json["detail"].as_str().unwrap();
            assert!(told.iter().all(|field| detail.contains(field.as_str())), "{text}");
            assert_eq!(platform.post("/jobs", &job).await.json, answer.json, "{a} and {b}");
            refused += 1;
        }
    }
    assert!(fine > 500 && refused > 100, "{fine} {refused}");
    assert_eq!(platform.get("/jobs").await.json["items"], json!([]));
}
