use serde::{Deserialize, Serialize};
use server::IdKind;
use utoipa::ToSchema;

use crate::time;

/// A file that comes in pieces.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// Its id.
    #[schema(example = "upl_01h2xk7m3c8p0")]
    pub id: String,
    /// Bytes of the whole file.
    #[schema(example = 524_288)]
    pub size: u64,
    /// The SHA-256 it will have, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Bytes that are here and will stay; the next one to send is this one, counted from 0.
    #[schema(example = 262_144)]
    pub offset: u64,
    /// When it was begun.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub created_at: String,
    /// When it is removed, whether or not it is complete.
    #[schema(format = DateTime, example = "2026-11-23T10:00:00.000Z")]
    pub expires_at: String,
}

/// An upload to be begun.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUpload {
    /// Bytes of the whole file.
    #[schema(example = 524_288)]
    pub size: u64,
    /// Its SHA-256 in hex digits: a file that turns out to be another one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Upload {
    pub(crate) fn of(upload: server::Upload) -> Self {
        let expires_at = time::text(upload.expires_at());
        let server::Upload { partial, offset } = upload;
        Self {
            id: IdKind::Upload.text(partial.id),
            size: partial.size,
            sha256: partial.sha256,
            offset,
            created_at: time::text(partial.created_at),
            expires_at,
        }
    }
}

impl From<NewUpload> for server::NewUpload {
    fn from(NewUpload { size, sha256 }: NewUpload) -> Self {
        Self { size, sha256 }
    }
}
