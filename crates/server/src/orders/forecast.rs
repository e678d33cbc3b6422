//! What a job would do, found before it is made: whom it takes, whom it leaves out and why, how long it lasts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use rollout::{
    Aim, Candidate, Fit, Hold, Id, Job, Limits, Meeting, Ms, Overwrite, Package, Product, Rival, Scope,
    Share, Terms, Wave, WaveGroup, Zone, spread,
};
use store::targets::{Alike, Among};
use store::{Tx, Whom};

use super::devices::{Unknown, devices_listed, devices_named};
use super::failed;
use super::filters::selection_in;
use super::groups::group_in;
use super::jobs::{NewJob, NewScope};
use super::looks::Turn;
use super::warning::Warning;
use crate::Server;
use crate::error::OrderError;
use crate::zones;

/// What a job would do if it were made now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Devices that get a task.
    pub matched: i64,
    /// What some of them are; one device may be several of these.
    pub of_matched: OfMatched,
    /// Held jobs of the product whose unfinished tasks may be in the way, if any are.
    pub held_ahead: Vec<HeldJob>,
    /// Devices of the scope that already report the target version, and get none.
    pub on_target: i64,
    /// Devices that get none for another reason, each counted once.
    pub excluded: Excluded,
    /// The names of a list that are no devices of the product.
    pub unknown: Unknown,
    /// Tasks by wave.
    pub waves: Vec<i64>,
    /// Bytes of its largest notice as an MQTT packet.
    pub largest_notice: usize,
    /// What it costs.
    pub estimate: Estimate,
    /// What is hardly meant.
    pub warnings: Vec<Warning>,
}

/// A job that goes on when an operator lets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldJob {
    /// The job.
    pub id: Id,
    /// What holds it.
    pub hold: Hold,
    /// Its unfinished tasks.
    pub unfinished: i64,
}

/// Devices among those that get a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfMatched {
    /// Not connected now; those that never were are counted apart.
    pub offline: i64,
    /// Never connected.
    pub never_connected: i64,
    /// May not log in.
    pub disabled: i64,
    /// Never reported the module.
    pub never_reported: i64,
    /// Their task waits behind another one.
    pub queued: i64,
    /// Their task takes another one's place.
    pub replacing: i64,
    /// Their task fails at once, because of another one.
    pub conflicting: i64,
}

/// Devices that get no task, by the first reason that holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excluded {
    /// Names of a list that are no devices of the product.
    pub unknown: i64,
    /// They may not log in.
    pub disabled: i64,
    /// They never connected.
    pub never_connected: i64,
    /// The job's share does not hold them.
    pub outside_share: i64,
    /// They never reported the module, and only certain versions are meant.
    pub never_reported: i64,
    /// The package is a difference to another version.
    pub other_package_source: i64,
    /// The job is for other versions.
    pub other_source: i64,
}

/// How much a job carries, and how long it takes when every device is connected and nothing fails; its windows by the
/// clock of the product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes of files, over all devices.
    pub bytes: i64,
    /// When the first device can be told: after the job's start, in a window.
    pub starts_at: Ms,
    /// When the last can have succeeded.
    pub done_at: Ms,
    /// Whether the job's end comes before that.
    pub cut_short: bool,
    /// What a device is taken to download in a second.
    pub bytes_per_second: i64,
    /// How many download at once.
    pub downloads: i64,
}

/// A device on a slow link writes about so many bytes in a second.
const BYTES_PER_SECOND: i64 = 32 * 1024;

/// What is found before a job is made.
pub(super) struct Prospect {
    pub(super) scope: Scope,
    pub(super) targets: Vec<Id>,
    /// Those of the order, with the groups and thresholds of its waves.
    pub(super) terms: Terms,
    pub(super) forecast: Forecast,
}

/// Devices that a job finds alike, with what that means to it.
struct Kind {
    alike: Alike,
    fit: Fit,
    /// Where its devices stand, if that matters.
    places: Vec<Place>,
}

/// Where a device stands in the order of the package, and the first wave that is a group of it.
#[derive(Clone, Copy)]
struct Place {
    spread: i64,
    group: Option<usize>,
}

/// Of which moment a look is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The present.
    Now,
    /// The present too, but for what devices say and whether they are connected, which may be of some seconds ago.
    Lately,
}

