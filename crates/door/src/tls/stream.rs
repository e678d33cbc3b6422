use std::borrow::Cow;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use openssl::ssl::{ErrorCode, ShutdownState, SslStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pipe::Pipe;
use crate::Fingerprint;
use crate::socket::{drain, gather, read, taken};

/// The inside of a TLS connection after its handshake.
///
/// What was written counts as written once it is encrypted, at most one record ahead of what the peer's
/// socket takes; `poll_flush` drives the rest.
pub(crate) struct TlsStream<S> {
    ssl: SslStream<Pipe>,
    stream: S,
    /// Most payload of a record, in bytes; a peer may have asked for less.
    record: usize,
}

impl<S> TlsStream<S> {
    /// The certificate of a trusted CA that the peer has shown.
    pub(crate) fn certificate(&self) -> Option<Fingerprint> {
        super::shown_by(self.ssl.ssl())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    pub(super) fn new(ssl: SslStream<Pipe>, stream: S, record: usize) -> Self {
        Self { ssl, stream, record }
    }

    /// The first byte of what comes, left in its place.
    pub(crate) async fn peek(&mut self) -> io::Result<u8> {
        poll_fn(|cx| {
            let mut first = [0];
            loop {
                ready!(self.poll_input(cx))?;
                match self.ssl.ssl_peek(&mut first) {
                    Ok(_) => return Poll::Ready(Ok(first[0])),
                    Err(error) if error.code() == ErrorCode::WANT_READ => {}
                    Err(error) => return Poll::Ready(Err(failed(error))),
                }
            }
        })
        .await
    }

    /// Waits until OpenSSL can read something.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ssl.ssl().pending() == 0 && !self.ssl.get_ref().has_record() && !self.ssl.get_ref().ended {
            ready!(fill(&mut self.stream, self.ssl.get_mut(), cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what is encrypted.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        drain(&mut self.stream, &mut self.ssl.get_mut().output, cx)
    }

    /// Encrypts one record of these parts. Gives how many bytes it has.
    fn seal(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
        let plain = match first.get(..self.record) {
            Some(whole) => Cow::Borrowed(whole),
            None => {
                let length = taken(parts, self.record);
                let mut whole = Vec::with_capacity(length);
                gather(parts, length, &mut whole);
                Cow::Owned(whole)
            }
        };
        self.ssl.write_all(&plain)?;
        Ok(plain.len())
    }
}

/// Reads from the peer what has come, or its end.
pub(super) fn fill<S: AsyncRead + Unpin>(
    stream: &mut S,
    pipe: &mut Pipe,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    pipe.ended = ready!(read(stream, &mut pipe.input, cx))? == 0;
    Poll::Ready(Ok(()))
}

fn failed(error: openssl::ssl::Error) -> io::Error {
    error.into_io_error().unwrap_or_else(io::Error::other)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_input(cx))?;
            match self.ssl.ssl_read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) => match error.code() {
                    ErrorCode::ZERO_RETURN => return Poll::Ready(Ok(())),
                    // It was none of the data, as a key's update.
                    ErrorCode::WANT_READ => {}
                    _ => return Poll::Ready(Err(failed(error))),
                },
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        let sealed = self.seal(parts)?;
        // What does not go at once goes with the next call, for which the socket wakes the task.
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(sealed))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ssl.get_shutdown().contains(ShutdownState::SENT) {
            // That the peer has not answered yet is no failure, and who has gone need not be told.
            let _ = self.ssl.shutdown();
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
