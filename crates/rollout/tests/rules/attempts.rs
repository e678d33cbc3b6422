//! The answers to what goes wrong with the cloud's rules: several attempts, a clock until the first
//! progress, an end to pushing at deaf ears, and what the platform says of it (T11, T14, T15, T19).

use otaru_rollout::*;

use crate::world::{GRACE, MINUTE, Order, Pick, SECOND, SETTLE, World};

const HALF_HOUR: Ms = 30 * MINUTE;

/// A device online on version `1` and a job to `2` with these terms, pushed.
fn told(terms: Terms) -> (World, Id, Id) {
    told_by(Order { terms, ..Order::to(Pick::All) })
}

fn told_by(order: Order) -> (World, Id, Id) {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, order);
    assert_eq!(world.notices(), [device]);
    (world, job, device)
}

fn usual() -> (World, Id, Id) {
    told(Terms::default())
}

fn reason(world: &World, job: Id, device: Id) -> Reason {
    world.task(job, device).reason.clone().unwrap()
}

/// A task's timeout of ten minutes comes then, and not before.
fn times_out_in(world: &mut World, job: Id, device: Id, ms: Ms) {
    world.pass(ms - 1);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    world.pass(1);
    assert_eq!(world.state(job, device), TaskState::Failed);
    assert_eq!(reason(world, job, device), Reason::Timeout { minutes: 10 });
}

fn waits(world: &World, job: Id, device: Id) -> Option<Waiting> {
    world.waiting(world.task(job, device))
}

/// Reboots into a version.
fn reboot(world: &mut World, device: Id, version: &str) {
    world.disconnect(device);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, version);
    world.pass(SETTLE);
}

#[test]
fn t11_a_negative_step_is_tried_again_after_the_interval() {
    let (mut world, job, device) = usual();
    world.progress(device, 40);
    world.progress(device, -2);
    let task = world.task(job, device).clone();
    let next = world.now + MINUTE;
    assert_eq!((task.state, task.progress, task.attempt), (TaskState::InProgress, 0, 2));
    assert_eq!((task.tries, task.retry_at, task.slot_until), (2, Some(next), None));
    assert_eq!(task.device_error, Some(DeviceError { step: -2, desc: "step -2".into() }));
    let failed = Reason::DeviceFailed { step: -2, desc: "step -2".into() };
    let told = EventKind::TaskRetry { attempt: 2, at: next, reason: failed };
    assert_eq!(world.events_of(task.id).last(), Some(&&told));
    assert_eq!(waits(&world, job, device), Some(Waiting::RetryAt { at: next }));
    assert_eq!(world.get(device), Some(None), "not before its time");
    world.pass(MINUTE - 1);
    assert_eq!(world.notices(), [0; 0]);
    world.pass(1);
    assert_eq!(world.notices(), [device]);
    assert_eq!((world.task(job, device).pushes, world.task(job, device).tries), (1, 2));
}

#[test]
fn t12_three_attempts_in_all_and_no_more() {
    let (mut world, job, device) = usual();
    for attempt in 1..=3 {
        assert_eq!(world.task(job, device).attempt, attempt);
        world.progress(device, 10);
        world.progress(device, -attempt);
        world.pass(MINUTE);
    }
    assert_eq!(world.state(job, device), TaskState::Failed);
    assert_eq!(reason(&world, job, device), Reason::DeviceFailed { step: -3, desc: "step -3".into() });
    assert_eq!(world.job(job).state, JobState::Completed);
}

#[test]
fn t11_without_an_interval_the_next_attempt_follows_at_once() {
    let (mut world, job, device) = told(Terms { retry_interval_ms: 0, ..Terms::default() });
    world.progress(device, -1);
    assert_eq!(world.notices(), [device]);
    assert_eq!((world.state(job, device), world.task(job, device).retry_at), (TaskState::Notified, None));
}

#[test]
fn t11_a_device_that_is_away_is_pushed_to_when_it_comes() {
    let (mut world, job, device) = usual();
    world.progress(device, -1);
    world.disconnect(device);
    world.pass(10 * MINUTE);
    assert_eq!(waits(&world, job, device), Some(Waiting::Offline));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [device]);
}

