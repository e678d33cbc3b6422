//! One step of reading and writing a socket, cancellable at any time.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::outbox::{Outbox, SLICES};

/// Bytes read at once, on the stack: an idle session holds no buffer.
const READ: usize = 8 * 1024;

/// What a step did; at least one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Turn {
    /// Bytes were written.
    pub(crate) wrote: bool,
    /// Bytes were read.
    pub(crate) read: bool,
    /// The peer will send nothing more.
    pub(crate) end: bool,
}

impl Turn {
    /// The connection is gone.
    pub(crate) const END: Self = Self { wrote: false, read: false, end: true };
}

/// Writes what waits in `out` and, if `reading`, reads into `input`; returns as soon as either moved. What the
/// stream itself holds back goes on its way meanwhile.
pub(crate) async fn turn<S>(
    stream: &mut S,
    out: &mut Outbox,
    input: &mut BytesMut,
    reading: bool,
) -> io::Result<Turn>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        let mut turn = Turn::default();
        if out.is_empty() {
            if let Poll::Ready(Err(error)) = Pin::new(&mut *stream).poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
        } else if write(stream, out, cx)?.is_ready() {
            turn.wrote = true;
        }
        if reading && let Poll::Ready(count) = read(stream, input, cx)? {
            turn.read = count > 0;
            turn.end = count == 0;
        }
        if turn == Turn::default() { Poll::Pending } else { Poll::Ready(Ok(turn)) }
    })
    .await
}

fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    out: &mut Outbox,
    cx: &mut Context<'_>,
) -> io::Result<Poll<()>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = out.slices(&mut slices);
    match Pin::new(stream).poll_write_vectored(cx, &slices[..count])? {
        Poll::Ready(0) => Err(io::ErrorKind::WriteZero.into()),
        Poll::Ready(written) => {
            out.advance(written);
            Ok(Poll::Ready(()))
        }
        Poll::Pending => Ok(Poll::Pending),
    }
}

fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> io::Result<Poll<usize>> {
    let mut space = [MaybeUninit::uninit(); READ];
    let mut buffer = ReadBuf::uninit(&mut space);
    match Pin::new(stream).poll_read(cx, &mut buffer)? {
        Poll::Ready(()) => {
            input.extend_from_slice(buffer.filled());
            Ok(Poll::Ready(buffer.filled().len()))
        }
        Poll::Pending => Ok(Poll::Pending),
    }
}
