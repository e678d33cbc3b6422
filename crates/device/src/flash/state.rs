//! What the boot log remembers.

use core::fmt;

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The one that is not this one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// 0 or 1.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// How sure the device is of the image that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Confirmed,
    /// It is new; after this many more starts without [`crate::flash::BootLog::confirm`] the other one is back.
    Trial {
        /// Starts left.
        left: u8,
    },
    /// It is back because the other one is no good. Tell the platform, then
    /// [`crate::flash::BootLog::acknowledge`].
    RolledBack(Reason),
}

/// Why the device fell back to another image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was started as often as it may be on trial and never confirmed.
    NotConfirmed,
    /// What is in the slot is not what was installed.
    Damaged,
    /// It gave itself up.
    GivenUp,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConfirmed => "the new image was started several times and never confirmed",
            Self::Damaged => "the image in the slot was damaged",
            Self::GivenUp => "the new image gave itself up",
        })
    }
}

/// A whole image: how long it is and what its SHA-256 begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) size: u32,
    pub(crate) digest: [u8; 16],
}

/// One entry of the boot log. It says everything, so that no two places must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) slot: Slot,
    pub(crate) state: State,
    pub(crate) images: [Image; 2],
}

impl Entry {
    pub(crate) const LEN: usize = 44;
    const FORMAT: u8 = 1;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (state, detail) = match self.state {
            State::Confirmed => (1, 0),
            State::Trial { left } => (2, left),
            State::RolledBack(Reason::NotConfirmed) => (3, 1),
            State::RolledBack(Reason::Damaged) => (3, 2),
            State::RolledBack(Reason::GivenUp) => (3, 3),
        };
        bytes[..4].copy_from_slice(&[Self::FORMAT, state, self.slot as u8, detail]);
        for (image, bytes) in self.images.iter().zip(bytes[4..].chunks_exact_mut(20)) {
            bytes[..4].copy_from_slice(&image.size.to_le_bytes());
            bytes[4..].copy_from_slice(&image.digest);
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let [Self::FORMAT, state, slot, detail, ..] = *bytes else { return None };
        let state = match (state, detail) {
            (1, 0) => State::Confirmed,
            (2, left) => State::Trial { left },
            (3, 1) => State::RolledBack(Reason::NotConfirmed),
            (3, 2) => State::RolledBack(Reason::Damaged),
            (3, 3) => State::RolledBack(Reason::GivenUp),
            _ => return None,
        };
        let slot = match slot {
            0 => Slot::A,
            1 => Slot::B,
            _ => return None,
        };
        let mut images = [Image::default(); 2];
        for (image, bytes) in images.iter_mut().zip(bytes[4..].chunks_exact(20)) {
            image.size = u32::from_le_bytes(bytes[..4].try_into().ok()?);
            image.digest.copy_from_slice(&bytes[4..]);
        }
        Some(Self { slot, state, images })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_and_others_are_refused() {
        let images = [Image { size: 7, digest: [1; 16] }, Image { size: 0x0102_0304, digest: [2; 16] }];
        let rolled_back = [Reason::NotConfirmed, Reason::Damaged, Reason::GivenUp].map(State::RolledBack);
        let states = [State::Confirmed, State::Trial { left: 2 }];
        for state in states.into_iter().chain(rolled_back) {
            for slot in [Slot::A, Slot::B] {
                let entry = Entry { slot, state, images };
                assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
            }
        }
        let bytes = Entry { slot: Slot::A, state: State::Confirmed, images }.to_bytes();
        assert_eq!(bytes[..8], [1, 1, 0, 0, 7, 0, 0, 0], "the bytes of docs/device-flash.md");
        for (at, wrong) in [(0, 2), (1, 4), (2, 2), (3, 1)] {
            let mut bytes = bytes;
            bytes[at] = wrong;
            assert_eq!(Entry::from_bytes(&bytes), None);
        }
    }
}
