//! Answers already given, so that an order sent twice is carried out once.

use rollout::Ms;
use store::idempotency::{self, Answered};

use super::failed;
use crate::Server;
use crate::error::OrderError;

/// How long an answer is remembered.
const REMEMBERED_MS: Ms = 24 * 3_600_000;

impl Server {
    /// The answer given to this key, if it was given to this very request.
    pub async fn answered(&self, key: &str, request_hash: &str) -> Result<Option<String>, OrderError> {
        let mut tx = self.read().await?;
        let found = idempotency::get(&mut tx, key).await.map_err(failed("read answers"))?;
        match found {
            Some(found) if found.request_hash != request_hash => {
                let text = format!(
                    "the Idempotency-Key {key:?} was used for another request before; every order needs a key of its own"
                );
                Err(OrderError::invalid("idempotencyKeyReused", text).with("key", key))
            }
            found => Ok(found.map(|found| found.response)),
        }
    }

    /// Remembers an answer for a day. The first answer to a key stays.
    pub async fn remember(&self, key: &str, request_hash: &str, response: String) -> Result<(), OrderError> {
        let write = failed("remember an answer");
        let mut unit = self.begin().await?;
        idempotency::forget(&mut unit.tx, unit.now - REMEMBERED_MS).await.map_err(&write)?;
        let answered = Answered { request_hash: request_hash.into(), response, at: unit.now };
        idempotency::put(&mut unit.tx, key, &answered).await.map_err(&write)?;
        unit.finish().await
    }
}
