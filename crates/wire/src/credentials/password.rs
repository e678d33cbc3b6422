use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{ClientId, SignMethod, Username};

/// Lower-case hex digits of a signature.
#[derive(Clone, Copy)]
pub struct Hex {
    pub(super) digits: [u8; 64],
    len: usize,
}

impl Hex {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut hex = Hex { digits: [0; 64], len: 0 };
        for (pair, byte) in hex.digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            hex.len += 2;
        }
        hex
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }

    fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.len]
    }

    /// Whether `given` are these digits, in either case.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let mut lower = [0; 64];
        let Some(lower) = lower.get_mut(..given.len()) else { return false };
        lower.copy_from_slice(given);
        lower.make_ascii_lowercase();
        self.as_bytes().ct_eq(lower).into()
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

/// The password of a device (2.1): HMAC over the client id's `id`, the names and, if given, the timestamp.
///
/// The method is an argument so that a page can show all three; a device uses the one its client id names.
pub fn password(method: SignMethod, secret: &[u8], client: &ClientId<'_>, user: &Username<'_>) -> Hex {
    let timestamp = client.timestamp().map(|value| ("timestamp", value));
    sign(method, secret, fields(client.id(), user).into_iter().chain(timestamp))
}

/// The same for a client id that has this `id` and no timestamp: all that a device needs, which writes its own.
pub fn password_of(method: SignMethod, secret: &[u8], id: &str, user: &Username<'_>) -> Hex {
    sign(method, secret, fields(id, user).into_iter())
}

fn fields<'a>(id: &'a str, user: &Username<'a>) -> [Field<'a>; 3] {
    [("clientId", id), ("deviceName", user.device_name), ("productKey", user.product_key)]
}

/// The signature of a registration (2.7, 2.9): HMAC over the names and the random word, the product's secret its key.
pub fn registration_sign(
    method: SignMethod,
    product_secret: &[u8],
    user: &Username<'_>,
    random: &str,
) -> Hex {
    let fields = [("deviceName", user.device_name), ("productKey", user.product_key), ("random", random)];
    sign(method, product_secret, fields.into_iter())
}

type Field<'a> = (&'static str, &'a str);

/// HMAC over names and values, one after the other.
pub(super) fn sign<'a>(method: SignMethod, secret: &[u8], fields: impl Iterator<Item = Field<'a>>) -> Hex {
    match method {
        SignMethod::HmacMd5 => sign_with::<Hmac<Md5>>(secret, fields),
        SignMethod::HmacSha1 => sign_with::<Hmac<Sha1>>(secret, fields),
        SignMethod::HmacSha256 => sign_with::<Hmac<Sha256>>(secret, fields),
    }
}

fn sign_with<'a, M: Mac + KeyInit>(secret: &[u8], fields: impl Iterator<Item = Field<'a>>) -> Hex {
    let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of every length");
    for (name, value) in fields {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    Hex::of(&mac.finalize().into_bytes())
}

/// Whether `given` is the password, its hex digits in either case. The time taken tells nothing about how much of it
/// is right.
pub fn verify(
    given: &[u8],
    method: SignMethod,
    secret: &[u8],
    client: &ClientId<'_>,
    user: &Username<'_>,
) -> bool {
    password(method, secret, client, user).is(given)
}

/// As [`verify`], of the signature of a registration.
pub fn verify_registration(
    given: &[u8],
    method: SignMethod,
    product_secret: &[u8],
    user: &Username<'_>,
    random: &str,
) -> bool {
    registration_sign(method, product_secret, user, random).is(given)
}
