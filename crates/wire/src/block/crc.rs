/// CRC-16/ARC of the data of a block; sent low byte first.
#[cfg(feature = "fast-crc")]
pub fn crc16(data: &[u8]) -> u16 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc16Arc, data) as u16
}

/// CRC-16/ARC of the data of a block; sent low byte first.
#[cfg(not(feature = "fast-crc"))]
pub fn crc16(data: &[u8]) -> u16 {
    // A table would be quicker, and as large as all else that a device needs for frames.
    const ARC: crc::Crc<u16, crc::NoTable> = crc::Crc::<u16, crc::NoTable>::new(&crc::CRC_16_ARC);
    ARC.checksum(data)
}
