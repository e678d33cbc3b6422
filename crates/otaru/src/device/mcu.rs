//! A part behind a serial line, such as a microcontroller (docs/mcu-serial.md).

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use device::mcu::{Event, FRAME_SIZE, Host, Image, Output, Phase};
use device::valid_version;
use serial2::SerialPort;
use sha2::{Digest as _, Sha256};

use super::{Options, UNREADABLE};

/// How long a part may take to say who it is, and how long one that did not is left alone.
const ASKED: Duration = Duration::from_secs(3);
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// How long is waited for bytes before it is looked whether something is to be sent again.
const LISTEN: Duration = Duration::from_millis(20);

/// Where the part is, and what it is called.
#[derive(Clone, Debug)]
pub(super) struct Mcu {
    line: PathBuf,
    baud: u32,
    pub(super) module: String,
    /// Held by who talks on the line.
    talks: Arc<Mutex<()>>,
}

/// What a part said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It runs this version.
    Runs(String),
    /// It runs, and what it says is no version.
    Unreadable(String),
    /// Its loader waits for an image.
    Waits,
    /// Nothing.
    Silent,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs(version) => write!(f, "runs {version}"),
            Self::Unreadable(text) => write!(
                f,
                "says that it runs {text:?}, which is no version: 1 to 64 characters without quotes, backslashes and \
                 control characters. {UNREADABLE} is reported"
            ),
            Self::Waits => f.write_str("waits in its loader for an image"),
            Self::Silent => f.write_str("does not answer"),
        }
    }
}

impl Mcu {
    pub(super) fn of(options: &Options) -> Option<Self> {
        let Options { mcu, mcu_baud, mcu_module, .. } = options;
        let (module, talks) = (mcu_module.clone(), Arc::default());
        Some(Self { line: mcu.clone()?, baud: *mcu_baud, module, talks })
    }

    /// Who is there. Takes a few seconds if nobody is.
    pub(super) async fn ask(&self) -> anyhow::Result<Answer> {
        let asked = self.clone();
        let nothing = |_: u32, _: &mut [u8]| Err(ErrorKind::UnexpectedEof.into());
        tokio::task::spawn_blocking(move || asked.run(Host::ask(), nothing, Some(ASKED))).await?
    }

    /// Waits until a part that did not answer does.
    pub(super) async fn answers(self) {
        loop {
            tokio::time::sleep(LEFT_ALONE).await;
            // A line that is gone may come again, such as that of an adapter.
            if self.ask().await.is_ok_and(|answer| answer != Answer::Silent) {
                return;
            }
        }
    }

    /// Passes an image on, and waits until the part runs it.
    pub(super) fn pass_on(&self, image: &[u8], version: &str) -> anyhow::Result<()> {
        let size = u32::try_from(image.len())?;
        let digest = Sha256::digest(image);
        let described = Image::new(size, wire::message::Digest::Sha256, &digest).context("an empty image")?;
        let read = |offset: u32, buffer: &mut [u8]| {
            let offset = offset as usize;
            let part = image.get(offset..offset + buffer.len()).ok_or(ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(part);
            Ok(())
        };
        self.run(Host::pass_on(described, version), read, None).map(drop)
    }

    fn run(
        &self,
        mut host: Host<'_>,
        read: impl Fn(u32, &mut [u8]) -> io::Result<()>,
        limit: Option<Duration>,
    ) -> anyhow::Result<Answer> {
        let _talks = self.talks.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = || format!("the serial line {} fails", self.line.display());
        let mut port = SerialPort::open(&self.line, self.baud)
            .with_context(|| format!("the serial line {} cannot be opened", self.line.display()))?;
        port.set_read_timeout(LISTEN).with_context(broken)?;
        let (started, mut out, mut came) = (Instant::now(), [0; FRAME_SIZE], [0; 256]);
        loop {
            match host.poll(started.elapsed().as_millis() as u64, &read, &mut out) {
                Output::Send(frame) => port.write_all(frame).with_context(broken)?,
                Output::Wait(_) if limit.is_some_and(|limit| started.elapsed() > limit) => {
                    return Ok(Answer::Silent);
                }
                Output::Wait(_) => match port.read(&mut came) {
                    Ok(len) => host.handle(started.elapsed().as_millis() as u64, &came[..len]),
                    Err(error) if error.kind() == ErrorKind::TimedOut => {}
                    Err(error) => return Err(error).with_context(broken),
                },
                Output::End(Event::Answered(Phase::Running, text)) => {
                    let answer = if valid_version(text) { Answer::Runs } else { Answer::Unreadable };
                    return Ok(answer(text.to_owned()));
                }
                Output::End(Event::Answered(..)) => return Ok(Answer::Waits),
                Output::End(Event::Failed(failure)) => bail!("{failure}"),
            }
        }
    }
}
