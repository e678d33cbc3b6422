//! A session: one task that owns the socket and everything that is known of the connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use mqtt::{Error, Packet, Publish, QoS, SubAck, Subscribe, Unsubscribe, Version, connack, frame_len};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::unconstrained;
use tokio::time::timeout;
use wire::block;
use wire::message::{BlockRequest, BlockRequestError, Id};
use wire::topic::{Kind, Topic};

use crate::acks::{Acks, Taken};
use crate::blocks::{Answer, Blocks, Refused, Request, error_frame};
use crate::clock::Clock;
use crate::counters::{add, count};
use crate::outbox::Outbox;
use crate::sessions::Mailbox;
use crate::socket::{Turn, turn};
use crate::subscriptions::Subscriptions;
use crate::{Closed, Config, Counters, Downlink, Platform, Session, StreamRefusal};

/// Uplinks that may wait for the platform before reading stops.
const MAX_UPLINKS: usize = 64;

/// Bytes of those uplinks.
const MAX_UPLINK_BYTES: usize = 256 * 1024;

/// Bytes of waiting packets at which reading stops: only a device that reads nothing gets there.
const MAX_PACKET_BYTES: usize = 64 * 1024;

/// Bytes of waiting packets up to which downlinks and error frames are added to them.
const SPARE_PACKET_BYTES: usize = 16 * 1024;

/// How long uplinks taken from a closed session may still take.
const SETTLE: Duration = Duration::from_secs(10);

/// Bytes of a topic or filter that are logged.
const MAX_LOGGED: usize = 160;

/// Reads of what had arrived before a session was closed from this side.
const MAX_SWEEPS: usize = 64;

/// A session and its connection.
pub(crate) struct Driver<P, S> {
    pub(crate) platform: Arc<P>,
    pub(crate) session: Arc<Session>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) config: Config,
    pub(crate) version: Version,
    pub(crate) stream: S,
    pub(crate) input: BytesMut,
}

/// What woke the session.
enum Event {
    Mail,
    Taken(Taken),
    Answer(Answer),
    Socket(Turn),
    Tick,
}

/// A session that is being served.
struct Running<P, S> {
    driver: Driver<P, S>,
    out: Outbox,
    acks: Acks,
    blocks: Blocks,
    subscriptions: Subscriptions,
    clock: Clock,
}

impl<P: Platform, S: AsyncRead + AsyncWrite + Unpin> Driver<P, S> {
    /// Sends CONNACK and serves the session until it ends; `closed` is called as soon as it does, while
    /// uplinks it has handed over may still be on their way to becoming durable.
    pub(crate) async fn run(self, closed: impl FnOnce(Closed)) {
        let mut running = Running {
            out: Outbox::default(),
            acks: Acks::default(),
            blocks: Blocks::new(self.config.block_requests),
            subscriptions: Subscriptions::default(),
            clock: Clock::new(self.session.keep_alive, self.config.write_timeout),
            driver: self,
        };
        running.out.packet(&Packet::ConnAck { session_present: false, code: connack::ACCEPTED });
        let why = running.serve().await;
        if matches!(why, Closed::TakenOver | Closed::Lost) {
            running.sweep();
        }
        let Running { driver, acks, .. } = running;
        drop(driver);
        closed(why);
        settle(acks).await;
    }
}

/// As much of a device's text as belongs into a line of the log.
fn start(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LOGGED)]
}

/// Gives what the device was never told the outcome of a chance to become durable all the same.
async fn settle(mut acks: Acks) {
    let all = async { while acks.next().await.is_some() {} };
    // Too late is as good as a device that crashed: it reports again.
    let _ = timeout(SETTLE, all).await;
}

impl<P: Platform, S: AsyncRead + AsyncWrite + Unpin> Running<P, S> {
    async fn serve(&mut self) -> Closed {
        loop {
            if let Err(why) = self.step().await {
                return why;
            }
        }
    }

