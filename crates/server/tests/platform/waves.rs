//! Waves and gates over real sockets and a database.

use crate::common::{Device, DeviceKey, START, World, named, new_job};
use otaru_server::NewJob;
use otaru_server::rollout::{
    FailureLimits, Halt, Hold, Job, JobState, Share, StartClock, TaskState, Terms, Wave,
};

const MINUTE: i64 = 60_000;
const NAMES: [&str; 4] = ["dev001", "dev002", "dev003", "dev004"];

fn waves(sizes: &[i64]) -> Vec<Wave> {
    sizes.iter().map(|n| Wave { share: Share::Count { n: *n }, threshold: 0 }).collect()
}

/// Four devices online, and a job for them in two waves: one device, then all.
async fn started(terms: Terms) -> (World, Vec<(DeviceKey, Device)>, Job) {
    started_in(Terms { waves: waves(&[1, 4]), attempts: 1, ..terms }).await
}

/// Four devices online, and a job for them on these terms.
async fn started_in(terms: Terms) -> (World, Vec<(DeviceKey, Device)>, Job) {
    let world = World::new().await;
    world.product().await;
    let mut devices = Vec::new();
    for name in NAMES {
        let key = world.device(name).await;
        let device = Device::online(&world, &key, "1.0.0").await;
        devices.push((key, device));
    }
    let package = world.package("2.0.0", b"x").await;
    let job = world.job_of(NewJob { terms, scope: named(&NAMES), ..new_job(&package) }).await;
    world.until(&job, "enrolled", |job, _| job.work.is_none()).await;
    (world, devices, job)
}

/// The device of the first wave comes first.
async fn first_wave(world: &World, job: &Job, devices: &mut [(DeviceKey, Device)]) {
    let tasks = world.tasks(job).await;
    let first = tasks.iter().find(|view| view.task.wave == 0).unwrap();
    let place = devices.iter().position(|(key, _)| key.name == first.device_name).unwrap();
    devices.swap(0, place);
}

#[tokio::test]
async fn the_second_wave_opens_when_the_first_has_soaked_even_after_a_kill() {
    let (world, mut devices, job) = started(Terms::default()).await;
    first_wave(&world, &job, &mut devices).await;
    let (_, first) = &mut devices[0];
    first.notice().await;
    first.progress(100, "").await;
    first.report("2.0.0").await;
    world.until(&job, "enough", |job, _| job.gate.as_ref().unwrap().enough_at.is_some()).await;
    devices[1].1.nothing_more().await;
    let world = world.kill().await;
    let mut second = Device::online(&world, &devices[1].0, "1.0.0").await;
    second.nothing_more().await;
    world.clock.advance(60 * MINUTE);
    second.notice().await;
    let job = world.server.job(job.id).await.unwrap();
    let gate = job.gate.unwrap();
    assert_eq!((gate.wave, gate.waves[0].succeeded, gate.waves[1].total), (1, 1, 3));
}

#[tokio::test]
async fn a_job_that_halts_is_resumed_and_skipped_on() {
    let limits = FailureLimits { failures: Some(0), ..FailureLimits::default() };
    let (world, mut devices, job) = started(Terms { limits, ..Terms::default() }).await;
    first_wave(&world, &job, &mut devices).await;
    devices[0].1.notice().await;
    devices[0].1.progress(-1, "no").await;
    let halt = Halt::Failures { failed: 1, limit: 0 };
    world.until(&job, "halted", |job, _| job.hold == Some(Hold::Halted { halt })).await;
    let refused = world.server.skip_wave(job.id, 0).await.unwrap_err();
    assert!(
        refused.code == "noWaveToOpen" && refused.text.contains(" is IN_PROGRESS and halted: "),
        "{refused}"
    );
    let refused = world.server.pause_job(job.id).await.unwrap_err();
    assert!(refused.text.contains(" is IN_PROGRESS and halted: only a running job"), "{refused}");
    assert_eq!(devices[1].1.ask().await, serde_json::json!({}));
    world.server.resume_job(job.id).await.unwrap();
    devices[1].1.nothing_more().await;
    let skipped = world.server.skip_wave(job.id, 0).await.unwrap();
    assert_eq!((skipped.hold, skipped.gate.unwrap().wave), (None, 1));
    let twice = world.server.skip_wave(job.id, 0).await.unwrap_err();
    assert!(twice.code == "waveNotOpen" && twice.text.contains(" is wave 2, not wave 1, "), "{twice}");
    for (_, device) in &mut devices[1..] {
        device.notice().await;
        device.report("2.0.0").await;
    }
    world.until_job(&job, JobState::Completed).await;
}

