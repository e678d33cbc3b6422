//! Maintenance windows: outside them nothing is told, running downloads go on, and the opening wakes who waits.

use otaru_rollout::*;

use crate::world::{MINUTE, Order, Pick, World};

use TaskState::{Failed, InProgress, Notified, Queued, Succeeded};

const HOUR: Ms = 60 * MINUTE;
const DAY: Ms = 24 * HOUR;

/// Each night from two to four.
fn nights() -> Vec<Window> {
    vec![Window { days: 0b111_1111, from: 120, to: 240 }]
}

/// At noon in UTC on a Tuesday: fourteen hours before the window.
fn at_noon() -> World {
    let mut world = World::new();
    world.now = 1_699_963_200_000;
    world
}

/// A job to `2` for all devices, told by night only.
fn nightly(world: &mut World, order: Order) -> Id {
    let package = world.package("2");
    let terms = Terms { windows: nights(), ..order.terms };
    world.start(package, Order { terms, ..order })
}

fn usual() -> Order {
    Order::usual(Pick::All)
}

fn waits(world: &World, job: Id, device: Id) -> Option<Waiting> {
    world.waiting(world.task(job, device))
}

/// When the job looks at its ready tasks next.
fn looks_at(world: &World, job: Id) -> Option<Ms> {
    world.tables.timers.get(&Timer::Push(job)).copied()
}

#[test]
fn outside_the_window_nobody_is_told_and_its_opening_tells_who_is_there() {
    let mut world = at_noon();
    let [a, b] = world.online();
    let away = world.device();
    let job = nightly(&mut world, usual());
    let opens_at = world.now + 14 * HOUR;
    assert_eq!((world.get(a), world.notices()), (Some(None), vec![]));
    assert_eq!(waits(&world, job, a), Some(Waiting::OutsideWindow { opens_at }));
    assert_eq!(waits(&world, job, away), Some(Waiting::OutsideWindow { opens_at }));
    assert_eq!(looks_at(&world, job), Some(opens_at));
    world.connect(b);
    world.report(b, DEFAULT_MODULE, "1");
    assert_eq!((world.notices(), looks_at(&world, job)), (vec![], Some(opens_at)));
    world.pass(14 * HOUR - 1);
    assert_eq!(world.notices(), [0; 0]);
    world.pass(1);
    assert_eq!(world.notices(), [a, b]);
    assert_eq!(waits(&world, job, away), Some(Waiting::Offline));
    world.connect(away);
    world.report(away, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [away]);
}

#[test]
fn who_was_told_in_the_window_may_begin_and_finish_after_it() {
    let mut world = at_noon();
    let [begun, told] = world.online();
    let job = nightly(&mut world, Order::to(Pick::All));
    world.pass(14 * HOUR);
    world.progress(begun, 10);
    world.notices();
    world.pass(3 * HOUR);
    let states = [begun, told].map(|d| world.state(job, d));
    assert_eq!((states, world.notices().len()), ([InProgress, Notified], 0));
    world.progress(told, 5);
    for device in [begun, told] {
        world.progress(device, 100);
        world.report(device, DEFAULT_MODULE, "2");
    }
    assert_eq!([begun, told].map(|d| world.state(job, d)), [Succeeded; 2]);
}

#[test]
fn a_retry_waits_for_the_window() {
    let mut world = at_noon();
    let [device] = world.online();
    let job = nightly(&mut world, usual());
    world.pass(14 * HOUR);
    world.progress(device, 10);
    world.notices();
    world.pass(2 * HOUR - MINUTE);
    world.progress(device, -2);
    world.pass(MINUTE);
    assert_eq!((world.state(job, device), world.notices()), (InProgress, vec![]));
    let opens_at = world.now + 22 * HOUR;
    assert_eq!(waits(&world, job, device), Some(Waiting::OutsideWindow { opens_at }));
    assert_eq!(world.get(device), Some(None));
    world.pass(22 * HOUR);
    assert_eq!(world.notices(), [device]);
}