impl Server {
    /// Looks at the devices of a job's scope by the rules that will make its tasks.
    pub(super) async fn look(
        &self,
        new: &NewJob,
        package: &Package,
        product: &Product,
        largest_notice: usize,
        moment: Moment,
    ) -> Result<Prospect, OrderError> {
        let may_be_kept =
            moment == Moment::Lately && !matches!(new.scope, NewScope::Named(_) | NewScope::Csv { .. });
        let turn = if may_be_kept { Some(self.core.looks.turn().await) } else { None };
        let mut tx = self.read().await?;
        let mut unknown = Unknown::default();
        let (mut whom, mut targets) = (Whom::All, vec![]);
        let mut scope = match &new.scope {
            NewScope::All => Scope::All,
            NewScope::Percent { thousandths } => share_of(*thousandths, i64::MAX),
            NewScope::Named(names) => {
                targets = devices_named(&mut tx, product, names).await?;
                Scope::Named
            }
            NewScope::Csv { csv, leave_out_unknown } => {
                let listed = devices_listed(&mut tx, product, csv, *leave_out_unknown).await?;
                (targets, unknown) = listed;
                Scope::Named
            }
            NewScope::Filter(filter) => {
                whom = Whom::Meant(selection_in(&mut tx, product, filter, self.core.now()).await?);
                Scope::Filter { filter: filter.clone() }
            }
            NewScope::Group(name) => {
                let group = group_in(&mut tx, product, name).await?;
                let found = store::groups::whom(&mut tx, &group, self.core.now()).await;
                whom = found.map_err(failed("read a group"))?;
                Scope::Group { group: group.id, name: group.name }
            }
        };
        let groups = self.wave_groups(&mut tx, new, product).await?;
        let among = if scope == Scope::Named { Among::Devices(&targets) } else { Among::Whom(&whom) };
        let read = failed("read jobs");
        let open = store::jobs::open_of(&mut tx, package.product_id).await.map_err(&read)?;
        let aim = Aim { scope: &scope, terms: &new.terms, package };
        let alike = if new.terms.only_new {
            Arc::default()
        } else {
            alike(&mut tx, &aim, among, &open, turn).await?
        };
        let mut kinds = kinds(&aim, &alike, &groups);
        let held =
            store::jobs::counted(&mut tx, open.into_iter().filter(|j| j.hold.is_some()).collect()).await;
        let held = held.map_err(&read)?;
        drop(tx);
        let wave_groups: Vec<WaveGroup> = groups.into_iter().map(|(group, _)| group).collect();
        let mut excluded = Excluded { unknown: unknown.n as i64, ..Excluded::default() };
        if let NewScope::Percent { thousandths } = new.scope {
            let threshold = threshold(&kinds, thousandths);
            scope = share_of(thousandths, threshold);
            excluded.outside_share = cut(&mut kinds, threshold);
        }
        let waves = waves(&new.terms.waves, &kinds);
        let terms = Terms { wave_groups, waves, ..new.terms.clone() };
        let mut forecast = Forecast { largest_notice, excluded, unknown, ..Forecast::default() };
        kinds.iter().for_each(|kind| forecast.add(kind, &terms));
        if forecast.of_matched.queued + forecast.of_matched.conflicting > 0 {
            forecast.held_ahead = held.iter().filter_map(HeldJob::of).collect();
        }
        forecast.waves = wave_sizes(&terms, &kinds, forecast.matched);
        let (now, limits) = (self.core.now(), self.core.limits);
        let zone = zones::around(product.timezone.as_ref().unwrap_or(&self.core.timezone), now);
        forecast.estimate = estimate(&terms, &Speed::of(new, package, limits), &forecast, &zone, now);
        Ok(Prospect { scope, targets, terms, forecast })
    }

    /// The groups that are waves, with their devices.
    async fn wave_groups(
        &self,
        tx: &mut Tx,
        new: &NewJob,
        product: &Product,
    ) -> Result<Vec<(WaveGroup, BTreeSet<Id>)>, OrderError> {
        let read = failed("read a group");
        let mut found = Vec::with_capacity(new.terms.wave_groups.len());
        for wave in &new.terms.wave_groups {
            let group = group_in(tx, product, &wave.name).await?;
            let devices = store::groups::devices(tx, &group, self.core.now()).await.map_err(&read)?;
            found.push((WaveGroup { group: group.id, name: group.name }, devices));
        }
        Ok(found)
    }
}

