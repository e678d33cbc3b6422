//! Signed, expiring file addresses (docs/protocol.md 7).
//!
//! `/ota/{task}/{expiry}-{signature}.bin`: the task's number says which file and whether it may
//! still be read, the expiry is in seconds since 1970, the signature covers both. Short, because
//! C SDK 3.x keeps 255 bytes for path and query.

use hmac::{Hmac, KeyInit, Mac};
use rollout::{Id, Ms};
use sha2::Sha256;

use crate::ids::IdKind;

/// How long an address is good for: the cloud's 24 hours.
pub(crate) const VALID_MS: Ms = 24 * 3_600_000;

/// Makes and checks addresses with the installation's key.
#[derive(Clone)]
pub(crate) struct Links {
    key: [u8; 32],
}

/// Why an address gives no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// Not an address of ours.
    Unknown,
    /// The signature is not ours.
    Forged,
    /// It was ours, for a day.
    Expired,
}

impl Links {
    /// With the installation's key.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The path for a task's file, good until a day after `now`.
    pub(crate) fn path(&self, task: Id, now: Ms) -> String {
        let (task, expiry) = (IdKind::Task.text(task), (now + VALID_MS) / 1_000);
        let signature = hex(&self.mac(&task, expiry).finalize().into_bytes()[..16]);
        format!("/ota/{task}/{expiry}-{signature}.bin")
    }

    /// The task whose file a path is for.
    pub(crate) fn check(&self, path: &str, now: Ms) -> Result<Id, LinkError> {
        let (task, expiry, signature) = parts(path).ok_or(LinkError::Unknown)?;
        let id = IdKind::Task.parse(task).ok_or(LinkError::Unknown)?;
        let given = unhex(signature).ok_or(LinkError::Forged)?;
        self.mac(task, expiry).verify_truncated_left(&given).map_err(|_| LinkError::Forged)?;
        if expiry.saturating_mul(1_000) < now { Err(LinkError::Expired) } else { Ok(id) }
    }

    fn mac(&self, task: &str, expiry: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(format!("{task}/{expiry}").as_bytes());
        mac
    }
}

fn parts(path: &str) -> Option<(&str, i64, &str)> {
    let (task, rest) = path.strip_prefix("/ota/")?.split_once('/')?;
    let (expiry, signature) = rest.strip_suffix(".bin")?.split_once('-')?;
    Some((task, expiry.parse().ok()?, signature))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |b, d| b << 4 | d)).collect();
    if digits.len() == 32 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Ms = 1_700_000_000_000;

    #[test]
    fn an_address_is_good_for_a_day() {
        let links = Links::new([7; 32]);
        let path = links.path(42, NOW);
        assert!(path.len() <= 80, "{path}");
        assert_eq!(links.check(&path, NOW + VALID_MS), Ok(42));
        assert_eq!(links.check(&path, NOW + VALID_MS + 1_000), Err(LinkError::Expired));
    }

    #[test]
    fn a_changed_address_is_refused() {
        let links = Links::new([7; 32]);
        let path = links.path(42, NOW);
        assert_eq!(Links::new([8; 32]).check(&path, NOW), Err(LinkError::Forged));
        let other = path.replace(&IdKind::Task.text(42), &IdKind::Task.text(43));
        assert_eq!(links.check(&other, NOW), Err(LinkError::Forged));
        let later = path.replace("-", "0-");
        assert_eq!(links.check(&later, NOW), Err(LinkError::Forged));
        for wrong in ["", "/", "/ota/", "/ota/x/y.bin", "/ota/tsk_0/1-.bin", &path[..path.len() - 1]] {
            assert_eq!(links.check(wrong, NOW), Err(LinkError::Unknown), "{wrong}");
        }
        let short = format!("{}.bin", &path[..path.len() - 6]);
        assert_eq!(links.check(&short, NOW), Err(LinkError::Forged));
    }
}
