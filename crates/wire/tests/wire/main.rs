//! What travels, read and written.
#![allow(clippy::unwrap_used)]

mod block;
mod credentials;
mod gateway;
mod json;
mod messages;
mod psk;
mod registration;
mod round_trip;
mod topics;
