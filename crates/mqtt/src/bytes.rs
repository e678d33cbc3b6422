//! Reading and writing the primitive fields: integers, texts and binary of a two-byte length.

use crate::{Error, MAX_REMAINING};

/// Bytes of the longest variable byte integer.
const MAX_VARINT: usize = 4;

/// A variable byte integer at the front of `bytes` and the bytes it takes; `None` while they end before
/// it does. One padded with zero groups is taken: nothing depends on it.
pub(crate) fn varint(bytes: &[u8]) -> Result<Option<(usize, usize)>, Error> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(MAX_VARINT).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < MAX_VARINT { Ok(None) } else { Err(Error::VarInt) }
}

/// A text as MQTT allows it: UTF-8 without U+0000.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Error> {
    let text = core::str::from_utf8(bytes).map_err(|_| Error::Text)?;
    if text.contains('\0') { Err(Error::Text) } else { Ok(text) }
}

/// A topic name: not empty, without wildcards.
pub(crate) fn topic_name(text: &str) -> Result<&str, Error> {
    if text.is_empty() || text.contains(['+', '#']) { Err(Error::Topic) } else { Ok(text) }
}

/// A topic filter: not empty. Whether its wildcards stand where they may is for the receiver, who
/// can refuse one filter without ending the connection.
pub(crate) fn topic_filter(text: &str) -> Result<&str, Error> {
    if text.is_empty() { Err(Error::Filter) } else { Ok(text) }
}

/// A packet identifier: not zero.
pub(crate) fn packet_id(id: u16) -> Result<u16, Error> {
    if id == 0 { Err(Error::PacketId) } else { Ok(id) }
}

/// Takes fields off the front of a packet's body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        let (&first, rest) = self.rest.split_first().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    pub(crate) fn varint(&mut self) -> Result<usize, Error> {
        let (value, length) = varint(self.rest)?.ok_or(Error::Truncated)?;
        self.take(length)?;
        Ok(value)
    }

    pub(crate) fn packet_id(&mut self) -> Result<u16, Error> {
        packet_id(self.u16()?)
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Error> {
        text(self.binary()?)
    }

    pub(crate) fn end(self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(Error::TrailingBytes) }
    }
}

/// Writes into a buffer and goes on counting when it is full, so that one description of a packet
/// serves both to measure and to write it.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self { out, length: 0 }
    }

    /// Bytes put so far, whether they fitted or not.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn fits(&self) -> bool {
        self.length <= self.out.len()
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        if let Some(slot) = self.out.get_mut(self.length..end) {
            slot.copy_from_slice(bytes);
        }
        self.length = end;
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    pub(crate) fn varint(&mut self, value: usize) -> Result<(), Error> {
        if value > MAX_REMAINING {
            return Err(Error::TooLarge { length: value, max: MAX_REMAINING });
        }
        let mut left = value;
        loop {
            let group = (left & 0x7f) as u8;
            left >>= 7;
            if left == 0 {
                self.u8(group);
                return Ok(());
            }
            self.u8(group | 0x80);
        }
    }

    pub(crate) fn packet_id(&mut self, id: u16) -> Result<(), Error> {
        self.u16(packet_id(id)?);
        Ok(())
    }

    pub(crate) fn binary(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = u16::try_from(bytes.len())
            .map_err(|_| Error::TooLarge { length: bytes.len(), max: usize::from(u16::MAX) })?;
        self.u16(length);
        self.put(bytes);
        Ok(())
    }

    pub(crate) fn text(&mut self, value: &str) -> Result<(), Error> {
        self.binary(text(value.as_bytes())?.as_bytes())
    }
}
