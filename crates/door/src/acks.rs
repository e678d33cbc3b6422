//! PUBACKs in the order of their PUBLISHes, whatever order the platform finishes in.

use futures_util::StreamExt as _;
use futures_util::future::{Either, Ready, ready};
use futures_util::stream::FuturesOrdered;

use crate::{BoxFuture, Unavailable};

/// A message the platform is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// To acknowledge; none for QoS 0.
    pub(crate) packet_id: Option<u16>,
    bytes: usize,
    pub(crate) result: Result<(), Unavailable>,
}

/// The messages of one session that the platform is making durable, and what must wait for them.
#[derive(Default)]
pub(crate) struct Acks {
    pending: FuturesOrdered<Either<BoxFuture<'static, Taken>, Ready<Taken>>>,
    bytes: usize,
}

impl Acks {
    /// Messages that wait.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Payload bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A message was handed to the platform.
    pub(crate) fn uplink(
        &mut self,
        packet_id: Option<u16>,
        bytes: usize,
        durable: BoxFuture<'static, Result<(), Unavailable>>,
    ) {
        self.bytes += bytes;
        let taken = async move { Taken { packet_id, bytes, result: durable.await } };
        self.pending.push_back(Either::Left(Box::pin(taken)));
    }

    /// A message needs nothing but its PUBACK, after those before it.
    pub(crate) fn done(&mut self, packet_id: u16) {
        let taken = Taken { packet_id: Some(packet_id), bytes: 0, result: Ok(()) };
        self.pending.push_back(Either::Right(ready(taken)));
    }

    /// The next message in order that the platform is done with; `None` when none waits.
    pub(crate) async fn next(&mut self) -> Option<Taken> {
        let taken = self.pending.next().await?;
        self.bytes -= taken.bytes;
        Some(taken)
    }
}
