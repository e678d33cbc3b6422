//! The certificates of devices, by which they may come in. Events are the caller's to write.

use rollout::Id;

use crate::Error;
use crate::sql::Tx;

/// A device's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCertificate {
    /// The device. It has one at most.
    pub device_id: Id,
    /// SHA-256 of the certificate, in lower-case hex; of one device only.
    pub sha256: String,
}

/// Whose a certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The device.
    pub device: Id,
    /// A disabled one is refused.
    pub enabled: bool,
    /// Key of its product.
    pub product_key: String,
    /// Its name.
    pub device_name: String,
}

/// Gives a device this certificate in place of the one it has. The number of the other device that has it, if
/// one has: then nothing is changed.
pub async fn set(tx: &mut Tx, certificate: &DeviceCertificate) -> Result<Option<Id>, Error> {
    let sql = "select device_id from device_certificate where sha256 = ?";
    let taken = tx.row(sql, vec![certificate.sha256.as_str().into()]).await?;
    let taken: Option<Id> = taken.map(|row| row.get(0)).transpose()?;
    if let Some(other) = taken.filter(|owner| *owner != certificate.device_id) {
        return Ok(Some(other));
    }
    tx.upsert(std::slice::from_ref(certificate)).await?;
    Ok(None)
}

/// Takes a device's certificate away, if it has one.
pub async fn unset(tx: &mut Tx, device: Id) -> Result<(), Error> {
    tx.exec("delete from device_certificate where device_id = ?", vec![device.into()]).await.map(drop)
}

/// The SHA-256 of a device's certificate.
pub async fn of(tx: &mut Tx, device: Id) -> Result<Option<String>, Error> {
    let sql = "select sha256 from device_certificate where device_id = ?";
    tx.row(sql, vec![device.into()]).await?.map(|row| row.get(0)).transpose()
}

/// Whose certificate has this SHA-256.
pub async fn bearer(tx: &mut Tx, sha256: &str) -> Result<Option<Bearer>, Error> {
    let sql = "select device.id, device.enabled, product.product_key, device.name from device_certificate c \
               join device on device.id = c.device_id join product on product.id = device.product_id \
               where c.sha256 = ?";
    let Some(row) = tx.row(sql, vec![sha256.into()]).await? else { return Ok(None) };
    let mut fields = row.fields();
    Ok(Some(Bearer {
        device: fields.next()?,
        enabled: fields.next()?,
        product_key: fields.next()?,
        device_name: fields.next()?,
    }))
}
