//! What the door needs from the platform, and the words both use.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use wire::credentials::{ClientId, PskIdentity, PskKey, SignMethod};
use wire::topic::{Kind, Topic};

use crate::origin::Origin;

/// The platform's number of a device.
pub type DeviceId = i64;

/// The number of one connection, given by the platform when it admits it. Of two connections of a
/// device the one with the higher number stays.
pub type Epoch = i64;

/// SHA-256 of a certificate as it is sent.
pub type Fingerprint = [u8; 32];

/// A future on the heap that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The platform behind the door.
pub trait Platform: Send + Sync + 'static {
    /// Checks what a device shows at CONNECT. The client id parses and names a known sign method;
    /// product key and device name are well formed.
    fn authenticate(&self, login: &Login<'_>) -> impl Future<Output = Result<Admitted, Refusal>> + Send;

    /// The pre-shared key of a device for TLS. It opens nothing more: a CONNECT follows inside.
    fn pre_shared_key(
        &self,
        identity: &PskIdentity<'_>,
    ) -> impl Future<Output = Result<PskKey, Refusal>> + Send;

    /// Finds whose certificate a device has shown; it is of a CA that is trusted.
    fn bearer(&self, certificate: &Fingerprint) -> impl Future<Output = Result<Bearer, Refusal>> + Send;

    /// Hands out what a device asks for, once it is durable.
    fn register(
        &self,
        registration: &Registration<'_>,
    ) -> impl Future<Output = Result<Granted, RegistrationRefusal>> + Send;

    /// A session began: after the uplinks of any older one of the device are durable, unless that takes
    /// too long, and before its own first uplink. What is delivered from here on reaches the device after
    /// its CONNACK.
    fn connected(&self, session: &Arc<Session>);

    /// A session that was alive is ended by another client of its device; [`Platform::connected`] of that one follows.
    /// A device that comes back while its own old connection has not ended is the same client.
    fn ousted(&self, older: &Session) {
        let _ = older;
    }

    /// A session ended, once per [`Platform::connected`]. After a take-over this comes later than
    /// `connected` of the newer session, and so may uplinks of the older one that took too long: compare
    /// epochs.
    fn disconnected(&self, session: &Arc<Session>, why: Closed);

    /// Takes a message that the device may publish: a version report, a progress report or a question
    /// ([`Kind::Inform`], [`Kind::Progress`], [`Kind::FirmwareGet`], [`Kind::Request`]), or a gateway's request
    /// ([`Kind::Gateway`]); the payload is as the device sent it. Of a sub-device `session` is its own. Called in the order received. Resolves when the message is durable or
    /// dropped for good; after an error the session is closed without PUBACK.
    fn uplink(
        &self,
        session: &Arc<Session>,
        kind: Kind,
        payload: Bytes,
    ) -> BoxFuture<'static, Result<(), Unavailable>>;

    /// Settles whether this session may read a file of a stream. Asked once per session and stream
    /// until [`crate::Sessions::revoke`]; refusals are not remembered.
    fn open_stream(
        &self,
        session: &Arc<Session>,
        stream_id: u32,
        file_id: u32,
    ) -> BoxFuture<'static, Result<Arc<dyn Blob>, StreamRefusal>>;

    /// Whether somebody watches what passes through a session. Asked for every message: it has to be cheap.
    fn is_watched(&self, session: &Session) -> bool {
        let _ = session;
        false
    }

    /// Shows a message of a session that is watched.
    fn show(&self, session: &Session, passing: &Passing<'_>) {
        let _ = (session, passing);
    }

    /// Finds the file of an HTTP request; `target` is path and query as they were sent.
    fn open_file(&self, target: &str) -> impl Future<Output = Result<Arc<dyn Blob>, FileRefusal>> + Send;
}

