//! Dynamic registration (docs/protocol.md 2.7): a device that has only its product's secret gets what it logs in
//! with from then on. Such a connection never becomes a session.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use mqtt::{Connect, Packet, QoS, frame_len};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use wire::credentials::{AuthType, ClientId, SignMethod, Username};
use wire::json::RawStr;
use wire::message;

use crate::connect::username;
use crate::counters::count;
use crate::origin::Origin;
use crate::outbox::Outbox;
use crate::serve::{Channel, Door};
use crate::socket::turn;
use crate::terms::Terms;
use crate::turned::Why;
use crate::{Granted, Platform, Registration, RegistrationRefusal, unkept};

/// How long a device has to read what it got; then its connection is closed.
const LINGER: Duration = Duration::from_secs(15);

/// Longest packet that is taken meanwhile, in bytes.
const MAX_PACKET: usize = 1024;

/// Bytes of unread answers at which reading stops.
const MAX_UNREAD: usize = 1024;

impl<P: Platform> Door<P> {
    /// Asks the platform for what a device wants, unless it may not ask here, or asks too often: from the eleventh
    /// time within a few minutes on it waits. Of those refused, the address counts as with unknown devices.
    pub(crate) async fn register(
        &self,
        registration: &Registration<'_>,
        peer: SocketAddr,
        channel: Channel,
        gone: impl Future<Output = ()>,
    ) -> Result<Granted, Why> {
        if !self.is_private(channel) {
            return Err(Why::RegistrationInClear);
        }
        let origin = Origin::of(peer.ip());
        let key = self.throttle.registration(origin, registration.product_key, registration.device_name);
        let turn = self.throttle.failed_in_turn(key, Instant::now()).ok_or(Why::ThrottleFull)?;
        let mut gone = std::pin::pin!(gone);
        self.delay(turn, origin, gone.as_mut()).await?;
        let asked = self.platform.register(registration);
        let refusal = match self.in_time(asked, RegistrationRefusal::Unavailable).await {
            Ok(granted) => return Ok(granted),
            Err(refusal) => refusal,
        };
        if refusal != RegistrationRefusal::Unavailable {
            let delay = self.throttle.failed(self.throttle.unknown(origin), Instant::now());
            self.delay(delay, origin, gone).await?;
        }
        Err(Why::Registration(refusal))
    }

    /// Whether secrets may be sent there.
    pub(crate) fn is_private(&self, channel: Channel) -> bool {
        channel != Channel::Clear || self.config.register_in_clear
    }
}

impl<'p> Registration<'p> {
    /// The registration that a CONNECT asks for, if it does.
    pub(crate) fn wanted(
        connect: &Connect<'p>,
        client_id: &ClientId<'p>,
        sign_method: SignMethod,
    ) -> Result<Option<Self>, Why> {
        let token_for = match client_id.auth_type().and_then(AuthType::parse) {
            Some(AuthType::Register) => None,
            Some(AuthType::Regnwl) => Some(client_id.id()),
            _ => return Ok(None),
        };
        let Username { device_name, product_key } = username(connect)?;
        Ok(Some(Self {
            product_key,
            device_name,
            random: client_id.random().ok_or(Why::NoRandom)?,
            sign_method,
            signature: connect.password.unwrap_or_default(),
            client_id: token_for,
        }))
    }

    /// What the device is told.
    pub(crate) fn registered<'a>(&'a self, granted: &'a Granted) -> Result<message::Registered<'a>, Why> {
        let text = |text| RawStr::plain(text).ok_or(Why::Unsendable);
        let grant = match self.client_id {
            None => message::Grant::Secret(text(&granted.0)?),
            Some(client_id) => {
                message::Grant::Token { client_id: text(client_id)?, token: text(&granted.0)? }
            }
        };
        message::Registered::new(self.product_key, self.device_name, grant).map_err(|_| Why::Unsendable)
    }
}

/// What a device got over MQTT, and the connection's terms.
pub(crate) struct Registered {
    terms: Terms,
    topic: &'static str,
    payload: String,
}

impl Registered {
    pub(crate) fn new(terms: Terms, registration: &Registration<'_>, granted: &Granted) -> Result<Self, Why> {
        let message = registration.registered(granted)?;
        Ok(Self { terms, topic: message.topic(), payload: unkept::text(&message) })
    }

    /// Sends CONNACK and the message, and lets the device read them.
    pub(crate) async fn hand_over<P, S>(self, door: &Door<P>, stream: S, input: BytesMut)
    where
        P: Platform,
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut out = Outbox::new(self.terms);
        self.terms.accept(door.config.max_packet, |connack| {
            out.packet(connack);
        });
        if out.publish(self.topic, QoS::AtMostOnce, self.payload.as_bytes()) {
            count(&door.counters.registrations);
        } else {
            count(&door.counters.oversize_downlink);
        }
        // Whatever ends it, there is nothing more to do for the device here.
        let _ = timeout(LINGER, linger(stream, out, input, self.terms)).await;
    }
}

/// Writes what waits and answers pings until the device goes.
async fn linger<S>(mut stream: S, mut out: Outbox, mut input: BytesMut, terms: Terms) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let reading = out.packet_bytes() < MAX_UNREAD;
        if turn(&mut stream, &mut out, &mut input, reading).await?.end {
            return Ok(());
        }
        while let Some(length) = frame_len(&input, MAX_PACKET).map_err(std::io::Error::other)? {
            if length > input.len() {
                break;
            }
            match Packet::parse(&input.split_to(length), terms.version) {
                Ok(Packet::PingReq) => drop(out.packet(&Packet::PingResp)),
                // What has come early does not cut off what it got.
                Ok(Packet::Disconnect { .. }) if out.is_empty() => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(std::io::Error::other(error)),
            }
        }
    }
}
