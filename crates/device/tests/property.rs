//! Whatever the link and the power supply do, what is installed is the file or nothing, and the platform is told.
#![allow(clippy::unwrap_used)]

mod bench;

use bench::{Bench, DN, Faults, Link, PK, Rng, Task};
use otaru_device::{Config, DEFAULT_MODULE, MESSAGE_SIZE, Module, Output, Updater};
use proptest::prelude::*;
use wire::message::Digest;

fn faults() -> impl Strategy<Value = Faults> {
    (0..40_u8, 0..40_u8, 0..30_u8, 0..10_u8, 0..2_000_u64)
        .prop_map(|(lose, double, damage, shorten, jitter)| Faults { lose, double, damage, shorten, jitter })
}

fn task(seed: u64, len: usize) -> Task {
    let mut rng = Rng::new(seed ^ 7);
    let method = if rng.chance(50) { Digest::Md5 } else { Digest::Sha256 };
    Task { method, ..Task::new((0..len).map(|_| rng.below(256) as u8).collect()) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_file_or_a_reported_failure(
        seed in any::<u64>(),
        len in 1..12_000_usize,
        block in 256..2_048_u32,
        window in 1..=32_usize,
        faults in faults(),
        cut_at in proptest::option::of(0..60_u64),
        save_interval in prop::sample::select(vec![0, 0, 300, 5_000]),
        forgets_tokens in any::<bool>(),
    ) {
        let mut bench = Bench::new(vec![task(seed, len)]);
        bench.knobs.block = block;
        bench.knobs.window = window;
        bench.knobs.save_interval = save_interval;
        bench.link = Link::new(seed);
        bench.link.faults = faults;
        bench.flash.cut_at = cut_at;
        bench.platform.forgets_tokens = forgets_tokens;
        bench.run();
        prop_assert!(bench.outstanding <= window);
        let version = ("default".to_owned(), "2.0".to_owned());
        match bench.flash.images.get("default") {
            Some(image) => {
                prop_assert!(*image == bench.platform.tasks[0].file);
                prop_assert!(bench.platform.informs.contains(&version));
            }
            None => {
                let last = bench.steps("default").last().copied();
                prop_assert!(last.is_some_and(|step| step < 0), "neither installed nor failed: {:?}", last);
                prop_assert!(!bench.platform.informs.contains(&version));
            }
        }
    }

    #[test]
    fn any_message_is_survived(
        kind in prop::sample::select(vec!["/ota/device/upgrade", "/ota/device/request", "get_reply", "download_reply"]),
        start in prop::sample::select(vec!["", "\u{0}\u{2}{}", "{\"message\":\"success\",\"data\":{", "{\"code\":200,"]),
        payload in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let modules = [Module::new(DEFAULT_MODULE, "1")];
        let mut updater = Updater::new(Config::new(PK, DN, &modules), None).unwrap();
        updater.handle_connected();
        let topic = match kind {
            "get_reply" => format!("/sys/{PK}/{DN}/thing/ota/firmware/get_reply"),
            "download_reply" => format!("/sys/{PK}/{DN}/thing/file/download_reply"),
            ota => format!("{ota}/{PK}/{DN}"),
        };
        let message = [start.as_bytes(), &payload].concat();
        prop_assert_eq!(updater.handle_message(5, &topic, &message), None);
        for _ in 0..20 {
            if let Output::Wait(_) = updater.poll(5, &mut [0; MESSAGE_SIZE]) {
                return Ok(());
            }
        }
        prop_assert!(false, "the updater never waits");
    }
}
