//! A record of TLS that may hold the identity of a pre-shared key.
#![no_main]

use door::fuzzing::psk_identity;
use libfuzzer_sys::fuzz_target;
use wire::credentials::{PskIdentity, valid_device_name, valid_product_key};

fuzz_target!(|bytes: &[u8]| {
    let Some(text) = psk_identity(bytes) else { return };
    let identity = PskIdentity::parse(text).expect("it was read once");
    assert!(valid_product_key(identity.user.product_key) && valid_device_name(identity.user.device_name));
    // Its record ends where it says, and nothing behind it counts.
    let end = 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
    assert_eq!(psk_identity(&bytes[..end]), Some(text));
    assert_eq!(psk_identity(&bytes[..end - 1]), None);
    let key = identity.key(b"secret");
    assert!(key.iter().all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(digit)));
});
