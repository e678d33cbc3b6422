//! When a notice leaves: after the module's own report, within the rate, into a free slot, once.

use otaru_rollout::*;

use crate::world::{GRACE, MINUTE, Order, Pick, SECOND, World};

/// A device that came back and has said nothing yet, with a task to `2`.
fn silent() -> (World, Id, Id) {
    let mut world = World::new();
    let device = world.device();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.connect(device);
    assert_eq!(world.notices(), [0; 0]);
    (world, job, device)
}

#[test]
fn a_push_follows_the_modules_own_report() {
    let (mut world, _, device) = silent();
    world.report(device, "MCU", "1");
    assert_eq!(world.notices(), [0; 0]);
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [device]);
    world.pass(2 * GRACE);
    assert_eq!(world.notices(), [0; 0]);
}

#[test]
fn a_push_waits_for_the_report_at_most_the_grace() {
    let (mut world, job, device) = silent();
    world.pass(GRACE - 1);
    assert_eq!(world.notices(), [0; 0]);
    world.pass(1);
    assert_eq!(world.notices(), [device]);
    assert_eq!(world.state(job, device), TaskState::Notified);
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [0; 0], "told already on this connection");
}

#[test]
fn a_report_of_an_earlier_connection_does_not_count() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    world.connect(device);
    world.start(package, Order::to(Pick::All));
    assert_eq!(world.notices(), [0; 0]);
    world.pass(GRACE);
    assert_eq!(world.notices(), [device]);
}

#[test]
fn the_grace_of_a_long_connection_is_over_when_a_job_comes() {
    let mut world = World::new();
    let device = world.device();
    world.connect(device);
    world.pass(10 * MINUTE);
    let package = world.package("2");
    world.start(package, Order::to(Pick::All));
    assert_eq!(world.notices(), [device]);
}

#[test]
fn the_grace_ends_with_the_connection() {
    let (mut world, _, device) = silent();
    world.pass(GRACE - SECOND);
    world.disconnect(device);
    world.pass(MINUTE);
    assert_eq!(world.notices(), [0; 0]);
    world.connect(device);
    world.pass(GRACE - 1);
    assert_eq!(world.notices(), [0; 0], "a new connection has a whole grace");
    world.pass(1);
    assert_eq!(world.notices(), [device]);
}

#[test]
fn a_device_that_reports_the_target_is_not_pushed_to() {
    let (mut world, job, device) = silent();
    world.report(device, DEFAULT_MODULE, "2");
    world.pass(MINUTE);
    assert_eq!(world.notices(), [0; 0]);
    assert_eq!(world.state(job, device), TaskState::Succeeded);
}

#[test]
fn nothing_is_pushed_twice_on_one_connection() {
    let (mut world, job, device) = silent();
    for _ in 0..3 {
        world.report(device, DEFAULT_MODULE, "1");
        world.pass(MINUTE);
    }
    world.progress(device, 10);
    world.apply(vec![again(&world, device)]);
    assert!(world.tables.timers.is_empty(), "nothing is even tried");
    world.pass(MINUTE);
    assert_eq!(world.notices(), [device]);
    assert_eq!(world.task(job, device).pushes, 1);
}

#[test]
fn a_device_that_leaves_while_it_waits_is_not_pushed_to() {
    let mut world = World::new();
    let [a, b] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order { rate_per_minute: 1, ..Order::to(Pick::All) });
    assert_eq!(world.notices(), [a]);
    world.disconnect(b);
    world.pass(10 * MINUTE);
    assert_eq!(world.notices(), [0; 0]);
    assert_eq!(world.state(job, b), TaskState::Queued);
}

