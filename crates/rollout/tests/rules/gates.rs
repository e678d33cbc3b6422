//! Waves, the gates between them, and jobs that halt by themselves.

use std::ops::Range;

use otaru_rollout::*;

use crate::world::{MINUTE, Order, Pick, World};

use TaskState::{Notified, Queued};

const HOUR: Ms = 60 * MINUTE;

/// Six devices online on `1`, the first `sizes` of a job to `2`, in the order of their waves. Each has one attempt.
fn waves(sizes: &[usize], terms: Terms) -> (World, Id, Vec<Id>) {
    waves_of(sizes, Terms { attempts: 1, ..terms })
}

/// The same with the attempts of the terms.
fn waves_of(sizes: &[usize], terms: Terms) -> (World, Id, Vec<Id>) {
    waves_without(sizes, terms, 0..0)
}

/// The same, but some of them are not here.
fn waves_without(sizes: &[usize], terms: Terms, away: Range<usize>) -> (World, Id, Vec<Id>) {
    let mut world = World::new();
    let mut devices: Vec<Id> = world.online::<6>().into();
    let package = world.package("2");
    let terms = Terms { waves: world.waves(package, sizes), ..terms };
    devices.sort_by_key(|device| spread(package, *device));
    devices.get(away).into_iter().flatten().for_each(|device| world.disconnect(*device));
    let job = world.start(package, Order { terms, ..Order::to(Pick::All) });
    (world, job, devices)
}

fn told(world: &World, job: Id, devices: &[Id]) -> usize {
    devices.iter().filter(|d| world.state(job, **d) != Queued).count()
}

fn succeed(world: &mut World, devices: &[Id]) {
    devices.iter().for_each(|device| world.report(*device, DEFAULT_MODULE, "2"));
}

fn wave(world: &World, job: Id) -> i32 {
    world.job(job).gate.as_ref().unwrap().wave
}

fn skipped(world: &World, job: Id) -> Vec<i32> {
    world.job(job).gate.as_ref().unwrap().skipped.clone()
}

fn halt(world: &World, job: Id) -> Option<Halt> {
    match world.job(job).hold {
        Some(Hold::Halted { halt }) => Some(halt),
        _ => None,
    }
}

#[test]
fn only_the_first_wave_is_told_until_its_successes_have_soaked() {
    let (mut world, job, devices) = waves(&[1, 3, 6], Terms::default());
    assert_eq!(told(&world, job, &devices), 1);
    let second = world.task(job, devices[1]);
    assert_eq!(world.waiting(second), Some(Waiting::WaveNotOpen { wave: 1 }));
    assert_eq!(world.get(devices[1]), Some(None));
    world.pass(MINUTE);
    succeed(&mut world, &devices[..1]);
    world.pass(HOUR - 1);
    assert_eq!((told(&world, job, &devices), wave(&world, job)), (1, 0));
    world.pass(1);
    assert_eq!((told(&world, job, &devices), wave(&world, job)), (3, 1));
    succeed(&mut world, &devices[1..3]);
    world.pass(HOUR);
    assert_eq!((told(&world, job, &devices), wave(&world, job)), (6, 2));
    succeed(&mut world, &devices[3..]);
    assert_eq!(world.job(job).state, JobState::Completed);
}

#[test]
fn a_part_of_the_wave_is_enough_and_offline_devices_do_not_hold_it() {
    let min_success = Share::Percent { thousandths: 50_000 };
    let (mut world, job, devices) = waves(&[4, 6], Terms { min_success, soak_ms: 0, ..Terms::default() });
    world.disconnect(devices[0]);
    world.disconnect(devices[1]);
    succeed(&mut world, &devices[2..3]);
    assert_eq!(wave(&world, job), 0);
    succeed(&mut world, &devices[3..4]);
    assert_eq!(wave(&world, job), 1);
    assert_eq!(told(&world, job, &devices[4..]), 2);
}

