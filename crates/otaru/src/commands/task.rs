use api::dto::{Reason, Task};
use clap::{Args, Subcommand};

use super::{Format, or_dash, spelt, when};
use crate::client::{Client, segment};
use crate::output::facts;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show a task
    Show(Named),
    /// Cancel a task
    Cancel(Named),
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
            let what = match step {
                -1 => "upgrade failed",
                -2 => "download failed",
                -3 => "verification failed",
                -4 => "burning failed",
                _ => "failed",
            };
            format!("the device says: {what} ({step}) {desc}").trim_end().into()
        }
        Reason::VersionMismatch { expected, reported } => {
            format!("the device reported version {reported}, not {expected}")
        }
        Reason::Timeout { minutes } => format!("not done within {minutes} min"),
        Reason::Conflict { task_id } => format!("the device was busy with {task_id}"),
        Reason::CanceledByOperator => "cancelled by an operator".into(),
    }
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
        or_dash(task.reason.as_ref().map(why).as_ref()),
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
        ("attempt", task.attempt.to_string()),
        ("pushes", task.pushes.to_string()),
        ("why", or_dash(task.reason.as_ref().map(why).as_ref())),
        ("created", when(&task.created_at)),
        ("updated", when(&task.updated_at)),
    ]);
}
