//! Whole updates: what a device does when all goes well, and when the platform or the storage do not.
#![allow(clippy::unwrap_used)]

mod bench;

use bench::{Bench, End, Faults, Knobs, Rng, Task};

use otaru_device::{Event, Failure, Operation, Updater};
use wire::message::Digest;

fn file(len: usize) -> Vec<u8> {
    let mut rng = Rng::new(len as u64);
    (0..len).map(|_| rng.below(256) as u8).collect()
}

fn installed(bench: &Bench, module: &str) -> Vec<u8> {
    bench.flash.images.get(module).cloned().unwrap_or_default()
}

/// Runs until the clock shows `until`, ends that boot as a power cut between two operations would, returns.
fn run_until(bench: &mut Bench, until: u64) {
    assert_eq!(bench.boot(until, &mut |_, _| {}), End::Time);
}

#[test]
fn a_whole_update() {
    let mut bench = Bench::new(vec![Task::new(file(10_000))]);
    bench.run();
    assert_eq!(installed(&bench, "default"), file(10_000));
    let informs: Vec<_> = bench.platform.informs.iter().map(|(m, v)| (m.as_str(), v.as_str())).collect();
    assert_eq!(informs, [("default", "1.0"), ("MCU", "m1"), ("default", "2.0"), ("MCU", "m1")]);
    assert_eq!(bench.events, [Event::Started { from: 0 }, Event::Verified, Event::Installed]);
    assert_eq!(bench.platform.served, 10_000, "every byte is asked for once");
    assert_eq!(bench.flash.record(), None, "nothing is left to resume");
    let steps = bench.steps("default");
    assert_eq!((steps.first(), steps.last()), (Some(&0), Some(&100)));
}

#[test]
fn sha256_and_odd_sizes() {
    for len in [1, 255, 256, 511, 512, 513, 1024, 4096, 4097] {
        for method in [Digest::Md5, Digest::Sha256] {
            let mut bench = Bench::new(vec![Task { method, ..Task::new(file(len)) }]);
            bench.run();
            assert_eq!(installed(&bench, "default"), file(len));
            assert_eq!(bench.platform.served, len as u64);
        }
    }
}

#[test]
fn progress_comes_at_most_every_three_seconds() {
    let mut bench = Bench::new(vec![Task::new(file(200_000))]);
    bench.knobs.window = 1;
    bench.run();
    let progress = &bench.platform.progress;
    assert!(progress.len() > 5, "a download of {} ms has more to tell", bench.now);
    for pair in progress.windows(2) {
        assert!(pair[0].step < pair[1].step);
        assert!(pair[1].step == 100 || pair[1].at - pair[0].at >= 3_000);
    }
}

#[test]
fn the_window_is_kept_and_shortens_the_download() {
    let mut times = Vec::new();
    for window in [1, 2, 4, 32] {
        let mut bench = Bench::new(vec![Task::new(file(100_000))]);
        bench.knobs.window = window;
        bench.run();
        assert_eq!(bench.outstanding, window);
        times.push(bench.platform.progress.last().unwrap().at);
    }
    assert!(times[1] * 10 < times[0] * 6 && times[3] * 8 < times[0], "{times:?}");
}

#[test]
fn a_platform_that_sends_less_than_asked_for_and_no_token() {
    let mut bench = Bench::new(vec![Task::new(file(3_000))]);
    bench.platform.largest = 300;
    bench.platform.forgets_tokens = true;
    bench.run();
    assert_eq!(installed(&bench, "default"), file(3_000));
    assert_eq!(bench.platform.served, 3_000);
}

#[test]
fn a_bad_link_costs_time_only() {
    for seed in 0..40 {
        let mut bench = Bench::new(vec![Task::new(file(20_000))]);
        bench.knobs.window = 1 + seed as usize % 5;
        bench.link = bench::Link::new(seed);
        bench.link.faults = Faults { lose: 10, double: 10, damage: 2, shorten: 2, jitter: 400 };
        bench.run();
        assert_eq!(installed(&bench, "default"), file(20_000), "rng seed {seed}: {}", bench.last_desc());
        assert!(bench.platform.served > 20_000, "the faults did happen");
    }
}

