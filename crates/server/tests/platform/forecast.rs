//! A job's forecast, held against the tasks that are then made.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::*;
use bytes::Bytes;
use otaru_server::rollout::{
    Changes, Hold, Id, Job, ModuleVersion, Overwrite, Package, Reason, Share, Task, TaskState, Terms,
    Waiting, Wave,
};
use otaru_server::{
    CancelOf, HeldJob, NewDevice, NewJob, NewPackage, NewProduct, NewScope, Order, Paging, TaskView,
};

const PK: &str = "a1TestPk001";
const DEVICES: usize = 10;

/// A small generator: the same numbers for the same rng seed.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().filter(|_| self.below(2) == 0).cloned().collect()
    }
}

/// A product with devices in all conditions, none of them connected.
struct Fleet<'a> {
    world: &'a World,
    key: String,
    names: Vec<String>,
}

impl<'a> Fleet<'a> {
    async fn new(world: &'a World, seed: u64, rng: &mut Rng) -> Self {
        let key = format!("a1Fleet{seed:04}");
        let new = NewProduct { name: key.clone(), product_key: Some(key.clone()), ..NewProduct::default() };
        world.server.create_product(new).await.unwrap();
        let module = otaru_server::NewModule { name: "MCU".into(), alias: None, description: None };
        world.server.create_module(&key, module).await.unwrap();
        let names: Vec<String> = (0..DEVICES).map(|n| format!("dev{n:03}")).collect();
        let new = |name: &String| NewDevice { device_name: Some(name.clone()), device_secret: None };
        let made = world.server.import_devices(&key, names.iter().map(new).collect()).await.unwrap();
        let mut changes = Changes::default();
        for made in made {
            let mut device = made.unwrap().device;
            device.first_online_at = (rng.below(5) > 0).then_some(START);
            device.enabled = rng.below(6) > 0;
            for (module, versions) in [("default", ["1", "1.1", "2", ""]), ("MCU", ["1", "7", "", ""])] {
                let version = rng.pick(&versions).to_owned();
                if !version.is_empty() {
                    changes.versions.push(said(device.id, module, version));
                }
            }
            changes.devices.push(device);
        }
        let mut tx = world.store.begin().await.unwrap();
        store::committer::apply(&mut tx, &changes).await.unwrap();
        tx.commit().await.unwrap();
        Self { world, key, names }
    }

    async fn package(&self, module: &str, version: &str, src_version: Option<String>) -> Package {
        let new = NewPackage { module: Some(module.into()), src_version, ..new_package(version) };
        let mut upload = self.world.server.start_package(&self.key, new).await.unwrap();
        upload.write(Bytes::from_static(b"x")).await.unwrap();
        upload.finish().await.unwrap()
    }

    async fn tasks(&self, job: &Job) -> Vec<TaskView> {
        self.world.until(job, "enrolled", |job, _| job.work.is_none()).await;
        self.world.tasks(job).await
    }

    /// A job whose tasks are unfinished, some of them begun.
    async fn old_job(&self, rng: &mut Rng) {
        let package = self.package(rng.pick(&["default", "MCU"]), "9", None).await;
        let scope = NewScope::Named(rng.some(&self.names));
        let new = NewJob { scope, terms: conflicts(rng), ..new_job(&package) };
        let Ok(made) = self.world.server.create_job(new).await else { return };
        let mut changes = Changes::default();
        for TaskView { task, .. } in self.tasks(&made.job).await {
            if task.state == TaskState::Queued && rng.below(3) == 0 {
                *changes.counts.entry((task.job_id, TaskState::Queued)).or_default() -= 1;
                *changes.counts.entry((task.job_id, TaskState::InProgress)).or_default() += 1;
                let heard_at = Some(START);
                changes.tasks.push(Task { state: TaskState::InProgress, heard_at, ..task });
            }
        }
        let mut tx = self.world.store.begin().await.unwrap();
        store::committer::apply(&mut tx, &changes).await.unwrap();
        tx.commit().await.unwrap();
    }
}

fn said(device_id: Id, module: &str, version: String) -> ModuleVersion {
    let (epoch, first_reported_at, reported_at) = (1, START, START);
    ModuleVersion {
        device_id,
        module: module.into(),
        version,
        epoch,
        first_reported_at,
        reported_at,
        given_up: None,
    }
}

