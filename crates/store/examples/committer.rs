//! How many reports a second the committer takes in: load, decide, apply, commit, one batch after another.
//!
//! `cargo run --release -p otaru-store --example committer -- report|progress sqlite|postgres://… [BATCH] [DEVICES] [SECONDS]`
//!
//! A batch speaks of neighbouring devices: `report` are version reports, every tenth a new version, of
//! devices without tasks; `progress` is that of tasks of one job, one per cent more each time. The database must be
//! empty.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool at the desk")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use otaru_store::committer::{self, Keys};
use otaru_store::devices::NewDevice;
use otaru_store::{Clock, Config, Owner, Store, devices, jobs, packages, products};
use rollout::{
    Changes, Device, Id, Ids, Input, Job, JobKind, JobState, Limits, Package, PackageState, Product,
    Protocol, Scope, Session, SignMethod, Task, TaskState, decide,
};

const CHUNK: i64 = 2000;

struct NoIds;

impl Ids for NoIds {
    fn next_id(&mut self) -> Id {
        unreachable!("progress makes no rows")
    }

    fn next_stream(&mut self) -> u32 {
        unreachable!("progress makes no tasks")
    }
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let reports = args.next().is_none_or(|mode| mode == "report");
    let database = args.next().unwrap_or("sqlite".into());
    let mut number = |default| args.next().map_or(default, |n| n.parse::<i64>().unwrap());
    let (batch, devices) = (number(512), number(100_000));
    let length = Duration::from_secs(number(8).unsigned_abs());
    let folder = tempfile::tempdir().unwrap();
    let config = Config { data: folder.path().join("data"), database, clock: Clock::Database };
    let store = Store::open(config).await.unwrap();
    fill(&store, devices, !reports).await;
    let mut times = run(&store, length, batch, devices, if reports { report } else { progress }).await;
    times.sort_unstable();
    let rate = times.len() as f64 / times.iter().sum::<Duration>().as_secs_f64();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    println!(
        "{rate:.0} batches/s, {:.0} reports/s; p50 {:.1} ms, p99 {:.1} ms",
        rate * batch as f64,
        at(50),
        at(99)
    );
    store.close().await;
}

async fn run(
    store: &Store,
    length: Duration,
    batch: i64,
    devices: i64,
    input: fn(Id, i64) -> Input,
) -> Vec<Duration> {
    let (mut times, begun) = (vec![], Instant::now());
    for n in 0.. {
        if begun.elapsed() > length {
            break;
        }
        let first = n * batch % (devices - batch).max(1) + 1;
        let inputs: Vec<Input> =
            (first..first + batch).map(|device| input(device, n * batch / devices)).collect();
        let start = Instant::now();
        commit(store, inputs, first..first + batch).await;
        times.push(start.elapsed());
    }
    times
}

fn report(device: Id, time: i64) -> Input {
    let version = format!("1.{}", if device % 10 == 0 { time } else { 0 });
    Input::Reported { device, epoch: 1, module: "default".into(), version }
}

fn progress(device: Id, time: i64) -> Input {
    let step = i32::try_from(10 + (device + time) % 90).unwrap();
    Input::Progressed { device, epoch: 1, module: "default".into(), step, desc: "downloading".into() }
}

async fn commit(store: &Store, inputs: Vec<Input>, devices: std::ops::Range<Id>) {
    let mut tx = store.begin().await.unwrap();
    let now = committer::now(&mut tx, host_ms()).await.unwrap();
    let keys = Keys { devices: devices.collect(), ..Keys::default() };
    let rows = committer::load(&mut tx, &keys, now).await.unwrap();
    let changes = decide(rows, inputs, now, Limits::default(), &mut NoIds);
    assert!(!changes.tasks.is_empty() || !changes.versions.is_empty());
    committer::apply(&mut tx, &changes).await.unwrap();
    tx.commit().await.unwrap();
}

fn host_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

