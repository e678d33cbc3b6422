//! What each side of a connection may send to the other: what a CONNECT asks for, and what the CONNACK
//! of MQTT 5 announces (docs/protocol.md 2.5).

use std::num::{NonZeroU16, NonZeroU32};

use mqtt::{Connect, Packet, Properties, Property, QoS, Version, connack};

use crate::turned::Why;

/// Messages of QoS 1 that a device of MQTT 5 may send before the first of them is acknowledged.
pub(crate) const RECEIVE_MAXIMUM: NonZeroU16 = NonZeroU16::new(64).unwrap();

/// Longest packet taken in MQTT 5, in bytes.
const MAX_PACKET: u32 = 256 * 1024;

/// Messages of QoS 1 that wait for a device's PUBACK at most, whatever it would take.
const MAX_WINDOW: u16 = 64;

/// Bytes of an accepting CONNACK of MQTT 5. A device that takes less cannot be served.
const CONNACK_LEN: u32 = 31;

/// What a device takes. Version 3 sets no limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Terms {
    pub(crate) version: Version,
    /// Longest packet, in bytes.
    max_packet: Option<NonZeroU32>,
    /// Messages of QoS 1 before its first PUBACK.
    receive_maximum: Option<NonZeroU16>,
}

impl Terms {
    /// The terms of a CONNECT, unless they cannot be met.
    pub(crate) fn of(connect: &Connect<'_>) -> Result<Self, Why> {
        let mut terms = Self { version: connect.version, ..Self::default() };
        for property in connect.properties.iter() {
            match property {
                Property::AuthMethod(_) => return Err(Why::AuthMethod),
                Property::MaximumPacketSize(bytes) if bytes.get() < CONNACK_LEN => {
                    return Err(Why::SmallPackets(bytes.get()));
                }
                Property::MaximumPacketSize(bytes) => terms.max_packet = Some(bytes),
                Property::ReceiveMaximum(count) => terms.receive_maximum = Some(count),
                _ => {}
            }
        }
        Ok(terms)
    }

    pub(crate) fn is_v5(&self) -> bool {
        self.version == Version::V5
    }

    /// Whether the device takes a packet of this many bytes.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        self.max_packet.is_none_or(|most| bytes <= most.get() as usize)
    }

    /// Longest packet that the device takes, for people.
    pub(crate) fn max_packet(&self) -> u32 {
        self.max_packet.map_or(u32::MAX, NonZeroU32::get)
    }

    /// Messages of QoS 1 that may wait for their PUBACK. None in version 3: nothing is sent twice within
    /// a connection, so a PUBACK leaves nothing to do.
    pub(crate) fn window(&self) -> Option<usize> {
        let most = self.receive_maximum.map_or(MAX_WINDOW, NonZeroU16::get);
        self.is_v5().then_some(usize::from(most.min(MAX_WINDOW)))
    }

    /// Longest packet taken from the device, if the door takes `configured` bytes.
    pub(crate) fn taken(&self, configured: usize) -> usize {
        if self.is_v5() { configured.min(MAX_PACKET as usize) } else { configured }
    }

    /// Hands over the CONNACK that lets the device in.
    pub(crate) fn accept(&self, max_packet: usize, send: impl FnOnce(&Packet<'_>)) {
        let announced = announced(self.taken(max_packet));
        let properties = if self.is_v5() { Properties::new(&announced) } else { Properties::NONE };
        send(&Packet::ConnAck { session_present: false, code: connack::ACCEPTED, properties });
    }
}

fn announced(max_packet: usize) -> [Property<'static>; 9] {
    let max_packet = u32::try_from(max_packet).ok().and_then(NonZeroU32::new);
    [
        Property::SessionExpiry(0),
        Property::ReceiveMaximum(RECEIVE_MAXIMUM),
        Property::MaximumQoS(QoS::AtLeastOnce),
        Property::RetainAvailable(false),
        Property::MaximumPacketSize(max_packet.unwrap_or(NonZeroU32::MIN)),
        Property::TopicAliasMaximum(0),
        Property::WildcardAvailable(true),
        Property::SubscriptionIdAvailable(false),
        Property::SharedAvailable(false),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_connack_is_known() {
        let terms = Terms { version: Version::V5, ..Terms::default() };
        let mut length = 0;
        terms.accept(1 << 20, |packet| length = packet.encoded_len(Version::V5).unwrap_or(0));
        assert_eq!(length, CONNACK_LEN as usize);
    }

    #[test]
    fn a_window_is_that_of_the_device_within_ours() {
        let window = |count| {
            let receive_maximum = NonZeroU16::new(count);
            Terms { version: Version::V5, receive_maximum, ..Terms::default() }.window()
        };
        assert_eq!(
            [window(0), window(1), window(64), window(65_535)],
            [Some(64), Some(1), Some(64), Some(64)]
        );
        assert_eq!(Terms::default().window(), None);
    }
}
