//! What a device gets for its registration: bytes of docs/protocol.md 2.7 and 2.9, and what SDKs read of them.

use otaru_wire::Emit;
use otaru_wire::json::RawStr;
use otaru_wire::message::{Error, Fault, Grant, MAX_REGISTRATION_BODY, Registered, RegistrationReply};
use proptest::prelude::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn plain(text: &str) -> RawStr<'_> {
    RawStr::plain(text).unwrap()
}

fn emitted(message: &impl Emit) -> String {
    let mut out = String::new();
    message.emit(&mut out).unwrap();
    out
}

fn secret(text: &str) -> Grant<'_> {
    Grant::Secret(plain(text))
}

fn token<'a>(client_id: &'a str, token: &'a str) -> Grant<'a> {
    Grant::Token { client_id: plain(client_id), token: plain(token) }
}

#[test]
fn a_secret_and_a_token_have_their_topics_and_compact_forms() {
    let registered = Registered::new("a1TestPk001", "dev001", secret(SECRET)).unwrap();
    assert_eq!(registered.topic(), "/ext/register");
    assert_eq!(
        emitted(&registered),
        r#"{"productKey":"a1TestPk001","deviceName":"dev001","deviceSecret":"0123456789abcdef0123456789abcdef"}"#
    );
    let registered = Registered::new("a1TestPk001", "dev001", token("dev001.a1TestPk001", "t0ken")).unwrap();
    assert_eq!(registered.topic(), "/ext/regnwl");
    assert_eq!(
        emitted(&registered),
        r#"{"productKey":"a1TestPk001","deviceName":"dev001","clientId":"dev001.a1TestPk001","deviceToken":"t0ken"}"#
    );
}

#[test]
fn the_body_over_http_is_never_longer_than_sdks_read() {
    let reply = |pk, dn, ds| {
        let registered = Registered::new(pk, dn, secret(ds)).unwrap();
        emitted(&RegistrationReply::Granted(registered))
    };
    assert_eq!(
        reply("a1TestPk001", "dev001", SECRET),
        r#"{"code":200,"data":{"productKey":"a1TestPk001","deviceName":"dev001","deviceSecret":"0123456789abcdef0123456789abcdef"},"message":"success"}"#
    );
    let (key, name, long) = ("k".repeat(20), "n".repeat(32), "s".repeat(64));
    let body = reply(&key, &name, &long);
    assert!(body.len() <= MAX_REGISTRATION_BODY && body.ends_with("\"}}"), "{body}");
    for length in 1..=64 {
        assert!(reply(&key, &name, &long[..length]).len() <= MAX_REGISTRATION_BODY, "{length}");
    }
    let refused = RegistrationReply::Refused { code: 6600, message: plain("wrong signature") };
    assert_eq!(emitted(&refused), r#"{"code":6600,"message":"wrong signature"}"#);
}

#[test]
fn what_devices_could_not_read_is_not_made() {
    let made = |pk, dn, grant| Registered::new(pk, dn, grant).map(drop);
    let fault = |field, fault| Err(Error::Field { field, fault });
    assert_eq!(made("pk", "dev001", secret("a}b")), fault("deviceSecret", Fault::Unsafe));
    assert_eq!(made("pk", "dev001", secret("")), fault("deviceSecret", Fault::Missing));
    assert_eq!(made("pk", "dev001", token("a{b", "t")), fault("clientId", Fault::Unsafe));
    assert_eq!(made("pk", "dev001", token("", "t")), fault("clientId", Fault::Missing));
    assert!(made("p k", "dev001", secret("s")).is_err() && made("pk", "dev", secret("s")).is_err());
    let escaped = Grant::Secret(RawStr::from_raw("a\\\"b").unwrap());
    assert_eq!(made("pk", "dev001", escaped), fault("deviceSecret", Fault::Unsafe));
}

#[test]
fn secrets_are_not_shown_when_debugging() {
    let shown = |grant| format!("{:?}", Registered::new("pk", "dev001", grant).unwrap());
    assert!(!shown(secret(SECRET)).contains(SECRET) && !shown(token("id", SECRET)).contains(SECRET));
}

/// As the C SDK 4.x does: the text behind the first `"key":"`, up to the next quote.
fn search<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let pattern = format!("\"{key}\":\"");
    let value = &text[text.find(&pattern)? + pattern.len()..];
    value.find('"').map(|end| &value[..end])
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        key in "[A-Za-z0-9]{1,20}", name in "[A-Za-z0-9_@.:-]{4,32}",
        text in "[!#-\\[\\]-z|~]{1,64}", client_id in "[ -!#-\\[\\]-z~]{1,128}", secretly: bool,
    ) {
        let grant = if secretly { secret(&text) } else { token(&client_id, &text) };
        let registered = Registered::new(&key, &name, grant).unwrap();
        let payload = emitted(&registered);
        prop_assert_eq!(Registered::parse(payload.as_bytes()), Ok(registered));
        prop_assert_eq!(search(&payload, "productKey"), Some(&*key));
        prop_assert_eq!(search(&payload, "deviceName"), Some(&*name));
        let given = if secretly { "deviceSecret" } else { "deviceToken" };
        prop_assert_eq!(search(&payload, given), Some(&*text));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&payload).is_ok());
        let reply = RegistrationReply::Granted(registered);
        let body = emitted(&reply);
        prop_assert_eq!(RegistrationReply::parse(body.as_bytes()), Ok(reply));
        prop_assert_eq!(search(&body, given), Some(&*text));
    }

    #[test]
    fn refusals_are_read_again(code in any::<i32>().prop_filter("success", |code| *code != 200), text in "[a-z ]{0,40}") {
        let reply = RegistrationReply::Refused { code, message: plain(&text) };
        let body = emitted(&reply);
        prop_assert_eq!(RegistrationReply::parse(body.as_bytes()), Ok(reply));
    }

    #[test]
    fn any_bytes_are_taken_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        text in r#"\{("(productKey|deviceName|deviceSecret|clientId|deviceToken|code|data)":(\{|"a1b2"|200|null|\})?,?){0,8}\}{0,3}"#,
    ) {
        for payload in [&bytes[..], text.as_bytes()] {
            let _ = (Registered::parse(payload), RegistrationReply::parse(payload));
        }
    }
}
