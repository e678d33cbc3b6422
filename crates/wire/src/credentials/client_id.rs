use core::fmt;

use super::{valid_device_name, valid_product_key};

/// Longest CONNECT client id in bytes.
const MAX_CLIENT_ID: usize = 1024;

/// Longest part before the first `|`, in characters. The platform names 64, but its Node.js SDK can pass that.
const MAX_ID: usize = 128;

/// Why the client id or user name of a CONNECT cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The client id has no `|`.
    NoParameters,
    /// The client id, or its part before the first `|`, is too long.
    ClientIdTooLong,
    /// A NUL character in the client id.
    Nul,
    /// `signmethod` names none of the three.
    SignMethod,
    /// The user name is not `deviceName&productKey`.
    Username,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NoParameters => {
                "the client id has no parameters: it must read `id|securemode=3,signmethod=hmacsha256|`"
            }
            Error::ClientIdTooLong => {
                "the client id is too long: at most 128 characters before the first `|`, 1024 bytes in all"
            }
            Error::Nul => "the client id holds a NUL character",
            Error::SignMethod => "signmethod must be hmacmd5, hmacsha1 or hmacsha256",
            Error::Username => {
                "the user name must read `deviceName&productKey`: 4-32 letters, digits or -_@.: and 1-20 letters or digits"
            }
        })
    }
}

impl core::error::Error for Error {}

/// The HMAC of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignMethod {
    /// `hmacmd5`, also meant when none is named.
    HmacMd5,
    /// `hmacsha1`
    HmacSha1,
    /// `hmacsha256`
    HmacSha256,
}

impl SignMethod {
    /// All of them.
    pub const ALL: [SignMethod; 3] = [SignMethod::HmacMd5, SignMethod::HmacSha1, SignMethod::HmacSha256];

    /// Reads the value of `signmethod` in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text))
    }

    /// Its name in a client id.
    pub fn as_str(self) -> &'static str {
        match self {
            SignMethod::HmacMd5 => "hmacmd5",
            SignMethod::HmacSha1 => "hmacsha1",
            SignMethod::HmacSha256 => "hmacsha256",
        }
    }
}

impl fmt::Display for SignMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a CONNECT is for, if not to log in with the device's secret (2.7, 2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthType {
    /// `register`: a device that was made beforehand asks for its secret.
    Register,
    /// `regnwl`: a device, made beforehand or not, asks for a token.
    Regnwl,
    /// `connwl`: a device logs in with its token.
    Connwl,
}

impl AuthType {
    /// All of them.
    pub const ALL: [AuthType; 3] = [AuthType::Register, AuthType::Regnwl, AuthType::Connwl];

    /// Reads the value of `authType` in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }

    /// Its name in a client id.
    pub fn as_str(self) -> &'static str {
        match self {
            AuthType::Register => "register",
            AuthType::Regnwl => "regnwl",
            AuthType::Connwl => "connwl",
        }
    }
}

/// A CONNECT client id: `id|key=value,key=value|`.
///
/// Read leniently (2.1): the last `|` may be missing, white space around keys and values and empty items do not
/// count, keys are found in any case, and of a key given twice the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId<'a> {
    id: &'a str,
    params: &'a str,
}

impl<'a> ClientId<'a> {
    /// Splits a client id.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let (id, params) = text.split_once('|').ok_or(Error::NoParameters)?;
        if text.len() > MAX_CLIENT_ID || id.chars().count() > MAX_ID {
            return Err(Error::ClientIdTooLong);
        }
        if text.contains('\0') {
            return Err(Error::Nul);
        }
        let params = params.trim_ascii_end();
        Ok(ClientId { id, params: params.strip_suffix('|').unwrap_or(params) })
    }

    /// The part before the first `|`: any text, may be empty, says nothing about who the device is.
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The parameters `(key, value)` in the order given; an item without `=` has an empty value.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.params.split(',').filter_map(|item| {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            let key = key.trim_ascii();
            (!key.is_empty()).then_some((key, value.trim_ascii()))
        })
    }

    /// The value of a parameter, the key in any case.
    pub fn param(&self, key: &str) -> Option<&'a str> {
        self.params().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }

    /// As [`ClientId::param`] for values that never hold a `|`: MQTTX can be set to append `_` and the time to the
    /// client id, which then stands behind the closing bar.
    fn word(&self, key: &str) -> Option<&'a str> {
        self.param(key).map(|value| value.split('|').next().unwrap_or(value).trim_ascii())
    }

    /// `timestamp` as it is written; part of what is signed, never compared with a clock.
    pub fn timestamp(&self) -> Option<&'a str> {
        self.word("timestamp")
    }

    /// `signmethod`; [`SignMethod::HmacMd5`] if absent.
    pub fn sign_method(&self) -> Result<SignMethod, Error> {
        match self.word("signmethod") {
            None => Ok(SignMethod::HmacMd5),
            Some(text) => SignMethod::parse(text).ok_or(Error::SignMethod),
        }
    }

    /// `authType`, which selects another scheme than the device secret, as it is written ([`AuthType::parse`]).
    pub fn auth_type(&self) -> Option<&'a str> {
        self.word("authType")
    }

    /// `random`, part of what a registration signs.
    pub fn random(&self) -> Option<&'a str> {
        self.word("random")
    }
}

/// A CONNECT user name: `deviceName&productKey`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Username<'a> {
    /// The device name.
    pub device_name: &'a str,
    /// The product key.
    pub product_key: &'a str,
}

impl<'a> Username<'a> {
    /// Splits a user name at its last `&` and checks both names.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let (device_name, product_key) = text.rsplit_once('&').ok_or(Error::Username)?;
        let valid = valid_device_name(device_name) && valid_product_key(product_key);
        if valid { Ok(Username { device_name, product_key }) } else { Err(Error::Username) }
    }
}

impl fmt::Display for Username<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}&{}", self.device_name, self.product_key)
    }
}
