//! The form by which a device registers over HTTP: what has been read is written and read again as the same.
#![no_main]

use door::fuzzing::form;
use libfuzzer_sys::fuzz_target;
use wire::credentials::{valid_device_name, valid_product_key};

fuzz_target!(|bytes: &[u8]| {
    let Some(fields) = form(bytes) else { return };
    for (name, value) in &fields {
        match *name {
            "productKey" => assert!(valid_product_key(value)),
            "deviceName" => assert!(valid_device_name(value)),
            _ => {}
        }
    }
    let written = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    assert_eq!(form(written.as_bytes()), Some(fields), "{written}");
});
