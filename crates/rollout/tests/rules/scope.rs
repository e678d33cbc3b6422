//! Which devices a job takes.

use std::collections::BTreeSet;

use otaru_rollout::*;
use proptest::prelude::*;

use crate::world::{Order, Pick, World};

/// The devices that a job to `pick` takes, all offline before it starts.
fn taken(world: &World, package: Id, pick: Pick) -> BTreeSet<Id> {
    let mut world = world.clone();
    let job = world.start(package, Order::to(pick));
    assert_eq!(world.job(job).work, None);
    world.tables.tasks.values().filter(|t| t.job_id == job).map(|t| t.device_id).collect()
}

fn fleet(size: usize) -> (World, Id) {
    let mut world = World::new();
    world.chunk = 7;
    for _ in 0..size {
        world.device();
    }
    let package = world.package("2");
    (world, package)
}

#[test]
fn all_takes_enabled_devices_that_ever_came() {
    let mut world = World::new();
    let (here, offline, disabled) = (world.online::<1>()[0], world.device(), world.device());
    world.new_device();
    world.tables.devices.get_mut(&disabled).unwrap().enabled = false;
    let package = world.package("2");
    assert_eq!(taken(&world, package, Pick::All), BTreeSet::from([here, offline]));
    assert_eq!(taken(&world, package, Pick::Percent(100_000)), BTreeSet::from([here, offline]));
}

#[test]
fn named_takes_those_named_even_before_they_ever_came() {
    let mut world = World::new();
    let (never, _) = (world.new_device(), world.device());
    let package = world.package("2");
    assert_eq!(taken(&world, package, Pick::Named(vec![never])), BTreeSet::from([never]));
}

#[test]
fn a_tenth_is_part_of_three_tenths() {
    let (mut world, package) = fleet(50);
    let tenth = taken(&world, package, Pick::Percent(10_000));
    let three = taken(&world, package, Pick::Percent(30_000));
    assert_eq!((tenth.len(), three.len()), (5, 15));
    assert!(tenth.is_subset(&three));
    let other = world.package("3");
    assert_ne!(taken(&world, other, Pick::Percent(10_000)), tenth, "another package begins elsewhere");
}

#[test]
fn a_share_is_rounded_down_and_never_nothing() {
    let (world, package) = fleet(9);
    for (thousandths, expected) in [(1, 1), (11_111, 1), (22_222, 1), (22_223, 2), (99_999, 8), (100_000, 9)]
    {
        assert_eq!(taken(&world, package, Pick::Percent(thousandths)).len(), expected, "{thousandths}");
    }
}

#[test]
fn a_tenth_already_upgraded_is_not_upgraded_again_by_three_tenths() {
    let (mut world, package) = fleet(20);
    let first = world.start(package, Order::to(Pick::Percent(10_000)));
    let early: Vec<Id> = world.tables.tasks.values().map(|t| t.device_id).collect();
    for device in &early {
        world.connect(*device);
        world.report(*device, DEFAULT_MODULE, "2");
    }
    assert_eq!((early.len(), world.job(first).state), (2, JobState::Completed));
    let later = taken(&world, package, Pick::Percent(30_000));
    assert_eq!(later.len(), 4);
    assert!(early.iter().all(|device| !later.contains(device)));
}

#[test]
fn a_removed_device_is_passed_over() {
    let (mut world, package) = fleet(3);
    let gone = *world.tables.devices.keys().next().unwrap();
    let all: Vec<Id> = world.tables.devices.keys().copied().collect();
    world.tables.devices.remove(&gone);
    assert_eq!(taken(&world, package, Pick::Named(all)).len(), 2);
}

proptest! {
    #[test]
    fn every_smaller_share_is_part_of_every_larger(size in 1_usize..40, a in 1_u32..=100_000, b in 1_u32..=100_000) {
        let (world, package) = fleet(size);
        let (small, large) = (a.min(b), a.max(b));
        let small_share = taken(&world, package, Pick::Percent(small));
        prop_assert_eq!(small_share.len(), (size * small as usize / 100_000).max(1));
        prop_assert!(small_share.is_subset(&taken(&world, package, Pick::Percent(large))));
    }
}

#[test]
fn a_difference_is_for_those_on_its_source_only() {
    let mut world = World::new();
    let [one, other] = world.online();
    let silent = world.device();
    world.report(other, DEFAULT_MODULE, "1.1");
    let package = world.package("2");
    world.tables.packages.get_mut(&package).unwrap().src_version = Some("1".into());
    assert_eq!(taken(&world, package, Pick::All), BTreeSet::from([one]));
    assert_eq!(taken(&world, package, Pick::Named(vec![other, silent])), BTreeSet::new());
}
