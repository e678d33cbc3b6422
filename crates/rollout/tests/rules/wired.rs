//! One device with updater and MQTT client, byte by byte on a link that loses, delays and breaks, against the rules.
//! Whatever happens, its task must end as its fate wants it.

use device::client::{Client, Login, Received, Todo};
use mqtt::{Packet, Properties, Publish, QoS, Version};
use otaru_rollout::*;
use proptest::prelude::*;
use sim::fleet::{Fate, Ground, PRODUCT_KEY, TARGET, Unit};
use sim::{Conditions, FaultyLink, Rng, Way};

use crate::fleet::{HOUR, Platform, as_fated};
use crate::watch::{counts_are_a_recount, what_waits_has_a_timer};

/// The longest packet that the device takes.
const ROOM: usize = 512 + device::FRAME_OVERHEAD;

/// The platform's end of a connection, and the bytes that wait at both.
#[derive(Default)]
struct Connection {
    up: Vec<u8>,
    down: Vec<u8>,
    logged_in: bool,
    /// Taken, and to be acknowledged with the end of the turn.
    owed: Vec<u16>,
    last_id: u16,
}

struct Wired<'a> {
    now: u64,
    rng: Rng,
    version: Version,
    unit: Unit<'a>,
    client: Client<'a>,
    /// Carries pieces of the byte streams, which arrive in order unless it breaks.
    link: FaultyLink,
    connection: Option<Connection>,
    /// Blocks and requests for them that the platform's end loses, in per cent.
    lose: u8,
    boots_at: Option<u64>,
    connections: u32,
}

impl<'a> Wired<'a> {
    fn new(name: &'a str, fate: Fate, version: Version, conditions: Conditions, seed: u64, now: u64) -> Self {
        let mut rng = Rng::new(seed);
        let link = FaultyLink::new(Conditions { lose: 0, ..conditions }, Rng::new(rng.below(u64::MAX)));
        Self {
            now,
            rng,
            version,
            unit: Unit::new(name, fate),
            client: client(name, version),
            link,
            connection: None,
            lose: conditions.lose,
            boots_at: Some(now),
            connections: 0,
        }
    }

    /// Runs until nothing is left to be done or the clock shows `until`. The power is cut at one time, the platform
    /// dies at another.
    fn run(&mut self, ground: &mut Platform<'_>, until: u64, cut: u64, crash: u64) {
        let (mut cut, mut crash) = (Some(cut), Some(crash));
        while !ground.is_done() && self.now < until {
            if cut.take_if(|at| *at <= self.now).is_some() && self.unit.is_up() {
                self.unit.cut();
                self.boots_at = Some(self.now + self.rng.below(10_000));
                self.lose_line(ground);
            }
            if crash.take_if(|at| *at <= self.now).is_some() {
                ground.crash(self.now);
                self.lose_line(ground);
            }
            self.boot_if_due(ground);
            let wake = self.device(ground);
            self.platform(ground);
            let next = [wake, self.link.next(), ground.next(), self.boots_at, cut, crash];
            let Some(next) = next.into_iter().flatten().min() else { return };
            self.now = self.now.max(next).max(self.now + 1);
        }
    }

    fn boot_if_due(&mut self, ground: &mut Platform<'_>) {
        if self.boots_at.take_if(|at| *at <= self.now).is_some() {
            self.lose_line(ground);
            self.client = client(self.unit.name(), self.version);
            self.unit.boot();
        }
    }

    /// The connection is gone, and both ends know.
    fn lose_line(&mut self, ground: &mut Platform<'_>) {
        self.link.clear();
        if let Some(connection) = self.connection.take() {
            if connection.logged_in {
                ground.gone(0);
            }
            self.client.handle_closed(self.now);
            self.unit.disconnected();
        }
    }

    /// The device does all there is to do; when it wants time again.
    fn device(&mut self, ground: &mut Platform<'_>) -> Option<u64> {
        if self.link.take_broken() {
            self.lose_line(ground);
        }
        self.take_down();
        let client = self.connect(ground);
        if self.client.is_settled() {
            self.unit.settled();
        }
        let polled = self.unit.poll(self.now);
        for publish in polled.publishes {
            let (topic, payload) = publish.message;
            let mut packet = [0; 1024];
            match self.client.publish(self.now, topic, &payload, publish.acknowledged, &mut packet) {
                Ok(bytes) => self.send(Way::Up, bytes.to_vec()),
                Err(_) => self.lose_line(ground),
            }
        }
        if polled.reboots {
            // What it said last is still on its way.
            self.boots_at = Some(self.now + 3_000 + self.rng.below(10_000));
        }
        client.into_iter().chain(polled.wake).min()
    }

    fn connect(&mut self, ground: &mut Platform<'_>) -> Option<u64> {
        loop {
            let mut out = [0; 512];
            match self.client.poll(self.now, &mut out) {
                Todo::Open if !self.unit.is_up() => return None,
                Todo::Open => {
                    self.connections += 1;
                    self.connection = Some(Connection::default());
                    self.client.handle_opened(self.now);
                }
                Todo::Send(bytes) => {
                    let bytes = bytes.to_vec();
                    self.send(Way::Up, bytes);
                }
                Todo::Online => self.unit.connected(),
                Todo::Close(_) => self.lose_line(ground),
                Todo::Wait(at) => return at,
            }
        }
    }

