//! Orders on whole jobs: verify, cancel, start again, and what a job's end is.

use otaru_rollout::*;

use crate::world::{MINUTE, Order, Pick, World};

fn succeed(world: &mut World, device: Id, version: &str) {
    world.report(device, DEFAULT_MODULE, version);
}

#[test]
fn a_job_completes_with_its_last_task() {
    let mut world = World::new();
    let [a, b] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    succeed(&mut world, a, "2");
    assert_eq!(world.job(job).state, JobState::InProgress);
    world.progress(b, -1);
    assert_eq!((world.job(job).state, world.job(job).ended_at), (JobState::Completed, Some(world.now)));
    assert_eq!(world.package_state(package), PackageState::Unverified, "no verify job, no verdict");
}

#[test]
fn a_job_does_not_complete_before_all_its_devices_are_enrolled() {
    let mut world = World::new();
    world.chunk = 1;
    let [a, _b] = world.online();
    let package = world.package("2");
    let job = world.order(package, Order::to(Pick::All));
    let first = world.claim();
    world.apply(first);
    let epoch = world.epoch(a);
    let (module, version) = (DEFAULT_MODULE.into(), "2".into());
    world.apply(vec![Input::Reported { device: a, epoch, module, version }]);
    assert_eq!((world.job(job).counts.unfinished(), world.job(job).state), (0, JobState::InProgress));
    world.tick();
    assert_eq!((world.job(job).counts.total(), world.job(job).state), (2, JobState::InProgress));
}

#[test]
fn a_package_is_verified_when_every_test_device_succeeds() {
    let mut world = World::new();
    let [a, b] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::verify(vec![a, b]));
    succeed(&mut world, a, "2");
    assert_eq!(world.package_state(package), PackageState::Verifying);
    succeed(&mut world, b, "2");
    assert_eq!(
        (world.job(job).state, world.package_state(package)),
        (JobState::Completed, PackageState::Verified)
    );
}

#[test]
fn a_package_fails_its_verification_with_one_test_device() {
    let ends: [fn(&mut World, Id, Id); 3] = [
        |world, _, b| world.progress(b, -4),
        |world, job, b| world.run(Input::CancelTask(world.task(job, b).id)),
        |world, job, _| world.run(Input::CancelJob(job)),
    ];
    for end in ends {
        let mut world = World::new();
        let [a, b] = world.online();
        let package = world.package("2");
        let job = world.start(package, Order::verify(vec![a, b]));
        succeed(&mut world, a, "2");
        end(&mut world, job, b);
        assert_eq!(world.package_state(package), PackageState::Failed);
    }
}

#[test]
fn a_busy_test_device_fails_the_verification() {
    let mut world = World::new();
    let [a] = world.online();
    let first = world.package("2");
    world.start(first, Order::to(Pick::All));
    let package = world.package("3");
    world.start(package, Order::verify(vec![a]));
    assert_eq!(world.package_state(package), PackageState::Failed);
}

#[test]
fn a_verify_job_without_a_task_proves_nothing() {
    let mut world = World::new();
    let [a] = world.online();
    let package = world.package("1");
    let job = world.start(package, Order::verify(vec![a]));
    assert_eq!(world.job(job).state, JobState::Completed);
    assert_eq!(world.package_state(package), PackageState::Unverified);
}

#[test]
fn a_failed_verification_can_still_be_won_by_starting_again() {
    let mut world = World::new();
    let [a, b] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::verify(vec![a, b]));
    succeed(&mut world, a, "2");
    world.progress(b, -3);
    world.run(Input::ReupgradeTask(world.task(job, b).id));
    assert_eq!(world.package_state(package), PackageState::Verifying);
    succeed(&mut world, b, "2");
    assert_eq!(world.package_state(package), PackageState::Verified);
}

#[test]
fn cancelling_a_job_ends_every_unfinished_task_and_no_other() {
    let mut world = World::new();
    let [a, b, c, d] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    succeed(&mut world, a, "2");
    world.progress(b, -1);
    world.progress(c, 50);
    world.run(Input::CancelJob(job));
    let states = [a, b, c, d].map(|device| world.state(job, device));
    use TaskState::{Canceled, Failed, Succeeded};
    assert_eq!(states, [Succeeded, Failed, Canceled, Canceled]);
    assert_eq!((world.job(job).state, world.job(job).work), (JobState::Canceled, None));
    assert_eq!(world.job(job).ended_at, Some(world.now));
}