async fn fill(store: &Store, count: i64, tasks: bool) {
    let mut tx = store.begin().await.unwrap();
    let product = Product {
        id: 1,
        product_key: "a1bench".into(),
        name: "bench".into(),
        node_type: rollout::NodeType::Device,
        settle_ms: 10_000,
        grace_ms: 30_000,
        timezone: None,
        dynamic_registration: false,
        without_pre_registration: false,
        registration_until: None,
        created_at: 0,
    };
    let seal = |owner: Owner<'_>| store.keyring().seal(owner, b"0123456789abcdef0123456789abcdef").unwrap();
    products::create(&mut tx, &product, &seal(Owner::Product { product_key: "a1bench" })).await.unwrap();
    packages::create(&mut tx, &package()).await.unwrap();
    jobs::create(&mut tx, &job(), &[]).await.unwrap();
    for first in (1..=count).step_by(CHUNK as usize) {
        let ids = first..(first + CHUNK).min(count + 1);
        let new = |id| {
            let device = device(id);
            let secret = seal(Owner::Device { product_key: "a1bench", device_name: &device.name });
            NewDevice { device, secret }
        };
        devices::create(&mut tx, &ids.clone().map(new).collect::<Vec<_>>()).await.unwrap();
        let sessions = ids.clone().map(|id| Session { device_id: id, epoch: 1, connected_at: 0 }).collect();
        let tasks_new: Vec<Task> = ids.filter(|_| tasks).map(task).collect();
        let counts = BTreeMap::from([((1, TaskState::Notified), i64::try_from(tasks_new.len()).unwrap())]);
        let changes = Changes { sessions, tasks_new, counts, ..Changes::default() };
        committer::apply(&mut tx, &changes).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn device(id: Id) -> Device {
    Device {
        id,
        product_id: 1,
        name: format!("device-{id:08}"),
        enabled: true,
        first_online_at: Some(0),
        last_online_at: Some(0),
        last_offline_at: None,
        rivalry: None,
        created_at: 0,
    }
}

fn package() -> Package {
    Package {
        id: 1,
        product_id: 1,
        name: "bench".into(),
        module: "default".into(),
        version: "2".into(),
        sign_method: SignMethod::Md5,
        size: 1,
        md5: "0".repeat(32),
        sha256: "0".repeat(64),
        file_name: "bench.bin".into(),
        more_files: vec![],
        image_version: None,
        src_version: None,
        custom: None,
        state: PackageState::NotRequired,
        created_at: 0,
    }
}

fn job() -> Job {
    Job {
        id: 1,
        product_id: 1,
        package_id: 1,
        kind: JobKind::Static,
        state: JobState::InProgress,
        scope: Scope::All,
        need_push: true,
        protocol: Protocol::Mqtt,
        timeout_ms: None,
        rate_per_minute: 10_000,
        next_push_us: 0,
        offered_until_us: 0,
        terms: Default::default(),
        hold: None,
        held_at: None,
        held_ms: 0,
        gate: None,
        work: None,
        release: None,
        created_at: 0,
        closed_at: None,
        ended_at: None,
        counts: Default::default(),
    }
}

fn task(id: Id) -> Task {
    Task {
        id,
        job_id: 1,
        product_id: 1,
        package_id: 1,
        device_id: id,
        module: "default".into(),
        wave: 0,
        stream_id: u32::try_from(id).unwrap(),
        state: TaskState::Notified,
        progress: 0,
        furthest: 0,
        src_version: Some("1".into()),
        dest_version: "2".into(),
        attempt: 1,
        approved: true,
        tries: 1,
        retry_at: None,
        pushes: 1,
        idle_pushes: 1,
        told_epoch: 1,
        told_at: Some(0),
        ready_at: None,
        slot_until: None,
        first_progress_at: None,
        held_before: 0,
        begun_at: None,
        start_clock: None,
        heard_at: None,
        lost_in: None,
        offered_in: None,
        failed_in: None,
        done_at: None,
        device_error: None,
        reason: None,
        created_at: 0,
        updated_at: 0,
    }
}
