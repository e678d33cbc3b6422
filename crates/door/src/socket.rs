//! One step of reading and writing a socket, cancellable at any time.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut, BytesMut};
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

/// Adds what has come to `input` and gives its length; 0 is the end.
pub(crate) fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut space = [MaybeUninit::uninit(); READ];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    input.extend_from_slice(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Writes all of `output`, which then holds no memory.
pub(crate) fn drain<S: AsyncWrite + Unpin>(
    stream: &mut S,
    output: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !output.is_empty() {
        match ready!(Pin::new(&mut *stream).poll_write(cx, output))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => output.advance(written),
        }
    }
    *output = BytesMut::new();
    Poll::Ready(Ok(()))
}

/// How many bytes of these parts are taken at once, which are no more than `most`.
pub(crate) fn taken(parts: &[IoSlice<'_>], most: usize) -> usize {
    parts.iter().map(|part| part.len()).sum::<usize>().min(most)
}

/// Adds the first `length` bytes of these parts to `whole`.
pub(crate) fn gather(parts: &[IoSlice<'_>], length: usize, whole: &mut impl BufMut) {
    let mut left = length;
    for part in parts {
        let count = part.len().min(left);
        whole.put_slice(&part[..count]);
        left -= count;
    }
}
