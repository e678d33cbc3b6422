//! Processes that the run starts; they end with it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long a server may take to answer.
pub(crate) const START: Duration = Duration::from_secs(60);

/// The core of servers, and that of the loader.
pub(crate) const SERVER_CORE: &str = "0";
pub(crate) const LOADER_CORE: &str = "1";

/// Where a process may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    One(&'static str),
    All,
}

/// A server.
pub(crate) struct Server {
    process: Process,
}

impl Server {
    /// Starts a program with its output in `log`.
    pub(crate) fn start(cores: Cores, program: &Path, args: &[&str], log: &Path) -> anyhow::Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = on(cores, program);
        command.args(args).stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
        let process = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { process })
    }

    /// `taskset` becomes the program it starts, so this is the program's own.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until somebody listens.
    pub(crate) fn wait_for(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let until = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("the server for {address} ended with {status}");
            }
            if Instant::now() > until {
                bail!("nobody listens on {address} after {} s", START.as_secs());
            }
            pause();
        }
        Ok(())
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        // SIGTERM, so that a server with processes of its own ends those; then for good.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < until {
            pause();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This program as a loader. What it holds open it lets go when this is dropped.
pub(crate) struct Loader {
    process: Process,
}

impl Drop for Loader {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Loader {
    /// Waits until it has done what it was told, and gives what came of it.
    pub(crate) fn end<T: DeserializeOwned>(mut self) -> anyhow::Result<(T, Self)> {
        let stdout = self.process.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok((serde_json::from_str(&line).context("the loader failed")?, self))
    }
}

/// Lets a loader begin with what `spec` says; that and the result are each a line of JSON.
pub(crate) fn begin(cores: Cores, spec: &impl Serialize) -> anyhow::Result<Loader> {
    let mut command = on(cores, &std::env::current_exe()?);
    let process = command.arg("load").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let loader = Loader { process };
    let mut stdin = loader.process.stdin.as_ref().context("no standard input")?;
    stdin.write_all(format!("{}\n", serde_json::to_string(spec)?).as_bytes())?;
    Ok(loader)
}

/// Lets a loader do what `spec` says.
pub(crate) fn load<T: DeserializeOwned>(cores: Cores, spec: &impl Serialize) -> anyhow::Result<(T, Loader)> {
    begin(cores, spec)?.end()
}

/// An address of this machine that nothing listens on, below the range that clients get theirs from.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let begin = 20_000 + (std::process::id() % 5_000) as u16;
    for port in begin..30_000 {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port between {begin} and 30000 is free")
}

fn on(cores: Cores, program: &Path) -> Command {
    match cores {
        Cores::All => Command::new(program),
        Cores::One(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", core]).arg(program);
            command
        }
    }
}

/// Between two looks at what another process does.
#[expect(clippy::disallowed_methods, reason = "this process has nothing else to do")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
