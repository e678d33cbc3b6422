//! An append-only log of which the newest entry counts.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_storage::nor_flash::NorFlash;

use super::region::Region;

const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Bytes of an entry beside what it carries: its number before, its checksum behind.
const AROUND: usize = 8;

/// The most bytes that an entry takes.
const LARGEST: usize = 64;

/// What an erased byte reads as.
pub(crate) const BLANK: u8 = 0xFF;

/// A ring of two sectors or more with entries of `N` bytes.
///
/// A sector is erased right before its first entry is written, while the newest entry is in another one; everything
/// else is appended. So the newest whole entry is never at risk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log<const N: usize> {
    region: Region,
    /// Where the next entry goes, unless that place turns out to be spoilt.
    next: u32,
    number: u32,
}

impl<const N: usize> Log<N> {
    /// Finds the newest entry. A place that cannot be read is a spoilt one.
    pub(crate) fn open<F: NorFlash>(flash: &mut F, region: Region) -> (Self, Option<[u8; N]>) {
        let mut log = Self { region, next: region.start, number: 0 };
        let mut newest = None;
        for sector in (region.start..region.end()).step_by(F::ERASE_SIZE) {
            let used = places::<F, N>()
                .take_while(|place| !matches!(read::<F, N>(flash, sector + place), Ok(None)))
                .count();
            // The numbers of a sector only grow, so only its last whole entry is of interest.
            let last = places::<F, N>().take(used).rev().find_map(|place| {
                let bytes = read::<F, N>(flash, sector + place).ok()??;
                entry(&bytes).map(|entry| (sector + place, entry))
            });
            if let Some((at, (number, payload))) = last
                && (newest.is_none() || number > log.number)
            {
                newest = Some(payload);
                log.number = number;
                log.next = log.after::<F>(at);
            }
        }
        (log, newest)
    }

    /// Makes this the newest entry.
    pub(crate) fn append<F: NorFlash>(&mut self, flash: &mut F, payload: &[u8; N]) -> Result<(), F::Error> {
        while !self.is_at_start_of_sector::<F>() && !matches!(read::<F, N>(flash, self.next), Ok(None)) {
            self.next = self.after::<F>(self.next);
        }
        if self.is_at_start_of_sector::<F>() {
            flash.erase(self.next, self.next + F::ERASE_SIZE as u32)?;
        }
        let number = self.number.wrapping_add(1);
        let mut bytes = [BLANK; LARGEST];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        bytes[4..4 + N].copy_from_slice(payload);
        let crc = CRC.checksum(&bytes[..4 + N]);
        bytes[4 + N..N + AROUND].copy_from_slice(&crc.to_le_bytes());
        flash.write(self.next, &bytes[..entry_len::<F, N>()])?;
        self.number = number;
        self.next = self.after::<F>(self.next);
        Ok(())
    }

    fn is_at_start_of_sector<F: NorFlash>(&self) -> bool {
        self.next.is_multiple_of(F::ERASE_SIZE as u32)
    }

    /// The place after this one: in the same sector, or the first of the next.
    fn after<F: NorFlash>(&self, at: u32) -> u32 {
        let (len, size) = (entry_len::<F, N>() as u32, F::ERASE_SIZE as u32);
        let sector = at - at % size;
        match at + len {
            next if next + len <= sector + size => next,
            _ if sector + size < self.region.end() => sector + size,
            _ => self.region.start,
        }
    }
}

/// Bytes that an entry takes: whole units of the flash.
fn entry_len<F: NorFlash, const N: usize>() -> usize {
    (N + AROUND).next_multiple_of(F::WRITE_SIZE.max(F::READ_SIZE))
}

/// Offsets of the entries in a sector.
fn places<F: NorFlash, const N: usize>() -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator {
    let len = entry_len::<F, N>();
    (0..F::ERASE_SIZE / len).map(move |index| (index * len) as u32)
}

/// The bytes of a place, or `None` if it is blank.
fn read<F: NorFlash, const N: usize>(flash: &mut F, at: u32) -> Result<Option<[u8; LARGEST]>, F::Error> {
    let mut bytes = [BLANK; LARGEST];
    flash.read(at, &mut bytes[..entry_len::<F, N>()])?;
    Ok(bytes.iter().any(|byte| *byte != BLANK).then_some(bytes))
}

/// The number and the payload of an entry, or `None` if it is spoilt.
fn entry<const N: usize>(bytes: &[u8; LARGEST]) -> Option<(u32, [u8; N])> {
    let (body, rest) = bytes.split_at(4 + N);
    if CRC.checksum(body).to_le_bytes() != rest[..4] {
        return None;
    }
    Some((u32::from_le_bytes(body[..4].try_into().ok()?), body[4..].try_into().ok()?))
}
