use std::process::ExitCode;

use api::dto::{CreatedJob, Job, JobKind, JobScope, NewJob, NewScope, Protocol, Task};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::{Format, or_dash, spelt, task, watch, when};
use crate::client::{Client, segment};
use crate::output::{facts, out};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Try a package on a few devices
    Verify(Verify),
    /// Roll a package out
    Start(Start),
    /// List jobs
    List {
        /// Id of a package [default: of all packages]
        #[arg(value_name = "PKG")]
        package: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Show a job
    Show(Named),
    /// List the tasks of a job
    Tasks {
        /// Id of the job, job_…
        id: String,
        /// Only those in this state
        #[arg(long, value_name = "STATE", value_parser = ["QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED"], ignore_case = true)]
        state: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Watch a job until it ends; exit code 0 if every device succeeded
    Watch {
        /// Id of the job, job_…
        id: String,
    },
    /// Cancel a job
    Cancel(Named),
    /// Start failed and cancelled tasks of a job again
    ReUpgrade {
        /// Id of the job, job_…
        id: String,
        /// Only this task, tsk_…; may be given several times
        #[arg(long, value_name = "T")]
        task: Vec<String>,
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Args)]
pub(crate) struct Named {
    /// Id of the job, job_…
    id: String,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
pub(crate) struct Verify {
    /// Id of the package, pkg_…
    #[arg(value_name = "PKG")]
    package: String,
    /// Names of devices
    #[arg(value_name = "DN", required = true)]
    devices: Vec<String>,
    #[command(flatten)]
    terms: Terms,
}

#[derive(Args)]
#[command(group = ArgGroup::new("scope").required(true).args(["all", "device", "percent"]))]
pub(crate) struct Start {
    /// Id of the package, pkg_…
    #[arg(value_name = "PKG")]
    package: String,
    /// For every enabled device that has ever connected
    #[arg(long)]
    all: bool,
    /// For this device; may be given several times
    #[arg(long, value_name = "DN", num_args = 1..)]
    device: Vec<String>,
    /// For a share of what --all takes, 0.001 to 100; a larger share holds every smaller one
    #[arg(long, value_name = "P")]
    percent: Option<f64>,
    #[command(flatten)]
    terms: Terms,
}

#[derive(Args)]
struct Terms {
    /// How the file travels: blocks over MQTT, or HTTP
    #[arg(long, value_enum, default_value = "mqtt")]
    protocol: Travel,
    /// Minutes from a device's first progress to its failure [default: no limit]
    #[arg(long, value_name = "MINUTES")]
    timeout: Option<i64>,
    /// Most pushes in any minute [default: 10000]
    #[arg(long, value_name = "PER_MINUTE")]
    rate: Option<i64>,
    /// Let devices ask instead of pushing notices
    #[arg(long)]
    no_push: bool,
    /// Take a notice that devices with 2 KB buffers cannot receive
    #[arg(long)]
    allow_large_notice: bool,
    /// Take SHA-256 over MQTT, where C SDK 4.x does not check it
    #[arg(long)]
    allow_sha256_over_mqtt: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Travel {
    Http,
    Mqtt,
}

impl Terms {
    fn job(&self, package_id: String, kind: JobKind, scope: NewScope) -> NewJob {
        NewJob {
            package_id,
            kind,
            scope,
            protocol: match self.protocol {
                Travel::Http => Protocol::Http,
                Travel::Mqtt => Protocol::Mqtt,
            },
            need_push: !self.no_push,
            timeout_minutes: self.timeout,
            rate_per_minute: self.rate,
            allow_large_notice: self.allow_large_notice,
            allow_sha256_over_mqtt: self.allow_sha256_over_mqtt,
        }
    }
}

impl Start {
    fn scope(&self) -> NewScope {
        match self.percent {
            Some(percent) => NewScope::Percent { percent },
            None if self.all => NewScope::All,
            None => NewScope::Named { device_names: self.device.clone() },
        }
    }
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        Command::Verify(verify) => {
            let scope = NewScope::Named { device_names: verify.devices };
            make(&verify.terms.job(verify.package, JobKind::Verify, scope), verify.terms.format, client)?;
        }
        Command::Start(start) => {
            let job = start.terms.job(start.package.clone(), JobKind::Static, start.scope());
            make(&job, start.terms.format, client)?;
        }
        Command::List { package, format } => {
            let filter: Vec<_> = package.iter().map(|id| ("packageId", id.as_str())).collect();
            let head =
                ["JOB", "PACKAGE", "KIND", "SCOPE", "STATE", "SUCCEEDED", "FAILED", "TASKS", "CREATED"];
            format.list(client, "/jobs", &filter, &head, row)?;
        }
        Command::Show(named) => named.format.show(&client.get::<Job>(&path(&named.id))?, show)?,
        Command::Tasks { id, state, format } => {
            let state = state.map(|state| state.to_uppercase());
            let filter: Vec<_> = state.iter().map(|state| ("state", state.as_str())).collect();
            let path = format!("{}/tasks", path(&id));
            format.list(client, &path, &filter, &task::HEAD, task::row)?;
        }
        Command::Watch { id } => return watch::run(&path(&id), client),
        Command::Cancel(named) => {
            let job: Job = client.order(&format!("{}/cancel", path(&named.id)))?;
            named.format.show(&job, show)?;
        }
        Command::ReUpgrade { id, task, format } => reupgrade(&id, &task, format, client)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The job's place in the API.
fn path(id: &str) -> String {
    format!("/jobs/{}", segment(id))
}

fn make(new: &NewJob, format: Format, client: &Client) -> anyhow::Result<()> {
    let created: CreatedJob = client.post("/jobs", new)?;
    format.show(&created, |created| {
        let CreatedJob { job, matched, on_target, busy, largest_notice } = created;
        out!("made job {} for {matched} devices; {on_target} more have the version already", job.id);
        if *busy > 0 {
            out!("{busy} of them have another upgrade that has not ended: this one fails at once there");
        }
        out!("its largest notice has {largest_notice} bytes");
        out!("watch it: otaru job watch {}", job.id);
    })
}

fn reupgrade(id: &str, tasks: &[String], format: Format, client: &Client) -> anyhow::Result<()> {
    for task in tasks {
        let found: Task = client.get(&format!("/tasks/{}", segment(task)))?;
        anyhow::ensure!(
            found.job_id == id,
            "the task {task} is of the job {}, not of {id}; nothing was started again",
            found.job_id
        );
    }
    for task in tasks {
        client.order::<Task>(&format!("/tasks/{}/re-upgrade", segment(task)))?;
    }
    let job: Job = match tasks {
        [] => client.order(&format!("{}/re-upgrade", path(id)))?,
        _ => client.get(&path(id))?,
    };
    format.show(&job, show)
}

fn scope(scope: &JobScope) -> String {
    match scope {
        JobScope::All => "all".into(),
        JobScope::Named => "named".into(),
        JobScope::Percent { percent } => format!("{percent} %"),
    }
}

fn row(job: &Job) -> Vec<String> {
    vec![
        job.id.clone(),
        job.package_id.clone(),
        spelt(&job.kind),
        scope(&job.scope),
        spelt(&job.state),
        job.counts.succeeded.to_string(),
        job.counts.failed.to_string(),
        job.counts.total().to_string(),
        when(&job.created_at),
    ]
}

fn show(job: &Job) {
    let timeout = job.timeout_minutes.map(|minutes| format!("{minutes} min"));
    facts(&[
        ("job", job.id.clone()),
        ("product", job.product_key.clone()),
        ("package", job.package_id.clone()),
        ("kind", spelt(&job.kind)),
        ("scope", scope(&job.scope)),
        ("state", spelt(&job.state)),
        ("tasks", watch::counts(&job.counts)),
        ("protocol", spelt(&job.protocol)),
        ("push", if job.need_push { "yes" } else { "no, devices ask" }.into()),
        ("timeout", or_dash(timeout.as_ref())),
        ("rate", format!("{} a minute", job.rate_per_minute)),
        ("created", when(&job.created_at)),
        ("ended", or_dash(job.ended_at.as_ref().map(|t| when(t)).as_ref())),
    ]);
}
