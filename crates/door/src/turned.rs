//! Connections that do not become a session, in words for the person who built the device.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mqtt::{Version, connack, reason};
use wire::credentials::{self, AuthType, ClientId, valid_device_name, valid_product_key};

use crate::counters::count;
use crate::proxy::{self, SIGNATURE};
use crate::serve::Door;
use crate::{Counters, Platform, Refusal, RegistrationRefusal};

/// Characters of an unknown word that are repeated.
const MAX_WORD: usize = 64;

/// A connection that is turned away, and what is known of it.
#[derive(Debug)]
pub(crate) struct Turned<'p> {
    pub(crate) why: Why,
    pub(crate) who: Who<'p>,
}

/// A CONNACK that refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) version: Version,
    pub(crate) code: u8,
}

/// What a CONNECT said of its sender, as far as it could be read. Nothing of it is proved.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Who<'p> {
    pub(crate) version: Option<Version>,
    pub(crate) product_key: Option<&'p str>,
    pub(crate) device_name: Option<&'p str>,
}

/// Why a connection is turned away. The words never hold a password or a whole client id.
#[derive(Debug)]
pub(crate) enum Why {
    /// The first byte is neither MQTT's nor HTTP's.
    FirstByte(u8),
    /// A listed balancer sent no PROXY header.
    Proxy(proxy::Error),
    /// The connection ended within a balancer's PROXY header.
    ProxyBrokeOff,
    /// A balancer's PROXY header was not whole in this time.
    ProxyLate(Duration),
    /// Its TLS handshake failed, as OpenSSL says, before a server with or without a certificate.
    Tls { reason: String, certified: bool },
    /// The connection ended within its TLS handshake.
    TlsBrokeOff,
    /// The TLS handshake was not done in this time.
    TlsLate(Duration),
    /// The identity of its pre-shared key cannot be read.
    PskIdentity(String),
    /// Its TLS handshake with a pre-shared key failed, and the platform said so of it.
    Psk(Refusal),
    /// Its address has this many connections, which is all it may have.
    AddressFull(usize),
    /// The CONNECT was not whole in this time.
    Late(Duration),
    /// The HTTP request's head was not whole in this time.
    LateHead(Duration),
    /// The connection ended within the CONNECT.
    BrokeOff,
    /// The first packet is no CONNECT.
    Packet(mqtt::Error),
    /// The first packet is well formed, and no CONNECT.
    NoConnect,
    /// A version of MQTT that is not served, or a protocol name that is not its level's.
    Version(mqtt::Error),
    /// It asks for an enhanced authentication of MQTT 5.
    AuthMethod,
    /// The longest packet that it takes is shorter than a CONNACK.
    SmallPackets(u32),
    /// The client id cannot be read.
    ClientId(credentials::Error),
    /// The client id names this sign method.
    SignMethod(String),
    /// There is neither a user name nor a password, nor a certificate that would do without.
    Nameless,
    /// There is no user name.
    NoUsername,
    /// The user name cannot be read.
    Username(credentials::Error),
    /// The password is wrong, or there is none, or the client id names a scheme that is not served.
    Password { missing: bool, other_scheme: bool },
    /// The device token is wrong.
    Token,
    /// The platform says so of its certificate.
    Certificate(Refusal),
    /// A registration without `random`.
    NoRandom,
    /// A registration over a connection that others can read.
    RegistrationInClear,
    /// A registration for a client id, or for a secret, that devices could not read in the answer.
    Unsendable,
    /// The platform refuses the registration.
    Registration(RegistrationRefusal),
    /// The platform says so.
    Platform(Refusal),
    /// Its refusal would be delayed after failed logins, and too many such wait already.
    ThrottleFull,
    /// It did not wait for such an answer.
    ThrottleLeft,
    /// A newer connection of the device was admitted meanwhile.
    Outrun,
    /// The platform stops.
    Stopping,
}

/// As much of a text as is repeated.
pub(crate) fn word(text: &str) -> String {
    text.chars().take(MAX_WORD).collect()
}

impl<'p> Who<'p> {
    /// Takes what is well formed of a user name.
    pub(crate) fn named(mut self, username: Option<&'p str>) -> Self {
        if let Some((device_name, product_key)) = username.and_then(|name| name.rsplit_once('&')) {
            self.device_name = Some(device_name).filter(|name| valid_device_name(name));
            self.product_key = Some(product_key).filter(|key| valid_product_key(key));
        }
        self
    }

    /// The version as people call it.
    pub(crate) fn mqtt(&self) -> Option<&'static str> {
        self.version.and_then(|version| match version {
            Version::V31 => Some("3.1"),
            Version::V311 => Some("3.1.1"),
            Version::V5 => Some("5"),
            _ => None,
        })
    }
}

impl Why {
    pub(crate) fn tls(reason: String, certified: bool) -> Self {
        Self::Tls { reason, certified }
    }

