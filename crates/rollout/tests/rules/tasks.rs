//! The life of a task by the cloud's own rules (T2 to T24; `rows.md` tells which test speaks of which).

use otaru_rollout::*;

use crate::world::{GRACE, MINUTE, Order, Pick, SECOND, SETTLE, World};

/// A world with one device online on version `1` and a job to `2` that has been pushed.
fn notified() -> (World, Id, Id) {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    assert_eq!(world.notices(), [device]);
    (world, job, device)
}

/// The same, and the device has begun.
fn in_progress() -> (World, Id, Id) {
    let (mut world, job, device) = notified();
    world.progress(device, 0);
    (world, job, device)
}

/// A task that nobody has approved.
fn unapproved() -> (World, Id, Id) {
    waiting_in(Order { terms: Terms { need_confirm: true, ..Terms::as_the_cloud() }, ..Order::to(Pick::All) })
}

/// A task whose device must ask.
fn queued() -> (World, Id, Id) {
    waiting_in(Order { need_push: false, ..Order::to(Pick::All) })
}

fn waiting_in(order: Order) -> (World, Id, Id) {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, order);
    assert_eq!(world.notices(), [0; 0]);
    (world, job, device)
}

fn reason(world: &World, job: Id, device: Id) -> &Reason {
    world.task(job, device).reason.as_ref().unwrap()
}

#[test]
fn t2_a_new_task_is_queued_with_the_version_the_device_has() {
    let mut world = World::new();
    let [device] = world.online();
    world.disconnect(device);
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    let task = world.task(job, device);
    assert_eq!((task.state, task.attempt, task.pushes), (TaskState::Queued, 1, 0));
    assert_eq!((task.src_version.as_deref(), &*task.dest_version), (Some("1"), "2"));
    assert_eq!(world.events_of(task.id), [&EventKind::TaskCreated]);
}

#[test]
fn t2_a_device_already_on_the_target_gets_no_task() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("1");
    let job = world.start(package, Order::to(Pick::All));
    assert!(world.find_task(job, device).is_none());
    assert_eq!(world.job(job).state, JobState::Completed);
}

#[test]
fn t3_a_second_job_fails_at_once_and_the_first_goes_on() {
    for state in [TaskState::Queued, TaskState::Notified, TaskState::InProgress] {
        let mut world = World::new();
        let [device] = world.online();
        let first = world.package("2");
        let need_push = state != TaskState::Queued;
        let old = world.start(first, Order { need_push, ..Order::to(Pick::All) });
        if state == TaskState::InProgress {
            world.progress(device, 5);
        }
        world.notices();
        // Another module of the same device is a conflict too.
        let second = world.package_of("MCU", "7");
        let new = world.start(second, Order::to(Pick::All));
        assert_eq!(world.state(old, device), state);
        assert_eq!(world.state(new, device), TaskState::Failed);
        assert_eq!(*reason(&world, new, device), Reason::Conflict { task: world.task(old, device).id });
        assert_eq!(world.job(new).state, JobState::Completed);
        assert_eq!(world.notices(), [0; 0]);
    }
}

#[test]
fn t5_an_online_device_is_pushed_to_and_is_notified() {
    let (world, job, device) = notified();
    let task = world.task(job, device);
    assert_eq!((task.state, task.pushes), (TaskState::Notified, 1));
    assert_eq!((task.told_epoch, task.told_at), (world.epoch(device), Some(world.now)));
    assert!(world.events_of(task.id).contains(&&EventKind::TaskPushed { push: 1 }));
}

#[test]
fn t5_without_need_push_or_connection_nothing_is_pushed() {
    let mut world = World::new();
    let [here, gone] = world.online();
    world.disconnect(gone);
    let package = world.package("2");
    let quiet = world.start(package, Order { need_push: false, ..Order::to(Pick::Named(vec![here])) });
    let job = world.start(package, Order::to(Pick::Named(vec![gone])));
    world.pass(10 * MINUTE);
    world.connect(here);
    world.report(here, DEFAULT_MODULE, "1");
    world.pass(10 * MINUTE);
    assert_eq!((world.state(quiet, here), world.state(job, gone)), (TaskState::Queued, TaskState::Queued));
    assert_eq!(world.notices(), [0; 0]);
}

