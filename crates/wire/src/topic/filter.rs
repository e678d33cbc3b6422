use super::{MAX_TOPIC, Topic};

/// Whether this is a topic filter by the rules of MQTT: `+` fills a level, `#` the last one; no NUL, at most
/// [`MAX_TOPIC`] bytes.
pub fn valid_filter(filter: &str) -> bool {
    if filter.is_empty() || filter.len() > MAX_TOPIC || filter.contains('\0') {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let fits = match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            name => !name.contains(['+', '#']),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// Whether a valid filter takes in a topic. As MQTT asks, a wildcard in front does not match topics that begin
/// with `$`.
pub fn filter_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = topic.split('/');
    for level in filter.split('/') {
        match (level, names.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

/// Whether a device may subscribe to this filter: it is valid, everything it can match belongs to the device, and, if
/// it is the name of a single topic, [`super::Kind::may_subscribe`] that.
pub fn may_subscribe(filter: &str, product_key: &str, device_name: &str) -> bool {
    if !valid_filter(filter) {
        return false;
    }
    if filter.contains(['+', '#']) {
        return within(filter, product_key, device_name);
    }
    Topic::parse(filter).is_some_and(|t| t.belongs_to(product_key, device_name) && t.kind.may_subscribe())
}

fn within(filter: &str, pk: &str, dn: &str) -> bool {
    let mut levels = filter.split('/');
    if levels.next() != Some("") {
        return false;
    }
    let word_first = match levels.next() {
        Some("sys") => false,
        Some("shadow") => true,
        Some("ota") if levels.next() == Some("device") => true,
        Some("ext") if matches!(levels.next(), Some("session" | "ntp")) => false,
        Some(first) => return first == pk && levels.next() == Some(dn) && levels.next() == Some("user"),
        None => return false,
    };
    if word_first {
        levels.next();
    }
    levels.next() == Some(pk) && levels.next() == Some(dn)
}
