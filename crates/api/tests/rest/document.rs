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
fn every_operation_says_what_it_takes_and_how_it_fails() {
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
            let orders = ["/cancel", "-upgrade", "/pause", "/resume", "/approve", "/close"];
            let ordered = orders.iter().any(|order| path.ends_with(order));
            let speaks = ["patch", "put"].contains(&method.as_str()) || method == "post" && !ordered;
            assert_eq!(operation["requestBody"]["content"].is_object(), speaks, "{method} {path}");
        }
    }
}

#[test]
fn every_member_is_spelt_in_camel_case() {
    fn members(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                let properties = object.get("properties").and_then(Value::as_object);
                found.extend(properties.into_iter().flatten().map(|(name, _)| name.clone()));
                object.values().for_each(|value| members(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| members(value, found)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(CHECKED_IN).unwrap();
    let mut found = Vec::new();
    members(&document, &mut found);
    assert!(found.iter().any(|name| name == "deviceNames"));
    for name in found {
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric()) && !name.starts_with(char::is_uppercase),
            "{name}"
        );
    }
}