#[test]
fn t6_a_get_is_answered_and_notifies_with_and_without_need_push() {
    for need_push in [true, false] {
        let mut world = World::new();
        let [device] = world.online();
        let package = world.package("2");
        let job = world.order(package, Order { need_push, ..Order::to(Pick::All) });
        let chunk = world.claim();
        world.apply(chunk);
        assert_eq!(world.state(job, device), TaskState::Queued);
        let epoch = world.epoch(device);
        let ask = Ask::Get { id: "1|x".into() };
        world.tables.sent.clear();
        world.apply(vec![Input::Asked { device, epoch, module: DEFAULT_MODULE.into(), ask: ask.clone() }]);
        let task = world.task(job, device);
        let offer = Offer {
            task: task.id,
            stream_id: task.stream_id,
            first_attempt: 1,
            protocol: Protocol::Mqtt,
            package: world.tables.packages[&package].clone(),
            tags: vec![],
        };
        assert_eq!((task.state, task.pushes), (TaskState::Notified, 0));
        assert_eq!(world.tables.sent, [Outbound::Answer { to: (device, epoch), ask, offer: Some(offer) }]);
        // What was answered on a connection is not pushed on it as well.
        world.tick();
        assert_eq!(world.notices(), [0; 0]);
    }
}

#[test]
fn t6_nothing_is_answered_for_another_module_or_a_job_that_has_ended() {
    let (mut world, job, device) = notified();
    let epoch = world.epoch(device);
    let ask = Ask::Get { id: "7".into() };
    world.tables.sent.clear();
    world.run(Input::Asked { device, epoch, module: "MCU".into(), ask: ask.clone() });
    assert_eq!(world.tables.sent, [Outbound::Answer { to: (device, epoch), ask, offer: None }]);
    world.run(Input::CancelJob(job));
    assert_eq!(world.get(device), Some(None));
}

#[test]
fn t6_the_old_request_is_answered_only_when_there_is_something() {
    let (mut world, job, device) = notified();
    assert!(world.ask(device, Ask::OldRequest).flatten().is_some());
    world.run(Input::CancelJob(job));
    assert_eq!(world.ask(device, Ask::OldRequest), None);
}

#[test]
fn t7_a_device_that_comes_back_is_pushed_to_again_and_keeps_its_state() {
    let (mut world, job, device) = in_progress();
    world.progress(device, 40);
    let before = world.task(job, device).clone();
    world.disconnect(device);
    world.pass(MINUTE);
    world.connect(device);
    assert_eq!(world.notices(), [0; 0], "its report comes first");
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [device]);
    let task = world.task(job, device);
    assert_eq!((task.state, task.progress, task.pushes), (TaskState::InProgress, 40, 2));
    assert_eq!(task.first_progress_at, before.first_progress_at);
    assert_eq!(task.stream_id, before.stream_id);
}

#[test]
fn t7_a_device_that_was_only_told_is_told_again_and_never_where_devices_must_ask() {
    let (mut world, job, device) = notified();
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!((world.notices(), world.state(job, device)), (vec![device], TaskState::Notified));
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order { need_push: false, ..Order::to(Pick::All) });
    world.get(device);
    world.progress(device, 10);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(10 * MINUTE);
    assert_eq!((world.notices(), world.state(job, device)), (vec![], TaskState::InProgress));
}

#[test]
fn t8_a_get_is_answered_again_and_changes_no_state() {
    for start in [notified, in_progress] {
        let (mut world, job, device) = start();
        let state = world.state(job, device);
        let first = world.get(device);
        assert!(matches!(&first, Some(Some(offer)) if offer.task == world.task(job, device).id));
        assert_eq!(world.get(device), first);
        assert_eq!(world.state(job, device), state);
        // The push of this connection was the news; on the next, the first answer is.
        let answered = |world: &World| {
            let events = world.events_of(world.task(job, device).id);
            events.into_iter().filter(|kind| **kind == EventKind::TaskAnswered).count()
        };
        assert_eq!(answered(&world), 0);
        world.connect(device);
        world.get(device);
        world.get(device);
        assert_eq!(answered(&world), 1);
    }
}

#[test]
fn t9_the_first_progress_starts_the_task_and_its_clock() {
    for step in [0, 1, 100] {
        let (mut world, job, device) = notified();
        world.pass(MINUTE);
        world.progress(device, step);
        let task = world.task(job, device);
        assert_eq!((task.state, task.progress), (TaskState::InProgress, step));
        assert_eq!((task.first_progress_at, task.updated_at), (Some(world.now), world.now));
    }
}