/// The watch fails any batch by which a minute would see more than the rate.
#[test]
fn the_rate_bounds_every_minute_and_is_nearly_reached() {
    let mut world = World::new();
    world.chunk = 64;
    world.online::<100>();
    let package = world.package("2");
    let job = world.start(package, Order { rate_per_minute: 30, ..Order::to(Pick::All) });
    let mut minutes = Vec::new();
    for _ in 0..4 {
        world.pass(MINUTE);
        minutes.push(world.notices().len());
    }
    assert!(minutes[..3].iter().all(|n| (29..=31).contains(n)), "{minutes:?}");
    assert_eq!(minutes.iter().sum::<usize>(), 100);
    assert_eq!(world.job(job).counts.get(TaskState::Notified), 100);
}

#[test]
fn pushing_again_spends_the_same_tokens() {
    let mut world = World::new();
    let devices: [Id; 4] = world.online();
    let package = world.package("2");
    world.start(package, Order { rate_per_minute: 4, ..Order::to(Pick::All) });
    world.pass(2 * MINUTE);
    assert_eq!(world.notices().len(), 4);
    for device in devices {
        world.connect(device);
        world.report(device, DEFAULT_MODULE, "1");
    }
    assert_eq!(world.notices().len(), 1);
    world.pass(61 * SECOND);
    assert_eq!(world.notices().len(), 3);
}

#[test]
fn answers_spend_no_tokens() {
    let mut world = World::new();
    let [a, b, c] = world.online();
    let package = world.package("2");
    world.start(package, Order { rate_per_minute: 1, ..Order::to(Pick::All) });
    assert_eq!(world.notices(), [a]);
    assert!(world.get(b).flatten().is_some());
    assert!(world.get(c).flatten().is_some());
}

#[test]
fn two_jobs_have_two_rates() {
    let mut world = World::new();
    let [a, b] = world.online();
    let package = world.package("2");
    for device in [a, b] {
        world.start(package, Order { rate_per_minute: 1, ..Order::to(Pick::Named(vec![device])) });
    }
    assert_eq!(world.notices(), [a, b]);
}

/// One slot, held by the first of two devices.
fn one_slot() -> (World, Id, Id, Id) {
    let mut world = World::new();
    world.limits.downloads = 1;
    let [a, b] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order::to(Pick::All));
    world.pass(MINUTE);
    assert_eq!(world.notices(), [a]);
    assert_eq!(world.state(job, b), TaskState::Queued);
    (world, job, a, b)
}

#[test]
fn a_slot_is_freed_by_one_hundred_per_cent() {
    let (mut world, _, a, b) = one_slot();
    world.progress(a, 99);
    world.pass(MINUTE);
    assert_eq!(world.notices(), [0; 0]);
    world.progress(a, 100);
    world.pass(SECOND);
    assert_eq!(world.notices(), [b]);
}

#[test]
fn a_slot_is_freed_by_every_end_of_the_task() {
    let ends: [fn(&mut World, Id, Id); 3] = [
        |world, _, a| world.progress(a, -2),
        |world, _, a| world.report(a, DEFAULT_MODULE, "2"),
        |world, job, a| world.run(Input::CancelTask(world.task(job, a).id)),
    ];
    for end in ends {
        let (mut world, job, a, b) = one_slot();
        end(&mut world, job, a);
        world.pass(SECOND);
        assert_eq!(world.notices(), [b]);
    }
}

#[test]
fn a_slot_is_freed_by_a_disconnect() {
    let (mut world, _, a, b) = one_slot();
    world.disconnect(a);
    world.pass(SECOND);
    assert_eq!(world.notices(), [b]);
}

#[test]
fn a_slot_is_freed_by_silence_and_kept_by_progress() {
    let (mut world, _, a, b) = one_slot();
    world.pass(world.limits.slot_ms - MINUTE - SECOND);
    world.progress(a, 20);
    world.pass(world.limits.slot_ms);
    assert_eq!(world.notices(), [0; 0]);
    world.pass(world.limits.slot_ms / 8 + SECOND);
    assert_eq!(world.notices(), [b]);
}

