//! The devices' door: sessions over MQTT 3.1, 3.1.1 and 5 and the HTTP file door, plain or over TLS, on the same
//! listeners.
//!
//! The door knows no database. What it needs from the platform behind it is [`Platform`]: who may
//! come in, take an uplink, find the bytes of a stream or of a file. What the platform needs from the
//! door is [`Sessions`]: send this to that device, take that stream away, close that session.
//!
//! **A report is acknowledged only after [`Platform::uplink`] says it is durable**, and PUBACKs leave
//! in the order of their PUBLISHes. Blocks never wait for them: a block is read, framed and written
//! in the session's own task.
//!
//! Whatever a device sends costs bounded memory, is answered as docs/protocol.md says or counted in
//! [`Counters`] and dropped, and touches no other device's session.

/// A debug line about a session.
macro_rules! note {
    ($session:expr, $($rest:tt)+) => {
        tracing::debug!(product = &*$session.product_key, device = &*$session.device_name, $($rest)+)
    };
}

mod acks;
mod blocks;
mod carried;
pub mod certs;
mod clock;
mod config;
mod connect;
mod counters;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod log;
#[cfg(test)]
mod log_tests;
mod network;
mod origin;
mod outbox;
mod parting;
#[cfg(test)]
mod patience_tests;
#[cfg(test)]
mod pipe_tests;
mod platform;
pub mod proxy;
mod registration;
#[cfg(test)]
mod registration_tests;
mod serve;
mod session;
mod sessions;
mod socket;
mod subscriptions;
mod tcp;
mod terms;
mod throttle;
mod tls;
mod turned;
mod unkept;
mod websocket;
mod window;

// The tests here share their platform with those in `tests`, which know the crate by its name.
#[cfg(test)]
extern crate self as otaru_door;

pub use config::Config;
pub use counters::{Count, Counters};
pub use network::{Network, NetworkError};
pub use platform::{
    Admitted, Bearer, Blob, BoxFuture, Closed, DeviceId, Downlink, Epoch, FileRefusal, Fingerprint, Granted,
    Login, Passing, Platform, Refusal, Registration, RegistrationRefusal, Session, StreamRefusal,
    Unavailable, Way,
};
pub use serve::{listen, serve};
pub use sessions::{Carrier, Sessions, TooMany};
pub use tls::{Certificate, Tls, TlsError};
