//! What an image for the chip says of itself (ESP-IDF, "App Image Format").

use core::fmt;

/// Bytes at the start of an image that are looked at.
pub(crate) const HEAD: usize = 80;

/// What every image begins with, and where it names its chip.
const MAGIC: u8 = 0xE9;
const CHIP_AT: usize = 12;
/// The ESP32-C3.
const CHIP: u16 = 5;

/// The description of the application: where it is, what it begins with, and its version.
const DESCRIPTION: (usize, [u8; 4]) = (32, 0xABCD_5432_u32.to_le_bytes());
const VERSION: core::ops::Range<usize> = 48..80;

/// Why an image is not installed, in words for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadImage<'h> {
    /// It is none; many have uploaded the ELF file.
    NoImage,
    /// For another chip.
    OtherChip(u16),
    /// Its version is not the one that the package has.
    OtherVersion(&'h str),
}

impl fmt::Display for BadImage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImage => f.write_str("the file is no image: upload what esptool elf2image wrote"),
            Self::OtherChip(chip) => write!(f, "the image is for chip {chip}, this is an ESP32-C3 ({CHIP})"),
            Self::OtherVersion(version) => {
                write!(f, "the image says that it is version {version}, the package says another")
            }
        }
    }
}

/// Whether the image that begins so is one for this chip, and of this version. Else the device would start it and be
/// back with the one before, or fetch it again and again.
pub fn check_image<'h>(head: &'h [u8], version: &str) -> Result<(), BadImage<'h>> {
    let head: &[u8; HEAD] = head.try_into().map_err(|_| BadImage::NoImage)?;
    if head[0] != MAGIC || head[DESCRIPTION.0..DESCRIPTION.0 + 4] != DESCRIPTION.1 {
        return Err(BadImage::NoImage);
    }
    let chip = u16::from_le_bytes([head[CHIP_AT], head[CHIP_AT + 1]]);
    if chip != CHIP {
        return Err(BadImage::OtherChip(chip));
    }
    let text = head[VERSION].split(|byte| *byte == 0).next().unwrap_or_default();
    let own = core::str::from_utf8(text).map_err(|_| BadImage::NoImage)?;
    if own == version { Ok(()) } else { Err(BadImage::OtherVersion(own)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_image_for_this_chip_of_this_version() {
        let mut head = [0; HEAD];
        (head[0], head[CHIP_AT]) = (MAGIC, 5);
        head[32..36].copy_from_slice(&[0x32, 0x54, 0xCD, 0xAB]);
        head[48..53].copy_from_slice(b"1.1.0");
        assert_eq!(check_image(&head, "1.1.0"), Ok(()));
        assert_eq!(check_image(&head, "1.1"), Err(BadImage::OtherVersion("1.1.0")));
        assert_eq!(check_image(&head[..79], "1.1.0"), Err(BadImage::NoImage));
        let changed = |at: usize, byte: u8| {
            let mut head = head;
            head[at] = byte;
            check_image(&head, "1.1.0").err().map(|bad| matches!(bad, BadImage::NoImage))
        };
        assert_eq!(changed(0, 0x7F), Some(true), "an ELF file");
        assert_eq!(changed(33, 0), Some(true), "no description");
        assert_eq!(changed(CHIP_AT, 9), Some(false), "an ESP32-S3");
        assert_eq!(changed(48, 0xFF), Some(true), "no text");
    }
}
