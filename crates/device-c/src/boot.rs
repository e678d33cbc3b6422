//! Which of two slots starts: the boot log of a bootloader in C, or Espressif's `otadata`. What "by contract" means here
//! is said in `calls.rs`.
#![allow(clippy::missing_safety_doc, reason = "it is the same for all of them")]

use core::ffi::c_char;

use device::flash::{BootLog, Error, Layout, OtaData, Slot, State as BootIs};

use crate::fault::{Code, Fault};
use crate::flash::{Flash, Functions, Region};
use crate::line::{Line, check, value};
use crate::sealed::{self, Memory};

/// Words of an `otaru_boot`, of 8 bytes: enough for every processor.
pub const OTARU_BOOT_WORDS: usize = 48;

/// What starts. Its memory is the caller's, and stays where it is once it was opened: a copy is none. It may be opened
/// again and again.
#[derive(Debug)]
#[repr(C)]
pub struct Boot {
    words: [u64; OTARU_BOOT_WORDS],
}

/// The regions of a device whose bootloader uses this library.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BootLayout {
    /// The boot log: two sectors or more.
    pub log: Region,
    /// The journal of downloads: two sectors or more.
    pub journal: Region,
    /// Slots 0 and 1.
    pub slots: [Region; 2],
}

/// How sure the device is of the image that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum BootState {
    /// It works.
    OtaruConfirmed = 0,
    /// It is new: it is left again unless `otaru_boot_confirm` is called.
    OtaruOnTrial = 1,
    /// It is back because the other one is no good. Say `otaru_rolled_back`, and when that is published
    /// `otaru_boot_acknowledge`.
    OtaruRolledBack = 2,
}

/// What runs.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BootInfo {
    /// How sure the device is of it.
    pub state: BootState,
    /// The slot that runs, or the `ota_` partition; -1 for `factory`.
    pub running: i32,
    /// The slot or the partition that takes a new image; -1 if there is none, as while an image is on trial.
    pub spare: i32,
    /// Why it is back; empty if it is not.
    pub text: [c_char; 64],
}

pub(crate) enum Which {
    Log(BootLog),
    OtaData(OtaData, i32),
}

/// A flash, and what says which of its images starts.
pub(crate) struct Kept {
    flash: Functions,
    which: Which,
}

impl Memory for Boot {
    type Kept = Kept;
    const MARK: usize = 0x07A2_0B07;
}

/// Begins a [`Boot`] with what `open` finds.
///
/// # Safety
/// `boot` is null, or `size` bytes there belong to the caller alone; `flash` is null or a whole [`Flash`], whose functions
/// do what it says of them.
unsafe fn make(
    boot: *mut Boot,
    size: usize,
    flash: *const Flash,
    open: impl FnOnce(&mut Functions) -> Result<Which, Fault>,
) -> Code {
    let work = || {
        // SAFETY: by contract.
        let mut flash = unsafe { Functions::at(flash) }?;
        let which = open(&mut flash)?;
        Ok(Kept { flash, which })
    };
    // SAFETY: by contract.
    unsafe { sealed::make(boot, size, work) }
}

/// # Safety
/// As [`sealed::enter`].
unsafe fn enter(boot: *mut Boot, work: impl FnOnce(&mut Functions, &mut Which) -> Result<(), Fault>) -> Code {
    // SAFETY: by contract.
    unsafe { sealed::enter(boot, |Kept { flash, which }| work(flash, which)) }
}

impl BootLayout {
    fn layout(&self) -> Layout {
        let BootLayout { log, journal, slots: [a, b] } = *self;
        Layout { log: log.into(), journal: journal.into(), slots: [a.into(), b.into()] }
    }
}

/// Opens the boot log, for a bootloader and the application that it starts. `size` is `sizeof(otaru_boot)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_boot_open(
    boot: *mut Boot,
    size: usize,
    flash: *const Flash,
    layout: *const BootLayout,
) -> Code {
    let open = |flash: &mut Functions| {
        // SAFETY: by contract null or a whole `BootLayout`, of which any bytes are one.
        let layout = unsafe { value(layout, "layout") }?;
        Ok(Which::Log(BootLog::open(flash, layout.layout())?))
    };
    // SAFETY: by contract.
    unsafe { make(boot, size, flash, open) }
}

/// Begins the boot log of a new device, whose first image of `image` bytes is in slot 0. For the factory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_boot_provision(
    boot: *mut Boot,
    size: usize,
    flash: *const Flash,
    layout: *const BootLayout,
    image: u32,
) -> Code {
    let open = |flash: &mut Functions| {
        // SAFETY: by contract null or a whole `BootLayout`, of which any bytes are one.
        let layout = unsafe { value(layout, "layout") }?;
        Ok(Which::Log(BootLog::provision(flash, layout.layout(), image)?))
    };
    // SAFETY: by contract.
    unsafe { make(boot, size, flash, open) }
}

