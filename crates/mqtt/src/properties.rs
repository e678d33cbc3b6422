//! Properties of MQTT 5: what a packet says beside its fixed fields.

use core::num::{NonZeroU16, NonZeroU32};

use crate::bytes::{Reader, Writer, topic_name};
use crate::list::{List, entries};
use crate::{Error, QoS};

/// Packets, as bits of a set, that a property may stand in; a will's properties stand apart from those
/// of its CONNECT.
pub(crate) mod place {
    pub(crate) const CONNECT: u16 = 1;
    pub(crate) const WILL: u16 = 1 << 1;
    pub(crate) const CONNACK: u16 = 1 << 2;
    pub(crate) const PUBLISH: u16 = 1 << 3;
    pub(crate) const PUBACK: u16 = 1 << 4;
    pub(crate) const SUBSCRIBE: u16 = 1 << 5;
    pub(crate) const SUBACK: u16 = 1 << 6;
    pub(crate) const UNSUBSCRIBE: u16 = 1 << 7;
    pub(crate) const UNSUBACK: u16 = 1 << 8;
    pub(crate) const DISCONNECT: u16 = 1 << 9;
    pub(crate) const ALL: u16 = (1 << 10) - 1;
}
use place::{ALL, CONNACK, CONNECT, DISCONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, UNSUBACK, WILL};

