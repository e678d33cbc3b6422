//! What a gateway asks for its sub-devices, and what it is answered (9).

use core::fmt::{self, Write};

use super::Id;
use super::envelope::{params, text};
use super::error::{Error, Fault};
use super::request_error::{RequestError, request};
use crate::Emit;
use crate::credentials::{Proof, SignMethod, valid_device_name, valid_product_key};
use crate::json::{Array, Object, RawStr, Value};
use crate::topic::GatewayStep;

/// Most sub-devices in one request.
pub const MAX_SUB_DEVICES: usize = 50;

/// Longest client id of a sub-device, random text and timestamp, in characters.
const MAX_TEXT: usize = 256;

/// A gateway's request (9).
#[derive(Clone, Copy, Debug)]
pub struct GatewayRequest<'a> {
    /// Repeated by the answer.
    pub id: Id<'a>,
    step: GatewayStep,
    subs: Subs<'a>,
}

/// A sub-device that a request speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubDevice<'a> {
    /// Its product key.
    pub product_key: &'a str,
    /// Its device name.
    pub device_name: &'a str,
    /// The signature, where the request needs one.
    pub proof: Option<Proof<'a>>,
}

/// The objects that describe sub-devices.
#[derive(Clone, Copy, Debug)]
enum Subs<'a> {
    None,
    One(Object<'a>),
    /// With the sign method of those that name none.
    Many(Array<'a>, Option<SignMethod>),
}

impl<'a> GatewayRequest<'a> {
    /// Reads a payload that came on the topic of this step.
    pub fn parse(step: GatewayStep, payload: &'a [u8]) -> Result<Self, RequestError<'a>> {
        request(payload, |message, id| {
            let found = GatewayRequest { id, step, subs: Subs::of(step, message)? };
            let mut count = 0;
            for sub in found.read() {
                sub?;
                count += 1;
            }
            let fewest = usize::from(step != GatewayStep::GetTopology);
            if (fewest..=MAX_SUB_DEVICES).contains(&count) {
                return Ok(found);
            }
            Err(Error::field("params", Fault::Not("about 1 to 50 sub-devices")))
        })
    }

    /// The sub-devices, in the order of the request.
    pub fn sub_devices(&self) -> impl Iterator<Item = SubDevice<'a>> + use<'a> {
        // What cannot be read was refused.
        self.read().filter_map(Result::ok)
    }

    fn read(&self) -> impl Iterator<Item = Result<SubDevice<'a>, Error>> + use<'a> {
        let (one, many, method) = match self.subs {
            Subs::None => (None, None, None),
            Subs::One(object) => (Some(Value::Object(object)), None, None),
            Subs::Many(array, method) => (None, Some(array.elements()), method),
        };
        let (step, of_array) = (self.step, many.into_iter().flatten());
        one.into_iter().chain(of_array).map(move |value| sub_device(step, value, method))
    }
}

impl<'a> Subs<'a> {
    fn of(step: GatewayStep, message: Object<'a>) -> Result<Self, Error> {
        if step == GatewayStep::GetTopology {
            return Ok(Subs::None);
        }
        let list = |key, field| {
            let holder = params(message)?;
            let list = holder.get(key).ok_or(Error::field(field, Fault::Missing))?;
            Ok(Subs::Many(list.array().ok_or(Error::field(field, Fault::Type))?, method(holder)?))
        };
        match step {
            GatewayStep::BatchLogin => list("deviceList", "params.deviceList"),
            GatewayStep::RegisterByProduct => list("proxieds", "params.proxieds"),
            _ => match message.get("params") {
                Some(Value::Array(array)) => Ok(Subs::Many(array, None)),
                _ => Ok(Subs::One(params(message)?)),
            },
        }
    }
}

fn sub_device<'a>(
    step: GatewayStep,
    value: Value<'a>,
    of_all: Option<SignMethod>,
) -> Result<SubDevice<'a>, Error> {
    let holder = value.object().ok_or(Error::field("params", Fault::Type))?;
    let product_key = plain(holder, "productKey", "params.productKey")?;
    let device_name = plain(holder, "deviceName", "params.deviceName")?;
    if !valid_product_key(product_key) {
        return Err(Error::field("params.productKey", Fault::Not("1-20 letters or digits")));
    }
    if !valid_device_name(device_name) {
        return Err(Error::field("params.deviceName", Fault::Not("4-32 letters, digits or -_@.:")));
    }
    let proof = match step {
        GatewayStep::AddTopology
        | GatewayStep::Login
        | GatewayStep::BatchLogin
        | GatewayStep::RegisterByProduct => Some(proof(step, holder, of_all)?),
        _ => None,
    };
    Ok(SubDevice { product_key, device_name, proof })
}