#[tokio::test]
async fn an_outage_is_no_time_that_a_wave_has_soaked_or_a_device_could_begin_in() {
    let (world, mut devices, job) = started(Terms::default()).await;
    first_wave(&world, &job, &mut devices).await;
    let (_, first) = &mut devices[0];
    first.notice().await;
    world.clock.advance(10 * MINUTE);
    world.until_nothing_is_due().await;
    let world = world.off_for(5 * 60 * MINUTE).await;
    let mut first = Device::online(&world, &devices[0].0, "1.0.0").await;
    first.notice().await;
    let tasks = world.tasks(&job).await;
    let left = |start_clock| matches!(start_clock, Some(StartClock::By(at)) if at >= world.clock.now() + 20 * MINUTE);
    assert!(left(tasks.iter().find(|view| view.task.wave == 0).unwrap().task.start_clock));
    first.progress(100, "").await;
    first.report("2.0.0").await;
    world.until(&job, "enough", |job, _| job.gate.as_ref().unwrap().enough_at.is_some()).await;
    world.clock.advance(30 * MINUTE);
    world.until_nothing_is_due().await;
    let world = world.off_for(5 * 60 * MINUTE).await;
    let mut second = Device::online(&world, &devices[1].0, "1.0.0").await;
    second.nothing_more().await;
    world.clock.advance(30 * MINUTE);
    second.notice().await;
}

#[tokio::test]
async fn an_outage_is_no_time_of_a_timeout() {
    let world = World::new().await;
    world.product().await;
    let key = world.device(NAMES[0]).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let package = world.package("2.0.0", b"x").await;
    let new = NewJob { timeout_minutes: Some(10), scope: named(&NAMES[..1]), ..new_job(&package) };
    let job = world.job_of(new).await;
    device.notice().await;
    device.progress(100, "").await;
    world.clock.advance(5 * MINUTE);
    world.until_nothing_is_due().await;
    let world = world.off_for(5 * 60 * MINUTE).await;
    world.until_nothing_is_due().await;
    Device::online(&world, &key, "2.0.0").await;
    world.until_all(&job, TaskState::Succeeded).await;
}

#[tokio::test]
async fn waves_are_of_the_devices_that_get_a_task() {
    let world = World::new().await;
    world.product().await;
    for n in 0..40 {
        let key = world.device(&format!("dev{n:03}")).await;
        let version = if n % 10 == 0 { "0.5.0" } else { "1.0.0" };
        Device::online(&world, &key, version).await.hang_up().await;
    }
    let package = world.package("2.0.0", b"x").await;
    let all = Wave { share: Share::Percent { thousandths: 100_000 }, threshold: 0 };
    let terms = Terms {
        src_versions: vec!["0.5.0".into()],
        waves: [waves(&[1, 2]), vec![all]].concat(),
        ..Terms::default()
    };
    let made = world.server.create_job(NewJob { terms, ..new_job(&package) }).await.unwrap();
    assert_eq!((made.forecast.matched, made.forecast.waves), (4, vec![1, 1, 2]));
    world.until(&made.job, "enrolled", |job, _| job.work.is_none()).await;
    let gate = world.server.job(made.job.id).await.unwrap().gate.unwrap();
    assert_eq!(gate.waves.iter().map(|wave| wave.total).collect::<Vec<_>>(), [1, 1, 2]);
}

