use core::fmt::{self, Write};

use super::envelope::{emit_module, module, number, pair, text};
use super::error::{Error, Fault};
use super::{ExtData, MAX_VERSION};
use crate::Emit;
use crate::json::{Array, Object, RawStr};

/// Most files of one offer.
pub const MAX_FILES: usize = 20;

/// Longest URL in characters; also the bound for `digestsign`.
pub const MAX_URL: usize = 2048;

const MAX_FILE_NAME: usize = 256;

/// Largest size in bytes that is sent as an integer every JSON reader keeps exact.
const MAX_SIZE: i64 = 1 << 53;

/// The digest that an offer names in `signMethod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digest {
    /// Written `Md5`.
    Md5,
    /// Written `SHA256`.
    Sha256,
}

impl Digest {
    /// The exact spelling that devices compare with.
    pub fn as_str(self) -> &'static str {
        match self {
            Digest::Md5 => "Md5",
            Digest::Sha256 => "SHA256",
        }
    }

    /// Reads it in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Digest::Md5, Digest::Sha256].into_iter().find(|digest| digest.as_str().eq_ignore_ascii_case(text))
    }

    fn hex_len(self) -> usize {
        match self {
            Digest::Md5 => 32,
            Digest::Sha256 => 64,
        }
    }
}

/// What an upgrade consists of: the `data` of a notice or an answer (5.2).
///
/// After parsing, texts may hold escapes, digests are hex of either case. [`Offer::check`] says whether it can be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer<'a> {
    /// The version to be reached.
    pub version: RawStr<'a>,
    /// `None`: the default module.
    pub module: Option<&'a str>,
    /// The method of `sign`.
    pub sign_method: Digest,
    /// The file is a difference to the running version.
    pub is_diff: bool,
    /// Tags and custom information.
    pub ext_data: Option<ExtData<'a>>,
    /// A signature over the package, for devices that check one.
    pub digest_sign: Option<RawStr<'a>>,
    /// Where the file or files come from.
    pub source: Source<'a>,
}

/// Where the file of an [`Offer`] comes from. Sizes in bytes; `sign` in hex, by [`Offer::sign_method`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source<'a> {
    /// One file over HTTP (7).
    Http {
        /// Absolute URL.
        url: RawStr<'a>,
        /// Length of the file.
        size: u64,
        /// Digest of the file.
        sign: &'a str,
        /// MD5 of the file; must be given to be sent.
        md5: Option<&'a str>,
    },
    /// One file over this connection (6).
    Mqtt {
        /// Names the download in block requests.
        stream_id: u32,
        /// Names the file in block requests, from 1.
        file_id: u32,
        /// Length of the file.
        size: u64,
        /// Digest of the file.
        sign: &'a str,
        /// MD5 of the file; must be given to be sent.
        md5: Option<&'a str>,
    },
    /// Several files over HTTP.
    Files(Files<'a>),
}

/// One of several files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct File<'a> {
    /// Length in bytes.
    pub size: u64,
    /// Its name.
    pub name: RawStr<'a>,
    /// Absolute URL.
    pub url: RawStr<'a>,
    /// MD5 in hex; must be given to be sent if [`Offer::sign_method`] is MD5.
    pub md5: Option<&'a str>,
    /// Digest in hex, by [`Offer::sign_method`].
    pub sign: &'a str,
}

/// The files of an offer.
#[derive(Clone, Copy, Debug)]
pub enum Files<'a> {
    /// To be sent.
    List(&'a [File<'a>]),
    /// As read; every element has been checked.
    Read(Array<'a>),
}

impl<'a> Files<'a> {
    /// The files in order.
    pub fn iter(&self) -> impl Iterator<Item = File<'a>> + use<'a> {
        let (list, read) = match *self {
            Files::List(list) => (list, None),
            Files::Read(array) => (&[][..], Some(array)),
        };
        let read = read.into_iter().flat_map(Array::elements);
        list.iter().copied().chain(read.filter_map(|value| File::of(value.object()?).ok()))
    }

    fn of(array: Array<'a>) -> Result<Self, Error> {
        let mut count = 0;
        for value in array.elements() {
            File::of(value.object().ok_or(Error::field("data.files[]", Fault::Type))?)?;
            count += 1;
        }
        if count == 0 || count > MAX_FILES {
            return Err(Error::field("data.files", Fault::Range(1, MAX_FILES as i64)));
        }
        Ok(Files::Read(array))
    }
}

