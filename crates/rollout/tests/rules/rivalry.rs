//! Two clients with one identity: named after five take-overs in five minutes, and not pushed to until
//! one of them has stayed for a minute.

use otaru_rollout::*;

use crate::world::{GRACE, MINUTE, Order, Pick, SECOND, World};

/// Another client ends the device's connection, so many times.
fn take_over(world: &mut World, device: Id, times: usize, every: Ms) {
    for _ in 0..times {
        world.pass(every);
        world.run(Input::Ousted { device });
        world.connect(device);
    }
}

fn told(world: &World, device: Id) -> Vec<&EventKind> {
    let of_device = world.tables.events.iter().filter(|e| e.device_id == Some(device)).map(|e| &e.kind);
    of_device.filter(|k| matches!(k, EventKind::IdentityShared { .. } | EventKind::IdentitySettled)).collect()
}

fn shared_since(world: &World, device: Id) -> Option<Ms> {
    world.tables.devices[&device].shared_since()
}

/// A device with an unfinished task, that two clients have begun to fight for.
fn fought_for() -> (World, Id, Id) {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    assert_eq!(world.notices(), [device]);
    take_over(&mut world, device, 5, SECOND);
    assert_eq!(world.notices(), [0; 0]);
    (world, job, device)
}

#[test]
fn five_take_overs_within_five_minutes_are_named_once() {
    let mut world = World::new();
    let [device, bystander] = world.online();
    let first = world.now + MINUTE;
    take_over(&mut world, device, 4, MINUTE);
    assert_eq!((shared_since(&world, device), told(&world, device)), (None, vec![]));
    take_over(&mut world, device, 1, 59 * SECOND);
    assert_eq!(shared_since(&world, device), Some(first));
    let named = EventKind::IdentityShared { take_overs: 5, seconds: 3 * 60 + 59 };
    take_over(&mut world, device, 20, SECOND);
    assert_eq!(told(&world, device), [&named]);
    assert_eq!(shared_since(&world, bystander), None);
}

#[test]
fn slower_ones_are_not_named() {
    let mut world = World::new();
    let [device] = world.online();
    take_over(&mut world, device, 50, 75 * SECOND);
    assert_eq!(told(&world, device), [&EventKind::IdentitySettled; 0]);
}

#[test]
fn a_device_that_comes_back_before_its_old_connection_has_ended_is_no_rival_of_itself() {
    let mut world = World::new();
    let [device] = world.online();
    for _ in 0..20 {
        world.pass(SECOND);
        world.connect(device);
    }
    assert_eq!(told(&world, device), [&EventKind::IdentitySettled; 0]);
    world.run(Input::Ousted { device: 999 });
}

#[test]
fn who_goes_before_it_comes_back_takes_nobody_over() {
    let mut world = World::new();
    let [device] = world.online();
    for _ in 0..20 {
        world.disconnect(device);
        world.connect(device);
    }
    assert_eq!(told(&world, device), [&EventKind::IdentitySettled; 0]);
}

#[test]
fn a_goodbye_between_take_overs_does_not_hide_them() {
    let mut world = World::new();
    let [device] = world.online();
    for _ in 0..5 {
        world.disconnect(device);
        world.connect(device);
        take_over(&mut world, device, 1, SECOND);
    }
    assert!(shared_since(&world, device).is_some());
}

#[test]
fn nothing_is_pushed_until_a_connection_has_stayed_for_a_minute() {
    let (mut world, job, device) = fought_for();
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(30 * SECOND);
    take_over(&mut world, device, 1, 0);
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(MINUTE - 1);
    assert_eq!(world.notices(), [0; 0]);
    world.pass(1);
    assert_eq!(world.notices(), [device]);
    assert_eq!(told(&world, device).last(), Some(&&EventKind::IdentitySettled));
    assert_eq!((shared_since(&world, device), world.task(job, device).pushes), (None, 2));
}

#[test]
fn a_connection_that_stays_and_reports_nothing_is_pushed_to_as_well() {
    let (mut world, _, device) = fought_for();
    const { assert!(GRACE < MINUTE) }
    world.pass(MINUTE);
    assert_eq!(world.notices(), [device]);
}

#[test]
fn a_job_and_a_re_upgrade_wait_too() {
    let mut world = World::new();
    let [device] = world.online();
    take_over(&mut world, device, 5, SECOND);
    world.report(device, DEFAULT_MODULE, "1");
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    assert_eq!(world.notices(), [0; 0]);
    world.progress(device, -1);
    let task = world.task(job, device).id;
    world.run(Input::CancelTask(task));
    world.run(Input::ReupgradeTask(task));
    assert_eq!(world.notices(), [0; 0]);
    world.pass(MINUTE);
    assert_eq!(world.notices(), [device]);
}

#[test]
fn who_asks_is_answered_all_the_same() {
    let (mut world, _, device) = fought_for();
    assert!(world.get(device).unwrap().is_some());
}

#[test]
fn it_ends_when_both_have_gone() {
    let (mut world, _, device) = fought_for();
    world.disconnect(device);
    world.pass(MINUTE);
    assert_eq!((shared_since(&world, device), world.notices()), (None, vec![]));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [device]);
}

#[test]
fn it_takes_five_more_to_be_named_again() {
    let (mut world, _, device) = fought_for();
    world.pass(MINUTE);
    take_over(&mut world, device, 4, SECOND);
    assert_eq!(told(&world, device).len(), 2);
    take_over(&mut world, device, 1, SECOND);
    assert_eq!(told(&world, device).len(), 3);
}

#[test]
fn it_outlives_the_server() {
    let (mut world, _, device) = fought_for();
    // What a start does: whoever was connected is not.
    world.disconnect(device);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    assert!(shared_since(&world, device).is_some());
    assert_eq!(world.notices(), [0; 0]);
}

#[test]
fn a_task_says_that_its_push_waits_for_two_clients_to_come_to_rest() {
    let (mut world, job, device) = fought_for();
    let since = shared_since(&world, device).unwrap();
    let waits = |world: &World| world.waiting(world.task(job, device));
    assert_eq!(waits(&world), Some(Waiting::SharedIdentity { since }));
    world.disconnect(device);
    assert_eq!(waits(&world), Some(Waiting::SharedIdentity { since }), "one of them, for a moment");
    world.pass(MINUTE);
    assert_eq!(waits(&world), Some(Waiting::Offline));
}
