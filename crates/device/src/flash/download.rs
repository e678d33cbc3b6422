//! Where a download goes.

use embedded_storage::nor_flash::NorFlash;

use super::error::Error;
use super::log::{BLANK, Log};
use super::region::{LARGEST_UNIT, Region};
use crate::record::{Fingerprint, Record};

/// Bytes of a journal entry: the file's fingerprint, how much of it is stored, and in which slot.
const ENTRY: usize = 24;

/// Slots and a journal as the storage of an [`crate::Updater`]. One of the slots takes the download at a time.
///
/// A write is durable when it returns. Blocks must begin at a multiple of the flash's write size, so the block size
/// in [`crate::Config`] has to be one.
#[derive(Clone, Copy, Debug)]
pub struct Download {
    slot: Region,
    journal: Log<ENTRY>,
}

impl Download {
    /// Reads the journal, which takes two sectors or more. If it names a file in one of these slots, that slot is
    /// readied for what is missing. The record is what the new updater is to be given.
    ///
    /// What was written after the record was saved is erased, down to the start of the sector in which it begins.
    pub fn open<F: NorFlash>(
        flash: &mut F,
        journal: Region,
        slots: &[Region],
    ) -> Result<(Self, Option<Record>), Error<F::Error>> {
        journal.check(flash, 2)?;
        for slot in slots {
            slot.check(flash, 1)?;
        }
        let (journal, newest) = Log::open(flash, journal);
        let mut download = Self { slot: Region { start: 0, len: 0 }, journal };
        let Some((slot, record)) = newest.and_then(|entry| decode(&entry, slots)) else {
            return Ok((download, None));
        };
        download.slot = slot;
        let record = download.resume(flash, record)?;
        Ok((download, record))
    }

    /// Carries out [`crate::Output::Prepare`]: this slot takes the download, and what a file of `size` bytes needs of
    /// it is erased. It takes as long as the flash takes for that.
    pub fn prepare<F: NorFlash>(
        &mut self,
        flash: &mut F,
        slot: Region,
        size: u32,
    ) -> Result<(), Error<F::Error>> {
        slot.check(flash, 1)?;
        if size > slot.len {
            return Err(Error::TooLarge { size, slot: slot.len });
        }
        self.slot = slot;
        let end = slot.start + size.next_multiple_of(F::ERASE_SIZE as u32);
        for sector in (slot.start..end).step_by(F::ERASE_SIZE) {
            erase(flash, sector)?;
        }
        Ok(())
    }

    /// Writes a [`crate::Block`]. The last unit of a block that does not fill it is filled up. A block that is there
    /// already, from an attempt before, is left as it is.
    pub fn write<F: NorFlash>(
        &mut self,
        flash: &mut F,
        offset: u32,
        data: &[u8],
    ) -> Result<(), Error<F::Error>> {
        let unit = F::WRITE_SIZE;
        check_unit(offset, unit)?;
        self.check_end(offset, data.len())?;
        let (whole, rest) = data.split_at(data.len() - data.len() % unit);
        let at = self.slot.start + offset;
        if holds(flash, at, data) {
            return Ok(());
        }
        if !whole.is_empty() {
            flash.write(at, whole).map_err(Error::Flash)?;
        }
        if !rest.is_empty() {
            let mut last = [BLANK; LARGEST_UNIT];
            last[..rest.len()].copy_from_slice(rest);
            flash.write(at + whole.len() as u32, &last[..unit]).map_err(Error::Flash)?;
        }
        Ok(())
    }

    /// Carries out [`crate::Output::Read`] as far as the buffer goes, which must be a multiple of the flash's read
    /// size; says how many bytes of it are to be handed to the updater.
    pub fn read<F: NorFlash>(
        &mut self,
        flash: &mut F,
        offset: u32,
        len: u32,
        buffer: &mut [u8],
    ) -> Result<usize, Error<F::Error>> {
        check_unit(offset, F::READ_SIZE)?;
        let len = buffer.len().min(len as usize);
        let whole = len.next_multiple_of(F::READ_SIZE).min(buffer.len());
        self.check_end(offset, whole)?;
        flash.read(self.slot.start + offset, &mut buffer[..whole]).map_err(Error::Flash)?;
        Ok(len.min(whole))
    }