/// Opens the partition `otadata` of Espressif's bootloader, two sectors. `partitions` is the number of `ota_` partitions,
/// `running` the one that runs, or -1 for `factory`. With ESP-IDF its own `esp_ota_` functions do the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_boot_open_otadata(
    boot: *mut Boot,
    size: usize,
    flash: *const Flash,
    otadata: Region,
    partitions: u32,
    running: i32,
) -> Code {
    let open = |flash: &mut Functions| {
        let partitions = u8::try_from(partitions).ok().filter(|count| (1..=16).contains(count));
        let partitions = partitions.ok_or(Fault::Argument("there are 1 to 16 ota_ partitions"))?;
        let which = match running {
            -1 => None,
            running => match u8::try_from(running) {
                Ok(running) if running < partitions => Some(running),
                _ => return Err(Fault::Argument("the running partition is none of those there are")),
            },
        };
        Ok(Which::OtaData(OtaData::open(flash, otadata.into(), partitions, which)?, running))
    };
    // SAFETY: by contract.
    unsafe { make(boot, size, flash, open) }
}

/// For the bootloader: the slot to start now. An image on trial has one start less afterwards; an image that is not whole
/// is not started.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_boot_start(boot: *mut Boot, slot: *mut u32) -> Code {
    let work = |flash: &mut Functions, which: &mut Which| {
        check(slot, "slot")?;
        let Which::Log(log) = which else {
            return Err(Fault::NotNow("Espressif's bootloader chooses itself what starts"));
        };
        let start = log.boot(flash)?;
        // SAFETY: not null, aligned, and by contract the caller's.
        unsafe { slot.write(start.index() as u32) };
        Ok(())
    };
    // SAFETY: by contract.
    unsafe { enter(boot, work) }
}

/// What runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_boot_info_of(boot: *mut Boot, info: *mut BootInfo) -> Code {
    let work = |_: &mut Functions, which: &mut Which| {
        check(info, "info")?;
        let found = which.info();
        // SAFETY: not null, aligned, and by contract the caller's.
        unsafe { info.write(found) };
        Ok(())
    };
    // SAFETY: by contract.
    unsafe { enter(boot, work) }
}

impl Which {
    fn info(&self) -> BootInfo {
        let mut text = Line::EMPTY;
        let (state, running, spare) = match self {
            Self::Log(log) => {
                let (slot, state) = log.running();
                let spare = log.spare().map_or(-1, |_| index(slot.other()));
                let state = match state {
                    BootIs::Confirmed => BootState::OtaruConfirmed,
                    BootIs::Trial { .. } => BootState::OtaruOnTrial,
                    BootIs::RolledBack(why) => {
                        text = Line::of(why);
                        BootState::OtaruRolledBack
                    }
                };
                (state, index(slot), spare)
            }
            Self::OtaData(data, running) => {
                let state = match data.rolled_back() {
                    _ if data.is_on_trial() => BootState::OtaruOnTrial,
                    Some(partition) => {
                        text = Line::of(format_args!("ota_{partition} was started and never confirmed"));
                        BootState::OtaruRolledBack
                    }
                    None => BootState::OtaruConfirmed,
                };
                (state, *running, data.spare().map_or(-1, i32::from))
            }
        };
        BootInfo { state, running, spare, text: text.chars() }
    }
}

fn index(slot: Slot) -> i32 {
    slot.index() as i32
}

/// The spare slot holds a whole image of `image` bytes, whose digest was checked: it starts next, on trial.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_boot_install(boot: *mut Boot, image: u32) -> Code {
    let work = |flash: &mut Functions, which: &mut Which| match which {
        Which::Log(log) => Ok(log.install(flash, image)?),
        Which::OtaData(data, _) => Ok(data.install(flash)?),
    };
    // SAFETY: by contract.
    unsafe { enter(boot, work) }
}

/// The running image works: it is what starts from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_boot_confirm(boot: *mut Boot) -> Code {
    let work = |flash: &mut Functions, which: &mut Which| match which {
        Which::Log(log) => Ok(log.confirm(flash)?),
        Which::OtaData(data, _) => Ok(data.confirm(flash)?),
    };
    // SAFETY: by contract.
    unsafe { enter(boot, work) }
}

/// The running image, on trial, finds that it does not work: the other one is what starts next. With Espressif's bootloader
/// a start without `otaru_boot_confirm` does the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_boot_give_up(boot: *mut Boot) -> Code {
    let work = |flash: &mut Functions, which: &mut Which| match which {
        Which::Log(log) => Ok(log.give_up(flash)?),
        Which::OtaData(data, _) if data.is_on_trial() => Ok(()),
        Which::OtaData(..) => Err(Error::NotOnTrial.into()),
    };
    // SAFETY: by contract.
    unsafe { enter(boot, work) }
}

/// The platform was told that the device rolled back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_boot_acknowledge(boot: *mut Boot) -> Code {
    let work = |flash: &mut Functions, which: &mut Which| match which {
        Which::Log(log) => Ok(log.acknowledge(flash)?),
        Which::OtaData(data, _) => Ok(data.acknowledge(flash)?),
    };
    // SAFETY: by contract.
    unsafe { enter(boot, work) }
}

/// Why the last call here that did not return OTARU_OK was refused or failed. Never NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_boot_error(boot: *const Boot) -> *const c_char {
    // SAFETY: by contract.
    unsafe { sealed::why(boot) }
}