/// Whether it matters which devices are alike.
fn asks_which(aim: &Aim<'_>) -> bool {
    matches!(aim.scope, Scope::Percent { .. }) || aim.terms.count_waves() > 0
}

async fn alike(
    tx: &mut Tx,
    aim: &Aim<'_>,
    among: Among<'_>,
    jobs: &[Job],
    turn: Option<Turn<'_>>,
) -> Result<Arc<[Alike]>, OrderError> {
    let which = asks_which(aim);
    let begun = Instant::now();
    let kept = match (turn, among) {
        (Some(turn), Among::Whom(whom)) => {
            let asked = turn.asked(aim.package, whom, jobs, which);
            if let Some(found) = turn.kept(&asked, begun) {
                return Ok(found);
            }
            Some((turn, asked))
        }
        _ => None,
    };
    let found = store::targets::alike(tx, among, aim.package, jobs, which).await;
    let found = found.map_err(failed("read devices"))?.into();
    if let Some((turn, asked)) = kept {
        turn.keep(asked, &found, begun, begun.elapsed());
    }
    Ok(found)
}

fn kinds(aim: &Aim<'_>, alike: &[Alike], groups: &[(WaveGroup, BTreeSet<Id>)]) -> Vec<Kind> {
    let place = |device: &Id| Place {
        spread: spread(aim.package.id, *device),
        group: groups.iter().position(|(_, devices)| devices.contains(device)),
    };
    let kind = |alike: &Alike| {
        let Alike { enabled, came, online, ref version, ref rivals, n, ref devices } = *alike;
        let fit = aim.fit(Candidate { enabled, came, version: version.as_deref() });
        let places = devices.iter().map(place).collect();
        let (version, rivals, devices) = (version.clone(), rivals.clone(), vec![]);
        Kind { fit, places, alike: Alike { enabled, came, online, version, rivals, n, devices } }
    };
    alike.iter().map(kind).collect()
}

impl HeldJob {
    fn of(job: &Job) -> Option<Self> {
        let unfinished = job.counts.unfinished();
        let hold = job.hold.filter(|_| unfinished > 0)?;
        Some(Self { id: job.id, hold, unfinished })
    }
}

impl Kind {
    /// Whether the scope is taken of these devices.
    fn in_scope(&self) -> bool {
        !matches!(self.fit, Fit::Disabled | Fit::NeverConnected)
    }
}

const fn share_of(thousandths: u32, threshold: i64) -> Scope {
    Scope::Percent { thousandths, threshold }
}

/// Where devices stand in the order of the package.
fn spreads(kinds: &[Kind], wanted: impl Fn(&Kind) -> bool) -> Vec<i64> {
    let wanted = kinds.iter().filter(|kind| wanted(kind));
    wanted.flat_map(|kind| &kind.places).map(|place| place.spread).collect()
}

/// The spread of the last device of a share: of all devices the `floor(n·p/100)` with the lowest spreads, at
/// least one. Those on target are left out only then, so that a share stays a part of a larger one while it
/// succeeds.
fn threshold(kinds: &[Kind], thousandths: u32) -> i64 {
    let mut spreads = spreads(kinds, Kind::in_scope);
    let wanted = (spreads.len() as u64 * u64::from(thousandths) / 100_000).max(1) as usize;
    match wanted.min(spreads.len()).checked_sub(1) {
        Some(last) => *spreads.select_nth_unstable(last).1,
        None => i64::MIN,
    }
}

/// Leaves those outside a share out; tells how many they are.
fn cut(kinds: &mut [Kind], threshold: i64) -> i64 {
    let mut outside = 0;
    for kind in kinds.iter_mut().filter(|kind| kind.in_scope()) {
        kind.places.retain(|place| place.spread <= threshold);
        let left = len(&kind.places);
        outside += kind.alike.n - left;
        kind.alike.n = left;
    }
    outside
}

