//! A part behind a serial line (docs/mcu-serial.md): who is there, and passing an image on. What "by contract" means here
//! is said in `calls.rs`.
#![allow(clippy::missing_safety_doc, reason = "it is the same for all of them")]

use core::ffi::c_char;
use core::ptr::null;

use device::mcu::{Event, FRAME_SIZE, Host, Image, Output, Phase};
use embedded_storage::nor_flash::ReadNorFlash;
use sha2::{Digest as _, Sha256};

use crate::fault::{Code, Fault};
use crate::flash::{Flash, FlashError, Functions, OTARU_READ_UNIT};
use crate::line::{Line, bytes, check, text};
use crate::sealed::{self, Memory};

/// Words of an `otaru_mcu`, of 8 bytes: enough for every processor.
pub const OTARU_MCU_WORDS: usize = 192;

/// A conversation with a part behind a serial line. Its memory is the caller's, and stays where it is until the
/// conversation is over: a copy is none.
#[derive(Debug)]
#[repr(C)]
pub struct Mcu {
    words: [u64; OTARU_MCU_WORDS],
}

/// What is to be done next in a conversation with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum McuKind {
    /// Nothing until `until`, or until bytes have come.
    OtaruMcuWait = 0,
    /// Send these `len` bytes at `data`, all of them, before the next `otaru_mcu_poll`.
    OtaruMcuSend = 1,
    /// It is over: the application answered, and says in `text` of which version it is. If an image was passed on, that is
    /// the one it was to be.
    OtaruMcuRuns = 2,
    /// It is over: the part's loader answered, and waits for an image.
    OtaruMcuLoader = 3,
    /// It is over, and failed for the reason in `text`.
    OtaruMcuFailed = 4,
}

/// What is to be done next. Texts and bytes stay as they are until the next `otaru_mcu_poll`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct McuTodo {
    /// What it is.
    pub kind: McuKind,
    /// Until when nothing is to be done, in milliseconds of the caller's clock.
    pub until: u64,
    /// Bytes to send.
    pub data: *const u8,
    /// How many.
    pub len: usize,
    /// In words.
    pub text: *const c_char,
}

/// What is in an [`Mcu`].
pub(crate) struct Kept {
    host: Host<'static>,
    image: Option<Stored>,
    out: [u8; FRAME_SIZE],
    text: Line<160>,
}

/// Where the image is.
struct Stored {
    flash: Functions,
    offset: u32,
}

impl Memory for Mcu {
    type Kept = Kept;
    const MARK: usize = 0x07A2_03C0;
}

impl Stored {
    /// Reads this much of the image. What the flash reads is a multiple of its unit.
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let whole = bytes.len() - bytes.len() % OTARU_READ_UNIT;
        let (start, rest) = bytes.split_at_mut(whole);
        let at = self.offset + offset;
        if !start.is_empty() {
            self.flash.read(at, start)?;
        }
        if !rest.is_empty() {
            let mut last = [0; OTARU_READ_UNIT];
            self.flash.read(at + whole as u32, &mut last)?;
            rest.copy_from_slice(&last[..rest.len()]);
        }
        Ok(())
    }

    /// Describes the image of so many bytes.
    fn describe(&mut self, size: u32) -> Result<Image, Fault> {
        let mut hasher = Sha256::new();
        let mut buffer = [0; 256];
        for offset in (0..size).step_by(buffer.len()) {
            let part = &mut buffer[..256.min((size - offset) as usize)];
            self.read(offset, part).map_err(device::flash::Error::Flash)?;
            hasher.update(part);
        }
        let empty = Fault::Argument("an image has at least one byte");
        Image::new(size, wire::message::Digest::Sha256, &hasher.finalize()).ok_or(empty)
    }
}

/// Begins to ask a part who it is. `size` is `sizeof(otaru_mcu)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_mcu_ask(mcu: *mut Mcu, size: usize) -> Code {
    let work = || Ok(Kept { host: Host::ask(), image: None, out: [0; FRAME_SIZE], text: Line::EMPTY });
    // SAFETY: by contract.
    unsafe { sealed::make(mcu, size, work) }
}

