mod change;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use api::dto::{
    CreatedJob, Evidence, Forecast, Job, JobKind, JobScope, NewJob, NewScope, Overwrite, Progress, Protocol,
    Share, SkipWave, Tag, Task, Wave, WaveCounts, Window,
};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use self::change::Change;
use super::wait::held;
use super::{Format, forecast, given, or_dash, spelt, task, watch, when, window};
use crate::client::{Client, segment};
use crate::output::{facts, out};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Try a package on a few devices
    Verify(Box<Verify>),
    /// Roll a package out
    Start(Box<Start>),
    /// List jobs
    List {
        /// Id of a package [default: of all packages]
        #[arg(value_name = "PKG")]
        package: Option<String>,
        /// Only those in this state
        #[arg(long, value_name = "STATE", value_parser = ["PLANNED", "IN_PROGRESS", "COMPLETED", "CANCELED"], ignore_case = true)]
        state: Option<String>,
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
        #[arg(long, value_name = "STATE", value_parser = ["CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED"], ignore_case = true)]
        state: Option<String>,
        /// Only those that ended for this reason, as `otaru stats upgrades` calls it
        #[arg(long, value_name = "CODE")]
        reason: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Watch a job until it ends; exit code 0 if every device succeeded
    Watch {
        /// Id of the job, job_…
        id: String,
    },
    /// Change what was settled of a job, for all that happens from now on; its tasks stay
    Change(Box<Change>),
    /// Cancel a job with what is unfinished of it
    Cancel(Named),
    /// Let a dynamic job take no more devices; its tasks go on
    Close(Named),
    /// Cancel the tasks of a job that are in some states
    CancelTasks {
        /// Id of the job, job_…
        id: String,
        /// In this state; may be given several times
        #[arg(long, value_name = "STATE", required = true, value_parser = ["CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS"], ignore_case = true)]
        state: Vec<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Hold a job: nothing of it is pushed, running downloads go on
    Pause(Named),
    /// Let a held job go on
    Resume(Named),
    /// Open a job's next wave now
    Skip {
        /// Id of the job, job_…
        id: String,
        /// The open wave, which is not waited for any longer [default: the one that is open now]
        #[arg(long, value_name = "N")]
        wave: Option<i32>,
        #[command(flatten)]
        format: Format,
    },
    /// Approve every task of a job that waits for it
    Approve(Named),
    /// Start failed tasks of a job again, and if it was cancelled those cancelled with it
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
#[command(group = ArgGroup::new("scope").required(true)
    .args(["all", "device", "devices_file", "percent", "filter", "group"]))]
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
    /// For the devices of a file: names separated by commas or line ends, or a CSV file with a column deviceName
    #[arg(long, value_name = "FILE")]
    devices_file: Option<PathBuf>,
    /// Leave out names in the file that are no devices of the product, instead of refusing the job
    #[arg(long, requires = "devices_file")]
    leave_out_unknown: bool,
    /// Go on for every device that later comes to be one the job is for, by what it reports or by its tags and
    /// groups, until the job is closed; with --all it must name versions (--from)
    #[arg(long, conflicts_with_all = ["device", "devices_file", "percent"])]
    dynamic: bool,
    /// Only for versions reported from now on, not for those that devices have now
    #[arg(long, requires = "dynamic")]
    only_new: bool,
    /// For a share of what --all takes, 0.001 to 100; a larger share holds every smaller one
    #[arg(long, value_name = "P")]
    percent: Option<f64>,
    /// For those of what --all takes that a filter means, as 'tag.region = eu' (docs/filters.md)
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// For those of what --all takes that are in a group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
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
    #[arg(long, value_name = "PER_MINUTE", conflicts_with = "no_push")]
    rate: Option<i64>,
    /// Mbit/s that the files offered may need together; spaces offers, and never slows a download down
    /// [default: no limit]
    #[arg(long, value_name = "N")]
    max_mbit_per_second: Option<f64>,
    /// Let devices ask instead of pushing notices
    #[arg(long)]
    no_push: bool,
    /// Only tell what the job would do: whom it takes, whom not and why, how long it lasts
    #[arg(long)]
    dry_run: bool,
    /// Take a notice that devices with 2 KB buffers cannot receive
    #[arg(long)]
    allow_large_notice: bool,
    /// Take SHA-256 over MQTT, where C SDK 4.x does not check it
    #[arg(long)]
    allow_sha256_over_mqtt: bool,
    #[command(flatten)]
    retries: Retries,
    #[command(flatten)]
    gate: Gate,
    #[command(flatten)]
    waves: Waves,
    #[command(flatten)]
    format: Format,
}

