use super::password::sign;
use super::{SignMethod, Username};

/// Longest `timestamp`, in digits.
const MAX_TIMESTAMP: usize = 20;

/// A pre-shared key of TLS: upper-case hex digits, which are the key as they stand.
pub type PskKey = [u8; 64];

/// The identity of a pre-shared key (1.1): `deviceName|hmacsha256|productKey&deviceName|timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PskIdentity<'a> {
    /// The device. What stands before the first `|` says it again, and is not read.
    pub user: Username<'a>,
    /// Digits; part of what is signed, never compared with a clock.
    pub timestamp: &'a str,
}

impl<'a> PskIdentity<'a> {
    /// Splits an identity and checks its names.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('|');
        let (_, method, names, timestamp) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (product_key, device_name) = names.split_once('&')?;
        let valid = parts.next().is_none()
            && method.eq_ignore_ascii_case("hmacsha256")
            && super::valid_product_key(product_key)
            && super::valid_device_name(device_name)
            && (1..=MAX_TIMESTAMP).contains(&timestamp.len())
            && timestamp.bytes().all(|b| b.is_ascii_digit());
        valid.then_some(PskIdentity { user: Username { device_name, product_key }, timestamp })
    }

    /// The key of a device with this secret.
    pub fn key(&self, secret: &[u8]) -> PskKey {
        let Username { device_name, product_key } = self.user;
        let fields = [("id", product_key), ("&", device_name), ("timestamp", self.timestamp)];
        let mut key = sign(SignMethod::HmacSha256, secret, fields.into_iter()).digits;
        key.make_ascii_uppercase();
        key
    }
}
