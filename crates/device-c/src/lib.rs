//! The C interface of a device: `include/otaru.h` and a static library.
//!
//! It is [`device`] with its client, updater, slots and logs behind C functions, and adds nothing to what they do. It
//! allocates nothing: the caller brings the memory. docs/device-c.md says how it is used, `Core` in `machine.rs` is what it
//! does. Everything that touches a pointer of C is in `line.rs`, `flash.rs`,
//! `memory.rs`, `sealed.rs`, `calls.rs`, `boot.rs` and `mcu.rs`.
//!
//! The header is made from these files: `cargo run -p otaru-device-c --example header`.
#![no_std]
// There is no box to put large values into.
#![allow(clippy::large_enum_variant, clippy::result_large_err)]

// On a computer it brings what to do at a panic.
#[cfg(not(target_os = "none"))]
extern crate std;

mod boot;
mod calls;
mod fault;
mod flash;
mod line;
mod machine;
mod mcu;
mod memory;
mod parts;
mod sealed;
mod todo;

pub use crate::machine::OTARU_MODULES;
pub use crate::memory::{Device, OTARU_DEVICE_WORDS};
pub use boot::*;
pub use calls::*;
pub use fault::Code;
pub use flash::{Flash, OTARU_READ_UNIT, OTARU_SECTOR, OTARU_WRITE_UNIT, Region};
pub use mcu::*;
pub use todo::{Event, Kind, Todo};

/// A mistake in this library: what the C library does then is better than going on.
#[cfg(all(target_os = "none", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        safe fn abort() -> !;
    }
    abort()
}
