//! Starts the image that the boot log names, if it is whole, and watches over it.
#![no_std]
#![no_main]

use core::convert::Infallible;

use device::flash::{BootLog, Error, Slot};
use otaru_qemu_riscv32::flash::{Flash, FlashError};
use otaru_qemu_riscv32::layout::LAYOUT;
use otaru_qemu_riscv32::{machine, say};

/// Milliseconds that an application may take until it says that it works.
const PATIENCE: u64 = 10_000;

#[allow(unsafe_code, reason = "the first instructions jump here, by this name")]
#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let Err(error) = start();
    say!("bootloader: {error}");
    // There is nothing to start, and nothing that could change that.
    loop {
        machine::nap();
    }
}

fn start() -> Result<Infallible, Error<FlashError>> {
    let mut flash = Flash::new(machine::Bank::new());
    let mut log = BootLog::open(&mut flash, LAYOUT)?;
    let slot = log.boot(&mut flash)?;
    let region = LAYOUT.slots[slot.index()];
    say!("bootloader: slot {}, {:?}", if slot == Slot::A { 'A' } else { 'B' }, log.running().1);
    machine::watch(PATIENCE);
    // How long the image is does not matter: what is behind it is not used.
    flash.bank().start(region.start, region.len)
}
