//! A device made of a socket and files: the runner behind `otaru device run`, and the devices of `otaru demo`.
//!
//! It drives [`device::Updater`]: MQTT 3.1.1 over TCP, files over HTTP, a folder as flash and as memory between runs, and faults on
//! request. One call of [`drive`] is one device from power-on until it is told to end; the reboots in between are the
//! device's own.

mod boot;
mod connection;
mod event;
mod faults;
mod fetch;
mod flash;
mod mcu;
mod options;
mod state;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::time::Duration;

pub use event::{Event, Outcome};
pub use mcu::Answer;
pub use options::Options;

use boot::{Boot, BootEnd};
use faults::Faults;
use mcu::Mcu;
use state::State;

/// Waits before the attempts to connect: the first, and the longest after doublings.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// The version that is reported of a part that never ran anything.
const LOADER: &str = "loader";

/// Runs a device in a terminal: what happens is told line by line on standard error, Ctrl-C ends it.
///
/// Fails if the device cannot run at all: the state folder, the options, or a login that the platform refuses. A
/// failed update is an [`Outcome`].
pub async fn run(options: Options) -> anyhow::Result<Outcome> {
    let mut told = 0;
    let device = drive(&options, |event| {
        if event.is_worth_a_line(&mut told) {
            // A closed standard error is no reason to stop the device.
            let _ = writeln!(std::io::stderr(), "{event}");
        }
    });
    tokio::select! {
        outcome = device => outcome,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Ok(Outcome::Stopped)
        }
    }
}

/// Runs a device inside this process. It ends by itself only with [`Options::once`] or an error; dropping the future
/// is cutting its power.
pub async fn drive(options: &Options, mut on_event: impl FnMut(Event) + Send) -> anyhow::Result<Outcome> {
    options.check()?;
    let state = State::open(&options.state_folder())?;
    let mut faults = Faults::of(options);
    let mcu = Mcu::of(options);
    let mut finished = None;
    loop {
        if let Some(mcu) = &mcu {
            state.modules(&options.module)?;
            let answer = ask(mcu, &state).await?;
            on_event(Event::Part { module: mcu.module.clone(), answer });
        }
        let versions = state.modules(&options.module)?;
        let modules: Vec<_> =
            versions.iter().map(|(name, version)| device::Module::new(name, version)).collect();
        let boot = Boot::new(options, &modules, state.record(), state.flash(mcu.clone()))?;
        match boot.run(&mut faults, finished.take(), &mut on_event).await? {
            BootEnd::Finished(outcome) => return Ok(outcome),
            BootEnd::Rebooting(outcome) => finished = outcome,
        }
        on_event(Event::Rebooting);
    }
}

/// Asks a part for its version, which is the one that is reported from then on.
async fn ask(mcu: &Mcu, state: &State) -> anyhow::Result<Answer> {
    let asked = mcu.clone();
    let answer = tokio::task::spawn_blocking(move || asked.ask()).await??;
    match &answer {
        Answer::Runs(version) => state.learn(&mcu.module, version)?,
        // It has none to report, and is to be offered one.
        Answer::Waits => drop(state.modules(&[(mcu.module.clone(), LOADER.to_owned())])?),
        Answer::Silent => {}
    }
    Ok(answer)
}
