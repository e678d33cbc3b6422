//! The partition table (ESP-IDF, "Partition Tables"), as the flash holds it.

use core::fmt;

use device::flash::Region;
use embedded_storage::nor_flash::NorFlash;
use heapless::Vec;

/// Where the table lies, and its rows.
const START: u32 = 0x8000;
const ROW: usize = 32;
const ROWS: u32 = 95;

const MAGIC: [u8; 2] = [0xAA, 0x50];
const APP: u8 = 0;
const DATA: u8 = 1;
const FACTORY: u8 = 0x00;
const FIRST_OTA: u8 = 0x10;
const OTADATA: u8 = 0x00;
const NVS: u8 = 0x02;

/// The most `ota_…` partitions.
const SLOTS: usize = 16;

/// What the firmware needs of the flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The settings: the first partition of type `data` and subtype `nvs`.
    pub nvs: Region,
    /// Which slot starts.
    pub otadata: Region,
    /// How much of a download is stored: a partition of type `data` named `journal`.
    pub journal: Region,
    /// `ota_0`, `ota_1`, … without a gap.
    pub slots: Vec<Region, SLOTS>,
    /// Whether there is a partition `factory`, which may be what runs.
    pub factory: bool,
    /// The image for the microcontroller on the serial line: a partition of type `data` named `mcu`, if there is one.
    pub mcu: Option<Region>,
}

/// Why a table cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTable<E> {
    /// The flash says so.
    Flash(E),
    /// It lacks this.
    Missing(&'static str),
}

impl<E: fmt::Debug> fmt::Display for BadTable<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the partition table cannot be read: {error:?}"),
            Self::Missing(what) => {
                write!(f, "the partition table at {START:#x} has no {what}: write that of partitions.csv")
            }
        }
    }
}

impl<E: fmt::Debug> core::error::Error for BadTable<E> {}

/// A row.
struct Partition {
    kind: u8,
    subtype: u8,
    region: Region,
    name: [u8; 16],
}

impl Partition {
    fn from_bytes(bytes: &[u8; ROW]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes[at..at + 4].try_into().ok()?));
        let region = Region { start: number(4)?, len: number(8)? };
        region.start.checked_add(region.len)?;
        let name = bytes[12..28].try_into().ok()?;
        (bytes[..2] == MAGIC).then_some(Self { kind: bytes[2], subtype: bytes[3], region, name })
    }

    fn is_data(&self, name: &str) -> bool {
        let len = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        self.kind == DATA && self.name[..len] == *name.as_bytes()
    }
}

impl Table {
    /// Reads it. It ends at the first row that is none, which is the one with its checksum; what it names is checked by
    /// those who use it.
    pub fn read<F: NorFlash>(flash: &mut F) -> Result<Self, BadTable<F::Error>> {
        let (mut nvs, mut otadata, mut journal, mut mcu, mut factory) = (None, None, None, None, false);
        let mut slots = [None; SLOTS];
        for row in 0..ROWS {
            let mut bytes = [0; ROW];
            flash.read(START + row * ROW as u32, &mut bytes).map_err(BadTable::Flash)?;
            let Some(partition) = Partition::from_bytes(&bytes) else { break };
            let region = Some(partition.region);
            match (partition.kind, partition.subtype) {
                (APP, FACTORY) => factory = true,
                (APP, subtype) => {
                    let slot =
                        subtype.checked_sub(FIRST_OTA).and_then(|slot| slots.get_mut(usize::from(slot)));
                    slot.into_iter().for_each(|slot| *slot = region);
                }
                (DATA, OTADATA) => otadata = otadata.or(region),
                (DATA, NVS) => nvs = nvs.or(region),
                _ if partition.is_data("journal") => journal = region,
                _ if partition.is_data("mcu") => mcu = region,
                _ => {}
            }
        }
        let slots: Vec<_, SLOTS> = slots.into_iter().map_while(|slot| slot).collect();
        if slots.len() + usize::from(factory) < 2 || slots.is_empty() {
            return Err(BadTable::Missing("two slots for images, ota_0 and ota_1"));
        }
        Ok(Self {
            nvs: nvs.ok_or(BadTable::Missing("partition nvs for the settings"))?,
            otadata: otadata.ok_or(BadTable::Missing("partition otadata"))?,
            journal: journal.ok_or(BadTable::Missing("partition journal"))?,
            slots,
            factory,
            mcu,
        })
    }

    /// The slot in which this place of the flash is.
    pub fn slot_at(&self, offset: u32) -> Option<u8> {
        let inside = |slot: &Region| (slot.start..slot.end()).contains(&offset);
        self.slots.iter().position(inside).map(|slot| slot as u8)
    }
}