#[test]
fn after_the_longest_wait_who_is_away_is_waited_for_no_longer() {
    let terms = || Terms { max_wait_ms: Some(2 * HOUR), start_timeout_ms: None, ..Terms::default() };
    let (mut world, job, devices) = waves_without(&[3, 6], terms(), 1..3);
    succeed(&mut world, &devices[..1]);
    world.pass(2 * HOUR);
    assert_eq!((wave(&world, job), halt(&world, job)), (1, None));
    assert_eq!(skipped(&world, job), [], "it has waited");
    let (mut world, job, devices) = waves(&[3, 6], terms());
    world.pass(2 * HOUR);
    assert_eq!(halt(&world, job), Some(Halt::WaveStalled { wave: 0, minutes: 120 }));
    assert_eq!(told(&world, job, &devices[3..]), 0);
    world.run(Input::ResumeJob(job));
    assert_eq!(halt(&world, job), None, "a resume begins the wait anew");
    world.run(Input::SkipWave { job, wave: 0 });
    assert_eq!((wave(&world, job), told(&world, job, &devices)), (1, 6));
    assert_eq!(skipped(&world, job), [0]);
    let before = world.job(job).clone();
    world.run(Input::SkipWave { job, wave: 1 });
    assert_eq!(*world.job(job), before, "there is none after the last");
}

#[test]
fn a_wave_of_nobody_is_passed_over() {
    let mut world = World::new();
    let mut devices: Vec<Id> = world.online::<4>().into();
    let package = world.package("2");
    devices.sort_by_key(|device| spread(package, *device));
    succeed(&mut world, &devices[..2]);
    let terms = Terms { waves: world.waves(package, &[2, 4]), ..Terms::default() };
    let job = world.start(package, Order { terms, ..Order::to(Pick::All) });
    assert_eq!((wave(&world, job), world.state(job, devices[2])), (1, Notified));
}

fn limited(limits: FailureLimits) -> Terms {
    Terms { limits, ..Terms::default() }
}

#[test]
fn a_job_halts_when_failures_pass_their_number_and_starts_nobody() {
    let limits = FailureLimits { failures: Some(1), ..FailureLimits::default() };
    let (mut world, job, devices) = waves(&[5, 6], limited(limits));
    world.progress(devices[0], -1);
    assert_eq!(halt(&world, job), None);
    world.progress(devices[1], -1);
    assert_eq!(halt(&world, job), Some(Halt::Failures { failed: 2, limit: 1 }));
    world.notices();
    world.connect(devices[2]);
    world.report(devices[2], DEFAULT_MODULE, "1");
    succeed(&mut world, &devices[3..4]);
    world.pass(20 * MINUTE);
    assert_eq!(world.notices(), [0; 0]);
    assert!(matches!(world.waiting(world.task(job, devices[2])), Some(Waiting::Halted { .. })));
    // Resumed, it does not halt again for what was known.
    world.run(Input::ResumeJob(job));
    assert_eq!((halt(&world, job), world.notices()), (None, vec![devices[2]]));
    world.progress(devices[2], -1);
    assert_eq!(halt(&world, job), None);
}

#[test]
fn a_job_halts_when_a_part_of_the_devices_told_fails() {
    let limits =
        FailureLimits { failure_thousandths: Some(25_000), min_offers: 4, ..FailureLimits::default() };
    let (mut world, job, devices) = waves(&[6], limited(limits));
    world.progress(devices[0], -1);
    assert_eq!(halt(&world, job), None, "one of six");
    world.progress(devices[1], -1);
    assert_eq!(halt(&world, job), Some(Halt::FailureRate { failed: 2, offered: 6, limit: 25_000 }));
}

#[test]
fn a_job_halts_on_evidence() {
    let evidence = Some(Evidence { accepted: 1_000, rejected: 10_000 });
    let (mut world, job, devices) =
        waves(&[6], limited(FailureLimits { evidence, ..FailureLimits::default() }));
    succeed(&mut world, &devices[..2]);
    world.progress(devices[2], -1);
    assert_eq!(halt(&world, job), None);
    world.progress(devices[3], -1);
    let reason = Halt::Evidence { failed: 2, ended: 4, accepted: 1_000, rejected: 10_000 };
    assert_eq!(halt(&world, job), Some(reason));
}

