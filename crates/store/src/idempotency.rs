//! Answers already given, so that an order sent twice is carried out once.

use rollout::Ms;

use crate::Error;
use crate::sql::Tx;

/// An answer given before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What was asked then.
    pub request_hash: String,
    /// What was answered; empty while the order is under way.
    pub response: String,
    /// When.
    pub at: Ms,
}

/// The answer given to a key.
pub async fn get(tx: &mut Tx, key: &str) -> Result<Option<Answered>, Error> {
    let sql = "select request_hash, response, at from idempotency where name = ?";
    let Some(row) = tx.row(sql, vec![key.into()]).await? else { return Ok(None) };
    Ok(Some(Answered { request_hash: row.get(0)?, response: row.get(1)?, at: row.get(2)? }))
}

/// Remembers an answer, in place of an empty one. False if the key has one, given by another transaction meanwhile.
pub async fn put(tx: &mut Tx, key: &str, answered: &Answered) -> Result<bool, Error> {
    let sql = "insert into idempotency (name, request_hash, response, at) values (?, ?, ?, ?) \
               on conflict (name) do update set response = excluded.response where idempotency.response = ''";
    let args = vec![
        key.into(),
        answered.request_hash.as_str().into(),
        answered.response.as_str().into(),
        answered.at.into(),
    ];
    Ok(tx.exec(sql, args).await? == 1)
}

/// Forgets answers given before a time.
pub async fn forget(tx: &mut Tx, before: Ms) -> Result<u64, Error> {
    tx.exec("delete from idempotency where at < ?", vec![before.into()]).await
}
