//! Two jobs for one device (T3, T21, C4), cell by cell, and what waits behind a running task.

use otaru_rollout::*;

use crate::world::{MINUTE, Order, Pick, SETTLE, World};

use Overwrite::{Keep, Queue, Replace};
use TaskState::{Canceled, Confirm, Failed, InProgress, Notified, Queued, Succeeded};

fn terms(overwrite: Overwrite, multi_module: bool) -> Terms {
    Terms { overwrite, multi_module, ..Terms::as_the_cloud() }
}

/// An old task in `state` for module `default`, and a new one for `module`. Tells both states.
fn meet(old: Terms, state: TaskState, new: Terms, module: &str) -> (World, [Id; 2], Id) {
    let mut world = World::new();
    let [device] = world.online();
    world.report(device, "MCU", "1");
    let package = world.package("2");
    let (need_push, terms) = (state != Queued, Terms { need_confirm: state == Confirm, ..old });
    let first = world.start(package, Order { need_push, terms, ..Order::to(Pick::All) });
    if state == InProgress {
        world.progress(device, 5);
    }
    assert_eq!(world.state(first, device), state);
    world.notices();
    let package = world.package_of(module, "7");
    let second = world.start(package, Order { terms: new, ..Order::to(Pick::All) });
    (world, [first, second], device)
}

/// How a new task and an old one of the same device get on.
#[derive(Clone, Copy)]
enum Outcome {
    /// The new one fails at once, without a message; the old one goes on.
    NewFails,
    /// The old one is cancelled, the new one is told.
    OldCanceled,
    /// The new one waits until the old one has ended.
    NewWaits,
    /// Both run.
    BothRun,
}

use Outcome::{BothRun, NewFails, NewWaits, OldCanceled};

/// A cell: what an old job of scope `old` and a new one on these terms for `module` do to each other while
/// the old task has not begun (waits for approval, for its turn, or was told), and once it has.
fn cell(old: bool, new: (Overwrite, bool), module: &str, [not_begun, begun]: [Outcome; 2]) {
    for (state, outcome) in
        [(Confirm, not_begun), (Queued, not_begun), (Notified, not_begun), (InProgress, begun)]
    {
        let (mut world, [first, second], device) = meet(terms(Keep, old), state, terms(new.0, new.1), module);
        let [old, new] = [first, second].map(|job| world.task(job, device).clone());
        let conflict = Reason::Conflict { task: old.id };
        let overwritten = Reason::Overwritten { job: second };
        let (states, reasons, told) = match outcome {
            NewFails => ([state, Failed], [None, Some(conflict)], vec![]),
            OldCanceled => ([Canceled, Notified], [Some(overwritten), None], vec![device]),
            NewWaits => ([state, Queued], [None, None], vec![]),
            BothRun => ([state, Notified], [None, None], vec![device]),
        };
        assert_eq!([old.state, new.state], states, "{state:?} {module}");
        assert_eq!([&old.reason, &new.reason], reasons.each_ref(), "{state:?} {module}");
        assert_eq!(world.notices(), told, "{state:?} {module}");
        let behind = Some(Waiting::QueuedBehind { task: old.id, job: old.job_id, held: false });
        assert_eq!(world.waiting(&new) == behind, matches!(outcome, NewWaits), "{state:?} {module}");
    }
}

#[test]
fn c4_keep_the_new_task_fails_whatever_the_module() {
    cell(false, (Keep, false), DEFAULT_MODULE, [NewFails, NewFails]);
    cell(false, (Keep, false), "MCU", [NewFails, NewFails]);
}

#[test]
fn c4_t21_replace_the_old_task_is_cancelled_unless_it_has_begun() {
    cell(false, (Replace, false), DEFAULT_MODULE, [OldCanceled, NewFails]);
    cell(false, (Replace, false), "MCU", [OldCanceled, NewFails]);
}

