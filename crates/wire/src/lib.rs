//! The vocabulary of the device protocol: topics, JSON messages, block frames, credentials.
//!
//! Nothing here allocates, keeps time or talks to anybody. Each message has one type that borrows from the bytes it
//! was read from; `parse` and [`Emit::emit`] are inverse. What a device may get wrong is accepted where
//! docs/protocol.md says so, everything else is an [`message::Error`] that names the field. NUL and over-long text end
//! here: no value that leaves this crate holds them.
//!
//! Section numbers in these docs are those of docs/protocol.md. The feature `fast-crc` lets [`block::crc16`] use the
//! processor's vector instructions; it is meant for servers.
#![no_std]

pub mod block;
pub mod credentials;
mod emit;
pub mod json;
pub mod message;
pub mod topic;

pub use emit::{BufferTooSmall, Emit};