    async fn step(&mut self) -> Result<(), Closed> {
        self.take_packets()?;
        self.clock.waiting(!self.out.is_empty(), false);
        match self.wait().await {
            Event::Mail => self.take_mail(),
            Event::Taken(taken) => self.taken(taken),
            Event::Answer(answer) => {
                self.answer(answer);
                Ok(())
            }
            Event::Socket(turn) => self.turned(turn),
            Event::Tick => {
                if self.is_paused() {
                    self.clock.heard();
                }
                self.clock.expired().map_or(Ok(()), |why| Err(self.timed_out(why)))
            }
        }
    }

    async fn wait(&mut self) -> Event {
        let reading = !self.is_paused();
        let room = match self.out.block_bytes() {
            0 => usize::MAX,
            waiting => self.driver.config.queue_bytes.saturating_sub(waiting),
        };
        let Self { driver, out, acks, blocks, clock, .. } = self;
        let Driver { platform, session, mailbox, stream, input, .. } = driver;
        let open = |stream_id, file_id| platform.open_stream(session, stream_id, file_id);
        tokio::select! {
            biased;
            () = mailbox.rung() => Event::Mail,
            Some(taken) = acks.next() => Event::Taken(taken),
            answer = poll_fn(|cx| blocks.poll(cx, room, open)) => Event::Answer(answer),
            turn = turn(stream, out, input, reading) => Event::Socket(turn.unwrap_or(Turn::END)),
            () = clock.tick() => Event::Tick,
        }
    }

    /// Whether so much waits for the platform or the device that no more is read.
    fn is_paused(&self) -> bool {
        self.acks.len() >= MAX_UPLINKS
            || self.acks.bytes() >= MAX_UPLINK_BYTES
            || self.out.packet_bytes() >= MAX_PACKET_BYTES
    }

    fn timed_out(&self, why: Closed) -> Closed {
        let counters = &self.driver.counters;
        count(if why == Closed::KeepAlive { &counters.keepalive_timeout } else { &counters.write_timeout });
        why
    }

    fn turned(&mut self, turn: Turn) -> Result<(), Closed> {
        if turn.read {
            self.clock.heard();
        }
        if turn.wrote {
            self.clock.waiting(!self.out.is_empty(), true);
            self.send_downlinks();
        }
        if turn.end { Err(Closed::Lost) } else { Ok(()) }
    }

    fn taken(&mut self, taken: Taken) -> Result<(), Closed> {
        if taken.result.is_err() {
            count(&self.driver.counters.uplink_unavailable);
            return Err(Closed::Unavailable);
        }
        if let Some(packet_id) = taken.packet_id {
            self.out.packet(&Packet::PubAck { packet_id });
        }
        Ok(())
    }

    fn take_mail(&mut self) -> Result<(), Closed> {
        let (close, revoked) = self.driver.mailbox.orders();
        if let Some(why) = close {
            return Err(why);
        }
        for stream_id in revoked {
            let answered = self.out.revoke(stream_id);
            self.blocks.revoke(stream_id, answered);
        }
        self.send_downlinks();
        Ok(())
    }

    /// Moves downlinks to the outbox while it has room; the rest follows when bytes were written.
    fn send_downlinks(&mut self) {
        while self.out.packet_bytes() < SPARE_PACKET_BYTES {
            let Some(Downlink { kind, payload }) = self.driver.mailbox.next_downlink() else { return };
            match self.subscriptions.delivery(kind) {
                Some(qos) => {
                    self.out.publish(&self.topic(kind), qos, &payload);
                    count(&self.driver.counters.downlinks);
                }
                None => count(&self.driver.counters.unsubscribed),
            }
        }
    }

    fn topic(&self, kind: Kind) -> String {
        let session = &self.driver.session;
        Topic::new(kind, &session.product_key, &session.device_name).to_string()
    }

