//! CONNECT credentials: the vectors and leniencies of docs/protocol.md 2.1–2.4, 2.7 and 2.8.

use otaru_wire::credentials::{
    AuthType, ClientId, Error, SignMethod, Username, password, registration_sign, verify, verify_registration,
};
use otaru_wire::credentials::{valid_device_name, valid_device_secret, valid_module, valid_product_key};
use proptest::prelude::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const USER: Username<'static> = Username { device_name: "dev001", product_key: "a1TestPk001" };

fn assert_passwords(client_id: &str, md5: &str, sha1: &str, sha256: &str) {
    let client = ClientId::parse(client_id).unwrap();
    for (method, right) in SignMethod::ALL.into_iter().zip([md5, sha1, sha256]) {
        assert_eq!(password(method, SECRET, &client, &USER).as_str(), right, "{client_id} {method}");
    }
}

#[test]
fn passwords_of_the_worked_examples() {
    assert_passwords(
        "a1TestPk001&dev001|securemode=3,timestamp=1700000000000|",
        "ccb0cb22bcb45961d87d7c2138b4ee6f",
        "17eafd459e4511e34bb559e34658d49015c8a728",
        "58d88330f96b9f460b64709e1793f1cb76a912928185dc6978b41c2c03e3c7ac",
    );
    assert_passwords(
        "a1TestPk001.dev001|timestamp=2524608000000,securemode=3|",
        "2062807ad1d13fbcf2ea22c25478e91d",
        "e18b668250d5fd13b45b62d9645a8c4e78f3d340",
        "0d3488ade62d33772405f10b12bd1e0b7b7b8d8701165a4fb2909148132bebd6",
    );
    assert_passwords(
        "12345|securemode=3|",
        "9eab086f2d930d55e4ebf08116901451",
        "20a56f309e7f0e5a0a5f8da197d6bdec038a28db",
        "4c67adedb27bd04fae8158df823d90eb8e509a42caa8b241b90857a80813819b",
    );
}

#[test]
fn an_empty_id_is_signed_as_empty() {
    let client = ClientId::parse("|signmethod=hmacsha256|").unwrap();
    assert_eq!(client.id(), "");
    // From: echo -n clientIddeviceNamedev001productKeya1TestPk001 | openssl dgst -sha256 -hmac SECRET
    assert_eq!(
        password(SignMethod::HmacSha256, SECRET, &client, &USER).as_str(),
        "7909ec8bff0d548bb052d93649639a99e0f58dc2b4243a74b180aedc6724e384"
    );
}

#[test]
fn every_sdk_is_understood() {
    use SignMethod::{HmacSha1, HmacSha256};
    let sdks = [
        (
            "a1TestPk001&dev001|securemode=3,signmethod=hmacsha1,ext=1,_ss=1,lan=Python,_v=1.2.13,timestamp=1795334072|",
            "a1TestPk001&dev001",
            Some("1795334072"),
            HmacSha1,
        ),
        (
            "a1TestPk001&dev001|securemode=3,signmethod=hmacsha1,timestamp=1795334792913,lan=NodeJS,_v=1.2.8|",
            "a1TestPk001&dev001",
            Some("1795334792913"),
            HmacSha1,
        ),
        (
            "a1TestPk001&dev001_aliyun-iot-device-sdk-js|securemode=3,\n        signmethod=hmacsha1,\n        timestamp=1795334177583|",
            "a1TestPk001&dev001_aliyun-iot-device-sdk-js",
            Some("1795334177583"),
            HmacSha1,
        ),
        (
            "a1TestPk001.dev001|timestamp=2524608000000,_v=sdk-c-3.2.0,securemode=3,signmethod=hmacsha256,lan=C,_ss=1,gw=0,ext=0|",
            "a1TestPk001.dev001",
            Some("2524608000000"),
            HmacSha256,
        ),
        (
            "a1TestPk001.dev001|timestamp=2524608000000,_ss=1,_v=sdk-c-4.2.0,securemode=3,signmethod=hmacsha256,ext=3,_conn=tcp_6|",
            "a1TestPk001.dev001",
            Some("2524608000000"),
            HmacSha256,
        ),
        ("x|ext=3,|", "x", None, SignMethod::HmacMd5),
    ];
    for (text, id, timestamp, method) in sdks {
        let client = ClientId::parse(text).unwrap();
        assert_eq!(
            (client.id(), client.timestamp(), client.sign_method()),
            (id, timestamp, Ok(method)),
            "{text}"
        );
    }
}

