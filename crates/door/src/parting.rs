//! The end of a connection: last words, and the time to read them.

use std::time::Duration;

use bytes::BytesMut;
use mqtt::{Packet, reason};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::Closed;
use crate::outbox::Outbox;
use crate::socket::turn;

/// How long a device may take to read the last words.
const LINGER: Duration = Duration::from_secs(2);

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// For the platform.
    pub(crate) why: Closed,
    /// For a device of MQTT 5; none if it has gone, or would not read it.
    pub(crate) reason: Option<u8>,
}

impl End {
    /// The device broke the rules of MQTT, and this is what MQTT 5 calls it.
    pub(crate) fn broken(reason: u8) -> Self {
        let why = if reason == reason::TOO_LARGE { Closed::TooLarge } else { Closed::Protocol };
        Self { why, reason: Some(reason) }
    }
}

impl From<Closed> for End {
    fn from(why: Closed) -> Self {
        let reason = match why {
            Closed::Goodbye | Closed::Lost | Closed::NotReading => None,
            Closed::TakenOver => Some(reason::TAKEN_OVER),
            Closed::KeepAlive => Some(reason::KEEP_ALIVE),
            Closed::Protocol => Some(reason::PROTOCOL_ERROR),
            Closed::TooLarge => Some(reason::TOO_LARGE),
            Closed::Unavailable => Some(reason::QUOTA),
            Closed::Ordered => Some(reason::ADMINISTRATIVE),
            Closed::Shutdown => Some(reason::SHUTTING_DOWN),
        };
        Self { why, reason }
    }
}

/// Tells a device of MQTT 5 why its session ends, behind what has begun or waits, blocks apart.
pub(crate) async fn say_why<S>(mut stream: S, mut out: Outbox, reason: u8)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    out.drop_blocks();
    out.packet(&Packet::disconnect(reason));
    let _ = timeout(LINGER, async {
        let mut unread = BytesMut::new();
        while !out.is_empty() {
            if turn(&mut stream, &mut out, &mut unread, true).await?.end {
                return Ok(());
            }
            unread.clear();
        }
        hang_up(stream).await
    })
    .await;
}

/// Sends the only answer to a device and lets it read that.
pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8]) {
    let _ = timeout(LINGER, async {
        stream.write_all(bytes).await?;
        hang_up(stream).await
    })
    .await;
}

/// Closes once the device has, or after a while.
pub(crate) async fn wait<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let _ = timeout(LINGER, hang_up(stream)).await;
}

/// Closes once the device has: closing while bytes of it are unread would make the kernel throw away
/// what was written last.
async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut unread = [0; 256];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}
