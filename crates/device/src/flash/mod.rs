//! Flash that survives power cuts: slots that are started on trial, and downloads that go on after a reboot
//! (docs/device-flash.md).
//!
//! Three parts, each usable alone. All are handed the flash with every call, so an application can share it:
//!
//! - [`Download`] is the storage an [`crate::Updater`] asks for: it carries out `Prepare`, `Read`, `Save` and the
//!   writing of blocks.
//! - [`BootLog`] says which of two slots starts, for a bootloader and the application it starts.
//! - [`OtaData`] says the same to Espressif's bootloader, in its own format.
//!
//! **Every state change is one append or one rewrite of a place that nothing depends on; at a power cut either the
//! old or the new state is found.** The one exception is Espressif's: a cut in [`OtaData::confirm`] brings the image
//! before back. A unit of the flash is programmed once between two erases of its sector.

mod boot;
pub(crate) mod download;
mod error;
pub(crate) mod log;
mod otadata;
mod region;
mod state;

pub use boot::BootLog;
pub use download::Download;
pub use error::Error;
pub use otadata::{ESPRESSIF_CRC, OtaData};
pub use region::{BadLayout, Layout, Region};
pub use state::{Reason, Slot, State};
