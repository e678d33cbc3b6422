//! The firmware's logic on a computer: its flash is a file, its network the computer's, its microcontroller one of the
//! crate `sim`. Before each start stands Espressif's bootloader, as a model. Ending the program is cutting the power.
//!
//! usage: desk FLASH [--crashes VERSION] [--deaf VERSION] [--drops MS] [--part VERSION]...
//!        desk --part-image VERSION > image.bin
//!
//! An image of a version that crashes never gets anywhere, a deaf one finds no network; both are left again. With drops
//! the network is gone for a moment after so many milliseconds, again and again. The part behind the serial line is there if there are versions for it, which are those of `sim::mcu::image`.

use std::error::Error;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use device::flash::Region;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use otaru_esp32_logic::{Board, Connection, Home, Settings, Table, run};
use sha2::{Digest as _, Sha256};
use sim::mcu::{Part, image};

const SECTOR: u32 = 4096;

/// Bytes of an image for the part.
const PART: u32 = 40_000;

/// How much faster the clock of a deaf image goes, so that its trial does not take minutes.
const HURRY: u64 = 200;

/// Milliseconds that a network which drops is gone.
const GONE: u64 = 200;

/// Bytes that come in a millisecond at most, as over a radio.
const SPEED: usize = 400;

struct Flash(File, u32);

#[derive(Debug)]
struct Fault(NorFlashErrorKind);

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        self.0
    }
}

impl ErrorType for Flash {
    type Error = Fault;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        check_read(self, offset, bytes.len()).map_err(Fault)?;
        self.0.read_exact_at(bytes, offset.into()).map_err(|_| Fault(NorFlashErrorKind::Other))
    }

    fn capacity(&self) -> usize {
        self.1 as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        check_erase(self, from, to).map_err(Fault)?;
        let blank = vec![0xFF; (to - from) as usize];
        self.0.write_all_at(&blank, from.into()).map_err(|_| Fault(NorFlashErrorKind::Other))
    }

    /// As a chip does: bits are only cleared.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        check_write(self, offset, bytes.len()).map_err(Fault)?;
        let mut there = vec![0; bytes.len()];
        self.read(offset, &mut there)?;
        let cleared: Vec<u8> = there.iter().zip(bytes).map(|(old, new)| old & new).collect();
        self.0.write_all_at(&cleared, offset.into()).map_err(|_| Fault(NorFlashErrorKind::Other))
    }
}

impl Flash {
    fn bytes(&mut self, at: u32, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read(at, &mut bytes).expect("inside the flash");
        bytes
    }

    fn word(&mut self, at: u32) -> u32 {
        u32::from_le_bytes(self.bytes(at, 4).try_into().expect("four bytes"))
    }

    /// Whether an image lies here whose digest is right, as the bootloader sees it.
    fn is_whole(&mut self, slot: Region) -> bool {
        let head = self.bytes(slot.start, 24);
        let mut end = slot.start + 24;
        if head[0] != 0xE9 || head[23] != 1 {
            return false;
        }
        for _ in 0..head[1] {
            end = end.saturating_add(8).saturating_add(self.word(end + 4));
            if end >= slot.end() {
                return false;
            }
        }
        // The last byte of a multiple of 16 is a checksum, and after it comes the digest.
        let len = (end - slot.start + 16) / 16 * 16;
        let image = self.bytes(slot.start, len as usize);
        self.bytes(slot.start + len, 32) == Sha256::digest(&image)[..]
    }

