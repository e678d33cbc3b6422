//! Groups, filters and lists by them.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{Platform, request, with};

const GROUPS: &str = "/products/a1TestPk001/groups";

/// With trams beside `lamp-1`; every third is in the EU.
async fn platform() -> Platform {
    let platform = Platform::with_product().await;
    let names: Vec<_> = (0..9).map(|n| json!({"deviceName": format!("tram-{n}")})).collect();
    platform.made("/products/a1TestPk001/import-devices", &Value::from(names).to_string()).await;
    let tagged = json!({"deviceNames": ["tram-0", "tram-3", "tram-6"], "tags": {"region": "eu"}});
    platform.made("/products/a1TestPk001/device-tags", &tagged.to_string()).await;
    platform
}

async fn listed(platform: &Platform, query: &str) -> Vec<String> {
    let answer = platform.get(&format!("/products/a1TestPk001/devices?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    let items = answer.json["items"].as_array().unwrap();
    items.iter().map(|device| device["deviceName"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn devices_are_listed_by_filter_and_group() {
    let platform = platform().await;
    let eu = r#"{"name":"eu","filter":"tag.region = eu"}"#;
    assert_eq!(platform.made(GROUPS, eu).await["filter"], "tag.region = eu");
    platform.made(GROUPS, r#"{"name":"my trams","description":"those I know"}"#).await;
    let members = format!("{GROUPS}/my%20trams/members");
    let done = platform.made(&members, r#"{"deviceNames":["tram-1","tram-3","tram-1","bus-1"]}"#).await;
    assert_eq!((&done["changed"], &done["unchanged"]), (&json!(2), &json!(1)));
    assert_eq!(done["refused"][0]["line"], 4);
    assert_eq!(platform.made(&members, r#"{"filter":"name = tram-6"}"#).await["changed"], 1);

    assert_eq!(listed(&platform, "group=eu").await, ["tram-0", "tram-3", "tram-6"]);
    assert_eq!(listed(&platform, "group=my%20trams").await, ["tram-1", "tram-3", "tram-6"]);
    assert_eq!(
        listed(&platform, "group=my%20trams&filter=tag.region%20%3D%20eu").await,
        ["tram-3", "tram-6"]
    );
    let both = "filter=group%20%3D%20%27my%20trams%27%20or%20name%20like%20lamp-*&limit=2";
    assert_eq!(listed(&platform, both).await, ["lamp-1", "tram-1"]);
    assert_eq!(listed(&platform, "filter=status%20%3D%20online").await, [""; 0]);

    let device = platform.get("/products/a1TestPk001/devices/tram-1").await.json;
    assert_eq!(device["groups"], json!(["my trams"]));
    let group = platform.get(&format!("{GROUPS}/my%20trams")).await.json;
    assert_eq!((&group["members"], &group["description"]), (&json!(3), &json!("those I know")));
    let csv = "deviceName,note\ntram-6,x\ntram-9,x\n";
    let path = format!("{members}/remove");
    let sent = with(request(Method::POST, &path, csv), "content-type", "text/csv");
    let done = platform.send(sent).await.json;
    assert_eq!((&done["changed"], &done["refused"][0]["line"]), (&json!(1), &json!(3)));
    let events = platform.get("/events?productKey=a1TestPk001&deviceName=tram-6").await.json;
    let codes: Vec<_> = events["items"].as_array().unwrap().iter().map(|e| e["code"].clone()).collect();
    assert_eq!(codes, ["deviceCreated", "deviceTags", "groupJoined", "groupLeft"]);
}

#[tokio::test]
async fn a_group_is_changed_and_removed_as_far_as_it_makes_sense() {
    let platform = platform().await;
    platform.made(GROUPS, r#"{"name":"north"}"#).await;
    platform.made(GROUPS, r#"{"name":"cold","filter":"group = north and tag.region = eu"}"#).await;
    let change = |name: &str, body: &str| request(Method::PATCH, &format!("{GROUPS}/{name}"), body);
    let remove = |name: &str| request(Method::DELETE, &format!("{GROUPS}/{name}"), "");
    for (request, code) in [
        (change("north", r#"{"filter":"has tag.a"}"#), "groupHasMembers"),
        (change("cold", r#"{"filter":"group = cold"}"#), "filterNamesFilter"),
        (change("cold", r#"{"filter":"group = south"}"#), "groupNotFound"),
        (change("cold", r#"{"filter":"has"}"#), "filterInvalid"),
        (change("south", "{}"), "groupNotFound"),
        (request(Method::POST, GROUPS, r#"{"name":"north"}"#), "groupTaken"),
        (request(Method::POST, GROUPS, r#"{"name":" north"}"#), "groupNameInvalid"),
        (
            request(Method::POST, &format!("{GROUPS}/cold/members"), r#"{"deviceNames":["tram-1"]}"#),
            "groupHasFilter",
        ),
        (request(Method::POST, &format!("{GROUPS}/north/members"), "{}"), "membersContradict"),
        (remove("north"), "groupInUse"),
    ] {
        let told = format!("{request:?}");
        assert_eq!(platform.send(request).await.problem(), code, "{told}");
    }
    let changed = platform.send(change("cold", r#"{"filter":"tag.region = eu","description":"x"}"#)).await;
    assert_eq!(
        (&changed.json["filter"], &changed.json["description"]),
        (&json!("tag.region = eu"), &json!("x"))
    );
    platform.made(&format!("{GROUPS}/north/members"), r#"{"filter":"name like tram-*"}"#).await;
    assert_eq!(platform.send(remove("north")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(platform.get(&format!("{GROUPS}/north")).await.problem(), "groupNotFound");
    let names: Vec<_> = platform.get(GROUPS).await.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["name"].clone())
        .collect();
    assert_eq!(names, ["cold"]);
    assert!(
        platform.get("/products/a1TestPk001/devices/tram-1").await.json["groups"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_wrong_filter_is_told_with_its_place() {
    let platform = platform().await;
    let answer = platform.get("/products/a1TestPk001/devices?filter=status%20%3D%20away").await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::UNPROCESSABLE_ENTITY, "filterInvalid"));
    let params = &answer.json["params"];
    assert_eq!((&params["at"], &params["found"]), (&json!(10), &json!("\"away\"")));
    assert_eq!(params["expected"], "online, offline or neverConnected");
}

#[tokio::test]
async fn a_skip_names_the_open_wave() {
    let platform = platform().await;
    let package = platform.package().await;
    let waves = json!([{"kind": "count", "n": 1}, {"kind": "percent", "percent": 100.0}]);
    let job = json!({"packageId": package, "kind": "STATIC", "terms": {"waves": waves},
        "scope": {"kind": "named", "deviceNames": ["tram-1", "tram-2"]}});
    let made = platform.made("/jobs", &job.to_string()).await;
    let skip = format!("/jobs/{}/skip", made["job"]["id"].as_str().unwrap());
    assert_eq!(platform.post(&skip, "{}").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let answer = platform.post(&skip, r#"{"wave":2}"#).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::CONFLICT, "waveNotOpen"));
    assert_eq!((&answer.json["params"]["wave"], &answer.json["params"]["openWave"]), (&json!(2), &json!(1)));
    let answer = platform.post(&skip, r#"{"wave":1}"#).await;
    assert_eq!((answer.status, &answer.json["progress"]["wave"]), (StatusCode::OK, &json!(2)));
    assert_eq!(platform.post(&skip, r#"{"wave":1}"#).await.problem(), "waveNotOpen");
    assert_eq!(platform.post(&skip, r#"{"wave":2}"#).await.problem(), "noWaveToOpen");
}

#[tokio::test]
async fn waves_of_groups_come_first_and_are_told_by_name() {
    let platform = platform().await;
    let package = platform.package().await;
    platform.made(GROUPS, r#"{"name":"canary"}"#).await;
    let job = |waves: Value| {
        json!({"packageId": package, "kind": "STATIC", "scope": {"kind": "named", "deviceNames": ["tram-1"]},
            "terms": {"waves": waves}})
        .to_string()
    };
    let (group, share) =
        (json!({"kind": "group", "group": "canary"}), json!({"kind": "percent", "percent": 100.0}));
    let empty = platform.post("/jobs", &job(json!([group, share]))).await;
    assert_eq!((empty.status, empty.problem()), (StatusCode::CONFLICT, "firstWaveEmpty"));
    platform.made(&format!("{GROUPS}/canary/members"), r#"{"deviceNames":["tram-1"]}"#).await;
    let made = platform.made("/jobs", &job(json!([group, share]))).await;
    assert_eq!(made["job"]["terms"]["waves"], json!([group, share]));
    assert_eq!(platform.post("/jobs", &job(json!([share, group]))).await.problem(), "gateInvalid");
    let filtered =
        json!({"packageId": package, "kind": "VERIFY", "scope": {"kind": "group", "group": "canary"}});
    assert_eq!(platform.post("/jobs", &filtered.to_string()).await.problem(), "verifyNamesDevices");
}
