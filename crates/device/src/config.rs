//! What an updater is told at its start.

use core::fmt;

use wire::credentials::{valid_device_name, valid_module, valid_product_key};
use wire::json::RawStr;

use crate::window::MAX_WINDOW;

/// Name of the module that is the whole firmware (docs/protocol.md 5.1).
pub const DEFAULT_MODULE: &str = "default";

/// The most modules one device can have.
pub const MAX_MODULES: usize = 32;

/// The most bytes a file may have over MQTT (docs/protocol.md 6): 16 MiB.
pub const MAX_FILE: u32 = 16 << 20;

/// Block sizes that a request may carry (docs/protocol.md 6.1), in bytes.
const BLOCK_SIZES: core::ops::RangeInclusive<u32> = 256..=131_072;

/// One part of the device that has a version of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module<'a> {
    /// 1 to 64 characters of `A-Z a-z 0-9 . - _`; [`DEFAULT_MODULE`] is the whole firmware.
    pub name: &'a str,
    /// The version that runs now: 1 to 64 characters without `"`, `\` and control characters.
    pub version: &'a str,
    /// Size of what takes a new image of this module, in bytes: its own slot, or what the part behind a serial line
    /// holds. Larger files are refused.
    pub slot: u32,
}

impl<'a> Module<'a> {
    /// A module that takes files as large as the protocol can bring.
    pub const fn new(name: &'a str, version: &'a str) -> Self {
        Self { name, version, slot: MAX_FILE }
    }
}

/// Who the device is and what it can hold.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// Key of the device's product.
    pub product_key: &'a str,
    /// Name of the device in its product.
    pub device_name: &'a str,
    /// The parts whose versions are reported at every connect, at most [`MAX_MODULES`].
    pub modules: &'a [Module<'a>],
    /// Bytes asked for at a time, 256 to 131 072. A receive buffer must hold 512 more.
    pub block: u32,
    /// How many blocks may be asked for or being written at once, at most: the number of receive buffers, 1 to
    /// [`MAX_WINDOW`]. How many are is measured: as many as shorten the download, fewer after a loss.
    pub window: usize,
    /// Milliseconds to wait for a block before asking again, at most; less once the link is known. A block that does
    /// not come in six times this ends the download.
    pub reply_timeout: u32,
    /// Whether the application fetches files over HTTP ([`crate::Output::Fetch`]). If not, offers of them are refused.
    pub http: bool,
    /// Milliseconds from one saved record to the next, at least. With 0 every stored block is recorded as fast as the
    /// storage allows; more spares the storage and has a power cut cost the blocks of that time.
    pub save_interval: u32,
}

impl<'a> Config<'a> {
    /// A device with two receive buffers for blocks of 4 KiB, at most 10 s of patience for a reply, no HTTP,
    /// and a record of every block.
    pub const fn new(product_key: &'a str, device_name: &'a str, modules: &'a [Module<'a>]) -> Self {
        Self {
            product_key,
            device_name,
            modules,
            block: 4096,
            window: 2,
            reply_timeout: 10_000,
            http: false,
            save_interval: 0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), BadConfig> {
        let ensure = |good: bool, bad: BadConfig| if good { Ok(()) } else { Err(bad) };
        ensure(valid_product_key(self.product_key), BadConfig::ProductKey)?;
        ensure(valid_device_name(self.device_name), BadConfig::DeviceName)?;
        ensure((1..=MAX_MODULES).contains(&self.modules.len()), BadConfig::Modules)?;
        for (index, module) in self.modules.iter().enumerate() {
            let repeated = self.modules[..index].iter().any(|other| other.name == module.name);
            ensure(valid_module(module.name) && !repeated, BadConfig::Module(index))?;
            ensure(valid_version(module.version), BadConfig::Version(index))?;
        }
        ensure(BLOCK_SIZES.contains(&self.block), BadConfig::Block(self.block))?;
        ensure((1..=MAX_WINDOW).contains(&self.window), BadConfig::Window(self.window))
    }
}

/// Whether a module can have this version: 1 to 64 characters without `"`, `\` and control characters.
pub fn valid_version(version: &str) -> bool {
    (1..=64).contains(&version.chars().count()) && RawStr::plain(version).is_some()
}

/// Why a [`Config`] cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadConfig {
    /// Not a product key.
    ProductKey,
    /// Not a device name.
    DeviceName,
    /// No module, or more than [`MAX_MODULES`].
    Modules,
    /// The module with this index has a bad name or one that occurred before.
    Module(usize),
    /// The module with this index has a bad version.
    Version(usize),
    /// Not a block size.
    Block(u32),
    /// Not a window.
    Window(usize),
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProductKey => f.write_str("the product key must be 1 to 20 letters or digits"),
            Self::DeviceName => {
                f.write_str("the device name must be 4 to 32 characters of A-Z a-z 0-9 - _ @ . :")
            }
            Self::Modules => write!(f, "a device has 1 to {MAX_MODULES} modules"),
            Self::Module(index) => write!(
                f,
                "module {}: the name must be 1 to 64 characters of A-Z a-z 0-9 . - _ and occur once",
                index + 1
            ),
            Self::Version(index) => write!(
                f,
                "module {}: the version must be 1 to 64 characters without quotes, backslashes and control characters",
                index + 1
            ),
            Self::Block(block) => write!(
                f,
                "a block of {block} bytes cannot be asked for: use {} to {}",
                BLOCK_SIZES.start(),
                BLOCK_SIZES.end()
            ),
            Self::Window(window) => {
                write!(f, "a window of {window} requests is not possible: use 1 to {MAX_WINDOW}")
            }
        }
    }
}

impl core::error::Error for BadConfig {}
