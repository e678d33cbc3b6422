//! The `otadata` partition of Espressif's bootloader (ESP-IDF, "Over The Air Updates").

use crc::{Algorithm, CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_storage::nor_flash::NorFlash;

use super::error::Error;
use super::region::Region;

/// The checksum in Espressif's formats: the CRC-32 of the chip's ROM with `UINT32_MAX` as the start. As usual, but for
/// the register's first value.
pub const ESPRESSIF_CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&ALGORITHM);
const ALGORITHM: Algorithm<u32> = Algorithm { init: 0, check: 0xD202_D277, ..CRC_32_ISO_HDLC };

/// Which of the `ota_…` partitions starts, as Espressif's bootloader reads it.
///
/// The bootloader must have been built with `CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE` to start an image on trial; it
/// does so once. Choosing an image rewrites only the sector that the running image does not depend on.
#[derive(Clone, Copy, Debug)]
pub struct OtaData {
    region: Region,
    partitions: u8,
    running: Option<u8>,
    entries: [Option<Entry>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    sequence: u32,
    state: u32,
}

impl Entry {
    const LEN: usize = 32;
    const NEW: u32 = 0;
    const PENDING_VERIFY: u32 = 1;
    const VALID: u32 = 2;
    const INVALID: u32 = 3;
    const ABORTED: u32 = 4;

    fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0xFF; Self::LEN];
        let sequence = self.sequence.to_le_bytes();
        bytes[..4].copy_from_slice(&sequence);
        bytes[24..28].copy_from_slice(&self.state.to_le_bytes());
        bytes[28..].copy_from_slice(&ESPRESSIF_CRC.checksum(&sequence).to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes[at..at + 4].try_into().ok()?));
        let (sequence, state, crc) = (number(0)?, number(24)?, number(28)?);
        (sequence != 0 && sequence != u32::MAX && ESPRESSIF_CRC.checksum(&bytes[..4]) == crc)
            .then_some(Self { sequence, state })
    }

    /// Whether the bootloader would start what this names.
    fn counts(&self) -> bool {
        !matches!(self.state, Self::INVALID | Self::ABORTED)
    }

    fn partition(&self, partitions: u8) -> u8 {
        ((self.sequence - 1) % u32::from(partitions)) as u8
    }
}

impl OtaData {
    /// Reads the partition, which has two sectors. `partitions` is the number of `ota_…` partitions, `running` the
    /// one that runs, or `None` if that is `factory`. A sector that cannot be read counts as empty.
    pub fn open<F: NorFlash>(
        flash: &mut F,
        region: Region,
        partitions: u8,
        running: Option<u8>,
    ) -> Result<Self, Error<F::Error>> {
        region.check(flash, 2)?;
        let entries = [0, 1].map(|sector| {
            let mut bytes = [0; Entry::LEN];
            flash.read(sector_start::<F>(region, sector), &mut bytes).ok()?;
            Entry::from_bytes(&bytes)
        });
        Ok(Self { region, partitions: partitions.max(1), running, entries })
    }

    /// Whether the running image is on trial: at the next start it is given up, unless it was confirmed.
    pub fn is_on_trial(&self) -> bool {
        self.newest().is_some_and(|sector| {
            self.entry(sector).is_some_and(|entry| {
                entry.state == Entry::PENDING_VERIFY && Some(entry.partition(self.partitions)) == self.running
            })
        })
    }

    /// The partition that was given up, if one was and it was not acknowledged yet.
    pub fn rolled_back(&self) -> Option<u8> {
        let given_up = self.entries.iter().flatten().find(|entry| !entry.counts());
        given_up
            .map(|entry| entry.partition(self.partitions))
            .filter(|partition| Some(*partition) != self.running)
    }

    /// The partition that takes a download. There is none while the running image is on trial, and none if it runs in
    /// the only one.
    pub fn spare(&self) -> Option<u8> {
        let next = self.running.map_or(0, |running| (running + 1) % self.partitions);
        Some(next).filter(|next| Some(*next) != self.running && !self.is_on_trial())
    }

    /// The spare partition holds a whole image, whose digest was checked: it starts next, on trial.
    pub fn install<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Error<F::Error>> {
        let spare = self.spare().ok_or(Error::NoSpare)?;
        let sector = self.newest().map_or(0, |newest| 1 - newest);
        let last = self.entries.iter().flatten().map(|entry| entry.sequence).max().unwrap_or(0);
        let partitions = u32::from(self.partitions);
        let ahead = (u32::from(spare) + partitions - last % partitions) % partitions;
        self.rewrite(flash, sector, Some(Entry { sequence: last + ahead + 1, state: Entry::NEW }))
    }

    /// The running image works: it is what starts from now on. The entry of the image before stays as it is, so a cut
    /// in between brings that one back, whole.
    pub fn confirm<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Error<F::Error>> {
        let newest = self.newest().filter(|_| self.is_on_trial()).ok_or(Error::NotOnTrial)?;
        let confirmed = self.entry(newest).map(|entry| Entry { state: Entry::VALID, ..entry });
        self.rewrite(flash, newest, confirmed)
    }

    /// The platform was told that the device rolled back.
    pub fn acknowledge<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Error<F::Error>> {
        match (0..2).find(|sector| self.entry(*sector).is_some_and(|entry| !entry.counts())) {
            Some(sector) => self.rewrite(flash, sector, None),
            None => Ok(()),
        }
    }

    fn entry(&self, sector: usize) -> Option<Entry> {
        self.entries[sector]
    }

    /// The sector of the entry that the bootloader goes by.
    fn newest(&self) -> Option<usize> {
        let counts = |sector: &usize| self.entry(*sector).is_some_and(|entry| entry.counts());
        (0..2).filter(counts).max_by_key(|sector| self.entry(*sector).map(|entry| entry.sequence))
    }

    fn rewrite<F: NorFlash>(
        &mut self,
        flash: &mut F,
        sector: usize,
        entry: Option<Entry>,
    ) -> Result<(), Error<F::Error>> {
        let start = sector_start::<F>(self.region, sector);
        self.entries[sector] = None;
        flash.erase(start, start + F::ERASE_SIZE as u32).map_err(Error::Flash)?;
        if let Some(entry) = entry {
            flash.write(start, &entry.to_bytes()).map_err(Error::Flash)?;
        }
        self.entries[sector] = entry;
        Ok(())
    }
}

fn sector_start<F: NorFlash>(region: Region, sector: usize) -> u32 {
    region.start + (sector * F::ERASE_SIZE) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_as_espressif_writes_them() {
        let bytes = Entry { sequence: 1, state: Entry::VALID }.to_bytes();
        assert_eq!(bytes[..4], [1, 0, 0, 0]);
        assert_eq!(bytes[24..], [2, 0, 0, 0, 0x9A, 0x98, 0x43, 0x47]);
        assert_eq!(Entry::from_bytes(&bytes), Some(Entry { sequence: 1, state: Entry::VALID }));
        for at in [0, 1, 28, 31] {
            let mut torn = bytes;
            torn[at] ^= 4;
            assert_eq!(Entry::from_bytes(&torn), None);
        }
        assert_eq!(Entry::from_bytes(&[0xFF; 32]), None);
    }
}
