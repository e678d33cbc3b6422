//! Two jobs for one device (C4, T3, T21), row by row, and what waits behind a running task.

use otaru_rollout::*;

use crate::world::{MINUTE, Order, Pick, SETTLE, World};

use Overwrite::{Keep, Queue, Replace};
use TaskState::{Canceled, Failed, InProgress, Notified, Queued, Succeeded};

fn terms(overwrite: Overwrite, multi_module: bool) -> Terms {
    Terms { overwrite, multi_module, ..Terms::as_the_cloud() }
}

/// An old task in `state` for module `default`, and a new one for `module`. Tells both states.
fn meet(old: Terms, state: TaskState, new: Terms, module: &str) -> (World, [Id; 2], Id) {
    let mut world = World::new();
    let [device] = world.online();
    world.report(device, "MCU", "1");
    let package = world.package("2");
    let need_push = state != Queued;
    let first = world.start(package, Order { need_push, terms: old, ..Order::to(Pick::All) });
    if state == InProgress {
        world.progress(device, 5);
    }
    assert_eq!(world.state(first, device), state);
    world.notices();
    let package = world.package_of(module, "7");
    let second = world.start(package, Order { terms: new, ..Order::to(Pick::All) });
    (world, [first, second], device)
}

fn states(met: &(World, [Id; 2], Id)) -> [TaskState; 2] {
    met.1.map(|job| met.0.state(job, met.2))
}

fn reason(met: &(World, [Id; 2], Id), which: usize) -> Reason {
    met.0.task(met.1[which], met.2).reason.clone().unwrap()
}

const WAITING: [TaskState; 2] = [Queued, Notified];

#[test]
fn c4_keep_the_new_task_fails_at_once_whatever_the_module() {
    for module in [DEFAULT_MODULE, "MCU"] {
        for state in [Queued, Notified, InProgress] {
            let mut met = meet(terms(Keep, false), state, terms(Keep, false), module);
            assert_eq!(states(&met), [state, Failed]);
            let old = met.0.task(met.1[0], met.2).id;
            assert_eq!(reason(&met, 1), Reason::Conflict { task: old });
            assert_eq!(met.0.notices(), [0; 0]);
        }
    }
}

#[test]
fn c4_t21_replace_the_old_task_is_cancelled_unless_it_is_in_progress() {
    for module in [DEFAULT_MODULE, "MCU"] {
        for state in WAITING {
            let mut met = meet(terms(Keep, false), state, terms(Replace, false), module);
            assert_eq!(states(&met), [Canceled, Notified]);
            assert_eq!(reason(&met, 0), Reason::Overwritten { job: met.1[1] });
            assert_eq!(met.0.notices(), [met.2]);
        }
        let met = meet(terms(Keep, false), InProgress, terms(Replace, false), module);
        assert_eq!(states(&met), [InProgress, Failed]);
    }
}

#[test]
fn c4_t21_several_modules_the_same_module_is_overwritten_another_runs_beside() {
    for overwrite in [Keep, Queue] {
        let multi = || terms(overwrite, true);
        for state in WAITING {
            let met = meet(multi(), state, multi(), DEFAULT_MODULE);
            assert_eq!(states(&met), [Canceled, Notified]);
        }
        for state in [Queued, Notified, InProgress] {
            let mut met = meet(multi(), state, multi(), "MCU");
            assert_eq!(states(&met), [state, Notified]);
            assert_eq!(met.0.notices(), [met.2]);
        }
    }
    let met = meet(terms(Keep, true), InProgress, terms(Keep, true), DEFAULT_MODULE);
    assert_eq!(states(&met), [InProgress, Failed]);
}

#[test]
fn c4_of_two_scopes_the_stricter_counts() {
    for (old, new) in [(false, true), (true, false)] {
        let met = meet(terms(Keep, old), Notified, terms(Keep, new), "MCU");
        assert_eq!(states(&met), [Notified, Failed], "{old} {new}");
    }
}

#[test]
fn queued_behind_a_task_it_is_pushed_when_that_one_ends() {
    for module in [DEFAULT_MODULE, "MCU"] {
        for state in [Queued, Notified, InProgress] {
            let (mut world, [first, second], device) =
                meet(terms(Keep, false), state, terms(Queue, false), module);
            let old = world.task(first, device).id;
            let task = world.task(second, device);
            assert_eq!(
                (task.state, world.waiting(task)),
                (Queued, Some(Waiting::QueuedBehind { task: old }))
            );
            assert_eq!(world.notices(), [0; 0]);
            world.pass(MINUTE);
            world.run(Input::CancelTask(old));
            assert_eq!(world.state(second, device), Notified);
            assert_eq!(world.notices(), [device]);
        }
    }
}

#[test]
fn a_line_of_three_moves_one_by_one_and_its_versions_follow() {
    let mut world = World::new();
    let [device] = world.online();
    let jobs = ["2", "3", "4"].map(|version| {
        let package = world.package(version);
        world.start(package, Order::usual(Pick::All))
    });
    let states = |world: &World| jobs.map(|job| world.state(job, device));
    assert_eq!(states(&world), [Notified, Queued, Queued]);
    world.connect(device);
    assert!(matches!(world.get(device), Some(Some(offer)) if offer.package.version == "2"));
    world.progress(device, 50);
    assert_eq!(states(&world), [InProgress, Queued, Queued]);
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(states(&world), [Succeeded, Notified, Queued]);
    world.pass(SETTLE);
    assert_eq!(world.task(jobs[1], device).src_version.as_deref(), Some("2"));
    // A version that a later task wants is that task's success, and no other's.
    world.report(device, DEFAULT_MODULE, "4");
    assert_eq!(states(&world), [Succeeded, Notified, Succeeded]);
    world.report(device, DEFAULT_MODULE, "3");
    assert_eq!(states(&world), [Succeeded; 3]);
}

#[test]
fn what_waits_behind_can_be_cancelled_and_nothing_else_moves() {
    let (mut world, [first, second], device) =
        meet(terms(Keep, false), InProgress, terms(Queue, false), DEFAULT_MODULE);
    world.run(Input::CancelTask(world.task(second, device).id));
    assert_eq!((world.state(first, device), world.state(second, device)), (InProgress, Canceled));
    world.run(Input::ReupgradeTask(world.task(second, device).id));
    assert_eq!(world.state(second, device), Canceled, "nothing starts again beside another");
}