fn conflicts(rng: &mut Rng) -> Terms {
    let overwrite = rng.pick(&[Overwrite::Keep, Overwrite::Replace, Overwrite::Queue]);
    let multi_module = overwrite != Overwrite::Replace && rng.below(2) == 0;
    Terms { overwrite, multi_module, ..Terms::default() }
}

fn waves(rng: &mut Rng) -> Vec<Wave> {
    let wave = |share| Wave { share, threshold: i64::MAX };
    let percent = |thousandths| wave(Share::Percent { thousandths });
    rng.pick(&[
        vec![],
        vec![percent(20_000), percent(100_000)],
        vec![wave(Share::Count { n: 2 }), wave(Share::Count { n: 5 }), percent(100_000)],
    ])
}

fn scope(rng: &mut Rng, names: &[String]) -> NewScope {
    match rng.below(3) {
        0 => NewScope::All,
        1 => NewScope::Percent { thousandths: rng.pick(&[1, 30_000, 60_000, 100_000]) },
        _ => NewScope::Named([vec![names[0].clone()], rng.some(names)].concat()),
    }
}

/// Devices whose task was cancelled for one of `job`.
async fn overwritten(fleet: &Fleet<'_>, job: Id) -> BTreeSet<Id> {
    let mut found = BTreeSet::new();
    for name in &fleet.names {
        let paging = Paging { after: None, limit: 200 };
        let tasks =
            fleet.world.server.device_tasks(&fleet.key, name, Order::Oldest, paging).await.unwrap().items;
        let reason = Some(Reason::Overwritten { job });
        found.extend(tasks.into_iter().filter(|v| v.task.reason == reason).map(|v| v.task.device_id));
    }
    found
}

#[tokio::test]
async fn what_a_forecast_says_is_what_happens() {
    let cases = if cfg!(feature = "postgres-tests") { 8 } else { 24 };
    let world = World::new().await;
    let mut seen = BTreeMap::new();
    for seed in 0..cases {
        let rng = &mut Rng(seed);
        let fleet = Fleet::new(&world, seed, rng).await;
        for _ in 0..rng.below(4) {
            fleet.old_job(rng).await;
        }
        let source = rng.pick(&[None, None, Some("1".to_owned())]);
        // A difference is for its own source only.
        let listed: &[Vec<&str>] = &[vec![], vec!["1"], vec!["1", "1.1"]];
        let src_versions = rng.pick(if source.is_some() { &listed[..2] } else { listed });
        let package = fleet.package("default", "2", source).await;
        let terms = Terms {
            src_versions: src_versions.into_iter().map(Into::into).collect(),
            waves: waves(rng),
            ..conflicts(rng)
        };
        let new = NewJob { scope: scope(rng, &fleet.names), terms, ..new_job(&package) };
        let told = world.server.forecast_job(&new).await.unwrap();
        let created = world.server.create_job(new.clone()).await;
        if told.matched == 0 {
            assert_eq!(created.unwrap_err().code, "noDeviceMatched", "rng seed {seed}");
            continue;
        }
        let created = created.unwrap();
        assert_eq!(created.forecast, told, "rng seed {seed}");
        let tasks = fleet.tasks(&created.job).await;
        let is_conflict = |v: &&TaskView| matches!(v.task.reason, Some(Reason::Conflict { .. }));
        let is_queued = |v: &&TaskView| matches!(v.waiting, Some(Waiting::QueuedBehind { .. }));
        let queued: BTreeSet<Id> = tasks.iter().filter(is_queued).map(|v| v.task.device_id).collect();
        let replaced = overwritten(&fleet, created.job.id).await;
        let of = told.of_matched;
        let text = format!("rng seed {seed}: {new:?} {told:?}");
        assert_eq!(tasks.len() as i64, told.matched, "{text}");
        assert_eq!(tasks.iter().filter(is_conflict).count() as i64, of.conflicting, "{text}");
        // A task whose wave is not open does not say yet behind what it waits.
        if new.terms.waves.is_empty() {
            assert_eq!(queued.len() as i64, of.queued, "{text}");
            assert_eq!(replaced.difference(&queued).count() as i64, of.replacing, "{text}");
        }
        let silent = tasks.iter().filter(|v| v.task.src_version.is_none()).count();
        assert_eq!(silent as i64, of.never_reported, "{text}");
        let in_wave = |wave| tasks.iter().filter(|v| v.task.wave == wave).count() as i64;
        assert_eq!((0..told.waves.len() as i32).map(in_wave).collect::<Vec<_>>(), told.waves, "{text}");
        for (what, n) in [("fails", of.conflicting), ("waits", of.queued), ("replaces", of.replacing)] {
            *seen.entry(what).or_insert(0) += n;
        }
    }
    assert!(seen.values().all(|n| *n > 0), "every outcome was met: {seen:?}");
}

