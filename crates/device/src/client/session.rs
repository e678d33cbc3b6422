//! One connection after the other.

use core::fmt::{self, Display};

use mqtt::{Connect, EmitError, Packet, Properties, Property, Publish, QoS, Version, connack};
use wire::credentials::{Hex, SignMethod, Username, password_of};

use super::read::{Other, Received, Trouble, message, packet};
use crate::text::Text;
use crate::updater::{chance, spread};
use crate::window::Millis;

/// Milliseconds for CONNACK, and for anything after a PINGREQ.
const PATIENCE: Millis = 10_000;

/// Milliseconds without an answer to what was sent until a PINGREQ asks whether anybody is there.
const DOUBT: Millis = 20_000;

/// Waits before the next connection in milliseconds: the first, doubled each time, and the longest.
const RETRY: (Millis, Millis) = (500, 60_000);

/// A connection that lasted so long was a good one: after it the next attempt comes soon.
const STABLE: Millis = 10_000;

/// How many messages can wait for their acknowledgement, in each direction.
const WAITING: usize = 8;

/// Who logs in, and how.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// Key of the device's product.
    pub product_key: &'a str,
    /// Name of the device in its product.
    pub device_name: &'a str,
    /// Secret of the device.
    pub secret: &'a str,
    /// 3.1.1 or 5; 3.1 is possible too.
    pub version: Version,
    /// Seconds promised to the platform, 30 to 1200; a PINGREQ goes out after half of it.
    pub keep_alive: u16,
}

impl Login<'_> {
    /// Writes the client id that CONNECT carries (docs/protocol.md 2.2).
    pub fn write_client_id(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}.{}|securemode=3,signmethod=hmacsha256|", self.product_key, self.device_name)
    }

    /// Writes the user name that CONNECT carries.
    pub fn write_username(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}&{}", self.device_name, self.product_key)
    }

    /// The password that CONNECT carries: a signature that says nothing of the secret.
    pub fn password(&self) -> Hex {
        let Self { product_key, device_name, secret, .. } = self;
        let id = Text::<64>::of(format_args!("{product_key}.{device_name}"));
        let user = Username { device_name, product_key };
        password_of(SignMethod::HmacSha256, secret.as_bytes(), id.as_str(), &user)
    }
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Todo<'o> {
    /// Open a connection. Then `handle_opened`, or `handle_closed` if it cannot be opened.
    Open,
    /// Send these bytes.
    Send(&'o [u8]),
    /// The platform has taken the login: [`crate::Updater::handle_connected`] is to be told.
    Online,
    /// Close the connection, for this reason, and tell [`crate::Updater::handle_disconnected`].
    Close(Trouble),
    /// Nothing to do until this time, or until something is handled if `None`.
    Wait(Option<Millis>),
}

/// A message that cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotPublish {
    /// There is no connection.
    Offline,
    /// Eight messages wait for their acknowledgement: no other of QoS 1 now ([`Client::is_busy`]).
    Busy,
    /// The packet cannot be written.
    Packet(EmitError),
}

impl Display for CannotPublish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline => f.write_str("there is no connection"),
            Self::Busy => f.write_str("too many messages wait for their acknowledgement"),
            Self::Packet(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for CannotPublish {}

/// The MQTT client of one device. The module's documentation says how it is driven.
#[derive(Debug)]
pub struct Client<'a> {
    login: Login<'a>,
    state: State,
    /// Attempts since the last good connection.
    attempts: u32,
    /// Since when the platform knows the device on this connection.
    online: Option<Millis>,
    last_id: u16,
    /// Sent, and not acknowledged by the platform.
    sent: [Option<u16>; WAITING],
    /// Received, and to be acknowledged.
    received: [Option<u16>; WAITING],
    keep_alive: Millis,
    last_sent: Millis,
    last_received: Millis,
    /// Bytes of a packet of which not all has come.
    part: usize,
    /// When a PINGREQ was sent, if nothing has come since.
    pinged: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle {
        until: Millis,
    },
    Opening,
    Opened,
    /// CONNECT is sent.
    LoggingIn,
    /// CONNACK came; `told` once the caller knows.
    Online {
        told: bool,
    },
    Closing(Trouble),
}

