//! SUBSCRIBE, UNSUBSCRIBE and their answers: packets that carry lists.

use crate::bytes::{Reader, Writer, topic_filter};
use crate::list::{List, entries};
use crate::properties::place;
use crate::{Error, PacketType, Properties, QoS, Version, reason};

/// The SUBACK code of version 3 for a filter that is refused; version 5 has a reason for each. Version
/// 3.1 has none: its clients read QoS 0.
pub const SUBACK_FAILURE: u8 = 0x80;

/// Asks for the messages of some topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Not zero; the SUBACK repeats it.
    pub packet_id: u16,
    /// None in version 3.
    pub properties: Properties<'a>,
    /// At least one filter, each with what is wanted of it.
    pub filters: Filters<'a>,
}

/// What is wanted of a subscription. Version 3 has the quality of service only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// The highest quality of service wanted.
    pub qos: QoS,
    /// What this client publishes is not to come back to it.
    pub no_local: bool,
    /// Messages keep their retain flag.
    pub retain_as_published: bool,
    /// Which retained messages are wanted now.
    pub retain_handling: RetainHandling,
}

/// When a subscription brings the retained messages of its topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetainHandling {
    /// Always.
    #[default]
    Send,
    /// If there was no such subscription.
    SendIfNew,
    /// Never.
    Omit,
}

impl From<QoS> for Options {
    fn from(qos: QoS) -> Self {
        Self { qos, ..Self::default() }
    }
}

const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
const RETAIN_HANDLING_SHIFT: u8 = 4;

impl Options {
    fn parse(byte: u8) -> Result<Self, Error> {
        let retain_handling = match byte >> RETAIN_HANDLING_SHIFT {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::Omit,
            _ => return Err(Error::Options(byte)),
        };
        Ok(Self {
            qos: QoS::from_level(byte & 3)?,
            no_local: byte & NO_LOCAL != 0,
            retain_as_published: byte & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }

    fn byte(self) -> u8 {
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        self.qos.level()
            | flag(self.no_local, NO_LOCAL)
            | flag(self.retain_as_published, RETAIN_AS_PUBLISHED)
            | (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT
    }
}

/// Ends subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Not zero; the UNSUBACK repeats it.
    pub packet_id: u16,
    /// None in version 3.
    pub properties: Properties<'a>,
    /// At least one filter.
    pub filters: Topics<'a>,
}

/// Answers a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// That of the SUBSCRIBE.
    pub packet_id: u16,
    /// None in version 3.
    pub properties: Properties<'a>,
    /// One code per filter, in their order: the quality of service granted, or [`SUBACK_FAILURE`]; in
    /// version 5 any failure of [`crate::reason`] that a SUBACK may have.
    pub codes: &'a [u8],
}

/// Answers an UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// That of the UNSUBSCRIBE.
    pub packet_id: u16,
    /// None in version 3.
    pub properties: Properties<'a>,
    /// One code of [`crate::reason`] per filter, in their order; none in version 3.
    pub codes: &'a [u8],
}

/// The filters of a SUBSCRIBE with their options.
#[derive(Debug, Clone, Copy)]
pub struct Filters<'a>(List<'a, (&'a str, Options)>);

/// The filters of an UNSUBSCRIBE.
#[derive(Debug, Clone, Copy)]
pub struct Topics<'a>(List<'a, &'a str>);

impl<'a> Filters<'a> {
    /// A list to send.
    #[must_use]
    pub const fn new(filters: &'a [(&'a str, Options)]) -> Self {
        Self(List::Given(filters))
    }

    /// The filters in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Options)> + Clone + use<'a> {
        entries(self.0, read_filter)
    }
}

impl<'a> Topics<'a> {
    /// A list to send.
    #[must_use]
    pub const fn new(filters: &'a [&'a str]) -> Self {
        Self(List::Given(filters))
    }

    /// The filters in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        entries(self.0, read_topic)
    }
}

impl PartialEq for Filters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Filters<'_> {}

impl PartialEq for Topics<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Topics<'_> {}

