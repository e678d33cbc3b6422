//! The digest of a whole file, MD5 or SHA-256 (docs/protocol.md 5.2, `sign` and `signMethod`).

use md5::{Digest as _, Md5};
use sha2::Sha256;

/// The longest digest, in bytes.
const LONGEST: usize = 32;

/// A digest that a file must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    bytes: [u8; LONGEST],
    method: wire::message::Digest,
}

impl Expected {
    /// Reads the hex digits of `sign`, in either case. `None` if their number or kind does not fit `method`.
    pub(crate) fn parse(method: wire::message::Digest, sign: &str) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        let hex = sign.as_bytes();
        if hex.len() != 2 * length(method) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self { bytes, method })
    }

    /// A digest of these bytes; `None` if they are not as many as `method` has.
    pub(crate) fn from_bytes(method: wire::message::Digest, digest: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..length(method)).filter(|bytes| bytes.len() == digest.len())?.copy_from_slice(digest);
        Some(Self { bytes, method })
    }

    /// The digest's bytes: 16 or 32.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..length(self.method)]
    }

    /// Starts computing a digest of this kind.
    pub(crate) fn hasher(&self) -> Hasher {
        match self.method {
            wire::message::Digest::Md5 => Hasher::Md5(Md5::new()),
            wire::message::Digest::Sha256 => Hasher::Sha256(Sha256::new()),
        }
    }
}

/// A digest being computed, in the order of the file.
#[derive(Clone)]
pub(crate) enum Hasher {
    /// MD5.
    Md5(Md5),
    /// SHA-256.
    Sha256(Sha256),
}

impl Hasher {
    /// Takes the next bytes of the file.
    pub(crate) fn update(&mut self, data: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(data),
            Self::Sha256(hasher) => hasher.update(data),
        }
    }

    /// Whether the bytes taken so far have this digest.
    pub(crate) fn matches(self, expected: &Expected) -> bool {
        match self {
            Self::Md5(hasher) => hasher.finalize()[..] == *expected.bytes(),
            Self::Sha256(hasher) => hasher.finalize()[..] == *expected.bytes(),
        }
    }
}

fn length(method: wire::message::Digest) -> usize {
    match method {
        wire::message::Digest::Md5 => 16,
        wire::message::Digest::Sha256 => 32,
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use wire::message::Digest;

    #[test]
    fn known_digests() {
        let md5 = Expected::parse(Digest::Md5, "900150983CD24FB0d6963f7d28e17f72").unwrap();
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let sha = Expected::parse(Digest::Sha256, sha).unwrap();
        for expected in [md5, sha] {
            let mut hasher = expected.hasher();
            hasher.update(b"a");
            hasher.update(b"bc");
            assert!(hasher.clone().matches(&expected));
            hasher.update(b"d");
            assert!(!hasher.matches(&expected));
        }
    }

    #[test]
    fn refuses_other_text() {
        assert_eq!(Expected::parse(Digest::Sha256, "900150983cd24fb0d6963f7d28e17f72"), None);
        assert_eq!(Expected::parse(Digest::Md5, "900150983cd24fb0d6963f7d28e17f7g"), None);
        assert_eq!(Expected::parse(Digest::Md5, "升00150983cd24fb0d6963f7d28e17f"), None);
    }
}
