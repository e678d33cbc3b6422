use api::dto::{Reason, Task};
use clap::{Args, Subcommand};

use super::wait::waits;
use super::{Format, or_dash, spelt, when};
use crate::client::{Client, segment};
use crate::output::facts;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show a task
    Show(Named),
    /// Cancel a task
    Cancel(Named),
    /// Approve a task that waits for it
    Approve(Named),
}

#[derive(Args)]
pub(crate) struct Named {
    /// Id of the task, tsk_…
    id: String,
    #[command(flatten)]
    format: Format,
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<()> {
    let path = |id: &str| format!("/tasks/{}", segment(id));
    match command {
        Command::Show(named) => named.format.show(&client.get::<Task>(&path(&named.id))?, show),
        Command::Approve(named) => {
            let task: Task = client.order(&format!("{}/approve", path(&named.id)))?;
            named.format.show(&task, show)
        }
        Command::Cancel(named) => {
            let task: Task = client.order(&format!("{}/cancel", path(&named.id)))?;
            named.format.show(&task, show)
        }
    }
}

/// Why a task ended, for people.
pub(crate) fn why(reason: &Reason) -> String {
    match reason {
        Reason::Success => "succeeded".into(),
        Reason::DeviceFailed { step, desc } => {
            format!("the device says: {}", said(*step, desc))
        }
        Reason::VersionMismatch { expected, reported } => {
            format!("the device reported version {reported:?}, not {expected:?}")
        }
        Reason::Timeout { minutes } => format!("not done within {minutes} min"),
        Reason::RolledBack { version } => {
            format!("the device came back with its old version {version:?} after 100 %")
        }
        Reason::StartTimeout { minutes } => format!("the device was told and did not begin in {minutes} min"),
        Reason::TooManyPushes { pushes } => {
            format!("the device was told {pushes} times and did not begin, or got no further")
        }
        Reason::ModuleCase { expected, reported } => {
            format!("the device calls the module {reported:?}, not {expected:?}: nothing of it was heard")
        }
        Reason::Conflict { task_id } => format!("the device was busy with {task_id}"),
        Reason::Overwritten { job_id } => format!("{job_id} took its place"),
        Reason::ScheduleEnded => "the job had reached its end".into(),
        Reason::SourceExcluded { reported } => {
            format!("the device reported version {reported:?}, which the job is not for")
        }
        Reason::CanceledByOperator => "cancelled by an operator".into(),
    }
}

/// A failure in the device's words.
fn said(step: i32, desc: &str) -> String {
    let what = match step {
        -1 => "upgrade failed",
        -2 => "download failed",
        -3 => "verification failed",
        -4 => "burning failed",
        _ => "failed",
    };
    format!("{what} ({step}) {desc}").trim_end().into()
}

fn why_or_waits(task: &Task) -> Option<String> {
    task.reason.as_ref().map(why).or_else(|| task.waiting.as_ref().map(waits))
}

/// The columns of a list of tasks.
pub(super) const HEAD: [&str; 7] = ["TASK", "DEVICE", "STATE", "PROGRESS", "FROM", "TO", "WHY"];

pub(super) fn row(task: &Task) -> Vec<String> {
    vec![
        task.id.clone(),
        task.device_name.clone(),
        spelt(&task.state),
        format!("{} %", task.progress),
        or_dash(task.src_version.as_ref()),
        task.dest_version.clone(),
        or_dash(why_or_waits(task).as_ref()),
    ]
}

fn show(task: &Task) {
    facts(&[
        ("task", task.id.clone()),
        ("job", task.job_id.clone()),
        ("package", task.package_id.clone()),
        ("product", task.product_key.clone()),
        ("device", task.device_name.clone()),
        ("module", task.module.clone()),
        ("state", spelt(&task.state)),
        ("progress", format!("{} %", task.progress)),
        ("from", or_dash(task.src_version.as_ref())),
        ("to", task.dest_version.clone()),
        ("attempt", format!("{} ({} since the last re-upgrade)", task.attempt, task.tries)),
        ("pushes", task.pushes.to_string()),
        ("why", or_dash(task.reason.as_ref().map(why).as_ref())),
        ("waits for", or_dash(task.waiting.as_ref().map(waits).as_ref())),
        ("device error", or_dash(task.device_error.as_ref().map(|e| said(e.step, &e.desc)).as_ref())),
        ("created", when(&task.created_at)),
        ("updated", when(&task.updated_at)),
    ]);
}
