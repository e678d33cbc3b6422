//! What travels between operators and the platform, as JSON.
//!
//! The types can be written and read, so that a client in Rust needs no others. Ids are texts like
//! `job_01h2xk7m3c8p0`; times are RFC 3339 texts in UTC.

mod configuration;
mod device;
mod event;
mod expected;
mod forecast;
mod gateway;
mod group;
mod job;
mod job_change;
mod message;
mod module;
mod package;
mod page;
mod product;
mod statistics;
mod status;
mod task;
mod terms;
mod together;
mod upload;
mod waiting;
mod window;

pub use configuration::*;
pub use device::*;
pub use event::*;
pub use expected::*;
pub use forecast::*;
pub use gateway::*;
pub use group::*;
pub use job::*;
pub use job_change::*;
pub use message::*;
pub use module::*;
pub use package::*;
pub use page::*;
pub use product::*;
pub use statistics::*;
pub use status::*;
pub use task::*;
pub use terms::*;
pub(crate) use together::check_change;
pub use upload::*;
pub use waiting::*;
pub use window::*;

use serde::{Deserialize, Deserializer};

/// A member that is there, if only as `null`.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(json: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(json).map(Some)
}
