//! What is measured, as families of numbers that Prometheus and its readers know.
//!
//! Nothing is counted twice: the families are another view of the same counters that [`crate::Status`] shows.

mod histogram;

use std::sync::atomic::{AtomicU64, Ordering};

use door::Count;
use rollout::{Event, EventKind, TaskState};

use crate::Server;
use crate::committer::WAITING;
use crate::counters::Counters;
use histogram::Histogram;

pub use histogram::Ranges;

/// Upper ends of the ranges for reports in a batch.
const BATCHES: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
/// Upper ends of the ranges for the length of a transaction, in microseconds.
const COMMITS: [u64; 13] = [
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000,
];
const STATES: usize = TaskState::ALL.len();

/// Counters of the door that say how much goes through it, and what a family is called that shows one.
/// All others say by their name why something was refused, dropped or ended.
const TRAFFIC: [(&str, &str); 12] = [
    ("connections", "otaru_connections_total"),
    ("registrations", "otaru_registrations_total"),
    ("sessions", "otaru_sessions_started_total"),
    ("tls_handshakes", "otaru_tls_handshakes_total"),
    ("tls_resumed", "otaru_tls_resumed_total"),
    ("unkept", "otaru_unkept_messages_total"),
    ("downlinks", "otaru_downlinks_total"),
    ("blocks", "otaru_blocks_total"),
    ("block_bytes", "otaru_block_bytes_total"),
    ("http_requests", "otaru_http_requests_total"),
    ("http_bytes", "otaru_http_bytes_total"),
    ("websockets", "otaru_websockets_total"),
];
/// The server counts the same by kind.
const UPLINKS: &str = "uplinks";

/// Measures of the committer, besides its counters.
#[derive(Debug)]
pub(crate) struct Measures {
    /// Reports in each batch.
    pub(crate) batches: Histogram,
    /// Microseconds of each transaction that wrote.
    pub(crate) commits: Histogram,
    /// Moves of tasks, from state to state.
    moves: [[AtomicU64; STATES]; STATES],
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            batches: Histogram::new(&BATCHES),
            commits: Histogram::new(&COMMITS),
            moves: Default::default(),
        }
    }
}

impl Measures {
    /// Counts events that are committed.
    pub(crate) fn events(&self, counters: &Counters, events: &[Event]) {
        Counters::add_many(&counters.events, events.len() as u64);
        for event in events {
            match event.kind {
                EventKind::TaskCreated => Counters::add(&counters.tasks_created),
                EventKind::TaskState { from, to, .. } => {
                    Counters::add(&self.moves[from as usize][to as usize])
                }
                _ => {}
            }
        }
    }
}

/// How a family's numbers behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from 0 at the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by ranges.
    Histogram,
}

/// Numbers of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it tells.
    pub help: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its numbers.
    pub values: Values,
}

/// The numbers of a family.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// A single one.
    One(f64),
    /// One for each set of labels.
    Labelled(Vec<Labelled>),
    /// Those of a histogram.
    Ranges(Ranges),
}

/// A number under labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// What these labels mean, unless they say it themselves.
    pub help: &'static str,
    /// The number.
    pub value: f64,
}

impl Family {
    /// With a single number.
    pub fn one(name: &'static str, kind: Kind, help: &'static str, value: f64) -> Self {
        Self { name, help, kind, values: Values::One(value) }
    }

    fn counts(name: &'static str, help: &'static str, values: Vec<Labelled>) -> Self {
        Self { name, help, kind: Kind::Counter, values: Values::Labelled(values) }
    }

    fn ranges(name: &'static str, help: &'static str, ranges: Ranges) -> Self {
        Self { name, help, kind: Kind::Histogram, values: Values::Ranges(ranges) }
    }
}

impl Labelled {
    fn new(label: &'static str, value: &str, count: u64) -> Self {
        Self { labels: vec![(label, value.into())], help: "", value: count as f64 }
    }

    fn of(label: &'static str, count: Count) -> Self {
        Self { help: count.help, ..Self::new(label, count.name, count.value) }
    }
}

impl Server {
    /// All measures as they stand.
    pub fn metrics(&self) -> Vec<Family> {
        let core = &self.core;
        let now = Now {
            sessions: core.sessions.online(),
            waiting: self.queue.waiting(),
            database_errors: core.store.error_counts(),
            certificate_expires: self.tls.as_ref().and_then(door::Tls::expires),
        };
        families(&core.counters, &core.measures, &self.door_counters, &now)
    }
}