/// Which devices it is for, and when they are told.
#[derive(Args)]
struct Gate {
    /// Let each task wait for an approval (job approve, task approve)
    #[arg(long)]
    need_approval: bool,
    /// Only devices whose module reports this version; may be given several times
    #[arg(long, value_name = "VERSION")]
    from: Vec<String>,
    /// Start then, as 2026-11-23T01:00:00Z [default: at once]
    #[arg(long, value_name = "TIME")]
    start_at: Option<String>,
    /// Cancel then what has not begun [default: never]
    #[arg(long, value_name = "TIME")]
    end_at: Option<String>,
    /// Cancel at the end what has begun, too
    #[arg(long, requires = "end_at")]
    end_running: bool,
    /// Tell devices only in this window, by the clocks where they are, as "mon-fri 22:00-04:00" or
    /// 22:00-04:00 for every day; may be given several times [default: always]
    #[arg(long, value_name = "WINDOW", value_parser = window::read)]
    window: Vec<Window>,
    /// A word for the devices, in extData of their notices; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    tag: Vec<Tag>,
}

/// How it grows, and when it halts by itself.
#[derive(Args)]
struct Waves {
    /// Waves, each with all before it, as 1%,10%,100% or 5,50,100% or group:canary,10%,100%: groups
    /// first; the last takes what is left
    #[arg(long, value_name = "WAVES", value_delimiter = ',', value_parser = wave)]
    waves: Vec<Wave>,
    /// Successes in a wave before the next opens [default: 90%]
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "waves")]
    min_success: Option<Share>,
    /// Minutes from enough successes to the next wave [default: 60]
    #[arg(long, value_name = "MINUTES", requires = "waves")]
    soak: Option<i64>,
    /// Minutes after which devices that were not told are waited for no longer: the next wave opens if enough of
    /// those that were told succeeded, else the job halts; 0 is no limit [default: 1440]
    #[arg(long, value_name = "MINUTES", requires = "waves")]
    max_wait: Option<i64>,
    /// Halt when more devices have failed
    #[arg(long, value_name = "N")]
    max_failures: Option<i64>,
    /// Halt when a larger part of the devices told has failed
    #[arg(long, value_name = "PER_CENT")]
    max_failure_rate: Option<f64>,
    /// Devices that must be told before the part is looked at [default: 10]
    #[arg(long, value_name = "N", requires = "max_failure_rate")]
    min_offers: Option<i64>,
    /// Halt when what has ended speaks for the second failure rate and against the first, in per cent,
    /// as 1:10
    #[arg(long, value_name = "ACCEPTED:REJECTED", value_parser = evidence)]
    evidence: Option<Evidence>,
    /// Minutes of silence after which a device that has begun counts as failed, 0 is never
    /// [default: 60]
    #[arg(long, value_name = "MINUTES")]
    lost_after: Option<i64>,
}

fn share(text: &str) -> Result<Share, String> {
    let wrong = |_| format!("{text:?} is no share: write it as 10% or as a number of devices");
    match text.strip_suffix('%') {
        Some(percent) => Ok(Share::Percent { percent: percent.parse().map_err(|_| wrong(()))? }),
        None => Ok(Share::Count { n: text.parse().map_err(|_| wrong(()))? }),
    }
}