#[test]
fn who_began_and_is_silent_for_an_hour_is_lost_until_it_speaks() {
    let limits = FailureLimits { failures: Some(0), ..FailureLimits::default() };
    let (mut world, job, devices) = waves(&[6], limited(limits));
    world.progress(devices[0], 100);
    world.pass(HOUR / 2);
    world.progress(devices[0], 100);
    world.disconnect(devices[0]);
    world.pass(HOUR - 1);
    assert!(!world.task(job, devices[0]).is_lost());
    world.pass(1);
    let since = world.now - HOUR;
    assert_eq!(world.waiting(world.task(job, devices[0])), Some(Waiting::Lost { since }));
    assert_eq!(halt(&world, job), Some(Halt::Failures { failed: 1, limit: 0 }), "a brick never says so");
    world.connect(devices[0]);
    world.report(devices[0], DEFAULT_MODULE, "1.5");
    assert!(!world.task(job, devices[0]).is_lost());
    let told = world.events_of(world.task(job, devices[0]).id);
    assert!(told.contains(&&EventKind::TaskLost) && told.contains(&&EventKind::TaskFound));
}

#[test]
fn a_conflict_is_no_failure_of_the_package() {
    let mut world = World::new();
    world.online::<3>();
    let other = world.package("9");
    world.start(other, Order::to(Pick::All));
    let package = world.package("2");
    let limits = FailureLimits { failures: Some(0), ..FailureLimits::default() };
    let terms = Terms { overwrite: Overwrite::Keep, waves: world.waves(package, &[1, 3]), ..limited(limits) };
    let job = world.start(package, Order { terms, ..Order::to(Pick::All) });
    assert_eq!((world.job(job).counts.get(TaskState::Failed), halt(&world, job)), (3, None));
}

#[test]
fn terms_without_end_end_nothing() {
    let terms = Terms {
        soak_ms: Ms::MAX,
        max_wait_ms: Some(Ms::MAX),
        lost_ms: Some(Ms::MAX),
        start_timeout_ms: Some(Ms::MAX),
        ..Terms::default()
    };
    let (mut world, job, devices) = waves(&[2, 6], terms);
    world.progress(devices[0], 50);
    succeed(&mut world, &devices[..2]);
    world.pass(1_000 * HOUR);
    assert_eq!((wave(&world, job), halt(&world, job)), (0, None));
}

#[test]
fn the_first_wave_of_a_scheduled_job_opens_when_the_job_really_starts() {
    let mut world = World::new();
    let [_, _] = world.online();
    let package = world.package("2");
    let start = world.now + HOUR;
    let waves = world.waves(package, &[1, 2]);
    let terms = Terms { waves, start_at: Some(start), max_wait_ms: Some(2 * HOUR), ..Terms::default() };
    let job = world.order(package, Order { terms, ..Order::to(Pick::All) });
    // The server was away when the job should have started.
    world.now = start + 5 * HOUR;
    world.tick();
    assert_eq!(halt(&world, job), None);
    assert_eq!(world.job(job).gate.as_ref().unwrap().opened_at, start + 5 * HOUR);
}

#[test]
fn a_pause_forgives_nothing() {
    let limits = FailureLimits { failures: Some(1), ..FailureLimits::default() };
    let (mut world, job, devices) = waves(&[4, 6], limited(limits));
    world.progress(devices[0], -1);
    world.run(Input::PauseJob(job));
    world.run(Input::ResumeJob(job));
    assert_eq!(world.job(job).gate.as_ref().unwrap().failed, 1);
    world.progress(devices[1], -1);
    assert_eq!(halt(&world, job), Some(Halt::Failures { failed: 2, limit: 1 }));
}

/// What becomes of a job's first wave.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Waits,
    Opens,
    Halts(Halt),
}

fn fate(world: &World, job: Id) -> Fate {
    match halt(world, job) {
        Some(halt) => Fate::Halts(halt),
        None if wave(world, job) > 0 => Fate::Opens,
        None => Fate::Waits,
    }
}