impl PartialEq for Files<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a> Offer<'a> {
    pub(super) fn of(data: Object<'a>) -> Result<Self, Error> {
        let named = text(data, "signMethod", "data.signMethod", 16)?;
        let sign_method = named
            .as_plain()
            .and_then(Digest::parse)
            .ok_or(Error::field("data.signMethod", Fault::Not("Md5 or SHA256")))?;
        let ext_data = data.get("extData").and_then(|value| value.object()).map(ExtData::of);
        Ok(Offer {
            version: text(data, "version", "data.version", MAX_VERSION)?,
            module: module(data, "data.module")?,
            sign_method,
            is_diff: data.get("isDiff").and_then(|value| value.integer()) == Some(1),
            ext_data,
            digest_sign: optional(text(data, "digestsign", "data.digestsign", MAX_URL))?,
            source: Source::of(data, sign_method)?,
        })
    }

    /// Whether every official device can read this offer (4.2, 5.2): texts need no escape and hold no brace, digests
    /// are lower-case hex of the right length, and MD5 is there.
    pub fn check(&self) -> Result<(), Error> {
        safe(self.version, "data.version", MAX_VERSION)?;
        if self.module.is_some_and(|name| name == "default" || !crate::credentials::valid_module(name)) {
            let allowed = "1-64 letters, digits, '.', '-' or '_', and absent for the default module";
            return Err(Error::field("data.module", Fault::Not(allowed)));
        }
        if let Some(signature) = self.digest_sign {
            safe(signature, "data.digestsign", MAX_URL)?;
        }
        self.source.check(self.sign_method)
    }
}

impl Emit for Offer<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        let version = self.version.raw();
        let method = self.sign_method.as_str();
        out.write_str("{")?;
        match self.source {
            Source::Http { url, size, sign, md5 } => {
                write!(out, "\"size\":{size},\"sign\":\"{sign}\",\"version\":\"{version}\"")?;
                write!(out, ",\"signMethod\":\"{method}\",\"url\":\"{}\"", url.raw())?;
                emit_text("md5", md5, out)?;
            }
            Source::Mqtt { stream_id, file_id, size, sign, md5 } => {
                write!(
                    out,
                    "\"size\":{size},\"streamId\":{stream_id},\"sign\":\"{sign}\",\"dProtocol\":\"mqtt\""
                )?;
                write!(
                    out,
                    ",\"version\":\"{version}\",\"signMethod\":\"{method}\",\"streamFileId\":{file_id}"
                )?;
                emit_text("md5", md5, out)?;
            }
            Source::Files(_) => write!(out, "\"version\":\"{version}\",\"signMethod\":\"{method}\"")?,
        }
        emit_module(self.module, out)?;
        if self.is_diff {
            out.write_str(",\"isDiff\":1")?;
        }
        emit_text("digestsign", self.digest_sign.map(RawStr::raw), out)?;
        if let Some(ext_data) = self.ext_data {
            write!(out, ",\"extData\":{}", ext_data.raw())?;
        }
        if let Source::Files(files) = self.source {
            emit_files(&files, out)?;
        }
        out.write_str("}")
    }
}

impl<'a> Source<'a> {
    fn of(data: Object<'a>, method: Digest) -> Result<Self, Error> {
        if let Some(files) = data.get("files").and_then(|value| value.array()) {
            return Files::of(files).map(Source::Files);
        }
        let size = number(data, "size", "data.size", (0, MAX_SIZE))?;
        let sign = hex(data, "sign", "data.sign", method)?;
        let md5 = optional(hex(data, "md5", "data.md5", Digest::Md5))?;
        let any = (0, u32::MAX.into());
        if data.get("dProtocol").and_then(|value| value.str()).is_some_and(|word| word.eq_str("mqtt")) {
            let stream_id = number(data, "streamId", "data.streamId", any)?;
            let file_id = number(data, "streamFileId", "data.streamFileId", any)?;
            return Ok(Source::Mqtt { stream_id, file_id, size, sign, md5 });
        }
        Ok(Source::Http { url: text(data, "url", "data.url", MAX_URL)?, size, sign, md5 })
    }

    fn check(&self, method: Digest) -> Result<(), Error> {
        match *self {
            Source::Http { url, size, sign, md5 } => {
                safe(url, "data.url", MAX_URL)?;
                check_file(size, "data.size", (sign, "data.sign"), method)?;
                check_md5(md5, "data.md5")
            }
            Source::Mqtt { size, sign, md5, .. } => {
                check_file(size, "data.size", (sign, "data.sign"), method)?;
                check_md5(md5, "data.md5")
            }
            Source::Files(files) => {
                let count = files.iter().take(MAX_FILES + 1).count();
                if count == 0 || count > MAX_FILES {
                    return Err(Error::field("data.files", Fault::Range(1, MAX_FILES as i64)));
                }
                files.iter().try_for_each(|file| file.check(method))
            }
        }
    }
}