/// The waves of a job over the devices that get a task, in the order of their spreads. Unlike a share of the scope
/// they are parts of this job only: whoever gets no task is in none of them.
fn waves(wanted: &[Wave], kinds: &[Kind]) -> Vec<Wave> {
    let mut spreads = spreads(kinds, |kind| kind.fit == Fit::Taken);
    if !wanted.is_empty() {
        spreads.sort_unstable();
    }
    let all = len(&spreads);
    let size = |share: Share| match share {
        Share::Count { n } => n,
        Share::Percent { thousandths } => all * i64::from(thousandths) / 100_000,
    };
    let threshold = |share| {
        let last = usize::try_from(size(share).max(1) - 1).unwrap_or(usize::MAX);
        spreads.get(last).copied().unwrap_or(i64::MAX)
    };
    wanted.iter().map(|wave| Wave { threshold: threshold(wave.share), ..*wave }).collect()
}

/// Tasks by wave.
fn wave_sizes(terms: &Terms, kinds: &[Kind], matched: i64) -> Vec<i64> {
    if terms.count_waves() == 0 {
        return vec![matched];
    }
    let mut sizes = vec![0; terms.count_waves()];
    let taken = kinds.iter().filter(|kind| kind.fit == Fit::Taken).flat_map(|kind| &kind.places);
    for place in taken {
        let wave = terms.wave_of(place.spread, |n| place.group == Some(n));
        let wave = usize::try_from(wave).ok();
        if let Some(size) = wave.and_then(|wave| sizes.get_mut(wave)) {
            *size += 1;
        }
    }
    sizes
}

impl Forecast {
    fn add(&mut self, kind: &Kind, terms: &Terms) {
        let Alike { enabled, came, online, ref version, ref rivals, n, .. } = kind.alike;
        match kind.fit {
            Fit::Taken => {
                self.matched += n;
                let of = &mut self.of_matched;
                of.offline += if came && !online { n } else { 0 };
                of.never_connected += if came { 0 } else { n };
                of.disabled += if enabled { 0 } else { n };
                of.never_reported += if version.is_none() { n } else { 0 };
                of.meet(rivals, terms, n);
            }
            Fit::OnTarget => self.on_target += n,
            Fit::Disabled => self.excluded.disabled += n,
            Fit::NeverConnected => self.excluded.never_connected += n,
            Fit::NeverReported => self.excluded.never_reported += n,
            Fit::OtherPackageSource => self.excluded.other_package_source += n,
            Fit::OtherSource => self.excluded.other_source += n,
        }
    }
}

impl OfMatched {
    fn meet(&mut self, rivals: &[Rival], terms: &Terms, n: i64) {
        let met: Vec<Meeting> = rivals.iter().map(|rival| terms.meets(*rival)).collect();
        match () {
            () if met.contains(&Meeting::Stays) && terms.overwrite == Overwrite::Queue => self.queued += n,
            () if met.contains(&Meeting::Stays) => self.conflicting += n,
            () if met.contains(&Meeting::Yields) => self.replacing += n,
            () => {}
        }
    }
}

impl Excluded {
    /// Those left out for the version they report, or do not.
    pub fn by_version(&self) -> i64 {
        self.never_reported + self.other_package_source + self.other_source
    }
}

/// How fast notices leave: at the job's rate, within the byte budgets, and as many at once as may download.
struct Speed {
    per_minute: Option<i64>,
    kbit_per_second: Option<i64>,
    downloads: i64,
    /// Bytes of the file, or files.
    size: i64,
}

impl Speed {
    fn of(new: &NewJob, package: &Package, limits: Limits) -> Self {
        Self {
            per_minute: new.need_push.then(|| new.rate()),
            kbit_per_second: new.terms.kbit_per_second.into_iter().chain(limits.kbit_per_second).min(),
            downloads: limits.downloads,
            size: package.bytes(),
        }
    }

    /// Seconds of one download.
    fn each(&self) -> i64 {
        ceil(self.size, BYTES_PER_SECOND)
    }

    /// Seconds until so many devices have been told.
    fn telling(&self, devices: i64) -> i64 {
        let bytes = devices.saturating_mul(self.size);
        let by_rate = self.per_minute.map_or(0, |rate| ceil(devices * 60, rate));
        let by_budget = self.kbit_per_second.map_or(0, |kbit| ceil(bytes, (kbit * 1_000 / 8).max(1)));
        let by_downloads = (ceil(devices, self.downloads) - 1).max(0) * self.each();
        by_rate.max(by_budget).max(by_downloads)
    }
}

