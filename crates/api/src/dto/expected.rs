use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use server::OrderError;
use utoipa::ToSchema;

use super::ExpectedTags;

/// Members of a thing as somebody saw them, in the form of the answer that told them; of objects within it only the
/// members given. Null is a member that is absent.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Expected(Map<String, Value>);

impl From<ExpectedTags> for Expected {
    fn from(ExpectedTags { tags }: ExpectedTags) -> Self {
        Self(Map::from_iter([("tags".to_owned(), json!(tags))]))
    }
}

impl Expected {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses a change of what is no longer as it was seen, and tells how it is now.
    pub(crate) fn check(&self, now: &impl Serialize) -> Result<(), OrderError> {
        let now = serde_json::to_value(now).map_err(|error| OrderError::internal("compare", error))?;
        let mut changed = Map::new();
        differences("", &self.0, &now, &mut changed);
        if changed.is_empty() {
            return Ok(());
        }
        let told: Vec<String> =
            changed.iter().map(|(name, value)| format!("{name} is now {value}")).collect();
        let text = format!(
            "it was changed meanwhile and is not as `expected` says: {}; nothing was changed now. Look at it, and send the change again with what is there as `expected`, or without `expected`",
            told.join(", ")
        );
        Err(OrderError::conflict("changedMeanwhile", text).with("now", changed))
    }
}

fn differences(of: &str, expected: &Map<String, Value>, now: &Value, changed: &mut Map<String, Value>) {
    for (name, expected) in expected {
        let path = format!("{of}{name}");
        let found = now.get(name).unwrap_or(&Value::Null);
        match expected {
            Value::Object(members) => differences(&format!("{path}."), members, found, changed),
            _ if !alike(expected, found) => drop(changed.insert(path, found.clone())),
            _ => {}
        }
    }
}

/// 3 and 3.0 are one number.
fn alike(expected: &Value, found: &Value) -> bool {
    match (expected.as_f64(), found.as_f64()) {
        (Some(expected), Some(found)) => expected == found,
        _ => expected == found,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_is_expected_is_compared() {
        let now = json!({"name": "Lamp", "rate": 3, "terms": {"attempts": 2}, "tags": {"region": "eu"}});
        let check = |expected: Value| serde_json::from_value::<Expected>(expected).unwrap().check(&now);
        for fits in [
            json!({}),
            json!({"name": "Lamp", "timezone": null, "rate": 3.0}),
            json!({"terms": {"attempts": 2, "endAt": null}, "tags": {"ring": null}}),
            json!({"hold": {"kind": null}}),
        ] {
            assert!(check(fits.clone()).is_ok(), "{fits}");
        }
        let error = check(json!({"name": "Tram", "rate": 3, "tags": {"region": null}})).unwrap_err();
        assert_eq!(
            (error.code, &error.params["now"]),
            ("changedMeanwhile", &json!({"name": "Lamp", "tags.region": "eu"}))
        );
    }
}
