//! The demo's devices: each a task of its own on a real socket, with a folder as flash.

use std::path::{Path, PathBuf};

use indicatif::{MultiProgress, ProgressBar};
use otaru::device::{Event, Options, drive};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::commands::watch::bar;

/// Bytes a device asks for at a time, and how often at once.
const BLOCK: u32 = 16 * 1024;
const WINDOW: usize = 4;

/// Devices that run until they are dropped.
pub(super) struct Fleet {
    running: JoinSet<()>,
    runtime: Handle,
    host: String,
    folder: PathBuf,
    /// In a terminal, a bar for each device that downloads.
    pub(super) bars: MultiProgress,
}

impl Fleet {
    /// Devices of the platform at this port of the loopback.
    pub(super) fn new(port: u16, folder: &Path) -> Self {
        let host = format!("127.0.0.1:{port}");
        let folder = folder.join("devices");
        Self { running: JoinSet::new(), runtime: Handle::current(), host, folder, bars: MultiProgress::new() }
    }

    /// Switches a device on. One that fails does so in its first update, at this per cent.
    pub(super) fn switch_on(&mut self, product_key: &str, name: &str, secret: &str, fail_at: Option<u8>) {
        let options = Options {
            host: self.host.clone(),
            module: vec![("default".into(), "1.0.0".into()), ("MCU".into(), "1.0.0".into())],
            state: Some(self.folder.join(name)),
            block: BLOCK,
            window: WINDOW,
            fail_at,
            ..Options::new(product_key, name, secret)
        };
        let name = name.to_string();
        let mut shown = Shown { name: name.clone(), bars: self.bars.clone(), bar: None };
        let device = async move {
            if let Err(error) = drive(&options, |event| shown.see(&event)).await {
                tracing::error!(device = name, "a device of the demo ended: {error:#}");
            }
        };
        self.running.spawn_on(device, &self.runtime);
    }
}

/// What the terminal shows of one device.
struct Shown {
    name: String,
    bars: MultiProgress,
    bar: Option<ProgressBar>,
}

impl Shown {
    fn see(&mut self, event: &Event) {
        match event {
            Event::Started { size, from, .. } => self.begin(*size, *from),
            Event::Progress { stored, .. } => {
                self.bar.iter().for_each(|bar| bar.set_position((*stored).into()))
            }
            Event::Verified | Event::Failed { .. } | Event::Cancelled => self.end(),
            _ => {}
        }
    }

    fn begin(&mut self, size: u32, from: u32) {
        let bar = self.bars.add(bar("  {prefix:22} {bar:30} {binary_bytes}/{binary_total_bytes}"));
        bar.set_prefix(self.name.clone());
        bar.set_length(size.into());
        bar.set_position(from.into());
        self.bar = Some(bar);
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}