/// The job's state is the operator's word from the first moment, long before the last chunk.
#[test]
fn nothing_leaves_for_a_cancelled_job_whose_tasks_still_wait_for_their_chunk() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.order(package, Order::to(Pick::All));
    let enrol = world.claim();
    world.apply(enrol);
    let push = world.claim();
    world.apply(vec![Input::CancelJob(job)]);
    world.apply(push);
    assert_eq!(world.task(job, device).ready_at, None);
    let epoch = world.epoch(device);
    let module = || DEFAULT_MODULE.to_owned();
    let ask = Ask::Get { id: "1".into() };
    world.apply(vec![
        Input::Asked { device, epoch, module: module(), ask: ask.clone() },
        Input::Progressed { device, epoch, module: module(), step: 5, desc: "".into() },
        Input::Reported { device, epoch, module: module(), version: "1".into() },
    ]);
    assert_eq!((world.state(job, device), world.task(job, device).ready_at), (TaskState::Queued, None));
    assert_eq!(world.tables.sent, [Outbound::Answer { to: (device, epoch), ask, offer: None }]);
    world.tick();
    assert_eq!(world.state(job, device), TaskState::Canceled);
}

#[test]
fn a_job_cancelled_while_it_enrols_makes_no_more_tasks() {
    let mut world = World::new();
    let devices: [Id; 5] = world.online();
    let package = world.package("2");
    let job = world.order(package, Order::to(Pick::All));
    let first = world.claim();
    world.apply(first);
    let late = world.next_chunk(job).unwrap();
    world.apply(vec![Input::CancelJob(job), late]);
    world.pass(MINUTE);
    assert_eq!((world.job(job).counts.total(), world.job(job).work), (2, None));
    assert!(devices[..2].iter().all(|d| world.state(job, *d) == TaskState::Canceled));
    assert_eq!(world.job(job).state, JobState::Canceled);
}

#[test]
fn a_chunk_of_one_work_is_no_chunk_of_another() {
    let mut world = World::new();
    let devices: [Id; 5] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    devices.iter().for_each(|device| world.progress(*device, -1));
    world.apply(vec![Input::ReupgradeJob(job)]);
    for _ in 0..2 {
        let chunk = world.claim();
        world.apply(chunk);
    }
    let last = world.next_chunk(job).unwrap();
    world.apply(vec![Input::CancelJob(job), last]);
    world.pass(MINUTE);
    let of_job = |state| world.job(job).counts.get(state);
    assert_eq!(
        (world.job(job).counts.unfinished(), of_job(TaskState::Canceled), of_job(TaskState::Failed)),
        (0, 4, 1)
    );
}

#[test]
fn a_chunk_given_twice_is_done_once() {
    let mut world = World::new();
    let devices: [Id; 3] = world.online();
    let package = world.package("2");
    let job = world.order(package, Order::to(Pick::All));
    let chunk = world.claim();
    world.apply([chunk.clone(), chunk].concat());
    world.tick();
    assert_eq!(world.job(job).counts.total(), 3);
    devices.iter().for_each(|device| world.progress(*device, -1));
    world.apply(vec![Input::ReupgradeJob(job)]);
    let chunk = world.claim();
    world.apply(chunk.clone());
    devices.iter().for_each(|device| world.progress(*device, -1));
    world.apply(chunk);
    world.tick();
    assert!(devices.iter().all(|device| world.task(job, *device).attempt == 2));
}

#[test]
fn t22_a_job_started_again_takes_its_failed_tasks_and_not_those_cancelled_alone() {
    let mut world = World::new();
    let [a, b, c, d] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    succeed(&mut world, a, "2");
    world.progress(b, -1);
    world.run(Input::CancelTask(world.task(job, c).id));
    world.disconnect(d);
    world.progress(b, -1);
    world.notices();
    world.run(Input::ReupgradeJob(job));
    let attempts = [a, b, c, d].map(|device| world.task(job, device).attempt);
    assert_eq!(attempts, [1, 2, 1, 1]);
    assert_eq!(world.notices(), [b]);
    succeed(&mut world, b, "2");
    world.connect(d);
    succeed(&mut world, d, "2");
    assert_eq!(
        (world.job(job).state, world.job(job).counts.get(TaskState::Succeeded)),
        (JobState::Completed, 3)
    );
}

