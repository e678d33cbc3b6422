//! What can go wrong with slots and downloads.

use core::fmt;

use super::region::BadLayout;

/// Why something could not be done. `E` is the flash's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The flash says so.
    Flash(E),
    /// The regions cannot be used.
    Layout(BadLayout),
    /// The boot log holds no whole entry: the device was never provisioned, or the flash cannot be read.
    Empty,
    /// No slot holds a whole image.
    NoImage,
    /// No slot is free: the running image is on trial, or in the only slot.
    NoSpare,
    /// There is nothing to confirm or to give up.
    NotOnTrial,
    /// More bytes than the slot has.
    TooLarge {
        /// Bytes wanted.
        size: u32,
        /// Bytes of the slot.
        slot: u32,
    },
    /// Not where the flash can be written or read.
    Unaligned {
        /// The offset in the slot.
        offset: u32,
        /// What it must be a multiple of.
        unit: u32,
    },
}

impl<E> From<BadLayout> for Error<E> {
    fn from(bad: BadLayout) -> Self {
        Self::Layout(bad)
    }
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the flash fails: {error:?}"),
            Self::Layout(bad) => bad.fmt(f),
            Self::Empty => f.write_str("the boot log holds no whole entry: the device was never provisioned, or its flash cannot be read"),
            Self::NoImage => f.write_str("no slot holds a whole image"),
            Self::NoSpare => {
                f.write_str("no slot is free: the running image is on trial and must be confirmed first, or it is in the only slot")
            }
            Self::NotOnTrial => f.write_str("the running image is not on trial"),
            Self::TooLarge { size, slot } => write!(f, "{size} bytes do not fit into a slot of {slot}"),
            Self::Unaligned { offset, unit } => {
                write!(f, "{offset} is not a multiple of {unit}, the smallest unit of the flash")
            }
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}
