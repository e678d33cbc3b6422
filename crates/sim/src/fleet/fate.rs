//! What becomes of a device in an update.

use crate::Rng;

/// How a device fares with the image. It decides how its task must end, whatever the link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Takes it and runs it.
    Good,
    /// Cannot prepare its slot the first time.
    Hiccup,
    /// Can never prepare its slot.
    WornOut,
    /// Installs it, and comes back with the old version.
    FallsBack,
    /// Installs it, and comes back with a version that nobody meant.
    Strange,
    /// Reports its version and heeds no notice.
    Deaf,
    /// Installs it and is never heard of again.
    Bricked,
}

impl Fate {
    /// Eight of ten devices are good.
    pub fn draw(rng: &mut Rng) -> Self {
        match rng.below(40) {
            0..=1 => Self::Hiccup,
            2 => Self::WornOut,
            3 => Self::FallsBack,
            4 => Self::Strange,
            5 => Self::Deaf,
            6..=7 => Self::Bricked,
            _ => Self::Good,
        }
    }

    /// Whether its slot can be erased for the time with this number, from 1.
    pub(crate) fn erases(self, time: u32) -> bool {
        match self {
            Self::WornOut => false,
            Self::Hiccup => time > 1,
            _ => true,
        }
    }

    /// Whether its update succeeds in the end.
    pub fn succeeds(self) -> bool {
        matches!(self, Self::Good | Self::Hiccup)
    }
}
