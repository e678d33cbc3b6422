//! From the first byte of an MQTT connection to its session, or to a CONNACK that says why not
//! (docs/protocol.md 2.5).

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use mqtt::{Connect, Error, Packet, Properties, Version, frame_len};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use wire::credentials::{ClientId, Username};

use crate::counters::count;
use crate::origin::Origin;
use crate::parting;
use crate::registration::Registered;
use crate::serve::{self, Channel, Door};
use crate::session::Driver;
use crate::sessions::{Entered, Mailbox, NoSeat};
use crate::terms::Terms;
use crate::turned::{Refused, Turned, Who, Why};
use crate::{
    Admitted, Bearer, Closed, Fingerprint, Login, Platform, Refusal, Registration, Session, Sessions,
};

/// Longest CONNECT in bytes that is read without asking; only a will can make it longer.
const USUAL_CONNECT: usize = 16 * 1024;

/// Longest CONNECT in bytes: the message of a will may be as long as MQTT allows.
const MAX_CONNECT: usize = USUAL_CONNECT + 64 * 1024;

/// Reads from a connection whose refusal is held back; who sends more is not heard until then.
const MAX_READS: usize = 64;

/// How long the platform may think about a login; a device waits about as long for its CONNACK.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a newer session lets the older one of its device end. Only a platform that cannot write
/// needs as long.
const SUCCESSION: Duration = Duration::from_secs(2);

/// What a CONNECT has come to.
enum Entry {
    Session(Welcome),
    Registered(Registered),
}

/// A CONNECT that was let in.
struct Welcome {
    terms: Terms,
    session: Arc<Session>,
    /// It did not say who it is, and is told.
    is_nameless: bool,
}

/// Serves an MQTT connection until it ends; the CONNECT must be whole by `deadline`.
pub(crate) async fn mqtt<P, S>(
    door: Arc<Door<P>>,
    mut stream: S,
    peer: SocketAddr,
    channel: Channel,
    deadline: Instant,
) where
    P: Platform,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = BytesMut::new();
    let entry = match read_connect(&door, &mut stream, &mut input, deadline).await {
        Ok((length, _place)) => {
            let packet = input.split_to(length);
            // On the heap, so that the session after it does not keep the room a platform needs for it.
            let login = Box::pin(door.login(&packet, peer, channel, &mut stream)).await;
            login.map_err(|turned| door.turn_away(peer, &turned))
        }
        Err(why) => Err(door.turn_stranger_away(peer, Connect::version_of(&input), why)),
    };
    match entry {
        Ok(Entry::Session(welcome)) => begin(&door, stream, input, welcome).await,
        Ok(Entry::Registered(registered)) => Box::pin(registered.hand_over(&door, stream, input)).await,
        Err(Some(refused)) => refuse(stream, refused).await,
        Err(None) => {}
    }
}

/// Reads until `input` begins with a whole CONNECT. Gives its length and, if it is a long one, its place
/// among those.
async fn read_connect<'d, P, S: AsyncRead + Unpin>(
    door: &'d Door<P>,
    stream: &mut S,
    input: &mut BytesMut,
    deadline: Instant,
) -> Result<(usize, Option<SemaphorePermit<'d>>), Why> {
    let late = |_| Why::Late(door.config.connect_timeout);
    let mut place = None;
    loop {
        if input.first().is_some_and(|first| *first != serve::CONNECT) {
            return Err(Why::NoConnect);
        }
        match frame_len(input, MAX_CONNECT).map_err(Why::Packet)? {
            Some(length) if length <= input.len() => return Ok((length, place)),
            Some(length) if length > USUAL_CONNECT && place.is_none() => {
                place = timeout_at(deadline, door.long_connects.acquire()).await.map_err(late)?.ok();
            }
            _ => {}
        }
        match timeout_at(deadline, stream.read_buf(input)).await.map_err(late)? {
            Ok(1..) => {}
            _ => return Err(Why::BrokeOff),
        }
    }
}