/// The first wave is four devices; of them so many succeed, fail, and begin and are lost. The others are away, or were
/// told and say nothing.
#[test]
fn the_longest_wait_excuses_who_was_not_told_and_never_failures() {
    let failed = |succeeded, ended, needed| {
        Fate::Halts(Halt::WaveFailed { wave: 0, succeeded, ended, needed, total: 4 })
    };
    let half = Share::Percent { thousandths: 50_000 };
    let most = Share::Percent { thousandths: 90_000 };
    let two = Share::Count { n: 2 };
    let stalled = Fate::Halts(Halt::WaveStalled { wave: 0, minutes: 180 });
    let table = [
        (most, (0, 0, 0), true, Fate::Waits, stalled),
        (most, (1, 0, 0), true, Fate::Waits, Fate::Opens),
        (most, (3, 0, 0), true, Fate::Waits, Fate::Opens),
        (most, (1, 1, 0), true, Fate::Waits, failed(1, 2, 4)),
        (most, (3, 0, 1), true, Fate::Waits, failed(3, 4, 4)),
        (most, (3, 1, 0), true, failed(3, 4, 4), failed(3, 4, 4)),
        (most, (0, 4, 0), true, failed(0, 4, 4), failed(0, 4, 4)),
        (half, (1, 1, 0), true, Fate::Waits, Fate::Opens),
        (half, (1, 2, 0), true, Fate::Waits, failed(1, 3, 2)),
        (half, (1, 0, 2), true, Fate::Waits, failed(1, 3, 2)),
        (half, (1, 3, 0), true, failed(1, 4, 2), failed(1, 4, 2)),
        (two, (1, 1, 0), true, Fate::Waits, Fate::Opens),
        (two, (1, 2, 0), true, Fate::Waits, failed(1, 3, 2)),
        (two, (2, 2, 0), true, Fate::Opens, Fate::Opens),
        (most, (0, 0, 0), false, Fate::Waits, stalled),
        (most, (1, 0, 0), false, Fate::Waits, failed(1, 1, 4)),
        (most, (3, 0, 0), false, Fate::Waits, failed(3, 3, 4)),
        (half, (1, 0, 0), false, Fate::Waits, failed(1, 1, 2)),
        (half, (2, 0, 0), false, Fate::Opens, Fate::Opens),
        (two, (1, 1, 0), false, Fate::Waits, failed(1, 2, 2)),
    ];
    for (min_success, (good, bad, lost), away, at_once, at_last) in table {
        let terms = Terms {
            min_success,
            soak_ms: 0,
            max_wait_ms: Some(3 * HOUR),
            lost_ms: Some(HOUR),
            start_timeout_ms: None,
            attempts: 1,
            ..Terms::default()
        };
        let (mut world, job, devices) =
            waves_without(&[4, 6], terms, good + bad + lost..if away { 4 } else { 0 });
        succeed(&mut world, &devices[..good]);
        devices[good..good + bad].iter().for_each(|device| world.progress(*device, -1));
        devices[good + bad..good + bad + lost].iter().for_each(|device| world.progress(*device, 50));
        let case = format!("{min_success:?} {good} {bad} {lost} {away}");
        assert_eq!(fate(&world, job), at_once, "{case}");
        world.pass(3 * HOUR);
        assert_eq!(fate(&world, job), at_last, "{case}");
    }
}

#[test]
fn who_was_told_and_fell_silent_halts_a_wave_once() {
    let terms = Terms { max_wait_ms: Some(2 * HOUR), start_timeout_ms: None, ..Terms::default() };
    let (mut world, job, devices) = waves(&[4, 6], terms);
    succeed(&mut world, &devices[..1]);
    devices[1..4].iter().for_each(|device| world.disconnect(*device));
    world.pass(2 * HOUR);
    let halt = Halt::WaveFailed { wave: 0, succeeded: 1, ended: 1, needed: 4, total: 4 };
    assert_eq!(fate(&world, job), Fate::Halts(halt));
    world.run(Input::ResumeJob(job));
    world.pass(2 * HOUR - 1);
    assert_eq!(fate(&world, job), Fate::Waits);
    world.pass(1);
    assert_eq!(fate(&world, job), Fate::Opens, "an operator has seen them");
}