#[tokio::test]
async fn a_removed_device_leaves_its_wave_which_may_have_enough_without_it() {
    let terms = Terms {
        waves: waves(&[3, 4]),
        attempts: 1,
        soak_ms: 0,
        min_success: Share::Percent { thousandths: 100_000 },
        ..Terms::default()
    };
    let (world, mut devices, job) = started_in(terms).await;
    let tasks = world.tasks(&job).await;
    let second = tasks.iter().find(|view| view.task.wave == 1).unwrap();
    let place = devices.iter().position(|(key, _)| key.name == second.device_name).unwrap();
    devices.swap(3, place);
    for (_, device) in &mut devices[..3] {
        device.notice().await;
    }
    devices[0].1.progress(-1, "no").await;
    devices[1].1.report("2.0.0").await;
    let count = |job: &Job, state| job.counts.get(state);
    world
        .until(&job, "told", |job, _| count(job, TaskState::Succeeded) + count(job, TaskState::Failed) == 2)
        .await;
    let gate = world.server.job(job.id).await.unwrap().gate.unwrap();
    assert_eq!((gate.wave, gate.waves[0].total, gate.waves[0].failed), (0, 3, 1));
    world.server.remove_device("a1TestPk001", &devices[0].0.name).await.unwrap();
    devices[2].1.report("2.0.0").await;
    devices[3].1.notice().await;
    let gate = world.server.job(job.id).await.unwrap().gate.unwrap();
    let first = gate.waves[0];
    assert_eq!((gate.wave, first.total, first.succeeded, first.failed), (1, 2, 2, 0));
    assert_eq!((gate.failed, gate.offered), (1, 4), "what has happened stays so");
    world.server.remove_device("a1TestPk001", &devices[1].0.name).await.unwrap();
    let first = world.server.job(job.id).await.unwrap().gate.unwrap().waves[0];
    assert_eq!((first.total, first.succeeded), (1, 1));
}

#[tokio::test]
async fn waves_that_do_not_grow_are_refused() {
    let world = World::new().await;
    world.product().await;
    world.device("dev001").await;
    let package = world.package("2.0.0", b"x").await;
    let percent = |thousandths| Wave { share: Share::Percent { thousandths }, threshold: 0 };
    let wrong = [
        Terms { waves: waves(&[5, 5]), ..Terms::default() },
        Terms { waves: waves(&[0]), ..Terms::default() },
        Terms { waves: vec![percent(1_000), waves(&[5])[0]], ..Terms::default() },
        Terms { waves: waves(&[5]), ..Terms::default() },
        Terms {
            limits: FailureLimits { failures: Some(-1), ..FailureLimits::default() },
            ..Terms::default()
        },
    ];
    for terms in wrong {
        let new = NewJob { terms: terms.clone(), scope: named(&["dev001"]), ..new_job(&package) };
        assert_eq!(world.server.create_job(new).await.unwrap_err().code, "gateInvalid", "{terms:?}");
    }
    let two = || waves(&[5, 9]);
    let contradictions = [
        (Terms { soak_ms: 48 * 60 * MINUTE, ..Terms::default() }, ["maxWaitMinutes", "soakMinutes"]),
        (
            Terms {
                waves: two(),
                soak_ms: 60 * MINUTE,
                end_at: Some(START + 60 * MINUTE),
                ..Terms::default()
            },
            ["soakMinutes", "endAt"],
        ),
        (Terms { end_running: true, ..Terms::default() }, ["endRunning", "endAt"]),
        (Terms { src_versions: vec!["2.0.0".into()], ..Terms::default() }, ["srcVersions", "packageId"]),
    ];
    for (terms, fields) in contradictions {
        let new = NewJob { terms, scope: named(&["dev001"]), ..new_job(&package) };
        for error in [
            world.server.create_job(new.clone()).await.unwrap_err(),
            world.server.forecast_job(&new).await.unwrap_err(),
        ] {
            assert_eq!((error.code, &error.params["fields"]), ("termsContradict", &fields.to_vec().into()));
        }
    }
    let later = Terms { waves: two(), end_at: Some(START + 60 * MINUTE + 1), ..Terms::default() };
    world.job_of(NewJob { terms: later, scope: named(&["dev001"]), ..new_job(&package) }).await;
}
