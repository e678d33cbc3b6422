//! A session: one task that owns the socket and everything that is known of the connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::join;
use mqtt::{
    Error, Packet, Properties, Property, Publish, QoS, SUBACK_FAILURE, SubAck, Subscribe, UnsubAck,
    Unsubscribe, frame_len, reason,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::unconstrained;
use tokio::time::timeout;
use wire::block;
use wire::message::{BlockRequest, ConfigGet, ConfigReply, Get, GetReply, Id, RequestError};
use wire::topic::{Kind, Topic, filter_device};

use crate::acks::{Acks, Taken};
use crate::blocks::{Answer, Blocks, Refused, Request, error_frame};
use crate::carried::Carried;
use crate::clock::Clock;
use crate::counters::{add, count};
use crate::outbox::Outbox;
use crate::parting::{End, say_why};
use crate::sessions::{Mailbox, Move, Next, Orders};
use crate::socket::{Turn, turn};
use crate::subscriptions::Subscriptions;
use crate::terms::{RECEIVE_MAXIMUM, Terms};
use crate::unkept::{self, text};
use crate::{
    Closed, Config, Counters, DeviceId, Downlink, Passing, Platform, Session, Sessions, StreamRefusal, Way,
};

/// Uplinks that may wait for the platform before reading stops.
const MAX_UPLINKS: usize = RECEIVE_MAXIMUM.get() as usize;

/// Bytes of those uplinks.
const MAX_UPLINK_BYTES: usize = 256 * 1024;

/// Bytes of waiting packets at which reading stops: only a device that reads nothing gets there.
const MAX_PACKET_BYTES: usize = 64 * 1024;

/// Bytes of waiting packets up to which downlinks and error frames are added to them.
const SPARE_PACKET_BYTES: usize = 16 * 1024;

/// How long uplinks taken from a closed session may still take.
const SETTLE: Duration = Duration::from_secs(10);

/// Where a device is told who its certificate says it is.
const IDENTITY: &str = "/ext/auth/identity/response";

/// Bytes of a topic or filter that are logged.
const MAX_LOGGED: usize = 160;

/// Reads of what had arrived before a session was closed from this side.
const MAX_SWEEPS: usize = 64;

/// A session and its connection.
pub(crate) struct Driver<P, S> {
    pub(crate) platform: Arc<P>,
    pub(crate) sessions: Sessions,
    pub(crate) session: Arc<Session>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) config: Arc<Config>,
    pub(crate) terms: Terms,
    /// The device did not say who it is, and is told.
    pub(crate) is_nameless: bool,
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
struct Running<P: Platform, S> {
    driver: Driver<P, S>,
    out: Outbox,
    acks: Acks,
    blocks: Blocks,
    subscriptions: Subscriptions,
    carried: Carried<P>,
    clock: Clock,
}

impl<P: Platform, S: AsyncRead + AsyncWrite + Unpin> Driver<P, S> {
    /// Sends CONNACK and serves the session until it ends; `closed` is called once the uplinks it has
    /// handed over are durable and, unless a newer connection waits, the device had the chance to read
    /// why.
    pub(crate) async fn run(self, closed: impl FnOnce(Closed)) {
        let mut running = Running {
            out: Outbox::new(self.terms),
            acks: Acks::default(),
            blocks: Blocks::new(self.config.block_requests),
            subscriptions: Subscriptions::default(),
            carried: Carried::new(self.platform.clone(), self.sessions.clone()),
            clock: Clock::new(self.session.keep_alive, self.config.write_timeout),
            driver: self,
        };
        let Driver { terms, config, .. } = &running.driver;
        terms.accept(config.max_packet, |connack| {
            running.out.packet(connack);
        });
        if running.driver.is_nameless {
            running.tell_identity();
        }
        let End { why, reason } = running.serve().await;
        if matches!(why, Closed::TakenOver | Closed::Lost) {
            running.sweep();
            running.flush();
        }
        running.driver.mailbox.close(why);
        let Orders { moves, .. } = running.driver.mailbox.orders();
        running.follow(moves);
        let Running { driver: Driver { terms, stream, .. }, out, acks, carried, .. } = running;
        let closed = |why| {
            carried.close(why);
            closed(why);
        };
        let part = async {
            match reason {
                Some(reason) if terms.is_v5() => say_why(stream, out, reason).await,
                _ => drop(stream),
            }
        };
        if why == Closed::TakenOver {
            join(part, settle(acks).map(|()| closed(why))).await;
        } else {
            join(part, settle(acks)).await;
            closed(why);
        }
    }
}

/// A publish that is dropped.
struct Unheard<'t> {
    /// What MQTT 5 acknowledges it with.
    reason: u8,
    /// The topic of a device that has no session here.
    stranger: Option<Topic<'t>>,
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
    async fn serve(&mut self) -> End {
        loop {
            if let Err(end) = self.step().await {
                return end;
            }
        }
    }

    /// Tells a device who it is by its certificate (docs/protocol.md 2.6).
    fn tell_identity(&mut self) {
        let Session { product_key, device_name, .. } = &*self.driver.session;
        let identity = format!(r#"{{"productKey":"{product_key}","deviceName":"{device_name}"}}"#);
        let own = self.driver.session.clone();
        if !self.publish_on(&own, IDENTITY, QoS::AtMostOnce, identity.as_bytes()) {
            self.oversize(identity.len());
        }
    }

    async fn step(&mut self) -> Result<(), End> {
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
                self.clock.expired().map_or(Ok(()), |why| Err(self.timed_out(why).into()))
            }
        }
    }

    async fn wait(&mut self) -> Event {
        let reading = !self.is_paused();
        let room = match self.out.block_bytes() {
            0 => usize::MAX,
            waiting => self.driver.config.queue_bytes.saturating_sub(waiting),
        };
        let asker = self.blocks.next().map_or(self.driver.session.device, |request| request.who.device);
        let may_answer =
            self.delivery(asker, Kind::FileDownloadReply).is_none_or(|qos| self.out.may_send(qos));
        let carried = self.driver.mailbox.carried();
        let Self { driver, out, acks, blocks, clock, .. } = self;
        let Driver { platform, mailbox, stream, input, .. } = driver;
        let open = |who: &_, stream_id, file_id| platform.open_stream(who, stream_id, file_id);
        tokio::select! {
            biased;
            () = mailbox.rung() => Event::Mail,
            Some(taken) = acks.next() => Event::Taken(taken),
            answer = poll_fn(|cx| blocks.poll(cx, room, carried, open)), if may_answer => Event::Answer(answer),
            turn = turn(stream, out, input, reading) => Event::Socket(turn.unwrap_or(Turn::END)),
            () = clock.tick() => Event::Tick,
        }
    }

    /// Whether so much waits for the platform or the device that no more is read.
    fn is_paused(&self) -> bool {
        // In MQTT 5 one more is read: a device that sends it has broken its word.
        let most = MAX_UPLINKS + usize::from(self.driver.terms.is_v5());
        self.acks.len() >= most
            || self.acks.bytes() >= MAX_UPLINK_BYTES
            || self.out.packet_bytes() >= MAX_PACKET_BYTES
    }

    fn timed_out(&self, why: Closed) -> Closed {
        let counters = &self.driver.counters;
        count(if why == Closed::KeepAlive { &counters.keepalive_timeout } else { &counters.write_timeout });
        why
    }

    fn turned(&mut self, turn: Turn) -> Result<(), End> {
        if turn.read {
            self.clock.heard();
        }
        if turn.wrote {
            self.clock.waiting(!self.out.is_empty(), true);
            self.send_downlinks();
        }
        if turn.end { Err(Closed::Lost.into()) } else { Ok(()) }
    }

    fn taken(&mut self, taken: Taken) -> Result<(), End> {
        if taken.result.is_err() {
            count(&self.driver.counters.uplink_unavailable);
            return Err(Closed::Unavailable.into());
        }
        if let Some(packet_id) = taken.packet_id {
            let reason = if self.driver.terms.is_v5() { taken.reason } else { reason::SUCCESS };
            self.out.packet(&Packet::PubAck { packet_id, reason, properties: Properties::NONE });
        }
        Ok(())
    }

    fn take_mail(&mut self) -> Result<(), End> {
        let Orders { close, revoked, moves } = self.driver.mailbox.orders();
        self.follow(moves);
        if let Some(why) = close {
            return Err(why.into());
        }
        for stream_id in revoked {
            let answered = self.out.revoke(stream_id);
            self.blocks.revoke(stream_id, answered);
        }
        self.send_downlinks();
        Ok(())
    }

    /// Moves downlinks to the outbox while it has room and the device takes them; the rest follows when
    /// bytes were written or a PUBACK came.
    fn send_downlinks(&mut self) {
        while self.out.packet_bytes() < SPARE_PACKET_BYTES {
            let may_go = |device, kind| self.delivery(device, kind).is_none_or(|qos| self.out.may_send(qos));
            match self.driver.mailbox.next(may_go) {
                Some(Next::Moves(moves)) => self.follow(moves),
                Some(Next::Downlink(device, downlink)) => self.send_downlink(device, &downlink),
                None => return,
            }
        }
    }

    fn send_downlink(&mut self, device: DeviceId, Downlink { kind, payload }: &Downlink) {
        let Some(who) = self.served(device).cloned() else { return };
        match self.delivery(device, *kind) {
            Some(qos) if self.publish(&who, *kind, qos, payload) => count(&self.driver.counters.downlinks),
            Some(_) => self.oversize(payload.len()),
            None => count(&self.driver.counters.unsubscribed),
        }
    }

    /// Takes in what happened to sub-devices.
    fn follow(&mut self, moves: Vec<Move>) {
        for device in self.carried.follow(moves) {
            self.blocks.dismiss(device);
        }
    }

    /// The session of a device that is served here.
    fn served(&self, device: DeviceId) -> Option<&Arc<Session>> {
        let own = &self.driver.session;
        if device == own.device { Some(own) } else { Some(&self.carried.get(device)?.session) }
    }

    /// The session of the device that a topic is of.
    fn speaker(&self, topic: &Topic<'_>) -> Option<&Arc<Session>> {
        let own = &self.driver.session;
        if topic.belongs_to(&own.product_key, &own.device_name) {
            return Some(own);
        }
        self.carried.named(topic.product_key, topic.device_name).map(|sub| &sub.session)
    }

    /// The QoS that a message is sent with; `None`: it is not sent.
    fn delivery(&self, device: DeviceId, kind: Kind) -> Option<QoS> {
        self.subscriptions_of(device)?.delivery(kind)
    }

    fn subscriptions_of(&self, device: DeviceId) -> Option<&Subscriptions> {
        let is_own = device == self.driver.session.device;
        if is_own { Some(&self.subscriptions) } else { Some(&self.carried.get(device)?.subscriptions) }
    }

    /// The QoS of an answer that does not wait for its turn: 0, if a PUBACK would have to come first.
    fn at_once(&self, qos: QoS) -> QoS {
        if self.out.may_send(qos) { qos } else { QoS::AtMostOnce }
    }

    /// Queues a message. `false`: it is longer than the device takes.
    fn publish(&mut self, who: &Session, kind: Kind, qos: QoS, payload: &[u8]) -> bool {
        self.publish_on(who, &who.topic(kind), qos, payload)
    }

    /// As [`Self::publish`], on a topic of no kind that has one.
    fn publish_on(&mut self, who: &Session, topic: &str, qos: QoS, payload: &[u8]) -> bool {
        let is_queued = self.out.publish(topic, qos, payload);
        if is_queued {
            self.show(who, Way::Down, topic, payload);
        }
        is_queued
    }

    /// Shows a message to who watches, if anybody does.
    fn show(&self, who: &Session, way: Way, topic: &str, payload: &[u8]) {
        let platform = &self.driver.platform;
        if platform.is_watched(who) {
            platform.show(who, &Passing { way, topic, payload });
        }
    }

    fn oversize(&self, bytes: usize) {
        let Driver { session, counters, terms, .. } = &self.driver;
        let most = terms.max_packet();
        note!(session, bytes, most, "a message was dropped: it is longer than the device's packets may be");
        count(&counters.oversize_downlink);
    }

    /// Queues an answer, unless the device does not take it.
    fn reply(&mut self, packet: &Packet<'_>) {
        if !self.out.packet(packet) {
            self.oversize(packet.encoded_len(self.driver.terms.version).unwrap_or_default());
        }
    }

    fn answer(&mut self, answer: Answer) {
        let who = answer.request.who.clone();
        let Some(qos) = self.delivery(who.device, Kind::FileDownloadReply) else {
            return self.unwanted_block();
        };
        let made = match &answer.result {
            Ok(data) => Some(data.bytes.len()),
            Err(refused) => {
                self.count_refused(answer.request.stream_id, *refused);
                None
            }
        };
        let topic = who.topic(Kind::FileDownloadReply);
        let packet_id = self.out.packet_id(qos);
        let (dup, retain, properties) = (false, false, Properties::NONE);
        let publish = Publish { dup, qos, retain, topic: &topic, packet_id, properties, payload: &[] };
        let Driver { terms, counters, .. } = &self.driver;
        let mut block = answer.frame(&publish, terms.version);
        if let Some(bytes) = made {
            if let Some(long) = block.take_if(|block| !terms.takes(block.len())) {
                count(&counters.block_oversize);
                block = long.too_long(terms.max_packet(), &publish, terms.version);
            } else {
                count(&counters.blocks);
                add(&counters.block_bytes, bytes as u64);
            }
        }
        match block {
            Some(block) if terms.takes(block.len()) => {
                if self.driver.platform.is_watched(&who) {
                    self.show(&who, Way::Down, &topic, &block.payload(terms.version));
                }
                self.out.block(block);
            }
            other => {
                self.out.retire(packet_id);
                self.oversize(other.map_or(0, |block| block.len()));
            }
        }
    }

    fn count_refused(&self, stream: u32, refused: Refused) {
        let Driver { session, counters, .. } = &self.driver;
        note!(session, stream, code = refused.code(), "a block request was refused");
        count(match refused {
            Refused::Stream(StreamRefusal::NotFound) => &counters.foreign_stream,
            Refused::Stream(StreamRefusal::Ended) => &counters.ended_stream,
            Refused::BeyondEnd => &counters.block_out_of_range,
            Refused::Stream(StreamRefusal::Unavailable) | Refused::ReadFailed => &counters.block_read_failed,
        });
    }

    fn unwanted_block(&self) {
        let Driver { session, counters, .. } = &self.driver;
        note!(session, "a block request was dropped: the device unsubscribed the topic of its answer");
        count(&counters.unsubscribed);
    }

    /// Takes whole packets from what was read, until reading has to stop.
    fn take_packets(&mut self) -> Result<(), End> {
        let Driver { terms, config, .. } = &self.driver;
        let most = terms.taken(config.max_packet);
        while !self.is_paused() && !self.driver.input.is_empty() {
            let known = frame_len(&self.driver.input, most);
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

    fn take_packet(&mut self, bytes: &Bytes) -> Result<(), End> {
        let packet =
            Packet::parse(bytes, self.driver.terms.version).map_err(|error| self.malformed(error))?;
        match packet {
            Packet::Publish(publish) => self.published(&publish),
            Packet::PingReq => {
                self.out.packet(&Packet::PingResp);
                Ok(())
            }
            Packet::PubAck { packet_id, .. } => {
                self.out.retire(Some(packet_id));
                self.send_downlinks();
                Ok(())
            }
            Packet::Subscribe(subscribe) => {
                self.subscribe(&subscribe);
                Ok(())
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.unsubscribe(&unsubscribe);
                Ok(())
            }
            Packet::Disconnect { .. } => Err(Closed::Goodbye.into()),
            _ => {
                note!(
                    self.driver.session,
                    "a device sent a packet that only a server sends, or a second CONNECT"
                );
                count(&self.driver.counters.malformed_packet);
                Err(End::broken(reason::PROTOCOL_ERROR))
            }
        }
    }

    fn malformed(&self, error: Error) -> End {
        let Driver { session, counters, .. } = &self.driver;
        note!(session, %error, "a device sent what is no packet");
        let is_too_large = matches!(error, Error::TooLarge { .. });
        count(if is_too_large { &counters.too_large } else { &counters.malformed_packet });
        End::broken(error.reason())
    }

    /// Refuses what the device cannot expect to be taken: QoS 2 in every version, and what the CONNACK of
    /// MQTT 5 has ruled out.
    fn check(&self, publish: &Publish<'_>) -> Result<(), End> {
        let Driver { session, counters, terms, .. } = &self.driver;
        let has_alias = publish.properties.iter().any(|property| matches!(property, Property::TopicAlias(_)));
        let (counter, reason, words) = if publish.qos == QoS::ExactlyOnce {
            (&counters.qos2_publish, reason::QOS, "with QoS 2")
        } else if has_alias {
            (&counters.malformed_packet, reason::TOPIC_ALIAS, "with a topic alias, and may use none")
        } else if terms.is_v5() && publish.retain {
            (
                &counters.retained_publish,
                reason::RETAIN,
                "a message to be retained, which MQTT 5 forbids here",
            )
        } else if terms.is_v5()
            && publish.packet_id.is_some()
            && self.acks.unacknowledged() >= usize::from(RECEIVE_MAXIMUM.get())
        {
            let words = "more messages than may wait for their PUBACK";
            (&counters.receive_maximum_exceeded, reason::RECEIVE_MAXIMUM, words)
        } else {
            return Ok(());
        };
        count(counter);
        note!(session, topic = start(publish.topic), "a device published {words}");
        Err(End::broken(reason))
    }

    fn published(&mut self, publish: &Publish<'_>) -> Result<(), End> {
        let topic = Topic::parse(publish.topic);
        let speaker = topic.as_ref().and_then(|topic| self.speaker(topic)).cloned();
        self.show(speaker.as_ref().unwrap_or(&self.driver.session), Way::Up, publish.topic, publish.payload);
        self.check(publish)?;
        let reason = match self.permitted(publish.topic, topic, speaker) {
            Ok((who, Topic { kind: Kind::FileDownload, .. })) => {
                self.block_request(&who, publish.payload);
                reason::SUCCESS
            }
            Ok((who, topic)) if topic.kind.is_unkept() => {
                self.answer_unkept(&who, &topic, publish.payload);
                reason::SUCCESS
            }
            Ok((who, Topic { kind, .. })) => {
                let Driver { platform, counters, .. } = &self.driver;
                count(&counters.uplinks);
                let payload = Bytes::copy_from_slice(publish.payload);
                let durable = platform.uplink(&who, kind, payload);
                self.acks.uplink(publish.packet_id, publish.payload.len(), durable);
                return Ok(());
            }
            Err(refused) => {
                if let Some(stranger) = refused.stranger {
                    self.answer_stranger(&stranger, publish.payload);
                }
                refused.reason
            }
        };
        if let Some(packet_id) = publish.packet_id {
            self.acks.done(packet_id, reason);
        }
        Ok(())
    }

    /// Who speaks, and a topic that this device may publish and somebody here listens to. The others are counted,
    /// and their PUBACK of MQTT 5 has a reason.
    fn permitted<'t>(
        &self,
        name: &str,
        topic: Option<Topic<'t>>,
        speaker: Option<Arc<Session>>,
    ) -> Result<(Arc<Session>, Topic<'t>), Unheard<'t>> {
        const FORBIDDEN: u8 = reason::NOT_AUTHORISED;
        let Driver { session, counters, .. } = &self.driver;
        let mut stranger = None;
        let (counter, reason, words) = match (topic, speaker) {
            (None, _) => (&counters.unknown_topic, FORBIDDEN, "no device has such a topic"),
            (topic, None) => {
                stranger = topic;
                (&counters.forbidden_publish, FORBIDDEN, "the topic is another device's")
            }
            (Some(topic), Some(speaker)) => match topic.kind {
                Kind::User => (&counters.custom_topic, reason::SUCCESS, "nobody reads custom topics yet"),
                Kind::Unserved => (&counters.unserved_topic, reason::SUCCESS, "the topic is not served yet"),
                Kind::Gateway(_) if speaker.gateway.is_some() => {
                    (&counters.forbidden_publish, FORBIDDEN, "a sub-device is no gateway")
                }
                kind if kind.may_publish() => return Ok((speaker, topic)),
                _ => (&counters.forbidden_publish, FORBIDDEN, "only the platform publishes on this topic"),
            },
        };
        count(counter);
        note!(session, topic = start(name), "a publish was dropped: {words}");
        Err(Unheard { reason, stranger })
    }

    /// Answers what nothing is kept of. What waits for the device is bounded by the reading, which stops.
    fn answer_unkept(&mut self, who: &Session, topic: &Topic<'_>, payload: &[u8]) {
        let counters = &self.driver.counters;
        let answer = match unkept::answer(topic, payload) {
            Ok(answer) => answer,
            Err(error) => {
                note!(who, %error, topic = start(&topic.to_string()), "a publish was dropped");
                return count(&counters.bad_unkept);
            }
        };
        count(&counters.unkept);
        let Some(answer) = answer else { return };
        let subscriptions = self.subscriptions_of(who.device);
        let Some(qos) = subscriptions.and_then(|known| known.delivery_on(&answer.topic)) else {
            return count(&counters.unsubscribed);
        };
        let qos = self.at_once(qos);
        if !self.publish_on(who, &answer.topic, qos, answer.payload.as_bytes()) {
            self.oversize(answer.payload.len());
        }
    }

    /// Tells a gateway that a sub-device has to be logged in before it asks for something. An answer is queued
    /// only while few wait.
    fn answer_stranger(&mut self, topic: &Topic<'_>, payload: &[u8]) {
        let (kind, answer) = match topic.kind {
            Kind::FirmwareGet => {
                let Ok(Get { id, .. }) = Get::parse(payload) else { return };
                let reply = GetReply::error(id, block::CODE_NO_SESSION.into());
                (Kind::FirmwareGetReply, text(&reply).into_bytes())
            }
            Kind::ConfigGet => {
                let Ok(ConfigGet { id, .. }) = ConfigGet::parse(payload) else { return };
                let reply = ConfigReply::error(id, block::CODE_NO_SESSION.into());
                (Kind::ConfigGetReply, text(&reply).into_bytes())
            }
            Kind::FileDownload => {
                let Ok(BlockRequest { id, .. }) = BlockRequest::parse(payload) else { return };
                (Kind::FileDownloadReply, error_frame(id, block::CODE_NO_SESSION))
            }
            _ => return,
        };
        if self.out.packet_bytes() < SPARE_PACKET_BYTES {
            let topic = Topic::new(kind, topic.product_key, topic.device_name).to_string();
            let _ = self.out.publish(&topic, QoS::AtMostOnce, &answer);
        }
    }

    fn block_request(&mut self, who: &Arc<Session>, payload: &[u8]) {
        let counters = self.driver.counters.clone();
        if self.delivery(who.device, Kind::FileDownloadReply).is_none() {
            return self.unwanted_block();
        }
        match BlockRequest::parse(payload) {
            Ok(request) => {
                let carried = self.driver.mailbox.carried();
                if self.blocks.ask(Request::new(who, request), carried).is_err() {
                    note!(self.driver.session, "a block request was refused: too many wait");
                    count(&counters.block_too_many);
                    self.refuse_block(who, request.id, block::CODE_TOO_MANY);
                }
            }
            Err(RequestError::Parameter { id, error }) => {
                note!(self.driver.session, %error, "a block request was refused");
                count(&counters.block_out_of_range);
                self.refuse_block(who, id, block::CODE_PARAMETER);
            }
            Err(RequestError::Unreadable(error)) => {
                note!(self.driver.session, %error, "a block request was dropped");
                count(&counters.bad_block_request);
            }
        }
    }

    /// Answers a request with an error at once, unless the device does not read its answers anyway.
    fn refuse_block(&mut self, who: &Session, id: Id<'_>, code: u16) {
        if let Some(qos) = self.delivery(who.device, Kind::FileDownloadReply)
            && self.out.packet_bytes() < SPARE_PACKET_BYTES
        {
            let qos = self.at_once(qos);
            let frame = error_frame(id, code);
            if !self.publish(who, Kind::FileDownloadReply, qos, &frame) {
                self.oversize(frame.len());
            }
        }
    }

    fn subscribe(&mut self, subscribe: &Subscribe<'_>) {
        let codes = self.grant(subscribe);
        let Driver { session, counters, .. } = &self.driver;
        let refused = codes.iter().filter(|&&code| code >= SUBACK_FAILURE).count();
        add(&counters.refused_subscribe, refused as u64);
        if let Some((first, _)) =
            subscribe.filters.iter().zip(&codes).find(|&(_, &code)| code >= SUBACK_FAILURE)
        {
            note!(session, filter = start(first.0), refused, "a subscription was refused");
        }
        let Subscribe { packet_id, .. } = *subscribe;
        self.reply(&Packet::SubAck(SubAck { packet_id, properties: Properties::NONE, codes: &codes }));
    }

    /// The codes of a SUBACK. A number for the subscriptions would have to come back with each message,
    /// and CONNACK has said that it does not.
    fn grant(&mut self, subscribe: &Subscribe<'_>) -> Vec<u8> {
        let version = self.driver.terms.version;
        let filters = subscribe.filters.iter().map(|(filter, options)| (filter, options.qos));
        if subscribe.properties.iter().any(|property| matches!(property, Property::SubscriptionId(_))) {
            return filters.map(|_| reason::SUBSCRIPTION_ID).collect();
        }
        let grant = |(filter, qos)| {
            let (subscriptions, session) = self.subscriptions_for(filter);
            subscriptions.subscribe(&session, version, filter, qos)
        };
        filters.map(grant).collect()
    }

    /// Whose subscriptions a filter belongs to: those of the sub-device it speaks of, else the session's own.
    fn subscriptions_for(&mut self, filter: &str) -> (&mut Subscriptions, Arc<Session>) {
        let Self { driver, subscriptions, carried, .. } = self;
        let sub = filter_device(filter).and_then(|(key, name)| carried.named_mut(key, name));
        match sub {
            Some(sub) => (&mut sub.subscriptions, sub.session.clone()),
            None => (subscriptions, driver.session.clone()),
        }
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) {
        let end = |filter| {
            let (subscriptions, session) = self.subscriptions_for(filter);
            subscriptions.unsubscribe(&session, filter)
        };
        let codes: Vec<u8> = unsubscribe.filters.iter().map(end).collect();
        let codes = if self.driver.terms.is_v5() { &codes[..] } else { &[] };
        let Unsubscribe { packet_id, .. } = *unsubscribe;
        self.reply(&Packet::UnsubAck(UnsubAck { packet_id, properties: Properties::NONE, codes }));
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

    /// Writes of what waits what the socket takes at once: a connection that is taken over while its own
    /// CONNACK waits was let in all the same.
    fn flush(&mut self) {
        let Driver { stream, input, .. } = &mut self.driver;
        self.out.drop_blocks();
        // Who has gone reads nothing.
        let _ = unconstrained(turn(stream, &mut self.out, input, false)).now_or_never();
    }
}