    fn answer(&mut self, answer: Answer) {
        let counters = &self.driver.counters;
        let Some(qos) = self.subscriptions.delivery(Kind::FileDownloadReply) else {
            return self.unwanted_block();
        };
        match &answer.result {
            Ok(data) => {
                count(&counters.blocks);
                add(&counters.block_bytes, data.bytes.len() as u64);
            }
            Err(refused) => {
                let (stream, code) = (answer.request.stream_id, refused.code());
                note!(self.driver.session, stream, code, "a block request was refused");
                count(match refused {
                    Refused::Stream(StreamRefusal::NotFound) => &counters.foreign_stream,
                    Refused::Stream(StreamRefusal::Ended) => &counters.ended_stream,
                    Refused::BeyondEnd => &counters.block_out_of_range,
                    Refused::Stream(StreamRefusal::Unavailable) | Refused::ReadFailed => {
                        &counters.block_read_failed
                    }
                });
            }
        }
        let topic = self.topic(Kind::FileDownloadReply);
        let packet_id = self.out.packet_id(qos);
        let publish = Publish { dup: false, qos, retain: false, topic: &topic, packet_id, payload: &[] };
        if let Some(block) = answer.frame(&publish) {
            self.out.block(block);
        }
    }

    fn unwanted_block(&self) {
        let Driver { session, counters, .. } = &self.driver;
        note!(session, "a block request was dropped: the device unsubscribed the topic of its answer");
        count(&counters.unsubscribed);
    }

    /// Takes whole packets from what was read, until reading has to stop.
    fn take_packets(&mut self) -> Result<(), Closed> {
        while !self.is_paused() && !self.driver.input.is_empty() {
            let known = frame_len(&self.driver.input, self.driver.config.max_packet);
            match known.map_err(|error| self.malformed(error))? {
                Some(length) if length <= self.driver.input.len() => {
                    let packet = self.driver.input.split_to(length).freeze();
                    self.take_packet(&packet)?;
                }
                _ => return Ok(()),
            }
        }
        if self.driver.input.is_empty() {
            self.driver.input = BytesMut::new();
        }
        Ok(())
    }

    fn take_packet(&mut self, bytes: &Bytes) -> Result<(), Closed> {
        let packet = Packet::parse(bytes, self.driver.version).map_err(|error| self.malformed(error))?;
        match packet {
            Packet::Publish(publish) => self.published(&publish),
            Packet::PingReq => {
                self.out.packet(&Packet::PingResp);
                Ok(())
            }
            // Nothing is sent twice within a connection, so there is nothing to retire.
            Packet::PubAck { .. } => Ok(()),
            Packet::Subscribe(subscribe) => {
                self.subscribe(&subscribe);
                Ok(())
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.unsubscribe(&unsubscribe);
                Ok(())
            }
            Packet::Disconnect => Err(Closed::Goodbye),
            _ => {
                note!(
                    self.driver.session,
                    "a device sent a packet that only a server sends, or a second CONNECT"
                );
                count(&self.driver.counters.malformed_packet);
                Err(Closed::Protocol)
            }
        }
    }

    fn malformed(&self, error: Error) -> Closed {
        let Driver { session, counters, .. } = &self.driver;
        note!(session, %error, "a device sent what is no packet");
        if matches!(error, Error::TooLarge { .. }) {
            count(&counters.too_large);
            return Closed::TooLarge;
        }
        count(&counters.malformed_packet);
        Closed::Protocol
    }

    fn published(&mut self, publish: &Publish<'_>) -> Result<(), Closed> {
        if publish.qos == QoS::ExactlyOnce {
            note!(self.driver.session, topic = start(publish.topic), "a device published with QoS 2");
            count(&self.driver.counters.qos2_publish);
            return Err(Closed::Protocol);
        }
        match self.permitted(publish.topic) {
            Some(Kind::FileDownload) => self.block_request(publish.payload),
            Some(kind) => {
                let Driver { platform, session, counters, .. } = &self.driver;
                count(&counters.uplinks);
                let payload = Bytes::copy_from_slice(publish.payload);
                let durable = platform.uplink(session, kind, payload);
                self.acks.uplink(publish.packet_id, publish.payload.len(), durable);
                return Ok(());
            }
            None => {}
        }
        if let Some(packet_id) = publish.packet_id {
            self.acks.done(packet_id);
        }
        Ok(())
    }

