//! The microcontroller on the serial line (docs/mcu-serial.md), as far as the flash of this chip goes.

use core::fmt::Write as _;

use device::flash::{Error, Region};
use device::mcu::{Event, FRAME_SIZE, Host, MAX_TEXT, Output, Phase};
use embedded_storage::nor_flash::NorFlash;
use heapless::String;
use wire::block::crc16;
use wire::json::RawStr;

use crate::board::Board;

/// Name of its module.
pub const MODULE: &str = "MCU";

/// Milliseconds that it may take to say who it is when the device starts.
const ASKED: u64 = 3_000;

/// The version that is reported of one that never ran anything.
const LOADER: &str = "loader";

/// Room for the note of its version, which is a multiple of any flash's unit: a length, the version, a checksum.
const NOTE: usize = 96;

/// The version of its application.
pub(crate) type Version = String<MAX_TEXT>;

/// Where its image lies until it has it, and a note of the version that it said last: one that waits in its loader
/// with half an image cannot say what it ran, and one whose line is cut says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) slot: Region,
    note: u32,
}

impl Part {
    /// In this partition, whose last sector is for the note.
    pub(crate) fn new<F: NorFlash>(partition: Region) -> Self {
        let len = partition.len.saturating_sub(F::ERASE_SIZE as u32);
        Self { slot: Region { len, ..partition }, note: partition.start.saturating_add(len) }
    }

    /// The version to report: the one that it says, else the one that it said last. `None` if there seems to be none.
    pub(crate) fn version<F: NorFlash, B: Board>(
        &self,
        flash: &mut F,
        board: &mut B,
    ) -> Result<Option<Version>, Error<F::Error>> {
        let known = self.known(flash)?;
        let (waits, said) = ask(board);
        if let Some(said) = said.as_ref().filter(|said| known.as_ref() != Some(said)) {
            self.note(flash, said)?;
        }
        Ok(said.or(known).or(if waits { Version::try_from(LOADER).ok() } else { None }))
    }

    fn known<F: NorFlash>(&self, flash: &mut F) -> Result<Option<Version>, Error<F::Error>> {
        let mut note = [0; NOTE];
        flash.read(self.note, &mut note).map_err(Error::Flash)?;
        let len = usize::from(note[0]).min(MAX_TEXT);
        let (text, crc) = note[1..].split_at(len);
        let whole = len > 0 && crc[..2] == crc16(text).to_le_bytes();
        let text = core::str::from_utf8(text).ok().filter(|_| whole);
        Ok(text.and_then(reportable))
    }

    fn note<F: NorFlash>(&self, flash: &mut F, version: &Version) -> Result<(), Error<F::Error>> {
        let mut note = [0xFF; NOTE];
        let len = version.len();
        note[0] = len as u8;
        note[1..=len].copy_from_slice(version.as_bytes());
        note[len + 1..len + 3].copy_from_slice(&crc16(version.as_bytes()).to_le_bytes());
        flash.erase(self.note, self.note + F::ERASE_SIZE as u32).map_err(Error::Flash)?;
        flash.write(self.note, &note).map_err(Error::Flash)
    }
}

/// The version, if the platform can be told of it. What a part says is anything at all, and must not keep this device
/// from starting.
fn reportable(text: &str) -> Option<Version> {
    RawStr::plain(text).filter(|_| !text.is_empty())?;
    Version::try_from(text).ok()
}

/// Asks who is there: whether its loader waits, and the version of its application.
fn ask<B: Board>(board: &mut B) -> (bool, Option<Version>) {
    let (mut host, mut out) = (Host::ask(), [0; FRAME_SIZE]);
    let until = board.now() + ASKED;
    loop {
        board.poll();
        let now = board.now();
        let nothing = |_: u32, _: &mut [u8]| Err(());
        match host.poll(now, nothing, &mut out) {
            Output::Send(frame) => send(board, frame),
            Output::Wait(_) if now >= until => return (false, None),
            Output::Wait(_) => listen(board, &mut host),
            Output::End(Event::Answered(Phase::Running, version)) => {
                let said = reportable(version);
                if said.is_none() {
                    board.say(format_args!(
                        "the part says that its version is {version:?}, which cannot be reported"
                    ));
                }
                return (false, said);
            }
            Output::End(_) => return (true, None),
        }
    }
}

/// Sends a frame. What the line does not take is lost, which it must be ready for anyway.
pub(crate) fn send<B: Board>(board: &mut B, frame: &[u8]) {
    let mut rest = frame;
    while let Some(more) = rest.get(board.line_send(rest)..).filter(|more| more.len() < rest.len()) {
        rest = more;
    }
}

/// Hands over what came on the line, or rests.
pub(crate) fn listen<B: Board>(board: &mut B, host: &mut Host<'_>) {
    let mut bytes = [0; 64];
    match board.line_receive(&mut bytes) {
        0 => board.rest(),
        len => {
            let now = board.now();
            host.handle(now, &bytes[..len]);
        }
    }
}

/// What is told of a failure, cut off where it has no room.
pub(crate) fn told(what: impl core::fmt::Display) -> String<160> {
    let mut text = String::new();
    let _ = write!(text, "{what}");
    text
}
