//! What goes over TLS. A thread for each connection, for it is only the server's time that is looked at.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVersion};
use serde::{Deserialize, Serialize};

use super::blocks::{Blocks, BlocksDone, dial};
use super::logins::rest;
use crate::{packets, proc};

/// The name that the certificate is for.
pub(crate) const HOST: &str = "localhost";

const LOOK: Duration = Duration::from_millis(20);

/// How devices speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Suite {
    /// As the C SDKs do.
    Rsa,
    /// As others do today.
    Modern,
}

impl Suite {
    pub(crate) const ALL: [Self; 2] = [Self::Rsa, Self::Modern];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rsa => "TLS 1.2, RSA, AES128-SHA256",
            Self::Modern => "TLS 1.3, X25519, AES128-GCM",
        }
    }
}

/// How to connect.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tls {
    pub(crate) ca: PathBuf,
    pub(crate) suite: Suite,
}

impl Tls {
    fn connector(&self) -> anyhow::Result<SslConnector> {
        let mut connector = SslConnector::builder(SslMethod::tls_client())?;
        connector.set_ca_file(&self.ca)?;
        let version = match self.suite {
            Suite::Rsa => {
                connector.set_cipher_list("AES128-SHA256")?;
                SslVersion::TLS1_2
            }
            Suite::Modern => {
                connector.set_ciphersuites("TLS_AES_128_GCM_SHA256")?;
                connector.set_groups_list("X25519")?;
                SslVersion::TLS1_3
            }
        };
        connector.set_min_proto_version(Some(version))?;
        connector.set_max_proto_version(Some(version))?;
        Ok(connector.build())
    }
}

fn connect(connector: &SslConnector, address: SocketAddr) -> anyhow::Result<SslStream<TcpStream>> {
    match connector.connect(HOST, dial(address)?) {
        Ok(stream) => Ok(stream),
        Err(error) => bail!("no handshake: {error}"),
    }
}

/// What the threads of a run tell each other.
#[derive(Default)]
struct Run {
    ready: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
}

impl Run {
    /// Waits until all are ready, and then until the servers have worked long enough.
    fn measure(
        &self,
        threads: usize,
        pids: &[u32],
        work: Duration,
        at_most: Duration,
    ) -> anyhow::Result<BlocksDone> {
        while self.ready.load(Ordering::Acquire) < threads as u64 {
            ensure!(!self.stop.load(Ordering::Acquire), "a connection failed");
            std::thread::park_timeout(LOOK);
        }
        let (begin, cpu, own) = (Instant::now(), proc::cpu_of(pids)?, proc::cpu(std::process::id())?);
        let before = self.done.load(Ordering::Relaxed);
        loop {
            std::thread::park_timeout(LOOK);
            ensure!(!self.stop.load(Ordering::Acquire), "a connection failed");
            let cpu = proc::cpu_of(pids)? - cpu;
            if cpu >= work || begin.elapsed() >= at_most {
                let blocks = self.done.load(Ordering::Relaxed) - before;
                let seconds = begin.elapsed().as_secs_f64();
                let own = proc::cpu(std::process::id())? - own;
                let loader = own.as_secs_f64() / seconds;
                return Ok(BlocksDone { blocks, seconds, cpu_seconds: cpu.as_secs_f64(), loader });
            }
        }
    }

    /// Runs threads until the measuring has ended.
    fn threads(
        &self,
        count: usize,
        measure: impl FnOnce() -> anyhow::Result<BlocksDone>,
        work: impl Fn(usize) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<BlocksDone> {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = (0..count)
                .map(|number| {
                    scope
                        .spawn(move || work(number).inspect_err(|_| self.stop.store(true, Ordering::Release)))
                })
                .collect();
            let measured = measure();
            self.stop.store(true, Ordering::Release);
            for thread in threads {
                thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
            }
            measured
        })
    }
}