#[test]
fn a_wave_in_which_nobody_is_left_halts_without_patience_and_not_twice() {
    let terms = || Terms { max_wait_ms: None, ..Terms::default() };
    let (mut world, job, devices) = waves(&[2, 6], terms());
    world.progress(devices[0], -1);
    assert_eq!(fate(&world, job), Fate::Waits);
    succeed(&mut world, &devices[1..2]);
    let halt = Halt::WaveFailed { wave: 0, succeeded: 1, ended: 2, needed: 2, total: 2 };
    assert_eq!(fate(&world, job), Fate::Halts(halt));
    world.run(Input::ResumeJob(job));
    world.pass(HOUR);
    assert_eq!(fate(&world, job), Fate::Opens, "the other device is left, and has soaked");
    // With nobody left, an operator decides.
    let (mut world, job, devices) = waves(&[1, 6], terms());
    world.progress(devices[0], -1);
    world.run(Input::ResumeJob(job));
    assert_eq!(fate(&world, job), Fate::Waits);
    world.run(Input::ReupgradeTask(world.task(job, devices[0]).id));
    world.progress(devices[0], -1);
    let halt = Halt::WaveFailed { wave: 0, succeeded: 0, ended: 1, needed: 1, total: 1 };
    assert_eq!(fate(&world, job), Fate::Halts(halt), "a new failure is no old one");
}

#[test]
fn who_was_cancelled_is_not_asked_for() {
    let (mut world, job, devices) = waves(&[2, 6], Terms { soak_ms: 0, ..Terms::default() });
    world.run(Input::CancelTask(world.task(job, devices[0]).id));
    assert_eq!(fate(&world, job), Fate::Waits);
    succeed(&mut world, &devices[1..2]);
    assert_eq!(fate(&world, job), Fate::Opens);
}

#[test]
fn a_soak_is_not_cut_short_by_the_longest_wait() {
    let terms = Terms { max_wait_ms: Some(2 * HOUR), start_timeout_ms: None, ..Terms::default() };
    let (mut world, job, devices) = waves(&[2, 6], terms);
    world.pass(2 * HOUR - MINUTE);
    succeed(&mut world, &devices[..2]);
    world.pass(HOUR - 1);
    assert_eq!(fate(&world, job), Fate::Waits);
    world.pass(1);
    assert_eq!(fate(&world, job), Fate::Opens);
}

#[test]
fn a_rate_is_looked_at_before_a_wave_passes_however_few_were_told() {
    let limits =
        FailureLimits { failure_thousandths: Some(20_000), min_offers: 10, ..FailureLimits::default() };
    let min_success = Share::Percent { thousandths: 50_000 };
    let (mut world, job, devices) = waves(&[4, 6], Terms { min_success, soak_ms: 0, ..limited(limits) });
    world.progress(devices[0], -1);
    assert_eq!(fate(&world, job), Fate::Waits);
    succeed(&mut world, &devices[1..3]);
    let halt = Halt::FailureRate { failed: 1, offered: 4, limit: 20_000 };
    assert_eq!(fate(&world, job), Fate::Halts(halt));
}

/// One is lost before a resume and one after it. Whatever becomes of the first, the second counts.
#[test]
fn who_was_lost_before_a_resume_masks_nobody_who_is_lost_after_it() {
    type Happens = fn(&mut World, Id, Id);
    let fates: [(&str, Happens); 4] = [
        ("silent", |_, _, _| {}),
        ("found", |world, _, device| world.report(device, DEFAULT_MODULE, "1")),
        ("succeeds", |world, _, device| world.report(device, DEFAULT_MODULE, "2")),
        ("cancelled", |world, job, device| world.run(Input::CancelTask(world.task(job, device).id))),
    ];
    for (fate, happens) in fates {
        let limits = FailureLimits { failures: Some(0), ..FailureLimits::default() };
        let (mut world, job, devices) = waves(&[4, 6], Terms { start_timeout_ms: None, ..limited(limits) });
        world.progress(devices[0], 50);
        world.pass(HOUR);
        assert_eq!(halt(&world, job), Some(Halt::Failures { failed: 1, limit: 0 }));
        world.run(Input::ResumeJob(job));
        world.progress(devices[1], 50);
        world.pass(HOUR - 1);
        assert_eq!(halt(&world, job), None, "{fate}: not twice for the first");
        happens(&mut world, job, devices[0]);
        assert_eq!(halt(&world, job), None, "{fate}");
        world.pass(1);
        assert_eq!(halt(&world, job), Some(Halt::Failures { failed: 1, limit: 0 }), "{fate}");
        // Found, the second counts no more, and leaves the first as it is.
        world.report(devices[1], DEFAULT_MODULE, "1");
        assert_eq!(world.job(job).gate.as_ref().unwrap().failed, 0, "{fate}");
    }
}

