//! Blocks in a closed loop: each connection keeps as many requests under way as it is told.
//!
//! All answers of one size are equally long, whoever gives them, so that the loader only counts
//! bytes; the first answer of each connection and one after the measuring are looked at in full.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use mio::{Events, Interest, Poll, Token};
use mqtt::Packet;
use serde::{Deserialize, Serialize};
use wire::block::Frame;
use wire::topic::Kind;

use super::tls::Tls;
use crate::{packets, proc};

/// Offsets asked for begin here and end below 10 000 000: all have seven digits.
pub(crate) const FIRST_OFFSET: u32 = 1024 * 1024;

/// Bytes of the file that blocks are asked of.
pub(crate) const FILE: u32 = 9 * 1024 * 1024;

/// Most requests a connection goes round in.
const MOST_REQUESTS: u32 = 256;

/// Traffic before the measuring begins.
const WARM_UP: Duration = Duration::from_millis(200);

/// No wait for a single answer takes longer on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who gives the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Target {
    Otaru,
    Nginx,
    Raw,
    Mosquitto,
}

/// One cell of the table.
#[derive(Serialize, Deserialize)]
pub(crate) struct Blocks {
    pub(crate) target: Target,
    pub(crate) address: SocketAddr,
    /// Processes whose time is counted.
    pub(crate) pids: Vec<u32>,
    pub(crate) file: PathBuf,
    pub(crate) connections: usize,
    pub(crate) size: u32,
    pub(crate) in_flight: usize,
    /// Over TLS.
    pub(crate) tls: Option<Tls>,
    /// The measuring ends when the servers have worked this long,
    pub(crate) work: Duration,
    /// or after this time.
    pub(crate) at_most: Duration,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct BlocksDone {
    pub(crate) blocks: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Share of its core that the loader took: at 1 it was the loader that was measured.
    pub(crate) loader: f64,
}

impl BlocksDone {
    /// How many in a second of the servers' processor time.
    pub(crate) fn rate(&self) -> f64 {
        self.blocks as f64 / self.cpu_seconds
    }
}

/// A connection and its requests, one after another in `requests`, each `stride` bytes long.
struct Conn {
    stream: TcpStream,
    polled: mio::net::TcpStream,
    requests: Vec<u8>,
    stride: usize,
    /// Where the next byte to send stands.
    at: usize,
    unsent: usize,
    /// Bytes received of the answer that is coming in.
    received: usize,
    outstanding: usize,
}

impl Blocks {
    pub(crate) fn run(&self) -> anyhow::Result<BlocksDone> {
        if let Some(tls) = &self.tls {
            return self.run_over(tls);
        }
        let file = std::fs::read(&self.file)?;
        let mut conns =
            (0..self.connections).map(|number| self.open(number)).collect::<anyhow::Result<Vec<_>>>()?;
        let mut length = 0;
        for conn in &mut conns {
            length = self.check(conn, &file)?;
        }
        let mut poll = Poll::new()?;
        for (number, conn) in conns.iter_mut().enumerate() {
            conn.stream.set_nonblocking(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut conn.polled, Token(number), interest)?;
            conn.ask(self.in_flight)?;
        }
        let mut turn =
            Turn { length, again: true, buffer: vec![0; 512 * 1024], events: Events::with_capacity(64) };
        let warm = Instant::now();
        while warm.elapsed() < WARM_UP {
            turn.take(&mut poll, &mut conns)?;
        }
        let done = self.measure(&mut turn, &mut poll, &mut conns)?;
        turn.again = false;
        while conns.iter().any(|conn| conn.outstanding > 0) {
            turn.take(&mut poll, &mut conns)?;
        }
        for conn in &mut conns {
            poll.registry().deregister(&mut conn.polled)?;
            conn.stream.set_nonblocking(false)?;
            ensure!(self.check(conn, &file)? == length, "an answer of another length");
        }
        Ok(done)
    }

    fn measure(&self, turn: &mut Turn, poll: &mut Poll, conns: &mut [Conn]) -> anyhow::Result<BlocksDone> {
        let (begin, cpu, own) = (Instant::now(), proc::cpu_of(&self.pids)?, proc::cpu(std::process::id())?);
        let mut blocks = 0;
        let mut look = begin;
        loop {
            blocks += turn.take(poll, conns)?;
            if look.elapsed() < Duration::from_millis(20) {
                continue;
            }
            look = Instant::now();
            let cpu = proc::cpu_of(&self.pids)? - cpu;
            if cpu >= self.work || begin.elapsed() >= self.at_most {
                let seconds = begin.elapsed().as_secs_f64();
                let own = proc::cpu(std::process::id())? - own;
                let loader = own.as_secs_f64() / seconds;
                return Ok(BlocksDone { blocks, seconds, cpu_seconds: cpu.as_secs_f64(), loader });
            }
        }
    }