#[test]
fn values_may_hold_bars_and_equals_signs() {
    let client = ClientId::parse("a|lan=JS|Ali,x=1=2,signmethod=hmacSha256|").unwrap();
    assert_eq!(client.param("lan"), Some("JS|Ali"));
    assert_eq!(client.param("x"), Some("1=2"));
    assert_eq!(client.sign_method(), Ok(SignMethod::HmacSha256));
    let last = ClientId::parse("a|lan=JS|WX|").unwrap();
    assert_eq!(last.param("lan"), Some("JS|WX"));
    assert_eq!(ClientId::parse("a|lan=JS||").unwrap().param("lan"), Some("JS|"));
}

#[test]
fn a_missing_last_bar_and_odd_white_space_do_not_matter() {
    let clean = ClientId::parse("a|securemode=3,timestamp=17,signmethod=hmacsha1|").unwrap();
    for text in [
        "a|securemode=3,timestamp=17,signmethod=hmacsha1",
        "a| securemode = 3 ,\n\t timestamp = 17 ,, signmethod = HMACSHA1 | ",
        "a|,securemode=3,timestamp=17,signMethod=HmacSha1,|",
        "a|securemode=3,timestamp=17,signmethod=hmacsha1,signmethod=hmacmd5,timestamp=18|",
    ] {
        let client = ClientId::parse(text).unwrap();
        assert_eq!(client.sign_method(), clean.sign_method(), "{text}");
        assert_eq!(client.timestamp(), clean.timestamp(), "{text}");
    }
}

#[test]
fn what_mqttx_appends_to_the_client_id_is_ignored() {
    let client = ClientId::parse("a|securemode=3,signmethod=hmacsha256,timestamp=17|_1763800000").unwrap();
    assert_eq!((client.timestamp(), client.sign_method()), (Some("17"), Ok(SignMethod::HmacSha256)));
    let client = ClientId::parse("a|securemode=3,signmethod=hmacsha256|_1763800000").unwrap();
    assert_eq!(client.sign_method(), Ok(SignMethod::HmacSha256));
}

#[test]
fn other_schemes_are_recognised_in_any_order_of_parameters() {
    let kind = |text: &str| ClientId::parse(text).unwrap().auth_type().and_then(AuthType::parse);
    for (text, wanted) in [
        (
            "dev001.pk|random=42,authType=register,securemode=2,signmethod=hmacsha256,instanceId=iot-1|",
            Some(AuthType::Register),
        ),
        ("dev001.pk|signmethod=hmacsha256,authtype=REGNWL,securemode=-2,random=42|", Some(AuthType::Regnwl)),
        ("abc|authType=connwl,securemode=-2,_ss=1,ext=3,_v=sdk-c-4.2.0|", Some(AuthType::Connwl)),
        ("abc|authtype=id2,securemode=8|", None),
        ("a||", None),
    ] {
        assert_eq!(kind(text), wanted, "{text}");
    }
    let client = ClientId::parse("x|authType=register,random=4251869544|_1763800000").unwrap();
    assert_eq!(client.random(), Some("4251869544"));
    assert_eq!(ClientId::parse("x|authType=register|").unwrap().random(), None);
}

#[test]
fn the_signature_of_a_registration_is_that_of_the_worked_example() {
    const PRODUCT_SECRET: &[u8] = b"ProductSecret001";
    let right = [
        "d755538533dc37c7763c45511814e567",
        "08a9dfdb4a82e2329c3bc7ee31a715cfd21d71cb",
        "08a13b0bbfcd0b75f7357d94ac0095287d7c68e623a5c26a15fe416fd09a186b",
    ];
    for (method, right) in SignMethod::ALL.into_iter().zip(right) {
        assert_eq!(registration_sign(method, PRODUCT_SECRET, &USER, "4251869544").as_str(), right);
        let check = |given: &str, secret: &[u8], random: &str| {
            verify_registration(given.as_bytes(), method, secret, &USER, random)
        };
        assert!(check(right, PRODUCT_SECRET, "4251869544"));
        assert!(check(&right.to_uppercase(), PRODUCT_SECRET, "4251869544"));
        assert!(!check(right, PRODUCT_SECRET, "4251869545") && !check(right, SECRET, "4251869544"));
        assert!(!check("", PRODUCT_SECRET, "4251869544"));
    }
}