fn proof<'a>(step: GatewayStep, holder: Object<'a>, of_all: Option<SignMethod>) -> Result<Proof<'a>, Error> {
    let proof = Proof {
        method: method(holder)?.or(of_all).unwrap_or(SignMethod::HmacMd5),
        sign: plain(holder, "sign", "params.sign")?,
        client_id: None,
        random: None,
        timestamp: None,
        clean_session: None,
    };
    if step == GatewayStep::RegisterByProduct {
        let random = text(holder, "random", "params.random", MAX_TEXT)?;
        return Ok(Proof { random: Some(random), ..proof });
    }
    Ok(Proof {
        client_id: Some(text(holder, "clientId", "params.clientId", MAX_TEXT)?),
        timestamp: optional(holder, "timestamp", "params.timestamp")?,
        clean_session: optional(holder, "cleanSession", "params.cleanSession")?,
        ..proof
    })
}

/// The sign method, in either of the spellings of its key.
fn method(holder: Object<'_>) -> Result<Option<SignMethod>, Error> {
    let Some(value) = ["signMethod", "signmethod"].iter().find_map(|key| holder.get(key)) else {
        return Ok(None);
    };
    let known = value.str().and_then(|text| SignMethod::parse(text.as_plain()?));
    let wrong = Error::field("params.signMethod", Fault::Not("hmacMd5, hmacSha1 or hmacSha256"));
    known.map(Some).ok_or(wrong)
}

fn plain<'a>(holder: Object<'a>, key: &str, field: &'static str) -> Result<&'a str, Error> {
    let text = text(holder, key, field, MAX_TEXT)?;
    text.as_plain().ok_or(Error::field(field, Fault::Unsafe))
}

fn optional<'a>(holder: Object<'a>, key: &str, field: &'static str) -> Result<Option<RawStr<'a>>, Error> {
    match text(holder, key, field, MAX_TEXT) {
        Err(Error::Field { fault: Fault::Missing, .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// The answer to a [`GatewayRequest`] (9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayReply<'a> {
    /// The id of the request.
    pub id: Id<'a>,
    /// 200, or an error.
    pub code: i32,
    /// For people; `success` with code 200. Without quotes, backslashes and control characters.
    pub message: &'a str,
    /// Whom it is about.
    pub data: GatewayData<'a>,
}

/// What an answer tells of sub-devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayData<'a> {
    /// Nothing: `{}`.
    Nothing,
    /// One, as the request had one.
    One(SubName<'a>),
    /// Several.
    Many(&'a [SubName<'a>]),
    /// Those registered and those refused (`product_register`).
    Registered {
        /// With their secrets.
        successes: &'a [SubName<'a>],
        /// With the code of the refusal.
        failures: &'a [(SubName<'a>, i32)],
    },
}

/// The names of a sub-device, and its secret if it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubName<'a> {
    /// Its product key.
    pub product_key: &'a str,
    /// Its device name.
    pub device_name: &'a str,
    /// An opaque number, and the device secret.
    pub secret: Option<(&'a str, &'a str)>,
}

impl<'a> SubName<'a> {
    /// The names alone.
    pub fn new(product_key: &'a str, device_name: &'a str) -> Self {
        SubName { product_key, device_name, secret: None }
    }

    fn emit_members(&self, out: &mut dyn Write) -> fmt::Result {
        if let Some((iot_id, device_secret)) = self.secret {
            write!(out, "\"iotId\":\"{iot_id}\",\"deviceSecret\":{},", Quoted(device_secret))?;
        }
        let SubName { product_key, device_name, .. } = self;
        write!(out, "\"productKey\":\"{product_key}\",\"deviceName\":\"{device_name}\"")
    }
}

/// A secret may hold `"` and `\`.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

impl Emit for GatewayReply<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("{\"id\":")?;
        self.id.emit(out)?;
        write!(out, ",\"code\":{},\"message\":\"{}\",\"data\":", self.code, self.message)?;
        self.data.emit(out)?;
        out.write_str("}")
    }
}

impl GatewayData<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        match self {
            GatewayData::Nothing => out.write_str("{}"),
            GatewayData::One(name) => {
                out.write_str("{")?;
                name.emit_members(out)?;
                out.write_str("}")
            }
            GatewayData::Many(names) => emit_list(names, out, |name, out| name.emit_members(out)),
            GatewayData::Registered { successes, failures } => {
                out.write_str("{\"successes\":")?;
                emit_list(successes, out, |name, out| name.emit_members(out))?;
                out.write_str(",\"failures\":")?;
                emit_list(failures, out, |(name, code), out| {
                    name.emit_members(out)?;
                    write!(out, ",\"code\":{code}")
                })?;
                out.write_str("}")
            }
        }
    }
}

fn emit_list<T>(
    items: &[T],
    out: &mut dyn Write,
    mut members: impl FnMut(&T, &mut dyn Write) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        out.write_str(if at == 0 { "[{" } else { ",{" })?;
        members(item, out)?;
        out.write_str("}")?;
    }
    out.write_str(if items.is_empty() { "[]" } else { "]" })
}
