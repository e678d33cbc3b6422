//! Topics, who may use them, and filters (docs/protocol.md 3).

use core::fmt;

use crate::credentials::{valid_device_name, valid_product_key};

mod filter;
mod gateway;

pub use filter::{filter_device, filter_matches, may_subscribe, valid_filter};
pub use gateway::GatewayStep;

/// Longest topic in bytes; the platform refuses longer ones, and so does the official C SDK.
pub const MAX_TOPIC: usize = 128;

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Version report, up (5.1).
    Inform,
    /// Notice, down (5.2).
    Upgrade,
    /// Question for an upgrade, up (5.3).
    FirmwareGet,
    /// Its answer, down (5.3).
    FirmwareGetReply,
    /// Question for an upgrade in the old form, and its answer on the same topic (5.4).
    Request,
    /// Progress report, up (5.5).
    Progress,
    /// Block request, up (6.1).
    FileDownload,
    /// Block, down (6.2).
    FileDownloadReply,
    /// Question for the remote configuration, up (8).
    ConfigGet,
    /// Its answer, down (8).
    ConfigGetReply,
    /// Notice of a remote configuration, down (8).
    ConfigPush,
    /// What a device says to that notice, up (8).
    ConfigPushReply,
    /// A post of the thing model, tags or logs, up: acknowledged, and not kept (3.5).
    Post,
    /// Question for how to send logs, up; the answer is that none are wanted (3.5).
    LogConfigGet,
    /// A device's shadow, up: acknowledged, and not kept (3.5).
    Shadow,
    /// Question for the time, up (3.5).
    Time,
    /// A gateway's request about its sub-devices, up (9).
    Gateway(GatewayStep),
    /// Its answer, down (9).
    GatewayReply(GatewayStep),
    /// The device's own custom topics `/{pk}/{dn}/user/…`.
    User,
    /// Another system topic of the device that has no answer here: taken and ignored.
    Unserved,
}

/// Where the names stand in the topic of a kind.
enum Shape {
    /// `/ota/device/{tail}/{pk}/{dn}`
    Ota(&'static str),
    /// `/sys/{pk}/{dn}/thing/{tail}`
    Thing(&'static str),
    /// `/{pk}/{dn}/user/{rest}`
    User,
    /// `/{root}/{pk}/{dn}/{tail}{suffix}`
    Gateway(GatewayStep, &'static str),
    /// `{rest}`
    Whole,
}

impl Kind {
    /// The kinds that have one topic per device, those of gateways apart.
    pub const FIXED: [Kind; 12] = [
        Kind::Inform,
        Kind::Upgrade,
        Kind::FirmwareGet,
        Kind::FirmwareGetReply,
        Kind::Request,
        Kind::Progress,
        Kind::FileDownload,
        Kind::FileDownloadReply,
        Kind::ConfigGet,
        Kind::ConfigGetReply,
        Kind::ConfigPush,
        Kind::ConfigPushReply,
    ];

    /// The system topics that the server publishes; they reach a device without SUBSCRIBE (3.2).
    pub const DOWNLINKS: [Kind; 15] = [
        Kind::Upgrade,
        Kind::FirmwareGetReply,
        Kind::Request,
        Kind::FileDownloadReply,
        Kind::ConfigGetReply,
        Kind::ConfigPush,
        Kind::GatewayReply(GatewayStep::AddTopology),
        Kind::GatewayReply(GatewayStep::DeleteTopology),
        Kind::GatewayReply(GatewayStep::GetTopology),
        Kind::GatewayReply(GatewayStep::Register),
        Kind::GatewayReply(GatewayStep::RegisterByProduct),
        Kind::GatewayReply(GatewayStep::Login),
        Kind::GatewayReply(GatewayStep::BatchLogin),
        Kind::GatewayReply(GatewayStep::Logout),
        Kind::GatewayReply(GatewayStep::BatchLogout),
    ];

    /// Whether this is one of [`Kind::DOWNLINKS`].
    pub fn is_system_downlink(self) -> bool {
        Self::DOWNLINKS.contains(&self)
    }

    /// Whether nothing of it is kept, and it is answered all the same (3.5).
    pub fn is_unkept(self) -> bool {
        matches!(self, Kind::Post | Kind::LogConfigGet | Kind::Shadow | Kind::Time)
    }

    /// Whether a device may publish it.
    pub fn may_publish(self) -> bool {
        self == Kind::Request || !self.is_system_downlink()
    }

    /// Whether a device may subscribe to it. Official devices do so to what they say to a notice, too.
    pub fn may_subscribe(self) -> bool {
        self.is_system_downlink() || matches!(self, Kind::ConfigPushReply | Kind::User | Kind::Unserved)
    }

    fn shape(self) -> Shape {
        match self {
            Kind::Inform => Shape::Ota("inform"),
            Kind::Upgrade => Shape::Ota("upgrade"),
            Kind::Request => Shape::Ota("request"),
            Kind::Progress => Shape::Ota("progress"),
            Kind::FirmwareGet => Shape::Thing("ota/firmware/get"),
            Kind::FirmwareGetReply => Shape::Thing("ota/firmware/get_reply"),
            Kind::FileDownload => Shape::Thing("file/download"),
            Kind::FileDownloadReply => Shape::Thing("file/download_reply"),
            Kind::ConfigGet => Shape::Thing("config/get"),
            Kind::ConfigGetReply => Shape::Thing("config/get_reply"),
            Kind::ConfigPush => Shape::Thing("config/push"),
            Kind::ConfigPushReply => Shape::Thing("config/push_reply"),
            Kind::User => Shape::User,
            Kind::Gateway(step) => Shape::Gateway(step, ""),
            Kind::GatewayReply(step) => Shape::Gateway(step, gateway::REPLY),
            Kind::Post | Kind::LogConfigGet | Kind::Shadow | Kind::Time | Kind::Unserved => Shape::Whole,
        }
    }
}

/// A topic of one device. `Display` writes it; [`Topic::parse`] is the inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic<'a> {
    /// The product key in the topic.
    pub product_key: &'a str,
    /// The device name in the topic.
    pub device_name: &'a str,
    /// What it is for.
    pub kind: Kind,
    rest: &'a str,
}

impl<'a> Topic<'a> {
    /// The topic of a kind that is in [`Kind::FIXED`], or of a gateway's.
    pub fn new(kind: Kind, product_key: &'a str, device_name: &'a str) -> Self {
        Topic { product_key, device_name, kind, rest: "" }
    }

    /// Reads a topic name. `None`: not a topic of any device, longer than [`MAX_TOPIC`], or with `+`, `#` or NUL.
    pub fn parse(topic: &'a str) -> Option<Self> {
        if topic.len() > MAX_TOPIC || topic.contains(['+', '#', '\0']) {
            return None;
        }
        let (kind, product_key, device_name, rest) = split(topic)?;
        let valid = valid_product_key(product_key) && valid_device_name(device_name);
        valid.then_some(Topic { product_key, device_name, kind, rest })
    }

    /// Whether this is how the topic is written. For those who know which topics to expect: [`Topic::parse`] knows all.
    pub fn is_written(&self, topic: &str) -> bool {
        let mut rest = Rest(topic);
        fmt::write(&mut rest, format_args!("{self}")).is_ok() && rest.0.is_empty()
    }

    /// Whether it is a topic of this device.
    pub fn belongs_to(&self, product_key: &str, device_name: &str) -> bool {
        self.product_key == product_key && self.device_name == device_name
    }

    /// For [`Kind::User`] what follows `/user/`, for kinds in [`Kind::FIXED`] nothing, else the whole topic.
    pub fn rest(&self) -> &'a str {
        self.rest
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Topic { product_key: pk, device_name: dn, rest, .. } = self;
        match self.kind.shape() {
            Shape::Ota(tail) => write!(f, "/ota/device/{tail}/{pk}/{dn}"),
            Shape::Thing(tail) => write!(f, "/sys/{pk}/{dn}/thing/{tail}"),
            Shape::User => write!(f, "/{pk}/{dn}/user/{rest}"),
            Shape::Gateway(step, suffix) => {
                let (root, tail) = step.place();
                write!(f, "/{root}/{pk}/{dn}/{tail}{suffix}")
            }
            Shape::Whole => f.write_str(rest),
        }
    }
}

/// What of a text is left when what is written has been taken off its start.
struct Rest<'a>(&'a str);

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}

