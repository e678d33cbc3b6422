//! Numbers for people: what is asked for must make sense, and an empty product has numbers too.

use serde_json::json;

use crate::common::Platform;

const STATISTICS: &str = "/products/a1TestPk001/statistics";

#[tokio::test]
async fn a_product_without_reports_has_numbers() {
    let platform = Platform::with_product().await;
    let versions = platform.get(&format!("{STATISTICS}/versions")).await.json;
    assert_eq!(versions, json!({"devices": 0, "versions": [], "others": 0, "neverReported": 1}));
    let history = platform.get(&format!("{STATISTICS}/versions/history")).await.json;
    assert_eq!((&history["points"][0]["devices"], &history["versions"]), (&0.into(), &json!([])));
    let upgrades = platform.get(&format!("{STATISTICS}/upgrades")).await.json;
    assert_eq!(
        upgrades,
        json!({"succeeded": 0, "failed": 0, "canceled": 0, "reasons": [], "stepMinutes": 60, "points": []})
    );
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let platform = Platform::with_product().await;
    for (path, status, code) in [
        ("/versions?limit=0", 422, "badLimit"),
        ("/versions?limit=201", 422, "badLimit"),
        ("/versions/history?from=yesterday", 422, "timeInvalid"),
        ("/versions/history?from=2026-11-22T10:00:00Z&until=2026-11-21T10:00:00Z", 422, "spanInvalid"),
        ("/upgrades?from=9000-01-01T00:00:00Z", 422, "spanInvalid"),
        ("/upgrades?jobId=job_0000000000001&packageId=pkg_0000000000001", 422, "filtersExclusive"),
        ("/upgrades?jobId=1", 422, "badId"),
    ] {
        let answer = platform.get(&format!("{STATISTICS}{path}")).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, code), "{path}");
    }
    assert_eq!(platform.get("/products/nobody/statistics/versions").await.problem(), "productNotFound");
}
