//! Byte budgets: offers are spaced by the size of their files, for a job and for a server; nothing that runs is slowed
//! down. The watch fails any batch by which some length of time would see more than its budget and one file.

use otaru_rollout::*;

use crate::world::{MINUTE, Order, Pick, SECOND, World};

/// A second of 8 Mbit.
const MEGABYTE: i64 = 1_000_000;
const KBIT: i64 = 8_000;

/// Devices online on version `1`, and a package of a megabyte.
fn megabyte<const N: usize>() -> (World, Id, [Id; N]) {
    let mut world = World::new();
    world.chunk = 64;
    let devices = world.online();
    let package = world.package("2");
    world.tables.packages.get_mut(&package).unwrap().size = MEGABYTE;
    (world, package, devices)
}

fn budgeted() -> Order {
    Order { terms: Terms { kbit_per_second: Some(KBIT), ..Terms::as_the_cloud() }, ..Order::to(Pick::All) }
}

#[test]
fn a_job_offers_a_file_when_the_one_before_fits_its_budget() {
    let (mut world, package, devices) = megabyte::<4>();
    let job = world.start(package, budgeted());
    assert_eq!(world.notices(), [devices[0]]);
    let until = world.now + SECOND;
    assert_eq!(
        world.waiting(world.task(job, devices[1])),
        Some(Waiting::ByteBudget { of_server: false, until })
    );
    for device in &devices[1..] {
        world.pass(SECOND - 1);
        assert_eq!(world.notices(), [0; 0]);
        world.pass(1);
        assert_eq!(world.notices(), [*device]);
    }
    world.pass(SECOND);
    assert!(!world.tables.timers.contains_key(&Timer::Push(job)), "nobody waits any more");
}

#[test]
fn the_slower_of_rate_and_budget_decides() {
    for (rate_per_minute, first_minute) in [(10, 10), (1_000, 61)] {
        let (mut world, package, _) = megabyte::<100>();
        world.start(package, Order { rate_per_minute, ..budgeted() });
        world.pass(MINUTE);
        assert_eq!(world.notices().len(), first_minute, "{rate_per_minute} a minute");
    }
}

#[test]
fn a_slot_that_is_free_waits_for_bytes_and_bytes_for_a_slot() {
    let (mut world, package, [a, b, c]) = megabyte();
    world.limits.downloads = 1;
    let job = world.start(package, budgeted());
    world.pass(MINUTE);
    assert_eq!(world.notices(), [a]);
    assert_eq!(world.waiting(world.task(job, b)), Some(Waiting::DownloadSlots));
    for (done, next) in [(a, b), (b, c)] {
        world.report(done, DEFAULT_MODULE, "2");
        world.pass(SECOND);
        assert_eq!(world.notices(), [next]);
    }
}

#[test]
fn a_question_needs_bytes_too_and_who_holds_a_slot_has_them() {
    let (mut world, package, [a, b]) = megabyte();
    world.start(package, Order { need_push: false, ..budgeted() });
    assert!(world.get(a).flatten().is_some());
    assert_eq!(world.get(b), Some(None), "it may ask again");
    let used = world.tables.jobs.values().next().unwrap().offered_until_us;
    assert!(world.get(a).flatten().is_some(), "the same download");
    world.pass(SECOND);
    assert_eq!(world.tables.jobs.values().next().unwrap().offered_until_us, used);
    assert!(world.get(b).flatten().is_some());
}

#[test]
fn a_download_that_runs_spends_nothing_more_and_one_begun_anew_does() {
    let (mut world, package, [a, b]) = megabyte();
    let job = world.start(package, budgeted());
    world.pass(SECOND);
    assert_eq!(world.notices(), [a, b]);
    let used = world.job(job).offered_until_us;
    (1..=100).for_each(|step| world.progress(a, step));
    assert_eq!(world.job(job).offered_until_us, used);
    world.connect(b);
    world.report(b, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [0; 0]);
    world.pass(SECOND);
    assert_eq!((world.notices(), world.job(job).offered_until_us), (vec![b], used + 1_000_000));
}

#[test]
fn a_week_is_not_caught_up_with() {
    let (mut world, package, _) = megabyte::<20>();
    let job = world.start(package, budgeted());
    world.pass(SECOND);
    assert_eq!(world.notices().len(), 2);
    world.now += 7 * 24 * 60 * MINUTE;
    world.tick();
    assert_eq!(world.notices().len(), 1);
    world.pass(5 * SECOND);
    assert_eq!((world.notices().len(), world.job(job).counts.get(TaskState::Notified)), (5, 8));
}

#[test]
fn jobs_share_the_servers_budget_and_none_starves() {
    let (mut world, package, devices) = megabyte::<90>();
    world.limits.kbit_per_second = Some(KBIT);
    let job =
        |world: &mut World, devices: &[Id]| world.start(package, Order::to(Pick::Named(devices.to_vec())));
    let jobs = [&devices[..30], &devices[30..60], &devices[60..]].map(|some| job(&mut world, some));
    let told = jobs.map(|job| world.job(job).counts.get(TaskState::Notified));
    assert_eq!(told, [1, 0, 0]);
    let waiting = world.waiting(world.task(jobs[1], devices[30]));
    assert_eq!(waiting, Some(Waiting::ByteBudget { of_server: true, until: world.now + SECOND }));
    world.pass(61 * SECOND);
    let told = jobs.map(|job| world.job(job).counts.get(TaskState::Notified));
    assert!(told.iter().all(|n| *n > 5), "{told:?}");
    assert!((58..=62).contains(&told.iter().sum::<i64>()), "{told:?}");
}

#[test]
fn a_jobs_own_budget_holds_within_the_servers() {
    let (mut world, package, devices) = megabyte::<20>();
    world.limits.kbit_per_second = Some(KBIT);
    let slow = Terms { kbit_per_second: Some(KBIT / 4), ..Terms::as_the_cloud() };
    let job = world.start(package, Order { terms: slow, ..Order::to(Pick::All) });
    let until = world.now + 4 * SECOND;
    assert_eq!(
        world.waiting(world.task(job, devices[1])),
        Some(Waiting::ByteBudget { of_server: false, until })
    );
    world.pass(12 * SECOND + 100);
    assert_eq!(world.notices().len(), 4);
}
