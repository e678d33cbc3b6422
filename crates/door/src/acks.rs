//! PUBACKs in the order of their PUBLISHes, whatever order the platform finishes in.

use futures_util::StreamExt as _;
use futures_util::future::{Either, Ready, ready};
use futures_util::stream::FuturesOrdered;
use mqtt::reason;

use crate::{BoxFuture, Unavailable};

/// A message the platform is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// To acknowledge; none for QoS 0.
    pub(crate) packet_id: Option<u16>,
    /// What to acknowledge it with in MQTT 5.
    pub(crate) reason: u8,
    bytes: usize,
    pub(crate) result: Result<(), Unavailable>,
}

/// The messages of one session that the platform is making durable, and what must wait for them.
#[derive(Default)]
pub(crate) struct Acks {
    pending: FuturesOrdered<Either<BoxFuture<'static, Taken>, Ready<Taken>>>,
    bytes: usize,
    unacknowledged: usize,
}

impl Acks {
    /// Messages that wait.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Those of them that wait for a PUBACK.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.unacknowledged
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
        self.unacknowledged += usize::from(packet_id.is_some());
        let taken = async move { Taken { packet_id, reason: reason::SUCCESS, bytes, result: durable.await } };
        self.pending.push_back(Either::Left(Box::pin(taken)));
    }

    /// A message needs nothing but its PUBACK, after those before it.
    pub(crate) fn done(&mut self, packet_id: u16, reason: u8) {
        self.unacknowledged += 1;
        let taken = Taken { packet_id: Some(packet_id), reason, bytes: 0, result: Ok(()) };
        self.pending.push_back(Either::Right(ready(taken)));
    }

    /// The next message in order that the platform is done with; `None` when none waits.
    pub(crate) async fn next(&mut self) -> Option<Taken> {
        let taken = self.pending.next().await?;
        self.bytes -= taken.bytes;
        self.unacknowledged -= usize::from(taken.packet_id.is_some());
        Some(taken)
    }
}
