//! `otaru job change`.

use api::dto::{Job, JobChange, NewScope, Tag, TermsChange, Window};
use clap::{ArgGroup, Args};

use super::{path, show, tag};
use crate::client::Client;
use crate::commands::{Format, window};

#[derive(Args)]
#[command(group = ArgGroup::new("whom").args(["all", "filter", "group"]))]
pub(crate) struct Change {
    /// Id of the job, job_…
    id: String,
    /// Let a dynamic job be for all devices that report one of its versions; all are looked at anew
    #[arg(long)]
    all: bool,
    /// Let a dynamic job be for those a filter means (docs/filters.md); all are looked at anew
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Let a dynamic job be for those in a group; all are looked at anew, even for the same group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Let a dynamic job be for devices that report this version, and no others; may be given several times
    #[arg(long, value_name = "VERSION")]
    from: Vec<String>,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    times: Times,
    /// A word for the devices in place of those there are, in notices from now on; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    tag: Vec<Tag>,
    /// No words for the devices any more
    #[arg(long, conflicts_with = "tag")]
    no_tags: bool,
    /// Take a notice that devices with 2 KB buffers cannot receive
    #[arg(long)]
    allow_large_notice: bool,
    #[command(flatten)]
    format: Format,
}

/// How fast it goes.
#[derive(Args)]
struct Pace {
    /// Most pushes in any minute
    #[arg(long, value_name = "PER_MINUTE")]
    rate: Option<i64>,
    /// Mbit/s that the files offered may need together
    #[arg(long, value_name = "N")]
    max_mbit_per_second: Option<f64>,
    /// No byte budget any more
    #[arg(long, conflicts_with = "max_mbit_per_second")]
    no_byte_budget: bool,
}

/// When an attempt, or a task, has failed.
#[derive(Args)]
struct Patience {
    /// Minutes from a device's first progress to its failure, also for those that have begun
    #[arg(long, value_name = "MINUTES")]
    timeout: Option<i64>,
    /// No such limit any more
    #[arg(long, conflicts_with = "timeout")]
    no_timeout: bool,
    /// How often a device may try in all
    #[arg(long, value_name = "N")]
    attempts: Option<i32>,
    /// Minutes from a failed attempt to the next, 0 is at once
    #[arg(long, value_name = "MINUTES")]
    retry_interval: Option<i64>,
    /// Whether a device that comes back with its old version after 100 % has failed an attempt
    #[arg(long, value_name = "BOOL")]
    rollback_fails: Option<bool>,
    /// Minutes a connected device may take to begin once told, 0 is no limit
    #[arg(long, value_name = "MINUTES")]
    start_timeout: Option<i64>,
    /// Pushes without getting further before an attempt has failed, 0 is no limit
    #[arg(long, value_name = "N")]
    most_pushes: Option<i32>,
}

/// When devices are told.
#[derive(Args)]
struct Times {
    /// Start then, if it has not started, as 2026-11-23T01:00:00Z
    #[arg(long, value_name = "TIME")]
    start_at: Option<String>,
    /// Start now
    #[arg(long, conflicts_with = "start_at")]
    start_now: bool,
    /// Cancel then what has not begun
    #[arg(long, value_name = "TIME")]
    end_at: Option<String>,
    /// Never end by a schedule
    #[arg(long, conflicts_with = "end_at")]
    no_end: bool,
    /// Whether to cancel at the end what has begun, too
    #[arg(long, value_name = "BOOL")]
    end_running: Option<bool>,
    /// Tell devices only in this window, in place of those there are, by the clocks where they are, as
    /// "mon-fri 22:00-04:00"; may be given several times
    #[arg(long, value_name = "WINDOW", value_parser = window::read)]
    window: Vec<Window>,
    /// Tell devices always
    #[arg(long, conflicts_with = "window")]
    no_windows: bool,
}

pub(super) fn run(change: Change, client: &Client) -> anyhow::Result<()> {
    let (path, format) = (path(&change.id), change.format);
    let job: Job = client.patch(&path, &change.order())?;
    format.show(&job, show)
}

impl Change {
    fn order(self) -> JobChange {
        let Self { pace, patience, times, .. } = self;
        let scope = match (self.filter, self.group) {
            (Some(filter), _) => Some(NewScope::Filter { filter }),
            (_, Some(group)) => Some(NewScope::Group { group }),
            _ => self.all.then_some(NewScope::All),
        };
        JobChange {
            scope,
            timeout_minutes: or_none(patience.timeout, patience.no_timeout),
            rate_per_minute: pace.rate,
            terms: TermsChange {
                src_versions: (!self.from.is_empty()).then_some(self.from),
                attempts: patience.attempts,
                retry_interval_minutes: patience.retry_interval,
                rollback_fails: patience.rollback_fails,
                start_timeout_minutes: patience.start_timeout,
                most_pushes: patience.most_pushes,
                start_at: or_none(times.start_at, times.start_now),
                end_at: or_none(times.end_at, times.no_end),
                end_running: times.end_running,
                windows: list(times.window, times.no_windows),
                max_mbit_per_second: or_none(pace.max_mbit_per_second, pace.no_byte_budget),
                tags: list(self.tag, self.no_tags),
            },
            allow_large_notice: self.allow_large_notice,
            ..JobChange::default()
        }
    }
}

/// A value, that there is none any more, or nothing to change.
fn or_none<T>(given: Option<T>, none: bool) -> Option<Option<T>> {
    if none { Some(None) } else { given.map(Some) }
}

fn list<T>(given: Vec<T>, none: bool) -> Option<Vec<T>> {
    (none || !given.is_empty()).then_some(given)
}