#[test]
fn bad_client_ids_say_why() {
    assert_eq!(ClientId::parse(""), Err(Error::NoParameters));
    assert_eq!(ClientId::parse("mqttx_0a1b2c3d"), Err(Error::NoParameters));
    assert_eq!(ClientId::parse("a\0b|x=1|"), Err(Error::Nul));
    assert_eq!(ClientId::parse(&format!("{}|x=1|", "i".repeat(129))), Err(Error::ClientIdTooLong));
    assert_eq!(ClientId::parse(&format!("a|x={}|", "i".repeat(1024))), Err(Error::ClientIdTooLong));
    assert!(ClientId::parse(&format!("{}|x=1|", "号".repeat(128))).is_ok());
    let unknown = ClientId::parse("a|signmethod=sha256|").unwrap();
    assert_eq!(unknown.sign_method(), Err(Error::SignMethod));
    let empty = ClientId::parse("a|signmethod=|").unwrap();
    assert_eq!(empty.sign_method(), Err(Error::SignMethod));
}

#[test]
fn user_names_split_at_the_last_ampersand_and_are_checked() {
    assert_eq!(Username::parse("dev001&a1TestPk001"), Ok(USER));
    assert_eq!(USER.to_string(), "dev001&a1TestPk001");
    for bad in [
        "",
        "dev001",
        "dev001&",
        "&a1TestPk001",
        "dev&a1TestPk001",
        "a&dev001&pk",
        "dev001&a1-x",
        "dev001&pk\0",
        "dév001&pk",
    ] {
        assert_eq!(Username::parse(bad), Err(Error::Username), "{bad:?}");
    }
}

#[test]
fn passwords_are_compared_whole_and_in_either_case() {
    let client = ClientId::parse("12345|signmethod=hmacsha1|").unwrap();
    let right = "20a56f309e7f0e5a0a5f8da197d6bdec038a28db";
    let check = |given: &str| verify(given.as_bytes(), SignMethod::HmacSha1, SECRET, &client, &USER);
    assert!(check(right));
    assert!(check(&right.to_uppercase()));
    assert!(!check(""));
    assert!(!check(&right[..39]));
    assert!(!check(&format!("{right}0")));
    assert!(!check(&right.repeat(3)));
    for at in 0..right.len() {
        let mut wrong = right.to_owned().into_bytes();
        wrong[at] = if wrong[at] == b'f' { b'e' } else { b'f' };
        assert!(!check(std::str::from_utf8(&wrong).unwrap()), "{at}");
    }
    assert!(!verify(right.as_bytes(), SignMethod::HmacSha256, SECRET, &client, &USER));
    assert!(!verify(right.as_bytes(), SignMethod::HmacSha1, b"other", &client, &USER));
}

#[test]
fn names_have_limits() {
    assert!(valid_product_key("a1TestPk001") && !valid_product_key("") && !valid_product_key("a_1"));
    assert!(valid_product_key(&"a".repeat(20)) && !valid_product_key(&"a".repeat(21)));
    assert!(valid_device_name("a-_@.:1") && !valid_device_name("abc") && !valid_device_name("ab/cd"));
    assert!(valid_device_name(&"a".repeat(32)) && !valid_device_name(&"a".repeat(33)));
    assert!(valid_module("MCU-1.a_b") && !valid_module("") && !valid_module("a b") && !valid_module("模块"));
    assert!(valid_module(&"a".repeat(64)) && !valid_module(&"a".repeat(65)));
    assert!(valid_device_secret("x") && !valid_device_secret("") && !valid_device_secret("a b"));
    assert!(valid_device_secret(&"a".repeat(64)) && !valid_device_secret(&"a".repeat(65)));
}

proptest! {
    #[test]
    fn any_text_is_taken_without_panic(text in any::<String>(), key in "[a-z]{0,4}") {
        if let Ok(client) = ClientId::parse(&text) {
            prop_assert!(text.starts_with(client.id()));
            let _ = (client.param(&key), client.sign_method(), client.timestamp(), client.auth_type());
            for (key, value) in client.params() {
                prop_assert!(text.contains(key) && text.contains(value));
            }
        }
        let _ = Username::parse(&text);
    }

    #[test]
    fn parameters_written_are_found(
        id in "[ -{}~]{0,64}",
        params in prop::collection::btree_map("[a-z_]{1,8}", "[!-+.-~]{0,12}", 0..6),
        close in any::<bool>(),
    ) {
        let list: Vec<String> = params.iter().map(|(k, v)| format!("{k}={}", v.trim_end_matches('|'))).collect();
        let text = format!("{id}|{}{}", list.join(","), if close { "|" } else { "" });
        let client = ClientId::parse(&text).unwrap();
        prop_assert_eq!(client.id(), id);
        for (key, value) in &params {
            prop_assert_eq!(client.param(key), Some(value.trim_end_matches('|')));
        }
    }
}