fn wave(text: &str) -> Result<Wave, String> {
    if let Some(group) = text.strip_prefix("group:") {
        return Ok(Wave::Group { group: group.into() });
    }
    share(text).map(Wave::from).map_err(|error| format!("{error}, or as group:NAME"))
}

fn evidence(text: &str) -> Result<Evidence, String> {
    let rates = text.split_once(':').and_then(|(a, r)| Some((a.parse().ok()?, r.parse().ok()?)));
    let (accepted_percent, rejected_percent) =
        rates.ok_or_else(|| format!("{text:?} are no two rates: write them as 1:10"))?;
    Ok(Evidence { accepted_percent, rejected_percent })
}

fn tag(text: &str) -> Result<Tag, String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok(Tag { key: key.into(), value: value.into() })
}

/// What happens when an attempt fails, and when it has failed.
#[derive(Args)]
struct Retries {
    /// How often a device may try in all [default: 3]
    #[arg(long, value_name = "N")]
    attempts: Option<i32>,
    /// Minutes from a failed attempt to the next, 0 is at once [default: 1]
    #[arg(long, value_name = "MINUTES")]
    retry_interval: Option<i64>,
    /// Let a device that comes back with its old version after 100 % go on, instead of taking the
    /// attempt for failed
    #[arg(long)]
    ignore_rollback: bool,
    /// Minutes a connected device may take to begin once told, 0 is no limit [default: 30]
    #[arg(long, value_name = "MINUTES")]
    start_timeout: Option<i64>,
    /// Pushes without getting further before the attempt has failed, 0 is no limit [default: 5]
    #[arg(long, value_name = "N", conflicts_with = "no_push")]
    most_pushes: Option<i32>,
    /// What becomes of this job's task when another of the device has not ended: it fails, it takes
    /// the other's place unless that is in progress, or it waits
    #[arg(long, value_enum, default_value = "queue")]
    overwrite: Rival,
    /// Run beside tasks for other modules of the same device, of jobs that say the same
    #[arg(long)]
    multi_module: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Rival {
    Keep,
    Replace,
    Queue,
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
            terms: api::dto::Terms {
                max_mbit_per_second: self.max_mbit_per_second,
                ..self.waves.terms(self.gate.terms(self.retries.terms()))
            },
            allow_large_notice: self.allow_large_notice,
            allow_sha256_over_mqtt: self.allow_sha256_over_mqtt,
        }
    }
}

impl Retries {
    fn terms(&self) -> api::dto::Terms {
        api::dto::Terms {
            attempts: self.attempts,
            retry_count: None,
            retry_interval_minutes: self.retry_interval,
            rollback_fails: self.ignore_rollback.then_some(false),
            start_timeout_minutes: self.start_timeout,
            most_pushes: self.most_pushes,
            overwrite: Some(match self.overwrite {
                Rival::Keep => Overwrite::Keep,
                Rival::Replace => Overwrite::Replace,
                Rival::Queue => Overwrite::Queue,
            }),
            multi_module: Some(self.multi_module),
            ..api::dto::Terms::default()
        }
    }
}

impl Waves {
    fn terms(&self, terms: api::dto::Terms) -> api::dto::Terms {
        api::dto::Terms {
            waves: self.waves.clone(),
            min_success: self.min_success,
            soak_minutes: self.soak,
            max_wait_minutes: self.max_wait,
            max_failures: self.max_failures,
            max_failure_percent: self.max_failure_rate,
            min_offers: self.min_offers,
            evidence: self.evidence,
            lost_after_minutes: self.lost_after,
            ..terms
        }
    }
}