/// Waits for the end of a connection that is to be refused. What else comes is thrown away, as far as it
/// is little.
pub(crate) async fn ended<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut bytes = [0; 256];
    for _ in 0..MAX_READS {
        if !matches!(stream.read(&mut bytes).await, Ok(1..)) {
            return;
        }
    }
    pending().await
}

impl<P: Platform> Door<P> {
    async fn login<'p, S: AsyncRead + Unpin>(
        &self,
        packet: &'p [u8],
        peer: SocketAddr,
        channel: Channel,
        stream: &mut S,
    ) -> Result<Entry, Turned<'p>> {
        let who = Who { version: Connect::version_of(packet), ..Who::default() };
        let connect = parse(packet).map_err(|why| Turned { why, who })?;
        let who = who.named(connect.username);
        self.admit(&connect, peer, channel, stream).await.map_err(|why| Turned { why, who })
    }

    async fn admit<S: AsyncRead + Unpin>(
        &self,
        connect: &Connect<'_>,
        peer: SocketAddr,
        channel: Channel,
        stream: &mut S,
    ) -> Result<Entry, Why> {
        let terms = Terms::of(connect)?;
        let client_id = ClientId::parse(connect.client_id).map_err(Why::ClientId)?;
        let sign_method = client_id.sign_method().map_err(|_| Why::sign_method(&client_id))?;
        if let Some(registration) = Registration::wanted(connect, &client_id, sign_method)? {
            let granted = self.register(&registration, peer, channel, ended(stream)).await?;
            return Registered::new(terms, &registration, &granted).map(Entry::Registered);
        }
        if connect.password.unwrap_or_default().is_empty() {
            match channel {
                Channel::Tls(Some(certificate)) => {
                    let welcome = self.admit_bearer(connect, terms, &certificate, peer, stream).await?;
                    return Ok(Entry::Session(welcome));
                }
                _ if connect.username.unwrap_or_default().is_empty() => return Err(Why::Nameless),
                _ => {}
            }
        }
        let username = username(connect)?;
        let login = Login {
            product_key: username.product_key,
            device_name: username.device_name,
            client_id: &client_id,
            password: connect.password.unwrap_or_default(),
            peer,
        };
        let refusal = match self.patient_check(&login, stream).await? {
            Ok(admitted) => {
                let session = session(connect, username, peer, admitted, self.is_private(channel));
                return Ok(Entry::Session(Welcome { terms, session, is_nameless: false }));
            }
            Err(refusal) => refusal,
        };
        Err(Why::platform(refusal, &client_id, login.password))
    }

    /// Lets a device in by its certificate (docs/protocol.md 2.6); it may leave out who it is.
    async fn admit_bearer<S: AsyncRead + Unpin>(
        &self,
        connect: &Connect<'_>,
        terms: Terms,
        certificate: &Fingerprint,
        peer: SocketAddr,
        stream: &mut S,
    ) -> Result<Welcome, Why> {
        let named = connect.username.filter(|name| !name.is_empty());
        let named = named.map(Username::parse).transpose().map_err(Why::Username)?;
        match self.find_bearer(certificate, named).await {
            Ok(Bearer { admitted, product_key, device_name }) => {
                let user = Username { product_key: &product_key, device_name: &device_name };
                let session = session(connect, user, peer, admitted, true);
                Ok(Welcome { terms, session, is_nameless: named.is_none() })
            }
            Err(refusal) => {
                let origin = Origin::of(peer.ip());
                let wait = self.wait_of(origin, named, refusal)?;
                self.delay(wait, origin, ended(stream)).await?;
                Err(Why::Certificate(refusal))
            }
        }
    }

    async fn find_bearer(
        &self,
        certificate: &Fingerprint,
        named: Option<Username<'_>>,
    ) -> Result<Bearer, Refusal> {
        let bearer = self.in_time(self.platform.bearer(certificate), Refusal::Unavailable).await?;
        let is_it = |user: Username<'_>| {
            *bearer.product_key == *user.product_key && *bearer.device_name == *user.device_name
        };
        if named.is_none_or(is_it) { Ok(bearer) } else { Err(Refusal::BadPassword) }
    }

    /// Checks a login. After many failed ones a refusal waits; the right password opens at once, whatever
    /// went before it.
    async fn patient_check<S: AsyncRead + Unpin>(
        &self,
        login: &Login<'_>,
        stream: &mut S,
    ) -> Result<Result<Admitted, Refusal>, Why> {
        let verdict = self.in_time(self.platform.authenticate(login), Refusal::Unavailable).await;
        let origin = Origin::of(login.peer.ip());
        let user = Username { device_name: login.device_name, product_key: login.product_key };
        match verdict {
            Ok(_) => self.throttle.forget(self.throttle.device(origin, user)),
            Err(refusal) => {
                let wait = self.wait_of(origin, Some(user), refusal)?;
                self.delay(wait, origin, ended(stream)).await?;
            }
        }
        Ok(verdict)
    }

    /// How long a refusal waits, now that it is held against the device, if that is known, and its origin.
    pub(crate) fn wait_of(
        &self,
        origin: Origin,
        user: Option<Username<'_>>,
        refusal: Refusal,
    ) -> Result<Duration, Why> {
        let now = Instant::now();
        let in_turn = || match user {
            Some(user) => {
                let device = self.throttle.device(origin, user);
                self.throttle.failed_in_turn(device, now).ok_or(Why::ThrottleFull)
            }
            None => Ok(Duration::ZERO),
        };
        match refusal {
            Refusal::BadPassword => in_turn(),
            Refusal::NotAuthorised => {
                let of_all = self.throttle.failed(self.throttle.unknown(origin), now);
                Ok(in_turn()?.max(of_all))
            }
            Refusal::Malformed | Refusal::Unavailable => Ok(Duration::ZERO),
        }
    }

    /// Holds a refusal back, unless the peer has `gone` first. A connection that waits holds its place and no
    /// more, and few may do so at once.
    pub(crate) async fn delay(
        &self,
        delay: Duration,
        origin: Origin,
        gone: impl Future<Output = ()>,
    ) -> Result<(), Why> {
        if delay.is_zero() {
            return Ok(());
        }
        let few = self.config.max_delayed();
        let _place = self.delayed.try_acquire().map_err(|_| Why::ThrottleFull)?;
        let _share = self.delayed_of.take(origin, few.per_origin).ok_or(Why::ThrottleFull)?;
        count(&self.counters.throttled);
        match timeout(delay, gone).await {
            Ok(()) => Err(Why::ThrottleLeft),
            Err(_) => Ok(()),
        }
    }

    /// Asks the platform about a login, a bounded number of times at once.
    pub(crate) async fn in_turn<T>(&self, asked: impl Future<Output = T>) -> T {
        let _turn = self.logins.acquire().await;
        asked.await
    }

    /// The same; who would wait too long is refused as `late`.
    pub(crate) async fn in_time<T, E>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
        late: E,
    ) -> Result<T, E> {
        timeout(LOGIN_TIMEOUT, self.in_turn(asked)).await.unwrap_or(Err(late))
    }
}

