//! Notices and answers as bytes.

use bytes::Bytes;
use door::Downlink;
use rollout::{Ask, DEFAULT_MODULE, Ms, Offer, Package, PackageFile, Protocol, SignMethod, Tag};
use store::configurations::Configuration;
use wire::Emit;
use wire::json::RawStr;
use wire::message::{
    self, Config, ConfigPush, ConfigReply, Digest, ExtData, File, Files, GetReply, Id, Notice, Source,
};
use wire::topic::{Kind, Topic};

use crate::ids::IdKind;
use crate::links::{Links, Subject};

/// The number of a package's first file, in its stream and its address.
pub(crate) const FILE_ID: u32 = 1;

/// What a package's own words are called in `extData`.
const CUSTOM: &str = "_package_udi";

/// "Wrong parameter" and "system error" (docs/protocol.md 4.1).
pub(crate) const WRONG_PARAMETER: i32 = 460;
pub(crate) const SYSTEM_ERROR: i32 = 500;

/// Makes messages for devices.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) links: Links,
    /// Where devices find this platform's file door, without a slash at the end.
    pub(crate) public_url: Option<String>,
}

/// Why a package cannot be offered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfferError {
    #[error(
        "a download over HTTP needs the address devices reach this platform at; start it with --public-url http://HOST:1883"
    )]
    NoPublicUrl,
    #[error(transparent)]
    Message(#[from] message::Error),
}

impl Writer {
    /// The notice of a push.
    pub(crate) fn notice(&self, offer: &Offer, now: Ms) -> Result<Downlink, OfferError> {
        Ok(Downlink { kind: Kind::Upgrade, payload: self.notice_bytes(offer, now)? })
    }

    /// The answer to a device that asked; with no offer, that there is nothing.
    pub(crate) fn answer(
        &self,
        ask: &Ask,
        offer: Option<&Offer>,
        now: Ms,
    ) -> Result<Option<Downlink>, OfferError> {
        Ok(match (ask, offer) {
            (Ask::OldRequest, None) => None,
            (Ask::OldRequest, Some(offer)) => {
                Some(Downlink { kind: Kind::Request, payload: self.notice_bytes(offer, now)? })
            }
            (Ask::Get { id }, offer) => {
                let id = Id::from_raw(id).unwrap_or_default();
                let payload = match offer {
                    None => bytes(&GetReply::nothing(id)),
                    Some(offer) => {
                        self.with_offer(offer, now, |data| Ok(bytes(&GetReply::offer(id, data)?)))?
                    }
                };
                Some(Downlink { kind: Kind::FirmwareGetReply, payload })
            }
        })
    }

    fn notice_bytes(&self, offer: &Offer, now: Ms) -> Result<Bytes, OfferError> {
        let id_ms = u64::try_from(now).unwrap_or(0);
        self.with_offer(offer, now, |data| Ok(bytes(&Notice::new(id_ms, data)?)))
    }

