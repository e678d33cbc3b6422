//! What is remembered: SQL (SQLite or PostgreSQL) and blobs.
//!
//! [`Store`] opens a data folder. [`Store::begin`] and [`Store::read`] give a [`Tx`]; the functions of the
//! modules take one, so that a caller decides what happens together. SQL does not leave this crate. The
//! statements are the same for both engines but for what `sql::dialect` holds.
//!
//! On SQLite there is one writer: a second [`Store::begin`] waits until the first transaction has ended.
//! On PostgreSQL transactions that change the same rows must take them in the same order;
//! [`committer::load`] does, and whoever changes devices, tasks or jobs begins with it.

mod backup;
mod blobs;
pub mod certificates;
pub mod committer;
pub mod configurations;
mod counter;
pub mod device_counts;
pub mod devices;
mod error;
pub mod events;
pub mod groups;
mod hex;
pub mod idempotency;
pub mod jobs;
mod keyring;
mod link_key;
mod lock;
pub mod meta;
mod migrate;
pub mod modules;
mod open;
pub mod packages;
mod pools;
pub mod products;
mod record;
pub mod registrations;
mod select;
mod slice;
mod sql;
pub mod statistics;
pub mod tags;
pub mod targets;
pub mod tasks;
#[cfg(test)]
mod tests;
pub mod topology;

#[cfg(fuzzing)]
pub use backup::read_backup;
pub use backup::{ExportError, ImportError, import};
pub use blobs::{BlobFile, BlobWriter, Blobs, Partial, Stored};
pub use error::{Chain, Error, ErrorCounts, Source};
pub use keyring::{Keyring, Owner, Sealed, UnsealError, private_file};
pub use link_key::{LinkKeyError, link_key};
pub use migrate::SCHEMA;
pub use open::{Clock, Config, OpenError, RemoveBlobError, Store};
pub use select::{Selection, Whom};
pub use slice::{Order, Removal, Slice};
pub use sql::Tx;