impl Blocks {
    /// The same closed loop over TLS.
    pub(super) fn run_over(&self, tls: &Tls) -> anyhow::Result<BlocksDone> {
        let (file, connector, run) = (std::fs::read(&self.file)?, tls.connector()?, Run::default());
        run.threads(
            self.connections,
            || run.measure(self.connections, &self.pids, self.work, self.at_most),
            |number| self.fetch(&connector, number, &file, &run),
        )
    }

    fn fetch(&self, connector: &SslConnector, number: usize, file: &[u8], run: &Run) -> anyhow::Result<()> {
        let mut stream = connect(connector, self.address)?;
        let requests = self.requests(&mut stream, number)?;
        let count = self.count() as usize;
        let stride = requests.len() / count;
        let length = self.check_one(&mut stream, &requests, 0, file)?;
        let (mut next, mut received, mut outstanding) = (1, 0, 0);
        let mut wanted = self.in_flight;
        let mut buffer = vec![0; 64 * 1024];
        run.ready.fetch_add(1, Ordering::Release);
        loop {
            for _ in 0..wanted {
                stream.write_all(&requests[next % count * stride..][..stride])?;
                next += 1;
            }
            outstanding += wanted;
            if outstanding == 0 {
                ensure!(
                    self.check_one(&mut stream, &requests, next % count, file)? == length,
                    "another length"
                );
                return Ok(());
            }
            match stream.read(&mut buffer)? {
                0 => bail!("the server has closed a connection"),
                more => received += more,
            }
            let answers = received / length;
            received %= length;
            outstanding = outstanding.checked_sub(answers).context("more answers than questions")?;
            run.done.fetch_add(answers as u64, Ordering::Relaxed);
            wanted = if run.stop.load(Ordering::Acquire) { 0 } else { answers };
        }
    }
}

/// Full handshakes, one after another on several connections.
#[derive(Serialize, Deserialize)]
pub(crate) struct Handshakes {
    pub(crate) address: SocketAddr,
    pub(crate) pids: Vec<u32>,
    pub(crate) tls: Tls,
    pub(crate) parallel: usize,
    pub(crate) work: Duration,
    pub(crate) at_most: Duration,
}

pub(crate) type HandshakesDone = BlocksDone;

impl Handshakes {
    pub(crate) fn run(&self) -> anyhow::Result<HandshakesDone> {
        let (connector, run) = (self.tls.connector()?, Run::default());
        run.threads(
            self.parallel,
            || run.measure(self.parallel, &self.pids, self.work, self.at_most),
            |_| {
                run.ready.fetch_add(1, Ordering::Release);
                while !run.stop.load(Ordering::Acquire) {
                    let mut stream = connect(&connector, self.address)?;
                    run.done.fetch_add(1, Ordering::Relaxed);
                    let _ = stream.shutdown();
                }
                Ok(())
            },
        )
    }
}

/// Sessions that stay and say nothing.
#[derive(Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    pub(crate) tls: Tls,
    pub(crate) devices: usize,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct IdleDone {
    /// Bytes of memory for each.
    pub(crate) memory: f64,
}

impl Idle {
    pub(crate) fn run(&self) -> anyhow::Result<IdleDone> {
        let connector = self.tls.connector()?;
        let before = proc::resident(self.pid)?;
        let mut sessions = Vec::new();
        for number in 0..self.devices {
            let mut stream = connect(&connector, self.address)?;
            stream.write_all(&packets::connect(&packets::device_name(number), 0)?)?;
            let mut welcome = [0; 4];
            stream.read_exact(&mut welcome)?;
            ensure!(welcome == [0x20, 2, 0, 0], "a CONNACK was expected, not {welcome:?}");
            sessions.push(stream);
        }
        rest(self.pid)?;
        let memory = proc::resident(self.pid)?.saturating_sub(before) as f64 / self.devices as f64;
        Ok(IdleDone { memory })
    }
}