    fn open(&self, number: usize) -> anyhow::Result<Conn> {
        let mut stream = dial(self.address)?;
        let requests = self.requests(&mut stream, number)?;
        let stride = requests.len() / self.count() as usize;
        let polled = mio::net::TcpStream::from_std(stream.try_clone()?);
        Ok(Conn { stream, polled, requests, stride, at: 0, unsent: 0, received: 0, outstanding: 0 })
    }

    /// How many requests a connection goes round in.
    pub(super) fn count(&self) -> u32 {
        MOST_REQUESTS.min((FILE - FIRST_OFFSET) / self.size)
    }

    /// The requests of a device, once its connection is ready for them.
    pub(super) fn requests(
        &self,
        stream: &mut (impl Read + Write),
        number: usize,
    ) -> anyhow::Result<Vec<u8>> {
        let device = packets::device_name(number);
        let stream_id = match self.target {
            Target::Otaru => greet(stream, &device)?,
            Target::Mosquitto => subscribe(stream, &device)?,
            Target::Nginx | Target::Raw => 0,
        };
        let count = self.count();
        let mut requests = Vec::new();
        for offset in (0..count).map(|n| FIRST_OFFSET + n * self.size) {
            requests.extend(self.request(&device, stream_id, offset)?);
        }
        Ok(requests)
    }

    fn request(&self, device: &str, stream_id: u32, offset: u32) -> anyhow::Result<Vec<u8>> {
        match self.target {
            Target::Otaru | Target::Mosquitto => packets::block_request(device, stream_id, offset, self.size),
            Target::Nginx => {
                let last = offset + self.size - 1;
                Ok(format!("GET /image HTTP/1.1\r\nHost: bench\r\nRange: bytes={offset}-{last}\r\n\r\n")
                    .into())
            }
            Target::Raw => {
                // As long as the real one, and the answer as well.
                let mut request = packets::block_request(device, 1_000_000, offset, self.size)?;
                let length = u32::try_from(request.len())?;
                request[..4].copy_from_slice(&length.to_be_bytes());
                request[4..8].copy_from_slice(&raw_answer(self.size).to_be_bytes());
                Ok(request)
            }
        }
    }

    /// Asks for one block, waiting for it, looks at it, and gives the length of the whole answer.
    fn check(&self, conn: &mut Conn, file: &[u8]) -> anyhow::Result<usize> {
        let number = conn.at / conn.stride;
        let length = self.check_one(&mut conn.stream, &conn.requests, number, file)?;
        conn.at = (conn.at + conn.stride) % conn.requests.len();
        Ok(length)
    }

