//! PUBLISH, whole or as a header in front of a payload that is written by other means.

use crate::bytes::{Reader, Writer, topic_name};
use crate::properties::place;
use crate::{EmitError, Error, FixedHeader, PacketType, Properties, Property, QoS, Version};

const DUP: u8 = 0x08;
const RETAIN: u8 = 0x01;

/// A message on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent again because no PUBACK came. Read as `false` at QoS 0, where it means nothing.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// To be retained, or sent because it was.
    pub retain: bool,
    /// The topic name, without wildcards; empty beside a [`Property::TopicAlias`] only.
    pub topic: &'a str,
    /// Not zero; there is one exactly when `qos` is above 0.
    pub packet_id: Option<u16>,
    /// None in version 3.
    pub properties: Properties<'a>,
    /// The message, 0 bytes or more.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    pub(crate) fn parse(flags: u8, body: &mut Reader<'a>, version: Version) -> Result<Self, Error> {
        let qos = QoS::from_level(flags >> 1 & 3)?;
        let topic = body.text()?;
        let packet_id = if qos == QoS::AtMostOnce { None } else { Some(body.packet_id()?) };
        let properties = version.properties(body, place::PUBLISH)?;
        check_topic(topic, &properties)?;
        let dup = flags & DUP != 0 && qos != QoS::AtMostOnce;
        let retain = flags & RETAIN != 0;
        Ok(Self { dup, qos, retain, topic, packet_id, properties, payload: body.take_rest() })
    }

    pub(crate) fn flags(&self) -> u8 {
        let dup = if self.dup { DUP } else { 0 };
        dup | self.qos.level() << 1 | u8::from(self.retain)
    }

    /// Everything between fixed header and payload.
    pub(crate) fn write_head(&self, out: &mut Writer<'_>, version: Version) -> Result<(), Error> {
        check_topic(self.topic, &self.properties)?;
        out.text(self.topic)?;
        match (self.qos, self.packet_id) {
            (QoS::AtMostOnce, None) if self.dup => return Err(Error::Flags(DUP)),
            (QoS::AtMostOnce, None) => {}
            (QoS::AtMostOnce, Some(_)) | (_, None) => return Err(Error::PacketId),
            (_, Some(id)) => out.packet_id(id)?,
        }
        version.write_properties(&self.properties, out, place::PUBLISH)
    }
}

fn check_topic(topic: &str, properties: &Properties<'_>) -> Result<(), Error> {
    let is_alias = |property| matches!(property, Property::TopicAlias(_));
    if topic.is_empty() && properties.iter().any(is_alias) { Ok(()) } else { topic_name(topic).map(drop) }
}

/// Writes all of a PUBLISH that stands before its payload, for a payload of `payload_len` bytes
/// that the caller sends after it; `publish.payload` is not looked at. Gives the bytes written.
///
/// # Errors
/// [`EmitError::BufferTooSmall`]: eight bytes and the topic's length suffice without properties.
/// [`EmitError::Unencodable`]: as for [`crate::Packet::emit`].
pub fn publish_header(
    publish: &Publish<'_>,
    payload_len: usize,
    version: Version,
    out: &mut [u8],
) -> Result<usize, EmitError> {
    let mut measure = Writer::new(&mut []);
    publish.write_head(&mut measure, version)?;
    let remaining = measure.length().saturating_add(payload_len);
    let mut writer = Writer::new(out);
    FixedHeader::write(PacketType::Publish, publish.flags(), remaining, &mut writer)?;
    publish.write_head(&mut writer, version)?;
    if writer.fits() {
        Ok(writer.length())
    } else {
        Err(EmitError::BufferTooSmall { needed: writer.length() })
    }
}
