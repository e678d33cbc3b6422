//! Whole files over HTTP, fetched again and again by as many connections as it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::blocks::notice;
use crate::{child, packets, proc};

/// Traffic before the measuring begins.
const WARM_UP: Duration = Duration::from_millis(200);

/// No wait for bytes takes longer on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// One cell of the table.
#[derive(Serialize, Deserialize)]
pub(crate) struct Downloads {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    /// What is to come.
    pub(crate) file: PathBuf,
    /// Processes whose time is counted.
    pub(crate) pids: Vec<u32>,
    pub(crate) connections: usize,
    /// The measuring ends when the servers have worked this long,
    pub(crate) work: Duration,
    /// or after this time.
    pub(crate) at_most: Duration,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct DownloadsDone {
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

/// What those who fetch share.
#[derive(Default)]
struct Shared {
    bytes: AtomicU64,
    enough: AtomicBool,
}

impl Downloads {
    pub(crate) fn run(&self) -> anyhow::Result<DownloadsDone> {
        self.check()?;
        let shared = Shared::default();
        std::thread::scope(|scope| {
            let fetching: Vec<_> =
                (0..self.connections).map(|_| scope.spawn(|| self.fetch(&shared))).collect();
            let done = self.measure(&shared);
            shared.enough.store(true, Ordering::Relaxed);
            for fetched in fetching {
                fetched.join().ok().context("a thread panicked")??;
            }
            done
        })
    }

    fn measure(&self, shared: &Shared) -> anyhow::Result<DownloadsDone> {
        let warm = Instant::now();
        while warm.elapsed() < WARM_UP {
            child::pause();
        }
        let (begin, cpu, bytes) =
            (Instant::now(), proc::cpu_of(&self.pids)?, shared.bytes.load(Ordering::Relaxed));
        loop {
            child::pause();
            let cpu = proc::cpu_of(&self.pids)? - cpu;
            let bytes = shared.bytes.load(Ordering::Relaxed) - bytes;
            if cpu >= self.work || begin.elapsed() >= self.at_most {
                let (seconds, cpu_seconds) = (begin.elapsed().as_secs_f64(), cpu.as_secs_f64());
                return Ok(DownloadsDone { bytes, seconds, cpu_seconds });
            }
        }
    }

    /// Fetches the file over and over on one connection.
    fn fetch(&self, shared: &Shared) -> anyhow::Result<()> {
        let mut stream = self.connect()?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let mut left = ask(&mut stream, &self.path)?;
            while left > 0 {
                if shared.enough.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let count = stream.get_mut().read(&mut buffer)?;
                ensure!(count > 0, "the server has closed a connection");
                shared.bytes.fetch_add(count as u64, Ordering::Relaxed);
                left = left.checked_sub(count as u64).context("more came than was to come")?;
            }
        }
    }

    /// Whether the whole file comes, and nothing else.
    fn check(&self) -> anyhow::Result<()> {
        let mut stream = self.connect()?;
        let mut file = std::fs::File::open(&self.file)?;
        let mut left = ask(&mut stream, &self.path)?;
        ensure!(left == file.metadata()?.len(), "the file has another length");
        let (mut came, mut expected) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        while left > 0 {
            let count = left.min(1 << 20) as usize;
            stream.read_exact(&mut came[..count])?;
            file.read_exact(&mut expected[..count])?;
            ensure!(came[..count] == expected[..count], "wrong bytes came");
            left -= count as u64;
        }
        Ok(())
    }

    fn connect(&self) -> anyhow::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // No more than heads goes through the buffer.
        Ok(BufReader::with_capacity(1, stream))
    }
}

/// Asks for a file and gives the length of what comes.
fn ask(stream: &mut BufReader<TcpStream>, path: &str) -> anyhow::Result<u64> {
    stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200 "), "no file: {line}");
    let mut length = None;
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line)?;
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = Some(value.trim().parse()?);
        }
    }
    length.context("no length")
}

/// The path of the file that a device is offered.
pub(crate) fn file_address(server: SocketAddr, device: usize) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let notice = notice(&mut stream, &packets::device_name(device))?;
    let notice: serde_json::Value = serde_json::from_slice(&notice)?;
    let url = notice["data"]["url"].as_str().context("a notice without an address")?;
    Ok(url.strip_prefix(&format!("http://{server}")).context("another server's address")?.into())
}
