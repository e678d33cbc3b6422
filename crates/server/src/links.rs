//! Signed, expiring file addresses (docs/protocol.md 7).
//!
//! `/ota/{subject}/{expiry}-{signature}.bin`: the subject says which file and whether it may still be
//! read, the expiry is in seconds since 1970, the signature covers both as they are written. Short, because
//! C SDK 3.x keeps 255 bytes for path and query.

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
    /// A file of a task.
    Task {
        /// Which task.
        task: Id,
        /// See [`rollout::Task::first_attempt`]: what was given out before it is of no use.
        first_attempt: i32,
        /// Which of its package's files, from 1.
        number: u32,
    },
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
            Self::Task { task, first_attempt, number } => {
                write!(f, "{}.{first_attempt}.{number}", IdKind::Task.text(task))
            }
            Self::Configuration { configuration, device } => {
                write!(f, "{}.{}", IdKind::Configuration.text(configuration), IdKind::Device.text(device))
            }
        }
    }
}

impl Subject {
    fn parse(text: &str) -> Option<Self> {
        let (first, second) = text.split_once('.')?;
        if let Some(task) = IdKind::Task.parse(first) {
            let (first_attempt, number) = second.split_once('.')?;
            return Some(Self::Task {
                task,
                first_attempt: first_attempt.parse().ok()?,
                number: number.parse().ok()?,
            });
        }
        let configuration = IdKind::Configuration.parse(first)?;
        Some(Self::Configuration { configuration, device: IdKind::Device.parse(second)? })
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
    /// It was ours until then.
    Expired(Ms),
}

impl Links {
    /// With the installation's key.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The path for a file, good until a day after `now`.
    pub(crate) fn path(&self, subject: Subject, now: Ms) -> String {
        let signed = format!("{subject}/{}", (now + VALID_MS) / 1_000);
        let signature = hex(&self.mac(&signed).finalize().into_bytes()[..16]);
        format!("/ota/{signed}-{signature}.bin")
    }

    /// What a path is for.
    pub(crate) fn check(&self, path: &str, now: Ms) -> Result<Subject, LinkError> {
        let name = path.strip_prefix("/ota/").and_then(|rest| rest.strip_suffix(".bin"));
        let (signed, signature) = name.and_then(|name| name.split_once('-')).ok_or(LinkError::Unknown)?;
        let (subject, expiry) = parts(signed).ok_or(LinkError::Unknown)?;
        let given = unhex(signature).ok_or(LinkError::Forged)?;
        self.mac(signed).verify_truncated_left(&given).map_err(|_| LinkError::Forged)?;
        let expiry = expiry.saturating_mul(1_000);
        if expiry < now { Err(LinkError::Expired(expiry)) } else { Ok(subject) }
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(signed.as_bytes());
        mac
    }
}

fn parts(signed: &str) -> Option<(Subject, i64)> {
    let (subject, expiry) = signed.split_once('/')?;
    Some((Subject::parse(subject)?, expiry.parse().ok()?))
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
    const TASK: Subject = Subject::Task { task: 42, first_attempt: 3, number: 2 };

    #[test]
    fn an_address_is_good_for_a_day() {
        let links = Links::new([7; 32]);
        for subject in [
            TASK,
            Subject::Task { task: i64::MAX, first_attempt: i32::MAX, number: 20 },
            Subject::Configuration { configuration: 42, device: i64::MAX },
        ] {
            let path = links.path(subject, NOW);
            assert!(path.len() <= 96, "{path}");
            assert_eq!(links.check(&path, NOW + VALID_MS), Ok(subject));
            assert_eq!(links.check(&path, NOW + VALID_MS + 1_000), Err(LinkError::Expired(NOW + VALID_MS)));
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
        let path = links.path(TASK, NOW);
        assert_eq!(Links::new([8; 32]).check(&path, NOW), Err(LinkError::Forged));
        let other = path.replace(&IdKind::Task.text(42), &IdKind::Task.text(43));
        assert_eq!(links.check(&other, NOW), Err(LinkError::Forged));
        let changes = [
            ("-", "0-"),
            (".3.", ".4."),
            (".3.", ".+3."),
            (".2/", ".1/"),
            (".2/", ".02/"),
            ("/1700", "/+1700"),
        ];
        for (from, to) in changes {
            let changed = path.replace(from, to);
            assert_eq!(links.check(&changed, NOW), Err(LinkError::Forged), "{changed}");
        }
        let tricks =
            [format!("{path}?"), format!("/{path}"), path.replace(".2/", ".2%2F"), path.to_uppercase()];
        let wrong = ["", "/", "/ota/", "/ota/x/y.bin", "/ota/tsk_0/1-.bin", &path[..path.len() - 1]];
        for wrong in wrong.into_iter().chain(tricks.iter().map(String::as_str)) {
            assert_eq!(links.check(wrong, NOW), Err(LinkError::Unknown), "{wrong}");
        }
        let short = format!("{}.bin", &path[..path.len() - 6]);
        assert_eq!(links.check(&short, NOW), Err(LinkError::Forged));
    }
}
