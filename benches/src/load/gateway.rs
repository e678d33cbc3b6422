//! One gateway's connection with many sub-devices: topology, logins, and an upgrade of each.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use mqtt::Packet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wire::block::Frame;
use wire::credentials::{Proof, SignMethod};
use wire::json::RawStr;
use wire::topic::{GatewayStep, Kind, Topic};

use super::logins::rest;
use crate::packets::{NEW, OLD, PRODUCT, SECRET, device_name};
use crate::{packets, proc};

/// Sub-devices in one request.
const BATCH: usize = 50;

/// Sub-devices that are being upgraded at a time.
const AT_ONCE: usize = 64;

/// Bytes of each block.
const BLOCK: u32 = 4096;

/// No single answer takes longer on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Device 0 is the gateway, those after it are its sub-devices.
#[derive(Serialize, Deserialize)]
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    pub(crate) subs: usize,
    /// Bytes of the file that each fetches.
    pub(crate) file: u32,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GatewayDone {
    pub(crate) topology_seconds: f64,
    pub(crate) login_seconds: f64,
    /// Server memory that each sub-device that is logged in took, in bytes.
    pub(crate) memory: f64,
    pub(crate) upgrade_seconds: f64,
    /// Server time of the upgrades.
    pub(crate) cpu_seconds: f64,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    packet_id: u16,
}

/// How far an upgrade has come.
#[derive(Default)]
struct Upgrades {
    begun: usize,
    done: usize,
    /// The sub-devices whose last report is not acknowledged, with its packet identifier.
    reported: Vec<u16>,
    /// By the device's name.
    streams: HashMap<String, u32>,
}

impl Gateway {
    pub(crate) fn run(&self) -> anyhow::Result<GatewayDone> {
        let mut connection = self.connect()?;
        let begun = Instant::now();
        self.ask_all(&mut connection, GatewayStep::AddTopology, |subs| json!(subs))?;
        let topology_seconds = begun.elapsed().as_secs_f64();

        let before = proc::resident(self.pid)?;
        let begun = Instant::now();
        self.ask_all(&mut connection, GatewayStep::BatchLogin, |subs| json!({"deviceList": subs}))?;
        let login_seconds = begun.elapsed().as_secs_f64();
        rest(self.pid)?;
        let memory = proc::resident(self.pid)?.saturating_sub(before) as f64 / self.subs as f64;

        let (begun, cpu) = (Instant::now(), proc::cpu(self.pid)?);
        self.upgrade(&mut connection)?;
        let cpu_seconds = (proc::cpu(self.pid)? - cpu).as_secs_f64();
        let upgrade_seconds = begun.elapsed().as_secs_f64();
        Ok(GatewayDone { topology_seconds, login_seconds, memory, upgrade_seconds, cpu_seconds })
    }

