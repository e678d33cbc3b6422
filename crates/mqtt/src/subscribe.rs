//! SUBSCRIBE, UNSUBSCRIBE and SUBACK: packets that carry lists.
//!
//! A list is either the bytes of a packet, checked when it was parsed, or a slice of the sender's.
//! Both iterate alike and are equal when their entries are.

use crate::bytes::{Reader, Writer, topic_filter};
use crate::{Error, QoS};

/// The SUBACK code for a filter that is refused. Version 3.1 has none: its clients read QoS 0.
pub const SUBACK_FAILURE: u8 = 0x80;

/// Asks for the messages of some topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Not zero; the SUBACK repeats it.
    pub packet_id: u16,
    /// At least one filter, each with the highest quality of service wanted.
    pub filters: Filters<'a>,
}

/// Ends subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Not zero; the UNSUBACK repeats it.
    pub packet_id: u16,
    /// At least one filter.
    pub filters: Topics<'a>,
}

/// Answers a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// That of the SUBSCRIBE.
    pub packet_id: u16,
    /// One code per filter, in their order: the quality of service granted, or [`SUBACK_FAILURE`].
    pub codes: &'a [u8],
}

/// The filters of a SUBSCRIBE with their quality of service.
#[derive(Debug, Clone, Copy)]
pub struct Filters<'a>(List<'a, (&'a str, QoS)>);

/// The filters of an UNSUBSCRIBE.
#[derive(Debug, Clone, Copy)]
pub struct Topics<'a>(List<'a, &'a str>);

#[derive(Debug, Clone, Copy)]
enum List<'a, T> {
    Parsed(&'a [u8]),
    Given(&'a [T]),
}

impl<'a> Filters<'a> {
    /// A list to send.
    #[must_use]
    pub const fn new(filters: &'a [(&'a str, QoS)]) -> Self {
        Self(List::Given(filters))
    }

    /// The filters in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, QoS)> + Clone + use<'a> {
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
    pub(crate) fn parse(body: &mut Reader<'a>) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        Ok(Self { packet_id, filters: Filters(List::Parsed(checked(body, read_filter)?)) })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.packet_id(self.packet_id)?;
        let mut filters = self.filters.iter().peekable();
        filters.peek().ok_or(Error::NoFilters)?;
        filters.try_for_each(|(filter, qos)| {
            out.text(topic_filter(filter)?)?;
            out.u8(qos.level());
            Ok(())
        })
    }
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn parse(body: &mut Reader<'a>) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        Ok(Self { packet_id, filters: Topics(List::Parsed(checked(body, read_topic)?)) })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.packet_id(self.packet_id)?;
        let mut filters = self.filters.iter().peekable();
        filters.peek().ok_or(Error::NoFilters)?;
        filters.try_for_each(|filter| out.text(topic_filter(filter)?))
    }
}

impl<'a> SubAck<'a> {
    pub(crate) fn parse(body: &mut Reader<'a>) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        let codes = core::mem::replace(body, Reader::new(&[])).rest();
        check_codes(codes)?;
        Ok(Self { packet_id, codes })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.packet_id(self.packet_id)?;
        check_codes(self.codes)?;
        out.put(self.codes);
        Ok(())
    }
}

fn check_codes(codes: &[u8]) -> Result<(), Error> {
    if codes.is_empty() {
        return Err(Error::NoFilters);
    }
    match codes.iter().find(|&&code| code > 2 && code != SUBACK_FAILURE) {
        Some(&code) => Err(Error::ReturnCode(code)),
        None => Ok(()),
    }
}

fn read_filter<'a>(body: &mut Reader<'a>) -> Result<(&'a str, QoS), Error> {
    Ok((read_topic(body)?, QoS::from_level(body.u8()?)?))
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

fn entries<'a, T: Copy>(
    list: List<'a, T>,
    read: fn(&mut Reader<'a>) -> Result<T, Error>,
) -> impl Iterator<Item = T> + Clone + use<'a, T> {
    let (bytes, given) = match list {
        List::Parsed(bytes) => (bytes, &[][..]),
        List::Given(given) => (&[][..], given),
    };
    let mut body = Reader::new(bytes);
    core::iter::from_fn(move || read(&mut body).ok()).chain(given.iter().copied())
}
