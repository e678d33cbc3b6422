//! The updater over links that do everything links do, on flash that loses power.
#![allow(clippy::unwrap_used)]

use device::flash::{Layout, Region};
use otaru_sim::{Behaviour, Conditions, Device, End, FaultyLink, Image, Rng, Scheme, Tear, grid};
use proptest::prelude::*;

const fn sectors(first: u32, count: u32) -> Region {
    Region { start: first * 4096, len: count * 4096 }
}

fn device(seed: u64, len: usize, behaviours: &[Behaviour]) -> Device<4, 4096> {
    let slots = [sectors(4, 4), sectors(8, 4)];
    let scheme = Scheme::BootLog(Layout { log: sectors(0, 2), journal: sectors(2, 2), slots });
    let mut rng = Rng::new(seed);
    let versions = std::iter::once(&Behaviour::Works).chain(behaviours).enumerate();
    let images = versions
        .map(|(index, behaviour)| Image::new(&format!("{}.0", index + 1), *behaviour, len + index, &mut rng));
    Device::new(scheme, 256, images.collect()).unwrap()
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let faults = (0..30_u8, 0..30_u8, 0..20_u8, 0..2_000_u64, 0..20_u16);
    (0..1_000_u64, prop::sample::select(vec![0, 2_000, 50_000]), faults).prop_map(
        |(round_trip, rate, (lose, double, damage, jitter, breaks))| Conditions {
            round_trip,
            rate,
            lose,
            double,
            damage,
            jitter,
            breaks,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_image_comes_through_in_the_end(
        seed in any::<u64>(),
        len in 64..12_000_usize,
        block in prop::sample::select(vec![256, 512, 1024, 4096]),
        window in 1..=32_usize,
        conditions in conditions(),
        cut in proptest::option::of((0..150_u64, prop::sample::select(&Tear::CUTS[..]))),
    ) {
        use Behaviour::{Crashes, Works};
        let mut device = device(seed, len, &[Works, Crashes, Works]);
        (device.block, device.window) = (block, window);
        device.link = FaultyLink::new(conditions, Rng::new(seed));
        if let Some((after, tear)) = cut {
            device.flash.cut_at(device.flash.operations() + after, tear, Rng::new(seed));
        }
        loop {
            match device.run() {
                Ok(End::Cut) => device.flash.power_on(),
                Ok(_) => break,
                Err(what) => prop_assert!(false, "{}", what),
            }
        }
        prop_assert!(device.platform.is_done(), "failures: {:?}", device.platform.failures);
        // A damaged message can say anything, but for the bytes of a block. A failure is told again if its
        // acknowledgement was lost, and then counts for the next image if that was offered meanwhile.
        let expected = |failure: &String| {
            let again = conditions.breaks > 0 && failure.contains("rolled back");
            conditions.damage > 0 || again || failure.contains("did not come within")
        };
        prop_assert!(device.platform.failures.iter().all(expected), "{:?}", device.platform.failures);
    }
}

#[test]
fn a_link_without_faults_costs_one_round_trip_a_windowful() {
    let conditions = Conditions { round_trip: 300, ..Conditions::default() };
    assert_eq!(grid::speed(4096, 1, conditions), Ok(13));
    let slow = Conditions { rate: 64_000, ..conditions };
    assert!((50..=64).contains(&grid::speed(4096, 32, slow).unwrap()), "a window does not outrun the link");
}

#[test]
fn a_window_is_worth_having() {
    let conditions = Conditions { round_trip: 300, ..Conditions::default() };
    let [one, all] = [1, 32].map(|window| grid::speed(4096, window, conditions).unwrap());
    assert!(all >= 15 * one, "{all} KB/s are not fifteen times {one} KB/s");
}

#[test]
fn the_page_of_speeds_is_up_to_date() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/performance.md")).unwrap();
    assert!(page.contains(&grid::tables().unwrap()), "run `benches/run.sh --write --only device`");
}

#[test]
fn the_same_chance_gives_the_same_life() {
    let life = |seed| {
        let mut device = device(5, 9_000, &[Behaviour::Works]);
        let lossy = Conditions { round_trip: 90, lose: 10, jitter: 100, breaks: 5, ..Conditions::default() };
        device.link = FaultyLink::new(lossy, Rng::new(seed));
        device.run().unwrap();
        (device.now, device.flash.operations())
    };
    assert_eq!(life(1), life(1));
    assert_ne!(life(1), life(2));
}
