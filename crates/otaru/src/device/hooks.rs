//! Programs of the device's own that an update runs (docs/device-agent.md).

use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::Command;
use tokio::time::timeout;

/// How long a hook may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a hook is told.
pub(super) struct Told<'a> {
    pub(super) module: &'a str,
    /// The version that is to run, or that runs on trial.
    pub(super) version: &'a str,
    /// The one before.
    pub(super) previous: &'a str,
    /// The file, or the folder with the files 0, 1, …; none if an update brought nothing yet.
    pub(super) files: Option<&'a Path>,
}

/// Runs a hook by the shell, in the environment `OTARU_MODULE`, `OTARU_VERSION`, `OTARU_PREVIOUS`, `OTARU_FILES`.
/// Anything but exit code 0 is an error, told with the last line that it wrote to standard error.
pub(super) fn run(hook: &str, told: &Told<'_>) -> anyhow::Result<()> {
    let mut errors = tempfile::tempfile()?;
    let mut command = Command::new("sh");
    command
        .args(["-c", hook])
        .env("OTARU_MODULE", told.module)
        .env("OTARU_VERSION", told.version)
        .env("OTARU_PREVIOUS", told.previous)
        .env("OTARU_FILES", told.files.unwrap_or(Path::new("")))
        .stdin(Stdio::null())
        .stderr(errors.try_clone()?)
        .kill_on_drop(true);
    // Hooks run on threads of their own, where nothing else waits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut child = command.spawn().with_context(|| format!("`{hook}` cannot be run"))?;
        match timeout(PATIENCE, child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("`{hook}` took longer than {} s", PATIENCE.as_secs()),
        }
    });
    let status = ended?;
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    errors.rewind()?;
    errors.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    bail!("`{hook}` ended with {status}: {}", last.trim());
}
