//! What a device remembers of a download over a reboot.

use sha2::{Digest as _, Sha256};

/// Says that one file is in the slot up to a length. It is what makes a download go on after a power cut.
///
/// It names the file by a fingerprint of module, version, size and digest, so that only the very same file is
/// continued; the stream may have got another number since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub(crate) file: Fingerprint,
    pub(crate) stored: u32,
}

/// Names one file for one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a file with these properties.
    pub(crate) fn of(module: &str, version: &str, size: u32, digest: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        for part in [module.as_bytes(), version.as_bytes(), &size.to_le_bytes(), digest] {
            hasher.update((part.len() as u32).to_le_bytes());
            hasher.update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize()[..16]);
        Self(bytes)
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Its first six bytes, three by three, to be written as a file token (docs/protocol.md 6.1).
    pub(crate) fn token(&self) -> [u32; 2] {
        [0, 3].map(|at| u32::from_be_bytes([0, self.0[at], self.0[at + 1], self.0[at + 2]]))
    }
}

impl Record {
    /// Length of the stored form, in bytes.
    pub const LEN: usize = 24;
    const MAGIC: [u8; 2] = *b"O1";

    /// How many bytes from the start of the file are in the slot.
    pub fn stored(&self) -> u32 {
        self.stored
    }

    /// The stored form. It carries a checksum: a torn write is told from a record.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..2].copy_from_slice(&Self::MAGIC);
        bytes[2..18].copy_from_slice(&self.file.0);
        bytes[18..22].copy_from_slice(&self.stored.to_le_bytes());
        let crc = wire::block::crc16(&bytes[..22]);
        bytes[22..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the stored form; `None` if these bytes are not a whole record.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let (body, crc) = bytes.split_at(22);
        if body[..2] != Self::MAGIC || wire::block::crc16(body).to_le_bytes() != crc {
            return None;
        }
        let file = Fingerprint(body[2..18].try_into().ok()?);
        Some(Self { file, stored: u32::from_le_bytes(body[18..22].try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_records_are_read() {
        let record = Record { file: Fingerprint::of("MCU", "2.0", 9, &[7; 16]), stored: 0x01020304 };
        let bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(&bytes), Some(record));
        for at in 0..Record::LEN {
            let mut torn = bytes;
            torn[at..].fill(!bytes[at]);
            assert_eq!(Record::from_bytes(&torn), None, "torn at {at}");
            assert_eq!(Record::from_bytes(&bytes[..at]), None);
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let digest = [7; 16];
        let file = Fingerprint::of("a", "bc", 9, &digest);
        for other in [("ab", "c", 9), ("a", "bd", 9), ("a", "bc", 10)] {
            assert_ne!(file, Fingerprint::of(other.0, other.1, other.2, &digest));
        }
        assert_ne!(file, Fingerprint::of("a", "bc", 9, &[7; 32]));
    }
}