    fn with_offer<T>(
        &self,
        offer: &Offer,
        now: Ms,
        then: impl FnOnce(message::Offer<'_>) -> Result<T, message::Error>,
    ) -> Result<T, OfferError> {
        let package = &offer.package;
        let files = package.files();
        let urls = match offer.protocol {
            Protocol::Mqtt => vec![],
            Protocol::Http => self.urls(offer, now)?,
        };
        let listed = listed(&files, &urls, package.sign_method);
        let ext_data = ext_data(offer);
        let ext_data = ext_data.as_deref().map(ExtData::new).transpose()?;
        let md5 = Some(&*package.md5);
        let source = match listed[..] {
            [] => {
                let (size, sign) = (bytes_of(&files[0]), sign(&files[0], package.sign_method));
                Source::Mqtt { stream_id: offer.stream_id, file_id: FILE_ID, size, sign, md5 }
            }
            [File { size, url, sign, .. }] => Source::Http { url, size, sign, md5 },
            _ => Source::Files(Files::List(&listed)),
        };
        Ok(then(message::Offer {
            version: RawStr::from_raw(&package.version).unwrap_or_default(),
            module: (package.module != DEFAULT_MODULE).then_some(&*package.module),
            sign_method: digest(package.sign_method),
            is_diff: package.src_version.is_some(),
            ext_data,
            digest_sign: None,
            source,
        })?)
    }

    /// Where the device finds each of its files.
    fn urls(&self, offer: &Offer, now: Ms) -> Result<Vec<String>, OfferError> {
        let (base, &Offer { task, first_attempt, .. }) = (self.base()?, offer);
        let subject = |number| Subject::Task { task, first_attempt, number };
        let url = |number| format!("{base}{}", self.links.path(subject(number), now));
        Ok((FILE_ID..).take(1 + offer.package.more_files.len()).map(url).collect())
    }

    /// Where devices find files.
    pub(crate) fn base(&self) -> Result<&str, OfferError> {
        self.public_url.as_deref().ok_or(OfferError::NoPublicUrl)
    }

    /// The answer to a device that asked for its configuration.
    pub(crate) fn configuration(
        &self,
        id: Id<'_>,
        configuration: &Configuration,
        device: rollout::Id,
        now: Ms,
    ) -> Result<Downlink, OfferError> {
        self.with_configuration(configuration, device, now, |config| {
            let payload = bytes(&ConfigReply::found(id, config)?);
            Ok(Downlink { kind: Kind::ConfigGetReply, payload })
        })
    }

    /// The notice of a configuration.
    pub(crate) fn configuration_push(
        &self,
        configuration: &Configuration,
        device: rollout::Id,
        now: Ms,
    ) -> Result<Downlink, OfferError> {
        let version = u32::try_from(configuration.version).unwrap_or(u32::MAX);
        self.with_configuration(configuration, device, now, |config| {
            let payload = bytes(&ConfigPush::new(version, config)?);
            Ok(Downlink { kind: Kind::ConfigPush, payload })
        })
    }

    fn with_configuration<T>(
        &self,
        configuration: &Configuration,
        device: rollout::Id,
        now: Ms,
        then: impl FnOnce(Config<'_>) -> Result<T, message::Error>,
    ) -> Result<T, OfferError> {
        let Configuration { id, size, sha256, .. } = configuration;
        let link = self.links.path(Subject::Configuration { configuration: *id, device }, now);
        let (id, url) = (IdKind::Configuration.text(*id), format!("{}{link}", self.base()?));
        Ok(then(Config {
            id: RawStr::from_raw(&id).unwrap_or_default(),
            size: u64::try_from(*size).unwrap_or(0),
            sha256,
            url: RawStr::from_raw(&url).unwrap_or_default(),
        })?)
    }

    /// Bytes of the MQTT packet of the largest notice a package can have: any stream, any task,
    /// the longest device name.
    pub(crate) fn largest_notice(
        &self,
        package: &Package,
        product_key: &str,
        protocol: Protocol,
        tags: &[Tag],
    ) -> Result<usize, OfferError> {
        let offer = Offer {
            task: 0,
            stream_id: u32::MAX,
            first_attempt: i32::MAX,
            protocol,
            package: package.clone(),
            tags: tags.to_vec(),
        };
        // A time with 13 digits, as it has until the year 2286.
        let payload = self.notice_bytes(&offer, 9_999_999_999_999 - crate::links::VALID_MS)?;
        let longest_name = "n".repeat(32);
        let topic = Topic::new(Kind::Upgrade, product_key, &longest_name).to_string();
        // Two bytes before the topic, two for a packet id at QoS 1, five of fixed header at most.
        Ok(payload.len() + topic.len() + 9)
    }
}

/// The answer to a device that asked when the right one cannot be made.
pub(crate) fn failed(ask: &Ask) -> Option<Downlink> {
    let Ask::Get { id } = ask else { return None };
    Some(error(Id::from_raw(id).unwrap_or_default(), SYSTEM_ERROR))
}

/// The answer to a question with a parameter that cannot be right.
pub(crate) fn refused(id: Id<'_>) -> Downlink {
    error(id, WRONG_PARAMETER)
}

/// The answer to a device that asked for its configuration when there is none for it.
pub(crate) fn no_configuration(id: Id<'_>, code: i32) -> Downlink {
    Downlink { kind: Kind::ConfigGetReply, payload: bytes(&ConfigReply::error(id, code)) }
}

fn error(id: Id<'_>, code: i32) -> Downlink {
    Downlink { kind: Kind::FirmwareGetReply, payload: bytes(&GetReply::error(id, code)) }
}

/// The job's and the package's words for the device as compact JSON; nothing if there are none.
fn ext_data(offer: &Offer) -> Option<String> {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let tags = offer.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()));
    let custom = offer.package.custom.iter().map(|custom| (CUSTOM, custom.as_str()));
    let members: Vec<String> =
        tags.chain(custom).map(|(key, value)| format!("{}:{}", text(key), text(value))).collect();
    (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
}

/// The files that have an address, as a notice lists them.
fn listed<'a>(files: &'a [PackageFile], urls: &'a [String], method: SignMethod) -> Vec<File<'a>> {
    let file = |(file, url): (&'a PackageFile, &'a String)| File {
        size: bytes_of(file),
        name: RawStr::from_raw(&file.name).unwrap_or_default(),
        url: RawStr::from_raw(url).unwrap_or_default(),
        md5: (method == SignMethod::Md5).then_some(&*file.md5),
        sign: sign(file, method),
    };
    files.iter().zip(urls).map(file).collect()
}

fn bytes_of(file: &PackageFile) -> u64 {
    u64::try_from(file.size).unwrap_or(0)
}

fn sign(file: &PackageFile, method: SignMethod) -> &str {
    match method {
        SignMethod::Md5 => &file.md5,
        SignMethod::Sha256 => &file.sha256,
    }
}

fn digest(method: SignMethod) -> Digest {
    match method {
        SignMethod::Md5 => Digest::Md5,
        SignMethod::Sha256 => Digest::Sha256,
    }
}

/// A message as it travels.
pub(crate) fn bytes(message: &impl Emit) -> Bytes {
    let mut text = String::with_capacity(message.encoded_len());
    // A String takes everything.
    let _ = message.emit(&mut text);
    text.into()
}
