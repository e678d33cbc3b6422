//! The checked-in OpenAPI document is the one the program serves.

use serde_json::Value;

const CHECKED_IN: &str = include_str!("../../../../docs/openapi.json");

#[test]
fn the_document_has_not_drifted() {
    assert!(
        otaru_api::document() == CHECKED_IN,
        "docs/openapi.json is not what the endpoints are; look at the change and renew it with\n  \
         cargo run -p otaru-api --example openapi"
    );
}

#[test]
fn every_operation_says_how_it_fails_and_every_order_takes_a_key() {
    let document: Value = serde_json::from_str(CHECKED_IN).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 15);
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let failure = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert_eq!(failure["schema"]["$ref"], "#/components/schemas/Problem", "{method} {path}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let takes_key = parameters.iter().any(|p| p["name"] == "Idempotency-Key");
            assert_eq!(takes_key, method == "post", "{method} {path}");
        }
    }
}