#[test]
fn a_cancelled_job_started_again_runs() {
    let mut world = World::new();
    let [a, b] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::verify(vec![a, b]));
    world.run(Input::CancelJob(job));
    world.notices();
    world.run(Input::ReupgradeJob(job));
    assert_eq!(
        (world.job(job).state, world.package_state(package)),
        (JobState::InProgress, PackageState::Verifying)
    );
    assert_eq!(world.notices(), [a, b]);
    for device in [a, b] {
        succeed(&mut world, device, "2");
    }
    assert_eq!(
        (world.job(job).state, world.package_state(package)),
        (JobState::Completed, PackageState::Verified)
    );
}

#[test]
fn one_task_of_a_cancelled_job_started_again_brings_the_job_back() {
    let mut world = World::new();
    let [a, b] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.run(Input::CancelJob(job));
    world.run(Input::ReupgradeTask(world.task(job, a).id));
    assert_eq!((world.job(job).state, world.job(job).ended_at), (JobState::InProgress, None));
    assert_eq!((world.state(job, a), world.state(job, b)), (TaskState::Notified, TaskState::Canceled));
    succeed(&mut world, a, "2");
    assert_eq!(world.job(job).state, JobState::Completed);
}

#[test]
fn a_task_started_again_on_a_device_that_arrived_meanwhile_succeeds_at_once() {
    let mut world = World::new();
    let [a] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.progress(a, -1);
    succeed(&mut world, a, "2");
    assert_eq!(world.state(job, a), TaskState::Failed);
    world.notices();
    world.run(Input::ReupgradeTask(world.task(job, a).id));
    assert_eq!((world.state(job, a), world.job(job).state), (TaskState::Succeeded, JobState::Completed));
    assert_eq!(world.notices(), [0; 0]);
}

#[test]
fn what_is_left_of_a_cancelled_job_is_no_conflict() {
    let mut world = World::new();
    world.chunk = 8;
    let [a] = world.online();
    let package = world.package("2");
    let old = world.start(package, Order::to(Pick::All));
    let better = world.package("3");
    let new = world.order(better, Order::to(Pick::All));
    let enrol = world.claim();
    world.apply([vec![Input::CancelJob(old)], enrol].concat());
    assert_eq!((world.state(old, a), world.state(new, a)), (TaskState::Canceled, TaskState::Queued));
    world.tick();
    assert_eq!((world.job(old).work, world.state(new, a)), (None, TaskState::Notified));
}

#[test]
fn an_ended_job_is_not_cancelled() {
    let mut world = World::new();
    let [a] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::verify(vec![a]));
    succeed(&mut world, a, "2");
    world.run(Input::CancelJob(job));
    assert_eq!(
        (world.job(job).state, world.package_state(package)),
        (JobState::Completed, PackageState::Verified)
    );
}

#[test]
fn a_job_for_nobody_completes_at_once() {
    let mut world = World::new();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    assert_eq!((world.job(job).state, world.job(job).counts.total()), (JobState::Completed, 0));
}

/// A job of five devices of which two are enrolled, and the first has failed.
fn half_enrolled() -> (World, Id, [Id; 5]) {
    let mut world = World::new();
    let devices: [Id; 5] = world.online();
    let package = world.package("2");
    let job = world.order(package, Order::to(Pick::All));
    let first = world.claim();
    world.apply(first);
    let (device, epoch) = (devices[0], world.epoch(devices[0]));
    for step in [0, -1] {
        let (module, desc) = (DEFAULT_MODULE.into(), String::new());
        world.apply(vec![Input::Progressed { device, epoch, module, step, desc }]);
    }
    assert_eq!(world.state(job, device), TaskState::Failed);
    (world, job, devices)
}

#[test]
fn a_job_that_enrols_is_not_started_again_and_loses_no_device() {
    let (mut world, job, devices) = half_enrolled();
    world.apply(vec![Input::ReupgradeJob(job), Input::ReupgradeTask(world.task(job, devices[0]).id)]);
    assert_eq!(world.job(job).work, Some(Work::Enrol { cursor: devices[1] }));
    assert_eq!(world.state(job, devices[0]), TaskState::Failed);
    world.tick();
    assert_eq!(world.job(job).counts.total(), 5);
}

#[test]
fn a_job_that_is_being_cancelled_is_not_started_again() {
    let (mut world, job, devices) = half_enrolled();
    let task = world.task(job, devices[0]).id;
    world.apply(vec![Input::CancelJob(job), Input::ReupgradeJob(job), Input::ReupgradeTask(task)]);
    assert_eq!(world.job(job).state, JobState::Canceled);
    world.tick();
    assert_eq!((world.job(job).state, world.job(job).counts.unfinished()), (JobState::Canceled, 0));
}

