//! Where a loader keeps its image.

use core::fmt;

use embedded_storage::nor_flash::NorFlash;
use wire::message::Digest;

use super::message::{Image, MAX_DATA};
use crate::flash::download::{check_unit, erase_used};
use crate::flash::log::{BLANK, Log};
use crate::flash::{Error, Region};

/// What a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// No image, and none begun.
    Nothing,
    /// This much of this image, from its start.
    Part(Image, u32),
    /// A whole image whose digest was right.
    Whole(Image),
}

/// The memory of a part that takes an image. What an operation did is durable when it returns.
pub trait Store {
    /// Why an operation failed.
    type Error: fmt::Display;

    /// What is there.
    fn stored(&self) -> Stored;

    /// Makes room for an image. From here until [`Store::finish`] there is none that could be started.
    fn begin(&mut self, image: Image) -> Result<(), Self::Error>;

    /// Appends to the image that was begun.
    fn write(&mut self, data: &[u8]) -> Result<(), Self::Error>;

    /// Reads of what was written.
    fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), Self::Error>;

    /// Lets the image, whose digest is right, be started from now on.
    fn finish(&mut self) -> Result<(), Self::Error>;
}

/// Bytes of an entry of the log: what is stored, the method of the digest, two without meaning, size, length, digest.
const ENTRY: usize = 44;

/// NOR flash as a [`Store`]: a log that says what is there, two sectors or more, and the image.
///
/// A power cut costs what was written since the start of the sector in which it hits.
#[derive(Debug)]
pub struct FlashStore<F> {
    flash: F,
    log: Log<ENTRY>,
    slot: Region,
    stored: Stored,
}

impl<F: NorFlash> FlashStore<F> {
    /// Reads the log; of an image that is not whole it readies the flash for the rest.
    pub fn open(mut flash: F, log: Region, slot: Region) -> Result<Self, Error<F::Error>> {
        log.check(&flash, 2)?;
        slot.check(&flash, 1)?;
        let (log, newest) = Log::open(&mut flash, log);
        let stored = newest.and_then(|entry| decode(&entry, slot)).unwrap_or(Stored::Nothing);
        let mut store = Self { flash, log, slot, stored };
        if let Stored::Part(image, stored) = store.stored {
            store.make_room(image, stored)?;
        }
        Ok(store)
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Erases what an image needs behind what is there of it: that ends with a sector.
    fn make_room(&mut self, image: Image, stored: u32) -> Result<(), Error<F::Error>> {
        let end = self.slot.start + image.size.next_multiple_of(F::ERASE_SIZE as u32);
        erase_used(&mut self.flash, self.slot.start + stored, end)
    }

    fn log(&mut self, stored: Stored) -> Result<(), Error<F::Error>> {
        self.log.append(&mut self.flash, &encode(stored)).map_err(Error::Flash)
    }
}

impl<F: NorFlash> Store for FlashStore<F> {
    type Error = Error<F::Error>;

    fn stored(&self) -> Stored {
        self.stored
    }

    fn begin(&mut self, image: Image) -> Result<(), Self::Error> {
        if image.size > self.slot.len {
            return Err(Error::TooLarge { size: image.size, slot: self.slot.len });
        }
        // First the word that nothing is there, then it is so.
        let part = Stored::Part(image, 0);
        self.log(part)?;
        self.stored = part;
        self.make_room(image, 0)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Self::Error> {
        let Stored::Part(image, stored) = self.stored else { return Err(Error::NoImage) };
        check_unit(stored, F::WRITE_SIZE)?;
        let mut units = [BLANK; MAX_DATA];
        units[..data.len()].copy_from_slice(data);
        let units = &units[..data.len().next_multiple_of(F::WRITE_SIZE)];
        self.flash.write(self.slot.start + stored, units).map_err(Error::Flash)?;
        let after = stored + data.len() as u32;
        self.stored = Stored::Part(image, after);
        let whole = after - after % F::ERASE_SIZE as u32;
        if whole > stored { self.log(Stored::Part(image, whole)) } else { Ok(()) }
    }

    fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), Self::Error> {
        check_unit(offset, F::READ_SIZE)?;
        let mut units = [0; MAX_DATA];
        let units = &mut units[..buffer.len().next_multiple_of(F::READ_SIZE)];
        self.flash.read(self.slot.start + offset, units).map_err(Error::Flash)?;
        buffer.copy_from_slice(&units[..buffer.len()]);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Self::Error> {
        let Stored::Part(image, _) = self.stored else { return Err(Error::NoImage) };
        self.log(Stored::Whole(image))?;
        self.stored = Stored::Whole(image);
        Ok(())
    }
}

const PART: u8 = 1;
const WHOLE: u8 = 2;

fn encode(stored: Stored) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let (state, image, stored) = match stored {
        Stored::Nothing => return entry,
        Stored::Part(image, stored) => (PART, image, stored),
        Stored::Whole(image) => (WHOLE, image, image.size),
    };
    let digest = image.digest.bytes();
    entry[0] = state;
    entry[1] = digest.len() as u8;
    entry[4..8].copy_from_slice(&image.size.to_le_bytes());
    entry[8..12].copy_from_slice(&stored.to_le_bytes());
    entry[12..12 + digest.len()].copy_from_slice(digest);
    entry
}

fn decode(entry: &[u8; ENTRY], slot: Region) -> Option<Stored> {
    let number = |at: usize| Some(u32::from_le_bytes(entry[at..at + 4].try_into().ok()?));
    let method = if entry[1] == 16 { Digest::Md5 } else { Digest::Sha256 };
    let image = Image::new(number(4)?, method, entry[12..].get(..entry[1].into())?)?;
    let stored = number(8)?;
    if image.size > slot.len || stored > image.size {
        return None;
    }
    match entry[0] {
        PART => Some(Stored::Part(image, stored)),
        WHOLE => Some(Stored::Whole(image)),
        _ => None,
    }
}
