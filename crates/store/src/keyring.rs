//! Secrets at rest.
//!
//! A sealed secret is the key's number (4 bytes, big endian), a random nonce (24 bytes) and
//! XChaCha20-Poly1305 over the secret, bound to whom it belongs to. The key file holds one key a line,
//! `NUMBER HEX`; the last one seals, all of them open, so that a key can be replaced.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::hex;

const KEY_NUMBER: usize = 4;
const NONCE: usize = 24;
const HEADER: &str = "\
# Otaru's keys. Without this file the secrets in the database cannot be read: keep a copy, tell nobody.\n";

/// A secret as the database holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub(crate) Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Whose secret it is: one sealed for another does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A device's `DeviceSecret`.
    Device {
        /// Its product.
        product_key: &'a str,
        /// Its name.
        device_name: &'a str,
    },
    /// A product's `ProductSecret`.
    Product {
        /// The product.
        product_key: &'a str,
    },
    /// The known text that tells whether the key fits the database.
    KeyCheck,
    /// The key that signs file addresses.
    Links,
}

impl Owner<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Device { product_key, device_name } => format!("device\0{product_key}\0{device_name}"),
            Self::Product { product_key } => format!("product\0{product_key}"),
            Self::KeyCheck => "key check".into(),
            Self::Links => "links".into(),
        }
        .into_bytes()
    }
}

/// Why a sealed secret does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The key file has no such key.
    #[error("sealed with key {0}, which is not in the key file")]
    UnknownKey(u32),
    /// Changed, sealed for another owner, or sealed with another key of this number.
    #[error("does not open with the key it was sealed with")]
    Broken,
}

/// The keys of an installation.
#[derive(Clone)]
pub struct Keyring {
    keys: BTreeMap<u32, [u8; 32]>,
    current: u32,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.keys.len())
    }
}

impl Keyring {
    pub(crate) fn generate() -> io::Result<Self> {
        let mut key = [0; 32];
        random(&mut key)?;
        Ok(Self { keys: BTreeMap::from([(1, key)]), current: 1 })
    }

    /// Seals a secret.
    pub fn seal(&self, owner: Owner<'_>, secret: &[u8]) -> io::Result<Sealed> {
        let mut nonce = [0; NONCE];
        random(&mut nonce)?;
        let key = self.keys.get(&self.current).ok_or(io::ErrorKind::NotFound)?;
        let payload = Payload { msg: secret, aad: &owner.bytes() };
        let sealed = XChaCha20Poly1305::new(key.into())
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| io::Error::other("the secret is too long to be sealed"))?;
        Ok(Sealed([&self.current.to_be_bytes()[..], &nonce, &sealed].concat()))
    }

    /// Opens a sealed secret.
    pub fn open(&self, owner: Owner<'_>, sealed: &Sealed) -> Result<Vec<u8>, UnsealError> {
        let (number, rest) = sealed.0.split_first_chunk::<KEY_NUMBER>().ok_or(UnsealError::Broken)?;
        let (nonce, secret) = rest.split_first_chunk::<NONCE>().ok_or(UnsealError::Broken)?;
        let number = u32::from_be_bytes(*number);
        let key = self.keys.get(&number).ok_or(UnsealError::UnknownKey(number))?;
        let payload = Payload { msg: secret, aad: &owner.bytes() };
        XChaCha20Poly1305::new(key.into())
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| UnsealError::Broken)
    }

    /// `None` if there is no file.
    pub(crate) fn load(file: &Path) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes a key file that only its owner may read. Fails if there is one.
    pub(crate) fn create(&self, file: &Path) -> io::Result<()> {
        let mut out = private_file(file)?;
        out.write_all(self.text().as_bytes())?;
        out.sync_all()
    }

    pub(crate) fn text(&self) -> String {
        let line = |(number, key): (&u32, &[u8; 32])| format!("{number} {}\n", hex::encode(key));
        let lines: String = self.keys.iter().map(line).collect();
        format!("{HEADER}{lines}")
    }

    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let bad = |n: usize| {
            let what =
                format!("line {} of the key file is not `NUMBER KEY` with a key of 64 hex digits", n + 1);
            io::Error::new(io::ErrorKind::InvalidData, what)
        };
        let mut keys = BTreeMap::new();
        for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.starts_with('#') && !l.trim().is_empty())
        {
            let (number, key) = parse_key(line).ok_or_else(|| bad(n))?;
            keys.insert(number, key);
        }
        let none = || io::Error::new(io::ErrorKind::InvalidData, "the key file holds no key");
        let current = *keys.last_key_value().ok_or_else(none)?.0;
        Ok(Self { keys, current })
    }
}

fn parse_key(line: &str) -> Option<(u32, [u8; 32])> {
    let (number, key) = line.trim().split_once(' ')?;
    Some((number.parse().ok()?, hex::decode(key)?.try_into().ok()?))
}

pub(crate) fn random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|e| io::Error::other(format!("the system gives no random bytes: {e}")))
}

/// A new file that only its owner may read.
pub fn private_file(path: &Path) -> io::Result<std::fs::File> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'_> = Owner::Device { product_key: "a1b2", device_name: "lamp" };

    #[test]
    fn opens_what_it_sealed_for_the_same_owner_only() {
        let ring = Keyring::generate().unwrap();
        let sealed = ring.seal(OWNER, b"secret").unwrap();
        assert_eq!(ring.open(OWNER, &sealed), Ok(b"secret".to_vec()));
        for other in [
            Owner::Device { product_key: "a1b2", device_name: "lamp2" },
            Owner::Device { product_key: "a1b", device_name: "2lamp" },
            Owner::Product { product_key: "a1b2" },
            Owner::KeyCheck,
        ] {
            assert_eq!(ring.open(other, &sealed), Err(UnsealError::Broken));
        }
    }

    #[test]
    fn a_changed_byte_does_not_open() {
        let ring = Keyring::generate().unwrap();
        let sealed = ring.seal(OWNER, b"secret").unwrap();
        for n in 0..sealed.0.len() {
            let mut broken = sealed.clone();
            broken.0[n] ^= 1;
            assert!(ring.open(OWNER, &broken).is_err(), "byte {n}");
        }
        assert_eq!(ring.open(OWNER, &Sealed(vec![0; 3])), Err(UnsealError::Broken));
    }

    #[test]
    fn the_last_key_seals_and_all_open() {
        let old = Keyring::generate().unwrap();
        let sealed = old.seal(OWNER, b"secret").unwrap();
        let new = Keyring::parse(&format!("{}2 {}\n", old.text(), "ab".repeat(32))).unwrap();
        assert_eq!(new.open(OWNER, &sealed), Ok(b"secret".to_vec()));
        let resealed = new.seal(OWNER, b"secret").unwrap();
        assert_eq!(old.open(OWNER, &resealed), Err(UnsealError::UnknownKey(2)));
    }

    #[test]
    fn a_broken_key_file_is_named_by_its_line() {
        for text in ["", "# nothing\n", "1 abcd", "x 00", "1"] {
            assert!(Keyring::parse(text).is_err(), "{text:?}");
        }
        let error = Keyring::parse("# head\n1 zz\n").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
