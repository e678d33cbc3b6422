//! The second flash: two chips side by side with Intel's commands, which QEMU emulates.
//!
//! QEMU is kinder than a chip: programming replaces bytes instead of clearing bits. So the driver itself refuses what
//! a chip would spoil.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

use crate::machine::Bank;

/// Bytes that are erased at once.
pub const SECTOR: u32 = 256 << 10;

/// Bytes that are programmed with one command.
const BUFFER: u32 = 2048;

const READ_ARRAY: u32 = 0xFF;
const ERASE: u32 = 0x20;
const PROGRAM: u32 = 0xE8;
const CONFIRM: u32 = 0xD0;
const READY: u32 = 0x80;
const TROUBLE: u32 = 0x3A;

/// Why the flash does not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// Not at a place where this is possible.
    Place(NorFlashErrorKind),
    /// The word at this offset was programmed since its sector was erased.
    NotBlank(u32),
    /// The chips say so, with this status.
    Chip(u32),
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        if let Self::Place(kind) = self { *kind } else { NorFlashErrorKind::Other }
    }
}

/// The flash that holds everything but the bootloader.
pub struct Flash {
    bank: Bank,
}

impl Flash {
    /// Takes the flash.
    pub fn new(bank: Bank) -> Self {
        Self { bank }
    }

    /// The chips, to be read by others.
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Both chips get the command.
    fn command(&mut self, at: u32, command: u32) {
        self.bank.put(at, command | command << 16);
    }

    /// Waits for both chips, and lets the flash be read again.
    fn finish(&mut self, at: u32) -> Result<(), FlashError> {
        let both = READY | READY << 16;
        let mut status = self.bank.get(at);
        while status & both != both {
            status = self.bank.get(at);
        }
        self.command(at, READ_ARRAY);
        if status & (TROUBLE | TROUBLE << 16) == 0 { Ok(()) } else { Err(FlashError::Chip(status)) }
    }

    /// Programs bytes that lie in one buffer of the chips.
    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let words = || (at..).step_by(4).zip(bytes.chunks_exact(4));
        if let Some((used, _)) = words().find(|(at, _)| self.bank.get(*at) != u32::MAX) {
            return Err(FlashError::NotBlank(used));
        }
        self.command(at, PROGRAM);
        self.command(at, bytes.len() as u32 / 4 - 1);
        for (at, word) in words() {
            self.bank.put(at, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
        self.command(at, CONFIRM);
        self.finish(at)
    }
}

impl ErrorType for Flash {
    type Error = FlashError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        check_read(self, offset, bytes.len()).map_err(FlashError::Place)?;
        for (at, word) in (offset..).step_by(4).zip(bytes.chunks_exact_mut(4)) {
            word.copy_from_slice(&self.bank.get(at).to_le_bytes());
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        Bank::LEN as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to).map_err(FlashError::Place)?;
        for sector in (from..to).step_by(Self::ERASE_SIZE) {
            self.command(sector, ERASE);
            self.command(sector, CONFIRM);
            self.finish(sector)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len()).map_err(FlashError::Place)?;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let room = (BUFFER - at % BUFFER) as usize;
            let (now, later) = rest.split_at(rest.len().min(room));
            self.program(at, now)?;
            at += now.len() as u32;
            rest = later;
        }
        Ok(())
    }
}