    /// The same with the request of this number.
    pub(super) fn check_one(
        &self,
        stream: &mut (impl Read + Write),
        requests: &[u8],
        number: usize,
        file: &[u8],
    ) -> anyhow::Result<usize> {
        let stride = requests.len() / self.count() as usize;
        stream.write_all(&requests[number * stride..][..stride])?;
        let offset = FIRST_OFFSET as usize + number * self.size as usize;
        let expected = &file[offset..offset + self.size as usize];
        match self.target {
            Target::Otaru | Target::Mosquitto => check_frame(&read_packet(stream)?, expected),
            Target::Nginx => check_range(stream, expected),
            Target::Raw => {
                let length = raw_answer(self.size) as usize;
                stream.read_exact(&mut vec![0; length])?;
                Ok(length)
            }
        }
    }
}

/// A connection that does not wait for ever.
pub(super) fn dial(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// About as much as a block in its frame and packet.
fn raw_answer(size: u32) -> u32 {
    size + 180
}

impl Conn {
    /// Asks for `count` more blocks.
    fn ask(&mut self, count: usize) -> anyhow::Result<()> {
        self.outstanding += count;
        self.unsent += count * self.stride;
        self.send()
    }

    fn send(&mut self) -> anyhow::Result<()> {
        while self.unsent > 0 {
            let end = (self.at + self.unsent).min(self.requests.len());
            match self.polled.write(&self.requests[self.at..end]) {
                Ok(sent) => {
                    self.unsent -= sent;
                    self.at = (self.at + sent) % self.requests.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// What a turn of the loop needs.
struct Turn {
    length: usize,
    /// Whether an answer is followed by another request.
    again: bool,
    buffer: Vec<u8>,
    events: Events,
}

impl Turn {
    /// Takes what has come and gives the number of answers that are whole by now.
    fn take(&mut self, poll: &mut Poll, conns: &mut [Conn]) -> anyhow::Result<u64> {
        poll.poll(&mut self.events, Some(PATIENCE))?;
        ensure!(!self.events.is_empty(), "no answer within {} s", PATIENCE.as_secs());
        let mut blocks = 0;
        for event in &self.events {
            let conn = &mut conns[event.token().0];
            if event.is_writable() {
                conn.send()?;
            }
            if !event.is_readable() {
                continue;
            }
            loop {
                let received = match conn.polled.read(&mut self.buffer) {
                    Ok(0) => bail!("the server has closed a connection"),
                    Ok(received) => received,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                conn.received += received;
                let answers = conn.received / self.length;
                conn.received %= self.length;
                if answers > 0 {
                    conn.outstanding =
                        conn.outstanding.checked_sub(answers).context("more answers than questions")?;
                    blocks += answers as u64;
                    if self.again {
                        conn.ask(answers)?;
                    }
                }
                // Less than was room for: nothing is left, and the kernel tells when more comes.
                if received < self.buffer.len() {
                    break;
                }
            }
        }
        Ok(blocks)
    }
}

/// Becomes a device that is offered the package, and gives its stream.
fn greet(stream: &mut (impl Read + Write), device: &str) -> anyhow::Result<u32> {
    packets::stream_id(&notice(stream, device)?)
}

/// Becomes a device that is offered the package, and gives its notice.
pub(super) fn notice(stream: &mut (impl Read + Write), device: &str) -> anyhow::Result<Vec<u8>> {
    stream.write_all(&packets::connect(device, 0)?)?;
    stream.write_all(&packets::inform(device, 1, packets::OLD)?)?;
    let (mut notice, mut is_acknowledged) = (None, false);
    loop {
        let bytes = read_packet(stream)?;
        match packets::parse(&bytes)? {
            Packet::ConnAck { code: 0, .. } => {}
            Packet::PubAck { .. } => is_acknowledged = true,
            Packet::Publish(publish) if packets::is_notice(&publish) => notice = Some(publish.payload.into()),
            other => bail!("a notice was expected, not {other:?}"),
        }
        // Either comes first.
        if is_acknowledged && let Some(notice) = notice.take() {
            return Ok(notice);
        }
    }
}

fn subscribe(stream: &mut (impl Read + Write), device: &str) -> anyhow::Result<u32> {
    stream.write_all(&packets::connect_as(device, None, 0)?)?;
    stream.write_all(&packets::subscribe(&packets::topic(Kind::FileDownloadReply, device))?)?;
    for _ in 0..2 {
        match packets::parse(&read_packet(stream)?)? {
            Packet::ConnAck { code: 0, .. } | Packet::SubAck(_) => {}
            other => bail!("a SUBACK was expected, not {other:?}"),
        }
    }
    Ok(1_000_000)
}

fn read_packet(stream: &mut impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![0; 2];
    stream.read_exact(&mut bytes)?;
    loop {
        match mqtt::frame_len(&bytes, 1024 * 1024)? {
            None => {
                let mut next = [0];
                stream.read_exact(&mut next)?;
                bytes.push(next[0]);
            }
            Some(length) => {
                let from = bytes.len();
                bytes.resize(length, 0);
                stream.read_exact(&mut bytes[from..])?;
                return Ok(bytes);
            }
        }
    }
}

fn check_frame(bytes: &[u8], expected: &[u8]) -> anyhow::Result<usize> {
    let publish = match packets::parse(bytes)? {
        Packet::Publish(publish) => publish,
        other => bail!("a block was expected, not {other:?}"),
    };
    match Frame::parse(publish.payload)? {
        Frame::Block { data, .. } if data == expected => Ok(bytes.len()),
        Frame::Block { head, .. } => bail!("wrong bytes in {head:?}"),
        error => bail!("a block was expected, not {error:?}"),
    }
}

fn check_range(stream: &mut impl Read, expected: &[u8]) -> anyhow::Result<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut next = [0];
        stream.read_exact(&mut next)?;
        head.push(next[0]);
    }
    ensure!(head.starts_with(b"HTTP/1.1 206"), "no range: {}", String::from_utf8_lossy(&head));
    let mut data = vec![0; expected.len()];
    stream.read_exact(&mut data)?;
    ensure!(data == expected, "wrong bytes in a range");
    Ok(head.len() + data.len())
}