fn parse(packet: &[u8]) -> Result<Connect<'_>, Why> {
    match Packet::parse(packet, Version::default()) {
        Ok(Packet::Connect(connect)) => Ok(connect),
        Ok(_) => Err(Why::NoConnect),
        Err(error @ (Error::UnsupportedVersion(_) | Error::VersionName(_))) => Err(Why::Version(error)),
        Err(error) => Err(Why::Packet(error)),
    }
}

/// Who a CONNECT says it is.
pub(crate) fn username<'p>(connect: &Connect<'p>) -> Result<Username<'p>, Why> {
    Username::parse(connect.username.ok_or(Why::NoUsername)?).map_err(Why::Username)
}

fn session(
    connect: &Connect<'_>,
    Username { product_key, device_name }: Username<'_>,
    peer: SocketAddr,
    admitted: Admitted,
    is_private: bool,
) -> Arc<Session> {
    Arc::new(Session {
        device: admitted.device,
        epoch: admitted.epoch,
        product_key: product_key.into(),
        device_name: device_name.into(),
        gateway: None,
        client_id: connect.client_id.into(),
        keep_alive: connect.keep_alive,
        peer,
        is_private,
    })
}

/// A session's place in the registry, and the platform's knowledge of it. Both end with it, whatever
/// ends the task.
struct Seat<P: Platform> {
    platform: Arc<P>,
    sessions: Sessions,
    session: Arc<Session>,
    why: Closed,
    /// Dropped last: a newer session may wait for it.
    mailbox: Arc<Mailbox>,
}

