//! Which versions the devices run, now and before, and how upgrades end.

use std::collections::{BTreeMap, BTreeSet};

use rollout::{DEFAULT_MODULE, Id, Ms};
use store::device_counts::{self, DeviceCounts};
use store::statistics::{self, Ended, HOUR_MS, MINUTE_MS, Of, VersionChange, Versions};

use super::{failed, product_in};
use crate::Server;
use crate::error::OrderError;

/// Rows that are added up for one answer.
const MOST_ROWS: u32 = 50_000;
/// What is looked at if nothing else is asked for.
const WEEK_MS: Ms = 7 * 24 * HOUR_MS;

/// From when until when, in milliseconds; the week until now if absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// The hour, or the minutes, of this time are the first.
    pub from: Option<Ms>,
    /// The hour, or the minutes, of this time are the last.
    pub until: Option<Ms>,
}

/// Whose upgrades.
#[derive(Clone, Copy, Debug)]
pub enum UpgradesOf {
    /// All of the product.
    Product,
    /// Of a package.
    Package(Id),
    /// Of a job.
    Job(Id),
}

/// Versions over some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Those that most devices ran at some moment of it.
    pub versions: Vec<String>,
    /// How it was before the first hour, and after each hour in which something changed.
    pub points: Vec<Point>,
}

/// How tasks ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrades {
    /// Minutes that are counted together.
    pub step_minutes: i64,
    /// The oldest first.
    pub ended: Vec<Ended>,
}

/// How it was at the end of an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// When the hour began.
    pub at: Ms,
    /// Devices that had reported the module.
    pub devices: i64,
    /// Those of each of the versions, in their order.
    pub counts: Vec<i64>,
}

/// The hours of a span.
#[derive(Clone, Copy)]
struct Hours {
    from: i64,
    /// The last one.
    until: i64,
}

impl Server {
    /// The devices of some products, by status; a product without devices has none.
    pub async fn device_counts(&self, products: &[Id]) -> Result<BTreeMap<Id, DeviceCounts>, OrderError> {
        let mut tx = self.read().await?;
        device_counts::of(&mut tx, products).await.map_err(failed("read statistics"))
    }

    /// The devices of a product by the version of a module, now; and how many devices it has at all.
    pub async fn versions(
        &self,
        product_key: &str,
        module: Option<&str>,
        most: u32,
    ) -> Result<(Versions, i64), OrderError> {
        let read = failed("read statistics");
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?.id;
        let module = module.unwrap_or(DEFAULT_MODULE);
        let versions = statistics::versions(&mut tx, product, module, most).await.map_err(&read)?;
        let counts = device_counts::of(&mut tx, &[product]).await.map_err(&read)?;
        Ok((versions, counts.get(&product).map_or(0, |counts| counts.all)))
    }

    /// The devices of a product by the version of a module, hour by hour: worked out backwards from now.
    pub async fn version_history(
        &self,
        product_key: &str,
        module: Option<&str>,
        span: Span,
        most: u32,
    ) -> Result<History, OrderError> {
        let hours = self.hours(span)?;
        let module = module.unwrap_or(DEFAULT_MODULE);
        let read = failed("read statistics");
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?.id;
        let now = statistics::versions(&mut tx, product, module, most).await.map_err(&read)?;
        let changes =
            statistics::changes(&mut tx, product, module, hours.from, MOST_ROWS).await.map_err(&read)?;
        check_rows(changes.len())?;
        let changed: BTreeSet<&str> = changes.iter().filter_map(|change| change.version.as_deref()).collect();
        let others = statistics::counts_of(&mut tx, product, module, changed.into_iter()).await;
        let present = now.versions.iter().cloned().chain(others.map_err(&read)?);
        let present = present.map(|count| (count.version, count.devices)).collect();
        Ok(history(now.devices, present, &changes, hours, most as usize))
    }

