//! The listeners: accepts, and tells by the first byte what comes.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, unconstrained, yield_now};
use tokio::time::{Instant, sleep, timeout_at};

use crate::log::Log;
use crate::origin::{Origin, Place, Places};
use crate::proxy::{self, Header};
use crate::throttle::Throttle;
use crate::tls::{self, Tls, TlsStream, Turns};
use crate::turned::Why;
use crate::{Config, Counters, Fingerprint, Platform, Sessions, connect, counters, http, tcp};

/// How long to wait after the system refused a connection, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// First byte of every CONNECT.
pub(crate) const CONNECT: u8 = 0x10;

/// Most connections that wait for a delayed refusal.
const MAX_DELAYED: usize = 4096;

/// CONNECTs with a long will that are read, or checked, at the same time: nobody is known before its
/// CONNECT is read, so all that is kept until then is bounded.
pub(crate) const MAX_LONG_CONNECTS: usize = 256;

/// What every connection shares, whichever listener it came by.
pub(crate) struct Door<P> {
    pub(crate) platform: Arc<P>,
    pub(crate) sessions: Sessions,
    pub(crate) config: Arc<Config>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Log,
    pub(crate) throttle: Throttle,
    /// Places to wait in for a delayed refusal.
    pub(crate) delayed: Semaphore,
    pub(crate) delayed_of: Places,
    /// Turns at asking the platform about a login.
    pub(crate) logins: Semaphore,
    pub(crate) long_connects: Semaphore,
    pub(crate) tls: Tls,
    /// Turns at the sums of TLS handshakes.
    pub(crate) turns: Turns,
    connections_of: Places,
}

impl<P> Door<P> {
    pub(crate) fn new(
        platform: Arc<P>,
        sessions: Sessions,
        config: Config,
        counters: Arc<Counters>,
        log: Log,
        tls: Tls,
    ) -> Self {
        Self {
            platform,
            sessions,
            counters,
            log,
            throttle: Throttle::new(),
            delayed: Semaphore::new(config.max_delayed().all),
            delayed_of: Places::default(),
            logins: Semaphore::new(config.max_logins),
            long_connects: Semaphore::new(MAX_LONG_CONNECTS),
            tls,
            turns: Turns::new(&config),
            connections_of: Places::default(),
            config: Arc::new(config),
        }
    }
}

/// Whether others can read what passes through a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// They can.
    Clear,
    /// They cannot. With the certificate of a trusted CA that the device has shown, if it has.
    Tls(Option<Fingerprint>),
}

/// How many connections may wait for a delayed refusal.
pub(crate) struct MaxDelayed {
    pub(crate) all: usize,
    pub(crate) per_origin: usize,
}

impl Config {
    /// A small part of all connections, so that those who fail do not take the others' places.
    pub(crate) fn max_delayed(&self) -> MaxDelayed {
        let all = (self.max_connections / 8).clamp(1, MAX_DELAYED);
        MaxDelayed { all, per_origin: all.div_ceil(4) }
    }
}

/// Connections that the system may hold until they are accepted; it takes fewer if it allows fewer
/// (`net.core.somaxconn`). Those beyond are told that they are connected, and then reset.
const BACKLOG: u32 = 65_535;

/// Connections accepted before others get a turn: after a restart a fleet must not fill the system's
/// queue while those who are in it already are served.
const BURST: usize = 1024;

/// Listens so that a fleet may come back at once.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves devices on these listeners until the future is dropped, which closes all their connections.
/// The limits hold for all listeners together.
pub async fn serve<P: Platform>(
    listeners: Vec<TcpListener>,
    platform: Arc<P>,
    sessions: Sessions,
    config: Config,
    counters: Arc<Counters>,
    tls: Tls,
) {
    let log = Log::of_process();
    open(&listeners, Arc::new(Door::new(platform, sessions, config, counters, log, tls))).await;
}

/// [`serve`] with the log given.
pub(crate) async fn open<P: Platform>(listeners: &[TcpListener], door: Arc<Door<P>>) {
    unconstrained(accept_all(listeners, door)).await;
}

async fn accept_all<P: Platform>(listeners: &[TcpListener], door: Arc<Door<P>>) {
    let places = Arc::new(Semaphore::new(door.config.max_connections));
    let mut connections = JoinSet::new();
    for count in 1_usize.. {
        if count.is_multiple_of(BURST) {
            yield_now().await;
        }
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, accept(listeners, count).await)
        };
        let (place, (stream, peer)) = tokio::select! {
            accepted = accepted => accepted,
            // What is left of a connection that has ended is freed.
            Some(_) = connections.join_next() => continue,
        };
        counters::count(&door.counters.connections);
        let door = door.clone();
        connections.spawn(async move {
            connection(door, stream, peer).await;
            drop(place);
        });
    }
}