impl<'a> Subscribe<'a> {
    pub(crate) fn parse(body: &mut Reader<'a>, version: Version) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        let properties = version.properties(body, place::SUBSCRIBE)?;
        let read = if version == Version::V5 { read_filter } else { read_filter_v3 };
        Ok(Self { packet_id, properties, filters: Filters(List::Parsed(checked(body, read)?)) })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>, version: Version) -> Result<(), Error> {
        out.packet_id(self.packet_id)?;
        version.write_properties(&self.properties, out, place::SUBSCRIBE)?;
        let mut filters = self.filters.iter().peekable();
        filters.peek().ok_or(Error::NoFilters)?;
        filters.try_for_each(|(filter, options)| {
            if version != Version::V5 && options != Options::from(options.qos) {
                return Err(Error::OnlyV5);
            }
            out.text(topic_filter(filter)?)?;
            out.u8(options.byte());
            Ok(())
        })
    }
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn parse(body: &mut Reader<'a>, version: Version) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        let properties = version.properties(body, place::UNSUBSCRIBE)?;
        Ok(Self { packet_id, properties, filters: Topics(List::Parsed(checked(body, read_topic)?)) })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>, version: Version) -> Result<(), Error> {
        out.packet_id(self.packet_id)?;
        version.write_properties(&self.properties, out, place::UNSUBSCRIBE)?;
        let mut filters = self.filters.iter().peekable();
        filters.peek().ok_or(Error::NoFilters)?;
        filters.try_for_each(|filter| out.text(topic_filter(filter)?))
    }
}

impl<'a> SubAck<'a> {
    pub(crate) fn parse(body: &mut Reader<'a>, version: Version) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        let properties = version.properties(body, place::SUBACK)?;
        let codes = body.take_rest();
        check_granted(codes, version)?;
        Ok(Self { packet_id, properties, codes })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>, version: Version) -> Result<(), Error> {
        out.packet_id(self.packet_id)?;
        version.write_properties(&self.properties, out, place::SUBACK)?;
        check_granted(self.codes, version)?;
        out.put(self.codes);
        Ok(())
    }
}

impl<'a> UnsubAck<'a> {
    pub(crate) fn parse(body: &mut Reader<'a>, version: Version) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        let properties = version.properties(body, place::UNSUBACK)?;
        let codes = if version == Version::V5 { body.take_rest() } else { &[] };
        check_ended(codes, version)?;
        Ok(Self { packet_id, properties, codes })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>, version: Version) -> Result<(), Error> {
        out.packet_id(self.packet_id)?;
        version.write_properties(&self.properties, out, place::UNSUBACK)?;
        check_ended(self.codes, version)?;
        out.put(self.codes);
        Ok(())
    }
}

fn check_granted(codes: &[u8], version: Version) -> Result<(), Error> {
    check_codes(codes, |code| match version {
        Version::V5 => reason::of(PacketType::SubAck, code),
        _ if code <= QoS::ExactlyOnce.level() || code == SUBACK_FAILURE => Ok(code),
        _ => Err(Error::ReturnCode(code)),
    })
}

fn check_ended(codes: &[u8], version: Version) -> Result<(), Error> {
    match version {
        Version::V5 => check_codes(codes, |code| reason::of(PacketType::UnsubAck, code)),
        _ if codes.is_empty() => Ok(()),
        _ => Err(Error::OnlyV5),
    }
}

fn check_codes(codes: &[u8], check: impl Fn(u8) -> Result<u8, Error>) -> Result<(), Error> {
    if codes.is_empty() {
        return Err(Error::NoFilters);
    }
    codes.iter().try_for_each(|&code| check(code).map(drop))
}

/// Reads lists of version 3 too, whose options are a subset.
fn read_filter<'a>(body: &mut Reader<'a>) -> Result<(&'a str, Options), Error> {
    Ok((read_topic(body)?, Options::parse(body.u8()?)?))
}

fn read_filter_v3<'a>(body: &mut Reader<'a>) -> Result<(&'a str, Options), Error> {
    Ok((read_topic(body)?, QoS::from_level(body.u8()?)?.into()))
}

fn read_topic<'a>(body: &mut Reader<'a>) -> Result<&'a str, Error> {
    topic_filter(body.text()?)
}

/// Reads every entry once, so that iterating later cannot fail.
fn checked<'a, T>(
    body: &mut Reader<'a>,
    read: fn(&mut Reader<'a>) -> Result<T, Error>,
) -> Result<&'a [u8], Error> {
    let bytes = body.rest();
    if bytes.is_empty() {
        return Err(Error::NoFilters);
    }
    while !body.is_empty() {
        read(body)?;
    }
    Ok(bytes)
}