    fn connect(&self) -> anyhow::Result<Connection> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&packets::connect(&device_name(0), 0)?)?;
        let mut connection = Connection { stream, input: Vec::new(), packet_id: 0 };
        connection.next(|packet| {
            ensure!(matches!(packet, Packet::ConnAck { code: 0, .. }), "the gateway was refused: {packet:?}");
            Ok(())
        })?;
        Ok(connection)
    }

    /// Asks the same for all sub-devices, one batch after the other.
    fn ask_all(
        &self,
        connection: &mut Connection,
        step: GatewayStep,
        params: impl Fn(&[Value]) -> Value,
    ) -> anyhow::Result<()> {
        let numbers: Vec<usize> = (1..=self.subs).collect();
        for batch in numbers.chunks(BATCH) {
            let subs = batch.iter().map(|number| signed(*number)).collect::<anyhow::Result<Vec<_>>>()?;
            let request = json!({"id": "1", "version": "1.0", "params": params(&subs)}).to_string();
            let topic = packets::topic(Kind::Gateway(step), &device_name(0));
            connection.stream.write_all(&packets::publish(&topic, None, request.as_bytes())?)?;
            connection.next(|packet| {
                let Packet::Publish(publish) = packet else { bail!("an unexpected packet: {packet:?}") };
                let answer: Value = serde_json::from_slice(publish.payload)?;
                ensure!(answer["code"] == 200, "{step:?} was refused: {answer}");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Each sub-device reports its version, is told, fetches the file and reports the new version.
    fn upgrade(&self, connection: &mut Connection) -> anyhow::Result<()> {
        let mut upgrades = Upgrades::default();
        while upgrades.begun < AT_ONCE.min(self.subs) {
            self.begin(connection, &mut upgrades)?;
        }
        while upgrades.done < self.subs {
            let sent = connection.next(|packet| self.answer(packet, &mut upgrades))?;
            match sent {
                Some(Next::Send(bytes)) => connection.stream.write_all(&bytes)?,
                Some(Next::Report(device)) => {
                    let packet_id = connection.report(&device, NEW)?;
                    upgrades.reported.push(packet_id);
                }
                Some(Next::Begin) if upgrades.begun < self.subs => self.begin(connection, &mut upgrades)?,
                Some(Next::Begin) | None => {}
            }
        }
        Ok(())
    }

    fn begin(&self, connection: &mut Connection, upgrades: &mut Upgrades) -> anyhow::Result<()> {
        upgrades.begun += 1;
        connection.report(&device_name(upgrades.begun), OLD).map(drop)
    }

    fn answer(&self, packet: Packet<'_>, upgrades: &mut Upgrades) -> anyhow::Result<Option<Next>> {
        match packet {
            Packet::PubAck { packet_id, .. } => {
                let Some(at) = upgrades.reported.iter().position(|id| *id == packet_id) else {
                    return Ok(None);
                };
                upgrades.reported.swap_remove(at);
                upgrades.done += 1;
                Ok(Some(Next::Begin))
            }
            Packet::Publish(publish) => {
                let topic = Topic::parse(publish.topic).context("no topic")?;
                let device = topic.device_name;
                if packets::is_notice(&publish) {
                    let stream = packets::stream_id(publish.payload)?;
                    upgrades.streams.insert(device.into(), stream);
                    return Ok(Some(Next::Send(packets::block_request(device, stream, 0, BLOCK)?)));
                }
                let Frame::Block { head, .. } = Frame::parse(publish.payload)? else {
                    bail!("a block was refused: {:?}", publish.topic);
                };
                let next = head.offset + head.size;
                if next >= self.file {
                    return Ok(Some(Next::Report(device.into())));
                }
                let stream = *upgrades.streams.get(device).context("a block that nobody asked for")?;
                Ok(Some(Next::Send(packets::block_request(device, stream, next, BLOCK)?)))
            }
            other => bail!("an unexpected packet: {other:?}"),
        }
    }
}

/// What follows from a packet.
enum Next {
    Send(Vec<u8>),
    Report(String),
    Begin,
}

impl Connection {
    /// Waits for the next packet.
    fn next<T>(&mut self, of: impl FnOnce(Packet<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        loop {
            if let Some(length) = packets::whole(&self.input)? {
                let packet: Vec<u8> = self.input.drain(..length).collect();
                return of(packets::parse(&packet)?);
            }
            let mut chunk = [0; 64 * 1024];
            let received = self.stream.read(&mut chunk).context("no answer")?;
            ensure!(received > 0, "the server hung up");
            self.input.extend_from_slice(&chunk[..received]);
        }
    }

    fn report(&mut self, device: &str, version: &str) -> anyhow::Result<u16> {
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        self.stream.write_all(&packets::inform(device, self.packet_id, version)?)?;
        Ok(self.packet_id)
    }
}

/// What a sub-device signs.
fn signed(number: usize) -> anyhow::Result<Value> {
    let device = device_name(number);
    let plain = |text| RawStr::plain(text).context("a text with escapes");
    let proof = Proof {
        method: SignMethod::HmacSha256,
        sign: "",
        client_id: Some(plain(&device)?),
        random: None,
        timestamp: Some(plain("1700000000000")?),
        clean_session: None,
    };
    let sign = proof.sign(SECRET.as_bytes(), PRODUCT, &device).to_string();
    Ok(json!({"productKey": PRODUCT, "deviceName": device, "clientId": device,
        "timestamp": "1700000000000", "signMethod": "hmacSha256", "sign": sign}))
}