#[test]
fn t11_late_words_of_a_failed_attempt_do_not_harm_the_next() {
    let (mut world, job, device) = usual();
    world.progress(device, 10);
    world.progress(device, -1);
    let failed = world.task(job, device).clone();
    world.progress(device, 20);
    world.progress(device, -1);
    assert_eq!(*world.task(job, device), failed);
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(world.state(job, device), TaskState::Succeeded, "success counts at any time");
}

#[test]
fn a_re_upgrade_gives_all_attempts_back() {
    let (mut world, job, device) = usual();
    for _ in 0..3 {
        world.progress(device, -1);
        world.pass(MINUTE);
    }
    assert_eq!(world.state(job, device), TaskState::Failed);
    world.run(Input::ReupgradeTask(world.task(job, device).id));
    let task = world.task(job, device);
    assert_eq!((task.attempt, task.tries, task.device_error.clone()), (4, 1, None));
    world.progress(device, -1);
    assert_ne!(world.state(job, device), TaskState::Failed);
}

#[test]
fn t18_the_timeout_goes_on_over_attempts_and_is_never_retried() {
    let (mut world, job, device) = told_by(Order { timeout_ms: Some(3 * MINUTE), ..Order::usual(Pick::All) });
    world.progress(device, 10);
    world.pass(2 * MINUTE);
    world.progress(device, -1);
    world.pass(MINUTE - 1);
    assert_ne!(world.state(job, device), TaskState::Failed);
    world.pass(1);
    assert_eq!(reason(&world, job, device), Reason::Timeout { minutes: 3 });
}

#[test]
fn t18_the_timeout_stands_still_while_the_job_is_held() {
    let (mut world, job, device) =
        told_by(Order { timeout_ms: Some(10 * MINUTE), ..Order::usual(Pick::All) });
    world.progress(device, 10);
    world.pass(4 * MINUTE);
    world.run(Input::PauseJob(job));
    world.pass(60 * MINUTE);
    world.progress(device, 20);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    world.run(Input::ResumeJob(job));
    world.pass(5 * MINUTE);
    world.run(Input::PauseJob(job));
    world.pass(30 * SECOND);
    world.run(Input::ResumeJob(job));
    times_out_in(&mut world, job, device, MINUTE);
}

#[test]
fn t18_the_timeout_stands_still_while_the_platform_does() {
    for held in [false, true] {
        let (mut world, job, device) =
            told_by(Order { timeout_ms: Some(10 * MINUTE), ..Order::usual(Pick::All) });
        world.progress(device, 100);
        world.pass(4 * MINUTE);
        if held {
            world.run(Input::PauseJob(job));
        }
        world.stand_still(120 * MINUTE);
        if held {
            world.run(Input::ResumeJob(job));
        }
        times_out_in(&mut world, job, device, 6 * MINUTE);
    }
}

#[test]
fn t18_who_begins_in_a_held_job_has_the_timeout_from_its_end() {
    let (mut world, job, device) =
        told_by(Order { timeout_ms: Some(10 * MINUTE), ..Order::usual(Pick::All) });
    world.run(Input::PauseJob(job));
    world.pass(5 * MINUTE);
    world.progress(device, 10);
    world.pass(60 * MINUTE);
    world.run(Input::ResumeJob(job));
    times_out_in(&mut world, job, device, 10 * MINUTE);
}

#[test]
fn t14_the_source_after_step_100_is_a_failed_attempt() {
    let (mut world, job, device) = usual();
    world.progress(device, 100);
    assert_eq!(waits(&world, job, device), Some(Waiting::AwaitsVersion { since: world.now }));
    reboot(&mut world, device, "1");
    let task = world.task(job, device);
    assert_eq!((task.tries, task.progress, task.state), (2, 0, TaskState::InProgress));
    world.pass(MINUTE);
    for _ in 0..2 {
        world.progress(device, 100);
        reboot(&mut world, device, "1");
        world.pass(MINUTE);
    }
    assert_eq!(reason(&world, job, device), Reason::RolledBack { version: "1".into() });
}