#[test]
fn a_power_cut_at_every_storage_operation() {
    let size = 6_000;
    let mut cuts = 0;
    for at in 0.. {
        let mut bench = Bench::new(vec![Task::new(file(size))]);
        bench.flash.cut_at = Some(at);
        bench.run();
        assert_eq!(installed(&bench, "default"), file(size), "cut at operation {at}");
        assert_eq!(bench.platform.informs.last().unwrap().1, "m1");
        assert!(bench.platform.informs.contains(&("default".to_owned(), "2.0".to_owned())));
        let again = bench.platform.served - size as u64;
        assert!(again <= 3 * 512, "cut at operation {at}: {again} bytes were fetched again");
        if bench.flash.operations <= at {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 25, "only {cuts} operations were cut");
}

#[test]
fn a_power_cut_while_another_file_takes_the_slot() {
    for at in 0..12 {
        let first = Task::new(file(8_000));
        let second = Task { version: "3.0".to_owned(), ..Task::new(file(9_000)) };
        let mut bench = Bench::new(vec![first.clone()]);
        run_until(&mut bench, 1_600);
        assert!(bench.flash.record().is_some());
        bench.platform.tasks = vec![second];
        bench.flash.cut_at = Some(bench.flash.operations + at);
        assert_eq!(bench.boot(u64::MAX, &mut |_, _| {}), End::Cut);
        bench.platform.tasks = vec![first];
        bench.run();
        assert!(
            !bench.steps("default").contains(&-3),
            "cut at operation {at}: a record spoke for another file"
        );
        assert_eq!(installed(&bench, "default"), file(8_000));
    }
}

#[test]
fn resumes_from_the_last_stored_block() {
    let mut bench = Bench::new(vec![Task::new(file(50_000))]);
    run_until(&mut bench, 3_000);
    let stored = bench.flash.record().unwrap().stored();
    assert!(stored > 1_000 && stored.is_multiple_of(512));
    bench.run();
    assert_eq!(bench.events[1], Event::Started { from: stored });
    assert_eq!(installed(&bench, "default"), file(50_000));
    assert!(bench.platform.served <= 50_000 + 2 * 512);
}

#[test]
fn records_at_a_distance_spare_the_storage_and_resume_a_little_earlier() {
    let mut every = Bench::new(vec![Task::new(file(50_000))]);
    every.run();
    let mut bench = Bench::new(vec![Task::new(file(50_000))]);
    bench.knobs.save_interval = 1_000;
    run_until(&mut bench, 4_000);
    bench.run();
    assert_eq!(installed(&bench, "default"), file(50_000));
    assert!(matches!(bench.events[1], Event::Started { from: 512.. }), "{:?}", bench.events);
    assert!(bench.flash.operations < every.flash.operations * 2 / 3);
}

#[test]
fn another_file_of_the_same_version_is_not_resumed() {
    let mut bench = Bench::new(vec![Task::new(file(50_000))]);
    run_until(&mut bench, 3_000);
    let mut other = file(50_000);
    other[40_000] ^= 1;
    bench.platform.tasks[0].file = other.clone();
    bench.run();
    assert_eq!(bench.events[1], Event::Started { from: 0 });
    assert_eq!(installed(&bench, "default"), other);
}

#[test]
fn a_slot_that_rotted_meanwhile_fails_and_starts_from_nothing() {
    let mut bench = Bench::new(vec![Task::new(file(50_000))]);
    run_until(&mut bench, 3_000);
    bench.flash.rot(100);
    bench.run();
    assert_eq!(bench.steps("default").last(), Some(&-3));
    assert!(bench.flash.images.is_empty());
    bench.platform.tasks[0].over = false;
    bench.run();
    assert_eq!(installed(&bench, "default"), file(50_000));
}

#[test]
fn a_wrong_digest_is_reported_and_nothing_installed() {
    let sign = Some("0".repeat(32));
    let mut bench = Bench::new(vec![Task { sign, ..Task::new(file(5_000)) }]);
    bench.run();
    assert_eq!(bench.steps("default").last(), Some(&-3));
    assert_eq!(bench.last_desc(), "the file's digest is not the one announced");
    assert!(bench.flash.images.is_empty());
    assert_eq!(bench.flash.record(), None);
    assert_eq!(bench.events.last(), Some(&Event::Failed(Failure::Verify)));
}

#[test]
fn a_wrong_size_is_reported_with_both() {
    for served in [4_999, 5_001] {
        let mut bench = Bench::new(vec![Task::new(file(5_000))]);
        bench.platform.file_length = Some(served);
        bench.run();
        assert_eq!(bench.steps("default").last(), Some(&-3));
        assert_eq!(bench.last_desc(), format!("the file has {served} bytes, the notice announced 5000"));
    }
}

#[test]
fn offers_that_cannot_be_taken_are_refused_with_a_reason() {
    let task = |size| Task { size: Some(size), ..Task::new(file(100)) };
    let other = Task { module: "BLE".to_owned(), ..Task::new(file(100)) };
    let cases = [
        (task(0), -2, "the notice announces an empty file"),
        (task(16_777_217), -2, "16777217 bytes are announced, over MQTT a file has at most 16777216"),
        (task(1_000_001), -4, "1000001 bytes are announced, the device's slot holds 1000000"),
        (other, -1, "the device has no module BLE"),
    ];
    for (task, step, desc) in cases {
        let module = task.module.clone();
        let mut bench = Bench::new(Vec::new());
        bench.knobs.slot = 1_000_000;
        offer(&mut bench, task.notice());
        assert_eq!((bench.steps(&module), bench.last_desc()), (vec![step], desc));
    }
}

#[test]
fn http_several_files_and_differences_are_refused() {
    let md5 = "9".repeat(32);
    let common = format!(r#""version":"2.0","signMethod":"Md5","sign":"{md5}","md5":"{md5}""#);
    let file = format!(
        r#"{{"fileSize":4,"fileName":"a.bin","fileUrl":"http://h/a","fileMd5":"{md5}","fileSign":"{md5}"}}"#
    );
    let cases = [
        (format!(r#""size":4,"url":"http://h/a.bin",{common}"#), -2, "start the job with protocol mqtt"),
        (format!(r#"{common},"files":[{file}]"#), -2, "start the job with protocol mqtt"),
        (
            format!(r#""size":4,"streamId":1,"streamFileId":1,"dProtocol":"mqtt","isDiff":1,{common}"#),
            -1,
            "differential",
        ),
    ];
    for (data, step, desc) in cases {
        let notice = format!(r#"{{"code":"1000","data":{{{data}}},"id":1,"message":"success"}}"#);
        let mut bench = Bench::new(Vec::new());
        offer(&mut bench, ("/ota/device/upgrade/a1TestPk001/dev001".to_owned(), notice.into_bytes()));
        assert_eq!(bench.steps("default"), [step]);
        assert!(bench.last_desc().contains(desc), "{}", bench.last_desc());
    }
}

/// One boot in which this message comes down.
fn offer(bench: &mut Bench, message: (String, Vec<u8>)) {
    let mut message = Some(message);
    let end = bench.boot(u64::MAX, &mut |_, bench| {
        if let Some((topic, payload)) = message.take() {
            bench.link.send_down(bench.now, topic, payload);
        }
    });
    assert_eq!(end, End::Quiet);
}

#[test]
fn an_offer_of_what_runs_already_is_answered_with_the_version() {
    let mut bench = Bench::new(Vec::new());
    offer(&mut bench, Task { version: "1.0".to_owned(), ..Task::new(file(9)) }.notice());
    assert_eq!(bench.platform.informs.last().unwrap(), &("default".to_owned(), "1.0".to_owned()));
    assert_eq!(bench.platform.informs.len(), 3);
    assert!(bench.events.is_empty());
}

#[test]
fn a_second_notice_does_not_restart_the_download() {
    let mut bench = Bench::new(vec![Task::new(file(50_000))]);
    let mut pushed = 0;
    let end = bench.boot(u64::MAX, &mut |updater, bench| {
        if updater.status().is_some_and(|status| status.stored > 1_000 * pushed) {
            pushed += 1;
            // A fresh push may name another stream; requests under way by the old number are refused with 404.
            bench.platform.tasks[0].stream = 500 + pushed / 10;
            let (topic, payload) = bench.platform.tasks[0].notice();
            bench.link.send_down(bench.now, topic, payload);
        }
    });
    assert_eq!(end, End::Rebooted);
    assert!(pushed > 20);
    assert_eq!(installed(&bench, "default"), file(50_000));
    assert_eq!(bench.events.iter().filter(|e| matches!(e, Event::Started { .. })).count(), 1);
    assert!(bench.platform.served < 52_000 + 5_000);
}

#[test]
fn a_newer_version_takes_the_place_of_the_running_one() {
    let mut bench = Bench::new(vec![Task::new(file(50_000))]);
    let mut swapped = false;
    bench.boot(u64::MAX, &mut |updater, bench| {
        if !swapped && updater.status().is_some_and(|status| status.stored > 10_000) {
            swapped = true;
            let newer = Task { version: "3.0".to_owned(), stream: 77, ..Task::new(file(40_000)) };
            let (topic, payload) = newer.notice();
            bench.platform.tasks.insert(0, newer);
            bench.link.send_down(bench.now, topic, payload);
        }
    });
    assert_eq!(installed(&bench, "default"), file(40_000));
    assert_eq!(bench.versions[0].1, "3.0");
}

#[test]
fn two_modules_one_after_the_other() {
    let mcu =
        Task { module: "MCU".to_owned(), version: "m2".to_owned(), stream: 9, ..Task::new(file(7_000)) };
    let mut bench = Bench::new(vec![Task::new(file(5_000)), mcu]);
    bench.run();
    assert_eq!(installed(&bench, "default"), file(5_000));
    assert_eq!(installed(&bench, "MCU"), file(7_000));
    assert_eq!(bench.steps("MCU").last(), Some(&100));
}

#[test]
fn the_other_module_is_asked_for_when_the_first_fails() {
    let mcu =
        Task { module: "MCU".to_owned(), version: "m2".to_owned(), stream: 9, ..Task::new(file(7_000)) };
    let mut bench = Bench::new(vec![Task { sign: Some("0".repeat(32)), ..Task::new(file(5_000)) }, mcu]);
    bench.run();
    assert_eq!(bench.steps("default").last(), Some(&-3));
    assert_eq!(bench.platform.gets, 1 + 2, "and for both after the restart");
    assert_eq!(installed(&bench, "MCU"), file(7_000));
}

#[test]
fn what_is_not_pushed_is_asked_for_at_every_connect_and_whenever_the_device_wants() {
    let mut bench = Bench::new(vec![Task { pulled: true, ..Task::new(file(5_000)) }]);
    bench.run();
    assert!(installed(&bench, "default") == file(5_000));
    let (before, mut later) = (bench.platform.gets, false);
    bench.boot(bench.now + 20_000, &mut |updater, bench| {
        if bench.platform.gets == before + 2 && !std::mem::replace(&mut later, true) {
            bench.platform.tasks =
                vec![Task { version: "3.0".to_owned(), pulled: true, ..Task::new(file(600)) }];
            updater.pull();
        }
    });
    assert!(installed(&bench, "default") == file(600));
}

#[test]
fn a_lost_connection_does_not_lose_blocks() {
    let mut bench = Bench::new(vec![Task::new(file(50_000))]);
    let mut next = 5_000;
    bench.boot(u64::MAX, &mut |updater, bench| {
        if updater.status().is_some_and(|status| status.stored > next) {
            next += 5_000;
            bench.link.cut();
            updater.handle_disconnected();
            assert_eq!(bench.platform.tasks[0].stream, 12_332);
            updater.handle_connected();
        }
    });
    assert_eq!(installed(&bench, "default"), file(50_000));
    assert!(bench.platform.served < 50_000 + 10 * 2 * 512);
    assert_eq!(bench.platform.informs.len(), 2 * 10, "versions are reported at every connect");
}

#[test]
fn error_frames() {
    for (code, step) in
        [(404, Some(-2)), (460, Some(-2)), (429, Some(-2)), (500, Some(-2)), (777, Some(-2)), (403, None)]
    {
        let mut bench = Bench::new(vec![Task::new(file(5_000))]);
        bench.platform.refuse = Some(Box::new(move |offset| (offset >= 2_048).then_some(code)));
        bench.run();
        assert!(bench.flash.images.is_empty());
        match step {
            Some(step) => assert_eq!(bench.steps("default").last(), Some(&step), "{code}"),
            None => assert_eq!(bench.events.last(), Some(&Event::Cancelled)),
        }
        let patient = bench.now > 60_000;
        assert_eq!(patient, matches!(code, 429 | 500 | 777), "{code} ended after {} ms", bench.now);
    }
}

#[test]
fn a_busy_platform_is_asked_again() {
    let mut bench = Bench::new(vec![Task::new(file(5_000))]);
    let mut count = 0;
    bench.platform.refuse = Some(Box::new(move |_| {
        count += 1;
        (count % 2 == 1).then_some(if count % 4 == 1 { 429 } else { 500 })
    }));
    bench.run();
    assert_eq!(installed(&bench, "default"), file(5_000));
}

#[test]
fn a_silent_platform_is_given_up() {
    let mut bench = Bench::new(vec![Task::new(file(5_000))]);
    bench.link.faults.lose = 100;
    bench.run();
    assert_eq!(bench.last_desc(), "the block at 0 did not come within 60 s");
    assert_eq!(bench.steps("default").last(), Some(&-2));
}

#[test]
fn after_a_failed_download_a_new_attempt_goes_on_where_it_stopped() {
    let mut bench = Bench::new(vec![Task::new(file(5_000))]);
    bench.platform.refuse = Some(Box::new(|offset| (offset >= 2_048).then_some(404)));
    bench.run();
    bench.platform.refuse = None;
    bench.platform.tasks[0].over = false;
    bench.run();
    assert_eq!(installed(&bench, "default"), file(5_000));
    assert_eq!(bench.platform.served, 5_000);
}

#[test]
fn the_device_gives_up_by_itself() {
    let mut bench = Bench::new(vec![Task::new(file(5_000))]);
    let end = bench.boot(u64::MAX, &mut |updater, _| {
        if updater.status().is_some_and(|status| status.percent >= 30) {
            assert!(updater.abandon(Failure::Upgrade, "the \"battery\" is\nlow"));
            assert!(!updater.abandon(Failure::Upgrade, "again"));
            assert_eq!(updater.last_failure(), "the 'battery' is low");
        }
    });
    assert_eq!(end, End::Quiet);
    assert_eq!((bench.steps("default").last(), bench.last_desc()), (Some(&-1), "the 'battery' is low"));
}

#[test]
fn broken_storage_is_reported_as_burning() {
    for operation in
        [Operation::Prepare, Operation::Write, Operation::Read, Operation::Save, Operation::Install]
    {
        let mut bench = Bench::new(vec![Task::new(file(5_000))]);
        let mut broken = false;
        bench.boot(u64::MAX, &mut |updater: &mut Updater<'_>, _| {
            if !broken && updater.status().is_some_and(|status| status.stored > 1_000) {
                broken = true;
                updater.handle_broken(operation, "no space left");
            }
        });
        assert_eq!(bench.steps("default").last(), Some(&-4), "{operation:?}");
        assert!(bench.last_desc().ends_with(": no space left"), "{}", bench.last_desc());
        assert!(bench.flash.images.is_empty());
    }
}

#[test]
fn bad_configurations_are_named() {
    let modules = [otaru_device::Module::new("default", "1"), otaru_device::Module::new("default", "2")];
    let config = otaru_device::Config::new(bench::PK, bench::DN, &modules);
    let error = Updater::new(config, None).unwrap_err().to_string();
    assert_eq!(error, "module 2: the name must be 1 to 64 characters of A-Z a-z 0-9 . - _ and occur once");
    let config =
        otaru_device::Config { block: 255, ..otaru_device::Config::new(bench::PK, bench::DN, &modules[..1]) };
    let error = Updater::new(config, None).unwrap_err().to_string();
    assert_eq!(error, "a block of 255 bytes cannot be asked for: use 256 to 131072");
    assert_eq!(Knobs::default().window, 2);
}

#[test]
fn an_updater_fits_into_four_kilobytes() {
    let size = size_of::<Updater<'_>>();
    assert!(size <= 3584, "{size} bytes");
}

#[test]
fn how_far_an_update_was_is_told_before_that_it_failed() {
    let mut bench = Bench::new(vec![Task::new(file(5_000))]);
    bench.boot(u64::MAX, &mut |updater, _| {
        if updater.status().is_some_and(|status| status.percent >= 30) {
            updater.abandon(Failure::Upgrade, "enough");
        }
    });
    let steps = bench.steps("default");
    assert!(matches!(steps[..], [0, (30..), -1]), "{steps:?}");
}

#[test]
fn each_module_has_a_slot_of_its_own() {
    let modules = [
        otaru_device::Module::new("default", "1.0"),
        otaru_device::Module { slot: 5_000, ..otaru_device::Module::new("MCU", "m1") },
    ];
    let config = otaru_device::Config::new(bench::PK, bench::DN, &modules);
    for (module, size, taken) in [("MCU", 5_000, true), ("MCU", 5_001, false), ("default", 5_001, true)] {
        let mut updater = Updater::new(config, None).unwrap();
        let task = Task { module: module.to_owned(), ..Task::new(file(size)) };
        let (topic, payload) = task.notice();
        assert_eq!(updater.handle_message(0, &topic, &payload), None);
        assert_eq!(updater.status().is_some(), taken, "{}", updater.last_failure());
    }
}

/// Gives up at 30 %, and loses the connection `after` steps later.
fn gives_up_and_loses_the_line(after: u32) -> Bench {
    let mut bench = Bench::new(vec![Task::new(file(5_000))]);
    let mut since = None;
    bench.boot(u64::MAX, &mut |updater, bench| {
        if since.is_none() && updater.status().is_some_and(|status| status.percent >= 30) {
            assert!(updater.abandon(Failure::Upgrade, "enough"));
            since = Some(0);
        }
        let Some(steps) = &mut since else { return };
        *steps += 1;
        if *steps == after {
            bench.link.cut();
            updater.handle_disconnected();
            updater.handle_connected();
        }
    });
    bench
}

#[test]
fn a_failure_is_told_until_it_is_acknowledged() {
    for after in 1..20 {
        let bench = gives_up_and_loses_the_line(after);
        let failures = bench.steps("default").iter().filter(|step| **step == -1).count();
        assert_eq!(failures, 1, "the line was lost after {after} steps: {:?}", bench.platform.progress);
        let (last, before) = bench.platform.progress.split_last().unwrap();
        assert!(
            last.step == -1 && before.iter().any(|step| step.step >= 30),
            "how far it was is told before"
        );
    }
}

#[test]
fn a_notice_that_is_too_long_is_told_to_the_platform() {
    let mut bench = Bench::new(vec![Task::new(file(5_000))]);
    let mut told = false;
    bench.boot(u64::MAX, &mut |updater, _| {
        if !std::mem::replace(&mut told, true) {
            updater.handle_too_long("/sys/a1TestPk001/dev001/thing/file/download_reply", 3_000, 1_024);
            updater.handle_too_long("/ota/device/upgrade/a1TestPk001/dev001", 1_025, 1_024);
        }
    });
    let step = &bench.platform.progress[0];
    let wanted = ("default", -1, "a notice of 1025 bytes came, the device can receive 1024");
    assert_eq!((step.module.as_str(), step.step, step.desc.as_str()), wanted);
}

fn over_http(len: usize) -> Bench {
    let url = Some("http://ota.example:1883/dl/1?sig=a".to_owned());
    let mut bench = Bench::new(vec![Task { url, ..Task::new(file(len)) }]);
    bench.knobs.http = true;
    bench
}

#[test]
fn a_file_over_http_is_fetched_by_the_application() {
    let mut bench = over_http(20_000);
    bench.run();
    assert_eq!(installed(&bench, "default"), file(20_000));
    assert_eq!(bench.fetches, [("http://ota.example:1883/dl/1?sig=a".to_owned(), 0)]);
    assert_eq!(bench.steps("default").last(), Some(&100));
}

#[test]
fn a_fetch_that_ends_early_goes_on_where_it_was_with_a_fresh_url() {
    let mut bench = over_http(20_000);
    let mut ended = 0;
    bench.fetch_ends = Box::new(move |offset| {
        let ends = offset >= 6_000 && ended < 3;
        ended += u32::from(ends);
        ends
    });
    bench.boot(u64::MAX, &mut |_, bench| {
        bench.platform.tasks[0].url =
            Some(format!("http://ota.example:1883/dl/1?sig={}", bench.fetches.len()));
    });
    assert_eq!(installed(&bench, "default"), file(20_000));
    let offsets: Vec<_> = bench.fetches.iter().map(|(_, offset)| *offset).collect();
    assert_eq!(offsets, [0, 6_144, 6_144, 6_144]);
    let urls: std::collections::BTreeSet<_> = bench.fetches.iter().map(|(url, _)| url).collect();
    assert_eq!(urls.len(), 4, "{urls:?}");
    assert_eq!(bench.platform.served, 20_000);
    assert!((8_000..12_000).contains(&bench.now), "waits of 1, 2 and 4 s, and some more: {} ms", bench.now);
}

#[test]
fn a_file_that_cannot_be_fetched_fails_with_the_reason_and_goes_on_later() {
    let mut bench = over_http(20_000);
    bench.fetch_ends = Box::new(|offset| offset >= 6_000);
    bench.run();
    let wanted = (Some(&-2), "the file cannot be fetched: HTTP 403");
    assert_eq!((bench.steps("default").last(), bench.last_desc()), wanted);
    bench.platform.tasks[0].over = false;
    bench.fetch_ends = Box::new(|_| false);
    bench.run();
    assert_eq!(bench.fetches.last().unwrap().1, 6_144);
    assert_eq!(installed(&bench, "default"), file(20_000));
}

#[test]
fn a_power_cut_in_a_fetch_at_every_storage_operation() {
    for at in 0..40 {
        let mut bench = over_http(6_000);
        bench.flash.cut_at = Some(at);
        bench.run();
        assert_eq!(installed(&bench, "default"), file(6_000), "cut at operation {at}");
        assert!(bench.platform.served <= 6_000 + 2 * 512);
    }
}

#[test]
fn a_download_may_change_between_blocks_and_http() {
    for first_over_http in [true, false] {
        let mut bench = over_http(30_000);
        let url = bench.platform.tasks[0].url.clone();
        if !first_over_http {
            bench.platform.tasks[0].url = None;
        }
        let mut fails = 1;
        bench.fetch_ends = Box::new(move |offset| offset >= 6_000 && std::mem::take(&mut fails) == 1);
        let mut changed = false;
        bench.boot(u64::MAX, &mut |updater, bench| {
            if !changed && updater.status().is_some_and(|status| status.stored > 6_000) {
                changed = true;
                bench.platform.tasks[0].url = if first_over_http { None } else { url.clone() };
                let (topic, payload) = bench.platform.tasks[0].notice();
                bench.link.send_down(bench.now, topic, payload);
            }
        });
        assert!(changed);
        assert_eq!(installed(&bench, "default"), file(30_000));
        assert!(bench.platform.served < 34_000, "what was stored stays");
        assert_eq!(bench.events.iter().filter(|e| matches!(e, Event::Started { .. })).count(), 1);
    }
}

#[test]
fn a_url_that_is_too_long_is_refused() {
    let mut bench = over_http(5_000);
    bench.platform.tasks[0].url = Some(format!("http://h/{}", "a".repeat(otaru_device::MAX_URL)));
    bench.run();
    assert_eq!(bench.steps("default"), [-2]);
    assert_eq!(bench.last_desc(), "the URL is longer than the 512 bytes that the device keeps");
}

/// A package of four files, two of them the same.
fn of_several_files() -> Bench {
    let mut bench = over_http(0);
    bench.platform.tasks[0].files = vec![file(5_000), file(700), file(700), file(3_000)];
    bench
}

fn assert_all_installed(bench: &Bench) {
    for (name, len) in [("file 0", 5_000), ("file 1", 700), ("file 2", 700), ("default", 3_000)] {
        assert!(installed(bench, name) == file(len), "{name}");
    }
}

#[test]
fn several_files_come_one_after_the_other() {
    let mut bench = of_several_files();
    bench.run();
    assert_all_installed(&bench);
    let urls: Vec<_> = bench.fetches.iter().map(|(url, _)| url.as_str()).collect();
    assert_eq!(urls, ["http://h/0", "http://h/1", "http://h/2", "http://h/3"]);
    assert_eq!((bench.platform.gets, bench.platform.served), (3 + 2, 9_400), "each next file is asked for");
    let steps = bench.steps("default");
    assert!(steps.is_sorted() && steps.contains(&53), "5 000 of 9 400 bytes are 53 %: {steps:?}");
    assert!(bench.platform.informs.contains(&("default".to_owned(), "2.0".to_owned())));
}

#[test]
fn a_power_cut_among_several_files() {
    for at in 0..60 {
        let mut bench = of_several_files();
        bench.flash.cut_at = Some(at);
        bench.run();
        assert_all_installed(&bench);
        assert!(bench.steps("default").iter().all(|step| *step >= 0), "cut at operation {at}");
    }
}

#[test]
fn the_next_file_is_asked_for_until_it_is_offered() {
    let mut bench = of_several_files();
    let files = bench.platform.tasks[0].files.clone();
    let end = bench.boot(u64::MAX, &mut |_, bench| {
        // Between the files the platform has no download slot free for a while.
        bench.platform.tasks[0].over = bench.platform.gets > 0 && bench.now < 100_000;
    });
    assert_eq!((end, files.len()), (End::Rebooted, 4));
    assert_all_installed(&bench);
    assert!((5..=7).contains(&bench.platform.gets), "asked every 30 s: {}", bench.platform.gets);
}

/// A device that has the first of several files when its task ends, and what comes of it in an hour.
fn cancelled_between_files(meddle: &mut dyn FnMut(&mut Bench)) -> Bench {
    let mut bench = of_several_files();
    let mut cancelled = false;
    bench.boot(3_600_000, &mut |_, bench| {
        if bench.events.contains(&Event::Verified) && !std::mem::replace(&mut cancelled, true) {
            bench.platform.tasks[0].over = true;
            meddle(bench);
        }
    });
    bench
}

#[test]
fn a_package_that_is_cancelled_between_its_files_is_given_up() {
    let bench = cancelled_between_files(&mut |_| {});
    assert_eq!(bench.events.last(), Some(&Event::Cancelled));
    assert!(bench.platform.gets < 15, "it asked {} times", bench.platform.gets);
    assert!(bench.steps("default").iter().all(|step| *step >= 0));
}

#[test]
fn between_the_files_of_a_package_another_offer_takes_its_place() {
    let mcu =
        Task { module: "MCU".to_owned(), version: "m2".to_owned(), stream: 9, ..Task::new(file(7_000)) };
    let bench = cancelled_between_files(&mut |bench| {
        let (topic, payload) = mcu.notice();
        bench.platform.tasks.push(mcu.clone());
        bench.link.send_down(bench.now, topic, payload);
    });
    assert!(installed(&bench, "MCU") == file(7_000));
}

#[test]
fn a_package_with_fewer_files_now_is_refused_once() {
    let bench = cancelled_between_files(&mut |bench| {
        let task = &mut bench.platform.tasks[0];
        (task.over, task.pulled) = (false, true);
        task.files.truncate(1);
    });
    assert_eq!(bench.steps("default").iter().filter(|step| **step < 0).count(), 1, "{}", bench.last_desc());
}

#[test]
fn an_offer_of_what_runs_ends_the_update_to_something_else() {
    let mut bench = over_http(20_000);
    let back = Task { version: "1.0".to_owned(), ..Task::new(file(600)) };
    let mut meddled = false;
    bench.boot(60_000, &mut |updater, bench| {
        if updater.status().is_some_and(|status| status.stored > 0) && !std::mem::replace(&mut meddled, true)
        {
            let (topic, payload) = back.notice();
            bench.platform.tasks[0].over = true;
            updater.handle_message(bench.now, &topic, &payload);
        }
    });
    assert_eq!(bench.events.last(), Some(&Event::Cancelled));
    assert_eq!(bench.versions[0].1, "1.0");
}

#[test]
fn a_bad_file_among_several_fails_the_package() {
    let mut bench = of_several_files();
    bench.knobs.slot = 4_999;
    bench.run();
    assert_eq!(bench.last_desc(), "5000 bytes are announced, the device's slot holds 4999");
    assert!(bench.flash.images.is_empty());
}