#[tokio::test]
async fn a_forecast_names_every_cause_and_makes_nothing() {
    let world = World::new().await;
    world.product().await;
    let mut online = Vec::new();
    for (name, version) in [("on-1", "1.0.0"), ("on-2", "2.0.0"), ("on-3", "0.9")] {
        let key = world.device(name).await;
        online.push(Device::online(&world, &key, version).await);
    }
    let gone = world.device("gone").await;
    Device::online(&world, &gone, "1.0.0").await.hang_up().await;
    let mute = world.device("mute").await;
    let _mute = Device::connect(&world, &mute).await;
    for name in ["never", "disabled"] {
        world.device(name).await;
    }
    world.server.set_device_enabled(PK, "disabled", false).await.unwrap();
    let package = world.package("2.0.0", &[1; 100_000]).await;
    let terms = Terms { src_versions: vec!["1.0.0".into()], ..Terms::as_the_cloud() };
    let new = NewJob { terms, rate_per_minute: Some(1), ..new_job(&package) };
    let told = loop {
        let told = world.server.forecast_job(&new).await.unwrap();
        if told.of_matched.offline == 1 {
            break told;
        }
        tokio::task::yield_now().await;
    };
    let excluded = told.excluded;
    assert_eq!((told.matched, told.on_target, told.waves.as_slice()), (2, 1, [2].as_slice()));
    assert_eq!((excluded.disabled, excluded.never_connected), (1, 1));
    assert_eq!((excluded.never_reported, excluded.other_source), (1, 1));
    assert_eq!((told.estimate.bytes, told.estimate.done_at - told.estimate.starts_at), (200_000, 124_000));
    assert_eq!(told.estimate.starts_at, START);
    let jobs = world
        .server
        .jobs(otaru_server::JobFilter::All, None, Order::Oldest, Paging { after: None, limit: 9 })
        .await
        .unwrap();
    assert!(jobs.items.is_empty());

    let everyone = ["on-1", "never", "disabled", "mute"];
    let named = NewJob { scope: named(&everyone), terms: Terms::default(), ..new };
    let told = world.server.forecast_job(&named).await.unwrap();
    let of = told.of_matched;
    assert_eq!((told.matched, of.never_connected, of.disabled, of.never_reported), (4, 2, 1, 3));
    let unverified = world.package_of(NewPackage { need_verify: true, ..new_package("3.0.0") }, b"x").await;
    assert_eq!(
        world.server.forecast_job(&new_job(&unverified)).await.unwrap_err().code,
        "packageNotVerified"
    );
}

#[tokio::test]
async fn a_list_with_wrong_names_tells_their_lines_and_makes_nothing_unless_they_may_be_left_out() {
    let world = World::new().await;
    world.product().await;
    for n in 0..19 {
        world.device(&format!("dev{n:03}")).await;
    }
    let package = world.package("2.0.0", b"x").await;
    let lines: Vec<String> = (0..20).map(|n| format!("dev{n:03}")).collect();
    let list = |leave_out_unknown| NewJob {
        scope: NewScope::Csv { csv: format!("{}\ndev000,x", lines.join("\n")), leave_out_unknown },
        ..new_job(&package)
    };
    let refused = world.server.create_job(list(false)).await.unwrap_err();
    assert_eq!((refused.code, &refused.params["unknown"]), ("deviceListInvalid", &2.into()));
    assert_eq!(
        (&refused.params["first"][0]["line"], &refused.params["lines"]),
        (&20.into(), &"20-21".into())
    );
    assert_eq!(refused.params["first"][1]["deviceName"], "x");
    assert_eq!(world.server.forecast_job(&list(false)).await.unwrap_err().code, "deviceListInvalid");
    let created = world.server.create_job(list(true)).await.unwrap();
    assert_eq!((created.forecast.matched, created.forecast.excluded.unknown), (19, 2));
    let unknown = created.forecast.unknown;
    assert_eq!((unknown.first[0].line, &*unknown.lines), (20, "20-21"));
    world.until(&created.job, "enrolled", |job, _| job.work.is_none()).await;
    assert_eq!(world.tasks(&created.job).await.len(), 19);
}

