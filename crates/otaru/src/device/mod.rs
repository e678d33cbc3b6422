//! A device made of a socket and files: the runner behind `otaru device run`, and the devices of `otaru demo`.
//!
//! It drives [`device::Updater`]: MQTT 3.1.1 over TCP or TLS, files over HTTP, a folder as flash and as memory between runs, and faults on
//! request. One call of [`drive`] is one device from power-on until it is told to end; the reboots in between are the
//! device's own.

mod boot;
pub mod config;
pub(crate) mod connection;
mod disk;
mod event;
mod faults;
pub(crate) mod fetch;
mod flash;
mod hooks;
mod images;
mod mcu;
mod options;
mod state;
#[cfg(test)]
mod tests;
pub(crate) mod trust;

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;

pub use event::{Event, Outcome};
pub use mcu::Answer;
pub use options::Options;

use boot::{Boot, BootEnd};
use device::Failure;
use faults::Faults;
use flash::After;
use hooks::Told;
use images::{Change, Images, Stage};
use mcu::Mcu;
use state::State;
use trust::Trust;

/// Waits before the attempts to connect: the first, and the longest after doublings.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// The version that is reported of a part that is in its loader, and so runs none.
const LOADER: &str = "loader";

/// The version that is reported of a part that says none that could be.
const UNREADABLE: &str = "unreadable";

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
    let trust = options.ca.as_deref().map_or(Ok(Trust::SYSTEM), Trust::read)?;
    let state = State::open(&options.state_folder())?;
    let mut faults = Faults::of(options);
    let on_trial = options.confirm.is_some();
    let after = After { mcu: Mcu::of(options), install: options.install.clone(), on_trial };
    let mut finished = None;
    loop {
        let back = trials(options, &state, &mut on_event).await?;
        let mut silent = None;
        if let Some(mcu) = &after.mcu {
            let answer = part(mcu, &after, &state, &mut on_event).await?;
            silent = (answer == Answer::Silent).then(|| mcu.clone());
            on_event(Event::Part { module: mcu.module.clone(), answer });
        }
        if let Some((_, why)) = back.last() {
            finished = Some(Outcome::Failed { failure: Failure::Upgrade, why: why.clone() });
        }
        let versions = state.modules(&options.module)?;
        let modules: Vec<_> =
            versions.iter().map(|(name, version)| device::Module::new(name, version)).collect();
        let flash = state.flash(after.clone());
        let mut boot = Boot::new(options, &trust, &modules, state.record(), flash, silent)?;
        back.iter().for_each(|(module, why)| boot.came_back(module, why));
        match boot.run(&mut faults, finished.take(), &mut on_event).await? {
            BootEnd::Finished(outcome) => return Ok(outcome),
            BootEnd::Stale(outcome) => {
                finished = outcome;
                continue;
            }
            BootEnd::Rebooting(outcome) => finished = outcome,
        }
        on_event(Event::Rebooting);
        if let (Some(command), Some(Outcome::Updated { module, version })) = (&options.reboot, &finished) {
            reboot(command.clone(), module.clone(), version.clone()).await?;
        }
    }
}

/// Asks a part who it is, which is reported from then on. One that was getting an image when the power went gets it first:
/// a part in the middle of that runs nothing, and its loader's answer would end the update.
async fn part(
    mcu: &Mcu,
    after: &After,
    state: &State,
    on_event: &mut (dyn FnMut(Event) + Send),
) -> anyhow::Result<Answer> {
    let images = state.images(&mcu.module);
    let mut answer = mcu.ask().await?;
    if let Some(change) = images.change()?
        && answer != Answer::Silent
    {
        let is_other = match &answer {
            Answer::Runs(version) => *version != change.new,
            Answer::Unreadable(_) => true,
            Answer::Waits | Answer::Silent => false,
        };
        if is_other {
            images.end()?;
        } else {
            let (after, images, module) = (after.clone(), images.clone(), mcu.module.clone());
            let pass_on = move || {
                let Change { old, new, .. } = &change;
                after.hand_over(&images, &module, old, new, &images.next(false))
            };
            if let Err(why) = tokio::task::spawn_blocking(pass_on).await? {
                on_event(Event::Failed { failure: Failure::Burn, why: format!("{why:#}") });
            }
            answer = mcu.ask().await?;
        }
    }
    match &answer {
        Answer::Runs(version) => state.learn(&mcu.module, version)?,
        Answer::Unreadable(_) => state.learn(&mcu.module, UNREADABLE)?,
        Answer::Waits => state.learn(&mcu.module, LOADER)?,
        Answer::Silent => {}
    }
    Ok(answer)
}

/// Finishes what a power cut left half done, and asks of every image on trial whether it works. Those that do not are
/// replaced by what ran before; why is given for their modules.
async fn trials(
    options: &Options,
    state: &State,
    on_event: &mut (dyn FnMut(Event) + Send),
) -> anyhow::Result<Vec<(String, String)>> {
    let mut back = Vec::new();
    for (module, _) in state.modules(&options.module)? {
        let images = state.images(&module);
        let settled = images.settle().with_context(|| format!("the images of {module} cannot be changed"))?;
        let Some(change) = settled.filter(|change| change.stage != Stage::Passing) else { continue };
        let version = change.new.clone();
        let (confirm, install, asked) = (options.confirm.clone(), options.install.clone(), module.clone());
        let why = tokio::task::spawn_blocking(move || trial(&images, confirm, install, &asked, change));
        match why.await?? {
            None => on_event(Event::Confirmed { module, version }),
            Some(why) => {
                on_event(Event::RolledBack { module: module.clone(), version, why: why.clone() });
                back.push((module, why));
            }
        }
    }
    Ok(back)
}

/// Ends a trial; why it ended badly, if it did.
fn trial(
    images: &Images,
    confirm: Option<String>,
    install: Option<String>,
    module: &str,
    change: Change,
) -> anyhow::Result<Option<String>> {
    let Change { old, new, stage, .. } = &change;
    let mut why = if let Stage::Returning { why } = stage {
        why.clone()
    } else {
        let files = images.current();
        let told = Told { module, version: new, previous: old, files: files.as_deref() };
        let Some(Err(error)) = confirm.map(|hook| hooks::run(&hook, &told)) else {
            images.end()?;
            return Ok(None);
        };
        // Once it is said, a power cut does not have the old version, installed again, answer for the new one.
        let why = format!("{error:#}");
        images.give_up(&change, &why)?;
        why
    };
    let files = images.old(&change);
    let told = Told { module, version: old, previous: new, files: files.as_deref() };
    if let Some(Err(error)) = install.map(|hook| hooks::run(&hook, &told)) {
        why += &format!("; and {old} could not be installed again: {error:#}");
    }
    images.return_to(&change)?;
    Ok(Some(why))
}

/// Has the machine started anew, and waits for that.
async fn reboot(command: String, module: String, version: String) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || {
        let told = Told { module: &module, version: &version, previous: "", files: None };
        hooks::run(&command, &told)
    })
    .await??;
    std::future::pending().await
}