#[test]
fn an_attempt_that_failed_counts_until_the_device_succeeds() {
    let limits = FailureLimits { failures: Some(1), ..FailureLimits::default() };
    let (mut world, job, devices) = waves_of(&[4, 6], Terms { attempts: 3, ..limited(limits) });
    let counts = |world: &World| world.job(job).gate.as_ref().unwrap().waves[0];
    world.progress(devices[0], -1);
    assert_eq!((halt(&world, job), counts(&world).retrying), (None, 1));
    world.pass(MINUTE);
    world.progress(devices[0], -1);
    assert_eq!((halt(&world, job), counts(&world).retrying), (None, 1), "a device counts once");
    world.pass(MINUTE);
    world.progress(devices[0], 100);
    succeed(&mut world, &devices[..1]);
    assert_eq!((counts(&world).succeeded, counts(&world).retrying), (1, 0));
    world.progress(devices[1], -1);
    assert_eq!(halt(&world, job), None, "the first has succeeded after all");
    world.progress(devices[2], -1);
    assert_eq!(halt(&world, job), Some(Halt::Failures { failed: 2, limit: 1 }), "with attempts left");
    world.run(Input::ResumeJob(job));
    world.pass(MINUTE);
    world.progress(devices[1], -1);
    assert_eq!(world.job(job).gate.as_ref().unwrap().failed, 1, "a new failure is no old one");
}

#[test]
fn who_is_lost_in_its_second_attempt_counts_once_and_found_still_as_failed() {
    let limits = FailureLimits { failures: Some(1), ..FailureLimits::default() };
    let (mut world, job, devices) =
        waves_of(&[4, 6], Terms { attempts: 3, start_timeout_ms: None, ..limited(limits) });
    world.progress(devices[0], -1);
    world.pass(MINUTE);
    world.progress(devices[0], 10);
    world.pass(HOUR);
    let gate = world.job(job).gate.clone().unwrap();
    assert_eq!((gate.waves[0].lost, gate.waves[0].retrying, gate.failed), (1, 0, 1));
    world.progress(devices[0], 20);
    let gate = world.job(job).gate.clone().unwrap();
    assert_eq!((gate.waves[0].lost, gate.waves[0].retrying, gate.failed), (0, 1, 1));
}

#[test]
fn a_device_that_is_started_again_and_again_counts_once() {
    let limits = FailureLimits { failures: Some(1), ..FailureLimits::default() };
    let (mut world, job, devices) = waves(&[4, 6], limited(limits));
    for _ in 0..3 {
        world.progress(devices[0], -1);
        assert_eq!(halt(&world, job), None);
        world.run(Input::ReupgradeTask(world.task(job, devices[0]).id));
    }
    assert_eq!(world.job(job).gate.as_ref().unwrap().failed, 0, "it is being tried");
    assert_eq!(world.job(job).gate.as_ref().unwrap().offered, 4);
}

#[test]
fn who_succeeds_without_being_told_opens_no_wave() {
    let min_success = Share::Count { n: 1 };
    let (mut world, job, devices) = waves(&[2, 4, 6], Terms { min_success, soak_ms: 0, ..Terms::default() });
    // Those of the waves to come had the version from somewhere else.
    succeed(&mut world, &devices[2..4]);
    assert_eq!(fate(&world, job), Fate::Waits);
    world.disconnect(devices[0]);
    succeed(&mut world, &devices[1..2]);
    assert_eq!(wave(&world, job), 1, "one that was told is enough");
    let nobody = Halt::WaveFailed { wave: 1, succeeded: 0, ended: 0, needed: 1, total: 0 };
    assert_eq!(halt(&world, job), Some(nobody), "nobody of the second wave was told");
    assert_eq!(world.state(job, devices[4]), Queued);
    world.run(Input::ResumeJob(job));
    world.skip(job);
    assert_eq!(wave(&world, job), 2);
}

#[test]
fn who_was_told_and_succeeds_late_is_told() {
    let terms = Terms { attempts: 2, soak_ms: 0, ..Terms::default() };
    let (mut world, job, devices) = waves_of(&[1, 6], terms);
    world.progress(devices[0], -1);
    succeed(&mut world, &devices[..1]);
    assert_eq!(wave(&world, job), 1);
}