#[test]
fn tasks_of_a_job_are_cancelled_by_their_states() {
    let mut world = World::new();
    let [told, begun] = world.online();
    let away = world.device();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.progress(begun, 10);
    let states = CancelStates { queued: true, notified: true, ..CancelStates::default() };
    world.run(Input::CancelSome { job, states });
    let found = [away, told, begun].map(|d| world.state(job, d));
    assert_eq!(found, [TaskState::Canceled, TaskState::Canceled, TaskState::InProgress]);
    assert_eq!((world.job(job).state, world.job(job).work), (JobState::InProgress, None));
    let states = CancelStates { in_progress: true, ..CancelStates::default() };
    world.run(Input::CancelSome { job, states });
    assert_eq!((world.state(job, begun), world.job(job).state), (TaskState::Canceled, JobState::Canceled));
}

#[test]
fn a_job_whose_tasks_are_cancelled_one_by_one_is_completed() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.run(Input::CancelTask(world.task(job, device).id));
    assert_eq!(world.job(job).state, JobState::Completed);
}

#[test]
fn t22_a_task_does_not_start_again_on_a_version_that_it_is_not_for() {
    let only_one = Terms { src_versions: vec!["1".into()], attempts: 1, ..Terms::default() };
    for (is_difference, terms) in [(true, Terms { attempts: 1, ..Terms::default() }), (false, only_one)] {
        let mut world = World::new();
        let [device] = world.online();
        let package = if is_difference { world.difference("1", "2") } else { world.package("2") };
        let job = world.start(package, Order { terms, ..Order::to(Pick::All) });
        world.progress(device, -1);
        world.report(device, DEFAULT_MODULE, "3");
        world.notices();
        let failed = world.task(job, device).clone();
        for again in [Input::ReupgradeJob(job), Input::ReupgradeTask(failed.id)] {
            world.run(again);
            assert_eq!((world.task(job, device), world.tables.sent.len()), (&failed, 0));
        }
        world.report(device, DEFAULT_MODULE, "1");
        world.run(Input::ReupgradeTask(failed.id));
        assert_eq!(world.notices(), [device], "it is on its source again");
        world.progress(device, -1);
        world.report(device, DEFAULT_MODULE, "2");
        world.run(Input::ReupgradeTask(failed.id));
        assert_eq!(world.state(job, device), TaskState::Succeeded, "it is there");
    }
}

#[test]
fn a_job_in_waves_started_again_looks_at_its_gate_when_all_of_it_was() {
    let mut world = World::new();
    let mut devices: Vec<Id> = world.online::<6>().into();
    let package = world.package("2");
    devices.sort_by_key(|device| spread(package, *device));
    let waves = world.waves(package, &[4, 6]);
    let terms = Terms { waves, attempts: 1, soak_ms: 0, ..Terms::default() };
    let job = world.start(package, Order { terms, ..Order::to(Pick::All) });
    succeed(&mut world, devices[0], "2");
    world.progress(devices[1], -1);
    world.run(Input::CancelJob(job));
    world.notices();
    world.run(Input::ReupgradeJob(job));
    let gate = world.job(job).gate.as_ref().unwrap();
    assert_eq!((gate.wave, gate.enough_at, world.job(job).hold), (0, None, None));
    let mut told = world.notices();
    told.sort_by_key(|device| spread(package, *device));
    assert_eq!(told, devices[1..4]);
    for device in &devices[1..4] {
        succeed(&mut world, *device, "2");
    }
    assert_eq!(world.job(job).gate.as_ref().unwrap().wave, 1);
}

#[test]
fn t22_a_job_started_again_takes_nobody_back_from_a_later_one() {
    let mut world = World::new();
    let [served, replaced, failed] = world.online();
    let package = world.package("2");
    let old = world.start(package, Order::to(Pick::All));
    world.progress(served, -1);
    let package = world.package("2.1");
    let terms = Terms { overwrite: Overwrite::Replace, ..Terms::default() };
    world.start(package, Order { terms, ..Order::to(Pick::Named(vec![served, replaced])) });
    for device in [served, replaced] {
        succeed(&mut world, device, "2.1");
    }
    world.progress(failed, -1);
    let before = [served, replaced].map(|device| world.task(old, device).clone());
    world.notices();
    world.run(Input::ReupgradeJob(old));
    assert_eq!([served, replaced].map(|device| world.task(old, device).clone()), before);
    assert_eq!(world.notices(), [failed]);
    world.run(Input::ReupgradeTask(before[0].id));
    assert_eq!(world.notices(), [served], "an operator may want one of them back");
}
