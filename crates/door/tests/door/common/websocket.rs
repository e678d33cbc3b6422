//! The client's end of a WebSocket, as a pipe for packets.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex, split};

pub(crate) const UPGRADE: &str = "GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1:1883\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\r\n";

pub(crate) const WELCOME: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// A frame as a client sends it.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ ..126) => bytes.push(0x80 | short as u8),
        Ok(middle) => {
            bytes.push(0x80 | 126);
            bytes.extend(middle.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0x80 | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The next frame of the server: its first byte and its payload; `None` at the end.
pub(crate) async fn next<S: AsyncRead + Unpin>(stream: &mut S) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.ok()?;
    let length = match head[1] {
        126 => stream.read_u16().await.ok()?.into(),
        127 => stream.read_u64().await.ok()?,
        short @ ..126 => u64::from(short),
        masked => panic!("a server's frame with {masked:#04x}"),
    };
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[0], payload))
}

/// Becomes a WebSocket.
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> S {
    stream.write_all(UPGRADE.as_bytes()).await.unwrap();
    let mut welcome = vec![0; WELCOME.len()];
    stream.read_exact(&mut welcome).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&welcome), WELCOME);
    stream
}

/// Packets written to this go in messages of `piece` bytes, in two frames each; packets read come whole or in
/// parts.
pub(crate) async fn open<S>(stream: S, piece: usize) -> DuplexStream
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = upgrade(stream).await;
    let (ours, theirs) = duplex(1 << 20);
    let (mut packets, mut answers) = split(theirs);
    let (mut incoming, mut outgoing) = split(stream);
    tokio::spawn(async move {
        let mut bytes = vec![0; piece];
        while let Ok(count @ 1..) = packets.read(&mut bytes).await {
            let (first, rest) = bytes[..count].split_at(count / 2);
            let frames = [frame(0x02, first), frame(0x80, rest)].concat();
            if outgoing.write_all(&frames).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((first, payload)) = next(&mut incoming).await {
            match first {
                0x82 => answers.write_all(&payload).await.unwrap(),
                CLOSE => break,
                other => panic!("a frame with {other:#04x}"),
            }
        }
        let _ = answers.shutdown().await;
    });
    ours
}
