//! Today's way: a broker, and beside it a responder that subscribes to the block requests of all
//! devices. The responder is as thrifty as one can be: the file is in memory, answers to all that
//! one read brought leave in one write.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::{Context as _, bail};
use mqtt::{Packet, Publish, QoS, publish_header};
use wire::block::{BlockHead, MAX_FRAME_OVERHEAD, crc16, frame_prefix};
use wire::message::BlockRequest;
use wire::topic::{Kind, MAX_TOPIC, Topic};

use crate::child::{Cores, SERVER_CORE, Server, pause};
use crate::packets;

/// Broker and responder, both on the servers' core.
pub(crate) struct Mosquitto {
    _responder: Server,
    _broker: Server,
    pub(crate) pids: Vec<u32>,
}

pub(crate) fn start(folder: &Path, address: SocketAddr, file: &Path) -> anyhow::Result<Mosquitto> {
    let config = folder.join("mosquitto.conf");
    let text = format!(
        "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\nmax_queued_bytes 0\nlog_type error\n",
        address.port()
    );
    std::fs::write(&config, text)?;
    let args = ["-c", &*config.to_string_lossy()];
    let cores = Cores::One(SERVER_CORE);
    let mut broker = Server::start(cores, Path::new("mosquitto"), &args, &folder.join("mosquitto.log"))?;
    broker.wait_for(address)?;
    let args = ["responder", &*address.to_string(), &*file.to_string_lossy()];
    let log = folder.join("responder.log");
    let responder = Server::start(cores, &std::env::current_exe()?, &args, &log)?;
    while !std::fs::read_to_string(&log)?.contains("ready") {
        pause();
    }
    let pids = vec![broker.pid(), responder.pid()];
    Ok(Mosquitto { _responder: responder, _broker: broker, pids })
}

/// The responder: a process of its own.
pub(crate) fn respond(address: SocketAddr, file: &Path) -> anyhow::Result<()> {
    let file = std::fs::read(file)?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(&packets::connect_as("responder", None, 0)?)?;
    stream.write_all(&packets::subscribe("/sys/+/+/thing/file/download")?)?;
    let (mut input, mut out) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let received = stream.read(&mut buffer)?;
        if received == 0 {
            bail!("the broker hung up");
        }
        input.extend_from_slice(&buffer[..received]);
        let mut at = 0;
        while let Some(length) = packets::whole(&input[at..])? {
            match packets::parse(&input[at..at + length])? {
                Packet::Publish(request) => answer(&request, &file, &mut out)?,
                Packet::SubAck(_) => println!("ready"),
                _ => {}
            }
            at += length;
        }
        input.drain(..at);
        stream.write_all(&out)?;
        out.clear();
    }
}

fn answer(request: &Publish<'_>, file: &[u8], out: &mut Vec<u8>) -> anyhow::Result<()> {
    let device = Topic::parse(request.topic).context("no topic of a device")?;
    let Ok(block) = BlockRequest::parse(request.payload) else { bail!("no block request") };
    let offset = block.offset as usize;
    let data = file.get(offset..offset + block.size as usize).context("beyond the end")?;
    let head = BlockHead {
        id: block.id,
        offset: block.offset,
        size: block.size,
        file_length: file.len() as u64,
        file_token: block.file_token,
    };
    let mut prefix = [0; MAX_FRAME_OVERHEAD];
    let prefix_length = frame_prefix(&head, &mut prefix).ok().context("the head is too long")?;
    let topic = Topic::new(Kind::FileDownloadReply, device.product_key, device.device_name).to_string();
    let publish = packets::message(&topic, QoS::AtMostOnce, None, &[]);
    let mut header = [0; MAX_TOPIC + 8];
    let header_length =
        publish_header(&publish, prefix_length + data.len() + 2, packets::VERSION, &mut header)?;
    out.extend_from_slice(&header[..header_length]);
    out.extend_from_slice(&prefix[..prefix_length]);
    out.extend_from_slice(data);
    out.extend_from_slice(&crc16(data).to_le_bytes());
    Ok(())
}
