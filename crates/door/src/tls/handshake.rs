//! From the first byte of a TLS connection to what is said inside it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;

use bytes::BytesMut;
use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode, Ssl, SslStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use wire::credentials::PskIdentity;

use super::pipe::Pipe;
use super::psk::{self, Known, Slot};
use super::stream::{TlsStream, fill};
use crate::connect::ended;
use crate::counters::count;
use crate::origin::Origin;
use crate::parting;
use crate::serve::Door;
use crate::socket::drain;
use crate::turned::{Turned, Who, Why};
use crate::{Platform, Refusal};

/// Turns at the long sums of handshakes: as many as there are processors. They are done on threads of their
/// own, lest devices that are in wait for those that come.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Semaphore::new(processors)))
    }
}

/// A pre-shared key that was offered.
struct Offer {
    identity: String,
    /// Whether the platform knows its device.
    is_known: bool,
}

/// A handshake that failed.
struct Broken {
    why: Why,
    /// What OpenSSL has to say to the peer.
    alert: BytesMut,
}

impl From<Why> for Broken {
    fn from(why: Why) -> Self {
        Self { why, alert: BytesMut::new() }
    }
}

impl From<ErrorStack> for Broken {
    fn from(error: ErrorStack) -> Self {
        Why::tls(error.to_string(), true).into()
    }
}

impl<P: Platform> Door<P> {
    /// Shakes hands, which has to be done by `deadline`. `None`: the connection has ended, or was turned
    /// away.
    ///
    /// Nothing is made for a peer before its first message, and then no more than a session keeps.
    pub(crate) async fn shake_hands<S>(
        &self,
        mut stream: S,
        peer: SocketAddr,
        deadline: Instant,
    ) -> Option<Box<TlsStream<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut offer = None;
        let shaken = timeout_at(deadline, self.handshake(&mut stream, &mut offer)).await;
        match shaken.unwrap_or_else(|_| Err(Why::TlsLate(self.config.connect_timeout).into())) {
            Ok(ssl) => {
                count(&self.counters.tls_handshakes);
                if ssl.ssl().session_reused() {
                    count(&self.counters.tls_resumed);
                }
                // On the heap, for it is handed on from future to future, each of which keeps room for it.
                Some(Box::new(TlsStream::new(ssl, stream, self.config.tls_record)))
            }
            Err(broken) => {
                self.break_off(stream, peer, broken, offer.as_ref()).await;
                None
            }
        }
    }

    async fn handshake<S>(&self, stream: &mut S, offer: &mut Option<Offer>) -> Result<SslStream<Pipe>, Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut pipe = Pipe::default();
        read(stream, &mut pipe).await?;
        let mut ssl = Ssl::new(&self.tls.context())?;
        let key = psk::slot(&mut ssl)?;
        let mut ssl = SslStream::new(ssl, pipe)?;
        loop {
            if offer.is_none() {
                *offer = self.look_up(&ssl.get_ref().input, &key).await?;
            }
            let (went_on, done) = self.step(ssl).await?;
            ssl = went_on;
            match done {
                Ok(()) => {
                    write(stream, ssl.get_mut()).await?;
                    return Ok(ssl);
                }
                Err(error) if error.code() == ErrorCode::WANT_READ => {
                    write(stream, ssl.get_mut()).await?;
                    read(stream, ssl.get_mut()).await?;
                }
                Err(error) => {
                    let alert = std::mem::take(&mut ssl.get_mut().output);
                    return Err(Broken { why: self.why(&error, offer.as_ref()), alert });
                }
            }
        }
    }

    /// Has the pre-shared key at hand that OpenSSL is going to ask for.
    async fn look_up(&self, input: &[u8], slot: &Slot) -> Result<Option<Offer>, Broken> {
        let Some((text, identity)) = psk::offered(input) else { return Ok(None) };
        let is_known = match self.in_turn(self.platform.pre_shared_key(&identity)).await {
            Ok(key) => {
                // Empty before: one identity is looked up in a handshake.
                let _ = slot.set(Known { identity: text.to_owned(), key });
                true
            }
            Err(Refusal::Unavailable) => return Err(Why::Platform(Refusal::Unavailable).into()),
            Err(_) => false,
        };
        Ok(Some(Offer { identity: text.to_owned(), is_known }))
    }

    /// Goes on with a handshake as far as what has come allows.
    async fn step(
        &self,
        mut ssl: SslStream<Pipe>,
    ) -> Result<(SslStream<Pipe>, Result<(), ssl::Error>), Broken> {
        let turn = Arc::clone(&self.turns.0).acquire_owned().await;
        let work = spawn_blocking(move || {
            let _turn = turn;
            let done = ssl.accept();
            (ssl, done)
        });
        work.await.map_err(|error| Why::tls(error.to_string(), true).into())
    }

    fn why(&self, error: &ssl::Error, offer: Option<&Offer>) -> Why {
        match offer {
            Some(Offer { is_known: true, .. }) => Why::Psk(Refusal::BadPassword),
            Some(Offer { is_known: false, .. }) => Why::Psk(Refusal::NotAuthorised),
            None => Why::tls(reason(error), self.tls.has_certificate()),
        }
    }

    /// Ends a connection whose handshake failed: after many of them only after a while, as refused logins.
    async fn break_off<S>(&self, mut stream: S, peer: SocketAddr, broken: Broken, offer: Option<&Offer>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Broken { why, alert } = broken;
        let identity = offer.and_then(|offer| PskIdentity::parse(&offer.identity));
        let user = identity.map(|identity| identity.user);
        let who = Who {
            product_key: user.map(|user| user.product_key),
            device_name: user.map(|user| user.device_name),
            ..Who::default()
        };
        let refusal = match why {
            Why::Psk(refusal) => Some(refusal),
            Why::Tls { .. } => Some(Refusal::NotAuthorised),
            _ => None,
        };
        self.turn_away(peer, &Turned { why, who });
        let Some(refusal) = refusal else { return };
        let origin = Origin::of(peer.ip());
        let Ok(wait) = self.wait_of(origin, user, refusal) else { return };
        if self.delay(wait, origin, ended(&mut stream)).await.is_ok() {
            parting::answer(stream, &alert).await;
        }
    }
}

/// Reads until OpenSSL can go on.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, pipe: &mut Pipe) -> Result<(), Why> {
    while !pipe.has_record() {
        let filled = poll_fn(|cx| fill(stream, pipe, cx)).await;
        if filled.is_err() || pipe.ended {
            return Err(Why::TlsBrokeOff);
        }
    }
    Ok(())
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, pipe: &mut Pipe) -> Result<(), Why> {
    poll_fn(|cx| drain(stream, &mut pipe.output, cx)).await.map_err(|_| Why::TlsBrokeOff)
}

/// What OpenSSL says of a failure, in its words.
fn reason(error: &ssl::Error) -> String {
    let last = error.ssl_error().and_then(|stack| stack.errors().last());
    last.and_then(|error| error.reason()).map_or_else(|| error.to_string(), str::to_owned)
}
