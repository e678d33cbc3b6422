//! Non-volatile storage as ESP-IDF and `nvs_partition_gen.py` write it, to be read ("Non-Volatile Storage Library",
//! "Internals"). Plain, not encrypted; numbers and strings.

use core::fmt;

use device::flash::{ESPRESSIF_CRC, Region};
use embedded_storage::nor_flash::NorFlash;

/// A page, the places in it, and where the first one is.
const PAGE: u32 = 4096;
const ENTRY: usize = 32;
const ENTRIES: u32 = 126;
const FIRST: u32 = 64;

/// States of a page whose entries count: being filled, full, being emptied into another.
const ACTIVE: u32 = 0xFFFF_FFFE;
const FULL: u32 = 0xFFFF_FFFC;
const FREEING: u32 = 0xFFFF_FFF8;

/// The two formats: only the second has blobs in pieces, which are not read here.
const FORMATS: [u8; 2] = [0xFF, 0xFE];

const U8: u8 = 0x01;
const U16: u8 = 0x02;
const U32: u8 = 0x04;
const STRING: u8 = 0x21;

/// Why a value is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NvsError<E> {
    /// The flash says so.
    Flash(E),
    /// It is of another kind.
    Kind,
    /// Its checksum is wrong.
    Damaged,
    /// It has so many bytes, more than there is room for.
    Long(usize),
    /// It is not UTF-8.
    NotText,
}

impl<E: fmt::Debug> fmt::Display for NvsError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the flash cannot be read: {error:?}"),
            Self::Kind => f.write_str("is of another type: use data,string or data,u16"),
            Self::Damaged => f.write_str("is damaged: its checksum is wrong"),
            Self::Long(len) => write!(f, "is too long: {len} bytes"),
            Self::NotText => f.write_str("is not UTF-8"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for NvsError<E> {}

/// Keys and values of one namespace in a partition.
#[derive(Clone, Copy, Debug)]
pub struct Nvs {
    region: Region,
    namespace: u8,
}

/// An entry that was written, and its checksum is right.
struct Entry {
    /// Where in the flash.
    at: u32,
    bytes: [u8; ENTRY],
    /// How many places it takes, which are all in its page.
    span: u32,
}

impl Entry {
    fn is(&self, namespace: u8, key: &str) -> bool {
        let name = &self.bytes[8..24];
        let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        self.bytes[0] == namespace && name[..len] == *key.as_bytes()
    }

    fn kind(&self) -> u8 {
        self.bytes[1]
    }

    fn number(&self) -> Option<u32> {
        let number = u32::from_le_bytes(*self.bytes[24..].first_chunk()?);
        match self.kind() {
            U8 => Some(number & 0xFF),
            U16 => Some(number & 0xFFFF),
            U32 => Some(number),
            _ => None,
        }
    }
}

impl Nvs {
    /// Finds the namespace; `None` if there is none of that name.
    pub fn open<F: NorFlash>(
        flash: &mut F,
        region: Region,
        namespace: &str,
    ) -> Result<Option<Self>, F::Error> {
        let root = Self { region, namespace: 0 };
        let index = root.find(flash, namespace)?.and_then(|entry| entry.number());
        let index = index.and_then(|index| u8::try_from(index).ok()).filter(|index| *index != 0);
        Ok(index.map(|namespace| Self { region, namespace }))
    }

    /// A number of up to 32 bits without sign; `None` if there is none.
    pub fn number<F: NorFlash>(&self, flash: &mut F, key: &str) -> Result<Option<u32>, NvsError<F::Error>> {
        let entry = self.find(flash, key).map_err(NvsError::Flash)?;
        entry.map(|entry| entry.number().ok_or(NvsError::Kind)).transpose()
    }

    /// A string, read into this room, which must be a multiple of 32 bytes; `None` if there is none.
    pub fn string<'r, F: NorFlash>(
        &self,
        flash: &mut F,
        key: &str,
        room: &'r mut [u8],
    ) -> Result<Option<&'r str>, NvsError<F::Error>> {
        let Some(entry) = self.find(flash, key).map_err(NvsError::Flash)? else { return Ok(None) };
        if entry.kind() != STRING {
            return Err(NvsError::Kind);
        }
        let data = &entry.bytes[24..];
        let len = usize::from(u16::from_le_bytes([data[0], data[1]]));
        let crc = u32::from_le_bytes([data[4], data[5], data[6], data[7]]);
        let stored = len.next_multiple_of(ENTRY);
        if stored > (entry.span as usize - 1) * ENTRY {
            return Err(NvsError::Damaged);
        }
        let bytes = room.get_mut(..stored).ok_or(NvsError::Long(len))?;
        flash.read(entry.at + ENTRY as u32, bytes).map_err(NvsError::Flash)?;
        let bytes = &bytes[..len];
        if checksum(&[bytes]) != crc {
            return Err(NvsError::Damaged);
        }
        // It is stored as C has its strings.
        let text = bytes.strip_suffix(&[0]).ok_or(NvsError::Damaged)?;
        core::str::from_utf8(text).map(Some).map_err(|_| NvsError::NotText)
    }

    /// The entry that was written last under this key.
    fn find<F: NorFlash>(&self, flash: &mut F, key: &str) -> Result<Option<Entry>, F::Error> {
        let mut newest: Option<(u32, Entry)> = None;
        for page in (self.region.start..self.region.end()).step_by(PAGE as usize) {
            let Some(number) = page_number(flash, page)? else { continue };
            if newest.as_ref().is_none_or(|(newest, _)| number > *newest)
                && let Some(entry) = self.find_in(flash, page, key)?
            {
                newest = Some((number, entry));
            }
        }
        Ok(newest.map(|(_, entry)| entry))
    }

    fn find_in<F: NorFlash>(&self, flash: &mut F, page: u32, key: &str) -> Result<Option<Entry>, F::Error> {
        let mut states = [0; 32];
        flash.read(page + 32, &mut states)?;
        let (mut place, mut last) = (0, None);
        while place < ENTRIES {
            let written = states[place as usize / 4] >> (place % 4 * 2) & 0b11 == 0b10;
            let entry = if written { read_entry(flash, page, place)? } else { None };
            place += entry.as_ref().map_or(1, |entry| entry.span);
            last = entry.filter(|entry| entry.is(self.namespace, key)).or(last);
        }
        Ok(last)
    }
}

/// Which page is the newer one; `None` if this one holds nothing that counts.
fn page_number<F: NorFlash>(flash: &mut F, page: u32) -> Result<Option<u32>, F::Error> {
    let mut head = [0; ENTRY];
    flash.read(page, &mut head)?;
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let counts = matches!(number(0), ACTIVE | FULL | FREEING)
        && FORMATS.contains(&head[8])
        && checksum(&[&head[4..28]]) == number(28);
    Ok(counts.then(|| number(4)))
}

/// `None` if what is there is not whole.
fn read_entry<F: NorFlash>(flash: &mut F, page: u32, place: u32) -> Result<Option<Entry>, F::Error> {
    let at = page + FIRST + place * ENTRY as u32;
    let mut bytes = [0; ENTRY];
    flash.read(at, &mut bytes)?;
    let span = u32::from(bytes[2]);
    let crc = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let whole = (1..=ENTRIES - place).contains(&span) && checksum(&[&bytes[..4], &bytes[8..]]) == crc;
    Ok(whole.then_some(Entry { at, bytes, span }))
}

/// Of these pieces, one after the other.
fn checksum(pieces: &[&[u8]]) -> u32 {
    let mut digest = ESPRESSIF_CRC.digest();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}
