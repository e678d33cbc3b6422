//! What a device is told at the factory: who it is, and where its platform is.

use core::net::SocketAddrV4;

use embedded_storage::nor_flash::ReadNorFlash;

use crate::flash::{Flash, FlashError};
use crate::layout::SETTINGS;
use crate::machine;

/// The most bytes that are read of the settings.
const LENGTH: usize = 512;

/// Four lines at the start of their region, ended by a blank byte: the platform's address, the product key, the
/// device name, the device secret.
pub struct Settings {
    /// Where the platform is, as in `10.0.2.2:1883`.
    pub platform: SocketAddrV4,
    /// Key of the device's product.
    pub product_key: &'static str,
    /// Name of the device.
    pub device_name: &'static str,
    /// Its secret.
    pub secret: &'static str,
}

impl Settings {
    /// Reads them; `None` if there are none.
    pub fn read(flash: &mut Flash) -> Result<Option<Self>, FlashError> {
        let bytes = machine::take(LENGTH);
        flash.read(SETTINGS.start, bytes)?;
        let text =
            bytes.split(|byte| *byte == 0xFF).next().and_then(|bytes| core::str::from_utf8(bytes).ok());
        Ok(text.and_then(Self::parse))
    }

    fn parse(text: &'static str) -> Option<Self> {
        let mut lines = text.lines();
        Some(Self {
            platform: lines.next()?.parse().ok()?,
            product_key: lines.next()?,
            device_name: lines.next()?,
            secret: lines.next()?,
        })
    }
}