impl<'a> File<'a> {
    fn of(object: Object<'a>) -> Result<Self, Error> {
        let sign = text(object, "fileSign", "data.files[].fileSign", 64)?;
        Ok(File {
            size: number(object, "fileSize", "data.files[].fileSize", (0, MAX_SIZE))?,
            name: text(object, "fileName", "data.files[].fileName", MAX_FILE_NAME)?,
            url: text(object, "fileUrl", "data.files[].fileUrl", MAX_URL)?,
            md5: optional(hex(object, "fileMd5", "data.files[].fileMd5", Digest::Md5))?,
            sign: sign.as_plain().ok_or(Error::field("data.files[].fileSign", Fault::Not("hex digits")))?,
        })
    }

    fn check(&self, method: Digest) -> Result<(), Error> {
        for (text, field, max) in
            [(self.name, "data.files[].fileName", MAX_FILE_NAME), (self.url, "data.files[].fileUrl", MAX_URL)]
        {
            safe(text, field, max)?;
            if !pair(text.raw(), b'[', b']') {
                return Err(Error::field(field, Fault::Unsafe));
            }
        }
        let sign = (self.sign, "data.files[].fileSign");
        check_file(self.size, "data.files[].fileSize", sign, method)?;
        match self.md5 {
            None if method == Digest::Sha256 => Ok(()),
            md5 => check_md5(md5, "data.files[].fileMd5"),
        }
    }
}

fn emit_text(key: &str, text: Option<&str>, out: &mut dyn Write) -> fmt::Result {
    text.map_or(Ok(()), |text| write!(out, ",\"{key}\":\"{text}\""))
}

fn emit_files(files: &Files<'_>, out: &mut dyn Write) -> fmt::Result {
    out.write_str(",\"files\":[")?;
    for (index, file) in files.iter().enumerate() {
        let File { size, name, url, md5, sign } = file;
        out.write_str(if index == 0 { "{" } else { ",{" })?;
        write!(out, "\"fileSize\":{size},\"fileName\":\"{}\",\"fileUrl\":\"{}\"", name.raw(), url.raw())?;
        emit_text("fileMd5", md5, out)?;
        write!(out, ",\"fileSign\":\"{sign}\"}}")?;
    }
    out.write_str("]")
}

/// A text that is there, or `None` if only missing.
fn optional<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Err(Error::Field { fault: Fault::Missing, .. }) => Ok(None),
        found => found.map(Some),
    }
}

fn hex<'a>(holder: Object<'a>, key: &str, field: &'static str, method: Digest) -> Result<&'a str, Error> {
    let digits = text(holder, key, field, 64)?.as_plain().unwrap_or("");
    let fits = digits.len() == method.hex_len() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if fits { Ok(digits) } else { Err(not_hex(field, method)) }
}

fn not_hex(field: &'static str, method: Digest) -> Error {
    Error::field(
        field,
        Fault::Not(match method {
            Digest::Md5 => "32 lower-case hex digits",
            Digest::Sha256 => "64 lower-case hex digits",
        }),
    )
}

pub(super) fn safe(text: RawStr<'_>, field: &'static str, max: usize) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::field(field, Fault::Missing));
    }
    if text.raw().contains(['\\', '{', '}', '\u{7f}']) {
        return Err(Error::field(field, Fault::Unsafe));
    }
    if text.len_chars() > max { Err(Error::field(field, Fault::TooLong(max))) } else { Ok(()) }
}

fn check_file(
    size: u64,
    size_field: &'static str,
    (sign, sign_field): (&str, &'static str),
    method: Digest,
) -> Result<(), Error> {
    if size > MAX_SIZE as u64 {
        return Err(Error::field(size_field, Fault::Range(0, MAX_SIZE)));
    }
    lower_hex(sign, sign_field, method)
}

fn check_md5(md5: Option<&str>, field: &'static str) -> Result<(), Error> {
    lower_hex(md5.ok_or(Error::field(field, Fault::Missing))?, field, Digest::Md5)
}

pub(super) fn lower_hex(text: &str, field: &'static str, method: Digest) -> Result<(), Error> {
    let fits = text.len() == method.hex_len() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if fits { Ok(()) } else { Err(not_hex(field, method)) }
}