#[test]
fn t9_progress_starts_a_queued_task_too_but_not_one_of_another_module() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order { need_push: false, ..Order::to(Pick::All) });
    let epoch = world.epoch(device);
    let of_module = |module: &str| Input::Progressed {
        device,
        epoch,
        module: module.into(),
        step: 3,
        desc: String::new(),
    };
    world.run(of_module("MCU"));
    assert_eq!(world.state(job, device), TaskState::Queued);
    world.run(of_module(DEFAULT_MODULE));
    assert_eq!(world.state(job, device), TaskState::InProgress);
}

#[test]
fn t10_progress_moves_and_one_hundred_is_not_success() {
    let (mut world, job, device) = in_progress();
    let started = world.task(job, device).first_progress_at;
    for step in [28, 53, 81, 100, 250] {
        world.pass(SECOND);
        world.progress(device, step);
        let task = world.task(job, device);
        assert_eq!((task.state, task.progress), (TaskState::InProgress, step.min(100)));
        assert_eq!(task.first_progress_at, started);
    }
}

#[test]
fn t10_progress_is_an_event_at_the_first_and_at_each_full_ten_per_cent() {
    let (mut world, job, device) = notified();
    for step in [3, 4, 9, 10, 11, 19, 30, 100, 100] {
        world.progress(device, step);
    }
    let task = world.task(job, device).id;
    let told: Vec<i32> = world
        .events_of(task)
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::TaskProgress { percent, .. } => Some(*percent),
            _ => None,
        })
        .collect();
    assert_eq!(told, [3, 10, 30, 100]);
}

/// The cloud's own rules with one retry after ten minutes, and what a device does that is a failed attempt.
fn retried_once(state: TaskState, fail: fn(&mut World, Id)) {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let terms = Terms { attempts: 2, retry_interval_ms: 10 * MINUTE, ..Terms::as_the_cloud() };
    let job = world.start(package, Order { terms, ..Order::to(Pick::All) });
    for attempt in 1..=2 {
        assert_eq!((world.notices(), world.task(job, device).attempt), (vec![device], attempt));
        if state == TaskState::InProgress {
            world.progress(device, 30);
        }
        fail(&mut world, device);
        if attempt == 1 {
            assert_eq!((world.state(job, device), world.task(job, device).progress), (state, 0));
            world.pass(10 * MINUTE - 1);
            assert_eq!(world.notices(), [0; 0]);
            world.pass(1);
        }
    }
    assert_eq!(world.state(job, device), TaskState::Failed);
}

#[test]
fn t11_as_the_cloud_with_a_retry_count_a_negative_step_is_tried_again() {
    retried_once(TaskState::Notified, |world, device| world.progress(device, -2));
    retried_once(TaskState::InProgress, |world, device| world.progress(device, -2));
}

#[test]
fn t15_as_the_cloud_with_a_retry_count_another_version_is_tried_again() {
    retried_once(TaskState::InProgress, |world, device| {
        world.pass(SETTLE);
        let unknown = format!("1.{}", world.now);
        world.report(device, DEFAULT_MODULE, &unknown);
    });
}

#[test]
fn t11_a_number_of_attempts_that_was_given_wins_over_the_usual_three() {
    for attempts in [1, 2, 6] {
        let mut world = World::new();
        let [device] = world.online();
        let package = world.package("2");
        let terms = Terms { attempts, ..Terms::default() };
        let job = world.start(package, Order { terms, ..Order::to(Pick::All) });
        let mut tried = 0;
        while world.state(job, device) != TaskState::Failed {
            world.progress(device, -1);
            world.pass(MINUTE);
            tried += 1;
        }
        assert_eq!(tried, attempts);
    }
}

#[test]
fn t12_a_negative_step_fails_with_the_devices_own_words() {
    for start in [notified, in_progress] {
        for step in [-1, -2, -3, -4, -77] {
            let (mut world, job, device) = start();
            world.progress(device, step);
            assert_eq!(world.state(job, device), TaskState::Failed);
            let desc = format!("step {step}");
            assert_eq!(*reason(&world, job, device), Reason::DeviceFailed { step, desc });
            assert_eq!(world.job(job).state, JobState::Completed);
        }
    }
}

#[test]
fn t12_a_failure_of_a_task_never_told_speaks_of_another_time() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order { need_push: false, ..Order::to(Pick::All) });
    world.progress(device, -2);
    assert_eq!(world.state(job, device), TaskState::Queued);
}

