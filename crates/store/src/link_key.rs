//! The key that signs file addresses: made once, sealed like every secret.

use crate::sql::Tx;
use crate::{Error, Keyring, Owner, Sealed, hex, meta};

const NAME: &str = "link_key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum LinkKeyError {
    /// The database's refusal.
    #[error(transparent)]
    Database(#[from] Error),
    /// What is stored does not open.
    #[error(
        "the key that signs file addresses is damaged: remove the row `link_key` of the table `meta` and start again; addresses given out until then stop working"
    )]
    Damaged,
    /// It could not be made.
    #[error("the key that signs file addresses could not be made: {0}")]
    Unmade(#[from] std::io::Error),
}

/// The installation's key, made at the first call.
pub async fn link_key(tx: &mut Tx, keyring: &Keyring) -> Result<[u8; 32], LinkKeyError> {
    if let Some(sealed) = meta::get(tx, NAME).await? {
        let opened = hex::decode(&sealed).and_then(|bytes| keyring.open(Owner::Links, &Sealed(bytes)).ok());
        return opened.and_then(|key| key.try_into().ok()).ok_or(LinkKeyError::Damaged);
    }
    let mut key = [0; 32];
    crate::keyring::random(&mut key)?;
    meta::put(tx, NAME, &hex::encode(&keyring.seal(Owner::Links, &key)?.0)).await?;
    Ok(key)
}
