//! When a job lets its tasks go: approval (T1, T4), schedule (T23), holds, and source versions (T17).

use otaru_rollout::*;

use crate::world::{MINUTE, Order, Pick, SETTLE, World};

use TaskState::{Canceled, Confirm, Failed, InProgress, Notified, Queued, Succeeded};

/// Devices online on version `1`, and a job to `2` on these terms.
fn started<const N: usize>(terms: impl FnOnce(&World) -> Terms) -> (World, Id, [Id; N]) {
    let mut world = World::new();
    let devices = world.online();
    let package = world.package("2");
    let terms = terms(&world);
    let job = world.start(package, Order { terms, ..Order::to(Pick::All) });
    (world, job, devices)
}

fn needs_approval(_: &World) -> Terms {
    Terms { need_confirm: true, ..Terms::as_the_cloud() }
}

fn waits(world: &World, job: Id, device: Id) -> Waiting {
    world.waiting(world.task(job, device)).unwrap()
}

#[test]
fn t1_t4_a_task_waits_for_its_approval() {
    let (mut world, job, [a, b]) = started(needs_approval);
    assert_eq!([a, b].map(|d| world.state(job, d)), [Confirm; 2]);
    assert_eq!(waits(&world, job, a), Waiting::AwaitsApproval);
    assert_eq!(world.get(a), Some(None));
    world.progress(a, 10);
    world.progress(a, -1);
    assert_eq!(world.state(job, a), Confirm, "what the device cannot know of it does not report");
    world.run(Input::ConfirmTask(world.task(job, a).id));
    assert_eq!([a, b].map(|d| world.state(job, d)), [Notified, Confirm]);
    assert_eq!(world.notices(), [a]);
    world.run(Input::ConfirmJob(job));
    assert_eq!((world.state(job, b), world.notices()), (Notified, vec![b]));
    assert_eq!(world.job(job).work, None);
}

#[test]
fn h11_the_target_version_is_success_without_approval_too() {
    let (mut world, job, [device]) = started(needs_approval);
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(world.state(job, device), Succeeded);
}

#[test]
fn t22_a_task_never_approved_does_not_start_again() {
    let (mut world, job, [a, b]) = started(needs_approval);
    world.run(Input::ConfirmTask(world.task(job, a).id));
    for device in [a, b] {
        let task = world.task(job, device).id;
        world.run(Input::CancelTask(task));
        world.run(Input::ReupgradeTask(task));
    }
    assert_eq!([a, b].map(|d| world.state(job, d)), [Notified, Canceled]);
}

fn planned(world: &World) -> Terms {
    let (start_at, end_at) = (Some(world.now + 10 * MINUTE), Some(world.now + 60 * MINUTE));
    Terms { start_at, end_at, ..Terms::as_the_cloud() }
}

#[test]
fn c7_a_planned_job_has_tasks_and_starts_by_itself() {
    let (mut world, job, [a, b]) = started(planned);
    let at = world.now + 10 * MINUTE;
    assert_eq!((world.job(job).state, world.state(job, a)), (JobState::Planned, Queued));
    assert_eq!(waits(&world, job, a), Waiting::Scheduled { at });
    assert_eq!(world.get(a), Some(None));
    world.connect(b);
    world.report(b, DEFAULT_MODULE, "1");
    world.pass(10 * MINUTE - 1);
    assert_eq!(world.notices(), [0; 0]);
    world.pass(1);
    assert_eq!((world.job(job).state, world.notices()), (JobState::InProgress, vec![a, b]));
}

#[test]
fn c7_a_planned_job_is_called_off() {
    let (mut world, job, [a, _]) = started(planned);
    world.run(Input::CancelJob(job));
    world.pass(60 * MINUTE);
    assert_eq!((world.job(job).state, world.state(job, a)), (JobState::Canceled, Canceled));
    assert_eq!(world.notices(), [0; 0]);
}