#[test]
fn t13_the_target_version_is_success_from_every_unfinished_state() {
    for start in [queued as fn() -> (World, Id, Id), notified, in_progress] {
        let (mut world, job, device) = start();
        world.tables.sent.clear();
        world.report(device, DEFAULT_MODULE, "2");
        let task = world.task(job, device);
        assert_eq!((task.state, task.progress), (TaskState::Succeeded, 100));
        assert_eq!(task.reason, Some(Reason::Success));
        let stream_id = task.stream_id;
        assert_eq!(world.tables.sent, [Outbound::Revoke { device, stream_id }]);
        assert_eq!((world.job(job).state, world.job(job).ended_at), (JobState::Completed, Some(world.now)));
    }
}

#[test]
fn t13_the_same_version_of_another_module_is_no_success() {
    let (mut world, job, device) = in_progress();
    world.report(device, "MCU", "2");
    world.report(device, DEFAULT_MODULE, "2.0");
    world.report(device, DEFAULT_MODULE, "02");
    assert_ne!(world.state(job, device), TaskState::Succeeded);
}

#[test]
fn t14_the_source_version_changes_nothing() {
    let (mut world, job, device) = in_progress();
    world.progress(device, 100);
    world.disconnect(device);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(SETTLE + GRACE);
    let task = world.task(job, device);
    assert_eq!((task.state, task.progress), (TaskState::InProgress, 100));
}

#[test]
fn t16_another_version_fails_the_attempt() {
    let (mut world, job, device) = in_progress();
    world.pass(SETTLE);
    world.report(device, DEFAULT_MODULE, "1.5");
    let mismatch = Reason::VersionMismatch { expected: "2".into(), reported: "1.5".into() };
    assert_eq!(*reason(&world, job, device), mismatch);
    assert_eq!(world.state(job, device), TaskState::Failed);
}

#[test]
fn another_version_before_the_first_progress_becomes_the_source() {
    let (mut world, job, device) = notified();
    world.report(device, DEFAULT_MODULE, "1.5");
    world.progress(device, 10);
    world.disconnect(device);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1.5");
    world.pass(MINUTE);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    assert_eq!(world.task(job, device).src_version.as_deref(), Some("1.5"));
}

#[test]
fn t18_the_timeout_counts_from_the_first_progress() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order { timeout_ms: Some(2 * MINUTE), ..Order::to(Pick::All) });
    world.pass(10 * MINUTE);
    world.progress(device, 0);
    world.pass(MINUTE);
    world.progress(device, 99);
    world.disconnect(device);
    world.pass(MINUTE - 1);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    world.pass(1);
    assert_eq!(world.state(job, device), TaskState::Failed);
    assert_eq!(*reason(&world, job, device), Reason::Timeout { minutes: 2 });
    assert_eq!(world.job(job).state, JobState::Completed);
}

#[test]
fn t18_a_second_attempt_has_its_own_clock() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order { timeout_ms: Some(2 * MINUTE), ..Order::to(Pick::All) });
    world.progress(device, 0);
    world.pass(MINUTE);
    world.progress(device, -1);
    world.run(Input::ReupgradeTask(world.task(job, device).id));
    world.pass(90 * SECOND);
    world.progress(device, 0);
    world.pass(2 * MINUTE - 1);
    assert_eq!(world.state(job, device), TaskState::InProgress);
    world.pass(1);
    assert_eq!(world.state(job, device), TaskState::Failed);
}

#[test]
fn t18_the_clock_of_an_ended_attempt_does_not_end_the_next() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order { timeout_ms: Some(2 * MINUTE), ..Order::to(Pick::All) });
    world.progress(device, 0);
    let (task, epoch) = (world.task(job, device).id, world.epoch(device));
    let step = |step| {
        let (module, desc) = (DEFAULT_MODULE.into(), String::new());
        Input::Progressed { device, epoch, module, step, desc }
    };
    world.apply(vec![step(-1), Input::ReupgradeTask(task), step(0), Input::Due(Timer::Timeout(task))]);
    assert_eq!(world.state(job, device), TaskState::InProgress);
}