    /// How the tasks of a product, or of some of its jobs, ended.
    pub async fn upgrades(
        &self,
        product_key: &str,
        of: UpgradesOf,
        span: Span,
    ) -> Result<Upgrades, OrderError> {
        let (from, until) = self.bounds(span)?;
        let step = step_of(until - from);
        let minutes = (from / MINUTE_MS / step * step, until / MINUTE_MS + 1);
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?.id;
        let of = match of {
            UpgradesOf::Product => Of::All,
            UpgradesOf::Package(id) => Of::Package(id),
            UpgradesOf::Job(id) => Of::Job(id),
        };
        let ended = statistics::ends(&mut tx, product, of, minutes, step, MOST_ROWS).await;
        let ended = ended.map_err(failed("read statistics"))?;
        check_rows(ended.len())?;
        Ok(Upgrades { step_minutes: step, ended })
    }

    /// The hours of a span, as far as they are kept.
    fn hours(&self, span: Span) -> Result<Hours, OrderError> {
        let (from, until) = self.bounds(span)?;
        Ok(Hours { from: from / HOUR_MS, until: until / HOUR_MS })
    }

    /// The bounds of a span, as far as it is kept.
    fn bounds(&self, Span { from, until }: Span) -> Result<(Ms, Ms), OrderError> {
        let now = self.core.now();
        let until = until.unwrap_or(now).min(now);
        let from = from.unwrap_or(until - WEEK_MS);
        if from > until {
            let text = "the statistics asked for end before they begin, or begin in the future; `from` must lie before `until`, and both before now";
            return Err(OrderError::invalid("spanInvalid", text).with("field", "from"));
        }
        let kept = self.core.keep_events.map_or(0, |keep| now.saturating_sub(keep));
        Ok((from.max(kept), until))
    }
}

/// Minutes told together of so long a time: few enough to be looked at, many enough to show how it went.
fn step_of(span: Ms) -> i64 {
    match span / HOUR_MS {
        ..3 => 1,
        3..24 => 10,
        _ => 60,
    }
}

fn check_rows(rows: usize) -> Result<(), OrderError> {
    if rows < MOST_ROWS as usize {
        return Ok(());
    }
    let text = format!(
        "more than {MOST_ROWS} numbers would have to be added up; ask for a shorter time, with a later `from`"
    );
    Err(OrderError::invalid("spanTooLong", text).with("field", "from"))
}

/// Takes the changes back, from what is now to before the first of them, then notes how it was on the way forth.
fn history(
    mut devices: i64,
    mut counts: BTreeMap<String, i64>,
    changes: &[VersionChange],
    hours: Hours,
    most: usize,
) -> History {
    for VersionChange { version, devices: n, .. } in changes {
        match version {
            None => devices -= n,
            Some(version) => *counts.entry(version.clone()).or_default() -= n,
        }
    }
    let shown = changes.partition_point(|change| change.hour <= hours.until);
    let changes = &changes[..shown];
    let versions = most_frequent(counts.clone(), changes, most);
    let mut point = Point {
        at: (hours.from - 1) * HOUR_MS,
        devices,
        counts: versions.iter().map(|version| counts.get(version).copied().unwrap_or(0)).collect(),
    };
    let mut points = vec![point.clone()];
    for hour in changes.chunk_by(|a, b| a.hour == b.hour) {
        for VersionChange { hour, version, devices: n } in hour {
            point.at = hour * HOUR_MS;
            match version {
                None => point.devices += n,
                Some(version) => {
                    let place = versions.iter().position(|known| known == version);
                    place.into_iter().for_each(|place| point.counts[place] += n);
                }
            }
        }
        points.push(point.clone());
    }
    History { versions, points }
}

/// The versions with the highest peaks, the highest first.
fn most_frequent(mut counts: BTreeMap<String, i64>, changes: &[VersionChange], most: usize) -> Vec<String> {
    let mut peaks = counts.clone();
    for VersionChange { version, devices: n, .. } in changes {
        let Some(version) = version else { continue };
        if let (Some(count), Some(peak)) = (counts.get_mut(version), peaks.get_mut(version)) {
            *count += n;
            *peak = (*peak).max(*count);
        }
    }
    let mut peaks: Vec<_> = peaks.into_iter().filter(|(_, peak)| *peak > 0).collect();
    peaks.sort_by_key(|(_, peak)| std::cmp::Reverse(*peak));
    peaks.into_iter().take(most).map(|(version, _)| version).collect()
}