#[test]
fn c4_t21_several_modules_the_same_one_is_overwritten_unless_it_has_begun() {
    cell(true, (Keep, true), DEFAULT_MODULE, [OldCanceled, NewFails]);
}

#[test]
fn c4_several_modules_another_one_runs_beside() {
    cell(true, (Keep, true), "MCU", [BothRun, BothRun]);
    cell(true, (Queue, true), "MCU", [BothRun, BothRun]);
}

#[test]
fn c4_mixed_the_stricter_scope_counts() {
    cell(false, (Keep, true), "MCU", [NewFails, NewFails]);
    cell(true, (Keep, false), "MCU", [NewFails, NewFails]);
    cell(true, (Keep, false), DEFAULT_MODULE, [NewFails, NewFails]);
    cell(true, (Replace, false), "MCU", [OldCanceled, NewFails]);
}

#[test]
fn c4_queue_the_new_task_waits() {
    cell(false, (Queue, false), DEFAULT_MODULE, [NewWaits, NewWaits]);
    cell(false, (Queue, false), "MCU", [NewWaits, NewWaits]);
    cell(false, (Queue, true), "MCU", [NewWaits, NewWaits]);
    cell(true, (Queue, true), DEFAULT_MODULE, [OldCanceled, NewWaits]);
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
                (Queued, Some(Waiting::QueuedBehind { task: old, job: first, held: false }))
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

#[test]
fn t17_a_difference_behind_a_file_is_not_told_on_the_version_that_brought_it_its_turn() {
    let mut world = World::new();
    let [device] = world.online();
    let (file, difference) = (world.package("2"), world.difference("1", "3"));
    let first = world.start(file, Order::usual(Pick::All));
    let second = world.start(difference, Order::usual(Pick::All));
    world.progress(device, 100);
    world.notices();
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(world.state(first, device), TaskState::Succeeded);
    assert_eq!(world.get(device), Some(None));
    world.progress(device, 100);
    assert_eq!((world.state(second, device), world.notices()), (TaskState::Queued, vec![]));
    world.pass(SETTLE);
    let reason = Reason::SourceExcluded { reported: "2".into() };
    assert_eq!(world.task(second, device).reason, Some(reason));
}

#[test]
fn t6_who_asks_is_not_answered_with_a_difference_to_another_version() {
    let mut world = World::new();
    let [device] = world.online();
    world.disconnect(device);
    let difference = world.difference("1", "3");
    let job = world.start(difference, Order::usual(Pick::All));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "made-up");
    assert_eq!(world.get(device), Some(None));
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [device]);
    assert!(matches!(world.get(device), Some(Some(_))));
    // Told on its source, it begins on what it did not have time to correct.
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "2");
    world.progress(device, 10);
    assert_eq!((world.state(job, device), world.notices()), (TaskState::InProgress, vec![]));
    world.pass(SETTLE);
    let reason = Reason::VersionMismatch { expected: "3".into(), reported: "2".into() };
    assert_eq!(world.task(job, device).reason, Some(reason));
}

#[test]
fn an_attempt_of_a_difference_that_fails_on_another_version_is_the_last() {
    let mut world = World::new();
    let [device] = world.online();
    let difference = world.difference("1", "3");
    let job = world.start(difference, Order::usual(Pick::All));
    world.progress(device, 10);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "2");
    world.progress(device, -1);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    world.pass(SETTLE);
    assert_eq!(world.state(job, device), TaskState::Failed);
}

#[test]
fn who_waits_behind_a_held_job_says_so() {
    let mut world = World::new();
    let [device] = world.online();
    let (bad, hotfix) = (world.package("2"), world.package("3"));
    let bad = world.start(bad, Order::usual(Pick::All));
    let hotfix = world.start(hotfix, Order::usual(Pick::All));
    let task = world.task(bad, device).id;
    for held in [false, true] {
        let waits = world.waiting(world.task(hotfix, device));
        assert_eq!(waits, Some(Waiting::QueuedBehind { task, job: bad, held }));
        world.run(Input::PauseJob(bad));
    }
}