#[test]
fn who_comes_back_outside_the_window_is_told_again_at_the_next() {
    let mut world = at_noon();
    let [device] = world.online();
    let job = nightly(&mut world, Order::to(Pick::All));
    world.pass(14 * HOUR);
    assert_eq!(world.notices(), [device]);
    world.pass(3 * HOUR);
    world.disconnect(device);
    assert_eq!(world.task(job, device).ready_at, None);
    world.connect(device);
    world.pass(HOUR);
    assert_eq!((world.notices(), world.get(device)), (vec![], Some(None)));
    world.pass(20 * HOUR);
    assert_eq!(world.notices(), [device]);
}

#[test]
fn a_device_has_its_own_zone_or_its_products_or_the_servers() {
    let mut world = at_noon();
    let zone = |hours: Ms| Zone(vec![(0, hours * HOUR)]);
    world.tables.zones = [("", zone(0)), ("Asia/Shanghai", zone(8)), ("Asia/Tokyo", zone(9))]
        .map(|(n, z)| (n.into(), z))
        .into();
    let [shanghai, tokyo] = world.online();
    world.tables.product.timezone = Some("Asia/Shanghai".into());
    world.tables.zone_tags.insert(tokyo, "Asia/Tokyo".into());
    let job = nightly(&mut world, Order::to(Pick::All));
    assert_eq!(looks_at(&world, job), Some(world.now + 5 * HOUR));
    world.pass(5 * HOUR);
    assert_eq!(world.notices(), [tokyo]);
    assert_eq!(waits(&world, job, shanghai), Some(Waiting::OutsideWindow { opens_at: world.now + HOUR }));
    world.pass(HOUR);
    assert_eq!(world.notices(), [shanghai]);
    world.tables.product.timezone = None;
    world.connect(shanghai);
    world.report(shanghai, DEFAULT_MODULE, "1");
    assert_eq!(waits(&world, job, shanghai), Some(Waiting::OutsideWindow { opens_at: world.now + 8 * HOUR }));
}

#[test]
fn a_window_shorter_than_the_push_period_tells_one_device_each_time() {
    let mut world = at_noon();
    let devices: [Id; 3] = world.online();
    let package = world.package("2");
    let windows = vec![Window { days: 0b111_1111, from: 120, to: 121 }];
    let terms = Terms { windows, ..Terms::as_the_cloud() };
    let order = Order { rate_per_minute: 1, terms, ..Order::to(Pick::All) };
    let job = world.start(package, order);
    world.pass(14 * HOUR);
    for device in devices {
        assert_eq!(world.notices(), [device]);
        world.pass(HOUR);
        assert_eq!(world.notices(), [0; 0]);
        world.pass(23 * HOUR);
    }
    assert_eq!(world.job(job).counts.get(Notified), 3);
}

#[test]
fn what_the_rate_left_over_waits_for_the_next_window_and_costs_a_look_for_many() {
    let mut world = at_noon();
    world.chunk = 200;
    world.online::<130>();
    let job = nightly(&mut world, Order { rate_per_minute: 1, ..usual() });
    world.pass(16 * HOUR - 1);
    let told = world.notices().len();
    assert!((115..=120).contains(&told), "{told}");
    world.pass(2 * MINUTE);
    let opens = world.now - 2 * MINUTE + 1 + 22 * HOUR;
    assert_eq!(world.tables.timers.get(&Timer::Push(job)), Some(&opens));
    let ready = world.tables.tasks.values().filter(|t| t.ready_at.is_some());
    assert!(ready.clone().count() > 5 && ready.clone().all(|t| t.ready_at == Some(opens)));
}

#[test]
fn an_opening_that_passed_while_the_server_stood_still_tells_nobody() {
    let mut world = at_noon();
    let [device] = world.online();
    let job = nightly(&mut world, usual());
    world.now += 7 * DAY;
    world.tick();
    assert_eq!(world.notices(), [0; 0]);
    assert_eq!(looks_at(&world, job), Some(world.now + 14 * HOUR));
    assert_eq!(world.state(job, device), Queued);
    world.pass(14 * HOUR);
    assert_eq!(world.notices(), [device]);
}

