//! JSON as devices write it: what serde_json reads is read alike; what it does not read is read only where
//! docs/protocol.md 4.1 is more patient, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Theirs;
use wire::json::{ErrorKind, MAX_DEPTH, RawStr, Value, parse};

fuzz_target!(|bytes: &[u8]| {
    let (ours, theirs) = (parse(bytes), serde_json::from_slice::<Theirs>(bytes));
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => compare(ours, &theirs),
        (Err(error), Ok(theirs)) => match error.kind {
            ErrorKind::Nul => assert!(bytes.contains(&0) || bytes.windows(6).any(|w| w == b"\\u0000")),
            ErrorKind::Depth => assert!(depth(&theirs) > MAX_DEPTH),
            _ => panic!("{error}, but it is {theirs}"),
        },
        (Ok(ours), Err(error)) => {
            // The one thing that is JSON here and not there; numbers too large for theirs are whole texts here.
            let patient = has_comma_too_many(bytes);
            let number = error.to_string().contains("number out of range");
            assert!(patient || number, "{error}, but it was read as {ours:?}");
            walk(ours);
        }
        (Err(_), Err(_)) => {}
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(raw) = RawStr::from_raw(text) {
            check_text(raw);
        }
        if let Some(plain) = RawStr::plain(text) {
            assert!(plain.eq_str(text));
        }
    }
});

fn compare(ours: Value<'_>, theirs: &Theirs) {
    match (ours, theirs) {
        (Value::Null, Theirs::Null) => {}
        (Value::Bool(a), Theirs::Bool(b)) => assert_eq!(a, *b),
        (Value::Number(text), Theirs::Number(number)) => {
            assert_eq!(serde_json::from_str::<serde_json::Number>(text).as_ref().ok(), Some(number));
            // A number as large as theirs, or as exact as a float is not.
            if let Some(number) = number.as_i64() {
                assert_eq!(ours.integer(), Some(number), "{text}");
            }
        }
        (Value::Str(a), Theirs::String(b)) => {
            check_text(a);
            assert!(a.eq_str(b) && a.chars().eq(b.chars()));
        }
        (Value::Array(a), Theirs::Array(b)) => {
            assert_eq!(a.elements().count(), b.len());
            a.elements().zip(b).for_each(|(a, b)| compare(a, b));
        }
        (Value::Object(a), Theirs::Object(b)) => {
            let keys: Vec<String> = a.members().map(|(key, _)| key.to_string()).collect();
            for (key, theirs) in b {
                // Of a key given twice they keep the last, we the first.
                if keys.iter().filter(|k| *k == key).count() == 1 {
                    match a.get(key) {
                        Some(ours) => compare(ours, theirs),
                        None => assert_eq!(theirs, &Theirs::Null),
                    }
                }
            }
            assert!(keys.iter().all(|key| b.contains_key(key)));
        }
        (ours, theirs) => panic!("{ours:?} is {theirs}"),
    }
}

fn walk(value: Value<'_>) {
    match value {
        Value::Array(array) => array.elements().for_each(walk),
        Value::Object(object) => object.members().for_each(|(key, value)| {
            check_text(key);
            walk(value);
        }),
        Value::Str(text) => check_text(text),
        other => drop((other.integer(), other.scalar())),
    }
}

fn check_text(raw: RawStr<'_>) {
    let text: String = raw.chars().collect();
    assert!(!text.contains('\0'));
    assert_eq!(raw.to_string(), text);
    assert_eq!(raw.len_chars(), text.chars().count());
    let mut buffer = vec![0; text.len()];
    assert_eq!(raw.unescape_into(&mut buffer), Ok(&*text));
    for count in [0, 1, 2, text.len()] {
        let cut = raw.first_chars(count);
        assert!(RawStr::from_raw(cut.raw()).is_ok());
        assert!(cut.chars().eq(text.chars().take(count)));
    }
}

fn depth(value: &Theirs) -> u32 {
    1 + match value {
        Theirs::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        Theirs::Object(members) => members.values().map(depth).max().unwrap_or(0),
        _ => return 0,
    }
}

fn has_comma_too_many(bytes: &[u8]) -> bool {
    let (mut inside, mut escaped, mut comma) = (false, false, false);
    for byte in bytes {
        match byte {
            _ if inside => {
                inside = escaped || *byte != b'"';
                escaped = !escaped && *byte == b'\\';
            }
            b'"' => (inside, comma) = (true, false),
            b',' => comma = true,
            b'}' | b']' if comma => return true,
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => comma = false,
        }
    }
    false
}