#[test]
fn a_slot_that_lasts_is_not_written_with_every_report() {
    let (mut world, job, a, _) = one_slot();
    let until = |world: &World| world.task(job, a).slot_until;
    world.progress(a, 20);
    let first = until(&world);
    world.pass(SECOND);
    world.progress(a, 21);
    assert_eq!(until(&world), first);
    world.pass(world.limits.slot_ms / 8);
    world.progress(a, 22);
    assert!(until(&world) > first);
}

#[test]
fn an_answer_holds_a_slot_too() {
    let (mut world, job, a, b) = one_slot();
    assert_eq!(world.get(b), Some(None), "there is no slot for a device that asks");
    assert!(world.get(a).flatten().is_some(), "who holds a slot is answered");
    world.progress(a, 100);
    assert!(world.get(b).flatten().is_some());
    assert!(world.task(job, b).slot_until.is_some());
    let c = world.online::<1>()[0];
    let package = world.package("2");
    world.start(package, Order::to(Pick::Named(vec![c])));
    world.pass(MINUTE);
    assert_eq!(world.notices(), [0; 0]);
}

#[test]
fn slots_bound_all_jobs_together() {
    let mut world = World::new();
    world.limits.downloads = 3;
    let devices: [Id; 6] = world.online();
    let package = world.package("2");
    for half in devices.chunks(3) {
        world.start(package, Order::to(Pick::Named(half.to_vec())));
    }
    world.pass(MINUTE);
    assert_eq!(world.notices().len(), 3);
    for device in devices {
        world.report(device, DEFAULT_MODULE, "2");
        world.pass(SECOND);
    }
    assert!(world.tables.jobs.values().all(|j| j.state == JobState::Completed));
}

#[test]
fn a_connect_storm_is_pushed_in_the_order_it_came() {
    let mut world = World::new();
    let devices: Vec<Id> = (0..20).map(|_| world.device()).collect();
    let package = world.package("2");
    world.start(package, Order { rate_per_minute: 60, ..Order::to(Pick::All) });
    for device in devices.iter().rev() {
        world.connect(*device);
        world.report(*device, DEFAULT_MODULE, "1");
        world.pass(1);
    }
    world.pass(MINUTE);
    let expected: Vec<Id> = devices.into_iter().rev().collect();
    assert_eq!(world.notices(), expected);
}

#[test]
fn all_that_wait_for_a_slot_go_in_the_order_they_came() {
    let mut world = World::new();
    world.limits.downloads = 0;
    let devices: Vec<Id> = (0..20).map(|_| world.device()).collect();
    let package = world.package("2");
    world.start(package, Order::to(Pick::All));
    for device in devices.iter().rev() {
        world.connect(*device);
        world.report(*device, DEFAULT_MODULE, "1");
        world.pass(1);
    }
    world.limits.downloads = 100;
    world.pass(SECOND);
    let expected: Vec<Id> = devices.into_iter().rev().collect();
    assert_eq!(world.notices(), expected);
}

/// A job for two devices with one token in ten seconds, the first of them just spent.
fn one_waits() -> (World, Id, Id) {
    let mut world = World::new();
    let [a, b] = world.online();
    let package = world.package("2");
    let job = world.start(package, Order { rate_per_minute: 6, ..Order::to(Pick::All) });
    assert_eq!(world.notices(), [a]);
    (world, job, b)
}

#[test]
fn a_place_in_the_queue_ends_with_the_connection() {
    let (mut world, _, device) = one_waits();
    world.connect(device);
    world.pass(GRACE - 1);
    assert_eq!(world.notices(), [0; 0], "there is a token, but no report on this connection");
    world.pass(1);
    assert_eq!(world.notices(), [device]);
}

#[test]
fn a_report_said_again_keeps_its_place_in_the_queue() {
    let (mut world, job, device) = one_waits();
    let since = world.task(job, device).ready_at;
    world.pass(SECOND);
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.task(job, device).ready_at, since);
}