/// Devices are told wave by wave, each after the one before has soaked; only in windows, and whoever is told
/// finishes outside them too.
fn estimate(terms: &Terms, speed: &Speed, forecast: &Forecast, zone: &Zone, now: Ms) -> Estimate {
    let openings = terms.openings(zone);
    let starts_at = openings.opens_at(terms.start_at.map_or(now, |at| at.max(now)));
    let devices = forecast.matched - forecast.of_matched.conflicting;
    let (mut left, mut at, mut done_at) = (devices, starts_at, starts_at);
    for size in &forecast.waves {
        let told = left.min(*size);
        left -= told;
        if told > 0 {
            done_at = openings.after_open(at, speed.telling(told) * 1_000) + speed.each() * 1_000;
            at = done_at + terms.soak_ms;
        }
    }
    Estimate {
        bytes: devices.saturating_mul(speed.size),
        starts_at,
        done_at,
        cut_short: terms.end_at.is_some_and(|end| end < done_at),
        bytes_per_second: BYTES_PER_SECOND,
        downloads: speed.downloads,
    }
}

fn ceil(n: i64, by: i64) -> i64 {
    let by = by.max(1);
    n / by + i64::from(n % by != 0)
}

fn len<T>(list: &[T]) -> i64 {
    i64::try_from(list.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use rollout::Window;

    use super::*;

    /// Devices numbered from 0, of one kind.
    fn fleet(n: i64) -> Vec<Kind> {
        vec![kind(0..n, Fit::Taken)]
    }

    fn kind(devices: std::ops::Range<i64>, fit: Fit) -> Kind {
        let place = |device| Place { spread: spread(7, device), group: None };
        let places: Vec<Place> = devices.map(place).collect();
        let alike = Alike {
            enabled: true,
            came: true,
            online: true,
            version: None,
            rivals: vec![],
            n: len(&places),
            devices: vec![],
        };
        Kind { alike, fit, places }
    }

    #[test]
    fn a_share_is_the_floor_but_at_least_one() {
        let matched = |thousandths, n| {
            let mut fleet = fleet(n);
            let threshold = threshold(&fleet, thousandths);
            let outside = cut(&mut fleet, threshold);
            assert_eq!(outside + fleet[0].alike.n, n);
            fleet[0].alike.n
        };
        assert_eq!(
            (matched(10_000, 55), matched(1, 55), matched(100_000, 55), matched(50_000, 0)),
            (5, 1, 55, 0)
        );
    }

    #[test]
    fn a_share_that_succeeded_is_a_part_of_a_larger_one() {
        let all = fleet(100);
        let tenth = threshold(&all, 10_000);
        let (done, rest): (Vec<Place>, Vec<Place>) =
            all[0].places.iter().partition(|place| place.spread <= tenth);
        let of = |places: Vec<Place>, fit| Kind { places, ..kind(0..0, fit) };
        let mut kinds = vec![of(done, Fit::OnTarget), of(rest, Fit::Taken)];
        let larger = threshold(&kinds, 30_000);
        cut(&mut kinds, larger);
        assert_eq!(kinds.iter().map(|kind| kind.alike.n).collect::<Vec<_>>(), [10, 20]);
    }

    #[test]
    fn waves_are_cumulative_and_the_last_takes_what_is_left() {
        let wave = |share| Wave { share, threshold: 0 };
        let percent = |thousandths| wave(Share::Percent { thousandths });
        let sizes = |wanted: &[Wave], n| {
            let fleet = fleet(n);
            let terms = Terms { waves: waves(wanted, &fleet), ..Terms::default() };
            wave_sizes(&terms, &fleet, n)
        };
        assert_eq!(sizes(&[percent(1_000), percent(10_000), percent(100_000)], 250), [2, 23, 225]);
        assert_eq!(sizes(&[wave(Share::Count { n: 3 }), percent(100_000)], 250), [3, 247]);
        assert_eq!(sizes(&[percent(1_000)], 5), [5], "the last takes what is left");
        assert_eq!(sizes(&[wave(Share::Count { n: 9 })], 5), [5]);
        assert_eq!(sizes(&[], 5), [5]);
    }

    const HOUR: Ms = 3_600_000;
    /// Monday, 2023-11-13T00:00:00Z.
    const MONDAY: Ms = 1_699_833_600_000;

    /// Of files that take a minute each to download.
    fn estimated(terms: &Terms, per_minute: i64, waves: &[i64], zone: &Zone) -> Estimate {
        let size = 60 * BYTES_PER_SECOND;
        let speed = Speed { per_minute: Some(per_minute), kbit_per_second: None, downloads: 500, size };
        let matched = waves.iter().sum();
        let forecast = Forecast { matched, waves: waves.to_vec(), ..Forecast::default() };
        estimate(terms, &speed, &forecast, zone, MONDAY)
    }

    #[test]
    fn an_estimate_waits_for_the_start_the_windows_and_the_waves() {
        let night = Window { days: 0b111_1111, from: 22 * 60, to: 24 * 60 };
        let terms = Terms { soak_ms: HOUR, ..Terms::default() };
        let windows = Terms { windows: vec![night], ..terms.clone() };
        let utc = Zone::default();
        let minute = HOUR / 60;
        let told = |terms: &Terms, waves: &[i64], zone: &Zone| {
            let found = estimated(terms, 1, waves, zone);
            (found.starts_at - MONDAY, found.done_at - MONDAY)
        };
        assert_eq!(told(&terms, &[], &utc), (0, 0));
        assert_eq!(told(&terms, &[0], &utc), (0, 0));
        assert_eq!(told(&terms, &[30], &utc), (0, 31 * minute));
        assert_eq!(told(&terms, &[30, 30], &utc), (0, HOUR + 62 * minute));
        assert_eq!(told(&terms, &[0, 30], &utc), (0, 31 * minute), "an empty wave does not soak");
        let later = Terms { start_at: Some(MONDAY + 7 * HOUR), ..terms.clone() };
        assert_eq!(told(&later, &[30], &utc), (7 * HOUR, 7 * HOUR + 31 * minute));
        // Two hours a night: 150 devices take until the second night.
        let nights = (22 * HOUR, (24 + 22) * HOUR + 31 * minute);
        assert_eq!(told(&windows, &[150], &utc), nights);
        let shanghai = Zone(vec![(MONDAY, 8 * HOUR)]);
        assert_eq!(told(&windows, &[150], &shanghai), (nights.0 - 8 * HOUR, nights.1 - 8 * HOUR));
        // The second wave has soaked outside the window.
        assert_eq!(told(&windows, &[110, 5], &utc), (22 * HOUR, (24 + 22) * HOUR + 6 * minute));
    }

    #[test]
    fn an_estimate_says_that_the_end_comes_first() {
        let ends = |end| {
            let terms = Terms { end_at: Some(MONDAY + end), ..Terms::default() };
            estimated(&terms, 1, &[30], &Zone::default()).cut_short
        };
        assert!(ends(HOUR / 2) && !ends(HOUR));
    }

    #[test]
    fn the_slowest_of_rate_budget_and_downloads_decides() {
        let speed = |per_minute, kbit_per_second, downloads| Speed {
            per_minute,
            kbit_per_second,
            downloads,
            size: 1_000_000,
        };
        assert_eq!(speed(None, None, 500).telling(500), 0);
        assert_eq!(speed(Some(60), None, 500).telling(500), 500);
        assert_eq!(speed(Some(60), Some(8_000), 500).telling(1_000), 1_000);
        assert_eq!(speed(Some(6_000), Some(800), 500).telling(10), 100);
        assert_eq!(speed(None, None, 100).telling(500), 4 * 31);
    }

    #[test]
    fn only_devices_that_get_a_task_are_counted_into_waves() {
        let kinds =
            vec![kind(0..30, Fit::OtherSource), kind(30..34, Fit::Taken), kind(34..40, Fit::OnTarget)];
        let wave = |share| Wave { share, threshold: 0 };
        let sizes = |first, second| {
            let last = Share::Percent { thousandths: 100_000 };
            let waves = waves(&[wave(first), wave(second), wave(last)], &kinds);
            wave_sizes(&Terms { waves, ..Terms::default() }, &kinds, 4)
        };
        assert_eq!(sizes(Share::Count { n: 1 }, Share::Count { n: 2 }), [1, 1, 2]);
        let percent = |thousandths| Share::Percent { thousandths };
        assert_eq!(sizes(percent(25_000), percent(50_000)), [1, 1, 2]);
        assert_eq!(sizes(percent(1_000), percent(75_000)), [1, 2, 1]);
    }
}