/// The bytes of one immutable file.
pub trait Blob: Send + Sync + 'static {
    /// Length of the whole file in bytes.
    fn len(&self) -> u64;

    /// Reads exactly `len` bytes at `offset`; the door asks for nothing beyond [`Blob::len`]. Fewer
    /// bytes are treated as an error.
    fn read(&self, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>>;

    /// The open file that has these bytes, at the same places, once the system has them in memory: it sends
    /// them from there without a copy. `None`: there is no such file, and they have to be read.
    fn resident(&self, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Option<Arc<File>>>> {
        let _ = (offset, len);
        Box::pin(async { Ok(None) })
    }

    /// A strong entity tag without its quotes, if the file has one.
    fn etag(&self) -> Option<&str> {
        None
    }

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a device shows at CONNECT (docs/protocol.md 2.1).
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// From the user name.
    pub product_key: &'a str,
    /// From the user name.
    pub device_name: &'a str,
    /// The parsed client id.
    pub client_id: &'a ClientId<'a>,
    /// The password as sent.
    pub password: &'a [u8],
    /// Where the connection comes from.
    pub peer: SocketAddr,
}

/// A device that may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Which device it is.
    pub device: DeviceId,
    /// The number of this connection.
    pub epoch: Epoch,
}

/// A device that may come in by its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// As with a password.
    pub admitted: Admitted,
    /// Key of its product.
    pub product_key: Box<str>,
    /// Its name.
    pub device_name: Box<str>,
}

/// Why a device may not come in, each with its CONNACK code (docs/protocol.md 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 2: the client id asks for something that is not served.
    Malformed,
    /// 4: the password is wrong.
    BadPassword,
    /// 5: no such device, or it is disabled.
    NotAuthorised,
    /// The platform cannot tell at present: the socket is closed without a CONNACK, because SDKs
    /// report any code as a wrong secret.
    Unavailable,
}

/// What a device registers with (docs/protocol.md 2.7, 2.9): its product's secret signs for it.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'a> {
    /// Well formed.
    pub product_key: &'a str,
    /// Well formed.
    pub device_name: &'a str,
    /// Part of what is signed.
    pub random: &'a str,
    /// The HMAC of the signature.
    pub sign_method: SignMethod,
    /// The signature as sent.
    pub signature: &'a [u8],
    /// The client id that a token is wanted for; without it the device's secret is wanted.
    pub client_id: Option<&'a str>,
}

/// What a device gets for its registration: its secret or a token, as it has asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Granted(pub String);

/// It is secret.
impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Granted")
    }
}

/// Why a device may not register, each with its code over HTTP (docs/protocol.md 2.9). Over MQTT it is code 4 for
/// all but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationRefusal {
    /// 6250: there is no such product.
    UnknownProduct,
    /// 6288: the product's devices may not register.
    Off,
    /// 6288: only those may that were made beforehand.
    OnlyMadeBefore,
    /// 6600: the signature is wrong.
    BadSignature,
    /// 6100: there is no such device.
    UnknownDevice,
    /// 6204: the device is disabled.
    Disabled,
    /// 6289: the device was activated, and is not allowed to register again.
    Activated,
    /// The device has tokens for as many client ids as it may have.
    TooManyTokens,
    /// 500: the platform cannot tell at present.
    Unavailable,
}

/// One connection of one device, or of a sub-device the part in its gateway's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which device.
    pub device: DeviceId,
    /// The number of this connection.
    pub epoch: Epoch,
    /// The device's product.
    pub product_key: Box<str>,
    /// The device's name.
    pub device_name: Box<str>,
    /// The gateway that carries it, if it is a sub-device's.
    pub gateway: Option<DeviceId>,
    /// The whole client id of the CONNECT; [`ClientId::parse`] takes it. A sub-device has none.
    pub client_id: Box<str>,
    /// Seconds, 0 = none.
    pub keep_alive: u16,
    /// Where the connection comes from.
    pub peer: SocketAddr,
    /// Whether secrets may be sent: the connection is encrypted, or [`crate::Config::register_in_clear`] is set.
    pub is_private: bool,
}