#[test]
fn a_wave_neither_soaks_nor_waits_while_the_platform_stands_still() {
    let terms = || Terms { max_wait_ms: Some(2 * HOUR), start_timeout_ms: None, ..Terms::default() };
    let (mut world, job, devices) = waves(&[1, 6], terms());
    succeed(&mut world, &devices[..1]);
    world.pass(HOUR / 2);
    world.stand_still(5 * HOUR);
    assert_eq!(wave(&world, job), 0);
    world.pass(HOUR / 2 - 1);
    assert_eq!(wave(&world, job), 0);
    world.pass(1);
    assert_eq!(wave(&world, job), 1);
    let (mut world, job, _) = waves(&[1, 6], terms());
    world.pass(HOUR);
    world.stand_still(5 * HOUR);
    world.pass(HOUR - 1);
    assert_eq!(halt(&world, job), None);
    world.pass(1);
    assert_eq!(halt(&world, job), Some(Halt::WaveStalled { wave: 0, minutes: 120 }));
}

#[test]
fn nobody_is_lost_for_a_silence_of_the_platform() {
    let limits = FailureLimits { failures: Some(0), ..FailureLimits::default() };
    let (mut world, job, devices) = waves(&[6], Terms { start_timeout_ms: None, ..limited(limits) });
    world.progress(devices[0], 50);
    world.pass(HOUR / 2);
    world.stand_still(5 * HOUR);
    world.pass(HOUR - 1);
    assert_eq!((world.task(job, devices[0]).is_lost(), halt(&world, job)), (false, None));
    world.pass(1);
    assert!(world.task(job, devices[0]).is_lost());
}

#[test]
fn two_skips_at_once_open_one_wave() {
    let (mut world, job, devices) = waves(&[1, 3, 6], Terms::default());
    world.apply(vec![Input::SkipWave { job, wave: 0 }, Input::SkipWave { job, wave: 0 }]);
    world.tick();
    assert_eq!((wave(&world, job), told(&world, job, &devices)), (1, 3));
    world.run(Input::SkipWave { job, wave: 2 });
    assert_eq!(wave(&world, job), 1, "not open yet");
}

#[test]
fn an_opening_lets_go_of_no_task_but_those_of_the_waves_that_open() {
    let (mut world, job, devices) = waves(&[1, 3, 6], Terms::default());
    world.chunk = 10;
    world.apply(vec![Input::SkipWave { job, wave: 0 }]);
    let of = |world: &World, waves: std::ops::Range<usize>| {
        let mut tasks: Vec<Id> = devices[waves].iter().map(|d| world.task(job, *d).id).collect();
        tasks.sort_by_key(|id| (world.tables.tasks[id].wave, *id));
        tasks
    };
    let chunk = |world: &World| match world.clone().claim().pop() {
        Some(Input::Release { tasks, last, .. }) => (tasks, last),
        other => panic!("{other:?}"),
    };
    assert_eq!(chunk(&world), (of(&world, 1..3), true));
    // One more before they are: its own are let go after them, and what was read for the first is not the last.
    let old = world.claim();
    world.apply(vec![Input::SkipWave { job, wave: 1 }]);
    world.apply(old);
    assert_eq!(chunk(&world), (of(&world, 1..6), true));
    world.tick();
    assert_eq!(told(&world, job, &devices), 6);
}

#[test]
fn who_was_told_before_a_halt_is_answered_with_nothing_and_may_begin() {
    let limits = FailureLimits { failures: Some(0), ..FailureLimits::default() };
    let (mut world, job, devices) = waves(&[4, 6], limited(limits));
    world.progress(devices[0], -1);
    assert!(halt(&world, job).is_some());
    assert_eq!(world.get(devices[1]), Some(None));
    assert_eq!(world.ask(devices[1], Ask::OldRequest), None);
    world.progress(devices[1], 10);
    assert_eq!(world.state(job, devices[1]), TaskState::InProgress, "it has the notice");
    world.progress(devices[4], 10);
    assert_eq!(world.state(job, devices[4]), Queued, "it has none");
}
