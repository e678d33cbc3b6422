//! Certificates of devices.

use rollout::EventKind;
use store::certificates::DeviceCertificate;

use super::{failed, find_device};
use crate::Server;
use crate::error::OrderError;

/// Digits of a SHA-256.
const DIGITS: usize = 64;

impl Server {
    /// The SHA-256 of a device's certificate, in lower-case hex.
    pub async fn device_certificate(
        &self,
        product_key: &str,
        device_name: &str,
    ) -> Result<Option<String>, OrderError> {
        let mut tx = self.read().await?;
        let device = find_device(&mut tx, product_key, device_name).await?.device;
        store::certificates::of(&mut tx, device.id).await.map_err(failed("read a device's certificate"))
    }

    /// Lets a device come in by this certificate and no other, or by none. A connection of it ends: it may have
    /// come in by the one before.
    pub async fn set_device_certificate(
        &self,
        product_key: &str,
        device_name: &str,
        sha256: Option<&str>,
    ) -> Result<Option<String>, OrderError> {
        let sha256 = sha256.map(digits).transpose()?;
        let write = failed("change a device's certificate");
        let mut unit = self.begin().await?;
        let device = find_device(&mut unit.tx, product_key, device_name).await?.device;
        if store::certificates::of(&mut unit.tx, device.id).await.map_err(&write)? == sha256 {
            return Ok(sha256);
        }
        match sha256.clone() {
            None => {
                store::certificates::unset(&mut unit.tx, device.id).await.map_err(&write)?;
            }
            Some(sha256) => {
                let certificate = DeviceCertificate { device_id: device.id, sha256 };
                let taken = store::certificates::set(&mut unit.tx, &certificate).await.map_err(&write)?;
                if taken.is_some() {
                    return Err(taken_certificate(&certificate.sha256));
                }
            }
        }
        let kind = EventKind::DeviceCertificate { sha256: sha256.clone() };
        unit.told(device.product_id, Some(device.id), None, kind);
        unit.shut_out(device.id);
        unit.finish().await?;
        Ok(sha256)
    }
}

/// A SHA-256 as `openssl x509 -fingerprint -sha256` and others write it, in lower case.
fn digits(text: &str) -> Result<String, OrderError> {
    let digits: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
    if digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(digits);
    }
    let text = "write the SHA-256 of the certificate: 64 hex digits, with colons or without";
    Err(OrderError::invalid("badFingerprint", text).with("sha256", digits))
}

fn taken_certificate(sha256: &str) -> OrderError {
    let text = format!("the certificate {sha256} is that of another device; take it away there first");
    OrderError::conflict("certificateTaken", text).with("sha256", sha256)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_tools_write_it() {
        let plain = "0a".repeat(32);
        assert_eq!(digits(&plain).unwrap(), plain);
        assert_eq!(digits(&["0A"; 32].join(":")).unwrap(), plain);
        for text in ["", "0a", &"0g".repeat(32), &"0a".repeat(33)] {
            assert_eq!(digits(text).unwrap_err().code, "badFingerprint");
        }
    }
}
