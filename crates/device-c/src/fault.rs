//! What is wrong with a call.

use core::fmt;

use device::flash::Error;
use device::{BadConfig, FRAME_OVERHEAD};

use crate::flash::FlashError;

/// What every function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Code {
    /// Done.
    OtaruOk = 0,
    /// A pointer is null, or a number is none that is possible. Nothing was done.
    OtaruBadArgument = 1,
    /// A text is not UTF-8 or has no end. Nothing was done.
    OtaruBadText = 2,
    /// The device cannot be like this: a name, a version, a size. Nothing was done.
    OtaruBadConfig = 3,
    /// The flash fails, or its regions cannot be used.
    OtaruBadFlash = 4,
    /// Not now: what was called for does not fit what is going on. Nothing was done.
    OtaruNotNow = 5,
    /// The memory is null, not aligned, of another size than the header's, was moved, or was zero and never made ready.
    /// Nothing was done.
    OtaruNoDevice = 6,
    /// One of the flash's functions called back into what it was called from. Nothing was done. Two threads at a time are
    /// not told: take a lock.
    OtaruBusy = 7,
}

/// A call that was refused or failed; its text is what `otaru_error` says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Missing(&'static str),
    Unaligned(&'static str),
    TooLong { what: &'static str, longest: usize },
    NotText(&'static str),
    Argument(&'static str),
    Config(BadConfig),
    Modules { most: usize },
    Block { block: u32, unit: u32 },
    Buffer { size: usize, needed: u32 },
    Flash(Error<FlashError>),
    NotNow(&'static str),
}

impl Fault {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Missing(_) | Self::Unaligned(_) | Self::Argument(_) => Code::OtaruBadArgument,
            Self::TooLong { .. } | Self::NotText(_) => Code::OtaruBadText,
            Self::Config(_) | Self::Modules { .. } | Self::Block { .. } | Self::Buffer { .. } => {
                Code::OtaruBadConfig
            }
            Self::Flash(Error::NotOnTrial | Error::NoSpare) | Self::NotNow(_) => Code::OtaruNotNow,
            Self::Flash(_) => Code::OtaruBadFlash,
        }
    }
}

impl From<BadConfig> for Fault {
    fn from(bad: BadConfig) -> Self {
        Self::Config(bad)
    }
}

impl From<Error<FlashError>> for Fault {
    fn from(error: Error<FlashError>) -> Self {
        Self::Flash(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "{what} is missing (a null pointer)"),
            Self::Unaligned(what) => write!(f, "{what} is not where its type can be (not aligned)"),
            Self::TooLong { what, longest } => write!(f, "{what} is longer than {longest} bytes"),
            Self::NotText(what) => write!(f, "{what} is not UTF-8"),
            Self::Argument(what) | Self::NotNow(what) => f.write_str(what),
            Self::Config(bad) => bad.fmt(f),
            Self::Modules { most } => write!(f, "a device has 1 to {most} modules"),
            Self::Block { block, unit } => {
                write!(f, "blocks of {block} bytes cannot be written: use a multiple of {unit}")
            }
            Self::Buffer { size, needed } => write!(
                f,
                "the buffer has {size} bytes and must have {needed}: the block and {FRAME_OVERHEAD} for what is around it"
            ),
            Self::Flash(error) => error.fmt(f),
        }
    }
}