#[test]
fn t14_a_lower_step_after_100_hides_no_roll_back() {
    let (mut world, job, device) = usual();
    world.progress(device, 100);
    world.progress(device, 3);
    assert_eq!(waits(&world, job, device), Some(Waiting::Downloading), "it begins once more");
    reboot(&mut world, device, "1");
    assert_eq!(world.task(job, device).tries, 2);
    world.pass(MINUTE);
    world.progress(device, 3);
    reboot(&mut world, device, "1");
    assert_eq!(world.task(job, device).tries, 2, "an attempt of its own, without step 100");
}

#[test]
fn t14_the_source_before_step_100_is_none_and_a_made_up_one_may_be_corrected() {
    let (mut world, job, device) = usual();
    world.progress(device, 99);
    reboot(&mut world, device, "1");
    assert_eq!(world.task(job, device).tries, 1);
    world.progress(device, 100);
    world.disconnect(device);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(SETTLE - 1);
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(world.state(job, device), TaskState::Succeeded);
}

#[test]
fn t14_a_device_that_gets_no_further_is_not_pushed_to_for_ever() {
    let (mut world, job, device) = usual();
    for (last, reboots) in [(50, 5), (99, 6)] {
        for _ in 0..reboots {
            assert_eq!(world.task(job, device).tries, 1);
            [0, 10, last].iter().for_each(|step| world.progress(device, *step));
            reboot(&mut world, device, "1");
        }
    }
    let task = world.task(job, device);
    assert_eq!((task.tries, task.pushes, task.furthest), (2, 0, 0));
    for _ in 0..2 {
        world.pass(MINUTE);
        for _ in 0..6 {
            world.progress(device, 99);
            reboot(&mut world, device, "1");
        }
    }
    assert_eq!(reason(&world, job, device), Reason::TooManyPushes { pushes: 5 });
}

#[test]
fn t15_the_version_of_a_task_that_was_cancelled_before_fails_no_attempt() {
    for begun in [false, true] {
        let (mut world, bad, device) = usual();
        if begun {
            world.progress(device, 10);
        }
        world.run(Input::CancelJob(bad));
        let package = world.package("3");
        let limits = FailureLimits { failures: Some(0), ..FailureLimits::default() };
        let terms = Terms { limits, ..Terms::default() };
        let job = world.start(package, Order { terms, timeout_ms: Some(HALF_HOUR), ..Order::to(Pick::All) });
        // The device was not told of the end, and goes on.
        [60, 100].iter().for_each(|step| world.progress(device, *step));
        assert_eq!(world.state(job, device), TaskState::InProgress);
        world.disconnect(device);
        world.connect(device);
        world.notices();
        world.report(device, DEFAULT_MODULE, "2");
        assert_eq!(world.notices(), [device], "it is told of the other at once");
        let task = world.task(job, device);
        assert_eq!((task.state, task.tries, task.progress), (TaskState::Notified, 1, 0));
        assert_eq!((task.first_progress_at, task.failed_in), (None, None));
        world.pass(SETTLE);
        assert_eq!(world.task(job, device).src_version.as_deref(), Some("2"));
        assert_eq!(world.job(job).hold, None);
        // Only once: an attempt from there that ends in another version has failed.
        world.progress(device, 100);
        reboot(&mut world, device, "2");
        assert_eq!(world.task(job, device).tries, 2);
        world.report(device, DEFAULT_MODULE, "3");
        assert_eq!(world.state(job, device), TaskState::Succeeded);
    }
}

#[test]
fn t15_another_version_is_a_failed_attempt_and_the_next_ones_source() {
    let (mut world, job, device) = usual();
    world.progress(device, 50);
    reboot(&mut world, device, "1.0.1\r");
    let task = world.task(job, device);
    assert_eq!((task.tries, task.src_version.as_deref()), (2, Some("1.0.1\r")));
    world.pass(MINUTE);
    world.progress(device, 50);
    reboot(&mut world, device, "1.0.1\r");
    assert_eq!(world.task(job, device).tries, 2, "the source again, before step 100");
    reboot(&mut world, device, "2");
    assert_eq!(world.state(job, device), TaskState::Succeeded);
}

