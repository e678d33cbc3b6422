//! A line with a client id and a line with a user name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::credentials::{
    AuthType, ClientId, SignMethod, Username, password, registration_sign, valid_device_name,
    valid_product_key, verify, verify_registration,
};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fuzz_target!(|text: &str| {
    let (client, user) = text.split_once('\n').unwrap_or((text, "dev001&a1TestPk001"));
    let user = Username::parse(user);
    if let Ok(user) = &user {
        assert!(valid_device_name(user.device_name) && valid_product_key(user.product_key));
        assert_eq!(Username::parse(&user.to_string()).as_ref(), Ok(user));
    }
    let Ok(client) = ClientId::parse(client) else { return };
    assert!(!client.id().contains('|'));
    for (key, _) in client.params() {
        assert!(client.param(key).is_some());
    }
    let _ = (client.auth_type().and_then(AuthType::parse), client.timestamp());
    let Ok(user) = user else { return };
    for method in SignMethod::ALL {
        assert_eq!(SignMethod::parse(method.as_str()), Some(method));
        let right = password(method, SECRET, &client, &user);
        assert!(verify(right.as_str().as_bytes(), method, SECRET, &client, &user));
        assert!(!verify(right.as_str().as_bytes(), method, &SECRET[1..], &client, &user));
        assert!(!verify(text.as_bytes(), method, SECRET, &client, &user));
        let random = client.random().unwrap_or("random");
        let sign = registration_sign(method, SECRET, &user, random);
        assert!(verify_registration(sign.as_str().as_bytes(), method, SECRET, &user, random));
        assert!(!verify_registration(text.as_bytes(), method, SECRET, &user, random));
    }
});
