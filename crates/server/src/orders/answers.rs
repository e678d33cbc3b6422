//! Answers already given, so that an order sent twice is carried out once.

use rollout::Ms;
use store::idempotency::{self, Answered};

use super::failed;
use crate::Server;
use crate::core::Unit;
use crate::error::OrderError;

/// How long an answer is remembered.
const REMEMBERED_MS: Ms = 24 * 3_600_000;

tokio::task_local! {
    /// The key and the request of the order that this task carries out.
    static KEY: (String, String);
}

/// Carries out an order under a key. The order's first transaction also writes that the key is used: should
/// its answer be lost, the order is still not carried out again.
pub async fn under_key<T>(key: &str, request_hash: &str, order: impl Future<Output = T>) -> T {
    KEY.scope((key.into(), request_hash.into()), order).await
}

impl Unit {
    /// Writes that the key of this order is used, if it has one.
    pub(super) async fn use_key(&mut self) -> Result<(), OrderError> {
        let Ok((key, request_hash)) = KEY.try_with(Clone::clone) else { return Ok(()) };
        let used = Answered { request_hash, response: String::new(), at: self.now };
        idempotency::put(&mut self.tx, &key, &used).await.map_err(failed("note that a key is used"))?;
        Ok(())
    }
}

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
            Some(found) if found.response.is_empty() => {
                let text = format!(
                    "the order with the Idempotency-Key {key:?} was carried out, at least in part, but its answer was \
                     lost when the platform stopped; look at what it made before sending another"
                );
                Err(OrderError::conflict("answerLost", text).with("key", key))
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