#[test]
fn t19_before_the_first_progress_time_changes_nothing() {
    let mut world = World::new();
    let [told, _] = world.online();
    let asleep = world.device();
    let package = world.package("2");
    let order = Order { timeout_ms: Some(MINUTE), ..Order::to(Pick::Named(vec![told, asleep])) };
    let job = world.start(package, order);
    world.pass(7 * 24 * 60 * MINUTE);
    assert_eq!(world.state(job, told), TaskState::Notified);
    assert_eq!(world.state(job, asleep), TaskState::Queued);
    assert_eq!(world.job(job).state, JobState::InProgress);
}

#[test]
fn t20_a_cancelled_task_ends_quietly_from_every_unfinished_state() {
    for start in [unapproved as fn() -> (World, Id, Id), queued, notified, in_progress] {
        let (mut world, job, device) = start();
        world.tables.sent.clear();
        world.run(Input::CancelTask(world.task(job, device).id));
        let task = world.task(job, device);
        assert_eq!((task.state, task.slot_until), (TaskState::Canceled, None));
        assert_eq!(task.reason, Some(Reason::CanceledByOperator));
        let stream_id = task.stream_id;
        assert_eq!(world.tables.sent, [Outbound::Revoke { device, stream_id }], "the device is not told");
        assert_eq!(world.job(job).state, JobState::Completed);
    }
}

#[test]
fn t22_a_failed_or_cancelled_task_starts_again_from_nothing() {
    for step in [Some(-3), None] {
        let (mut world, job, device) = in_progress();
        world.progress(device, 60);
        let task = world.task(job, device).id;
        match step {
            Some(step) => world.progress(device, step),
            None => world.run(Input::CancelTask(task)),
        }
        let stream_id = world.task(job, device).stream_id;
        world.notices();
        world.apply(vec![Input::ReupgradeTask(task)]);
        let row = world.task(job, device).clone();
        assert_eq!((row.state, row.attempt, row.progress, row.pushes), (TaskState::Queued, 2, 0, 0));
        assert_eq!((row.first_progress_at, row.told_at, row.reason), (None, None, None));
        assert_eq!(row.stream_id, stream_id);
        assert_eq!((world.job(job).state, world.job(job).ended_at), (JobState::InProgress, None));
        world.tick();
        assert_eq!(world.notices(), [device], "a new attempt is pushed, on the same connection too");
    }
}

#[test]
fn t22_a_new_attempt_starts_from_the_version_the_device_has_now() {
    let (mut world, job, device) = in_progress();
    world.progress(device, -1);
    world.report(device, DEFAULT_MODULE, "1.5");
    world.run(Input::ReupgradeTask(world.task(job, device).id));
    assert_eq!(world.task(job, device).src_version.as_deref(), Some("1.5"));
    world.progress(device, 10);
    world.pass(MINUTE);
    world.report(device, DEFAULT_MODULE, "1.5");
    assert_eq!(world.state(job, device), TaskState::InProgress);
}

#[test]
fn t22_a_task_does_not_start_again_beside_another_or_after_success() {
    let (mut world, job, device) = in_progress();
    world.progress(device, -1);
    let package = world.package("3");
    let other = world.start(package, Order::to(Pick::All));
    world.run(Input::ReupgradeTask(world.task(job, device).id));
    assert_eq!(world.state(job, device), TaskState::Failed);
    assert_eq!(world.job(job).state, JobState::Completed);
    world.report(device, DEFAULT_MODULE, "3");
    let done = world.task(other, device).clone();
    world.run(Input::ReupgradeTask(done.id));
    assert_eq!(*world.task(other, device), done);
}

#[test]
fn t24_what_comes_after_the_end_moves_only_the_version_table() {
    let ends: [fn(&mut World, Id, Id); 3] = [
        |world, _, device| world.report(device, DEFAULT_MODULE, "2"),
        |world, _, device| world.progress(device, -1),
        |world, job, device| world.run(Input::CancelTask(world.task(job, device).id)),
    ];
    for end in ends {
        let (mut world, job, device) = in_progress();
        end(&mut world, job, device);
        let ended = world.task(job, device).clone();
        world.progress(device, 50);
        world.progress(device, -4);
        world.report(device, DEFAULT_MODULE, "9");
        world.report(device, DEFAULT_MODULE, "2");
        world.report(device, DEFAULT_MODULE, "8");
        world.pass(MINUTE);
        assert_eq!(*world.task(job, device), ended);
        let row = &world.tables.versions[&(device, DEFAULT_MODULE.to_owned())];
        assert_eq!(row.version, "8");
    }
}
