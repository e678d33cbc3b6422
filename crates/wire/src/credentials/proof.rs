use super::SignMethod;
use super::password::{Hex, sign};
use crate::json::RawStr;

/// What a gateway shows for a sub-device (9): a signature, and what it covers beside the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof<'a> {
    /// How it is signed.
    pub method: SignMethod,
    /// Hex digits in either case.
    pub sign: &'a str,
    /// The whole client id, whatever stands in it.
    pub client_id: Option<RawStr<'a>>,
    /// Random text, of a signature with the product's secret.
    pub random: Option<RawStr<'a>>,
    /// Never compared with a clock.
    pub timestamp: Option<RawStr<'a>>,
    /// Covered by some devices' signatures, by most not: both are taken.
    pub clean_session: Option<RawStr<'a>>,
}

impl<'a> Proof<'a> {
    /// Whether it was made for this device, with this secret. Texts with escapes are none that a device signs.
    pub fn holds(&self, secret: &[u8], product_key: &str, device_name: &str) -> bool {
        let is_right = |with_clean_session| {
            let right = self.sign_with(secret, product_key, device_name, with_clean_session);
            right.is(self.sign.as_bytes())
        };
        is_right(false) || self.clean_session.is_some() && is_right(true)
    }

    /// The signature that most devices make: without `cleanSession`.
    pub fn sign(&self, secret: &[u8], product_key: &str, device_name: &str) -> Hex {
        self.sign_with(secret, product_key, device_name, false)
    }

    /// The names are in alphabetical order.
    fn sign_with(
        &self,
        secret: &[u8],
        product_key: &str,
        device_name: &str,
        with_clean_session: bool,
    ) -> Hex {
        let given = |value: Option<RawStr<'a>>| value.map(RawStr::raw);
        let fields = [
            ("cleanSession", given(self.clean_session.filter(|_| with_clean_session))),
            ("clientId", given(self.client_id)),
            ("deviceName", Some(device_name)),
            ("productKey", Some(product_key)),
            ("random", given(self.random)),
            ("timestamp", given(self.timestamp)),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        sign(self.method, secret, fields)
    }
}
