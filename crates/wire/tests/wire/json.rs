//! The JSON reader, with serde_json as oracle.

use otaru_wire::json::{self, ErrorKind, MAX_DEPTH, RawStr, Value};
use proptest::prelude::*;
use serde_json::Value as Serde;

fn kind(text: &str) -> ErrorKind {
    json::parse(text.as_bytes()).unwrap_err().kind
}

fn to_serde(value: Value<'_>) -> Serde {
    match value {
        Value::Null => Serde::Null,
        Value::Bool(b) => b.into(),
        Value::Number(text) => serde_json::from_str(text).unwrap(),
        Value::Str(text) => text.to_string().into(),
        Value::Array(array) => array.elements().map(to_serde).collect(),
        Value::Object(object) => {
            Serde::Object(object.members().map(|(key, value)| (key.to_string(), to_serde(value))).collect())
        }
    }
}

#[test]
fn a_comma_may_stand_before_a_closing_bracket() {
    let value =
        json::parse(br#"{"fileInfo":{"streamId":1,"fileId":2, },"list":[1,2,],}"#).unwrap().object().unwrap();
    let info = value.get("fileInfo").unwrap().object().unwrap();
    assert_eq!(info.get("fileId").unwrap().integer(), Some(2));
    assert_eq!(value.get("list").unwrap().array().unwrap().elements().count(), 2);
    for text in ["{,}", "[,]", "[1,,]", "{\"a\":1,,}", "[,1]", "1,"] {
        assert_eq!(kind(text), ErrorKind::Unexpected, "{text}");
    }
}

#[test]
fn the_first_of_repeated_keys_counts() {
    let object = json::parse(br#"{"a":1,"a":2,"\u0061":3,"b":null,"b":4}"#).unwrap().object().unwrap();
    assert_eq!(object.get("a").unwrap().integer(), Some(1));
    assert!(object.get("b").is_none());
    assert_eq!(object.members().count(), 5);
    let escaped = json::parse(br#"{"\u0061":3,"a":1}"#).unwrap().object().unwrap();
    assert_eq!(escaped.get("a").unwrap().integer(), Some(3));
}

#[test]
fn inner_keys_are_not_taken_for_outer_ones() {
    let object =
        json::parse(br#"{"x":{"a":1},"y":"\"a\":2","z":[{"a":3}],"a":4}"#).unwrap().object().unwrap();
    assert_eq!(object.get("a").unwrap().integer(), Some(4));
}

#[test]
fn whole_numbers_are_read_in_every_spelling() {
    for (text, number) in [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("256", Some(256)),
        ("-1", Some(-1)),
        ("\"256\"", Some(256)),
        ("\" 256 \"", Some(256)),
        ("\"-1\"", Some(-1)),
        ("\"+1\"", Some(1)),
        ("\"007\"", Some(7)),
        ("256.0", Some(256)),
        ("\"256.00\"", Some(256)),
        ("9223372036854775807", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("-9223372036854775808", Some(i64::MIN)),
        ("1e3", None),
        ("1e999999", None),
        ("0.5", None),
        ("\"1.\"", None),
        ("\"\"", None),
        ("\"x\"", None),
        ("true", None),
        ("null", None),
        ("[1]", None),
        ("{}", None),
        ("\"1\\u0030\"", None),
        ("123456789012345678901234567890123456789012345678901234567890", None),
    ] {
        assert_eq!(json::parse(text.as_bytes()).unwrap().integer(), number, "{text}");
    }
    assert_eq!(json::parse(b"256").unwrap().number::<u8>(), None);
    assert_eq!(json::parse(b"-1").unwrap().number::<u32>(), None);
}

#[test]
fn nesting_ends_at_the_limit_without_recursion() {
    let limit = MAX_DEPTH as usize;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let fits = format!("{}1{}", open.repeat(limit), close.repeat(limit));
        assert!(json::parse(fits.as_bytes()).is_ok());
        let beyond = format!("{}1{}", open.repeat(limit + 1), close.repeat(limit + 1));
        assert_eq!(kind(&beyond), ErrorKind::Depth);
        assert_eq!(kind(&open.repeat(1_000_000)), ErrorKind::Depth);
    }
    assert_eq!(kind(&format!("{}{{}}{}", "[".repeat(limit), "]".repeat(limit))), ErrorKind::Depth);
}

#[test]
fn brackets_of_different_kinds_do_not_pair() {
    for text in
        ["[}", "{]", "{\"a\":[}", "[{]}", "{\"a\":1]", "[1}", "[[{\"a\":1}}]", "}", "]", "[1]]", "{}{}"]
    {
        assert_eq!(kind(text), ErrorKind::Unexpected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, kind, at) in [
        (&b"{\"a\":\"\xff\"}"[..], ErrorKind::Utf8, 6),
        (b"{\"a\":\"\xe4\xb8\"}", ErrorKind::Utf8, 6),
        (b"\xef\xbb\xbf{}", ErrorKind::Unexpected, 0),
        (b"{\"a\":\"x\0\"}", ErrorKind::Nul, 7),
        (b"{}\0", ErrorKind::Nul, 2),
        (b"{\"a\":\"\\u0000\"}", ErrorKind::Nul, 6),
        (b"{\"a\":\"x\ny\"}", ErrorKind::Control, 7),
        (b"\"\\x\"", ErrorKind::Escape, 1),
        (b"\"\\u12g4\"", ErrorKind::Escape, 1),
        (b"\"\\ud800\"", ErrorKind::Surrogate, 1),
        (b"\"\\ud800\\n\"", ErrorKind::Surrogate, 1),
        (b"\"\\ud800\\ud800\"", ErrorKind::Surrogate, 1),
        (b"\"\\udc00\"", ErrorKind::Surrogate, 1),
        (b"\"\\udfff\"", ErrorKind::Surrogate, 1),
        (b"\"\\udbff\\ue000\"", ErrorKind::Surrogate, 1),
        (b"\"\x1f\"", ErrorKind::Control, 1),
        (b"", ErrorKind::End, 0),
        (b"{\"a\" 1}", ErrorKind::Unexpected, 5),
        (b"{a:1}", ErrorKind::Unexpected, 1),
        (b"{'a':1}", ErrorKind::Unexpected, 1),
        (b"01", ErrorKind::Unexpected, 1),
        (b"+1", ErrorKind::Unexpected, 0),
        (b"1.", ErrorKind::End, 2),
        (b"NaN", ErrorKind::Unexpected, 0),
        (b"nul", ErrorKind::End, 3),
    ] {
        assert_eq!(json::parse(text).unwrap_err(), json::Error { at, kind }, "{}", text.escape_ascii());
    }
    let told = json::parse(b"{a:1}").unwrap_err().to_string();
    assert_eq!(told, "not JSON: unexpected character at byte 1");
}

#[test]
fn escapes_mean_what_they_mean() {
    let text = RawStr::from_raw(r#"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u4E2d\udbff\udfff"#).unwrap();
    let meant = "a\"\\/\u{8}\u{c}\n\r\té😀中\u{10ffff}";
    assert!(text.eq_str(meant));
    assert_eq!(text.to_string(), meant);
    assert_eq!(text.len_chars(), meant.chars().count());
    assert_eq!(
        text,
        RawStr::from_raw("a\\u0022\\u005C/\\u0008\\u000c\\u000A\\u000d\\u0009é😀中\u{10ffff}").unwrap()
    );
    assert_eq!(text.as_plain(), None);
    let mut buffer = [0; 64];
    assert_eq!(text.unescape_into(&mut buffer), Ok(meant));
    assert!(text.unescape_into(&mut buffer[..meant.len() - 1]).is_err());
    assert_eq!(text.unescape_into(&mut buffer[..meant.len()]), Ok(meant));
    for (count, cut) in
        [(0, ""), (2, "a\""), (9, "a\"\\/\u{8}\u{c}\n\r\t"), (11, "a\"\\/\u{8}\u{c}\n\r\té😀"), (99, meant)]
    {
        assert_eq!(text.first_chars(count).to_string(), cut);
    }
}

#[test]
fn raw_strings_cannot_be_made_of_anything_else() {
    for bad in ["\"", "a\"b", "\\", "\\\"\"", "\n", "\0", "\\u0000", "\\ud800", "\\q", "\\u00"] {
        assert!(RawStr::from_raw(bad).is_err(), "{bad:?}");
        assert!(RawStr::plain(bad).is_none(), "{bad:?}");
    }
    assert_eq!(RawStr::plain("a/b&{}é\u{7f}").unwrap().raw(), "a/b&{}é\u{7f}");
}

fn any_json() -> impl Strategy<Value = Serde> {
    let text = prop_oneof!["[a-c]{0,3}", any::<String>()].prop_map(|text| text.replace('\0', ""));
    let leaf = prop_oneof![
        Just(Serde::Null),
        any::<bool>().prop_map(Serde::from),
        any::<i64>().prop_map(Serde::from),
        any::<f64>().prop_map(Serde::from),
        text.clone().prop_map(Serde::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Serde::from),
            prop::collection::btree_map(text.clone(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Removes the commas before closing brackets, outside of strings.
fn without_trailing_commas(text: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        if !in_string && matches!(c, '}' | ']') && out.trim_end().ends_with(',') {
            let end = out.trim_end().len() - 1;
            if !out[..end].trim_end().ends_with(['{', '[', ',', ':']) {
                out.truncate(end);
            }
        }
        out.push(c);
        if !in_string {
            in_string = c == '"';
        } else if escaped {
            escaped = false;
        } else {
            escaped = c == '\\';
            in_string = c != '"';
        }
    }
    out
}

/// Both readers agree on a text, apart from the differences that the module names.
fn compare(text: &str) {
    let ours = json::parse(text.as_bytes());
    match (ours, serde_json::from_str::<Serde>(&without_trailing_commas(text))) {
        (Ok(_), Err(error)) => {
            assert!(error.to_string().contains("number out of range"), "{text:?}: {error}")
        }
        (Err(error), Ok(_)) => {
            assert!(matches!(error.kind, ErrorKind::Nul | ErrorKind::Depth), "{text:?}: {error}");
        }
        // Of repeated keys both keep the last one here, because `to_serde` fills a map.
        (Ok(value), Ok(oracle)) => assert_eq!(to_serde(value), oracle, "{text:?}"),
        (Err(_), Err(_)) => {}
    }
}

#[test]
fn every_prefix_of_a_message_is_an_error() {
    let whole = r#"{"id":"1\u00e9\ud83d\ude00","params":{"a":[1,-2.5e+3,true,false,null,],"b":{"c":"d\n"}},"method":"x"}"#;
    assert!(json::parse(whole.as_bytes()).is_ok());
    for end in 0..whole.len() {
        assert!(json::parse(&whole.as_bytes()[..end]).is_err(), "{end}");
        assert!(json::parse(&whole.as_bytes()[end + 1..]).is_err(), "{end}");
    }
}

proptest! {
    #[test]
    fn valid_json_means_the_same_as_to_the_oracle(value in any_json()) {
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        for text in [value.to_string(), pretty.clone(), pretty.replace('\n', "\r\n")] {
            let oracle: Serde = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(to_serde(json::parse(text.as_bytes()).unwrap()), oracle, "{}", text);
        }
    }

    #[test]
    fn damaged_json_is_judged_as_by_the_oracle(
        value in any_json(),
        at in any::<prop::sample::Index>(),
        cut in 0..3_usize,
        insert in r#"[\{\}\[\]",:\\u0-9dDcCtrue .eE+-]{0,3}"#,
    ) {
        let text: Vec<char> = value.to_string().chars().collect();
        let at = at.index(text.len());
        let end = (at + cut).min(text.len());
        compare(&text[..at].iter().copied().chain(insert.chars()).chain(text[end..].iter().copied()).collect::<String>());
    }

    #[test]
    fn soup_of_json_characters_is_judged_as_by_the_oracle(
        text in r#"([\{\}\[\]",:\\ 1]|"a":|"",|\\ud83d|\\ude00|true|null|-|\.5|e9){0,12}"#,
    ) {
        compare(&text);
    }

    #[test]
    fn any_bytes_are_taken_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = json::parse(&bytes) {
            to_serde_or_skip(value);
        }
    }

    #[test]
    fn text_survives_writing_and_reading(text in any::<String>(), count in 0..12_usize) {
        let text = text.replace('\0', "");
        let quoted = serde_json::to_string(&text).unwrap();
        let raw = RawStr::from_raw(&quoted[1..quoted.len() - 1]).unwrap();
        prop_assert!(raw.eq_str(&text));
        let longer = text.clone() + "x";
        prop_assert!(!raw.eq_str(&longer));
        prop_assert_eq!(raw.to_string(), text.clone());
        prop_assert_eq!(raw.first_chars(count).to_string(), text.chars().take(count).collect::<String>());
        prop_assert_eq!(RawStr::plain(&text).is_some(), quoted.len() == text.len() + 2);
    }
}

/// Walks everything; numbers too large for the oracle are left.
fn to_serde_or_skip(value: Value<'_>) {
    match value {
        Value::Array(array) => array.elements().for_each(to_serde_or_skip),
        Value::Object(object) => object.members().for_each(|(_, value)| to_serde_or_skip(value)),
        other => drop(other.scalar().map(|text| text.to_string())),
    }
}
