//! What lies where in the second flash. `machine.py` makes a flash like this.

use device::flash::{Layout, Region};

use crate::flash::SECTOR;

/// Some sectors.
const fn sectors(first: u32, count: u32) -> Region {
    Region { start: first * SECTOR, len: count * SECTOR }
}

/// What the device was told at the factory ([`crate::settings`]).
pub const SETTINGS: Region = sectors(0, 1);

/// Logs and images.
pub const LAYOUT: Layout =
    Layout { log: sectors(1, 2), journal: sectors(3, 2), slots: [sectors(5, 8), sectors(13, 8)] };
