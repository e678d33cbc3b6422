//! Files on their way in, and the jobs made of them.

use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{Platform, request, with};

const UPLOAD: &str = "/products/a1TestPk001/packages";

#[tokio::test]
async fn a_package_has_the_digests_of_its_file() {
    let platform = Platform::with_product().await;
    let path = format!(
        "{UPLOAD}?version=2.0.0&name=first&signMethod=sha256&needVerify=false&fileName=lamp%20%E7%81%AF.bin"
    );
    let package = platform.made(&path, "abc").await;
    let expected = json!({
        "productKey": "a1TestPk001", "name": "first", "module": "default", "version": "2.0.0", "size": 3,
        "signMethod": "sha256", "fileName": "lamp 灯.bin", "state": "NOT_REQUIRED",
        "md5": "900150983cd24fb0d6963f7d28e17f72",
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "id": package["id"], "createdAt": package["createdAt"],
    });
    assert_eq!(package, expected);
    let id = package["id"].as_str().unwrap();
    assert_eq!(platform.get(&format!("/packages/{id}")).await.json, package);
    assert_eq!(platform.get("/packages?productKey=a1TestPk001").await.json["items"], json!([package]));

    let removed = platform.send(request(Method::DELETE, &format!("/packages/{id}"), "")).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_file_that_breaks_off_is_no_package() {
    let platform = Platform::with_product().await;
    let broken = vec![Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("the line is cut"))];
    let mut request = request(Method::POST, &format!("{UPLOAD}?version=2.0.0"), "");
    *request.body_mut() = Body::from_stream(futures_util::stream::iter(broken));
    let answer = platform.send(request).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::BAD_REQUEST, "brokenBody"));
    assert_eq!(platform.get("/packages").await.json["items"], json!([]));
}

#[tokio::test]
async fn a_form_is_no_file() {
    let platform = Platform::with_product().await;
    let upload = request(Method::POST, &format!("{UPLOAD}?version=2.0.0"), "--x");
    let answer = platform.send(with(upload, "content-type", "multipart/form-data; boundary=x")).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, "notAFile"));
}

#[tokio::test]
async fn a_job_is_made_cancelled_and_started_again() {
    let platform = Platform::with_product().await;
    let package = platform.package().await;
    let body = json!({
        "packageId": package, "kind": "STATIC", "scope": {"kind": "named", "deviceNames": ["lamp-1"]},
        "timeoutMinutes": 30, "ratePerMinute": 60,
    });
    let told = platform.post("/jobs/dry-run", &body.to_string()).await;
    assert_eq!((told.status, &told.json["matched"]), (StatusCode::OK, &1.into()));
    let created = platform.made("/jobs", &body.to_string()).await;
    let but_for_the_moment = |mut forecast: serde_json::Value| {
        for time in ["startsAt", "doneAt"] {
            assert!(forecast["estimate"].as_object_mut().unwrap().remove(time).is_some());
        }
        forecast
    };
    let (made, told) = (but_for_the_moment(created["forecast"].clone()), but_for_the_moment(told.json));
    assert_eq!(made, told, "a dry run tells what is then made");
    assert_eq!((&created["forecast"]["matched"], &created["forecast"]["onTarget"]), (&1.into(), &0.into()));
    let job = &created["job"];
    assert_eq!(
        (&job["state"], &job["protocol"], &job["needPush"]),
        (&"IN_PROGRESS".into(), &"mqtt".into(), &true.into())
    );
    assert_eq!((&job["timeoutMinutes"], &job["ratePerMinute"]), (&30.into(), &60.into()));
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());

    let task = task_in(&platform, &path, "QUEUED").await;
    assert_eq!((&task["deviceName"], &task["destVersion"]), (&"lamp-1".into(), &"2.0.0".into()));
    let of_device = platform.get("/products/a1TestPk001/devices/lamp-1/tasks").await.json;
    assert_eq!(of_device["items"][0]["id"], task["id"]);

    let task_path = format!("/tasks/{}", task["id"].as_str().unwrap());
    let cancelled = platform.made(&format!("{task_path}/cancel"), "").await;
    assert_eq!(
        (&cancelled["state"], &cancelled["reason"]),
        (&"CANCELED".into(), &json!({"code": "canceledByOperator"}))
    );
    let again = platform.post(&format!("{task_path}/cancel"), "").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let restarted = platform.made(&format!("{task_path}/re-upgrade"), "").await;
    assert_eq!((&restarted["state"], &restarted["attempt"]), (&"QUEUED".into(), &2.into()));

    platform.made(&format!("{path}/cancel"), "").await;
    task_in(&platform, &path, "CANCELED").await;
    platform.made(&format!("{path}/re-upgrade"), "").await;
    task_in(&platform, &path, "QUEUED").await;
    let of_package = platform.get(&format!("/jobs?packageId={package}")).await.json;
    assert_eq!(of_package["items"].as_array().unwrap().len(), 1);
}

/// The job's only task, once it is in a state and nothing more is being done.
async fn task_in(platform: &Platform, job: &str, state: &str) -> Value {
    loop {
        let tasks = platform.get(&format!("{job}/tasks?state={state}")).await.json;
        let busy = platform.get(job).await.json["busy"] == true;
        if let (Some(task), false) = (tasks["items"].get(0), busy) {
            return task.clone();
        }
        tokio::task::yield_now().await;
    }
}