#[test]
fn a_planned_job_that_was_called_off_is_planned_again() {
    for whole in [true, false] {
        let limits = FailureLimits { failures: Some(1), ..FailureLimits::default() };
        let (mut world, job, [a, b]) = started(|w| Terms { limits, ..planned(w) });
        let (start, end) = (world.now + 10 * MINUTE, world.now + 60 * MINUTE);
        world.pass(MINUTE);
        world.run(Input::CancelJob(job));
        world.pass(MINUTE);
        assert_eq!(world.job(job).state, JobState::Canceled);
        if whole {
            world.run(Input::ReupgradeJob(job));
        } else {
            for device in [a, b] {
                world.run(Input::ReupgradeTask(world.task(job, device).id));
            }
        }
        world.pass(0);
        let row = world.job(job);
        assert_eq!((row.state, row.ended_at), (JobState::Planned, None));
        assert_eq!(row.gate.as_ref().unwrap().opened_at, start);
        assert_eq!([a, b].map(|d| world.state(job, d)), [Queued, Queued]);
        world.pass(start - 1 - world.now);
        assert_eq!(world.notices(), [0; 0]);
        world.pass(1);
        assert_eq!((world.job(job).state, world.notices()), (JobState::InProgress, vec![a, b]));
        world.pass(end - world.now);
        assert_eq!([a, b].map(|d| world.state(job, d)), [Canceled, Canceled]);
    }
}

#[test]
fn t4_a_task_is_approved_only_within_the_schedule() {
    let (mut world, job, [device]) = started(|w| Terms { need_confirm: true, ..planned(w) });
    let task = world.task(job, device).id;
    world.run(Input::ConfirmTask(task));
    assert_eq!(world.state(job, device), Confirm);
    world.pass(10 * MINUTE);
    world.run(Input::ConfirmTask(task));
    assert_eq!(world.state(job, device), Notified);
}

#[test]
fn t23_at_the_end_what_has_not_begun_is_cancelled_and_what_has_finishes() {
    for end_running in [false, true] {
        let (mut world, job, [told, begun]) = started(|w| Terms { end_running, ..planned(w) });
        let asleep = world.device();
        world.pass(10 * MINUTE);
        world.progress(begun, 50);
        world.pass(50 * MINUTE);
        let states = [told, begun].map(|d| world.state(job, d));
        assert!(world.find_task(job, asleep).is_none(), "it came after the job was made");
        assert_eq!(states, [Canceled, if end_running { Canceled } else { InProgress }]);
        assert_eq!(world.task(job, told).reason, Some(Reason::ScheduleEnded));
        if !end_running {
            assert_eq!(world.job(job).state, JobState::InProgress);
            world.progress(begun, -1);
            assert_eq!(world.state(job, begun), Failed, "no attempt begins after the end");
        }
        assert_eq!(world.job(job).state, JobState::Completed);
        world.run(Input::ReupgradeTask(world.task(job, told).id));
        assert_eq!(world.state(job, told), Canceled);
    }
}

#[test]
fn a_paused_job_tells_nobody_and_running_downloads_go_on() {
    let (mut world, job, [running, told, away]) = started(|_| Terms::default());
    world.progress(running, 10);
    world.notices();
    world.run(Input::PauseJob(job));
    assert_eq!(world.job(job).hold, Some(Hold::Paused));
    world.disconnect(away);
    world.connect(away);
    world.report(away, DEFAULT_MODULE, "1");
    world.pass(MINUTE);
    assert_eq!(world.notices(), [0; 0]);
    assert_eq!([told, away].map(|d| world.get(d)), [Some(None), Some(None)]);
    assert_eq!(waits(&world, job, away), Waiting::Paused);
    world.progress(running, 100);
    world.report(running, DEFAULT_MODULE, "2");
    assert_eq!(world.state(job, running), Succeeded);
    world.run(Input::ResumeJob(job));
    assert_eq!((world.job(job).hold, world.job(job).release), (None, None));
    assert_eq!(world.notices(), [away], "who was told on this connection knows");
}

