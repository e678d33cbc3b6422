//! What waits to be written to a session's socket: small packets first, then blocks.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes, BytesMut};
use mqtt::{Packet, Properties, Publish, QoS, Version};

use crate::blocks::Request;
use crate::terms::Terms;
use crate::window::Window;

/// Parts offered to the socket in one call.
pub(crate) const SLICES: usize = 32;

/// A block, or the error frame in its place, as a whole PUBLISH in three parts.
#[derive(Debug)]
pub(crate) struct ReadyBlock {
    /// What it answers.
    pub(crate) request: Request,
    /// MQTT header, frame length and JSON head.
    pub(crate) head: Vec<u8>,
    /// The file's bytes; shared with whoever read them.
    pub(crate) data: Bytes,
    /// CRC of the data; none in an error frame.
    pub(crate) crc: Option<[u8; 2]>,
    /// That of the PUBLISH.
    pub(crate) packet_id: Option<u16>,
}

impl ReadyBlock {
    fn parts(&self) -> [&[u8]; 3] {
        [&self.head, &self.data, self.crc.as_ref().map_or(&[], |crc| crc)]
    }

    /// The payload, copied for who watches.
    pub(crate) fn payload(&self, version: Version) -> Vec<u8> {
        let packet = self.parts().concat();
        match Packet::parse(&packet, version) {
            Ok(Packet::Publish(publish)) => publish.payload.to_vec(),
            _ => Vec::new(),
        }
    }

    /// Bytes of the whole packet.
    pub(crate) fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }
}

/// Packets and blocks on their way out, in this order: the rest of the block that has begun, all
/// packets, the other blocks.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    packets: BytesMut,
    blocks: VecDeque<ReadyBlock>,
    block_bytes: usize,
    /// Bytes of the first block already written.
    begun: usize,
    terms: Terms,
    window: Window,
}

impl Outbox {
    /// For a device that takes what these terms say.
    pub(crate) fn new(terms: Terms) -> Self {
        Self { terms, window: Window::new(terms.window()), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.blocks.is_empty()
    }

    /// Bytes of packets that wait.
    pub(crate) fn packet_bytes(&self) -> usize {
        self.packets.len()
    }

    /// Bytes of blocks that wait.
    pub(crate) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Queues a packet. `false`: it is longer than the device takes. One that cannot be encoded, which is
    /// a mistake of this node, is not queued either.
    pub(crate) fn packet(&mut self, packet: &Packet<'_>) -> bool {
        let version = self.terms.version;
        let length = packet.encoded_len(version).unwrap_or(usize::MAX);
        if length == usize::MAX || !self.terms.takes(length) {
            return false;
        }
        let start = self.packets.len();
        self.packets.resize(start + length, 0);
        if packet.emit(version, &mut self.packets[start..]).is_err() {
            self.packets.truncate(start);
        }
        true
    }

    /// Queues a message. `false`: it is longer than the device takes.
    pub(crate) fn publish(&mut self, topic: &str, qos: QoS, payload: &[u8]) -> bool {
        let packet_id = self.packet_id(qos);
        let (dup, retain, properties) = (false, false, Properties::NONE);
        let publish = Publish { dup, qos, retain, topic, packet_id, properties, payload };
        let is_queued = self.packet(&Packet::Publish(publish));
        if !is_queued {
            self.retire(packet_id);
        }
        is_queued
    }

    /// Whether a message of this quality of service may be queued now, or a PUBACK must come first.
    pub(crate) fn may_send(&self, qos: QoS) -> bool {
        qos == QoS::AtMostOnce || !self.window.is_full()
    }

    /// A message was acknowledged, or is not sent after all.
    pub(crate) fn retire(&mut self, packet_id: Option<u16>) {
        if let Some(packet_id) = packet_id {
            self.window.retire(packet_id);
        }
    }

    pub(crate) fn block(&mut self, block: ReadyBlock) {
        self.block_bytes += block.len();
        self.blocks.push_back(block);
    }

    /// A packet identifier, if this quality of service needs one.
    pub(crate) fn packet_id(&mut self, qos: QoS) -> Option<u16> {
        (qos != QoS::AtMostOnce).then(|| self.window.next_id())
    }

    /// Drops the blocks that have not begun.
    pub(crate) fn drop_blocks(&mut self) {
        self.blocks.truncate(usize::from(self.begun > 0));
        self.block_bytes = self.blocks.iter().map(ReadyBlock::len).sum::<usize>() - self.begun;
    }

    /// Drops the blocks of a stream that have not begun and gives their requests back, in order.
    pub(crate) fn revoke(&mut self, stream_id: u32) -> Vec<Request> {
        let mut revoked = Vec::new();
        for (at, block) in std::mem::take(&mut self.blocks).into_iter().enumerate() {
            let begun = at == 0 && self.begun > 0;
            if begun || block.request.stream_id != stream_id {
                self.blocks.push_back(block);
            } else {
                self.block_bytes -= block.len();
                self.retire(block.packet_id);
                revoked.push(block.request);
            }
        }
        revoked
    }

    /// Fills `slices` with what is to be written next and gives how many it took.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let mut skip = self.begun;
        let begun_blocks = usize::from(self.begun > 0);
        let rest_of_first =
            self.blocks.iter().take(begun_blocks).flat_map(ReadyBlock::parts).map(move |part| {
                let (_, rest) = part.split_at(skip.min(part.len()));
                skip -= part.len() - rest.len();
                rest
            });
        let others = self.blocks.iter().skip(begun_blocks).flat_map(ReadyBlock::parts);
        let parts = rest_of_first.chain([&self.packets[..]]).chain(others).filter(|part| !part.is_empty());
        let mut count = 0;
        for (slot, part) in slices.iter_mut().zip(parts) {
            *slot = IoSlice::new(part);
            count += 1;
        }
        count
    }

