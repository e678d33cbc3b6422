//! NOR flash that fails as flash does.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use device::flash::Region;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

use crate::rng::Rng;
use crate::tear::Tear;

const BLANK: u8 = 0xFF;

/// NOR flash in memory, read and written in units of `UNIT` bytes, erased in sectors of `SECTOR`.
///
/// It is stricter than some flash is: a unit that is not blank cannot be programmed, not even with what it holds. The
/// erase of each sector and each write is one operation; [`FaultyFlash::cut_at`] names the one that loses power.
#[derive(Clone)]
pub struct FaultyFlash<const UNIT: usize, const SECTOR: usize> {
    /// `None` is a blank sector. Shared between clones until written.
    sectors: Vec<Option<Arc<Vec<u8>>>>,
    erases: Vec<u32>,
    unreadable: BTreeSet<u32>,
    operations: u64,
    cut: Option<Cut>,
    off: bool,
    on_read: Option<OnRead>,
}

/// What [`FaultyFlash::on_read`] is given: where was read, and what.
pub type OnRead = fn(at: u32, data: &mut [u8]);

#[derive(Clone)]
struct Cut {
    at: u64,
    tear: Tear,
    rng: Rng,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power is off.
    Cut,
    /// A unit that is not blank was to be programmed.
    NotBlank {
        /// Its offset.
        at: u32,
    },
    /// A unit cannot be read.
    Unreadable {
        /// Its offset.
        at: u32,
    },
    /// Not where operations may begin and end.
    NotAligned,
    /// Beyond the end.
    OutOfBounds,
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}

impl<const UNIT: usize, const SECTOR: usize> FaultyFlash<UNIT, SECTOR> {
    /// Blank flash of at least so many bytes, switched on.
    pub fn new(capacity: u32) -> Self {
        let sectors = (capacity as usize).div_ceil(SECTOR);
        Self {
            sectors: vec![None; sectors],
            erases: vec![0; sectors],
            unreadable: BTreeSet::new(),
            operations: 0,
            cut: None,
            off: false,
            on_read: None,
        }
    }

    /// How many operations were begun.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// How often the sector with this offset was erased.
    pub fn erases(&self, at: u32) -> u32 {
        self.erases[at as usize / SECTOR]
    }

    /// Cuts the power at the operation with this number, counted from 0.
    pub fn cut_at(&mut self, operation: u64, tear: Tear, rng: Rng) {
        self.cut = Some(Cut { at: operation, tear, rng });
    }

    /// Switches the power on again.
    pub fn power_on(&mut self) {
        self.off = false;
    }

    /// Has everything that is read pass through this, to see what a device does with it.
    pub fn on_read(&mut self, on_read: OnRead) {
        self.on_read = Some(on_read);
    }

    /// Changes one bit in one of these regions, of what is programmed if there is anything.
    pub fn rot(&mut self, regions: &[Region], rng: &mut Rng) {
        let Some(region) = regions.get(rng.below(regions.len() as u64) as usize) else { return };
        let mut at = region.start;
        for _ in 0..200 {
            at = region.start + rng.below(region.len.into()) as u32;
            if self.byte(at) != BLANK {
                break;
            }
        }
        self.sector(at)[at as usize % SECTOR] ^= 1 << rng.below(8);
    }

    /// What these bytes are, sector by sector: where, and the bytes unless the sector is blank.
    fn parts(&self, from: u32, len: usize) -> impl Iterator<Item = (u32, Option<&[u8]>)> {
        let (first, end) = (from as usize, from as usize + len);
        (first / SECTOR..end.div_ceil(SECTOR)).map(move |index| {
            let (start, stop) = (first.max(index * SECTOR), end.min((index + 1) * SECTOR));
            let bytes = self.sectors[index].as_deref();
            (start as u32, bytes.map(|bytes| &bytes[start - index * SECTOR..stop - index * SECTOR]))
        })
    }

    fn byte(&self, at: u32) -> u8 {
        let sector = self.sectors[at as usize / SECTOR].as_deref();
        sector.map_or(BLANK, |bytes| bytes[at as usize % SECTOR])
    }

    fn sector(&mut self, at: u32) -> &mut [u8] {
        let sector = &mut self.sectors[at as usize / SECTOR];
        let bytes: &mut Vec<u8> = Arc::make_mut(sector.get_or_insert_with(|| Arc::new(vec![BLANK; SECTOR])));
        bytes
    }