#[test]
fn a_grace_that_ends_with_the_next_connections_first_moment_is_the_old_ones() {
    let (mut world, _, device) = silent();
    let epoch = world.epoch(device) + 1_000_000;
    world.apply(vec![Input::Connected { device, epoch }, Input::Due(Timer::Grace(device))]);
    world.pass(GRACE - 1);
    assert_eq!(world.notices(), [0; 0]);
    world.pass(1);
    assert_eq!(world.notices(), [device]);
}

#[test]
fn a_device_with_nothing_to_come_costs_no_timer() {
    let (mut world, job, device) = silent();
    world.disconnect(device);
    assert!(world.tables.timers.is_empty());
    world.run(Input::CancelJob(job));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    assert!(world.tables.timers.is_empty(), "{:?}", world.tables.timers);
}

#[test]
fn a_slot_freed_in_a_batch_is_free_in_the_rest_of_it() {
    let module = || DEFAULT_MODULE.to_owned();
    let step = |step| {
        move |_: &World, device, epoch| Input::Progressed {
            device,
            epoch,
            module: module(),
            step,
            desc: "".into(),
        }
    };
    type End = Box<dyn Fn(&World, Id, Epoch) -> Input>;
    let ends: [End; 4] = [
        Box::new(step(100)),
        Box::new(step(-1)),
        Box::new(move |_, device, epoch| Input::Reported {
            device,
            epoch,
            module: module(),
            version: "2".into(),
        }),
        Box::new(|_, device, epoch| Input::Disconnected { device, epoch }),
    ];
    for end in ends {
        let (mut world, job, a, b) = one_slot();
        let end = end(&world, a, world.epoch(a));
        world.apply(vec![end, again(&world, b), Input::Due(Timer::Push(job))]);
        assert_eq!(world.notices(), [b]);
    }
}

#[test]
fn a_slot_lost_by_silence_and_taken_again_in_a_batch_is_not_free_in_the_rest_of_it() {
    let takes: [fn(Id, Epoch, String) -> Input; 2] = [
        |device, epoch, module| Input::Asked { device, epoch, module, ask: Ask::OldRequest },
        |device, epoch, module| Input::Progressed { device, epoch, module, step: 9, desc: "".into() },
    ];
    for take in takes {
        let (mut world, job, a, b) = one_slot();
        let until = world.task(job, a).slot_until.unwrap();
        world.now = until;
        let taken = take(a, world.epoch(a), DEFAULT_MODULE.into());
        world.apply(vec![taken, again(&world, b), Input::Due(Timer::Push(job))]);
        assert_eq!(world.notices(), [0; 0]);
    }
}

#[test]
fn a_slot_lost_by_silence_is_not_freed_a_second_time() {
    let ends: [fn(Id, Epoch, String) -> Input; 3] = [
        |device, epoch, module| Input::Progressed { device, epoch, module, step: -1, desc: "".into() },
        |device, epoch, module| Input::Progressed { device, epoch, module, step: 100, desc: "".into() },
        |device, epoch, _| Input::Disconnected { device, epoch },
    ];
    for end in ends {
        let (mut world, _, a, b) = one_slot();
        let [c] = world.online();
        let package = world.package("2");
        let other = world.start(package, Order::to(Pick::Named(vec![c])));
        world.pass(world.limits.slot_ms);
        assert_eq!(world.notices(), [b], "the slot is another's now");
        let end = end(a, world.epoch(a), DEFAULT_MODULE.into());
        world.apply(vec![end, again(&world, c), Input::Due(Timer::Push(other))]);
        assert_eq!(world.notices(), [0; 0]);
    }
}

/// The source version, said again.
fn again(world: &World, device: Id) -> Input {
    Input::Reported { device, epoch: world.epoch(device), module: DEFAULT_MODULE.into(), version: "1".into() }
}

#[test]
fn a_device_that_begins_while_it_waits_is_not_pushed_to() {
    let (mut world, job, device) = one_waits();
    world.progress(device, 1);
    world.pass(MINUTE);
    assert_eq!(world.notices(), [0; 0]);
    assert_eq!(world.state(job, device), TaskState::InProgress);
}
