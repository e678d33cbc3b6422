//! New numbers, and how a number looks outside.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use rollout::{Id, Ms};

/// Gives numbers that grow with time: 43 bits of milliseconds, 20 bits that start at random in
/// each millisecond and count up. Two generators that meet in one millisecond differ by chance
/// only as far as their random starts do, so an installation's rows are also unique by key.
#[derive(Debug, Default)]
pub(crate) struct IdSource {
    last: Mutex<Id>,
}

const LOW_BITS: u32 = 20;
/// Half the range, so that there is room to count up.
const RANDOM_START: u64 = (1 << (LOW_BITS - 1)) - 1;

impl IdSource {
    /// The next number at `now`.
    pub(crate) fn next(&self, now: Ms) -> Id {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let newer = now > *last >> LOW_BITS;
        *last = if newer { (now << LOW_BITS) | (random_u64() & RANDOM_START) as i64 } else { *last + 1 };
        *last
    }
}

/// Eight bytes from the system's generator.
pub(crate) fn random_u64() -> u64 {
    u64::from_le_bytes(random_bytes())
}

/// Bytes from the system's generator.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // A machine without a random generator cannot keep a secret: there is nothing to fall back to.
    getrandom::fill(&mut bytes).expect("the system's random generator does not answer");
    bytes
}

/// What a number outside belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// `pkg_…`
    Package,
    /// `job_…`
    Job,
    /// `tsk_…`
    Task,
    /// `upl_…`
    Upload,
    /// `cfg_…`
    Configuration,
    /// `dev_…`
    Device,
}

impl IdKind {
    const ALL: [Self; 6] =
        [Self::Package, Self::Job, Self::Task, Self::Upload, Self::Configuration, Self::Device];

    /// The letters before the underscore.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Package => "pkg",
            Self::Job => "job",
            Self::Task => "tsk",
            Self::Upload => "upl",
            Self::Configuration => "cfg",
            Self::Device => "dev",
        }
    }

    /// The text of a number.
    pub fn text(self, id: Id) -> String {
        PublicId { kind: self, id }.to_string()
    }

    /// The number of a text, if it is one of this kind.
    pub fn parse(self, text: &str) -> Option<Id> {
        text.parse::<PublicId>().ok().filter(|p| p.kind == self).map(|p| p.id)
    }
}

/// A number as it looks outside: a prefix and 13 digits that sort like the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicId {
    /// What it belongs to.
    pub kind: IdKind,
    /// The number.
    pub id: Id,
}

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_", self.kind.prefix())?;
        (0..13).rev().try_for_each(|i| {
            let digit = (self.id as u64 >> (5 * i)) & 31;
            write!(f, "{}", char::from(DIGITS[digit as usize]))
        })
    }
}

impl FromStr for PublicId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (prefix, digits) = text.split_once('_').ok_or(())?;
        let kind = IdKind::ALL.into_iter().find(|kind| kind.prefix() == prefix).ok_or(())?;
        if digits.len() != 13 {
            return Err(());
        }
        let id = digits.bytes().try_fold(0_u64, |id, byte| {
            let digit = DIGITS.iter().position(|d| *d == byte)? as u64;
            id.checked_mul(32).map(|id| id | digit)
        });
        let id = id.and_then(|id| Id::try_from(id).ok()).ok_or(())?;
        Ok(Self { kind, id })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_grow_and_their_texts_sort_alike() {
        let ids = IdSource::default();
        let made: Vec<Id> = (0..5_000).map(|i| ids.next(1_700_000_000_000 + i / 1_000)).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        let texts: Vec<String> = made.iter().map(|id| IdKind::Job.text(*id)).collect();
        assert!(texts.is_sorted());
        for (id, text) in made.iter().zip(&texts) {
            assert_eq!(IdKind::Job.parse(text), Some(*id));
        }
    }

    #[test]
    fn a_text_of_another_kind_or_shape_is_no_number() {
        let text = IdKind::Job.text(77);
        assert_eq!(IdKind::Task.parse(&text), None);
        for wrong in ["", "job_", "job_77", "job_zzzzzzzzzzzzz", "job_000000000000u", "job_0000000000000 "] {
            assert_eq!(IdKind::Job.parse(wrong), None, "{wrong}");
        }
    }
}