    fn check(&self, from: u32, len: usize, unit: usize) -> Result<(), Fault> {
        if self.off {
            return Err(Fault::Cut);
        }
        if !(from as usize).is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(Fault::NotAligned);
        }
        if from as usize + len > self.capacity() { Err(Fault::OutOfBounds) } else { Ok(()) }
    }

    /// Counts an operation; what is to be left of it if the power goes.
    fn begin(&mut self) -> Option<Cut> {
        let number = self.operations;
        self.operations += 1;
        let cut = self.cut.take_if(|cut| cut.at == number);
        self.off = cut.is_some();
        cut
    }

    fn program(&mut self, mut at: u32, mut data: &[u8]) {
        while !data.is_empty() {
            let start = at as usize % SECTOR;
            let (part, rest) = data.split_at(data.len().min(SECTOR - start));
            self.sector(at)[start..start + part.len()].copy_from_slice(part);
            at += part.len() as u32;
            data = rest;
        }
    }

    fn tear_write(&mut self, at: u32, data: &[u8], tear: Tear, rng: &mut Rng) {
        let units = data.len() / UNIT;
        let done = match tear {
            Tear::Before => 0,
            Tear::After | Tear::Rot => units,
            _ => rng.below(units as u64) as usize,
        };
        self.program(at, &data[..done * UNIT]);
        let Some(next) = data.chunks_exact(UNIT).nth(done) else { return };
        let at = at + (done * UNIT) as u32;
        match tear {
            // Programming takes bits from 1 to 0.
            Tear::LastUnit => {
                let half: Vec<u8> = next.iter().map(|byte| byte | rng.byte()).collect();
                self.program(at, &half);
            }
            Tear::Wild => {
                let wild: Vec<u8> = next.iter().map(|_| rng.byte()).collect();
                self.program(at, &wild);
            }
            Tear::Unreadable => {
                self.unreadable.insert(at);
            }
            _ => {}
        }
    }

    fn tear_erase(&mut self, at: u32, tear: Tear, rng: &mut Rng) {
        let units = SECTOR / UNIT;
        let done = rng.below(units as u64) as usize;
        match tear {
            Tear::Before => {}
            Tear::After | Tear::Rot => self.blank(at),
            Tear::Prefix => self.sector(at)[..done * UNIT].fill(BLANK),
            Tear::Unreadable => {
                self.sector(at)[..done * UNIT].fill(BLANK);
                self.unreadable.insert(at + (done * UNIT) as u32);
            }
            Tear::LastUnit => {
                for unit in self.sector(at).chunks_mut(UNIT).filter(|_| rng.chance(50)) {
                    unit.fill(BLANK);
                }
            }
            Tear::Wild => self.sector(at).iter_mut().for_each(|byte| *byte |= rng.byte()),
        }
    }

    fn blank(&mut self, at: u32) {
        self.sectors[at as usize / SECTOR] = None;
        self.unreadable.retain(|unit| unit / SECTOR as u32 != at / SECTOR as u32);
    }
}

impl<const UNIT: usize, const SECTOR: usize> ErrorType for FaultyFlash<UNIT, SECTOR> {
    type Error = Fault;
}

impl<const UNIT: usize, const SECTOR: usize> ReadNorFlash for FaultyFlash<UNIT, SECTOR> {
    const READ_SIZE: usize = UNIT;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        self.check(offset, bytes.len(), UNIT)?;
        if let Some(at) = self.unreadable.range(offset..offset + bytes.len() as u32).next() {
            return Err(Fault::Unreadable { at: *at });
        }
        bytes.fill(BLANK);
        for (at, part) in self.parts(offset, bytes.len()) {
            if let Some(part) = part {
                let to = (at - offset) as usize;
                bytes[to..to + part.len()].copy_from_slice(part);
            }
        }
        if let Some(on_read) = self.on_read {
            on_read(offset, bytes);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.sectors.len() * SECTOR
    }
}

impl<const UNIT: usize, const SECTOR: usize> NorFlash for FaultyFlash<UNIT, SECTOR> {
    const WRITE_SIZE: usize = UNIT;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        self.check(from, to.saturating_sub(from) as usize, SECTOR)?;
        for at in (from..to).step_by(SECTOR) {
            self.erases[at as usize / SECTOR] += 1;
            match self.begin() {
                None => self.blank(at),
                Some(Cut { tear, mut rng, .. }) => {
                    self.tear_erase(at, tear, &mut rng);
                    return Err(Fault::Cut);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        self.check(offset, bytes.len(), UNIT)?;
        let range = offset..offset + bytes.len() as u32;
        let used = self.parts(offset, bytes.len()).find_map(|(at, part)| {
            let used = part?.iter().position(|byte| *byte != BLANK)?;
            Some(at + used as u32)
        });
        if let Some(at) = used.or_else(|| self.unreadable.range(range).next().copied()) {
            return Err(Fault::NotBlank { at });
        }
        match self.begin() {
            None => self.program(offset, bytes),
            Some(Cut { tear, mut rng, .. }) => {
                self.tear_write(offset, bytes, tear, &mut rng);
                return Err(Fault::Cut);
            }
        }
        Ok(())
    }
}

impl<const UNIT: usize, const SECTOR: usize> fmt::Debug for FaultyFlash<UNIT, SECTOR> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyFlash")
            .field("unit", &UNIT)
            .field("sector", &SECTOR)
            .field("sectors", &self.sectors.len())
            .field("operations", &self.operations)
            .finish_non_exhaustive()
    }
}