impl<'a> Client<'a> {
    /// A client that is not connected yet.
    pub fn new(login: Login<'a>) -> Self {
        Self {
            login,
            state: State::Idle { until: 0 },
            attempts: 0,
            online: None,
            last_id: 0,
            sent: [None; WAITING],
            received: [None; WAITING],
            keep_alive: 0,
            last_sent: 0,
            last_received: 0,
            part: 0,
            pinged: None,
        }
    }

    /// Whether messages can be published.
    pub fn is_online(&self) -> bool {
        matches!(self.state, State::Online { .. })
    }

    /// Whether no message of QoS 1 can be published now because too many wait for their acknowledgement. Then the
    /// updater is not to be polled: what it said and could not be published it would not say again.
    pub fn is_busy(&self) -> bool {
        self.is_online() && self.sent.iter().all(Option::is_some)
    }

    /// Whether there is a connection and the platform has everything that was published on it at QoS 1.
    pub fn is_settled(&self) -> bool {
        self.is_online() && self.sent.iter().all(Option::is_none)
    }

    /// The connection is open.
    pub fn handle_opened(&mut self, now: Millis) {
        self.state = State::Opened;
        (self.sent, self.received) = ([None; WAITING], [None; WAITING]);
        (self.last_sent, self.last_received, self.pinged, self.part) = (now, now, None, 0);
        self.keep_alive = Millis::from(self.login.keep_alive) * 1000;
    }

    /// The connection could not be opened, or it ended. Why the client itself is about to close it, it still says.
    pub fn handle_closed(&mut self, now: Millis) {
        if !matches!(self.state, State::Idle { .. } | State::Closing(_)) {
            self.retry(now);
        }
    }

