//! The file an update is about, taken out of an offer (docs/protocol.md 5.2).

use core::fmt;

use wire::message::{Offer, Source};

use crate::config::{Config, DEFAULT_MODULE, MAX_FILE};
use crate::digest::Expected;
use crate::output::Failure;
use crate::record::Fingerprint;
use crate::text::Text;

/// Text that goes into a progress message: at most 128 bytes, without characters that JSON escapes.
pub(crate) type Description = Text<128>;

/// `value` with what JSON would escape made harmless.
pub(crate) fn describe(value: impl fmt::Display) -> Description {
    struct Plain<'t>(&'t mut Description);

    impl fmt::Write for Plain<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for c in text.chars() {
                let harmless = match c {
                    '"' | '\\' => '\'',
                    c if c.is_control() => ' ',
                    c => c,
                };
                fmt::Write::write_char(self.0, harmless)?;
            }
            Ok(())
        }
    }
    let mut text = Text::new();
    let _ = fmt::write(&mut Plain(&mut text), format_args!("{value}"));
    text
}

/// A file to fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Index of the module in the config.
    pub(crate) module: usize,
    pub(crate) version: Text<256>,
    pub(crate) size: u32,
    pub(crate) digest: Expected,
    pub(crate) origin: Origin,
    /// The same for every offer of the same file.
    pub(crate) fingerprint: Fingerprint,
}

/// The longest URL that is kept, in bytes.
pub const MAX_URL: usize = 512;

/// Where a file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Blocks over MQTT, by these two numbers.
    Blocks { stream: u32, file: u32 },
    /// HTTP.
    Url(Text<MAX_URL>),
}

/// Why an offer cannot be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    pub(crate) text: Description,
}

fn refuse<T>(failure: Failure, text: fmt::Arguments<'_>) -> Result<T, Refusal> {
    Err(Refusal { failure, text: describe(text) })
}

/// Index of the module an offer is for; `None` if the device has no such module.
pub(crate) fn module_of(offer: &Offer<'_>, config: &Config<'_>) -> Option<usize> {
    let wanted = |name: &str| offer.module.unwrap_or(DEFAULT_MODULE) == name;
    config.modules.iter().position(|module| wanted(module.name))
}

impl Target {
    /// Takes an offer for the module with this index.
    pub(crate) fn of(offer: &Offer<'_>, module: usize, config: &Config<'_>) -> Result<Self, Refusal> {
        if offer.is_diff {
            return refuse(
                Failure::Upgrade,
                format_args!("differential packages are not supported, send a full one"),
            );
        }
        let (origin, size, sign) = match offer.source {
            Source::Mqtt { stream_id, file_id, size, sign, .. } => {
                (Origin::Blocks { stream: stream_id, file: file_id }, size, sign)
            }
            Source::Http { url, size, sign, .. } if config.http => match Text::whole(url) {
                Some(url) => (Origin::Url(url), size, sign),
                None => {
                    return refuse(
                        Failure::Download,
                        format_args!("the URL is longer than the {MAX_URL} bytes that the device keeps"),
                    );
                }
            },
            Source::Http { .. } => {
                return refuse(
                    Failure::Download,
                    format_args!("download over HTTP is not supported, start the job with protocol mqtt"),
                );
            }
            Source::Files(_) => {
                return refuse(
                    Failure::Download,
                    format_args!("packages of several files are not supported"),
                );
            }
        };
        let size = check_size(size, &origin, config.modules[module].slot)?;
        let Some(version) = Text::whole(offer.version) else {
            return refuse(Failure::Upgrade, format_args!("the version is longer than 64 characters"));
        };
        let Some(digest) = Expected::parse(offer.sign_method, sign) else {
            return refuse(
                Failure::Verify,
                format_args!("the digest in the notice is not one of signMethod"),
            );
        };
        let name = config.modules[module].name;
        let fingerprint = Fingerprint::of(name, version.as_str(), size, digest.bytes());
        Ok(Self { module, version, size, digest, origin, fingerprint })
    }
}

fn check_size(size: u64, origin: &Origin, slot: u32) -> Result<u32, Refusal> {
    if size == 0 {
        return refuse(Failure::Download, format_args!("the notice announces an empty file"));
    }
    if matches!(origin, Origin::Blocks { .. }) && size > u64::from(MAX_FILE) {
        return refuse(
            Failure::Download,
            format_args!("{size} bytes are announced, over MQTT a file has at most {MAX_FILE}"),
        );
    }
    match u32::try_from(size) {
        Ok(size) if size <= slot => Ok(size),
        _ => {
            refuse(Failure::Burn, format_args!("{size} bytes are announced, the device's slot holds {slot}"))
        }
    }
}