    fn take_down(&mut self) {
        while let Some((_, piece)) = self.link.receive(self.now, Way::Down) {
            let Some(connection) = &mut self.connection else { continue };
            connection.down.extend(piece);
            loop {
                let taken = match self.client.receive(self.now, &connection.down, ROOM) {
                    Received::Part => break,
                    Received::Packet { len } => len,
                    Received::Message { len, topic, payload } => {
                        self.unit.message(self.now, topic, payload);
                        len
                    }
                    other => panic!("the platform sends nothing like {other:?}"),
                };
                connection.down.drain(..taken);
            }
        }
    }

    /// The platform takes what has come, decides, acknowledges, and sends.
    fn platform(&mut self, ground: &mut Platform<'_>) {
        while let Some((_, piece)) = self.link.receive(self.now, Way::Up) {
            self.connection.as_mut().unwrap().up.extend(piece);
            while let Some(packet) = self.next_packet() {
                self.take_up(ground, &packet);
            }
        }
        for (_, (topic, payload)) in ground.turn(self.now) {
            self.send_down(&topic, &payload);
        }
        let owed = self.connection.as_mut().map(|connection| std::mem::take(&mut connection.owed));
        for id in owed.unwrap_or_default() {
            self.emit(&Packet::puback(id));
        }
    }

    fn next_packet(&mut self) -> Option<Vec<u8>> {
        let up = &mut self.connection.as_mut()?.up;
        let len = mqtt::frame_len(up, 1 << 16).unwrap()?;
        (len <= up.len()).then(|| up.drain(..len).collect())
    }

    fn take_up(&mut self, ground: &mut Platform<'_>, packet: &[u8]) {
        let connection = self.connection.as_mut().unwrap();
        match Packet::parse(packet, self.version).unwrap() {
            Packet::Connect(_) => {
                connection.logged_in = true;
                ground.connected(0);
                self.emit(&Packet::ConnAck { session_present: false, code: 0, properties: Properties::NONE });
            }
            Packet::Publish(publish) => {
                connection.owed.extend(publish.packet_id);
                if publish.packet_id.is_some() || !self.rng.chance(self.lose) {
                    ground.uplink(0, publish.topic, publish.payload);
                }
            }
            Packet::PingReq => self.emit(&Packet::PingResp),
            Packet::PubAck { .. } => {}
            other => panic!("a device never sends {other:?}"),
        }
    }

    /// Blocks go with QoS 0 and can be lost, notices and answers with QoS 1.
    fn send_down(&mut self, topic: &str, payload: &[u8]) {
        let is_block = topic.ends_with("download_reply");
        if is_block && self.rng.chance(self.lose) {
            return;
        }
        let Some(connection) = &mut self.connection else { return };
        connection.last_id += 1;
        let packet_id = (!is_block).then_some(connection.last_id);
        let qos = if is_block { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let (dup, retain, properties) = (false, false, Properties::NONE);
        self.emit(&Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload }));
    }

    fn emit(&mut self, packet: &Packet<'_>) {
        let mut bytes = vec![0; packet.encoded_len(self.version).unwrap()];
        packet.emit(self.version, &mut bytes).unwrap();
        self.send(Way::Down, bytes);
    }

    /// Sends bytes in pieces of any length.
    fn send(&mut self, way: Way, mut bytes: Vec<u8>) {
        while !bytes.is_empty() {
            let some = 1 + self.rng.below(bytes.len() as u64) as usize;
            let rest = bytes.split_off(some);
            self.link.send(self.now, way, (String::new(), bytes), true);
            bytes = rest;
        }
    }
}

fn client(name: &str, version: Version) -> Client<'_> {
    let secret = "0123456789abcdef";
    Client::new(Login { product_key: PRODUCT_KEY, device_name: name, secret, version, keep_alive: 300 })
}

fn conditions() -> impl Strategy<Value = Conditions> {
    (0..1_000_u64, prop::sample::select(vec![0, 2_000, 50_000]), 0..30_u8, 0..25_u16).prop_map(
        |(round_trip, rate, lose, breaks)| Conditions {
            round_trip,
            rate,
            lose,
            breaks,
            ..Conditions::default()
        },
    )
}

fn fate() -> impl Strategy<Value = Fate> {
    use Fate::*;
    prop::sample::select(vec![Good, Good, Good, Hiccup, WornOut, FallsBack, Strange, Deaf, Bricked])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_device_ends_as_its_fate_wants(
        seed in any::<u64>(),
        fate in fate(),
        version in prop::sample::select(vec![Version::V31, Version::V311, Version::V5]),
        conditions in conditions(),
        cut in 0..20_000_u64,
        crash in 0..60_000_u64,
    ) {
        let names = ["unit0000".to_owned()];
        let mut platform = Platform::new(&names, &[], Terms::default());
        let start = platform.world.now as u64;
        let mut wired = Wired::new(&names[0], fate, version, conditions, seed, start);
        wired.run(&mut platform, start + 48 * HOUR as u64, start + cut, start + crash);
        let world = &platform.world;
        let task = world.task(platform.job, platform.devices[0]);
        // A brick of whose beginning nothing was heard is waited for: it may just be out of reach.
        let awaited = fate == Fate::Bricked && task.begun_at.is_none();
        prop_assert!(task.state.is_terminal() || awaited, "{} connections, {:#?}", wired.connections, task);
        prop_assert!(awaited || as_fated(fate, task), "{fate:?}: {task:#?}");
        prop_assert_eq!(wired.unit.version() == TARGET, fate.succeeds());
        counts_are_a_recount(&world.tables);
        what_waits_has_a_timer(&world.tables);
    }
}
