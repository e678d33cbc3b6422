//! Pre-shared keys: docs/protocol.md 1.1.

use otaru_wire::credentials::{PskIdentity, Username};
use proptest::prelude::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

#[test]
fn the_worked_example() {
    let identity = PskIdentity::parse("dev001|hmacsha256|a1TestPk001&dev001|2524608000000").unwrap();
    assert_eq!(identity.user, Username { device_name: "dev001", product_key: "a1TestPk001" });
    assert_eq!(&identity.key(SECRET), b"3D9A022C29F429F2E885F7259F528F4B43D6C3B85E354F158220391A3D0F6A69");
}

#[test]
fn what_is_no_identity_is_none() {
    for text in [
        "",
        "|||",
        "dev001|hmacsha256|a1TestPk001&dev001",
        "dev001|hmacsha256|a1TestPk001&dev001|",
        "dev001|hmacsha256|a1TestPk001&dev001|1|",
        "dev001|hmacsha1|a1TestPk001&dev001|1",
        "dev001|hmacsha256|a1TestPk001|1",
        "dev001|hmacsha256|a1TestPk001&dev|1",
        "dev001|hmacsha256|a1Test-Pk&dev001|1",
        "dev001|hmacsha256|a1TestPk001&dev001|-1",
        "dev001|hmacsha256|a1TestPk001&dev001|123456789012345678901",
    ] {
        assert_eq!(PskIdentity::parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}|[a-z0-9]{4,8}[|](hmac|HMAC)sha256[|][a-z0-9]{1,22}&[a-z&|]{3,9}[|][0-9]{0,22}") {
        if let Some(PskIdentity { user, timestamp }) = PskIdentity::parse(&text) {
            let rest = text.split_once('|').unwrap().1.to_ascii_lowercase();
            let Username { device_name, product_key } = user;
            let again = format!("hmacsha256|{product_key}&{device_name}|{timestamp}").to_ascii_lowercase();
            prop_assert_eq!(rest, again);
        }
    }
}
