//! Texts and what they are read as.

use otaru_rollout::filter::{Filter, FilterError, MAX_CONDITIONS, MAX_DEPTH, MAX_LENGTH};

fn canonical(text: &str) -> String {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
}

#[test]
fn each_spelling_has_one_canonical_form() {
    for (text, wanted) in [
        ("name=lamp-1", r#"name = "lamp-1""#),
        ("name IN ('a','b')", r#"name in ("a", "b")"#),
        ("name in (a)", r#"name = "a""#),
        ("not name = a", r#"name != "a""#),
        ("name not in (a, b)", r#"name not in ("a", "b")"#),
        ("name like lamp-*", r#"name like "lamp-*""#),
        ("NOT name LIKE 'l?mp'", r#"name not like "l?mp""#),
        ("enabled != true", "enabled != true"),
        ("Status = NEVERCONNECTED", "status = neverConnected"),
        ("status in (online, offline)", "status in (online, offline)"),
        ("lastSeen < now - 14d", "lastSeen < now-14d"),
        ("lastSeen >= now-1w", "lastSeen >= now-7d"),
        ("lastSeen < now- 90m", "lastSeen < now-90m"),
        ("not created > now", "not created > now"),
        ("created <= 2026-11-01T08:00:00+08:00", "created <= 2026-11-01T00:00:00Z"),
        ("created > '2024-02-29t23:59:59.5z'", "created > 2024-02-29T23:59:59.500Z"),
        ("created > 9999-12-31T23:59:59.999Z", "created > 9999-12-31T23:59:59.999Z"),
        ("created > 1970-01-01T00:00:00Z", "created > 1970-01-01T00:00:00Z"),
        ("created > 2000-12-31T00:00:00Z", "created > 2000-12-31T00:00:00Z"),
        ("tag.region = eu", r#"tag.region = "eu""#),
        ("TAG.Region != '欧洲'", r#"tag.Region != "欧洲""#),
        ("tag.timezone = Europe/Berlin", r#"tag.timezone = "Europe/Berlin""#),
        (r#"module.MCU = "1.0.1\r\u{7}\"\\""#, r#"module.MCU = "1.0.1\r\u{7}\"\\""#),
        ("has tag.a and not has module.b", "has tag.a and not has module.b"),
        ("group in (north, 'the south')", r#"group in ("north", "the south")"#),
        ("has tag.a or has tag.b and has tag.c", "has tag.a or has tag.b and has tag.c"),
        ("(has tag.a or has tag.b) and (has tag.c)", "(has tag.a or has tag.b) and has tag.c"),
        ("not (has tag.a and has tag.b)", "not (has tag.a and has tag.b)"),
        ("not not has tag.a", "not not has tag.a"),
        ("(has tag.a and has tag.b) and has tag.c", "(has tag.a and has tag.b) and has tag.c"),
        ("tag.a = 'not'", r#"tag.a = "not""#),
    ] {
        assert_eq!(canonical(text), wanted, "{text}");
        assert_eq!(canonical(wanted), wanted, "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, at, found, expected) in [
        ("", 1, "the end", "a condition"),
        ("name", 5, "the end", "=, !=, in, not in, like or not like"),
        ("name = ", 8, "the end", "a value"),
        ("name = and", 8, r#""and""#, "a value"),
        ("name = a name = b", 10, r#""name""#, "and, or, or the end"),
        ("nmae = a", 1, r#""nmae""#, "a condition"),
        ("欧 = a", 1, r#""欧""#, "a word, a text"),
        ("tag.a = '欧洲' & has tag.b", 14, r#""&""#, "a word, a text"),
        ("tag. = a", 1, r#""tag.""#, "1 to 64 letters"),
        ("module.a:b = a", 1, r#""module.a:b""#, "1 to 64 letters"),
        ("tag.a < 1", 7, r#""<""#, "=, !=, in or not in"),
        ("tag.a not like x", 7, r#""not""#, "=, !=, in or not in"),
        ("tag.a in a", 10, r#""a""#, "("),
        ("tag.a in (a b)", 13, r#""b""#, ", or )"),
        ("(has tag.a", 11, "the end", "and, or, or )"),
        ("has name", 5, r#""name""#, "tag.NAME or module.NAME"),
        ("name like 'a b'", 11, r#""'a b'""#, "a pattern"),
        ("name like ''", 11, r#""''""#, "a pattern"),
        ("status = away", 10, r#""away""#, "online, offline or neverConnected"),
        ("enabled = 1", 11, r#""1""#, "true or false"),
        ("enabled in (true)", 9, r#""in""#, "= or !="),
        ("lastSeen = now", 10, r#""=""#, "<, <=, > or >="),
        ("lastSeen < yesterday", 12, r#""yesterday""#, "a time"),
        ("lastSeen < now-7", 12, r#""now-7""#, "a time"),
        ("lastSeen < now-7欧", 17, r#""欧""#, "a word, a text"),
        ("lastSeen < now-99999999999999999999d", 12, r#""now-99999999999999999999d""#, "a time"),
        ("created > 2025-02-29T00:00:00Z", 11, r#""2025-02-29T00:00:00Z""#, "a time"),
        ("created > 2025-02-28", 11, r#""2025-02-28""#, "a time"),
        ("created > 2025-02-28T24:00:00Z", 11, r#""2025-02-28T24:00:00Z""#, "a time"),
        ("created > 1970-01-01T00:00:00+01:00", 11, r#""1970-01-01T00:00:00+01:00""#, "a time"),
        ("created > 2025-02-28T00:00:00", 11, r#""2025-02-28T00:00:00""#, "a time"),
        ("tag.a = 'x", 9, r#""'""#, "a second quotation mark"),
        (r"tag.a = 'x\q'", 11, r#""\\""#, "\\\","),
        (r"tag.a = '\u{0}'", 10, r#""\\""#, "\\\","),
        ("tag.a = '\0'", 10, r#""\0""#, "a text without"),
        ("tag.a ! b", 7, r#""!""#, "a word, a text"),
    ] {
        let error = Filter::parse(text).unwrap_err();
        let FilterError { at: place, found: there, expected: allowed } = &error;
        assert_eq!((*place, there.as_str()), (at, found), "{text:?}: {error}");
        assert!(allowed.starts_with(expected), "{text:?}: {error}");
    }
    let huge = Filter::parse("created > 2026-01-01T00:00:00+0000001603011364165517321:00").unwrap_err();
    assert_eq!(huge.at, 11, "{huge}");
    let told = Filter::parse("status = away").unwrap_err().to_string();
    assert_eq!(told, r#"at character 10: found "away", expected online, offline or neverConnected"#);
}

#[test]
fn length_depth_and_number_are_bounded() {
    let nested = |n: usize| format!("{}has tag.a{}", "(".repeat(n), ")".repeat(n));
    assert!(Filter::parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(Filter::parse(&nested(MAX_DEPTH + 1)).unwrap_err().at, MAX_DEPTH + 1);
    assert!(Filter::parse(&format!("{}has tag.a", "not ".repeat(1_000))).is_err());
    let many = |n: usize| vec!["has tag.a"; n].join(" and ");
    assert!(Filter::parse(&many(MAX_CONDITIONS)).is_ok());
    assert!(Filter::parse(&many(MAX_CONDITIONS + 1)).unwrap_err().expected.contains("50"));
    let long = |n: usize| format!("tag.a = '{}'", "欧".repeat(n - 10));
    assert!(Filter::parse(&long(MAX_LENGTH)).is_ok());
    assert_eq!(Filter::parse(&long(MAX_LENGTH + 1)).unwrap_err().found, "4097 characters");
}