    pub(crate) fn sign_method(client_id: &ClientId<'_>) -> Self {
        let method = client_id.param("signmethod").unwrap_or_default();
        Self::SignMethod(word(method.split('|').next().unwrap_or_default()))
    }

    pub(crate) fn platform(refusal: Refusal, client_id: &ClientId<'_>, password: &[u8]) -> Self {
        match refusal {
            Refusal::BadPassword => match client_id.auth_type() {
                Some(kind) if AuthType::parse(kind) == Some(AuthType::Connwl) => Self::Token,
                kind => Self::Password { missing: password.is_empty(), other_scheme: kind.is_some() },
            },
            other => Self::Platform(other),
        }
    }

    /// The code of the CONNACK to send before closing, if any, to a device of this version.
    fn code(&self, version: Version) -> Option<u8> {
        if version == Version::V5 { self.code_v5() } else { self.code_v3() }
    }

    fn code_v5(&self) -> Option<u8> {
        match self {
            Self::Packet(error) => Some(error.reason()),
            Self::AuthMethod => Some(reason::AUTH_METHOD),
            Self::SmallPackets(_) => Some(reason::IMPLEMENTATION),
            other => match other.code_v3()? {
                connack::BAD_VERSION => Some(reason::VERSION),
                connack::BAD_CLIENT_ID => Some(reason::CLIENT_ID),
                connack::BAD_LOGIN => Some(reason::BAD_LOGIN),
                connack::UNAVAILABLE => Some(reason::UNAVAILABLE),
                _ => Some(reason::NOT_AUTHORISED),
            },
        }
    }

    fn code_v3(&self) -> Option<u8> {
        match self {
            Self::Version(_) => Some(connack::BAD_VERSION),
            Self::ClientId(_)
            | Self::SignMethod(_)
            | Self::NoRandom
            | Self::RegistrationInClear
            | Self::Unsendable
            | Self::Platform(Refusal::Malformed) => Some(connack::BAD_CLIENT_ID),
            Self::Registration(RegistrationRefusal::Unavailable) => Some(connack::UNAVAILABLE),
            Self::Nameless
            | Self::NoUsername
            | Self::Username(_)
            | Self::Password { .. }
            | Self::Token
            | Self::Registration(_)
            | Self::Platform(Refusal::BadPassword) => Some(connack::BAD_LOGIN),
            Self::Certificate(Refusal::BadPassword) => Some(connack::BAD_LOGIN),
            Self::Platform(Refusal::NotAuthorised) | Self::Certificate(Refusal::NotAuthorised) => {
                Some(connack::NOT_AUTHORISED)
            }
            Self::FirstByte(_)
            | Self::Proxy(_)
            | Self::ProxyBrokeOff
            | Self::ProxyLate(_)
            | Self::Tls { .. }
            | Self::TlsBrokeOff
            | Self::TlsLate(_)
            | Self::PskIdentity(_)
            | Self::Psk(_)
            | Self::AddressFull(_)
            | Self::Late(_)
            | Self::LateHead(_)
            | Self::ThrottleFull
            | Self::ThrottleLeft
            | Self::BrokeOff
            | Self::Packet(_)
            | Self::NoConnect
            | Self::AuthMethod
            | Self::SmallPackets(_)
            | Self::Platform(Refusal::Unavailable)
            | Self::Certificate(Refusal::Malformed | Refusal::Unavailable)
            | Self::Outrun
            | Self::Stopping => None,
        }
    }

