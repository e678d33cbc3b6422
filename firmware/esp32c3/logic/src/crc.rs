//! The checksum of Espressif's formats.

use ::crc::{Algorithm, CRC_32_ISO_HDLC, Crc, Digest, NoTable};

/// The CRC-32 of the chip's ROM with `UINT32_MAX` as the start: as usual, but for the register's first value.
const ALGORITHM: Algorithm<u32> = Algorithm { init: 0, check: 0xD202_D277, ..CRC_32_ISO_HDLC };
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&ALGORITHM);

/// Of bytes that come in pieces.
pub(crate) fn digest() -> Digest<'static, u32, NoTable> {
    CRC.digest()
}

/// Of these pieces, one after the other.
pub(crate) fn checksum(pieces: &[&[u8]]) -> u32 {
    let mut digest = digest();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}