    /// The kind of a topic that this device may publish and somebody here listens to; the others are
    /// counted.
    fn permitted(&self, topic: &str) -> Option<Kind> {
        let Driver { session, counters, .. } = &self.driver;
        let (reason, words) = match Topic::parse(topic) {
            None => (&counters.unknown_topic, "no device has such a topic"),
            Some(topic) if !topic.belongs_to(&session.product_key, &session.device_name) => {
                (&counters.forbidden_publish, "the topic is another device's")
            }
            Some(topic) => match topic.kind {
                Kind::User => (&counters.custom_topic, "nobody reads custom topics yet"),
                Kind::Unserved => (&counters.unserved_topic, "the topic is not served yet"),
                kind if kind.may_publish() => return Some(kind),
                _ => (&counters.forbidden_publish, "only the platform publishes on this topic"),
            },
        };
        count(reason);
        note!(session, topic = start(topic), "a publish was dropped: {words}");
        None
    }

    fn block_request(&mut self, payload: &[u8]) {
        let counters = self.driver.counters.clone();
        if self.subscriptions.delivery(Kind::FileDownloadReply).is_none() {
            return self.unwanted_block();
        }
        match BlockRequest::parse(payload) {
            Ok(request) => {
                if self.blocks.ask(Request::from(request)).is_err() {
                    note!(self.driver.session, "a block request was refused: too many wait");
                    count(&counters.block_too_many);
                    self.refuse_block(request.id, block::CODE_TOO_MANY);
                }
            }
            Err(BlockRequestError::Parameter { id, error }) => {
                note!(self.driver.session, %error, "a block request was refused");
                count(&counters.block_out_of_range);
                self.refuse_block(id, block::CODE_PARAMETER);
            }
            Err(BlockRequestError::Unreadable(error)) => {
                note!(self.driver.session, %error, "a block request was dropped");
                count(&counters.bad_block_request);
            }
        }
    }

    /// Answers a request with an error at once, unless the device does not read its answers anyway.
    fn refuse_block(&mut self, id: Id<'_>, code: u16) {
        if let Some(qos) = self.subscriptions.delivery(Kind::FileDownloadReply)
            && self.out.packet_bytes() < SPARE_PACKET_BYTES
        {
            let topic = self.topic(Kind::FileDownloadReply);
            self.out.publish(&topic, qos, &error_frame(id, code));
        }
    }

    fn subscribe(&mut self, subscribe: &Subscribe<'_>) {
        let Driver { session, counters, .. } = &self.driver;
        let codes = self.subscriptions.subscribe(session, subscribe.filters.iter());
        let refused = codes.iter().filter(|&&code| code == mqtt::SUBACK_FAILURE).count();
        add(&counters.refused_subscribe, refused as u64);
        if let Some((first, _)) =
            subscribe.filters.iter().zip(&codes).find(|&(_, &code)| code == mqtt::SUBACK_FAILURE)
        {
            note!(session, filter = start(first.0), refused, "a subscription was refused");
        }
        self.out.packet(&Packet::SubAck(SubAck { packet_id: subscribe.packet_id, codes: &codes }));
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) {
        self.subscriptions.unsubscribe(&self.driver.session, unsubscribe.filters.iter());
        self.out.packet(&Packet::UnsubAck { packet_id: unsubscribe.packet_id });
    }

    /// What had arrived before the connection went is still a report: a device may say something,
    /// leave, and be back on another connection before this one was looked at.
    fn sweep(&mut self) {
        for _ in 0..MAX_SWEEPS {
            if self.take_packets().is_err() || self.is_paused() {
                return;
            }
            let Driver { stream, input, .. } = &mut self.driver;
            match unconstrained(turn(stream, &mut Outbox::default(), input, true)).now_or_never() {
                Some(Ok(Turn { read: true, .. })) => {}
                _ => return,
            }
        }
    }
}
