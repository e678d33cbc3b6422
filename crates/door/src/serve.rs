//! The listener: accepts, and tells by the first byte what comes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::counters::count;
use crate::log::Log;
use crate::turned::Why;
use crate::{Config, Counters, Platform, Sessions, connect, http};

/// How long to wait after the system refused a connection, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// First byte of every CONNECT.
const CONNECT: u8 = 0x10;

/// What every connection shares.
pub(crate) struct Door<P> {
    pub(crate) platform: Arc<P>,
    pub(crate) sessions: Sessions,
    pub(crate) config: Config,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Log,
}

/// Serves devices on a listener until the future is dropped, which closes all its connections.
///
/// Several listeners may share `sessions` and `counters`.
pub async fn serve<P: Platform>(
    listener: TcpListener,
    platform: Arc<P>,
    sessions: Sessions,
    config: Config,
    counters: Arc<Counters>,
) {
    open(listener, Arc::new(Door { platform, sessions, config, counters, log: Log::of_process() })).await;
}

/// [`serve`] with the log given.
pub(crate) async fn open<P: Platform>(listener: TcpListener, door: Arc<Door<P>>) {
    let places = Arc::new(Semaphore::new(door.config.max_connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, accept(&listener).await)
        };
        let (place, (stream, peer)) = tokio::select! {
            accepted = accepted => accepted,
            // What is left of a connection that has ended is freed.
            Some(_) = connections.join_next() => continue,
        };
        count(&door.counters.connections);
        let door = door.clone();
        connections.spawn(async move {
            connection(door, stream, peer).await;
            drop(place);
        });
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<P: Platform>(door: Arc<Door<P>>, stream: TcpStream, peer: SocketAddr) {
    let deadline = Instant::now() + door.config.connect_timeout;
    // Answers are small and must not wait for each other; without it they only come later.
    let _ = stream.set_nodelay(true);
    match timeout_at(deadline, first_byte(&stream)).await {
        Ok(Ok(CONNECT)) => connect::mqtt(door, stream, peer, deadline).await,
        Ok(Ok(letter)) if letter.is_ascii_alphabetic() => Box::pin(http::serve(door, stream)).await,
        Ok(Ok(first)) => turn_away(&door, peer, Why::FirstByte(first)),
        // Closed without a word, as port checks do.
        Ok(Err(_)) => {}
        Err(_) => turn_away(&door, peer, Why::Late(door.config.connect_timeout)),
    }
}

/// Without a CONNECT there is no CONNACK.
fn turn_away<P: Platform>(door: &Door<P>, peer: SocketAddr, why: Why) {
    door.turn_stranger_away(peer, None, why);
}

async fn first_byte(stream: &TcpStream) -> io::Result<u8> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0]),
    }
}
