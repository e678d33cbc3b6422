//! What a registration is decided by, and the tokens that devices got for one. Events are the caller's to write.

use rollout::{Id, Ms};

use crate::devices::{Claimant, found_for};
use crate::record::int;
use crate::sql::{Fields, Tx};
use crate::{Error, Sealed};

/// What is known of an applicant's product.
#[derive(Clone, Debug)]
pub struct Known {
    /// The product.
    pub product: Id,
    /// The product's secret, sealed for it.
    pub secret: Sealed,
    /// Whether its devices may register.
    pub dynamic_registration: bool,
    /// Whether those that nobody has made may, too.
    pub without_pre_registration: bool,
    /// Until when all of its devices may register again.
    pub registration_until: Option<Ms>,
    /// The device, if it was made.
    pub device: Option<KnownDevice>,
}

/// What is known of an applicant.
#[derive(Clone, Debug)]
pub struct KnownDevice {
    /// The device.
    pub device: Id,
    /// A disabled one is refused.
    pub enabled: bool,
    /// Its secret, sealed for it.
    pub secret: Sealed,
    /// Its first connection.
    pub first_online_at: Option<Ms>,
    /// Until when it may register again.
    pub registration_until: Option<Ms>,
    /// The gateway it belongs to.
    pub gateway: Option<Id>,
    /// How many client ids it has tokens for.
    pub tokens: i64,
    /// Whether the one it wants one for is among them.
    pub has_token: bool,
}

/// A token, as a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceToken {
    /// Whose.
    pub device_id: Id,
    /// For logins with this client id.
    pub client_id: String,
    /// SHA-256 of the token.
    pub hash: Vec<u8>,
    /// When it was given.
    pub created_at: Ms,
}

/// What is known of applicants, in their order; `None`: there is no such product.
pub async fn known(tx: &mut Tx, applicants: &[Claimant<'_>]) -> Result<Vec<Option<Known>>, Error> {
    let statement = "select v.place, product.id, product.secret, product.dynamic_registration, \
                     product.without_pre_registration, product.registration_until, \
                     device.id, device.enabled, device.secret, device.first_online_at, device.registration_until, \
                     topology.gateway_id, \
                     (select count(*) from device_token where device_token.device_id = device.id), \
                     (select count(*) from device_token where device_token.device_id = device.id \
                     and device_token.client_id = v.client_id) \
                     from v join product on product.product_key = v.product_key \
                     left join device on device.product_id = product.id and device.name = v.name \
                     left join topology on topology.device_id = device.id";
    found_for(tx, applicants, statement, read).await
}

fn read(fields: &mut Fields<'_>) -> Result<Known, Error> {
    Ok(Known {
        product: fields.next()?,
        secret: Sealed(fields.next()?),
        dynamic_registration: fields.next()?,
        without_pre_registration: fields.next()?,
        registration_until: fields.next()?,
        device: read_device(fields)?,
    })
}

fn read_device(fields: &mut Fields<'_>) -> Result<Option<KnownDevice>, Error> {
    let device: Option<Id> = fields.next()?;
    let enabled: Option<bool> = fields.next()?;
    let secret: Option<Vec<u8>> = fields.next()?;
    let (Some(device), Some(enabled), Some(secret)) = (device, enabled, secret) else { return Ok(None) };
    Ok(Some(KnownDevice {
        device,
        enabled,
        secret: Sealed(secret),
        first_online_at: fields.next()?,
        registration_until: fields.next()?,
        gateway: fields.next()?,
        tokens: fields.next()?,
        has_token: fields.next::<i64>()? > 0,
    }))
}

/// Keeps tokens, each in place of an earlier one for the same client id.
pub async fn keep_tokens(tx: &mut Tx, tokens: &[DeviceToken]) -> Result<(), Error> {
    tx.upsert(tokens).await
}

/// Forgets the oldest token of each of these devices.
pub async fn forget_oldest_tokens(tx: &mut Tx, devices: &[Id]) -> Result<(), Error> {
    let rows = devices.iter().map(|device| vec![(*device).into()]).collect();
    let statement = "delete from device_token where device_id in (select device_id from v) \
                     and created_at = (select min(oldest.created_at) from device_token oldest \
                     where oldest.device_id = device_token.device_id)";
    tx.bulk(&[int("device_id")], rows, statement).await.map(drop)
}
