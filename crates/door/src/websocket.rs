//! MQTT over WebSocket (RFC 6455, subprotocol `mqtt`; docs/protocol.md 1).
//!
//! A WebSocket is a connection like any other to what is above it: packets may be split and joined over
//! frames as a client likes, and nothing of a frame is kept but its head.

pub(crate) mod frames;
mod handshake;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::serve::Transport;
use crate::socket::{drain, gather, taken};
use frames::{Control, Fault, Frames, NORMAL};
pub(crate) use handshake::asked;

/// Bytes in a frame to the device.
const MAX_FRAME: usize = 16 * 1024;

/// Reads that bring nothing but pings and heads of frames before others get a turn, the session's own clock
/// among them.
const MAX_READS: usize = 8;

/// A connection's bytes in the frames of a WebSocket.
pub(crate) struct WebSocket<S> {
    line: S,
    /// What came behind the request, not yet looked at.
    early: BytesMut,
    frames: Frames,
    /// Frames that the line did not take yet: one with bytes, a pong, a close.
    out: BytesMut,
    /// Whether the last frame has been sent, or waits in `out`.
    is_closed: bool,
}

impl<S> WebSocket<S> {
    pub(crate) fn new(line: S, early: BytesMut) -> Self {
        Self { line, early, frames: Frames::default(), out: BytesMut::new(), is_closed: false }
    }

    fn answer(&mut self, control: Control) {
        match control {
            // Only the latest of several pings has to be answered, and one that is stuck is not the last.
            Control::Ping(payload) if self.out.is_empty() => frames::pong(&payload, &mut self.out),
            Control::Ping(_) => {}
            Control::Close(code) => self.close(code, ""),
        }
    }

    fn close(&mut self, code: u16, why: &str) {
        if !self.is_closed {
            self.is_closed = true;
            frames::close(code, why, &mut self.out);
        }
    }
}

impl<S: Transport> WebSocket<S> {
    /// Hands over what waits.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        drain(&mut self.line, &mut self.out, cx)
    }

    /// Reads what has come into `buffer`, whatever it is.
    fn poll_frames(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.early.is_empty() {
            let mut room = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.line).poll_read(cx, &mut room))?;
            return Poll::Ready(Ok(room.filled().len()));
        }
        let count = self.early.len().min(buffer.len());
        self.early.copy_to_slice(&mut buffer[..count]);
        Poll::Ready(Ok(count))
    }

    /// Leaves the payload of what was read at the start of `buffer` and gives its length.
    fn unpack(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let length = self.frames.decode(buffer)?;
        if let Some(control) = self.frames.control() {
            self.answer(control);
        }
        Ok(length)
    }
}

impl<S: Transport> AsyncRead for WebSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Whoever reads also gives what waits its chance: the session may have nothing to write.
        let _ = this.poll_out(cx)?;
        let mut reads = 0;
        while !this.frames.is_over() && buffer.remaining() > 0 {
            if reads == MAX_READS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            reads += 1;
            let room = buffer.initialize_unfilled();
            let count = ready!(this.poll_frames(cx, room))?;
            if count == 0 {
                break;
            }
            let payload = match this.unpack(&mut room[..count]) {
                Ok(payload) => payload,
                Err(fault) => {
                    tracing::debug!(%fault, "a WebSocket broke the rules");
                    this.close(fault.code(), &fault.to_string());
                    0
                }
            };
            buffer.advance(payload);
            let _ = this.poll_out(cx)?;
            if payload > 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Transport> AsyncWrite for WebSocket<S> {
    /// Takes all it can of `bytes` as one frame once the frames before it have gone.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        if this.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = taken(slices, MAX_FRAME);
        if length > 0 {
            frames::binary(length, &mut this.out);
            gather(slices, length, &mut this.out);
            let _ = this.poll_out(cx)?;
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.line).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.close(NORMAL, "");
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.line).poll_shutdown(cx)
    }
}
