//! From the first byte of an MQTT connection to its session, or to a CONNACK that says why not
//! (docs/protocol.md 2.5).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::BytesMut;
use mqtt::{Connect, Error, Packet, Version, connack, frame_len};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use wire::credentials::{ClientId, Username};

use crate::counters::count;
use crate::serve::Door;
use crate::session::Driver;
use crate::sessions::{Entered, Mailbox};
use crate::{Admitted, Closed, Login, Platform, Refusal, Session, Sessions};

/// Longest CONNECT in bytes; only a will can make it that long.
const MAX_CONNECT: usize = 16 * 1024;

/// How long the platform may think about a login; a device waits about as long for its CONNACK.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a refused device may take to read why.
const LINGER: Duration = Duration::from_secs(2);

/// A connection that does not become a session.
struct Turned<'c> {
    /// Counts the reason.
    counter: &'c AtomicU64,
    /// The CONNACK to send before closing, if any.
    code: Option<u8>,
}

/// A CONNECT that was let in.
struct Welcome {
    version: Version,
    session: Arc<Session>,
}

/// Serves an MQTT connection until it ends; the CONNECT must be whole by `deadline`.
pub(crate) async fn mqtt<P, S>(door: Arc<Door<P>>, mut stream: S, peer: SocketAddr, deadline: Instant)
where
    P: Platform,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = BytesMut::new();
    let welcome = match read_connect(&door, &mut stream, &mut input, deadline).await {
        Ok(length) => {
            let packet = input.split_to(length);
            door.login(&packet, peer).await
        }
        Err(turned) => Err(turned),
    };
    match welcome {
        Ok(welcome) => begin(&door, stream, input, welcome).await,
        Err(Turned { counter, code }) => {
            count(counter);
            if let Some(code) = code {
                refuse(stream, code).await;
            }
        }
    }
}

/// Reads until `input` begins with a whole CONNECT and gives its length.
async fn read_connect<'d, P, S: AsyncRead + Unpin>(
    door: &'d Door<P>,
    stream: &mut S,
    input: &mut BytesMut,
    deadline: Instant,
) -> Result<usize, Turned<'d>> {
    let counters = &door.counters;
    loop {
        match frame_len(input, MAX_CONNECT) {
            Ok(Some(length)) if length <= input.len() => return Ok(length),
            Ok(_) => {}
            Err(Error::TooLarge { .. }) => return Err(Turned { counter: &counters.too_large, code: None }),
            Err(_) => return Err(Turned { counter: &counters.malformed_connect, code: None }),
        }
        match timeout_at(deadline, stream.read_buf(input)).await {
            Ok(Ok(1..)) => {}
            Ok(_) => return Err(Turned { counter: &counters.malformed_connect, code: None }),
            Err(_) => return Err(Turned { counter: &counters.connect_timeout, code: None }),
        }
    }
}

impl<P: Platform> Door<P> {
    async fn login(&self, packet: &[u8], peer: SocketAddr) -> Result<Welcome, Turned<'_>> {
        let malformed = |code| Turned { counter: &self.counters.malformed_connect, code };
        let connect = match Packet::parse(packet, Version::default()) {
            Ok(Packet::Connect(connect)) => connect,
            Err(Error::UnsupportedVersion(_)) => {
                return Err(Turned { counter: &self.counters.bad_version, code: Some(connack::BAD_VERSION) });
            }
            _ => return Err(malformed(None)),
        };
        let client_id =
            ClientId::parse(connect.client_id).map_err(|_| malformed(Some(connack::BAD_CLIENT_ID)))?;
        client_id.sign_method().map_err(|_| malformed(Some(connack::BAD_CLIENT_ID)))?;
        let username = connect.username.and_then(|username| Username::parse(username).ok());
        let username = username.ok_or_else(|| malformed(Some(connack::BAD_LOGIN)))?;
        let login = Login {
            product_key: username.product_key,
            device_name: username.device_name,
            client_id: &client_id,
            password: connect.password.unwrap_or_default(),
            peer,
        };
        let verdict = timeout(LOGIN_TIMEOUT, self.platform.authenticate(&login)).await;
        match verdict.unwrap_or(Err(Refusal::Unavailable)) {
            Ok(admitted) => Ok(welcome(&connect, &login, admitted)),
            Err(refusal) => Err(self.turned(refusal)),
        }
    }

    fn turned(&self, refusal: Refusal) -> Turned<'_> {
        let (counter, code) = match refusal {
            Refusal::Malformed => (&self.counters.malformed_connect, Some(connack::BAD_CLIENT_ID)),
            Refusal::BadPassword => (&self.counters.bad_password, Some(connack::BAD_LOGIN)),
            Refusal::NotAuthorised => (&self.counters.unknown_device, Some(connack::NOT_AUTHORISED)),
            Refusal::Unavailable => (&self.counters.connect_unavailable, None),
        };
        Turned { counter, code }
    }
}

fn welcome(connect: &Connect<'_>, login: &Login<'_>, admitted: Admitted) -> Welcome {
    let session = Session {
        device: admitted.device,
        epoch: admitted.epoch,
        product_key: login.product_key.into(),
        device_name: login.device_name.into(),
        client_id: connect.client_id.into(),
        keep_alive: connect.keep_alive,
        peer: login.peer,
    };
    Welcome { version: connect.version, session: Arc::new(session) }
}

/// A session's place in the registry, and the platform's knowledge of it. Both end with it, whatever
/// ends the task.
struct Seat<P: Platform> {
    platform: Arc<P>,
    sessions: Sessions,
    session: Arc<Session>,
    why: Closed,
}

impl<P: Platform> Seat<P> {
    fn leave(&self) {
        self.sessions.leave(self.session.device, self.session.epoch);
    }
}

impl<P: Platform> Drop for Seat<P> {
    fn drop(&mut self) {
        self.leave();
        self.platform.disconnected(&self.session, self.why);
    }
}

async fn begin<P, S>(door: &Door<P>, stream: S, input: BytesMut, welcome: Welcome)
where
    P: Platform,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Welcome { version, session } = welcome;
    let mailbox = Arc::new(Mailbox::new(door.config.queue_bytes));
    match door.sessions.enter(session.device, session.epoch, &mailbox) {
        Ok(Entered::Alone) => {}
        Ok(Entered::TookOver) => count(&door.counters.take_over),
        // A newer connection of the device was admitted meanwhile: this one is the older.
        Err(_) => return count(&door.counters.take_over),
    }
    count(&door.counters.sessions);
    let platform = door.platform.clone();
    let mut seat = Seat { platform, sessions: door.sessions.clone(), session, why: Closed::Lost };
    seat.platform.connected(&seat.session);
    let driver = Driver {
        platform: door.platform.clone(),
        session: seat.session.clone(),
        counters: door.counters.clone(),
        mailbox,
        config: door.config,
        version,
        stream,
        input,
    };
    driver
        .run(|why| {
            seat.why = why;
            seat.leave();
        })
        .await;
}

/// Sends a CONNACK and lets the device read it: closing while bytes of it are unread would make the
/// kernel throw the answer away.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, code: u8) {
    let connack = [0x20, 2, 0, code];
    let _ = timeout(LINGER, async {
        stream.write_all(&connack).await?;
        stream.shutdown().await?;
        let mut unread = [0; 256];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