    fn version(&mut self, slot: Region) -> String {
        let text = self.bytes(slot.start + 48, 32);
        String::from_utf8_lossy(text.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
    }

    /// Which slot the bootloader starts. It is built with rollback.
    fn boot(&mut self, table: &Table) -> usize {
        let mut valid = Vec::new();
        for at in [table.otadata.start, table.otadata.start + SECTOR] {
            let (sequence, state, crc) = (self.word(at), self.word(at + 24), self.word(at + 28));
            let state = if state == 1 { self.set_state(at, 4) } else { state };
            if sequence != u32::MAX && crc == checksum(&sequence.to_le_bytes()) && ![3, 4].contains(&state) {
                valid.push((sequence, state, at));
            }
        }
        let Some((sequence, state, at)) = valid.into_iter().max() else { return 0 };
        if state == 0 {
            self.set_state(at, 1);
        }
        let chosen = (sequence as usize - 1) % table.slots.len();
        let whole = |slot: &usize| self.is_whole(table.slots[*slot]);
        [chosen].into_iter().chain(0..table.slots.len()).find(whole).expect("an image that is whole")
    }

    fn set_state(&mut self, at: u32, state: u32) -> u32 {
        let mut entry = self.bytes(at, 32);
        entry[24..28].copy_from_slice(&state.to_le_bytes());
        self.erase(at, at + SECTOR).expect("inside the flash");
        self.write(at, &entry).expect("inside the flash");
        state
    }
}

/// Bit by bit, and apart from the crates under test.
fn checksum(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

struct Desk {
    switched_on: Instant,
    /// When this image started.
    started: Instant,
    is_deaf: bool,
    /// Milliseconds that the network is there at a time, if not always.
    drops: Option<u64>,
    stream: Option<TcpStream>,
    /// When bytes were received last.
    received: Instant,
    part: Option<Part>,
    /// What the part has sent.
    line: Vec<u8>,
}

impl Board for Desk {
    fn now(&mut self) -> u64 {
        let factor = if self.is_deaf { HURRY } else { 1 };
        self.started.elapsed().as_millis() as u64 * factor
    }

    fn poll(&mut self) {
        if !self.is_up() {
            self.stream = None;
        }
    }

    #[allow(clippy::disallowed_methods, reason = "there is no runtime here")]
    fn rest(&mut self) {
        std::thread::sleep(Duration::from_millis(1));
    }

    fn is_up(&mut self) -> bool {
        let since = self.started.elapsed().as_millis() as u64;
        !self.is_deaf && self.drops.is_none_or(|drops| since % (drops + GONE) < drops)
    }

    fn open(&mut self, host: &str, port: u16) {
        self.stream = TcpStream::connect((host, port)).ok();
        if let Some(stream) = &self.stream {
            stream.set_nonblocking(true).expect("a socket of our own");
            stream.set_nodelay(true).expect("a socket of our own");
        }
    }

    fn connection(&mut self) -> Connection {
        if self.stream.is_some() { Connection::Open } else { Connection::Closed }
    }

    fn room(&mut self) -> usize {
        4096
    }

    fn send(&mut self, bytes: &[u8]) {
        if self.stream.as_mut().is_some_and(|stream| stream.write_all(bytes).is_err()) {
            self.stream = None;
        }
    }

    fn receive(&mut self, into: &mut [u8]) -> usize {
        let allowed = self.received.elapsed().as_millis() as usize * SPEED;
        let len = into.len().min(allowed);
        let Some(stream) = self.stream.as_mut().filter(|_| len > 0) else { return 0 };
        match stream.read(&mut into[..len]) {
            Ok(len) if len > 0 => {
                self.received = Instant::now();
                len
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            _ => {
                self.stream = None;
                0
            }
        }
    }

    fn close(&mut self) {
        self.stream = None;
    }

    fn line_send(&mut self, bytes: &[u8]) -> usize {
        if let Some(part) = &mut self.part {
            self.line.extend(part.tick(self.switched_on.elapsed().as_millis() as u64, bytes));
        }
        bytes.len()
    }

    fn line_receive(&mut self, into: &mut [u8]) -> usize {
        self.line_send(&[]);
        let len = into.len().min(self.line.len());
        into[..len].copy_from_slice(&self.line[..len]);
        self.line.drain(..len);
        len
    }

    fn say(&mut self, what: fmt::Arguments<'_>) {
        println!("{what}");
    }
}

/// What the command line says.
#[derive(Default)]
struct Options {
    flash: String,
    crashes: String,
    deaf: String,
    drops: Option<u64>,
    part: Vec<String>,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut options = Self { flash: words.next().unwrap_or_default(), ..Self::default() };
        while let Some(word) = words.next() {
            let value = words.next().ok_or("a value is missing")?;
            match word.as_str() {
                "--crashes" => options.crashes = value,
                "--deaf" => options.deaf = value,
                "--drops" => options.drops = Some(value.parse()?),
                "--part" => options.part.push(value),
                _ => return Err(format!("{word} is not known").into()),
            }
        }
        Ok(options)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, version] = &words[..]
        && word == "--part-image"
    {
        return Ok(std::io::stdout().write_all(&image(version, PART))?);
    }
    live(&Options::read(words.into_iter())?)
}

/// Starts what the bootloader says, again and again.
fn live(options: &Options) -> Result<(), Box<dyn Error>> {
    let file = OpenOptions::new().read(true).write(true).open(&options.flash)?;
    let capacity = u32::try_from(file.metadata()?.len())?;
    let mut flash = Flash(file, capacity);
    let good: Vec<_> = options.part.iter().map(|version| image(version, PART)).collect();
    let part = (!good.is_empty()).then(|| Part::new(&good));
    let now = Instant::now();
    let mut desk = Desk {
        switched_on: now,
        started: now,
        is_deaf: false,
        drops: options.drops,
        stream: None,
        received: now,
        part,
        line: Vec::new(),
    };
    loop {
        let table = Table::read(&mut flash)?;
        let slot = flash.boot(&table);
        let version = flash.version(table.slots[slot]);
        if options.crashes == version {
            continue;
        }
        desk.started = Instant::now();
        desk.is_deaf = options.deaf == version;
        let settings = Settings::read(&mut flash, table.nvs)?;
        let home = Home { table, running: Some(slot as u8), version: &version };
        run(&mut flash, &mut desk, &home, &settings)?;
        println!("restart");
    }
}
