//! What gateways ask for their sub-devices: no more than 50, with names that are some, and no signature is guessed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::credentials::{valid_device_name, valid_product_key};
use wire::message::GatewayRequest;
use wire::topic::GatewayStep;

fuzz_target!(|bytes: &[u8]| {
    for step in GatewayStep::ALL {
        let Ok(request) = GatewayRequest::parse(step, bytes) else { continue };
        let mut count = 0;
        for sub in request.sub_devices() {
            count += 1;
            assert!(valid_product_key(sub.product_key) && valid_device_name(sub.device_name));
            let Some(proof) = sub.proof else { continue };
            assert!(!proof.holds(b"a secret that nobody has", sub.product_key, sub.device_name));
        }
        assert!(count <= 50);
    }
});
