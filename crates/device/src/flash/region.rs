//! Where things are in the flash.

use core::fmt;

use embedded_storage::nor_flash::NorFlash;

/// The largest unit that a flash may be read or written in, in bytes.
pub(crate) const LARGEST_UNIT: usize = 32;

/// The smallest sector, in bytes: several entries of a log must fit.
const SMALLEST_SECTOR: usize = 512;

/// Some whole sectors of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Offset of the first byte.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

impl Region {
    /// Offset after the last byte.
    pub fn end(self) -> u32 {
        self.start + self.len
    }

    /// Checks that this is at least `sectors` whole sectors of this flash.
    pub(crate) fn check<F: NorFlash>(self, flash: &F, sectors: u32) -> Result<(), BadLayout> {
        check_geometry::<F>()?;
        let sector = F::ERASE_SIZE as u32;
        if !self.start.is_multiple_of(sector) || !self.len.is_multiple_of(sector) {
            return Err(BadLayout::NotSectors { region: self, sector });
        }
        let capacity = u32::try_from(flash.capacity()).unwrap_or(u32::MAX);
        if self.start.checked_add(self.len).is_none_or(|end| end > capacity) {
            return Err(BadLayout::Beyond { region: self, capacity });
        }
        if self.len / sector < sectors {
            return Err(BadLayout::Short { region: self, sectors, sector });
        }
        Ok(())
    }

    fn overlaps(self, other: Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}, {:#x} bytes long", self.start, self.len)
    }
}

fn check_geometry<F: NorFlash>() -> Result<(), BadLayout> {
    let unit = |size: usize| size.is_power_of_two() && size <= LARGEST_UNIT;
    let (read, write, sector) = (F::READ_SIZE, F::WRITE_SIZE, F::ERASE_SIZE);
    if unit(read) && unit(write) && sector >= SMALLEST_SECTOR && sector.is_multiple_of(LARGEST_UNIT) {
        return Ok(());
    }
    Err(BadLayout::Geometry { read, write, sector })
}

/// The regions of a device that has a bootloader with a [`crate::flash::BootLog`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The boot log: two sectors or more.
    pub log: Region,
    /// The journal of downloads: two sectors or more.
    pub journal: Region,
    /// The two images, slot A and slot B. What fits into the smaller one can be installed whenever it comes.
    pub slots: [Region; 2],
}

impl Layout {
    /// Checks that the regions are whole sectors of this flash and apart from each other.
    pub fn check<F: NorFlash>(&self, flash: &F) -> Result<(), BadLayout> {
        let regions = [self.log, self.journal, self.slots[0], self.slots[1]];
        for (index, region) in regions.into_iter().enumerate() {
            region.check(flash, if index < 2 { 2 } else { 1 })?;
            if let Some(other) = regions[..index].iter().copied().find(|other| other.overlaps(region)) {
                return Err(BadLayout::Overlap(other, region));
            }
        }
        Ok(())
    }
}

/// Why regions cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLayout {
    /// A flash of this kind cannot be used.
    Geometry {
        /// Smallest read, in bytes.
        read: usize,
        /// Smallest write, in bytes.
        write: usize,
        /// Smallest erase, in bytes.
        sector: usize,
    },
    /// Not whole sectors.
    NotSectors {
        /// The region.
        region: Region,
        /// Bytes of a sector.
        sector: u32,
    },
    /// Reaches beyond the flash.
    Beyond {
        /// The region.
        region: Region,
        /// Bytes of the flash.
        capacity: u32,
    },
    /// Too few sectors.
    Short {
        /// The region.
        region: Region,
        /// Sectors needed.
        sectors: u32,
        /// Bytes of a sector.
        sector: u32,
    },
    /// Two regions share bytes.
    Overlap(Region, Region),
}

impl fmt::Display for BadLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geometry { read, write, sector } => write!(
                f,
                "a flash read in {read}, written in {write} and erased in {sector} bytes cannot be used: reads and writes must be of 1, 2, 4, ... {LARGEST_UNIT} bytes, sectors of {SMALLEST_SECTOR} or more, in multiples of {LARGEST_UNIT}"
            ),
            Self::NotSectors { region, sector } => {
                write!(f, "the region at {region} is not made of whole sectors of {sector:#x} bytes")
            }
            Self::Beyond { region, capacity } => {
                write!(f, "the region at {region} reaches beyond the flash of {capacity:#x} bytes")
            }
            Self::Short { region, sectors, sector } => {
                write!(
                    f,
                    "the region at {region} is too small: it needs {sectors} sectors of {sector:#x} bytes"
                )
            }
            Self::Overlap(one, other) => {
                write!(f, "the region at {other} shares bytes with the one at {one}")
            }
        }
    }
}

impl core::error::Error for BadLayout {}