macro_rules! properties {
    ($($(#[$doc:meta])+ $id:literal $name:ident($kind:ty) in $places:expr;)+) => {
        /// One property. Its type can hold only values that the standard allows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Property<'a> {
            $($(#[$doc])+ $name($kind),)+
        }

        impl<'a> Property<'a> {
            fn id(&self) -> u8 {
                match self { $(Self::$name(_) => $id,)+ }
            }

            /// The packets it may stand in.
            fn places(&self) -> u16 {
                match self { $(Self::$name(_) => $places,)+ }
            }

            fn read_value(id: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
                match id {
                    $($id => Value::read(id, body).map(Self::$name),)+
                    unknown => Err(Error::Property(unknown)),
                }
            }

            fn write_value(&self, out: &mut Writer<'_>) -> Result<(), Error> {
                match self { $(Self::$name(value) => value.write(out),)+ }
            }
        }
    };
}

properties! {
    /// The payload is text.
    0x01 PayloadIsText(bool) in PUBLISH | WILL;
    /// Seconds after which the message is of no use.
    0x02 MessageExpiry(u32) in PUBLISH | WILL;
    /// What the payload is.
    0x03 ContentType(&'a str) in PUBLISH | WILL;
    /// Where an answer is wanted.
    0x08 ResponseTopic(&'a str) in PUBLISH | WILL;
    /// Tells the asker which question an answer belongs to.
    0x09 CorrelationData(&'a [u8]) in PUBLISH | WILL;
    /// A number for the subscriptions that a SUBSCRIBE makes.
    0x0b SubscriptionId(SubscriptionId) in PUBLISH | SUBSCRIBE;
    /// Seconds for which the session outlives its connection.
    0x11 SessionExpiry(u32) in CONNECT | CONNACK | DISCONNECT;
    /// The client identifier that the server chose.
    0x12 AssignedClientId(&'a str) in CONNACK;
    /// The keepalive that counts instead of the client's, in seconds.
    0x13 ServerKeepAlive(u16) in CONNACK;
    /// The name of an enhanced authentication.
    0x15 AuthMethod(&'a str) in CONNECT | CONNACK;
    /// Data of an enhanced authentication.
    0x16 AuthData(&'a [u8]) in CONNECT | CONNACK;
    /// Whether reason strings and user properties are wanted.
    0x17 RequestProblemInfo(bool) in CONNECT;
    /// Seconds from the end of the connection to the publication of the will.
    0x18 WillDelay(u32) in WILL;
    /// Whether [`Property::ResponseInfo`] is wanted.
    0x19 RequestResponseInfo(bool) in CONNECT;
    /// What response topics may begin with.
    0x1a ResponseInfo(&'a str) in CONNACK;
    /// Which server to use instead.
    0x1c ServerReference(&'a str) in CONNACK | DISCONNECT;
    /// The reason in words.
    0x1f ReasonString(&'a str) in CONNACK | PUBACK | SUBACK | UNSUBACK | DISCONNECT;
    /// Messages of QoS 1 and 2 that the sender takes before it has acknowledged the first; none = 65 535.
    0x21 ReceiveMaximum(NonZeroU16) in CONNECT | CONNACK;
    /// The highest topic alias that the sender takes; none = 0, no alias at all.
    0x22 TopicAliasMaximum(u16) in CONNECT | CONNACK;
    /// A number that stands for the topic from here on.
    0x23 TopicAlias(NonZeroU16) in PUBLISH;
    /// The highest quality of service that the server serves, 0 or 1; none = 2.
    0x24 MaximumQoS(QoS) in CONNACK;
    /// Whether the server keeps retained messages.
    0x25 RetainAvailable(bool) in CONNACK;
    /// A name and a value that mean something to the application.
    0x26 User((&'a str, &'a str)) in ALL;
    /// The longest packet that the sender takes, in bytes; none = no limit.
    0x27 MaximumPacketSize(NonZeroU32) in CONNECT | CONNACK;
    /// Whether the server serves filters with wildcards.
    0x28 WildcardAvailable(bool) in CONNACK;
    /// Whether the server serves subscription identifiers.
    0x29 SubscriptionIdAvailable(bool) in CONNACK;
    /// Whether the server serves shared subscriptions.
    0x2a SharedAvailable(bool) in CONNACK;
}

/// A subscription identifier: 1 to 268 435 455.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(u32);

impl SubscriptionId {
    /// `None` for a number that is none.
    #[must_use]
    pub const fn new(id: u32) -> Option<Self> {
        if id == 0 || id as usize > crate::MAX_REMAINING { None } else { Some(Self(id)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'a> Property<'a> {
    fn read(body: &mut Reader<'a>) -> Result<Self, Error> {
        let id = body.u8()?;
        Self::read_value(id, body)
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.u8(self.id());
        self.write_value(out)
    }

    fn may_repeat(&self, place: u16) -> bool {
        matches!((self, place), (Self::User(_), _) | (Self::SubscriptionId(_), PUBLISH))
    }
}

/// The properties of a packet: none in version 3, any number in version 5.
#[derive(Debug, Clone, Copy)]
pub struct Properties<'a>(List<'a, Property<'a>>);

impl<'a> Properties<'a> {
    /// No properties.
    pub const NONE: Self = Self(List::Given(&[]));

    /// Properties to send.
    #[must_use]
    pub const fn new(properties: &'a [Property<'a>]) -> Self {
        Self(List::Given(properties))
    }

    /// The properties in order.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + Clone + use<'a> {
        entries(self.0, Property::read)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Reads the length and as many bytes of properties, each sound, in its place and there once.
    pub(crate) fn parse(body: &mut Reader<'a>, place: u16) -> Result<Self, Error> {
        let length = body.varint()?;
        let bytes = body.take(length)?;
        let mut rest = Reader::new(bytes);
        let mut rules = Rules::of(place);
        while !rest.is_empty() {
            rules.check(&Property::read(&mut rest)?)?;
        }
        rules.end()?;
        Ok(Self(List::Parsed(bytes)))
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>, place: u16) -> Result<(), Error> {
        let mut measure = Writer::new(&mut []);
        let mut rules = Rules::of(place);
        for property in self.iter() {
            rules.check(&property)?;
            property.write(&mut measure)?;
        }
        rules.end()?;
        out.varint(measure.length())?;
        self.iter().try_for_each(|property| property.write(out))
    }
}

impl Default for Properties<'_> {
    fn default() -> Self {
        Self::NONE
    }
}

impl PartialEq for Properties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Properties<'_> {}

/// What holds between the properties of one packet, read or written.
struct Rules {
    place: u16,
    seen: u64,
}

impl Rules {
    fn of(place: u16) -> Self {
        Self { place, seen: 0 }
    }

    fn check(&mut self, property: &Property<'_>) -> Result<(), Error> {
        let id = property.id();
        if property.places() & self.place == 0 {
            return Err(Error::Property(id));
        }
        if self.has(id) && !property.may_repeat(self.place) {
            return Err(Error::PropertyTwice(id));
        }
        self.seen |= 1 << id;
        if let Property::ResponseTopic(topic) = property {
            topic_name(topic)?;
        }
        Ok(())
    }

    /// Authentication data belong to a method.
    fn end(&self) -> Result<(), Error> {
        let (method, data) = (Property::AuthMethod("").id(), Property::AuthData(&[]).id());
        if self.has(data) && !self.has(method) { Err(Error::Property(data)) } else { Ok(()) }
    }

    fn has(&self, id: u8) -> bool {
        self.seen & 1 << id != 0
    }
}

/// A type of value that properties have; `id` is the property's, for the error.
trait Value<'a>: Sized {
    fn read(id: u8, body: &mut Reader<'a>) -> Result<Self, Error>;
    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error>;
}

impl<'a> Value<'a> for bool {
    fn read(id: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        match body.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::PropertyValue(id)),
        }
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.u8(u8::from(*self));
        Ok(())
    }
}

impl<'a> Value<'a> for QoS {
    fn read(id: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        let is_one = bool::read(id, body)?;
        Ok(if is_one { Self::AtLeastOnce } else { Self::AtMostOnce })
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        if *self == Self::ExactlyOnce {
            return Err(Error::QoS(self.level()));
        }
        out.u8(self.level());
        Ok(())
    }
}

impl<'a> Value<'a> for u16 {
    fn read(_: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        body.u16()
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.u16(*self);
        Ok(())
    }
}

impl<'a> Value<'a> for u32 {
    fn read(_: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        body.u32()
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.put(&self.to_be_bytes());
        Ok(())
    }
}

impl<'a> Value<'a> for NonZeroU16 {
    fn read(id: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        Self::new(body.u16()?).ok_or(Error::PropertyValue(id))
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.get().write(out)
    }
}

impl<'a> Value<'a> for NonZeroU32 {
    fn read(id: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        Self::new(body.u32()?).ok_or(Error::PropertyValue(id))
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.get().write(out)
    }
}

impl<'a> Value<'a> for SubscriptionId {
    fn read(id: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        let number = u32::try_from(body.varint()?).ok();
        number.and_then(Self::new).ok_or(Error::PropertyValue(id))
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.varint(self.0 as usize)
    }
}

impl<'a> Value<'a> for &'a str {
    fn read(_: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        body.text()
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.text(self)
    }
}

impl<'a> Value<'a> for &'a [u8] {
    fn read(_: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        body.binary()
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.binary(self)
    }
}

impl<'a> Value<'a> for (&'a str, &'a str) {
    fn read(_: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        Ok((body.text()?, body.text()?))
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.text(self.0)?;
        out.text(self.1)
    }
}
