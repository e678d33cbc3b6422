//! What a job would do, found before it is made: whom it takes, whom it leaves out and why, how long it lasts.

use std::collections::BTreeSet;

use rollout::{
    Aim, Candidate, Fit, Id, Limits, Meeting, Overwrite, Package, Product, Rival, Scope, Share, Terms, Wave,
    WaveGroup, spread,
};
use store::targets::{Alike, Among};
use store::{Tx, Whom};

use super::devices::{Listed, MOST_LINES, devices_listed, devices_named};
use super::failed;
use super::filters::selection_in;
use super::groups::group_in;
use super::jobs::{NewJob, NewScope};
use crate::Server;
use crate::error::OrderError;

/// What a job would do if it were made now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Devices that get a task.
    pub matched: i64,
    /// What some of them are; one device may be several of these.
    pub of_matched: OfMatched,
    /// Devices of the scope that already report the target version, and get none.
    pub on_target: i64,
    /// Devices that get none for another reason, each counted once.
    pub excluded: Excluded,
    /// The first names of a list that are no devices of the product.
    pub unknown: Vec<Listed>,
    /// Tasks by wave.
    pub waves: Vec<i64>,
    /// Bytes of its largest notice as an MQTT packet.
    pub largest_notice: usize,
    /// What it costs.
    pub estimate: Estimate,
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

/// How much a job carries, and how long it takes when every device is connected and nothing fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes of files, over all devices.
    pub bytes: i64,
    /// Seconds from the first notice to the last success, with the times between waves.
    pub seconds: i64,
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

impl Server {
    /// Looks at the devices of a job's scope by the rules that will make its tasks, all at one moment.
    pub(super) async fn look(
        &self,
        new: &NewJob,
        package: &Package,
        product: &Product,
        largest_notice: usize,
    ) -> Result<Prospect, OrderError> {
        let mut tx = self.read().await?;
        let mut unknown = Vec::new();
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
        let mut kinds = kinds(&mut tx, new, package, &scope, among, &groups).await?;
        drop(tx);
        let wave_groups: Vec<WaveGroup> = groups.into_iter().map(|(group, _)| group).collect();
        let mut excluded = Excluded { unknown: len(&unknown), ..Excluded::default() };
        if let NewScope::Percent { thousandths } = new.scope {
            let threshold = threshold(&kinds, thousandths);
            scope = share_of(thousandths, threshold);
            excluded.outside_share = cut(&mut kinds, threshold);
        }
        unknown.truncate(MOST_LINES);
        let waves = waves(&new.terms.waves, &kinds);
        let terms = Terms { wave_groups, waves, ..new.terms.clone() };
        let mut forecast = Forecast { largest_notice, excluded, unknown, ..Forecast::default() };
        kinds.iter().for_each(|kind| forecast.add(kind, &terms));
        forecast.waves = wave_sizes(&terms, &kinds, forecast.matched);
        forecast.estimate = estimate(new, package, &forecast, self.core.limits);
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

async fn kinds(
    tx: &mut Tx,
    new: &NewJob,
    package: &Package,
    scope: &Scope,
    among: Among<'_>,
    groups: &[(WaveGroup, BTreeSet<Id>)],
) -> Result<Vec<Kind>, OrderError> {
    if new.terms.only_new {
        return Ok(vec![]);
    }
    let read = failed("read devices");
    let jobs = store::jobs::open_of(tx, package.product_id).await.map_err(&read)?;
    let which = matches!(scope, Scope::Percent { .. }) || new.terms.count_waves() > 0;
    let alike = store::targets::alike(tx, among, package, &jobs, which).await.map_err(&read)?;
    let aim = Aim { scope, terms: &new.terms, package };
    let kind = |alike: Alike| {
        let Alike { enabled, came, ref version, ref devices, .. } = alike;
        let fit = aim.fit(Candidate { enabled, came, version: version.as_deref() });
        let place = |device: &Id| Place {
            spread: spread(package.id, *device),
            group: groups.iter().position(|(_, devices)| devices.contains(device)),
        };
        let places = devices.iter().map(place).collect();
        Kind { fit, places, alike: Alike { devices: vec![], ..alike } }
    };
    Ok(alike.into_iter().map(kind).collect())
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

/// Notices leave at the job's rate and within the byte budgets, downloads run side by side as far as the platform
/// lets them, and waves soak one after the other. Time outside the windows is left out.
fn estimate(new: &NewJob, package: &Package, forecast: &Forecast, limits: Limits) -> Estimate {
    let devices = forecast.matched - forecast.of_matched.conflicting;
    let each = ceil(package.size, BYTES_PER_SECOND);
    let by_rate = ceil(devices * 60, new.rate());
    let by_downloads = ceil(devices, limits.downloads) * each;
    let bytes = devices.saturating_mul(package.size);
    let budgets = new.terms.kbit_per_second.into_iter().chain(limits.kbit_per_second);
    let by_budget = budgets.map(|kbit| ceil(bytes, (kbit * 1_000 / 8).max(1))).max().unwrap_or(0);
    let soaks = len(&forecast.waves).saturating_sub(1) * (new.terms.soak_ms / 1_000);
    let seconds = if devices == 0 { 0 } else { by_downloads.max(by_rate.max(by_budget) + each) + soaks };
    Estimate { bytes, seconds, bytes_per_second: BYTES_PER_SECOND, downloads: limits.downloads }
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
