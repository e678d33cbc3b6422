//! Many devices on one thread.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use mqtt::Packet;
use socket2::{Domain, Socket, Type};

use crate::packets;

/// What a device has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Welcome,
    Subscribed,
    Acknowledged(u16),
    Notice,
    /// The server hung up.
    Closed,
}

struct Device {
    stream: TcpStream,
    /// What could not be sent yet; empty but at the start.
    unsent: Vec<u8>,
    /// The beginning of a packet.
    begun: Vec<u8>,
}

/// Devices by number, and what they have heard since the last look.
pub(crate) struct Fleet {
    server: SocketAddr,
    poll: Poll,
    events: Events,
    devices: Vec<Option<Device>>,
    buffer: Vec<u8>,
    heard: Vec<(usize, Heard)>,
}

impl Fleet {
    pub(crate) fn new(server: SocketAddr, size: usize) -> anyhow::Result<Self> {
        Ok(Self {
            server,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            devices: (0..size).map(|_| None).collect(),
            buffer: vec![0; 64 * 1024],
            heard: Vec::new(),
        })
    }

    /// Opens a connection; `greeting` goes out as soon as it stands.
    pub(crate) fn connect(&mut self, number: usize, greeting: Vec<u8>) -> anyhow::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Closing resets: tens of thousands of waiting ports would slow down those who come after.
        socket.set_linger(Some(Duration::ZERO))?;
        match socket.connect(&self.server.into()) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => return Err(error.into()),
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(number), interest)?;
        self.devices[number] = Some(Device { stream, unsent: greeting, begun: Vec::new() });
        Ok(())
    }

    /// Sends a packet, at once if nothing waits.
    pub(crate) fn send(&mut self, number: usize, packet: &[u8]) -> anyhow::Result<()> {
        let Some(device) = &mut self.devices[number] else { bail!("device {number} is not connected") };
        if !device.unsent.is_empty() {
            device.unsent.extend_from_slice(packet);
            return Ok(());
        }
        let sent = match device.stream.write(packet) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        device.unsent.extend_from_slice(&packet[sent..]);
        Ok(())
    }

    pub(crate) fn close(&mut self, number: usize) {
        self.devices[number] = None;
    }

    /// Waits at most `patience` and gives what was heard.
    pub(crate) fn listen(&mut self, patience: Duration) -> anyhow::Result<&[(usize, Heard)]> {
        self.heard.clear();
        let Self { poll, events, devices, buffer, heard, .. } = self;
        match poll.poll(events, Some(patience)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &*events {
            let number = event.token().0;
            let Some(device) = &mut devices[number] else { continue };
            if event.is_writable() && !device.unsent.is_empty() {
                device.flush()?;
            }
            if event.is_readable() && !device.read(buffer, |what| heard.push((number, what)))? {
                heard.push((number, Heard::Closed));
                devices[number] = None;
            }
        }
        Ok(heard)
    }
}

/// EINPROGRESS on Linux.
const IN_PROGRESS: i32 = 115;

impl Device {
    fn flush(&mut self) -> anyhow::Result<()> {
        match self.stream.write(&self.unsent) {
            Ok(sent) if sent == self.unsent.len() => self.unsent = Vec::new(),
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Reads all there is; `false` when the connection has ended.
    fn read(&mut self, buffer: &mut [u8], mut tell: impl FnMut(Heard)) -> anyhow::Result<bool> {
        loop {
            let received = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            if self.begun.is_empty() {
                let taken = take(&buffer[..received], &mut tell)?;
                self.begun.extend_from_slice(&buffer[taken..received]);
            } else {
                self.begun.extend_from_slice(&buffer[..received]);
                let taken = take(&self.begun, &mut tell)?;
                self.begun.drain(..taken);
            }
            if received < buffer.len() {
                return Ok(true);
            }
        }
    }
}

/// Tells of all whole packets and gives their length.
fn take(bytes: &[u8], tell: &mut impl FnMut(Heard)) -> anyhow::Result<usize> {
    let mut at = 0;
    while let Some(length) = packets::whole(&bytes[at..])? {
        tell(match packets::parse(&bytes[at..at + length])? {
            Packet::ConnAck { code, .. } => {
                ensure!(code == 0, "a good password was answered with CONNACK {code}");
                Heard::Welcome
            }
            Packet::SubAck(_) => Heard::Subscribed,
            Packet::PubAck { packet_id, .. } => Heard::Acknowledged(packet_id),
            Packet::Publish(publish) if packets::is_notice(&publish) => Heard::Notice,
            other => bail!("an unexpected packet: {other:?}"),
        });
        at += length;
    }
    Ok(at)
}
