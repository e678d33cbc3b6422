use super::{MAX_TOPIC, Topic};
use crate::credentials::{valid_device_name, valid_product_key};

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

/// The device, by product key and name, that a filter speaks of: everything it can match belongs to that one.
pub fn filter_device(filter: &str) -> Option<(&str, &str)> {
    if !valid_filter(filter) {
        return None;
    }
    if has_wildcard(filter) {
        return names(filter).filter(|(pk, dn)| valid_product_key(pk) && valid_device_name(dn));
    }
    Topic::parse(filter).map(|topic| (topic.product_key, topic.device_name))
}

/// Whether a device may subscribe to this filter: it speaks of that device, and, if it is the name of a single
/// topic, [`super::Kind::may_subscribe`] that.
pub fn may_subscribe(filter: &str, product_key: &str, device_name: &str) -> bool {
    filter_device(filter) == Some((product_key, device_name))
        && (has_wildcard(filter) || Topic::parse(filter).is_some_and(|topic| topic.kind.may_subscribe()))
}

fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// The levels at the places of the names.
fn names(filter: &str) -> Option<(&str, &str)> {
    let mut levels = filter.split('/');
    if levels.next() != Some("") {
        return None;
    }
    let word_first = match levels.next()? {
        "sys" => false,
        "shadow" => true,
        "ota" if levels.next() == Some("device") => true,
        "ext" if matches!(levels.next(), Some("session" | "ntp")) => false,
        first => return Some((first, levels.next()?)).filter(|_| levels.next() == Some("user")),
    };
    if word_first {
        levels.next();
    }
    Some((levels.next()?, levels.next()?))
}