    /// Carries out [`crate::Output::Save`].
    pub fn save<F: NorFlash>(
        &mut self,
        flash: &mut F,
        record: Option<Record>,
    ) -> Result<(), Error<F::Error>> {
        let entry = record.map_or([0; ENTRY], |record| self.encode(record));
        self.journal.append(flash, &entry).map_err(Error::Flash)
    }

    /// Makes sure that every unit behind what the record says can be written. A record that has to say less is saved
    /// before anything is erased: else a cut could leave one that speaks for erased bytes.
    fn resume<F: NorFlash>(
        &mut self,
        flash: &mut F,
        record: Record,
    ) -> Result<Option<Record>, Error<F::Error>> {
        let sector = F::ERASE_SIZE as u32;
        let unit = F::WRITE_SIZE.max(F::READ_SIZE) as u32;
        let stored = record.stored.min(self.slot.len);
        let begun = stored - stored % sector;
        let rest = self.slot.start + stored.next_multiple_of(unit);
        let clean = begun == stored || is_blank(flash, rest, self.slot.start + begun + sector);
        let stored = if clean { stored } else { begun };
        let shorter = Some(Record { stored, ..record }).filter(|record| record.stored > 0);
        if shorter != Some(record) {
            self.save(flash, shorter)?;
        }
        let first = self.slot.start + stored.next_multiple_of(sector);
        erase_used(flash, first, self.slot.end())?;
        Ok(shorter)
    }

    fn encode(&self, record: Record) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[..16].copy_from_slice(record.file.bytes());
        entry[16..20].copy_from_slice(&record.stored.to_le_bytes());
        entry[20..].copy_from_slice(&self.slot.start.to_le_bytes());
        entry
    }

    fn check_end<E>(&self, offset: u32, len: usize) -> Result<(), Error<E>> {
        let end = u32::try_from(len).ok().and_then(|len| offset.checked_add(len)).unwrap_or(u32::MAX);
        if end > self.slot.len { Err(Error::TooLarge { size: end, slot: self.slot.len }) } else { Ok(()) }
    }
}

/// The slot and the record of an entry, if the slot is one of these. A record that was taken away is all zeroes.
fn decode(entry: &[u8; ENTRY], slots: &[Region]) -> Option<(Region, Record)> {
    let number = |at: usize| Some(u32::from_le_bytes(entry[at..at + 4].try_into().ok()?));
    let (stored, start) = (number(16)?, number(20)?);
    let slot = slots.iter().find(|slot| slot.start == start && stored > 0)?;
    Some((*slot, Record { file: Fingerprint::from_bytes(entry[..16].try_into().ok()?), stored }))
}

pub(crate) fn check_unit<E>(offset: u32, unit: usize) -> Result<(), Error<E>> {
    let unit = unit as u32;
    if offset.is_multiple_of(unit) { Ok(()) } else { Err(Error::Unaligned { offset, unit }) }
}

/// Erases those of these sectors that are not blank.
pub(crate) fn erase_used<F: NorFlash>(flash: &mut F, from: u32, to: u32) -> Result<(), Error<F::Error>> {
    for sector in (from..to).step_by(F::ERASE_SIZE) {
        if !is_blank(flash, sector, sector + F::ERASE_SIZE as u32) {
            erase(flash, sector)?;
        }
    }
    Ok(())
}

fn erase<F: NorFlash>(flash: &mut F, sector: u32) -> Result<(), Error<F::Error>> {
    flash.erase(sector, sector + F::ERASE_SIZE as u32).map_err(Error::Flash)
}

/// Whether these bytes are there already.
fn holds<F: NorFlash>(flash: &mut F, at: u32, data: &[u8]) -> bool {
    let mut buffer = [0; 8 * LARGEST_UNIT];
    data.chunks(buffer.len()).enumerate().all(|(index, wanted)| {
        let part = &mut buffer[..wanted.len().next_multiple_of(F::READ_SIZE)];
        let at = at + (index * 8 * LARGEST_UNIT) as u32;
        flash.read(at, part).is_ok() && part[..wanted.len()] == *wanted
    })
}

/// Whether all of this is erased. What cannot be read is not.
fn is_blank<F: NorFlash>(flash: &mut F, from: u32, to: u32) -> bool {
    let mut buffer = [0; 8 * LARGEST_UNIT];
    (from..to).step_by(buffer.len()).all(|at| {
        let part = &mut buffer[..((to - at) as usize).min(8 * LARGEST_UNIT)];
        flash.read(at, part).is_ok() && part.iter().all(|byte| *byte == BLANK)
    })
}
