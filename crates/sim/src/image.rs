//! Images that a simulated device can be given.

use sha2::{Digest as _, Sha256};

use crate::rng::Rng;

/// What an image does when it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It works: it confirms itself and goes on.
    Works,
    /// It starts again before it could do anything.
    Crashes,
    /// It finds that it does not work, and says so.
    GivesUp,
}

/// An image: its bytes, its version and what it does. A real one keeps all of it in its bytes; here a start is told
/// by the very bytes in the slot, so that nothing but a whole image passes for one.
#[derive(Clone, Debug)]
pub struct Image {
    /// What it reports.
    pub version: String,
    /// What it does.
    pub behaviour: Behaviour,
    /// What is in the slot: its length, its content, and the SHA-256 over both.
    pub bytes: Vec<u8>,
}

/// Bytes of the length before the content.
const HEAD: usize = 4;
/// Bytes of the digest behind it.
const TAIL: usize = 32;

impl Image {
    /// An image of `len` bytes, 64 at least, with content by chance.
    pub fn new(version: &str, behaviour: Behaviour, len: usize, rng: &mut Rng) -> Self {
        let len = len.max(64);
        let mut bytes = (len as u32).to_le_bytes().to_vec();
        bytes.extend((HEAD..len - TAIL).map(|_| rng.byte()));
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        Self { version: version.to_owned(), behaviour, bytes }
    }

    /// The length that the first bytes of a slot announce.
    pub(crate) fn announced(head: [u8; HEAD]) -> usize {
        u32::from_le_bytes(head) as usize
    }

    /// Whether these bytes are a whole image by the digest inside, as a bootloader finds without knowing any.
    pub(crate) fn is_whole(bytes: &[u8]) -> bool {
        let Some((body, digest)) = bytes.split_last_chunk::<TAIL>() else { return false };
        Sha256::digest(body)[..] == digest[..]
    }
}
