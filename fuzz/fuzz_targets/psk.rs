//! Records of TLS that may hold the identity of a pre-shared key.
#![no_main]

use door::fuzzing::psk_identity;
use libfuzzer_sys::fuzz_target;
use wire::credentials::{PskIdentity, valid_device_name, valid_product_key};

fuzz_target!(|bytes: &[u8]| {
    let Some(text) = psk_identity(bytes) else { return };
    // It is found with its last byte at the earliest, and nothing behind it counts.
    let end = text.as_ptr().addr() - bytes.as_ptr().addr() + text.len();
    assert_eq!(psk_identity(&bytes[..end - 1]), None);
    assert_eq!(psk_identity(&[bytes, &bytes[..end]].concat()), Some(text));
    let Some(identity) = PskIdentity::parse(text) else { return };
    assert!(valid_product_key(identity.user.product_key) && valid_device_name(identity.user.device_name));
    let key = identity.key(b"secret");
    assert!(key.iter().all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(digit)));
});