/// What is not counted but looked at.
#[derive(Default)]
struct Now {
    sessions: usize,
    waiting: usize,
    database_errors: [(&'static str, u64); 4],
    /// Seconds since 1970.
    certificate_expires: Option<i64>,
}

/// All measures of a server that has just begun: what there is to measure.
pub fn all_metrics() -> Vec<Family> {
    let now = Now { database_errors: store::ErrorCounts::default().read(), ..Now::default() };
    families(&Counters::default(), &Measures::default(), &door::Counters::default(), &now)
}

fn families(counters: &Counters, measures: &Measures, door: &door::Counters, now: &Now) -> Vec<Family> {
    let mut families = vec![gauge("otaru_sessions", "Devices connected now.", now.sessions)];
    families.extend(traffic(door));
    families.push(Family::one(
        "otaru_certificate_expires_seconds",
        Kind::Gauge,
        "When the certificate that devices are shown expires, in seconds since 1970; 0 if there is none.",
        now.certificate_expires.unwrap_or_default() as f64,
    ));
    families.push(uplinks(counters));
    families.push(refusals(door));
    families.push(lost_reports(counters));
    families.extend(committer(measures, now));
    families.extend(tasks(counters, measures));
    families
}

fn gauge(name: &'static str, help: &'static str, value: usize) -> Family {
    Family::one(name, Kind::Gauge, help, value as f64)
}

fn traffic(door: &door::Counters) -> impl Iterator<Item = Family> {
    let name_of =
        |count: &Count| TRAFFIC.iter().find(|(counter, _)| *counter == count.name).map(|(_, name)| *name);
    door.all().filter_map(move |count| {
        name_of(&count).map(|name| Family::one(name, Kind::Counter, count.help, count.value as f64))
    })
}

fn uplinks(counters: &Counters) -> Family {
    let kinds = counters.all().filter_map(|count| {
        let kind = count.name.strip_suffix("_messages").filter(|kind| *kind != "bad")?;
        Some(Labelled { labels: vec![("kind", kind.into())], ..Labelled::of("kind", count) })
    });
    Family::counts("otaru_uplinks_total", "Messages of devices, by kind.", kinds.collect())
}

fn refusals(door: &door::Counters) -> Family {
    let is_reason =
        |count: &Count| count.name != UPLINKS && !TRAFFIC.iter().any(|(name, _)| *name == count.name);
    let reasons = door.all().filter(is_reason).map(|count| Labelled::of("reason", count)).collect();
    Family::counts(
        "otaru_refusals_total",
        "What the devices' door refused, dropped or ended, by reason.",
        reasons,
    )
}

fn lost_reports(counters: &Counters) -> Family {
    let reasons =
        [("bad_messages", "unreadable"), ("dropped_reports", "unheard"), ("failed_reports", "not_written")];
    let lost = counters.all().filter_map(|count| {
        let (_, reason) = reasons.iter().find(|(name, _)| *name == count.name)?;
        Some(Labelled { labels: vec![("reason", (*reason).into())], ..Labelled::of("reason", count) })
    });
    Family::counts(
        "otaru_reports_lost_total",
        "Messages of devices that changed nothing, by reason.",
        lost.collect(),
    )
}

fn committer(measures: &Measures, now: &Now) -> [Family; 5] {
    let errors = now.database_errors.map(|(kind, count)| Labelled::new("kind", kind, count)).to_vec();
    [
        Family::ranges(
            "otaru_batch_reports",
            "Reports, arrivals and departures of devices decided in one transaction.",
            measures.batches.ranges(1.0),
        ),
        Family::ranges(
            "otaru_commit_duration_seconds",
            "From the begin of a transaction that writes to its end on disk, for reports, orders and time alike.",
            measures.commits.ranges(1_000_000.0),
        ),
        gauge("otaru_reports_waiting", "Reports taken from devices that are not yet durable.", now.waiting),
        gauge("otaru_reports_waiting_limit", "Reports that may wait; beyond them devices wait.", WAITING),
        Family::counts(
            "otaru_database_errors_total",
            "Statements and commits that failed: busy (another transaction was in the way, tried again), unavailable, full (no room on the disk), or refused.",
            errors,
        ),
    ]
}

fn tasks(counters: &Counters, measures: &Measures) -> Vec<Family> {
    let shown = [
        ("pushes", "otaru_pushes_total"),
        ("configuration_pushes", "otaru_configuration_pushes_total"),
        ("unsendable", "otaru_unsendable_offers_total"),
        ("shared_identities", "otaru_shared_identities_total"),
        ("events", "otaru_events_total"),
        ("tasks_created", "otaru_tasks_created_total"),
    ];
    let mut families: Vec<Family> = counters
        .all()
        .filter_map(|count| {
            let (_, name) = shown.iter().find(|(counter, _)| *counter == count.name)?;
            Some(Family::one(name, Kind::Counter, count.help, count.value as f64))
        })
        .collect();
    let pairs = TaskState::ALL.iter().flat_map(|from| TaskState::ALL.iter().map(move |to| (*from, *to)));
    let moves = pairs.filter(|(from, to)| from != to).map(|(from, to)| Labelled {
        labels: vec![("from", from.as_str().into()), ("to", to.as_str().into())],
        help: "",
        value: measures.moves[from as usize][to as usize].load(Ordering::Relaxed) as f64,
    });
    families.push(Family::counts(
        "otaru_task_transitions_total",
        "Tasks that went from one state to another.",
        moves.collect(),
    ));
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_in_one_family() {
        let counters = Counters::default();
        // Each counts a number of its own, which must come out exactly once.
        let door = door::Counters::default();
        let families = || families(&counters, &Measures::default(), &door, &Now::default());
        let total = |families: &[Family]| -> f64 {
            let sum = |family: &Family| match &family.values {
                Values::One(value) if family.kind == Kind::Counter => *value,
                Values::Labelled(values) => values.iter().map(|labelled| labelled.value).sum(),
                _ => 0.0,
            };
            families.iter().map(sum).sum()
        };
        Counters::add_many(&door.blocks, 1);
        Counters::add_many(&door.bad_password, 10);
        Counters::add_many(&counters.get_messages, 100);
        Counters::add_many(&counters.failed_reports, 1_000);
        Counters::add_many(&counters.pushes, 10_000);
        assert!((total(&families()) - 11_111.0).abs() < 0.5);
    }

    #[test]
    fn the_counters_named_here_exist() {
        let door = door::Counters::default();
        for name in TRAFFIC.iter().map(|(name, _)| *name).chain([UPLINKS]) {
            assert!(door.all().any(|count| count.name == name), "{name}");
        }
    }
}
