//! The JSON messages (docs/protocol.md 2.7–2.9, 3.5, 4, 5, 6.1, 8).
//!
//! Numbers may come as strings, ids as numbers, commas before closing brackets; unknown members are ignored.

mod block_request;
mod config;
mod envelope;
mod error;
mod ext_data;
mod gateway;
mod get;
mod id;
mod notice;
mod offer;
mod registered;
mod report;
mod request_error;
mod unkept;

pub(crate) use block_request::block_head;
pub use block_request::{BlockRequest, MAX_BLOCK, MAX_FILE_TOKEN, MAX_OFFSET, MIN_BLOCK};
pub use config::{Config, ConfigGet, ConfigPush, ConfigPushReply, ConfigReply};
pub(crate) use envelope::code;
pub use error::{Error, Fault};
pub use ext_data::ExtData;
pub use gateway::{GatewayData, GatewayReply, GatewayRequest, MAX_SUB_DEVICES, SubDevice, SubName};
pub use get::{Get, GetReply, OldRequest};
pub use id::{Id, MAX_ID};
pub use notice::Notice;
pub use offer::{Digest, File, Files, MAX_FILES, MAX_URL, Offer, Source};
pub use registered::{Grant, MAX_REGISTRATION_BODY, Registered, RegistrationReply};
pub use report::{Inform, MAX_DESC, MAX_VERSION, Progress};
pub use request_error::RequestError;
pub use unkept::{Post, PostReply, Shadow, ShadowReply, TimeReply, TimeRequest};
