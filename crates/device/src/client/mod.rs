//! An MQTT client for devices: 3.1.1 or 5, QoS 0 and 1, without socket, clock or allocator.
//!
//! A [`Client`] logs in with the device's triple, keeps the connection alive, acknowledges, and comes back with longer
//! and longer waits when the connection is lost. Like [`crate::Updater`] it is driven from outside:
//!
//! - [`Client::poll`] says what to do next, one [`Todo`] at a time, until it says [`Todo::Wait`];
//! - [`Client::handle_opened`] and [`Client::handle_closed`] tell it of the connection, [`Client::receive`] of bytes.
//!
//! **Call `poll` until it says `Wait` after everything that was handled and when the time it named has come.** What is
//! to be sent is written into the caller's buffer, what is received is read in the caller's buffer, of which an [`Inbox`]
//! keeps account. [`Updater`] needs
//! no subscription: the platform sends its messages without.
//!
//! Nothing is stored of a message that was sent: what the platform had not acknowledged when the connection ended may
//! be lost, and the updater says it again at the next one. So it must hear when all is acknowledged: whenever
//! [`Client::is_settled`], say so with [`Updater::handle_settled`].
//!
//! [`Updater`]: crate::Updater
//! [`Updater::handle_settled`]: crate::Updater::handle_settled

mod inbox;
mod read;
mod session;

pub use inbox::Inbox;
pub use read::{Received, Trouble};
pub use session::{CannotPublish, Client, Login, Todo};
