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
pub(crate) struct Log<const N: usize>(Ring);

impl<const N: usize> Log<N> {
    /// Finds the newest entry. A place that cannot be read is a spoilt one.
    pub(crate) fn open<F: NorFlash>(flash: &mut F, region: Region) -> (Self, Option<[u8; N]>) {
        let (ring, newest) = Ring::open(flash, region, N);
        (Self(ring), newest.and_then(|bytes| bytes[4..4 + N].try_into().ok()))
    }

    /// Makes this the newest entry.
    pub(crate) fn append<F: NorFlash>(&mut self, flash: &mut F, payload: &[u8; N]) -> Result<(), F::Error> {
        self.0.append(flash, payload)
    }
}

/// A log whose entries carry `len` bytes: its code is there once, however many kinds of entries there are.
#[derive(Clone, Copy, Debug)]
struct Ring {
    region: Region,
    len: usize,
    /// Where the next entry goes, unless that place turns out to be spoilt.
    next: u32,
    number: u32,
}

/// The bytes of a place; what is behind its entry is blank.
type Place = [u8; LARGEST];

impl Ring {
    fn open<F: NorFlash>(flash: &mut F, region: Region, len: usize) -> (Self, Option<Place>) {
        let mut ring = Self { region, len, next: region.start, number: 0 };
        let mut newest = None;
        for sector in (region.start..region.end()).step_by(F::ERASE_SIZE) {
            let places = ring.places::<F>();
            let used = places
                .clone()
                .take_while(|place| !matches!(ring.read(flash, sector + place), Ok(None)))
                .count();
            // The numbers of a sector only grow, so only its last whole entry is of interest.
            let last = places.take(used).rev().find_map(|place| {
                let bytes = ring.read(flash, sector + place).ok()??;
                ring.number_of(&bytes).map(|number| (sector + place, number, bytes))
            });
            if let Some((at, number, bytes)) = last
                && (newest.is_none() || number > ring.number)
            {
                newest = Some(bytes);
                ring.number = number;
                ring.next = ring.after::<F>(at);
            }
        }
        (ring, newest)
    }

    fn append<F: NorFlash>(&mut self, flash: &mut F, payload: &[u8]) -> Result<(), F::Error> {
        while !self.is_at_start_of_sector::<F>() && !matches!(self.read(flash, self.next), Ok(None)) {
            self.next = self.after::<F>(self.next);
        }
        if self.is_at_start_of_sector::<F>() {
            flash.erase(self.next, self.next + F::ERASE_SIZE as u32)?;
        }
        let number = self.number.wrapping_add(1);
        let end = 4 + self.len;
        let mut bytes = [BLANK; LARGEST];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        bytes[4..end].copy_from_slice(payload);
        let crc = CRC.checksum(&bytes[..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
        flash.write(self.next, &bytes[..self.entry_len::<F>()])?;
        self.number = number;
        self.next = self.after::<F>(self.next);
        Ok(())
    }

    fn is_at_start_of_sector<F: NorFlash>(&self) -> bool {
        self.next.is_multiple_of(F::ERASE_SIZE as u32)
    }

    /// The place after this one: in the same sector, or the first of the next.
    fn after<F: NorFlash>(&self, at: u32) -> u32 {
        let (len, size) = (self.entry_len::<F>() as u32, F::ERASE_SIZE as u32);
        let sector = at - at % size;
        match at + len {
            next if next + len <= sector + size => next,
            _ if sector + size < self.region.end() => sector + size,
            _ => self.region.start,
        }
    }

    /// Bytes that an entry takes: whole units of the flash.
    fn entry_len<F: NorFlash>(&self) -> usize {
        (self.len + AROUND).next_multiple_of(F::WRITE_SIZE.max(F::READ_SIZE))
    }

    /// Offsets of the entries in a sector.
    fn places<F: NorFlash>(
        &self,
    ) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + Clone + use<F> {
        let len = self.entry_len::<F>();
        (0..F::ERASE_SIZE / len).map(move |index| (index * len) as u32)
    }

    /// The bytes of a place, or `None` if it is blank.
    fn read<F: NorFlash>(&self, flash: &mut F, at: u32) -> Result<Option<Place>, F::Error> {
        let mut bytes = [BLANK; LARGEST];
        flash.read(at, &mut bytes[..self.entry_len::<F>()])?;
        Ok(bytes.iter().any(|byte| *byte != BLANK).then_some(bytes))
    }

    /// The number of an entry, or `None` if it is spoilt.
    fn number_of(&self, bytes: &Place) -> Option<u32> {
        let (body, rest) = bytes.split_at(4 + self.len);
        (CRC.checksum(body).to_le_bytes() == rest[..4])
            .then(|| u32::from_le_bytes([body[0], body[1], body[2], body[3]]))
    }
}