#[test]
fn a_job_paused_again_while_it_lets_go_tells_nobody_more() {
    let (mut world, job, _) = started::<5>(|w| Terms { start_at: Some(w.now + MINUTE), ..Terms::default() });
    world.now += MINUTE;
    let start = world.claim();
    world.apply(start);
    let first = world.claim();
    world.apply([first, vec![Input::PauseJob(job)]].concat());
    world.pass(MINUTE);
    assert_eq!((world.notices(), world.job(job).release), (vec![], None));
    world.run(Input::ResumeJob(job));
    assert_eq!(world.notices().len(), 5);
}

#[test]
fn t17_without_a_filter_another_version_only_becomes_the_source() {
    let (mut world, job, [device]) = started(|_| Terms::as_the_cloud());
    world.report(device, DEFAULT_MODULE, "1.5");
    world.pass(SETTLE);
    assert_eq!(world.state(job, device), Notified);
}

#[test]
fn t17_a_version_outside_the_filter_fails_the_task_when_it_has_settled() {
    let only = |_: &World| Terms { src_versions: vec!["1".into(), "1.1".into()], ..Terms::default() };
    let (mut world, job, [device]) = started(only);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "made-up");
    world.report(device, DEFAULT_MODULE, "1.1");
    world.pass(SETTLE);
    assert_eq!(world.state(job, device), Notified);
    world.report(device, DEFAULT_MODULE, "3");
    let reason = Reason::SourceExcluded { reported: "3".into() };
    assert_eq!((world.state(job, device), &world.task(job, device).reason), (Failed, &Some(reason)));
}

#[test]
fn a_filter_takes_only_who_reports_one_of_its_versions() {
    let mut world = World::new();
    let [one, two] = world.online();
    let silent = world.device();
    world.report(two, DEFAULT_MODULE, "1.1");
    let package = world.package("2");
    let terms = Terms { src_versions: vec!["1".into()], ..Terms::default() };
    let job = world.start(package, Order { terms, ..Order::to(Pick::All) });
    let taken = [one, two, silent].map(|d| world.find_task(job, d).is_some());
    assert_eq!(taken, [true, false, false]);
}

#[test]
fn the_words_of_a_job_travel_with_its_offers() {
    let tags = vec![Tag { key: "ring".into(), value: "beta".into() }];
    let (mut world, _, [device]) = started(|_| Terms { tags: tags.clone(), ..Terms::default() });
    assert!(matches!(world.get(device), Some(Some(offer)) if offer.tags == tags));
}

#[test]
fn t23_who_has_begun_is_told_again_after_the_end_and_others_go_on_behind_it() {
    for need_push in [true, false] {
        let mut world = World::new();
        let [begun] = world.online();
        let (package, hotfix) = (world.package("2"), world.package("3"));
        let terms = Terms { end_at: Some(world.now + 10 * MINUTE), attempts: 2, ..Terms::default() };
        let job = world.start(package, Order { need_push, terms, ..Order::to(Pick::All) });
        let behind = world.start(hotfix, Order::usual(Pick::All));
        world.get(begun);
        world.progress(begun, 30);
        world.disconnect(begun);
        world.pass(20 * MINUTE);
        world.notices();
        world.connect(begun);
        world.report(begun, DEFAULT_MODULE, "1");
        assert_eq!(world.notices().len(), usize::from(need_push));
        assert!(matches!(world.get(begun), Some(Some(offer)) if offer.package.version == "2"));
        assert_eq!(waits(&world, job, begun), Waiting::Downloading);
        world.progress(begun, -1);
        assert_eq!((world.state(job, begun), world.job(job).state), (Failed, JobState::Completed));
        assert_eq!(world.state(behind, begun), Notified);
    }
}

#[test]
fn a_job_resumed_after_its_end_tells_who_had_begun_and_nobody_else() {
    let end = |w: &World| Terms { end_at: Some(w.now + 10 * MINUTE), ..Terms::default() };
    let (mut world, job, [begun, told]) = started(end);
    world.progress(begun, 30);
    world.run(Input::PauseJob(job));
    for device in [begun, told] {
        world.connect(device);
        world.report(device, DEFAULT_MODULE, "1");
    }
    world.notices();
    world.pass(10 * MINUTE);
    world.run(Input::ResumeJob(job));
    assert_eq!((world.notices(), world.state(job, told)), (vec![begun], Canceled));
}