#[tokio::test]
async fn tasks_are_cancelled_by_device() {
    let world = World::new().await;
    world.product().await;
    let names = ["dev001", "dev002", "dev003"];
    let mut devices = Vec::new();
    for name in names {
        let key = world.device(name).await;
        devices.push(Device::online(&world, &key, "1.0.0").await);
    }
    let package = world.package("2.0.0", &[1; 9_000]).await;
    let job = world.job(&package, &names).await;
    let later = world.package("3.0.0", b"x").await;
    let queue = Terms { overwrite: Overwrite::Queue, ..Terms::as_the_cloud() };
    let behind = world.job_of(NewJob { scope: named(&names[..1]), terms: queue, ..new_job(&later) }).await;
    for device in &mut devices {
        device.notice().await;
    }
    world.until_all(&behind, TaskState::Queued).await;
    let of = |names: &[&str], job: Option<Id>, module: Option<&str>| CancelOf {
        device_names: names.iter().map(|n| (*n).into()).collect(),
        job,
        module: module.map(Into::into),
    };
    let cancel = async |which: CancelOf| world.server.cancel_device_tasks(PK, &which).await;
    for (which, code) in [
        (of(&[], None, None), "deviceNamesInvalid"),
        (of(&["dev001", "nobody"], None, None), "deviceNotFound"),
        (of(&["dev001"], Some(7), None), "jobNotFound"),
    ] {
        assert_eq!(cancel(which).await.unwrap_err().code, code);
    }
    assert_eq!(cancel(of(&names, None, Some("MCU"))).await.unwrap(), [0; 0]);
    assert_eq!(cancel(of(&names[..2], Some(job.id), None)).await.unwrap().len(), 2);
    let tasks = world.until(&job, "two cancelled", |job, _| job.counts.get(TaskState::Canceled) == 2).await;
    assert_eq!(tasks[0].reason, Some(Reason::CanceledByOperator));
    assert_eq!(tasks[2].state, TaskState::Notified);
    // What waited behind goes on, and the cancelled device's blocks stop.
    devices[0].notice().await;
    assert_eq!(cancel(of(&names, None, None)).await.unwrap().len(), 2);
    world.until_job(&job, otaru_server::rollout::JobState::Completed).await;
    assert_eq!(cancel(of(&names, None, None)).await.unwrap(), [0; 0]);
}

#[tokio::test]
async fn a_forecast_names_the_held_jobs_that_are_in_the_way() {
    let world = World::new().await;
    world.product().await;
    world.device("dev001").await;
    let of = |package: &Package, overwrite| {
        let terms = Terms { overwrite, ..Terms::default() };
        NewJob { scope: NewScope::Named(vec!["dev001".into()]), terms, ..new_job(package) }
    };
    let (bad, hotfix) = (world.package("2.0.0", b"x").await, world.package("2.0.1", b"y").await);
    let bad = world.job_of(of(&bad, Overwrite::Queue)).await;
    world.until(&bad, "enrolled", |job, tasks| job.work.is_none() && tasks.len() == 1).await;
    let told = world.server.forecast_job(&of(&hotfix, Overwrite::Queue)).await.unwrap();
    assert_eq!((told.of_matched.queued, told.held_ahead), (1, vec![]));
    world.server.pause_job(bad.id).await.unwrap();
    let told = world.server.forecast_job(&of(&hotfix, Overwrite::Queue)).await.unwrap();
    assert_eq!(told.held_ahead, [HeldJob { id: bad.id, hold: Hold::Paused, unfinished: 1 }]);
    let told = world.server.forecast_job(&of(&hotfix, Overwrite::Replace)).await.unwrap();
    assert_eq!((told.of_matched.replacing, told.held_ahead), (1, vec![]));
}
