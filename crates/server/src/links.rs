//! Signed, expiring file addresses (docs/protocol.md 7).
//!
//! `/ota/{subject}/{expiry}-{signature}.bin`: the subject says which file and whether it may still be
//! read, the expiry is in seconds since 1970, the signature covers both. Short, because C SDK 3.x
//! keeps 255 bytes for path and query.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use rollout::{Id, Ms};
use sha2::Sha256;

use crate::ids::IdKind;

/// How long an address is good for: the cloud's 24 hours.
pub(crate) const VALID_MS: Ms = 24 * 3_600_000;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The file of a task.
    Task(Id),
    /// A version of a configuration, for one device.
    Configuration {
        /// Which version.
        configuration: Id,
        /// Who was told this address.
        device: Id,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Task(task) => f.write_str(&IdKind::Task.text(task)),
            Self::Configuration { configuration, device } => {
                write!(f, "{}.{}", IdKind::Configuration.text(configuration), IdKind::Device.text(device))
            }
        }
    }
}

impl Subject {
    fn parse(text: &str) -> Option<Self> {
        let Some((configuration, device)) = text.split_once('.') else {
            return IdKind::Task.parse(text).map(Self::Task);
        };
        let configuration = IdKind::Configuration.parse(configuration)?;
        Some(Self::Configuration { configuration, device: IdKind::Device.parse(device)? })
    }
}

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

    /// The path for a file, good until a day after `now`.
    pub(crate) fn path(&self, subject: Subject, now: Ms) -> String {
        let (subject, expiry) = (subject.to_string(), (now + VALID_MS) / 1_000);
        let signature = hex(&self.mac(&subject, expiry).finalize().into_bytes()[..16]);
        format!("/ota/{subject}/{expiry}-{signature}.bin")
    }

    /// What a path is for.
    pub(crate) fn check(&self, path: &str, now: Ms) -> Result<Subject, LinkError> {
        let (text, expiry, signature) = parts(path).ok_or(LinkError::Unknown)?;
        let subject = Subject::parse(text).ok_or(LinkError::Unknown)?;
        let given = unhex(signature).ok_or(LinkError::Forged)?;
        self.mac(text, expiry).verify_truncated_left(&given).map_err(|_| LinkError::Forged)?;
        if expiry.saturating_mul(1_000) < now { Err(LinkError::Expired) } else { Ok(subject) }
    }

    fn mac(&self, subject: &str, expiry: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(format!("{subject}/{expiry}").as_bytes());
        mac
    }
}

fn parts(path: &str) -> Option<(&str, i64, &str)> {
    let (subject, rest) = path.strip_prefix("/ota/")?.split_once('/')?;
    let (expiry, signature) = rest.strip_suffix(".bin")?.split_once('-')?;
    Some((subject, expiry.parse().ok()?, signature))
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
        for subject in [Subject::Task(42), Subject::Configuration { configuration: 42, device: i64::MAX }] {
            let path = links.path(subject, NOW);
            assert!(path.len() <= 96, "{path}");
            assert_eq!(links.check(&path, NOW + VALID_MS), Ok(subject));
            assert_eq!(links.check(&path, NOW + VALID_MS + 1_000), Err(LinkError::Expired));
        }
    }

    #[test]
    fn an_address_is_its_device_s_own() {
        let links = Links::new([7; 32]);
        let path = links.path(Subject::Configuration { configuration: 42, device: 1 }, NOW);
        let other = path.replace(&IdKind::Device.text(1), &IdKind::Device.text(2));
        assert_eq!(links.check(&other, NOW), Err(LinkError::Forged));
        let (task, configuration) = (IdKind::Task.text(42), IdKind::Configuration.text(42));
        assert_eq!(links.check(&path.replace(&configuration, &task), NOW), Err(LinkError::Unknown));
    }

    #[test]
    fn a_changed_address_is_refused() {
        let links = Links::new([7; 32]);
        let path = links.path(Subject::Task(42), NOW);
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