    /// Forgets the first `written` bytes of what [`Outbox::slices`] offered.
    pub(crate) fn advance(&mut self, written: usize) {
        let mut left = if self.begun > 0 { self.advance_block(written) } else { written };
        let packets = left.min(self.packets.len());
        self.packets.advance(packets);
        left -= packets;
        if self.packets.is_empty() {
            self.packets = BytesMut::new();
        }
        while left > 0 && !self.blocks.is_empty() {
            left = self.advance_block(left);
        }
    }

    /// Writes off up to `written` bytes of the first block and gives what is left of them.
    fn advance_block(&mut self, written: usize) -> usize {
        let Some(first) = self.blocks.front() else { return written };
        let length = first.len();
        let taken = written.min(length - self.begun);
        self.begun += taken;
        self.block_bytes -= taken;
        if self.begun == length {
            self.blocks.pop_front();
            self.begun = 0;
        }
        written - taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(stream_id: u32, text: &str) -> ReadyBlock {
        let (head, rest) = text.split_at(2);
        let (data, crc) = rest.split_at(rest.len() - 2);
        let crc = crc.as_bytes();
        ReadyBlock {
            request: Request::of_stream(stream_id),
            head: head.as_bytes().to_vec(),
            data: Bytes::copy_from_slice(data.as_bytes()),
            crc: Some([crc[0], crc[1]]),
            packet_id: None,
        }
    }

    fn offered(out: &Outbox) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = out.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    const PING: &[u8] = &[0xd0, 0];

    #[test]
    fn packets_overtake_blocks_that_have_not_begun() {
        let mut out = Outbox::default();
        out.block(block(1, "abcdefgh"));
        out.packet(&Packet::PingResp);
        assert_eq!(offered(&out), [PING, b"abcdefgh"].concat());
    }

    #[test]
    fn packets_wait_for_the_block_that_has_begun_wherever_it_was_cut() {
        for cut in 1..8 {
            let mut out = Outbox::default();
            out.block(block(1, "abcdefgh"));
            out.block(block(1, "ijklmnop"));
            out.advance(cut);
            out.packet(&Packet::PingResp);
            let expected = [&b"abcdefgh"[cut..], PING, b"ijklmnop"].concat();
            assert_eq!(offered(&out), expected);
            assert_eq!(out.block_bytes(), 16 - cut);
            for step in 0..expected.len() {
                assert_eq!(offered(&out), expected[step..]);
                out.advance(1);
            }
            assert!(out.is_empty());
            assert_eq!(out.block_bytes(), 0);
        }
    }

    #[test]
    fn a_revoked_stream_loses_what_has_not_begun() {
        let mut out = Outbox::default();
        for (stream, text) in [(1, "abcdefgh"), (1, "ijklmnop"), (2, "qrstuvwx")] {
            out.block(block(stream, text));
        }
        out.advance(3);
        assert_eq!(out.revoke(1).len(), 1);
        assert_eq!(offered(&out), b"defghqrstuvwx");
        assert_eq!(out.block_bytes(), 13);
        assert_eq!(out.revoke(2).len(), 1);
        out.advance(5);
        assert!(out.is_empty());
    }

    #[test]
    fn last_words_come_behind_the_block_that_has_begun() {
        for cut in 0..8 {
            let mut out = Outbox::default();
            out.block(block(1, "abcdefgh"));
            out.block(block(1, "ijklmnop"));
            out.advance(cut);
            out.drop_blocks();
            out.packet(&Packet::PingResp);
            let begun = if cut == 0 { &[][..] } else { &b"abcdefgh"[cut..] };
            assert_eq!(offered(&out), [begun, PING].concat());
            assert_eq!(out.block_bytes(), begun.len());
        }
    }

    #[test]
    fn a_block_taken_back_was_never_sent() {
        let mut out = Outbox { window: Window::new(Some(1)), ..Outbox::default() };
        let packet_id = out.packet_id(QoS::AtLeastOnce);
        out.block(ReadyBlock { packet_id, ..block(1, "abcdefgh") });
        assert!(!out.may_send(QoS::AtLeastOnce) && out.may_send(QoS::AtMostOnce));
        out.revoke(1);
        assert!(out.may_send(QoS::AtLeastOnce));
    }
}
