//! The demo's devices: each a task of its own on a real socket, with a folder as flash.

use std::path::{Path, PathBuf};

use otaru::device::{Options, drive};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Bytes a device asks for at a time, and how often at once.
const BLOCK: u32 = 16 * 1024;
const WINDOW: usize = 4;

/// Devices that run until they are dropped.
pub(super) struct Fleet {
    running: JoinSet<()>,
    runtime: Handle,
    host: String,
    folder: PathBuf,
}

impl Fleet {
    /// Devices of the platform at this port of the loopback.
    pub(super) fn new(port: u16, folder: &Path) -> Self {
        let host = format!("127.0.0.1:{port}");
        Self { running: JoinSet::new(), runtime: Handle::current(), host, folder: folder.join("devices") }
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
        let device = async move {
            if let Err(error) = drive(&options, |_| {}).await {
                tracing::error!(device = name, "a device of the demo ended: {error:#}");
            }
        };
        self.running.spawn_on(device, &self.runtime);
    }
}
