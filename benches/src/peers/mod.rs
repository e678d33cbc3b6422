//! The others: servers that give the same bytes by other means.

pub(crate) mod mosquitto;
pub(crate) mod nginx;
pub(crate) mod raw;