    fn counter<'c>(&self, counters: &'c Counters) -> &'c AtomicU64 {
        match self {
            Self::FirstByte(_) => &counters.unknown_protocol,
            Self::Proxy(_) | Self::ProxyBrokeOff => &counters.bad_proxy_header,
            Self::AddressFull(_) => &counters.address_limit,
            Self::Late(_) | Self::LateHead(_) | Self::ProxyLate(_) | Self::TlsLate(_) => {
                &counters.connect_timeout
            }
            Self::Tls { .. } | Self::TlsBrokeOff | Self::PskIdentity(_) | Self::Psk(_) => {
                &counters.tls_failed
            }
            Self::ThrottleFull => &counters.throttle_full,
            Self::ThrottleLeft => &counters.throttle_left,
            Self::Packet(mqtt::Error::TooLarge { .. }) => &counters.too_large,
            Self::Version(_) => &counters.bad_version,
            Self::Password { .. }
            | Self::Token
            | Self::Platform(Refusal::BadPassword)
            | Self::Certificate(Refusal::BadPassword) => &counters.bad_password,
            Self::Platform(Refusal::NotAuthorised) | Self::Certificate(Refusal::NotAuthorised) => {
                &counters.unknown_device
            }
            Self::Registration(RegistrationRefusal::Unavailable)
            | Self::Platform(Refusal::Unavailable)
            | Self::Certificate(Refusal::Unavailable)
            | Self::Stopping => &counters.connect_unavailable,
            Self::Registration(_) | Self::RegistrationInClear | Self::Unsendable => {
                &counters.refused_registration
            }
            Self::Outrun => &counters.take_over,
            Self::BrokeOff
            | Self::Packet(_)
            | Self::NoConnect
            | Self::AuthMethod
            | Self::SmallPackets(_)
            | Self::ClientId(_)
            | Self::SignMethod(_)
            | Self::Nameless
            | Self::NoUsername
            | Self::Username(_)
            | Self::NoRandom
            | Self::Platform(Refusal::Malformed)
            | Self::Certificate(Refusal::Malformed) => &counters.malformed_connect,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstByte(first) if *first == SIGNATURE[0] => f.write_str(
                "it does not speak MQTT; a PROXY header begins as it does, and is taken from listed balancers only",
            ),
            Self::FirstByte(first) => {
                write!(f, "it does not speak MQTT: the first byte is {first:#04x}, that of a CONNECT is 0x10")
            }
            Self::Proxy(error) => write!(f, "it is listed as a balancer, and {error}"),
            Self::ProxyBrokeOff => f.write_str("it is listed as a balancer, and ended within its PROXY header"),
            Self::ProxyLate(limit) => {
                let seconds = limit.as_secs_f32();
                write!(f, "it is listed as a balancer, and no whole PROXY header came within {seconds} s")
            }
            Self::Tls { reason, certified } => {
                write!(f, "its TLS handshake failed: {reason}{}", advice(reason, *certified))
            }
            Self::TlsBrokeOff => f.write_str("the connection ended within its TLS handshake"),
            Self::TlsLate(limit) => {
                write!(f, "its TLS handshake was not done within {} s", limit.as_secs_f32())
            }
            Self::PskIdentity(identity) => write!(
                f,
                "the identity of its pre-shared key, {identity:?}, cannot be read; it must read \
                 `DN|hmacsha256|PK&DN|TIMESTAMP`, as `otaru device credentials` shows it"
            ),
            Self::Psk(Refusal::NotAuthorised) => {
                f.write_str("its pre-shared key is that of a device that is unknown or disabled")
            }
            Self::Psk(_) => f.write_str(
                "wrong pre-shared key: it is not made of its identity and the device's secret; \
                 `otaru device credentials` shows the one that is",
            ),
            Self::AddressFull(limit) => {
                write!(f, "its address has {limit} connections already, as many as one address may have")
            }
            Self::Late(limit) => write!(f, "no whole CONNECT came within {} s", limit.as_secs_f32()),
            Self::LateHead(limit) => {
                write!(f, "no whole head of an HTTP request came within {} s", limit.as_secs_f32())
            }
            Self::BrokeOff => f.write_str("the connection ended before its CONNECT was whole"),
            Self::Packet(error) => write!(f, "it does not begin with a CONNECT of MQTT: {error}"),
            Self::NoConnect => f.write_str("it does not begin with a CONNECT of MQTT"),
            Self::Version(error) => write!(f, "{error}; choose MQTT 3.1.1 (MQTT, level 4) or 5 (MQTT, level 5)"),
            Self::AuthMethod => f.write_str(
                "it asks for an authentication method of MQTT 5; there is none here: connect with user name and \
                 password alone",
            ),
            Self::SmallPackets(bytes) => write!(
                f,
                "its Maximum Packet Size of {bytes} bytes does not even hold a CONNACK; allow at least 2 KiB"
            ),
            Self::ClientId(error) => write!(f, "{error}"),
            Self::SignMethod(word) => {
                write!(f, "unknown sign method {word:?}: {}", credentials::Error::SignMethod)
            }
            Self::Nameless => f.write_str(
                "it has neither user name and password nor shown a certificate of its own: a device comes by its \
                 certificate over TLS, and is asked for it only where tls-client-ca names the CA",
            ),
            Self::NoUsername => {
                write!(f, "there is no user name: {}", credentials::Error::Username)
            }
            Self::Username(error) => write!(f, "{error}"),
            Self::Password { other_scheme: true, .. } => f.write_str(
                "wrong password; the client id names an authType that is not served: leave it out, and sign with the \
                 device's secret",
            ),
            Self::Token => f.write_str(
                "wrong device token: it is good for the client id it was given for, until the device gets another",
            ),
            Self::NoRandom => f.write_str("it wants to register, and its client id has no `random`"),
            Self::RegistrationInClear => f.write_str(
                "it wants to register without TLS, where others could read the secret it gets: connect with TLS, or \
                 set register-in-clear if the network can be trusted",
            ),
            Self::Unsendable => f.write_str(
                "its client id or its secret holds a quote, backslash or brace, or is empty, which devices could not \
                 read in the answer to a registration",
            ),
            Self::Registration(refusal) => f.write_str(registration(*refusal)),
            Self::Password { missing: true, .. } => {
                f.write_str("there is no password, and no certificate of its own was shown in its place")
            }
            Self::Password { .. } | Self::Platform(Refusal::BadPassword) => f.write_str(
                "wrong password: it does not fit client id, user name, sign method and the device's secret; \
                 `otaru device credentials` shows one that does",
            ),
            Self::Platform(Refusal::Malformed) => f.write_str("the client id asks for what is not served"),
            Self::Certificate(Refusal::BadPassword) => {
                f.write_str("its certificate is that of another device than its user name says")
            }
            Self::Certificate(Refusal::NotAuthorised) => f.write_str(
                "its certificate is bound to no device, or to a disabled one; `otaru device certificate` binds it",
            ),
            Self::Platform(Refusal::NotAuthorised) => f.write_str("the device is unknown or disabled"),
            Self::Platform(Refusal::Unavailable) | Self::Certificate(_) => {
                f.write_str("the login cannot be checked at present; closed without an answer, to be tried again")
            }
            Self::ThrottleFull => f.write_str(
                "its login failed as many before it, and too many wait already for a delayed refusal; closed \
                 without an answer",
            ),
            Self::ThrottleLeft => {
                f.write_str("its login failed as many before it, and it did not wait for its delayed refusal")
            }
            Self::Outrun => f.write_str("a newer connection of the device came first"),
            Self::Stopping => f.write_str("the platform stops"),
        }
    }
}

