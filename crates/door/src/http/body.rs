use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::counters::{add, count};
use crate::{Blob, BoxFuture, Counters};

/// Bytes read from a file at once.
const CHUNK: u64 = 64 * 1024;

/// The body of an answer: a text, or a part of a file, read as the socket takes it. Its length is
/// always known, so that it is never sent chunked.
pub(super) enum FileBody {
    Text(Bytes),
    File(Part),
}

/// What is still to be sent of a file.
pub(super) struct Part {
    blob: Arc<dyn Blob>,
    offset: u64,
    left: u64,
    reading: Option<BoxFuture<'static, io::Result<Bytes>>>,
    counters: Arc<Counters>,
}

impl FileBody {
    pub(super) fn new(blob: Arc<dyn Blob>, offset: u64, length: u64, counters: Arc<Counters>) -> Self {
        Self::File(Part { blob, offset, left: length, reading: None, counters })
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn left(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File(part) => part.left,
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let body = self.get_mut();
        if body.left() == 0 {
            return Poll::Ready(None);
        }
        let bytes = match body {
            Self::Text(text) => Ok(std::mem::take(text)),
            Self::File(part) => ready!(part.poll_bytes(cx)),
        };
        Poll::Ready(Some(bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

impl Part {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let length = self.left.min(CHUNK) as usize;
        let reading = self.reading.get_or_insert_with(|| self.blob.read(self.offset, length));
        let read = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        let whole =
            read.and_then(|bytes| if bytes.len() == length { Ok(bytes) } else { Err(short(&bytes, length)) });
        match &whole {
            Ok(bytes) => {
                self.offset += bytes.len() as u64;
                self.left -= bytes.len() as u64;
                add(&self.counters.http_bytes, bytes.len() as u64);
            }
            Err(_) => count(&self.counters.http_failed),
        }
        Poll::Ready(whole)
    }
}

fn short(bytes: &Bytes, length: usize) -> io::Error {
    let message = format!("the file gave {} bytes instead of {length}", bytes.len());
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}
