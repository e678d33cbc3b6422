//! The flash, as three functions of C.

use core::ffi::c_void;
use core::fmt;

use device::flash;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

use crate::fault::Fault;
use crate::line::value;

/// The flash's sector for this library, in bytes: erases come in multiples of it. Smaller sectors of a chip must divide
/// it.
pub const OTARU_SECTOR: usize = 4096;

/// Writes begin at a multiple of this and come in multiples of it, in bytes: as much as the largest unit that a chip
/// may have, so that every chip with a smaller one will do.
pub const OTARU_WRITE_UNIT: usize = 32;

/// Reads begin at a multiple of this and come in multiples of it, in bytes.
pub const OTARU_READ_UNIT: usize = 4;

/// A flash, or as much of it as the device may touch. Offsets are the caller's: from the start of the chip, of a
/// partition, or of whatever the functions make of them.
///
/// Each function returns 0 when it is done, or another number, which is told to the platform. They must not call any
/// function of this library.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Flash {
    /// Handed to the functions as it is.
    pub context: *mut c_void,
    /// Bytes of the flash.
    pub capacity: u32,
    /// Reads `len` bytes at `offset`.
    pub read:
        Option<unsafe extern "C" fn(context: *mut c_void, offset: u32, bytes: *mut u8, len: usize) -> i32>,
    /// Writes `len` bytes at `offset`, durably. They were erased before and are written once.
    pub write:
        Option<unsafe extern "C" fn(context: *mut c_void, offset: u32, bytes: *const u8, len: usize) -> i32>,
    /// Erases `len` bytes at `offset`: afterwards all bits are 1.
    pub erase: Option<unsafe extern "C" fn(context: *mut c_void, offset: u32, len: usize) -> i32>,
}

/// Some whole sectors of the flash.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Region {
    /// Offset of the first byte.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

impl From<Region> for flash::Region {
    fn from(Region { start, len }: Region) -> Self {
        Self { start, len }
    }
}

/// A [`Flash`] with all of its functions.
pub(crate) struct Functions(Flash);

impl Functions {
    /// # Safety
    /// `flash` is null or points to a [`Flash`], for which the contract of [`Functions::new`] holds.
    pub(crate) unsafe fn at(flash: *const Flash) -> Result<Self, Fault> {
        // SAFETY: by contract null or a whole `Flash`, of which any bytes are one.
        let flash = unsafe { value(flash, "flash") }?;
        // SAFETY: by contract.
        unsafe { Self::new(*flash) }
    }

    /// # Safety
    /// The functions that are there do what [`Flash`] says of them, for as long as this is used.
    pub(crate) unsafe fn new(flash: Flash) -> Result<Self, Fault> {
        match flash {
            Flash { read: None, .. } => Err(Fault::Missing("the flash's function read")),
            Flash { write: None, .. } => Err(Fault::Missing("the flash's function write")),
            Flash { erase: None, .. } => Err(Fault::Missing("the flash's function erase")),
            flash => Ok(Self(flash)),
        }
    }
}

/// What a function of the flash returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlashError {
    function: &'static str,
    returned: i32,
}

impl fmt::Debug for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} returned {}", self.function, self.returned)
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

fn done(function: &'static str, returned: Option<i32>) -> Result<(), FlashError> {
    match returned {
        Some(0) => Ok(()),
        returned => Err(FlashError { function, returned: returned.unwrap_or(-1) }),
    }
}

impl ErrorType for Functions {
    type Error = FlashError;
}

impl ReadNorFlash for Functions {
    const READ_SIZE: usize = OTARU_READ_UNIT;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let Flash { context, read, .. } = self.0;
        // SAFETY: `new` was promised that the function may be called so; these bytes can be written for as long as it runs.
        done("read", read.map(|read| unsafe { read(context, offset, bytes.as_mut_ptr(), bytes.len()) }))
    }

    fn capacity(&self) -> usize {
        self.0.capacity as usize
    }
}

impl NorFlash for Functions {
    const WRITE_SIZE: usize = OTARU_WRITE_UNIT;
    const ERASE_SIZE: usize = OTARU_SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let Flash { context, erase, .. } = self.0;
        let len = to.saturating_sub(from) as usize;
        // SAFETY: `new` was promised that the function may be called so.
        done("erase", erase.map(|erase| unsafe { erase(context, from, len) }))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let Flash { context, write, .. } = self.0;
        // SAFETY: `new` was promised that the function may be called so; these bytes can be read for as long as it runs.
        done("write", write.map(|write| unsafe { write(context, offset, bytes.as_ptr(), bytes.len()) }))
    }
}