#[test]
fn t15_the_next_attempt_is_made_from_a_version_that_the_job_does_not_name() {
    let terms = Terms { src_versions: vec!["1".into()], ..Terms::default() };
    let (mut world, job, device) = told(terms);
    world.progress(device, 50);
    reboot(&mut world, device, "1.0.1");
    world.pass(MINUTE);
    world.report(device, DEFAULT_MODULE, "1.0.1");
    assert_eq!((world.state(job, device), world.task(job, device).tries), (TaskState::InProgress, 2));
    world.pass(MINUTE);
    world.report(device, DEFAULT_MODULE, "1.0.2");
    assert_eq!(reason(&world, job, device), Reason::SourceExcluded { reported: "1.0.2".into() });
}

#[test]
fn t16_another_version_at_the_last_attempt_fails() {
    let (mut world, job, device) = told(Terms { attempts: 1, ..Terms::default() });
    world.progress(device, 50);
    reboot(&mut world, device, "3");
    let mismatch = Reason::VersionMismatch { expected: "2".into(), reported: "3".into() };
    assert_eq!(reason(&world, job, device), mismatch);
}

#[test]
fn t19_a_device_that_is_told_has_half_an_hour_to_begin() {
    let (mut world, job, device) = told(Terms { attempts: 1, ..Terms::default() });
    assert_eq!(waits(&world, job, device), Some(Waiting::ToldNoProgress { since: world.now }));
    world.pass(HALF_HOUR - 1);
    assert_eq!(world.state(job, device), TaskState::Notified);
    world.pass(1);
    assert_eq!(reason(&world, job, device), Reason::StartTimeout { minutes: 30 });
}

#[test]
fn t19_only_connected_time_counts() {
    let (mut world, job, device) = told(Terms { attempts: 1, ..Terms::default() });
    world.pass(HALF_HOUR - MINUTE);
    world.disconnect(device);
    world.pass(24 * 60 * MINUTE);
    assert_eq!(world.task(job, device).start_clock, Some(StartClock::Left(MINUTE)));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(MINUTE - 1);
    assert_eq!(world.state(job, device), TaskState::Notified);
    world.pass(1);
    assert_eq!(world.state(job, device), TaskState::Failed);
}

#[test]
fn t19_time_in_which_the_platform_stood_still_is_not_connected() {
    let (mut world, job, device) = told(Terms { attempts: 1, ..Terms::default() });
    world.pass(HALF_HOUR - MINUTE);
    world.stand_still(24 * 60 * MINUTE);
    assert_eq!(world.task(job, device).start_clock, Some(StartClock::Left(MINUTE)));
    assert_eq!(world.tables.devices[&device].last_offline_at, Some(world.now - 24 * 60 * MINUTE));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(MINUTE - 1);
    assert_eq!(world.state(job, device), TaskState::Notified);
    world.pass(1);
    assert_eq!(world.state(job, device), TaskState::Failed);
}

#[test]
fn t19_progress_stops_the_clock_and_each_attempt_has_its_own() {
    let (mut world, job, device) = usual();
    world.pass(HALF_HOUR - 1);
    world.progress(device, 0);
    world.pass(HALF_HOUR);
    assert_eq!(world.task(job, device).tries, 1);
    world.progress(device, -1);
    world.pass(MINUTE + HALF_HOUR - 1);
    assert_eq!(world.task(job, device).tries, 2);
    world.pass(1);
    assert_eq!(world.task(job, device).tries, 3);
}

#[test]
fn t19_a_device_that_asks_has_the_same_time() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let terms = Terms { attempts: 1, ..Terms::default() };
    let job = world.start(package, Order { need_push: false, terms, ..Order::to(Pick::All) });
    world.pass(24 * 60 * MINUTE);
    assert_eq!(waits(&world, job, device), Some(Waiting::NotPushed));
    world.get(device);
    world.pass(HALF_HOUR);
    assert_eq!(world.state(job, device), TaskState::Failed);
}

#[test]
fn t19_a_held_job_fails_nobody_for_not_beginning() {
    let (mut world, job, device) = told(Terms { attempts: 1, ..Terms::default() });
    world.run(Input::PauseJob(job));
    reboot(&mut world, device, "1");
    world.pass(24 * 60 * MINUTE);
    assert_eq!(waits(&world, job, device), Some(Waiting::Paused));
    world.run(Input::ResumeJob(job));
    assert_eq!((world.notices(), world.state(job, device)), (vec![device], TaskState::Notified));
    world.pass(HALF_HOUR - 1);
    assert_eq!(world.state(job, device), TaskState::Notified);
    world.pass(1);
    assert_eq!(world.state(job, device), TaskState::Failed);
}

