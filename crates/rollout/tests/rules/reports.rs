//! Version reports: made-up ones, stale ones, too many of them.

use otaru_rollout::*;

use crate::world::{GRACE, MINUTE, Order, Pick, SECOND, SETTLE, World};

/// What C SDK 3.x reports by itself at each connect, before the application speaks.
const MADE_UP: &str = "app-1.0.0-20180101.1000";

/// A device of C SDK 3.x that is downloading, and then boots.
fn rebooted() -> (World, Id, Id) {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.progress(device, 100);
    world.disconnect(device);
    world.pass(5 * SECOND);
    world.connect(device);
    world.notices();
    (world, job, device)
}

#[test]
fn a_made_up_version_before_the_target_is_success() {
    let (mut world, job, device) = rebooted();
    world.report(device, DEFAULT_MODULE, MADE_UP);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    world.pass(3);
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(world.state(job, device), TaskState::Succeeded);
    assert_eq!(world.notices(), [0; 0], "the made-up version brings no push");
    world.pass(MINUTE);
    assert_eq!(world.state(job, device), TaskState::Succeeded);
}

#[test]
fn a_made_up_version_before_the_source_changes_nothing() {
    let (mut world, job, device) = rebooted();
    world.report(device, DEFAULT_MODULE, MADE_UP);
    world.pass(SETTLE - 1);
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [device]);
    world.pass(MINUTE);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    assert_eq!(world.task(job, device).src_version.as_deref(), Some("1"));
}

#[test]
fn a_made_up_version_alone_fails_when_it_has_settled() {
    let (mut world, job, device) = rebooted();
    world.pass(GRACE / 10);
    world.report(device, DEFAULT_MODULE, MADE_UP);
    world.pass(SETTLE - 1);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    world.pass(1);
    assert_eq!(world.state(job, device), TaskState::Failed);
    let reason = Reason::VersionMismatch { expected: "2".into(), reported: MADE_UP.into() };
    assert_eq!(world.task(job, device).reason, Some(reason));
}

#[test]
fn the_settle_time_counts_from_the_connections_first_report() {
    let (mut world, job, device) = rebooted();
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(SETTLE - 1);
    world.report(device, DEFAULT_MODULE, "1.5");
    assert_eq!(world.state(job, device), TaskState::InProgress);
    world.pass(1);
    assert_eq!(world.state(job, device), TaskState::Failed);
}

#[test]
fn a_new_connection_has_its_own_settle_time_even_when_the_old_ones_is_due_in_the_same_batch() {
    let (mut world, job, device) = rebooted();
    world.report(device, DEFAULT_MODULE, MADE_UP);
    world.report(device, DEFAULT_MODULE, "1");
    let due = world.tables.timers[&Timer::Settle(world.task(job, device).id)];
    world.pass(due - world.now - 1);
    let epoch = world.epoch(device) + 1_000_000;
    let (module, version) = (DEFAULT_MODULE.into(), MADE_UP.into());
    world.apply(vec![
        Input::Connected { device, epoch },
        Input::Reported { device, epoch, module, version },
        Input::Due(Timer::Settle(world.task(job, device).id)),
    ]);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(world.state(job, device), TaskState::Succeeded);
}

#[test]
fn the_source_follows_the_last_of_two_reports_before_the_first_progress() {
    let mut world = World::new();
    let device = world.device();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, MADE_UP);
    world.report(device, DEFAULT_MODULE, "1");
    world.progress(device, 0);
    assert_eq!(world.task(job, device).src_version.as_deref(), Some("1"));
}

#[test]
fn a_report_that_corrects_another_brings_the_notice_again() {
    let mut world = World::new();
    let device = world.device();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, MADE_UP);
    world.pass(10);
    assert_eq!(world.notices(), [device]);
    world.report(device, DEFAULT_MODULE, "1");
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(10);
    assert_eq!(world.notices(), [device], "once more, and not for a repetition");
    assert_eq!(world.task(job, device).pushes, 2);
}

#[test]
fn a_made_up_version_does_not_become_the_source_of_a_task_that_has_one() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, MADE_UP);
    world.pass(50);
    world.report(device, DEFAULT_MODULE, "2");
    let task = world.task(job, device);
    assert_eq!((task.state, task.src_version.as_deref()), (TaskState::Succeeded, Some("1")));
}

#[test]
fn progress_between_a_made_up_version_and_the_real_one_fails_nothing() {
    let mut world = World::new();
    let device = world.device();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, MADE_UP);
    world.progress(device, 0);
    world.report(device, DEFAULT_MODULE, "1.5");
    world.pass(MINUTE);
    let task = world.task(job, device);
    assert_eq!((task.state, task.src_version.as_deref()), (TaskState::InProgress, Some("1.5")));
}

#[test]
fn a_connection_that_ends_before_its_report_has_settled_has_told_nothing() {
    let (mut world, job, device) = rebooted();
    world.report(device, DEFAULT_MODULE, MADE_UP);
    world.pass(200);
    world.disconnect(device);
    world.pass(MINUTE);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(world.state(job, device), TaskState::Succeeded);
}

