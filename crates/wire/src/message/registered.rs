use core::fmt::{self, Write};

use super::envelope::{code, object, text};
use super::error::{Error, Fault};
use crate::Emit;
use crate::credentials::{MAX_DEVICE_SECRET, valid_device_name, valid_product_key};
use crate::json::{Object, RawStr};

/// Bytes that the official C SDK reads of the body of a [`RegistrationReply`].
pub const MAX_REGISTRATION_BODY: usize = 191;

/// Longest client id and token, in characters.
const MAX_TEXT: usize = 128;

const NO_NAME: Fault = Fault::Not("the valid name of a product or device");

/// What a device gets for its registration (2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered<'a> {
    product_key: &'a str,
    device_name: &'a str,
    grant: Grant<'a>,
}

/// What the device logs in with from now on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Grant<'a> {
    /// `register`: the device's secret.
    Secret(RawStr<'a>),
    /// `regnwl`: a token, good for logins with this client id.
    Token {
        /// What stands before the first `|` of the client id.
        client_id: RawStr<'a>,
        /// The password, as it is.
        token: RawStr<'a>,
    },
}

/// Says nothing of what is secret.
impl fmt::Debug for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grant::Secret(_) => f.write_str("Secret"),
            Grant::Token { client_id, .. } => write!(f, "Token for {client_id:?}"),
        }
    }
}

impl<'a> Registered<'a> {
    /// Fails if the names are none, or if devices could not read the rest (4.2).
    pub fn new(product_key: &'a str, device_name: &'a str, grant: Grant<'a>) -> Result<Self, Error> {
        let registered = Registered { product_key, device_name, grant };
        registered.check().map(|()| registered)
    }

    fn check(&self) -> Result<(), Error> {
        if !valid_product_key(self.product_key) {
            return Err(Error::field("productKey", NO_NAME));
        }
        if !valid_device_name(self.device_name) {
            return Err(Error::field("deviceName", NO_NAME));
        }
        let readable = |field, text: RawStr<'_>| match text.raw() {
            "" => Err(Error::field(field, Fault::Missing)),
            raw if raw.contains(['\\', '{', '}']) => Err(Error::field(field, Fault::Unsafe)),
            _ => Ok(()),
        };
        match self.grant {
            Grant::Secret(secret) => readable("deviceSecret", secret),
            Grant::Token { client_id, token } => {
                readable("clientId", client_id)?;
                readable("deviceToken", token)
            }
        }
    }

    /// Where it is published; no device subscribes to it.
    pub fn topic(&self) -> &'static str {
        match self.grant {
            Grant::Secret(_) => "/ext/register",
            Grant::Token { .. } => "/ext/regnwl",
        }
    }

    /// The product.
    pub fn product_key(&self) -> &'a str {
        self.product_key
    }

    /// The device.
    pub fn device_name(&self) -> &'a str {
        self.device_name
    }

    /// What it got.
    pub fn grant(&self) -> Grant<'a> {
        self.grant
    }

    /// Reads a payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        Self::of(object(payload)?)
    }

    fn of(message: Object<'a>) -> Result<Self, Error> {
        let name = |key, valid: fn(&str) -> bool| {
            let text = text(message, key, key, MAX_TEXT)?;
            text.as_plain().filter(|text| valid(text)).ok_or(Error::field(key, NO_NAME))
        };
        let (product_key, device_name) =
            (name("productKey", valid_product_key)?, name("deviceName", valid_device_name)?);
        let grant = match message.get("deviceSecret") {
            Some(_) => Grant::Secret(text(message, "deviceSecret", "deviceSecret", MAX_DEVICE_SECRET)?),
            None => Grant::Token {
                client_id: text(message, "clientId", "clientId", MAX_TEXT)?,
                token: text(message, "deviceToken", "deviceToken", MAX_TEXT)?,
            },
        };
        Ok(Registered { product_key, device_name, grant })
    }
}

impl Emit for Registered<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        let Registered { product_key, device_name, .. } = self;
        write!(out, "{{\"productKey\":\"{product_key}\",\"deviceName\":\"{device_name}\",")?;
        match self.grant {
            Grant::Secret(secret) => write!(out, "\"deviceSecret\":\"{}\"}}", secret.raw()),
            Grant::Token { client_id, token } => {
                write!(out, "\"clientId\":\"{}\",\"deviceToken\":\"{}\"}}", client_id.raw(), token.raw())
            }
        }
    }
}

/// The body that answers a registration over HTTP (2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationReply<'a> {
    /// Code 200.
    Granted(Registered<'a>),
    /// Another code.
    Refused {
        /// What kind of refusal.
        code: i32,
        /// For people.
        message: RawStr<'a>,
    },
}

impl<'a> RegistrationReply<'a> {
    /// Reads a body. `message` may be missing.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let whole = object(body)?;
        match code(whole)? {
            200 => {
                let data = whole.get("data").ok_or(Error::field("data", Fault::Missing))?;
                Registered::of(data.object().ok_or(Error::field("data", Fault::Type))?).map(Self::Granted)
            }
            code => {
                let message = whole.get("message").and_then(|value| value.str()).unwrap_or_default();
                Ok(Self::Refused { code, message })
            }
        }
    }
}

impl Emit for RegistrationReply<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        const HEAD: &str = "{\"code\":200,\"data\":";
        const TAIL: &str = ",\"message\":\"success\"}";
        match self {
            Self::Granted(registered) => {
                out.write_str(HEAD)?;
                registered.emit(out)?;
                // The longest names and secrets leave no room for it.
                let fits = HEAD.len() + registered.encoded_len() + TAIL.len() <= MAX_REGISTRATION_BODY;
                out.write_str(if fits { TAIL } else { "}" })
            }
            Self::Refused { code, message } => {
                write!(out, "{{\"code\":{code},\"message\":\"{}\"}}", message.raw())
            }
        }
    }
}
