//! What a device does in an update: a pure updater without clock and socket. Storage for it is in [`flash`], an MQTT
//! client in [`client`], what passes an image on to a part behind a serial line in [`mcu`]; it works over others as well.
//!
//! An [`Updater`] reports versions, takes an offer, fetches its file in blocks over MQTT, checks the digest, has the
//! image installed and reports how it goes (docs/protocol.md 5 and 6). It is driven from outside:
//!
//! - the `handle_…` functions tell it what happened: the connection came up, a message came, storage is done;
//! - [`Updater::poll`] says what to do next, one [`Output`] at a time, until it says [`Output::Wait`].
//!
//! **Call `poll` until it says `Wait` after everything that was handled and when the time it named has come.**
//!
//! What the server has acknowledged need not be said again: [`Updater::handle_settled`] tells the updater so.
//!
//! Times are milliseconds of any clock that does not run backwards. Nothing here allocates: the memory is the
//! `Updater` itself, one message buffer of [`MESSAGE_SIZE`] bytes, and the caller's receive buffers. Of these
//! [`Config::window`] are needed, each [`Config::block`] + [`FRAME_OVERHEAD`] bytes long; a block is handed back
//! inside the buffer it came in, never copied.
//!
//! After a power cut a new `Updater` is given the [`Record`] that was saved last and goes on where the stored bytes
//! end, if the platform offers the very same file again. The digest is always computed over what is read back from
//! the slot, so neither a wrong record nor bad flash passes for the image.
#![no_std]
// There is no box to put large values into.
#![allow(clippy::large_enum_variant, clippy::result_large_err)]

pub mod client;
mod config;
mod digest;
mod events;
pub mod flash;
mod flow;
mod journal;
pub mod mcu;
mod output;
mod pace;
mod poll;
mod record;
mod stream;
mod target;
mod text;
mod update;
mod updater;
mod window;

pub use config::{BadConfig, Config, DEFAULT_MODULE, MAX_FILE, MAX_MODULES, Module, valid_version};
pub use output::{Block, Counters, Event, Failure, MESSAGE_SIZE, Operation, Output, Status};
pub use record::Record;
pub use target::MAX_URL;
pub use updater::Updater;
pub use window::MAX_WINDOW;

/// What a block reply has around the block's bytes at most, topic included, in bytes.
pub const FRAME_OVERHEAD: usize = 512;
