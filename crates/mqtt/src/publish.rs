//! PUBLISH, whole or as a header in front of a payload that is written by other means.

use crate::bytes::{Reader, Writer, packet_id, topic_name};
use crate::{EmitError, Error, FixedHeader, PacketType, QoS};

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
    /// The topic name, without wildcards.
    pub topic: &'a str,
    /// Not zero; there is one exactly when `qos` is above 0.
    pub packet_id: Option<u16>,
    /// The message, 0 bytes or more.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    pub(crate) fn parse(flags: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        let qos = QoS::from_level(flags >> 1 & 3)?;
        let topic = topic_name(body.text()?)?;
        let packet_id = if qos == QoS::AtMostOnce { None } else { Some(body.packet_id()?) };
        let payload = core::mem::replace(body, Reader::new(&[])).rest();
        let dup = flags & DUP != 0 && qos != QoS::AtMostOnce;
        Ok(Self { dup, qos, retain: flags & RETAIN != 0, topic, packet_id, payload })
    }

    pub(crate) fn flags(&self) -> u8 {
        let dup = if self.dup { DUP } else { 0 };
        dup | self.qos.level() << 1 | u8::from(self.retain)
    }

    /// Everything between fixed header and payload.
    pub(crate) fn write_head(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.text(topic_name(self.topic)?)?;
        match (self.qos, self.packet_id) {
            (QoS::AtMostOnce, None) if self.dup => Err(Error::Flags(DUP)),
            (QoS::AtMostOnce, None) => Ok(()),
            (QoS::AtMostOnce, Some(_)) | (_, None) => Err(Error::PacketId),
            (_, Some(id)) => {
                out.u16(packet_id(id)?);
                Ok(())
            }
        }
    }
}

/// Writes all of a PUBLISH that stands before its payload, for a payload of `payload_len` bytes
/// that the caller sends after it; `publish.payload` is not looked at. Gives the bytes written.
///
/// # Errors
/// [`EmitError::BufferTooSmall`]: seven bytes and the topic's length always suffice.
/// [`EmitError::Unencodable`]: as for [`crate::Packet::emit`].
pub fn publish_header(publish: &Publish<'_>, payload_len: usize, out: &mut [u8]) -> Result<usize, EmitError> {
    let mut measure = Writer::new(&mut []);
    publish.write_head(&mut measure)?;
    let remaining = measure.length().saturating_add(payload_len);
    let mut writer = Writer::new(out);
    FixedHeader::write(PacketType::Publish, publish.flags(), remaining, &mut writer)?;
    publish.write_head(&mut writer)?;
    if writer.fits() {
        Ok(writer.length())
    } else {
        Err(EmitError::BufferTooSmall { needed: writer.length() })
    }
}