/// Begins to pass an image on to a part: `image` bytes at `offset` of the flash, whose application says that it is of version
/// `version`, which stays where it is, unchanged, until the conversation is over. `size` is `sizeof(otaru_mcu)`. Reads the
/// image once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_mcu_pass_on(
    mcu: *mut Mcu,
    size: usize,
    flash: *const Flash,
    offset: u32,
    image: u32,
    version: *const c_char,
) -> Code {
    let work = || {
        // SAFETY: by contract.
        let flash = unsafe { Functions::at(flash) }?;
        // SAFETY: by contract.
        let version = unsafe { text(version, "version") }?;
        let end = offset.checked_add(image).map(|end| end as usize);
        if end.is_none_or(|end| end > flash.capacity()) || !offset.is_multiple_of(OTARU_READ_UNIT as u32) {
            return Err(Fault::Argument("the image does not lie in the flash, or not at a multiple of 4"));
        }
        let mut stored = Stored { flash, offset };
        let host = Host::pass_on(stored.describe(image)?, version);
        Ok(Kept { host, image: Some(stored), out: [0; FRAME_SIZE], text: Line::EMPTY })
    };
    // SAFETY: by contract.
    unsafe { sealed::make(mcu, size, work) }
}

/// These bytes came on the line.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_mcu_received(mcu: *mut Mcu, now: u64, data: *const u8, len: usize) -> Code {
    let work = |kept: &mut Kept| {
        // SAFETY: by contract.
        let data = unsafe { bytes(data, len, "data") }?;
        kept.host.handle(in_time(now)?, data);
        Ok(())
    };
    // SAFETY: by contract.
    unsafe { sealed::enter(mcu, work) }
}

/// What to do next, at this time in milliseconds of any clock that does not run backwards. To be called until it says
/// OTARU_MCU_WAIT, after bytes were received and when the time it named has come. One that is over stays so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_mcu_poll(mcu: *mut Mcu, now: u64, todo: *mut McuTodo) -> Code {
    let work = |kept: &mut Kept| {
        check(todo, "todo")?;
        let next = kept.next(in_time(now)?);
        // SAFETY: not null, aligned, and by contract the caller's.
        unsafe { todo.write(next) };
        Ok(())
    };
    // SAFETY: by contract.
    unsafe { sealed::enter(mcu, work) }
}

/// Why the last call here that did not return OTARU_OK was refused or failed. Never NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_mcu_error(mcu: *const Mcu) -> *const c_char {
    // SAFETY: by contract.
    unsafe { sealed::why(mcu) }
}

fn in_time(now: u64) -> Result<u64, Fault> {
    if now > i64::MAX as u64 {
        Err(Fault::Argument("the time is beyond what a clock can show"))
    } else {
        Ok(now)
    }
}

impl Kept {
    fn next(&mut self, now: u64) -> McuTodo {
        let Self { host, image, out, text } = self;
        let read = |offset: u32, bytes: &mut [u8]| match image {
            Some(image) => image.read(offset, bytes).map_err(drop),
            None => Err(()),
        };
        let mut todo = McuTodo { kind: McuKind::OtaruMcuWait, until: 0, data: null(), len: 0, text: null() };
        match host.poll(now, read, out) {
            Output::Send(frame) => {
                todo.kind = McuKind::OtaruMcuSend;
                (todo.data, todo.len) = (frame.as_ptr(), frame.len());
            }
            Output::Wait(until) => todo.until = until,
            Output::End(Event::Answered(Phase::Running, version)) => {
                todo.kind = McuKind::OtaruMcuRuns;
                *text = Line::of(version);
            }
            Output::End(Event::Answered(..)) => todo.kind = McuKind::OtaruMcuLoader,
            Output::End(Event::Failed(failure)) => {
                todo.kind = McuKind::OtaruMcuFailed;
                *text = Line::of(failure);
            }
        }
        todo.text = text.place();
        todo
    }
}
