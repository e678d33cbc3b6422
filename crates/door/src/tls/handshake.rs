//! From the first byte of a TLS connection to what is said inside it.

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::BytesMut;
use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode, Ssl, SslRef, SslStream};
use openssl::x509::X509VerifyResult;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use wire::credentials::PskIdentity;

use super::pipe::Pipe;
use super::psk::{self, Known, Slot};
use super::stream::{TlsStream, fill};
use super::turns::Lane;
use crate::connect::ended;
use crate::counters::count;
use crate::origin::Origin;
use crate::parting;
use crate::serve::Door;
use crate::socket::drain;
use crate::turned::{Turned, Who, Why, word};
use crate::{Platform, Refusal};

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
        let lane = self.turns.lane(Origin::of(peer.ip()));
        let shaken = timeout_at(deadline, self.handshake(&mut stream, &lane, &mut offer)).await;
        drop(lane);
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

    async fn handshake<S>(
        &self,
        stream: &mut S,
        lane: &Lane,
        offer: &mut Option<Offer>,
    ) -> Result<SslStream<Pipe>, Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut pipe = Pipe::default();
        read(stream, &mut pipe).await?;
        let _begun = lane.begin().await;
        let mut ssl = Ssl::new(&self.tls.context())?;
        let key = psk::slot(&mut ssl)?;
        let mut ssl = SslStream::new(ssl, pipe)?;
        loop {
            if offer.is_none() {
                *offer = self.look_up(&ssl.get_ref().input, &key).await?;
            }
            let (went_on, done) = step(ssl, lane).await?;
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
                    return Err(Broken { why: self.why(&error, ssl.ssl(), offer.as_ref()), alert });
                }
            }
        }
    }

    /// Has the pre-shared key at hand that OpenSSL is going to ask for.
    async fn look_up(&self, input: &[u8], slot: &Slot) -> Result<Option<Offer>, Broken> {
        let Some(text) = psk::offered(input) else { return Ok(None) };
        let key = match PskIdentity::parse(text) {
            Some(identity) => self.in_turn(self.platform.pre_shared_key(&identity)).await,
            None => Err(Refusal::Malformed),
        };
        let is_known = match key {
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

    fn why(&self, error: &ssl::Error, ssl: &SslRef, offer: Option<&Offer>) -> Why {
        match offer {
            Some(Offer { is_known: true, .. }) => Why::Psk(Refusal::BadPassword),
            Some(Offer { identity, .. }) if PskIdentity::parse(identity).is_none() => {
                Why::PskIdentity(word(identity))
            }
            Some(Offer { is_known: false, .. }) => Why::Psk(Refusal::NotAuthorised),
            None => Why::tls(reason(error, ssl), self.tls.has_certificate()),
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
        let origin = Origin::of(peer.ip());
        let refusal = match why {
            Why::Psk(refusal) => Some(refusal),
            Why::Tls { .. } | Why::PskIdentity(_) => Some(Refusal::NotAuthorised),
            Why::TlsBrokeOff | Why::TlsLate(_) => {
                // There is nobody to hold back.
                self.throttle.failed(self.throttle.unknown(origin), Instant::now());
                None
            }
            _ => None,
        };
        self.turn_away(peer, &Turned { why, who });
        let Some(refusal) = refusal else { return };
        let Ok(wait) = self.wait_of(origin, user, refusal) else { return };
        if self.delay(wait, origin, ended(&mut stream)).await.is_ok() {
            parting::answer(stream, &alert).await;
        }
    }
}

/// Goes on with a handshake as far as what has come allows.
async fn step(
    mut ssl: SslStream<Pipe>,
    lane: &Lane,
) -> Result<(SslStream<Pipe>, Result<(), ssl::Error>), Broken> {
    let turn = lane.turn().await;
    let work = spawn_blocking(move || {
        let _turn = turn;
        let done = ssl.accept();
        (ssl, done)
    });
    work.await.map_err(|error| Why::tls(error.to_string(), true).into())
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

/// What OpenSSL says of a failure, in its words, and of the device's certificate if that is why.
fn reason(error: &ssl::Error, ssl: &SslRef) -> String {
    let last = error.ssl_error().and_then(|stack| stack.errors().last());
    let reason = last.and_then(|error| error.reason()).map_or_else(|| error.to_string(), str::to_owned);
    match ssl.verify_result() {
        X509VerifyResult::OK => reason,
        verdict => format!("{reason}: {verdict}"),
    }
}
