//! Which image starts.

use embedded_storage::nor_flash::NorFlash;
use sha2::{Digest as _, Sha256};

use super::error::Error;
use super::log::Log;
use super::region::{LARGEST_UNIT, Layout, Region};
use super::state::{Entry, Image, Reason, Slot, State};

/// How often an image is started on trial.
const TRIES: u8 = 3;

/// The boot log of a device with two slots: what starts, on trial or for good.
///
/// The bootloader opens it and starts what [`BootLog::boot`] says. The application opens it too: it confirms itself
/// when it works, hands the spare slot to a [`crate::flash::Download`], and installs what was downloaded.
#[derive(Clone, Copy, Debug)]
pub struct BootLog {
    layout: Layout,
    log: Log<{ Entry::LEN }>,
    entry: Entry,
}

impl BootLog {
    /// Reads the log.
    pub fn open<F: NorFlash>(flash: &mut F, layout: Layout) -> Result<Self, Error<F::Error>> {
        layout.check(flash)?;
        let (log, newest) = Log::open(flash, layout.log);
        let entry = newest.as_ref().and_then(Entry::from_bytes).ok_or(Error::Empty)?;
        Ok(Self { layout, log, entry })
    }

    /// Begins the log of a new device, whose first image of `size` bytes is in slot A. For the factory.
    pub fn provision<F: NorFlash>(flash: &mut F, layout: Layout, size: u32) -> Result<Self, Error<F::Error>> {
        layout.check(flash)?;
        let (log, _) = Log::open(flash, layout.log);
        let image = measure(flash, layout.slots[0], size)?;
        let images = [image, Image::default()];
        let mut boot = Self { layout, log, entry: Entry { slot: Slot::A, state: State::Confirmed, images } };
        // Twice: one rotten bit must not be able to take the only entry away.
        boot.append(flash, boot.entry)?;
        boot.append(flash, boot.entry)?;
        Ok(boot)
    }

    /// The image that runs, and how sure the device is of it.
    pub fn running(&self) -> (Slot, State) {
        (self.entry.slot, self.entry.state)
    }

    /// For the bootloader: the slot to start now. An image on trial has one start less afterwards; an image that is
    /// not whole is not started.
    pub fn boot<F: NorFlash>(&mut self, flash: &mut F) -> Result<Slot, Error<F::Error>> {
        if let State::Trial { left } = self.entry.state {
            let why = match left.checked_sub(1) {
                None => Reason::NotConfirmed,
                Some(_) if !self.is_whole(flash, self.entry.slot) => Reason::Damaged,
                Some(left) => {
                    self.append(flash, Entry { state: State::Trial { left }, ..self.entry })?;
                    return Ok(self.entry.slot);
                }
            };
            self.roll_back(flash, why)?;
        }
        if !self.is_whole(flash, self.entry.slot) {
            if !self.is_whole(flash, self.entry.slot.other()) {
                return Err(Error::NoImage);
            }
            self.roll_back(flash, Reason::Damaged)?;
        }
        Ok(self.entry.slot)
    }

    /// The running image works: it is what starts from now on.
    pub fn confirm<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Error<F::Error>> {
        self.on_trial()?;
        self.append(flash, Entry { state: State::Confirmed, ..self.entry })
    }

    /// The running image finds that it does not work: the other one is what starts next.
    pub fn give_up<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Error<F::Error>> {
        self.on_trial()?;
        self.roll_back(flash, Reason::GivenUp)
    }

    /// The platform was told that the device rolled back.
    pub fn acknowledge<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Error<F::Error>> {
        match self.entry.state {
            State::RolledBack(_) => self.append(flash, Entry { state: State::Confirmed, ..self.entry }),
            _ => Ok(()),
        }
    }

    /// The slot that takes a download. While the running image is on trial there is none: the other one is what the
    /// device falls back to.
    pub fn spare(&self) -> Option<Region> {
        match self.entry.state {
            State::Trial { .. } => None,
            _ => Some(self.layout.slots[self.entry.slot.other().index()]),
        }
    }

    /// The spare slot holds a whole image of `size` bytes, whose digest was checked: it starts next, on trial.
    pub fn install<F: NorFlash>(&mut self, flash: &mut F, size: u32) -> Result<(), Error<F::Error>> {
        let spare = self.spare().ok_or(Error::NoSpare)?;
        let slot = self.entry.slot.other();
        let mut images = self.entry.images;
        images[slot.index()] = measure(flash, spare, size)?;
        self.append(flash, Entry { slot, state: State::Trial { left: TRIES }, images })
    }

    fn on_trial<E>(&self) -> Result<(), Error<E>> {
        if let State::Trial { .. } = self.entry.state { Ok(()) } else { Err(Error::NotOnTrial) }
    }

    fn roll_back<F: NorFlash>(&mut self, flash: &mut F, why: Reason) -> Result<(), Error<F::Error>> {
        let slot = self.entry.slot.other();
        self.append(flash, Entry { slot, state: State::RolledBack(why), ..self.entry })
    }

    fn append<F: NorFlash>(&mut self, flash: &mut F, entry: Entry) -> Result<(), Error<F::Error>> {
        self.log.append(flash, &entry.to_bytes()).map_err(Error::Flash)?;
        self.entry = entry;
        Ok(())
    }

    /// A slot that cannot be read is not whole.
    fn is_whole<F: NorFlash>(&self, flash: &mut F, slot: Slot) -> bool {
        let image = self.entry.images[slot.index()];
        image.size > 0
            && measure(flash, self.layout.slots[slot.index()], image.size).is_ok_and(|found| found == image)
    }
}

/// Reads an image and takes its digest.
fn measure<F: NorFlash>(flash: &mut F, slot: Region, size: u32) -> Result<Image, Error<F::Error>> {
    if size > slot.len {
        return Err(Error::TooLarge { size, slot: slot.len });
    }
    let mut hasher = Sha256::new();
    let mut buffer = [0; 8 * LARGEST_UNIT];
    let step = buffer.len() as u32;
    for offset in (0..size).step_by(buffer.len()) {
        let wanted = step.min(size - offset) as usize;
        let part = &mut buffer[..wanted.next_multiple_of(F::READ_SIZE)];
        flash.read(slot.start + offset, part).map_err(Error::Flash)?;
        hasher.update(&part[..wanted]);
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize()[..16]);
    Ok(Image { size, digest })
}