#[test]
fn five_pushes_without_progress_are_enough() {
    let (mut world, job, device) = told(Terms { attempts: 2, ..Terms::default() });
    let back = |world: &mut World| {
        world.disconnect(device);
        world.connect(device);
        world.report(device, DEFAULT_MODULE, "1");
    };
    (0..4).for_each(|_| back(&mut world));
    assert_eq!((world.task(job, device).pushes, world.task(job, device).tries), (5, 1));
    back(&mut world);
    assert_eq!((world.task(job, device).pushes, world.task(job, device).tries), (0, 2));
    world.pass(MINUTE);
    (0..4).for_each(|_| back(&mut world));
    world.progress(device, 10);
    (0..5).for_each(|_| back(&mut world));
    assert_eq!(world.state(job, device), TaskState::InProgress, "progress counts them anew");
    back(&mut world);
    assert_eq!(reason(&world, job, device), Reason::TooManyPushes { pushes: 5 });
}

#[test]
fn a_module_in_another_case_is_named_as_the_cause() {
    let mut world = World::new();
    let [device] = world.online();
    world.report(device, "mcu", "1");
    let package = world.package_of("MCU", "2");
    let terms = Terms { attempts: 1, ..Terms::default() };
    let job = world.start(package, Order { terms, ..Order::to(Pick::All) });
    let waits = waits(&world, job, device);
    assert_eq!(waits, Some(Waiting::ModuleCase { expected: "MCU".into(), reported: "mcu".into() }));
    world.pass(GRACE + HALF_HOUR);
    let cause = Reason::ModuleCase { expected: "MCU".into(), reported: "mcu".into() };
    assert_eq!(reason(&world, job, device), cause);
}

#[test]
fn what_a_task_waits_for_is_said() {
    let mut world = World::new();
    world.limits.downloads = 1;
    let [a, b] = world.online();
    let silent = world.device();
    let package = world.package("2");
    let job = world.start(package, Order::usual(Pick::All));
    assert_eq!(waits(&world, job, b), Some(Waiting::DownloadSlots));
    assert_eq!(waits(&world, job, silent), Some(Waiting::Offline));
    world.connect(silent);
    assert_eq!(waits(&world, job, silent), Some(Waiting::AwaitsReport { until: world.now + GRACE }));
    world.progress(a, 10);
    assert_eq!(waits(&world, job, a), Some(Waiting::Downloading));
    world.disconnect(a);
    assert_eq!(waits(&world, job, a), Some(Waiting::Offline));
    for device in [a, b] {
        let enable =
            |world: &mut World, enabled| world.tables.devices.get_mut(&device).unwrap().enabled = enabled;
        let before = waits(&world, job, device);
        enable(&mut world, false);
        assert_eq!(waits(&world, job, device), Some(Waiting::Disabled), "instead of {before:?}");
        enable(&mut world, true);
    }
    world.report(b, DEFAULT_MODULE, "2");
    assert_eq!(waits(&world, job, b), None);

    let mut world = World::new();
    let [_, b] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order { rate_per_minute: 1, ..Order::usual(Pick::All) });
    world.pass(SECOND);
    assert_eq!(waits(&world, job, b), Some(Waiting::Rate));
    world.apply(vec![Input::CancelJob(job)]);
    assert_eq!(waits(&world, job, b), Some(Waiting::Canceling));
}

#[test]
fn a_retry_begun_on_a_made_up_version_fails_nothing_either() {
    let (mut world, job, device) = usual();
    world.progress(device, 40);
    world.pass(SECOND);
    world.progress(device, -2);
    world.disconnect(device);
    world.connect(device);
    world.pass(MINUTE);
    world.report(device, DEFAULT_MODULE, "made-up");
    world.progress(device, 10);
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(SETTLE);
    let task = world.task(job, device);
    assert_eq!((task.state, task.attempt, task.tries), (TaskState::InProgress, 2, 2));
    assert_eq!(task.src_version.as_deref(), Some("1"));
    world.progress(device, 100);
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(world.state(job, device), TaskState::Succeeded);
}