    /// Looks at what was received and not taken away yet. `room` is the length of the caller's buffer.
    pub fn receive<'p>(&mut self, now: Millis, bytes: &'p [u8], room: usize) -> Received<'p> {
        let found = packet(bytes, room, self.login.version);
        let part = if matches!(found, Err(Other::Received(Received::Part))) { bytes.len() } else { 0 };
        // Looking at the same part of a packet again is no sign of life.
        if part == 0 || part > self.part {
            (self.last_received, self.pinged) = (now, None);
        }
        self.part = part;
        let (packet, len) = match found {
            Ok(found) => found,
            Err(Other::Received(received)) => return received,
            Err(Other::Broken(error)) => {
                self.state = State::Closing(Trouble::Protocol(error));
                return Received::Broken;
            }
        };
        match packet {
            Packet::ConnAck { code, properties, .. } if self.state == State::LoggingIn => {
                self.logged_in(now, code, properties);
            }
            Packet::Publish(publish) if self.is_online() => {
                if let Some(id) = publish.packet_id {
                    self.owe(id);
                }
                return message(&publish, len);
            }
            Packet::PubAck { packet_id, .. } => {
                self.sent.iter_mut().filter(|id| **id == Some(packet_id)).for_each(|id| *id = None);
            }
            Packet::Disconnect { reason, .. } => self.state = State::Closing(Trouble::Ended(reason)),
            _ => {}
        }
        Received::Packet { len }
    }

    /// Writes a message into `out`, at QoS 1 if it is to be `acknowledged`; the bytes to send.
    pub fn publish<'o>(
        &mut self,
        now: Millis,
        topic: impl Display,
        payload: &[u8],
        acknowledged: bool,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], CannotPublish> {
        if !self.is_online() {
            return Err(CannotPublish::Offline);
        }
        let free = self.sent.iter().position(Option::is_none);
        let slot = if acknowledged { Some(free.ok_or(CannotPublish::Busy)?) } else { None };
        let packet_id = slot.map(|_| self.next_id());
        let topic = Text::<192>::of(topic);
        let qos = if acknowledged { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let (dup, retain, topic, properties) = (false, false, topic.as_str(), Properties::NONE);
        let publish = Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload });
        let len = publish.emit(self.login.version, out).map_err(CannotPublish::Packet)?;
        if let Some(slot) = slot {
            self.sent[slot] = packet_id;
        }
        self.last_sent = now;
        Ok(&out[..len])
    }

    /// The next thing to do. What is to be sent is written into `out`.
    pub fn poll<'o>(&mut self, now: Millis, out: &'o mut [u8]) -> Todo<'o> {
        match self.state {
            State::Idle { until } if until > now => Todo::Wait(Some(until)),
            State::Idle { .. } => {
                self.state = State::Opening;
                Todo::Open
            }
            State::Opening => Todo::Wait(None),
            State::Opened => {
                self.state = State::LoggingIn;
                self.log_in(now, out)
            }
            State::LoggingIn if self.last_sent + PATIENCE <= now => self.close(now, Trouble::Silent),
            State::LoggingIn => Todo::Wait(Some(self.last_sent + PATIENCE)),
            State::Online { told: false } => {
                self.state = State::Online { told: true };
                Todo::Online
            }
            State::Online { .. } => self.keep_up(now, out),
            State::Closing(trouble) => self.close(now, trouble),
        }
    }

    /// Acknowledges what came, and shows that the device is there.
    fn keep_up<'o>(&mut self, now: Millis, out: &'o mut [u8]) -> Todo<'o> {
        if let Some(id) = self.received.iter_mut().find_map(Option::take) {
            return self.send(now, &Packet::puback(id), out);
        }
        if let Some(at) = self.pinged {
            let until = at + PATIENCE;
            return if until <= now { self.close(now, Trouble::Silent) } else { Todo::Wait(Some(until)) };
        }
        if self.keep_alive == 0 {
            return Todo::Wait(None);
        }
        let due = self.last_sent.min(self.last_received) + self.keep_alive / 2;
        let unanswered = self.last_sent > self.last_received;
        let next = if unanswered { due.min(self.last_received + DOUBT) } else { due };
        if next > now {
            return Todo::Wait(Some(next));
        }
        self.pinged = Some(now);
        self.send(now, &Packet::PingReq, out)
    }

    fn log_in<'o>(&mut self, now: Millis, out: &'o mut [u8]) -> Todo<'o> {
        let Login { version, keep_alive, .. } = self.login;
        let (mut client_id, mut username) = (Text::<128>::new(), Text::<64>::new());
        let _ = self.login.write_client_id(&mut client_id.end());
        let _ = self.login.write_username(&mut username.end());
        let signature = self.login.password();
        let connect = Packet::Connect(Connect {
            version,
            client_id: client_id.as_str(),
            username: Some(username.as_str()),
            password: Some(signature.as_str().as_bytes()),
            keep_alive,
            clean: true,
            properties: Properties::NONE,
            will: None,
        });
        self.send(now, &connect, out)
    }

    fn logged_in(&mut self, now: Millis, code: u8, properties: Properties<'_>) {
        self.state = match (code, self.login.version) {
            (connack::ACCEPTED, _) => {
                self.online = Some(now);
                State::Online { told: false }
            }
            (connack::UNAVAILABLE, Version::V31 | Version::V311)
            | (mqtt::reason::UNAVAILABLE | mqtt::reason::BUSY, Version::V5) => {
                State::Closing(Trouble::Unavailable)
            }
            (code, _) => {
                // A wrong secret does not become right by asking more often.
                self.attempts = u32::MAX;
                State::Closing(Trouble::Refused(code))
            }
        };
        for property in properties.iter() {
            if let Property::ServerKeepAlive(seconds) = property {
                self.keep_alive = Millis::from(seconds) * 1000;
            }
        }
    }

    fn send<'o>(&mut self, now: Millis, packet: &Packet<'_>, out: &'o mut [u8]) -> Todo<'o> {
        match packet.emit(self.login.version, out) {
            Ok(len) => {
                self.last_sent = now;
                Todo::Send(&out[..len])
            }
            Err(EmitError::BufferTooSmall { needed }) => self.close(now, Trouble::Buffer(needed)),
            Err(EmitError::Unencodable(error)) => self.close(now, Trouble::Protocol(error)),
        }
    }

    fn close<'o>(&mut self, now: Millis, trouble: Trouble) -> Todo<'o> {
        self.retry(now);
        Todo::Close(trouble)
    }

    /// Waits for the next attempt: longer each time, and up to half as long again, as not all devices of a fleet
    /// should come back at once.
    fn retry(&mut self, now: Millis) {
        if self.online.take().is_some_and(|since| now.saturating_sub(since) > STABLE) {
            self.attempts = 0;
        }
        let wait = (RETRY.0 << self.attempts.min(7)).min(RETRY.1);
        let chance = chance(self.login.device_name, self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.state = State::Idle { until: now + spread(wait, chance) };
    }

    /// A message of QoS 1 came. If too many wait for their PUBACK this one gets none, and comes again.
    fn owe(&mut self, id: u16) {
        if let Some(free) = self.received.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(id);
        }
    }

    fn next_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }
}
