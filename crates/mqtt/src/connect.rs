//! CONNECT and the codes of CONNACK.

use crate::bytes::{Reader, Writer, topic_name};
use crate::properties::place;
use crate::{Error, FixedHeader, PacketType, Properties, QoS, Version};

/// Return codes of a CONNACK of version 3; version 5 has [`crate::reason`]. docs/protocol.md 2.5 says
/// which is used for what.
pub mod connack {
    /// The connection is accepted.
    pub const ACCEPTED: u8 = 0;
    /// The protocol version is not served.
    pub const BAD_VERSION: u8 = 1;
    /// The client identifier is malformed.
    pub const BAD_CLIENT_ID: u8 = 2;
    /// The server cannot serve at present.
    pub const UNAVAILABLE: u8 = 3;
    /// User name or password are wrong.
    pub const BAD_LOGIN: u8 = 4;
    /// The device is unknown or may not connect.
    pub const NOT_AUTHORISED: u8 = 5;
}

const USERNAME: u8 = 0x80;
const PASSWORD: u8 = 0x40;
const WILL_RETAIN: u8 = 0x20;
const WILL_QOS_SHIFT: u8 = 3;
const WILL: u8 = 0x04;
const CLEAN: u8 = 0x02;
const RESERVED: u8 = 0x01;

/// A device's first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version of everything that follows on this connection.
    pub version: Version,
    /// The client identifier; any length, may be empty.
    pub client_id: &'a str,
    /// The user name, if one was sent.
    pub username: Option<&'a str>,
    /// The password, if one was sent; in version 3 there is none without a user name.
    pub password: Option<&'a [u8]>,
    /// Seconds after which the client will have sent something; 0 = no promise.
    pub keep_alive: u16,
    /// Clean session; clean start in version 5.
    pub clean: bool,
    /// None in version 3.
    pub properties: Properties<'a>,
    /// The message to publish when the connection ends unannounced.
    pub will: Option<Will<'a>>,
}

/// A will message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where to publish it.
    pub topic: &'a str,
    /// Its payload.
    pub message: &'a [u8],
    /// Its quality of service.
    pub qos: QoS,
    /// Whether it is to be retained.
    pub retain: bool,
    /// None in version 3.
    pub properties: Properties<'a>,
}

impl<'a> Connect<'a> {
    /// The version that a CONNECT asks for, told by its first bytes: also of one that is not whole, or
    /// that cannot be parsed. `None` if they do not tell, or ask for one that is not served.
    #[must_use]
    pub fn version_of(bytes: &[u8]) -> Option<Version> {
        let header = FixedHeader::parse(bytes).ok()??;
        let mut body = Reader::new(bytes.get(header.header_len..)?);
        if header.kind == PacketType::Connect { parse_version(&mut body).ok() } else { None }
    }

    pub(crate) fn parse(body: &mut Reader<'a>) -> Result<Self, Error> {
        let version = parse_version(body)?;
        let flags = body.u8()?;
        check_flags(flags, version)?;
        let keep_alive = body.u16()?;
        let properties = version.properties(body, place::CONNECT)?;
        let client_id = body.text()?;
        let will = if flags & WILL == 0 { None } else { Some(Will::parse(flags, body, version)?) };
        let username = optional(flags & USERNAME != 0, version, body, Reader::text)?;
        let password = optional(flags & PASSWORD != 0, version, body, Reader::binary)?;
        let clean = flags & CLEAN != 0;
        Ok(Self { version, client_id, username, password, keep_alive, clean, properties, will })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.text(self.version.name())?;
        out.u8(self.version.level());
        let flags = self.flags();
        check_flags(flags, self.version)?;
        out.u8(flags);
        out.u16(self.keep_alive);
        self.version.write_properties(&self.properties, out, place::CONNECT)?;
        out.text(self.client_id)?;
        if let Some(will) = &self.will {
            will.write(out, self.version)?;
        }
        if let Some(username) = self.username {
            out.text(username)?;
        }
        if let Some(password) = self.password {
            out.binary(password)?;
        }
        Ok(())
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.username.is_some() {
            flags |= USERNAME;
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        if self.clean {
            flags |= CLEAN;
        }
        if let Some(will) = &self.will {
            flags |= WILL | will.qos.level() << WILL_QOS_SHIFT;
            if will.retain {
                flags |= WILL_RETAIN;
            }
        }
        flags
    }
}

impl<'a> Will<'a> {
    fn parse(flags: u8, body: &mut Reader<'a>, version: Version) -> Result<Self, Error> {
        Ok(Self {
            properties: version.properties(body, place::WILL)?,
            topic: topic_name(body.text()?)?,
            message: body.binary()?,
            qos: QoS::from_level(flags >> WILL_QOS_SHIFT & 3)?,
            retain: flags & WILL_RETAIN != 0,
        })
    }

    fn write(&self, out: &mut Writer<'_>, version: Version) -> Result<(), Error> {
        version.write_properties(&self.properties, out, place::WILL)?;
        out.text(topic_name(self.topic)?)?;
        out.binary(self.message)
    }
}

fn parse_version(body: &mut Reader<'_>) -> Result<Version, Error> {
    let name = body.binary()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(Error::ProtocolName);
    }
    let level = body.u8()?;
    let version = [Version::V31, Version::V311, Version::V5]
        .into_iter()
        .find(|version| version.level() == level)
        .ok_or(Error::UnsupportedVersion(level))?;
    if version.name().as_bytes() == name { Ok(version) } else { Err(Error::VersionName(level)) }
}

/// 3.1 ignores bits without a meaning, the others call them malformed; only 5 takes a password alone.
fn check_flags(flags: u8, version: Version) -> Result<(), Error> {
    let stray = match (flags & WILL == 0, version) {
        (_, Version::V31) => false,
        (true, _) => flags & (RESERVED | WILL_RETAIN | 3 << WILL_QOS_SHIFT) != 0,
        (false, _) => flags & RESERVED != 0,
    };
    let lone_password = version != Version::V5 && flags & (USERNAME | PASSWORD) == PASSWORD;
    if stray || lone_password { Err(Error::ConnectFlags(flags)) } else { Ok(()) }
}

/// 3.1 lets the remaining length overrule the flag: an announced text may be missing at the end.
fn optional<'a, T>(
    announced: bool,
    version: Version,
    body: &mut Reader<'a>,
    read: fn(&mut Reader<'a>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    if !announced || (version == Version::V31 && body.is_empty()) { Ok(None) } else { read(body).map(Some) }
}