impl<P: Platform> Seat<P> {
    /// The session is over. After a take-over the platform hears of the newer one first, so that it can
    /// tell the one from a device that left and came back.
    fn close(mut self, why: Closed) {
        self.why = why;
        if why == Closed::TakenOver {
            let mailbox = self.mailbox.clone();
            mailbox.leave(Box::new(self));
        }
    }
}

impl<P: Platform> Drop for Seat<P> {
    fn drop(&mut self) {
        self.sessions.leave(self.session.device, self.session.epoch);
        note!(self.session, epoch = self.session.epoch, why = ?self.why, "a session ended");
        self.platform.disconnected(&self.session, self.why);
    }
}

async fn begin<P, S>(door: &Door<P>, stream: S, input: BytesMut, welcome: Welcome)
where
    P: Platform,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Welcome { terms, session, is_nameless } = welcome;
    let mailbox = Arc::new(Mailbox::new(door.config.queue_bytes));
    let mut ousted = None;
    let older = match door.sessions.enter(&session, &mailbox) {
        Ok(Entered::Alone) => None,
        Ok(Entered::CameAway) => {
            count(&door.counters.take_over);
            None
        }
        Ok(Entered::TookOver(older, legacy)) => {
            count(&door.counters.take_over);
            ousted = Some(older).filter(|older| !older.has_client_of(&session));
            Some(legacy)
        }
        Ok(Entered::Followed(older)) => Some(older),
        Err(no_seat) => {
            let why = match no_seat {
                NoSeat::Outrun => Why::Outrun,
                NoSeat::Closed => Why::Stopping,
            };
            let (product_key, device_name) = (Some(&*session.product_key), Some(&*session.device_name));
            let who = Who { version: Some(terms.version), product_key, device_name };
            door.turn_away(session.peer, &Turned { why, who });
            return;
        }
    };
    let (platform, sessions) = (door.platform.clone(), door.sessions.clone());
    let seat = Seat { platform, sessions, session, why: Closed::Lost, mailbox };
    let legacy = match older {
        Some(older) => timeout(SUCCESSION, older).await.ok().and_then(Result::ok),
        None => None,
    };
    count(&door.counters.sessions);
    note!(seat.session, peer = %seat.session.peer, epoch = seat.session.epoch, "a session began");
    if let Some(older) = ousted {
        seat.platform.ousted(&older);
    }
    seat.platform.connected(&seat.session);
    drop(legacy);
    let driver = Driver {
        platform: door.platform.clone(),
        sessions: door.sessions.clone(),
        session: seat.session.clone(),
        counters: door.counters.clone(),
        mailbox: seat.mailbox.clone(),
        config: door.config.clone(),
        terms,
        is_nameless,
        stream,
        input,
    };
    driver.run(|why| seat.close(why)).await;
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, Refused { version, code }: Refused) {
    let connack = Packet::ConnAck { session_present: false, code, properties: Properties::NONE };
    let mut bytes = [0; 5];
    // Neither form is longer than five bytes.
    if let Ok(length) = connack.emit(version, &mut bytes) {
        parting::answer(stream, &bytes[..length]).await;
    }
}