type Parts<'a> = (Kind, &'a str, &'a str, &'a str);

fn split(topic: &str) -> Option<Parts<'_>> {
    if let Some(rest) = topic.strip_prefix("/ota/device/") {
        return ota(topic, rest);
    }
    if let Some(rest) = topic.strip_prefix("/sys/") {
        let (pk, dn, tail) = names(rest)?;
        let kind = Kind::FIXED.into_iter().find(|kind| match kind.shape() {
            Shape::Thing(thing) => tail.strip_prefix("thing/") == Some(thing),
            _ => false,
        });
        let kind = kind.or_else(|| gateway::kind("sys", tail));
        return Some(kind.map_or((unkept(tail), pk, dn, topic), |kind| (kind, pk, dn, "")));
    }
    if let Some(rest) = topic.strip_prefix("/ext/session/") {
        let (pk, dn, tail) = names(rest)?;
        let kind = gateway::kind("ext/session", tail);
        return Some(kind.map_or((Kind::Unserved, pk, dn, topic), |kind| (kind, pk, dn, "")));
    }
    if let Some(rest) = topic.strip_prefix("/ext/ntp/") {
        let (pk, dn, word) = names(rest)?;
        return Some((if word == "request" { Kind::Time } else { Kind::Unserved }, pk, dn, topic));
    }
    if let Some(rest) = topic.strip_prefix("/shadow/") {
        let (word, rest) = rest.split_once('/')?;
        let (pk, dn) = rest.split_once('/')?;
        return Some((if word == "update" { Kind::Shadow } else { Kind::Unserved }, pk, dn, topic));
    }
    let (pk, dn, tail) = names(topic.strip_prefix('/')?)?;
    Some((Kind::User, pk, dn, tail.strip_prefix("user/")?))
}

/// What a topic `/sys/{pk}/{dn}/{tail}` is for that has no kind of its own.
fn unkept(tail: &str) -> Kind {
    match tail.strip_prefix("thing/") {
        Some("config/log/get") => Kind::LogConfigGet,
        Some(
            "deviceinfo/update"
            | "deviceinfo/delete"
            | "deviceinfo/get"
            | "log/post"
            | "property/desired/get"
            | "property/desired/delete",
        ) => Kind::Post,
        Some(thing) if thing.starts_with("event/") && thing.ends_with("/post") => Kind::Post,
        _ => Kind::Unserved,
    }
}

fn ota<'a>(topic: &'a str, rest: &'a str) -> Option<Parts<'a>> {
    let (word, rest) = rest.split_once('/')?;
    let (pk, dn) = rest.split_once('/')?;
    let kind = Kind::FIXED.into_iter().find(|kind| matches!(kind.shape(), Shape::Ota(tail) if tail == word));
    Some(kind.map_or((Kind::Unserved, pk, dn, topic), |kind| (kind, pk, dn, "")))
}

/// Splits `pk/dn/tail`.
fn names(text: &str) -> Option<(&str, &str, &str)> {
    let (pk, rest) = text.split_once('/')?;
    let (dn, tail) = rest.split_once('/')?;
    Some((pk, dn, tail))
}