/// A connection of any listener. They are asked in another order each time, lest one that is flooded
/// keeps the others waiting.
async fn accept(listeners: &[TcpListener], first: usize) -> (TcpStream, SocketAddr) {
    let of_any = || {
        poll_fn(|cx| {
            let from_first = listeners.iter().cycle().skip(first % listeners.len().max(1));
            let mut asked = from_first.take(listeners.len()).map(|listener| listener.poll_accept(cx));
            asked.find(Poll::is_ready).unwrap_or(Poll::Pending)
        })
    };
    loop {
        match of_any().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<P: Platform>(door: Arc<Door<P>>, mut stream: TcpStream, peer: SocketAddr) {
    let deadline = Instant::now() + door.config.connect_timeout;
    tcp::tune(&stream, &door.config);
    let Some(peer) = true_peer(&door, &mut stream, peer, deadline).await else { return };
    let _place = match place(&door, peer) {
        Ok(place) => place,
        Err(why) => return turn_away(&door, peer, why),
    };
    // Each on the heap, so that a connection takes no more room than what it turns out to be.
    match first_byte(&door, &mut stream, peer, deadline).await {
        Some(tls::HANDSHAKE) => {
            let Some(mut stream) = Box::pin(door.shake_hands(stream, peer, deadline)).await else { return };
            if let Some(first) = first_byte(&door, &mut stream, peer, deadline).await {
                let channel = Channel::Tls(stream.certificate());
                Box::pin(speak(door, stream, first, peer, channel, deadline)).await;
            }
        }
        Some(first) => Box::pin(speak(door, stream, first, peer, Channel::Clear, deadline)).await,
        None => {}
    }
}

/// Serves what a connection begins with: its first byte tells.
async fn speak<P: Platform, S: Transport>(
    door: Arc<Door<P>>,
    stream: S,
    first: u8,
    peer: SocketAddr,
    channel: Channel,
    deadline: Instant,
) {
    match first {
        CONNECT => connect::mqtt(door, stream, peer, channel, deadline).await,
        letter if letter.is_ascii_alphabetic() => {
            let upgraded = Box::pin(http::serve(&door, stream, peer, channel, deadline)).await;
            if let Some((stream, deadline)) = upgraded {
                Box::pin(connect::mqtt(door, stream, peer, channel, deadline)).await;
            }
        }
        other => turn_away(&door, peer, Why::FirstByte(other)),
    }
}

/// What the protocols of devices travel over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The first byte of what comes, left in its place.
    fn first_byte(&mut self) -> impl Future<Output = io::Result<u8>> + Send;

    /// The socket, if bytes go through it as they are written here.
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl Transport for TcpStream {
    async fn first_byte(&mut self) -> io::Result<u8> {
        let mut first = [0];
        match self.peek(&mut first).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(first[0]),
        }
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for Box<TlsStream<S>> {
    async fn first_byte(&mut self) -> io::Result<u8> {
        self.peek().await
    }
}

/// `None`: the connection has ended, as port checks do without a word, or was turned away.
async fn first_byte<P: Platform>(
    door: &Door<P>,
    stream: &mut impl Transport,
    peer: SocketAddr,
    deadline: Instant,
) -> Option<u8> {
    match timeout_at(deadline, stream.first_byte()).await {
        Ok(first) => first.ok(),
        Err(_) => {
            turn_away(door, peer, Why::Late(door.config.connect_timeout));
            None
        }
    }
}

/// Where a connection comes from: of a balancer's, what its header says. `None`: it has ended, or was
/// turned away.
async fn true_peer<P: Platform>(
    door: &Door<P>,
    stream: &mut TcpStream,
    peer: SocketAddr,
    deadline: Instant,
) -> Option<SocketAddr> {
    if !door.config.balancers.iter().any(|balancers| balancers.contains(peer.ip())) {
        return Some(peer);
    }
    match timeout_at(deadline, proxy_header(stream)).await {
        Ok(Ok(source)) => return Some(source.unwrap_or(peer)),
        Ok(Err(Some(why))) => turn_away(door, peer, why),
        Ok(Err(None)) => {}
        Err(_) => turn_away(door, peer, Why::ProxyLate(door.config.connect_timeout)),
    }
    None
}

/// Takes a PROXY header, and not a byte more, from a connection. Without a reason: it was closed
/// without a word.
async fn proxy_header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Option<Why>> {
    let mut bytes = Vec::new();
    loop {
        let needed = match proxy::parse(&bytes).map_err(Why::Proxy)? {
            Header::Whole { source, .. } => return Ok(source),
            Header::Incomplete(needed) => needed,
        };
        let had = bytes.len();
        bytes.resize(needed, 0);
        match stream.read(&mut bytes[had..]).await {
            Ok(count @ 1..) => bytes.truncate(had + count),
            _ if had == 0 => return Err(None),
            _ => return Err(Some(Why::ProxyBrokeOff)),
        }
    }
}

/// The connection's place among those of its address, if these are limited.
fn place<P>(door: &Door<P>, peer: SocketAddr) -> Result<Option<Place>, Why> {
    let Some(limit) = door.config.max_connections_per_address else { return Ok(None) };
    let place = door.connections_of.take(Origin::of(peer.ip()), limit);
    place.map(Some).ok_or(Why::AddressFull(limit))
}

/// Without a CONNECT there is no CONNACK.
fn turn_away<P: Platform>(door: &Door<P>, peer: SocketAddr, why: Why) {
    door.turn_stranger_away(peer, None, why);
}
