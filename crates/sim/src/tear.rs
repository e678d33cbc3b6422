//! What a power cut leaves of an operation.

use core::fmt;

/// What a power cut leaves of the write or the erase of a sector that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// Nothing was done.
    Before,
    /// It was done, and nothing after it.
    After,
    /// Whole units from the start were done.
    Prefix,
    /// As `Prefix`; of the next unit some of the bits are programmed. Of a sector, random units are erased.
    LastUnit,
    /// As `Prefix`; the next unit holds anything. In a sector being erased random bits are 1 already.
    Wild,
    /// As `Prefix`; the next unit cannot be read until it is erased, as on flash with error correction.
    Unreadable,
    /// It was done, and while the power was off one bit changed where the image to fall back to is not.
    Rot,
}

impl Tear {
    /// Those that end with the power going.
    pub const CUTS: [Self; 6] =
        [Self::Before, Self::After, Self::Prefix, Self::LastUnit, Self::Wild, Self::Unreadable];
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Before, Self::After, Self::Prefix, Self::LastUnit, Self::Wild, Self::Unreadable, Self::Rot];
}

impl fmt::Display for Tear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before it",
            Self::After => "after it",
            Self::Prefix => "inside it, a part done",
            Self::LastUnit => "inside it, a unit half programmed or units left out",
            Self::Wild => "inside it, a unit holding anything",
            Self::Unreadable => "inside it, a unit left unreadable",
            Self::Rot => "after it, one bit rotten",
        })
    }
}
