use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::answer::{Answer, Body};
use crate::counters::{add, count};
use crate::serve::Transport;
use crate::{Blob, Counters, tcp};

/// Bytes of a file that are sent before others get a turn: read and written, or sent by the system.
const COPIED: u64 = 128 * 1024;
#[cfg(target_os = "linux")]
const UNCOPIED: u64 = 512 * 1024;

/// Where an answer goes.
pub(crate) struct Receiver<'a, S> {
    pub(crate) line: &'a mut S,
    /// How long none of the bytes that wait may be taken.
    pub(crate) patience: Duration,
    pub(crate) counters: &'a Counters,
}

impl<S: Transport> Receiver<'_, S> {
    /// Sends an answer, or with `bare` its head only.
    pub(crate) async fn send(&mut self, answer: &Answer, goes_on: bool, bare: bool) -> io::Result<()> {
        let mut head = answer.head(goes_on);
        match &answer.body {
            Body::Text(text) if !bare => head.push_str(text),
            _ => {}
        }
        write_all(self.line, head.as_bytes(), self.patience).await?;
        if let Body::File { blob, first, length } = &answer.body
            && !bare
        {
            self.send_file(&**blob, *first, *length).await?;
        }
        timeout(self.patience, self.line.flush()).await?
    }

    async fn send_file(&mut self, blob: &dyn Blob, first: u64, length: u64) -> io::Result<()> {
        if length > COPIED
            && let Some(socket) = self.line.socket()
        {
            tcp::tune_for_files(socket);
        }
        let (mut at, end) = (first, first + length);
        while at < end {
            let sent = self.send_piece(blob, at, end - at).await?;
            add(&self.counters.http_bytes, sent);
            at += sent;
            yield_now().await;
        }
        Ok(())
    }

    /// Sends as many of the bytes left as go in one piece.
    async fn send_piece(&mut self, blob: &dyn Blob, at: u64, left: u64) -> io::Result<u64> {
        let unread = |_: &io::Error| count(&self.counters.http_failed);
        #[cfg(target_os = "linux")]
        if let Some(socket) = self.line.socket() {
            let length = left.min(UNCOPIED) as usize;
            if let Some(file) = blob.resident(at, length).await.inspect_err(unread)? {
                uncopied::send(socket, &file, at, length, self.patience).await?;
                return Ok(length as u64);
            }
        }
        let length = left.min(COPIED) as usize;
        let bytes = blob.read(at, length).await.and_then(|bytes| match bytes.len() == length {
            true => Ok(bytes),
            false => Err(short(at + bytes.len() as u64)),
        });
        write_all(self.line, &bytes.inspect_err(unread)?, self.patience).await?;
        Ok(length as u64)
    }
}

/// Writes all bytes, unless none is taken for too long.
pub(crate) async fn write_all<S: AsyncWrite + Unpin>(
    line: &mut S,
    mut bytes: &[u8],
    patience: Duration,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match timeout(patience, line.write(bytes)).await?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

fn short(at: u64) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("the file ends after {at} bytes, before its time"))
}

#[cfg(target_os = "linux")]
mod uncopied {
    use std::fs::File;
    use std::io;
    use std::time::Duration;

    use rustix::fs::sendfile;
    use tokio::io::Interest;
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    /// Lets the system send bytes of a file from its own memory.
    pub(super) async fn send(
        socket: &TcpStream,
        file: &File,
        at: u64,
        length: usize,
        patience: Duration,
    ) -> io::Result<()> {
        let (mut at, end) = (at, at + length as u64);
        while at < end {
            timeout(patience, socket.writable()).await??;
            let left = (end - at) as usize;
            let sent = socket.try_io(Interest::WRITABLE, || Ok(sendfile(socket, file, Some(&mut at), left)?));
            match sent {
                Ok(0) => return Err(super::short(at)),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