/// What to do about a failure that OpenSSL calls so.
fn advice(reason: &str, certified: bool) -> &'static str {
    let lacks = |what| reason.contains(what) && !certified;
    if lacks("no shared cipher") || lacks("no suitable signature algorithm") {
        "; there is no certificate here: `otaru certs new` makes one"
    } else if reason.contains("no shared cipher") {
        "; a device that knows RSA only, as those of the C SDKs, needs a certificate with an RSA key"
    } else if ["unknown ca", "bad certificate", "certificate unknown"]
        .iter()
        .any(|alert| reason.contains(alert))
    {
        "; it does not trust the certificate here: give it the CA's (ca.pem), and connect by a name that the \
         certificate has"
    } else if reason.contains("certificate verify failed") {
        "; its own certificate must be one for clients, in force, and of a CA in the file of tls-client-ca; what is \
         between it and that CA the device has to send, or the file to hold"
    } else if reason.contains("record layer failure") {
        "; what it sends is no record of TLS"
    } else if reason.contains("unsupported protocol") {
        "; TLS 1.2 or 1.3 is needed"
    } else {
        ""
    }
}

fn registration(refusal: RegistrationRefusal) -> &'static str {
    match refusal {
        RegistrationRefusal::UnknownProduct => "it wants to register, and there is no such product",
        RegistrationRefusal::Off => {
            "dynamic registration is off for its product; \
             `otaru product set PK --dynamic-registration true` turns it on"
        }
        RegistrationRefusal::OnlyMadeBefore => {
            "it wants a token, and its product registers only devices made beforehand, for their secret; \
             `otaru product set PK --without-pre-registration true` changes that"
        }
        RegistrationRefusal::BadSignature => {
            "wrong signature of a registration: it does not fit the names, `random`, the sign method and the \
             product's secret, which `otaru product credentials` shows"
        }
        RegistrationRefusal::UnknownDevice => {
            "it wants to register, and no device of this name was made; `otaru device add` makes one"
        }
        RegistrationRefusal::Disabled => "it wants to register, and the device is disabled",
        RegistrationRefusal::Activated => {
            "it wants to register, and the device has been connected before; \
             `otaru device allow-registration` lets it register again for a while"
        }
        RegistrationRefusal::TooManyTokens => {
            "the device has tokens for five client ids already; \
             `otaru device allow-registration` lets a further one take the place of the oldest"
        }
        RegistrationRefusal::Unavailable => "the registration cannot be carried out at present",
    }
}

impl<P: Platform> Door<P> {
    /// Counts and logs a connection that ends here, and gives the CONNACK to send before.
    pub(crate) fn turn_away(&self, peer: SocketAddr, turned: &Turned<'_>) -> Option<Refused> {
        self.log.turned_away(peer, turned);
        count(turned.why.counter(&self.counters));
        let version = turned.who.version.unwrap_or_default();
        turned.why.code(version).map(|code| Refused { version, code })
    }

    /// As [`Door::turn_away`], of a connection that did not say who it is.
    pub(crate) fn turn_stranger_away(
        &self,
        peer: SocketAddr,
        version: Option<Version>,
        why: Why,
    ) -> Option<Refused> {
        self.turn_away(peer, &Turned { why, who: Who { version, ..Who::default() } })
    }
}
