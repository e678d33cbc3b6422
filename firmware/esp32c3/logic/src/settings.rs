//! What a device is told when it is made: its Wi-Fi, its platform, and who it is.

use core::fmt;

use device::flash::Region;
use embedded_storage::nor_flash::NorFlash;
use heapless::String;

use crate::nvs::{Nvs, NvsError};

/// The namespace in the partition `nvs`.
pub const NAMESPACE: &str = "otaru";

/// Where the platform listens unless told otherwise.
const PORT: u16 = 1883;

/// Bytes of the longest setting, with the zero that ends it.
const ROOM: usize = CA + 32;

/// Bytes of a certificate of RSA with 4096 bits as text, and some more.
const CA: usize = 3072;

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the Wi-Fi.
    pub ssid: String<32>,
    /// Its password; without one the Wi-Fi is open.
    pub password: String<64>,
    /// Name or address of the platform.
    pub host: String<128>,
    /// Its port.
    pub port: u16,
    /// Certificate of the CA that the platform's must come from, as PEM: then TLS is spoken. Without it, it is not.
    pub ca: String<CA>,
    /// Key of the device's product.
    pub product_key: String<20>,
    /// Name of the device.
    pub device_name: String<32>,
    /// Its secret.
    pub secret: String<64>,
}

/// Why settings cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsError<E> {
    /// The flash says so.
    Flash(E),
    /// There are none.
    NoNamespace,
    /// There is none under this key.
    Missing(&'static str),
    /// The value under this key cannot be used.
    Bad(&'static str, NvsError<E>),
    /// The number under this key is too large.
    Port(u32),
}

impl<E: fmt::Debug> fmt::Display for SettingsError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the settings cannot be read: {error:?}"),
            Self::NoNamespace => {
                write!(f, "there are no settings: write a partition nvs with the namespace {NAMESPACE}")
            }
            Self::Missing(key) => write!(f, "the setting {key} is missing in the namespace {NAMESPACE}"),
            Self::Bad(key, bad) => write!(f, "the setting {key} {bad}"),
            Self::Port(port) => write!(f, "the setting port is {port}: a port is 1 to 65535"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for SettingsError<E> {}

impl Settings {
    /// Reads them.
    pub fn read<F: NorFlash>(flash: &mut F, region: Region) -> Result<Self, SettingsError<F::Error>> {
        let nvs = Nvs::open(flash, region, NAMESPACE).map_err(SettingsError::Flash)?;
        let nvs = nvs.ok_or(SettingsError::NoNamespace)?;
        Ok(Self {
            ssid: needed(flash, nvs, "ssid")?,
            password: text(flash, nvs, "password")?.unwrap_or_default(),
            host: needed(flash, nvs, "host")?,
            port: port(flash, nvs, "port")?,
            ca: text(flash, nvs, "ca")?.unwrap_or_default(),
            product_key: needed(flash, nvs, "product_key")?,
            device_name: needed(flash, nvs, "device_name")?,
            secret: needed(flash, nvs, "secret")?,
        })
    }
}

fn needed<F: NorFlash, const N: usize>(
    flash: &mut F,
    nvs: Nvs,
    key: &'static str,
) -> Result<String<N>, SettingsError<F::Error>> {
    let text: String<N> = text(flash, nvs, key)?.unwrap_or_default();
    if text.is_empty() { Err(SettingsError::Missing(key)) } else { Ok(text) }
}

fn text<F: NorFlash, const N: usize>(
    flash: &mut F,
    nvs: Nvs,
    key: &'static str,
) -> Result<Option<String<N>>, SettingsError<F::Error>> {
    let mut room = [0; ROOM];
    let bad = |bad| SettingsError::Bad(key, bad);
    let text = nvs.string(flash, key, &mut room).map_err(bad)?;
    text.map(|text| String::try_from(text).map_err(|_| bad(NvsError::Long(text.len())))).transpose()
}

fn port<F: NorFlash>(flash: &mut F, nvs: Nvs, key: &'static str) -> Result<u16, SettingsError<F::Error>> {
    let Some(number) = nvs.number(flash, key).map_err(|bad| SettingsError::Bad(key, bad))? else {
        return Ok(PORT);
    };
    u16::try_from(number).ok().filter(|port| *port != 0).ok_or(SettingsError::Port(number))
}
