//! What the firmware does that needs no chip: it is tested on a computer.
//!
//! - [`Table`] finds everything in the flash, by the partition table that Espressif's tools write;
//! - [`Settings`] reads Wi-Fi, platform and triple from the partition `nvs`, by way of [`Nvs`];
//! - [`run`] is the program: it logs in, keeps the connection, takes updates for itself and for the microcontroller on
//!   the serial line, and decides whether a new image works.
//!
//! What the chip has stands behind the trait [`Board`], its flash behind those of `embedded-storage`.
#![no_std]
// There is no box to put large values into.
#![allow(clippy::large_enum_variant, clippy::result_large_err)]

mod board;
mod image;
mod node;
mod nvs;
mod part;
mod settings;
mod table;

pub use board::{Board, Connection};
pub use image::{BadImage, check_image};
pub use node::{Home, PACKET, Trouble, WINDOW, run};
pub use nvs::{Nvs, NvsError};
pub use part::MODULE as PART_MODULE;
pub use settings::{NAMESPACE, Settings, SettingsError};
pub use table::{BadTable, Table};
