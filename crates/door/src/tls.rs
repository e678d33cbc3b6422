//! TLS, with which a connection may begin (docs/protocol.md 1.1).
//!
//! OpenSSL works on bytes in memory ([`pipe`]); sockets are read and written around it. A handshake's sums
//! are done on threads of their own ([`handshake`]).

mod handshake;
mod pipe;
pub(crate) mod psk;
mod stream;
mod turns;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private};
use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslRef, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509NameRef};

use crate::Fingerprint;
pub(crate) use stream::TlsStream;
pub(crate) use turns::Turns;

/// First byte of a handshake.
pub(crate) const HANDSHAKE: u8 = 0x16;

/// The suites of TLS 1.2, those that look ahead first: the C SDKs have none of them. A device's own order
/// counts.
const SUITES: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:AES256-SHA256:AES256-SHA:AES128-SHA256:AES128-SHA:\
                      RSA-PSK-AES256-CBC-SHA384:RSA-PSK-AES256-CBC-SHA:RSA-PSK-AES128-CBC-SHA256:\
                      RSA-PSK-AES128-CBC-SHA:PSK-AES256-CBC-SHA384:PSK-AES256-CBC-SHA:\
                      PSK-AES128-CBC-SHA256:PSK-AES128-CBC-SHA";

/// Binds resumed sessions to this use of them.
const SESSIONS_OF: &[u8] = b"otaru-door";

/// What the door shows in a TLS handshake. Clones are the same; a session keeps what it began with.
///
/// Without a certificate only devices with a pre-shared key come in by TLS.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Shown>>);

struct Shown {
    context: SslContext,
    /// Seconds since 1970.
    expires: Option<i64>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("expires", &self.expires()).finish_non_exhaustive()
    }
}

/// Why there is no TLS with what was given.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain is no PEM of certificates, the server's own first.
    #[error("there is no certificate in it that can be read: PEM is expected, the server's own first ({0})")]
    Chain(#[source] ErrorStack),
    /// The key is no PEM of a private key, or is encrypted.
    #[error("there is no key in it that can be read: PEM without a password is expected ({0})")]
    Key(#[source] ErrorStack),
    /// The CA of devices is no PEM of certificates.
    #[error("there is no certificate of a CA in it that can be read: PEM is expected ({0})")]
    Trusted(#[source] ErrorStack),
    /// They are not a pair.
    #[error("the key is not that of the first certificate")]
    Pair,
    /// OpenSSL does not take them.
    #[error("OpenSSL refuses it: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// A server's certificate, with those up to its CA, and its key.
pub struct Certificate {
    chain: Vec<X509>,
    key: PKey<Private>,
    /// CAs of devices' own certificates; without any none is asked for.
    trusted: Vec<X509>,
}

impl Certificate {
    /// Reads both from PEM.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = X509::stack_from_pem(chain).map_err(TlsError::Chain)?;
        // Without an answer of its own OpenSSL would ask for a password at the terminal.
        let key = PKey::private_key_from_pem_callback(key, |_| Ok(0)).map_err(TlsError::Key)?;
        let own = chain.first().ok_or_else(|| TlsError::Chain(ErrorStack::get()))?;
        if own.public_key()?.public_eq(&key) {
            Ok(Self { chain, key, trusted: Vec::new() })
        } else {
            Err(TlsError::Pair)
        }
    }

    /// Also asks devices for a certificate of their own, of one of these CAs (PEM). They need not have one.
    pub fn trusting(self, ca: &[u8]) -> Result<Self, TlsError> {
        let trusted = X509::stack_from_pem(ca).map_err(TlsError::Trusted)?;
        if trusted.is_empty() {
            Err(TlsError::Trusted(ErrorStack::get()))
        } else {
            Ok(Self { trusted, ..self })
        }
    }

    /// When it expires, in seconds since 1970.
    pub fn expires(&self) -> Result<i64, TlsError> {
        let from_1970 = Asn1Time::from_unix(0)?.diff(self.chain[0].not_after())?;
        Ok(i64::from(from_1970.days) * 86_400 + i64::from(from_1970.secs))
    }

    /// The same in words.
    pub fn expires_text(&self) -> String {
        self.chain[0].not_after().to_string()
    }

    /// Whether the devices of the C SDKs can use it, which know RSA only.
    pub fn is_rsa(&self) -> bool {
        self.key.id() == Id::RSA
    }
}

impl Tls {
    /// With this certificate, or none.
    pub fn new(certificate: Option<&Certificate>) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(Shown::new(certificate)?))))
    }

    /// From now on shows another certificate.
    pub fn show(&self, certificate: &Certificate) -> Result<(), TlsError> {
        let shown = Shown::new(Some(certificate))?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = shown;
        Ok(())
    }

    /// When the certificate expires, in seconds since 1970.
    pub fn expires(&self) -> Option<i64> {
        self.shown(|shown| shown.expires)
    }

    fn has_certificate(&self) -> bool {
        self.expires().is_some()
    }

    fn context(&self) -> SslContext {
        self.shown(|shown| shown.context.clone())
    }

    fn shown<T>(&self, look: impl FnOnce(&Shown) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shown {
    fn new(certificate: Option<&Certificate>) -> Result<Self, TlsError> {
        let mut context = SslContextBuilder::new(SslMethod::tls_server())?;
        context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        context.set_cipher_list(SUITES)?;
        context.set_options(SslOptions::NO_RENEGOTIATION);
        // An idle session holds no buffers.
        context.set_mode(SslMode::RELEASE_BUFFERS);
        // Devices resume by tickets, which they keep themselves.
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        context.set_session_id_context(SESSIONS_OF)?;
        context.set_num_tickets(1)?;
        context.set_psk_server_callback(psk::key);
        let mut expires = None;
        if let Some(certificate) = certificate {
            let (own, others) = certificate.chain.split_first().ok_or(TlsError::Pair)?;
            context.set_certificate(own)?;
            others.iter().try_for_each(|other| context.add_extra_chain_cert(other.clone()))?;
            context.set_private_key(&certificate.key)?;
            ask(&mut context, &certificate.trusted)?;
            expires = Some(certificate.expires()?);
        }
        Ok(Self { context: context.build(), expires })
    }
}

/// Asks devices for a certificate of one of these CAs.
fn ask(context: &mut SslContextBuilder, trusted: &[X509]) -> Result<(), ErrorStack> {
    if trusted.is_empty() {
        return Ok(());
    }
    let (mut store, mut names) = (X509StoreBuilder::new()?, Stack::new()?);
    for ca in trusted {
        names.push(X509NameRef::to_owned(ca.subject_name())?)?;
        store.add_cert(ca.clone())?;
    }
    // A CA need not be its own: one between a root and the devices may stand alone.
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    context.set_verify_cert_store(store.build())?;
    context.set_client_ca_list(names);
    context.set_verify(SslVerifyMode::PEER);
    Ok(())
}

/// SHA-256 of the certificate that a device has shown, which is of a CA that is trusted.
fn shown_by(ssl: &SslRef) -> Option<Fingerprint> {
    let digest = ssl.peer_certificate()?.digest(MessageDigest::sha256()).ok()?;
    Fingerprint::try_from(&*digest).ok()
}