impl Gate {
    fn terms(&self, terms: api::dto::Terms) -> api::dto::Terms {
        api::dto::Terms {
            need_confirm: Some(self.need_approval),
            src_versions: self.from.clone(),
            start_at: self.start_at.clone(),
            end_at: self.end_at.clone(),
            end_running: Some(self.end_running),
            windows: self.window.clone(),
            tags: self.tag.clone(),
            ..terms
        }
    }
}

impl Start {
    fn scope(&self) -> anyhow::Result<NewScope> {
        if let Some(file) = &self.devices_file {
            let csv = std::fs::read_to_string(file);
            let csv = csv.with_context(|| format!("cannot read {}", file.display()))?;
            return Ok(NewScope::Csv { csv, leave_out_unknown: self.leave_out_unknown });
        }
        Ok(match (self.percent, &self.filter, &self.group) {
            (Some(percent), ..) => NewScope::Percent { percent },
            (_, Some(filter), _) => NewScope::Filter { filter: filter.clone() },
            (_, _, Some(group)) => NewScope::Group { group: group.clone() },
            _ if self.all => NewScope::All,
            _ => NewScope::Named { device_names: self.device.clone() },
        })
    }
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        Command::Verify(verify) => {
            let scope = NewScope::Named { device_names: verify.devices };
            let job = verify.terms.job(verify.package, JobKind::Verify, scope);
            make(&job, verify.terms.dry_run, verify.terms.format, client)?;
        }
        Command::Start(start) => {
            let kind = if start.dynamic { JobKind::Dynamic } else { JobKind::Static };
            let mut job = start.terms.job(start.package.clone(), kind, start.scope()?);
            job.terms.only_new = start.only_new.then_some(true);
            make(&job, start.terms.dry_run, start.terms.format, client)?;
        }
        Command::List { package, state, format } => {
            let state = state.map(|state| state.to_uppercase());
            let filter = given(&[("packageId", &package), ("state", &state)]);
            let head =
                ["JOB", "PACKAGE", "KIND", "SCOPE", "STATE", "SUCCEEDED", "FAILED", "TASKS", "CREATED"];
            format.list(client, "/jobs", &filter, &head, row)?;
        }
        Command::Show(named) => named.format.show(&client.get::<Job>(&path(&named.id))?, show)?,
        Command::Tasks { id, state, reason, format } => {
            let state = state.map(|state| state.to_uppercase());
            let filter = given(&[("state", &state), ("reason", &reason)]);
            let path = format!("{}/tasks", path(&id));
            format.list(client, &path, &filter, &task::HEAD, task::row)?;
        }
        Command::Watch { id } => return watch::run(&path(&id), client),
        Command::Change(change) => change::run(*change, client)?,
        Command::Cancel(named) => order("cancel", &named, client)?,
        Command::Close(named) => order("close", &named, client)?,
        Command::CancelTasks { id, state, format } => {
            let states: Vec<_> = state.iter().map(|state| state.to_uppercase()).collect();
            let wanted = serde_json::json!({ "states": states });
            let job: Job = client.post(&format!("{}/cancel-tasks", path(&id)), &wanted)?;
            format.show(&job, show)?;
        }
        Command::Pause(named) => order("pause", &named, client)?,
        Command::Resume(named) => order("resume", &named, client)?,
        Command::Skip { id, wave, format } => skip(&id, wave, format, client)?,
        Command::Approve(named) => order("approve", &named, client)?,
        Command::ReUpgrade { id, task, format } => reupgrade(&id, &task, format, client)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn order(what: &str, named: &Named, client: &Client) -> anyhow::Result<()> {
    let job: Job = client.order(&format!("{}/{what}", path(&named.id)))?;
    named.format.show(&job, show)
}

/// Opens the wave after the open one.
fn skip(id: &str, wave: Option<i32>, format: Format, client: &Client) -> anyhow::Result<()> {
    let open = || Ok::<_, anyhow::Error>(client.get::<Job>(&path(id))?.progress.map_or(1, |p| p.wave));
    let wave = wave.map_or_else(open, Ok)?;
    let job: Job = client.post(&format!("{}/skip", path(id)), &SkipWave { wave })?;
    format.show(&job, show)
}

/// The job's place in the API.
fn path(id: &str) -> String {
    format!("/jobs/{}", segment(id))
}

/// Makes a job, or only tells what it would do.
fn make(new: &NewJob, dry_run: bool, format: Format, client: &Client) -> anyhow::Result<()> {
    if dry_run {
        let found: Forecast = client.post("/jobs/dry-run", new)?;
        return format.show(&found, forecast::show);
    }
    let created: CreatedJob = client.post("/jobs", new)?;
    format.show(&created, |created| {
        let CreatedJob { job, forecast } = created;
        out!("made job {}", job.id);
        forecast::show(forecast);
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
        JobScope::Filter { filter } => filter.clone(),
        JobScope::Group { group } => format!("group {group}"),
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

fn waves(progress: &Progress) -> String {
    let wave = |w: &WaveCounts| {
        let WaveCounts { total, succeeded, failed, retrying, lost, skipped, .. } = w;
        let skipped = if *skipped { ", skipped" } else { "" };
        format!(
            "{succeeded} of {total} succeeded, {failed} failed, {retrying} try again, {lost} lost{skipped}"
        )
    };
    let all: Vec<String> = progress.waves.iter().map(wave).collect();
    format!("{} of {} open ({})", progress.wave, all.len(), all.join("; "))
}

fn attempts(terms: &api::dto::Terms) -> String {
    let attempts = terms.attempts.unwrap_or_default();
    let apart = terms.retry_interval_minutes.map(|minutes| format!(", {minutes} min apart"));
    format!("{attempts}{}", apart.unwrap_or_default())
}

fn windows(windows: &[Window]) -> String {
    match windows {
        [] => "always".into(),
        some => some.iter().map(window::shown).collect::<Vec<_>>().join(", "),
    }
}

fn show(job: &Job) {
    let budget = job.terms.max_mbit_per_second.map(|mbit| format!("{mbit} Mbit/s"));
    let timeout = job.timeout_minutes.map(|minutes| format!("{minutes} min"));
    let rate = job.rate_per_minute.map(|rate| format!("{rate} a minute"));
    facts(&[
        ("job", job.id.clone()),
        ("product", job.product_key.clone()),
        ("package", job.package_id.clone()),
        ("kind", spelt(&job.kind)),
        ("scope", scope(&job.scope)),
        (
            "from",
            if job.terms.src_versions.is_empty() {
                "any version".into()
            } else {
                job.terms.src_versions.join(", ")
            },
        ),
        ("state", spelt(&job.state)),
        ("tasks", watch::counts(&job.counts)),
        ("protocol", spelt(&job.protocol)),
        ("push", if job.need_push { "yes" } else { "no, devices ask" }.into()),
        ("timeout", or_dash(timeout.as_ref())),
        ("rate", or_dash(rate.as_ref())),
        ("byte budget", or_dash(budget.as_ref())),
        ("windows", windows(&job.terms.windows)),
        ("held", job.hold.as_ref().map_or("no".into(), held)),
        ("waves", or_dash(job.progress.as_ref().map(waves).as_ref())),
        ("starts", or_dash(job.terms.start_at.as_ref().map(|t| when(t)).as_ref())),
        ("ends", or_dash(job.terms.end_at.as_ref().map(|t| when(t)).as_ref())),
        ("approval", if job.terms.need_confirm == Some(true) { "needed" } else { "no" }.into()),
        ("attempts", attempts(&job.terms)),
        ("created", when(&job.created_at)),
        ("closed", or_dash(job.closed_at.as_ref().map(|t| when(t)).as_ref())),
        ("ended", or_dash(job.ended_at.as_ref().map(|t| when(t)).as_ref())),
    ]);
}