/// Told ten minutes before the window closes, of the thirty it may take to begin.
fn told_late() -> (World, Id, Id) {
    let mut world = at_noon();
    let device = world.device();
    let job = nightly(&mut world, Order { terms: Terms { attempts: 1, ..Terms::default() }, ..usual() });
    world.pass(16 * HOUR - 10 * MINUTE);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [device]);
    (world, job, device)
}

#[test]
fn the_start_timeout_stands_still_while_nothing_may_be_told() {
    let (mut world, job, device) = told_late();
    world.pass(22 * HOUR + 30 * MINUTE - 1);
    assert_eq!(world.state(job, device), Notified);
    world.pass(1);
    assert_eq!(world.task(job, device).reason, Some(Reason::StartTimeout { minutes: 30 }));
}

#[test]
fn the_start_timeout_counts_only_time_that_is_connected_and_in_the_window() {
    let (mut world, job, device) = told_late();
    world.pass(5 * MINUTE);
    world.disconnect(device);
    assert_eq!(world.task(job, device).start_clock, Some(StartClock::Left(25 * MINUTE)));
    world.pass(HOUR);
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(HOUR);
    world.disconnect(device);
    assert_eq!(world.task(job, device).start_clock, Some(StartClock::Left(25 * MINUTE)), "all outside");
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    world.pass(20 * HOUR + 30 * MINUTE - 1);
    assert_eq!((world.state(job, device), world.notices()), (Notified, vec![device]));
    world.pass(1);
    assert_eq!(world.state(job, device), Failed);
}

#[test]
fn a_window_does_not_hold_up_other_jobs() {
    let mut world = at_noon();
    let [device] = world.online();
    let package = world.package_of("MCU", "2");
    let terms = |windows| Terms { windows, multi_module: true, ..Terms::as_the_cloud() };
    nightly(&mut world, Order { terms: terms(vec![]), ..usual() });
    world.start(package, Order { terms: terms(vec![]), ..usual() });
    world.report(device, "MCU", "1");
    assert_eq!(world.notices(), [device]);
    world.pass(14 * HOUR);
    assert_eq!(world.notices(), [device]);
}

#[test]
fn a_gate_has_patience_only_while_the_window_is_open() {
    let mut world = at_noon();
    let [_, _] = world.online();
    let package = world.package("2");
    let terms = Terms {
        windows: nights(),
        waves: world.waves(package, &[1, 2]),
        max_wait_ms: Some(3 * HOUR),
        start_timeout_ms: None,
        ..Terms::default()
    };
    let job = world.start(package, Order { terms, ..usual() });
    world.pass(14 * HOUR + DAY + HOUR - 1);
    assert_eq!(world.job(job).hold, None, "two hours of one night and an hour of the next");
    world.pass(1);
    let halt = Halt::WaveStalled { wave: 0, minutes: 180 };
    assert_eq!(world.job(job).hold, Some(Hold::Halted { halt }));
}

#[test]
fn a_paused_job_stays_paused_when_its_window_opens() {
    let mut world = at_noon();
    let [device] = world.online();
    let job = nightly(&mut world, usual());
    world.run(Input::PauseJob(job));
    assert_eq!(waits(&world, job, device), Some(Waiting::Paused));
    world.pass(14 * HOUR);
    assert_eq!(world.notices(), [0; 0]);
    world.run(Input::ResumeJob(job));
    assert_eq!(world.notices(), [device]);
    world.run(Input::CancelJob(job));
    assert_ne!(world.state(job, device), Failed);
}

#[test]
fn who_was_not_told_does_not_begin_a_held_job_or_outside_its_window() {
    let mut world = at_noon();
    let [device] = world.online();
    let job = nightly(&mut world, Order::to(Pick::All));
    world.progress(device, 10);
    assert_eq!(world.state(job, device), TaskState::Queued, "closed");
    world.run(Input::PauseJob(job));
    world.pass(14 * HOUR);
    world.progress(device, 10);
    assert_eq!(world.state(job, device), TaskState::Queued, "paused");
    world.run(Input::ResumeJob(job));
    world.run(Input::PauseJob(job));
    world.progress(device, 10);
    assert_eq!(world.state(job, device), InProgress, "told before the pause");
}
