//! The file an update is about, taken out of an offer (docs/protocol.md 5.2).

use core::fmt;

use wire::json::RawStr;
use wire::message::{Offer, Source};

use crate::config::{Config, DEFAULT_MODULE, MAX_FILE};
use crate::digest::Expected;
use crate::output::Failure;
use crate::record::Fingerprint;
use crate::text::{End, Text};

/// Text that goes into a progress message: at most 128 bytes, without characters that JSON escapes.
pub(crate) type Description = Text<128>;

/// This text with what JSON would escape made harmless.
pub(crate) fn describe(text: fmt::Arguments<'_>) -> Description {
    struct Plain<'t>(End<'t>);

    impl fmt::Write for Plain<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for c in text.chars() {
                let harmless = match c {
                    '"' | '\\' => '\'',
                    c if c.is_control() => ' ',
                    c => c,
                };
                fmt::Write::write_char(&mut self.0, harmless)?;
            }
            Ok(())
        }
    }
    let mut description = Text::new();
    let _ = fmt::write(&mut Plain(description.end()), text);
    description
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
    pub(crate) part: Part,
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

/// Which file of a package this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) file: u8,
    pub(crate) files: u8,
    /// Bytes of the files before it.
    before: u64,
    /// Bytes of all files.
    total: u64,
}

impl Part {
    /// The file with this index, and what it is a part of.
    fn of(source: &Source<'_>, index: usize) -> Self {
        let Source::Files(files) = source else { return Self { file: 0, files: 1, before: 0, total: 0 } };
        let mut part = Self { file: index as u8, files: 0, before: 0, total: 0 };
        for (at, file) in files.iter().enumerate() {
            part.before = if at == index { part.total } else { part.before };
            part.total = part.total.saturating_add(file.size);
            part.files += 1;
        }
        part
    }

    pub(crate) fn is_last(&self) -> bool {
        self.file + 1 >= self.files
    }
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

/// How many files an offer has.
pub(crate) fn files_of(offer: &Offer<'_>) -> usize {
    if let Source::Files(files) = &offer.source { files.iter().count() } else { 1 }
}

impl Target {
    /// Takes the file with this index out of an offer for the module with this index.
    pub(crate) fn of(
        offer: &Offer<'_>,
        module: usize,
        config: &Config<'_>,
        index: usize,
    ) -> Result<Self, Refusal> {
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
            Source::Http { .. } | Source::Files(_) if !config.http => {
                return refuse(
                    Failure::Download,
                    format_args!("download over HTTP is not supported, start the job with protocol mqtt"),
                );
            }
            Source::Http { url, size, sign, .. } => (Origin::Url(keep(url)?), size, sign),
            Source::Files(files) => match files.iter().nth(index) {
                Some(file) => (Origin::Url(keep(file.url)?), file.size, file.sign),
                None => return refuse(Failure::Download, format_args!("the notice has no file {index}")),
            },
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
        let part = Part::of(&offer.source, index);
        // Two files of a package can be the same. No name of a module has a slash.
        let name = config.modules[module].name;
        let name: Text<72> =
            if part.file == 0 { Text::of(name) } else { Text::of(format_args!("{name}/{index}")) };
        let fingerprint = Fingerprint::of(name.as_str(), version.as_str(), size, digest.bytes());
        Ok(Self { module, version, size, digest, origin, part, fingerprint })
    }

    /// Per cent of the whole package, once `stored` bytes of this file are there.
    pub(crate) fn percent(&self, stored: u32) -> u8 {
        let Part { before, total, .. } = self.part;
        percent_of(before + u64::from(stored), total.max(self.size.into())).min(99) as u8
    }
}

fn keep(url: RawStr<'_>) -> Result<Text<MAX_URL>, Refusal> {
    match Text::whole(url) {
        Some(url) => Ok(url),
        None => refuse(
            Failure::Download,
            format_args!("the URL is longer than the {MAX_URL} bytes that the device keeps"),
        ),
    }
}

fn check_size(size: u64, origin: &Origin, slot: u32) -> Result<u32, Refusal> {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    if size == 0 {
        return refuse(Failure::Download, format_args!("the notice announces an empty file"));
    }
    if matches!(origin, Origin::Blocks { .. }) && size > MAX_FILE {
        return refuse(
            Failure::Download,
            format_args!("{size} bytes are announced, over MQTT a file has at most {MAX_FILE}"),
        );
    }
    if size > slot {
        return refuse(
            Failure::Burn,
            format_args!("{size} bytes are announced, the device's slot holds {slot}"),
        );
    }
    Ok(size)
}

/// Per cent, by the highest 25 bits: small processors divide no more than 32 bits at a time.
fn percent_of(done: u64, total: u64) -> u32 {
    let shift = (u64::BITS - total.leading_zeros()).saturating_sub(25);
    (done >> shift) as u32 * 100 / (total >> shift) as u32
}

#[cfg(test)]
mod tests {
    use super::percent_of;

    #[test]
    fn per_cent_of_packages_of_any_size() {
        for total in [1, 3, 9_400, (1 << 25) - 1, 1 << 25, (1 << 32) - 1, (1 << 32) + 1, 20 << 53] {
            for percent in 0..=100 {
                let done = (u128::from(total) * percent / 100) as u64;
                let exact = (u128::from(done) * 100 / u128::from(total)) as u32;
                let found = percent_of(done, total);
                assert!(found.abs_diff(exact) <= 1 && found <= 100, "{done} of {total}: {found}");
            }
        }
    }
}