impl Session {
    /// Whether both are of one client, as far as can be seen: at one address, with one client id. Of its parameters
    /// those count that name the SDK; some change from login to login.
    pub(crate) fn has_client_of(&self, other: &Self) -> bool {
        Origin::of(self.peer.ip()) == Origin::of(other.peer.ip()) && self.client() == other.client()
    }

    /// The device's topic of a kind that has one.
    pub(crate) fn topic(&self, kind: Kind) -> String {
        Topic::new(kind, &self.product_key, &self.device_name).to_string()
    }

    fn client(&self) -> Option<[Option<&str>; 3]> {
        let client = ClientId::parse(&self.client_id).ok()?;
        Some([Some(client.id()), client.param("lan"), client.param("_v")])
    }

    #[cfg(test)]
    pub(crate) fn of_test() -> Arc<Self> {
        Arc::new(Self {
            device: 1,
            epoch: 1,
            product_key: "pk".into(),
            device_name: "dev1".into(),
            gateway: None,
            client_id: "".into(),
            keep_alive: 0,
            peer: ([127, 0, 0, 1], 1).into(),
            is_private: false,
        })
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Closed {
    /// The device sent DISCONNECT, or its gateway logged it out.
    Goodbye,
    /// The connection broke or was closed without DISCONNECT.
    Lost,
    /// A newer connection of the same device.
    TakenOver,
    /// Nothing came for one and a half times the keepalive.
    KeepAlive,
    /// The device did not read what was sent to it.
    NotReading,
    /// The device broke the rules of MQTT, or asked for QoS 2.
    Protocol,
    /// A packet longer than is taken.
    TooLarge,
    /// The platform could not take an uplink.
    Unavailable,
    /// The platform asked for it: the device was disabled or removed.
    Ordered,
    /// The node stops.
    Shutdown,
}

/// A message for a device, sent ahead of blocks not yet begun. Its QoS is what the device's own
/// SUBSCRIBE was granted, else 0; after UNSUBSCRIBE it is dropped (docs/protocol.md 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downlink {
    /// One of [`Kind::DOWNLINKS`]; it and the session's names make the topic.
    pub kind: Kind,
    /// The message.
    pub payload: Bytes,
}

/// A message on its way through a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passing<'a> {
    /// Where it goes.
    pub way: Way,
    /// Its topic.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the device.
    Up,
    /// To the device.
    Down,
}

/// The platform could not make an uplink durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the platform cannot take the message at present")]
pub struct Unavailable;

/// Why a stream is not opened, each with its code in the error frame (docs/protocol.md 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamRefusal {
    /// 404: no such stream or file, or it is another device's.
    NotFound,
    /// 403: the task was cancelled or is finished.
    Ended,
    /// 500: the platform cannot tell at present.
    Unavailable,
}

/// Why a file is not sent over HTTP (docs/protocol.md 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileRefusal {
    /// 403 with this text: the address expired or its signature is wrong.
    Forbidden(String),
    /// 404.
    NotFound,
    /// 503: the platform cannot tell at present.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(peer: [u8; 4], client_id: &str) -> Session {
        Session {
            device: 1,
            epoch: 1,
            product_key: "a1Pk".into(),
            device_name: "dev001".into(),
            gateway: None,
            client_id: client_id.into(),
            keep_alive: 60,
            peer: (peer, 5).into(),
            is_private: false,
        }
    }

    #[test]
    fn a_client_is_known_by_its_address_and_its_client_id_but_for_what_changes() {
        let python = |time: u32| {
            format!("a&b|securemode=3,signmethod=hmacsha1,lan=Python,_v=1.2.13,timestamp={time}|")
        };
        let here = [192, 0, 2, 7];
        let one = session(here, &python(1));
        assert!(one.has_client_of(&session(here, &python(2))));
        assert!(!one.has_client_of(&session([192, 0, 2, 8], &python(1))));
        for other in
            ["a&b|securemode=3,signmethod=hmacsha1|", "x|securemode=3,lan=Python,_v=1.2.13|", "no client id"]
        {
            assert!(!one.has_client_of(&session(here, other)), "{other}");
        }
    }
}
