//! What a device shows at CONNECT, or a gateway for it, and how it is checked (docs/protocol.md 2.1–2.4, 2.7–2.9, 9),
//! and the pre-shared key of TLS, made from the same secret (1.1).

mod client_id;
mod names;
mod password;
mod proof;
mod psk;

pub use client_id::{AuthType, ClientId, Error, SignMethod, Username};
pub use names::{MAX_DEVICE_SECRET, valid_device_name, valid_device_secret, valid_module, valid_product_key};
pub use password::{Hex, password, password_of, registration_sign, verify, verify_registration};
pub use proof::Proof;
pub use psk::{PskIdentity, PskKey};