#[test]
fn a_report_of_an_ended_connection_is_dropped() {
    let (mut world, job, device) = rebooted();
    let old = world.epoch(device);
    let present = world.connect(device);
    let mut expected = world.tables.clone();
    expected.dropped += 6;
    for input in [
        Input::Reported { device, epoch: old, module: DEFAULT_MODULE.into(), version: "2".into() },
        Input::Progressed { device, epoch: old, module: DEFAULT_MODULE.into(), step: -1, desc: "".into() },
        Input::Asked { device, epoch: old, module: DEFAULT_MODULE.into(), ask: Ask::OldRequest },
        Input::Disconnected { device, epoch: old },
        Input::Connected { device, epoch: old },
        Input::Connected { device, epoch: present },
    ] {
        world.apply(vec![input]);
    }
    assert_eq!(world.tables, expected);
    assert_eq!(world.state(job, device), TaskState::InProgress);
}

#[test]
fn an_unknown_device_changes_nothing() {
    let mut world = World::new();
    world.run(Input::Connected { device: 999, epoch: 1 });
    world.run(Input::Reported { device: 999, epoch: 1, module: "m".into(), version: "1".into() });
    assert_eq!(world.tables.dropped, 2);
    assert!(world.tables.sessions.is_empty() && world.tables.versions.is_empty());
    assert_eq!(world.tables.sent, [Outbound::Close { device: 999 }], "it was removed while it came in");
}

#[test]
fn a_device_that_was_disabled_while_it_came_in_is_closed() {
    let mut world = World::new();
    let device = world.device();
    world.tables.devices.get_mut(&device).unwrap().enabled = false;
    world.run(Input::Connected { device, epoch: 5 });
    assert!(world.tables.sessions.is_empty());
    assert_eq!(world.tables.sent, [Outbound::Close { device }]);
}

#[test]
fn a_takeover_ends_the_old_connection_first() {
    let mut world = World::new();
    let [device] = world.online();
    let old = world.epoch(device);
    let new = world.connect(device);
    assert!(new > old);
    let kinds: Vec<&EventKind> = world.tables.events.iter().rev().take(2).map(|e| &e.kind).collect();
    assert_eq!(kinds, [&EventKind::DeviceConnected { first: false }, &EventKind::DeviceDisconnected]);
    assert_eq!(world.epoch(device), new);
}

#[test]
fn a_device_cannot_fill_the_table_of_modules() {
    let mut world = World::new();
    let [device, other] = world.online();
    for n in 0..100 {
        world.report(device, &format!("m{n}"), "1");
    }
    let modules = |device: Id| world.tables.versions.keys().filter(|(d, _)| *d == device).count();
    assert_eq!((modules(device), modules(other)), (64, 1));
    assert_eq!(world.tables.dropped, 37);
    // What is known still moves, and others are not harmed.
    world.report(device, "m0", "2");
    world.report(other, "m99", "1");
    assert_eq!(world.tables.versions[&(device, "m0".to_owned())].version, "2");
    assert_eq!(world.tables.dropped, 37);
}

#[test]
fn the_default_module_always_has_a_place() {
    let mut world = World::new();
    let device = world.device();
    world.connect(device);
    for n in 0..64 {
        world.report(device, &format!("m{n}"), "1");
    }
    world.report(device, DEFAULT_MODULE, "1");
    assert!(world.tables.versions.contains_key(&(device, DEFAULT_MODULE.to_owned())));
}

#[test]
fn a_version_is_an_event_only_when_it_is_another() {
    let mut world = World::new();
    let [device] = world.online();
    let before = world.tables.events.len();
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.tables.events.len(), before);
    world.report(device, DEFAULT_MODULE, "2");
    let kind = EventKind::VersionChanged {
        module: DEFAULT_MODULE.into(),
        previous: Some("1".into()),
        version: "2".into(),
    };
    assert_eq!(world.tables.events.last().map(|e| &e.kind), Some(&kind));
}

#[test]
fn one_failure_report_twice_fails_once() {
    let (mut world, job, device) = rebooted();
    world.progress(device, -2);
    let once = world.tables.clone();
    world.progress(device, -2);
    assert_eq!(world.tables, once);
    assert_eq!(world.state(job, device), TaskState::Failed);
}

#[test]
fn the_first_report_of_a_task_begun_without_one_is_its_source() {
    let mut world = World::new();
    let device = world.device();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.connect(device);
    world.pass(GRACE);
    world.progress(device, 30);
    world.pass(MINUTE);
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(MINUTE);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    assert_eq!(world.task(job, device).src_version.as_deref(), Some("1"));
}

#[test]
fn a_device_remembers_its_first_and_last_times() {
    let mut world = World::new();
    let device = world.new_device();
    let first = world.now;
    world.connect(device);
    world.pass(SECOND);
    world.disconnect(device);
    world.pass(SECOND);
    world.connect(device);
    let row = &world.tables.devices[&device];
    let times = (row.first_online_at, row.last_online_at, row.last_offline_at);
    assert_eq!(times, (Some(first), Some(first + 2 * SECOND), Some(first + SECOND)));
}
