//! What an ESP image says of itself: the header Espressif's tools put before the code.
//!
//! A version compiled in that differs from the package's is the commonest cause of an update that
//! reaches 100 % and never succeeds: the device reports what is compiled in.

/// Bytes of a file from its start that [`EspImage::read`] wants to see.
pub(crate) const HEAD: usize = 32 + 48;

const IMAGE_MAGIC: u8 = 0xE9;
const DESCRIPTION_MAGIC: [u8; 4] = 0xABCD_5432_u32.to_le_bytes();

/// An ESP application image's description (`esp_app_desc`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EspImage {
    /// The version compiled in, which the device will report.
    pub(crate) version: String,
}

impl EspImage {
    /// Reads the description, if the file's first bytes are an ESP application image that names its version.
    pub(crate) fn read(head: &[u8]) -> Option<Self> {
        let description = head.get(32..HEAD)?;
        if head[0] != IMAGE_MAGIC || !description.starts_with(&DESCRIPTION_MAGIC) {
            return None;
        }
        let version = text(&description[16..48]);
        (!version.is_empty()).then_some(Self { version })
    }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(version: &str) -> Vec<u8> {
        let mut file = vec![0; 400];
        file[0] = 0xE9;
        file[32..36].copy_from_slice(&[0x32, 0x54, 0xCD, 0xAB]);
        file[48..48 + version.len()].copy_from_slice(version.as_bytes());
        file
    }

    #[test]
    fn an_image_tells_its_version() {
        let found = EspImage::read(&image("1.2.3"));
        assert_eq!(found, Some(EspImage { version: "1.2.3".into() }));
    }

    #[test]
    fn a_version_that_fills_its_field_has_no_end() {
        let long = "v".repeat(32);
        assert_eq!(EspImage::read(&image(&long)).map(|i| i.version), Some(long));
    }

    #[test]
    fn an_image_without_a_version_says_nothing() {
        assert_eq!(EspImage::read(&image("")), None);
    }

    #[test]
    fn other_files_have_no_description() {
        let mut bootloader = image("1");
        bootloader[32] = 0;
        for file in [&b""[..], b"\xE9", &[0xE9; 31], &[0; 400], &bootloader] {
            assert_eq!(EspImage::read(file), None);
        }
    }
}
