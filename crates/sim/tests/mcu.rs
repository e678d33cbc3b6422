//! An image passed on over a serial line that loses bytes, to a part that loses its power.
#![allow(clippy::unwrap_used, reason = "tests")]

use device::mcu::{Event, FRAME_SIZE, Failure, Host, Image, Output, Phase};
use otaru_sim::mcu::{Line, Part, image};
use otaru_sim::{Rng, Tear};
use sha2::Digest as _;

const SIZE: u32 = 10_001;

fn described(bytes: &[u8]) -> Image {
    Image::new(bytes.len() as u32, wire::message::Digest::Sha256, &sha2::Sha256::digest(bytes)).unwrap()
}

fn quiet() -> Line {
    Line::new(1, 0)
}

/// Runs a host until it is over, or off at a time of its own; how it ended, and when.
fn run(
    mut host: Host<'_>,
    bytes: &[u8],
    part: &mut Part,
    line: &mut Line,
    from: u64,
    off: u64,
) -> (String, u64) {
    const BYTES: usize = 12;
    let (mut down, mut up): (Vec<u8>, Vec<u8>) = (vec![], vec![]);
    for now in from.. {
        let sent: Vec<u8> = down.drain(..down.len().min(BYTES)).collect();
        up.extend(part.tick(now, &line.carry(&sent)));
        let came: Vec<u8> = up.drain(..up.len().min(BYTES)).collect();
        host.handle(now, &line.carry(&came));
        let mut out = [0; FRAME_SIZE];
        let read = |offset: u32, buffer: &mut [u8]| {
            buffer.copy_from_slice(bytes.get(offset as usize..offset as usize + buffer.len()).ok_or(())?);
            Ok::<_, ()>(())
        };
        match host.poll(now, read, &mut out) {
            Output::Send(frame) => down.extend(frame),
            Output::Wait(until) => assert!(until > now),
            Output::End(Event::Answered(phase, text)) => return (format!("{phase:?} {text}"), now),
            Output::End(Event::Failed(failure)) => return (failure.to_string(), now),
        }
        if now - from >= off {
            return ("off".into(), now);
        }
    }
    unreachable!()
}

fn pass_on(version: &str, part: &mut Part, line: &mut Line) -> String {
    let bytes = image(version, SIZE);
    run(Host::pass_on(described(&bytes), version), &bytes, part, line, 0, u64::MAX).0
}

/// A part that runs version 1, and may get version 2.
fn provisioned() -> Part {
    let mut part = Part::new(&[image("1.0.0", SIZE), image("2.0.0", SIZE)]);
    assert_eq!(pass_on("1.0.0", &mut part, &mut quiet()), "Running 1.0.0");
    part
}

#[test]
fn a_part_gets_its_first_image_and_the_next() {
    let mut part = provisioned();
    let (end, now) = run(Host::ask(), &[], &mut part, &mut quiet(), 0, u64::MAX);
    assert_eq!(end, "Running 1.0.0");
    let bytes = image("2.0.0", SIZE);
    let host = Host::pass_on(described(&bytes), "2.0.0");
    let (end, then) = run(host, &bytes, &mut part, &mut quiet(), now, u64::MAX);
    assert_eq!(end, "Running 2.0.0");
    assert_eq!(part.started(), ["1.0.0", "2.0.0"]);
    assert!(then - now < 4_000, "10 KB took {} ms", then - now);
    assert_eq!(pass_on("2.0.0", &mut part, &mut quiet()), "Running 2.0.0");
    assert_eq!(part.started().len(), 2, "what runs already is left alone");
}

#[test]
fn every_power_cut_of_the_part_is_survived() {
    let mut whole = provisioned();
    let first = whole.chip().with(|flash| flash.operations());
    let fresh = whole.chip().with(|flash| flash.clone());
    pass_on("2.0.0", &mut whole, &mut quiet());
    let last = whole.chip().with(|flash| flash.operations());
    assert!(last - first > 50, "{first} to {last}");
    for operation in first..last {
        for tear in Tear::CUTS {
            let mut part = Part::new(&[image("1.0.0", SIZE), image("2.0.0", SIZE)]);
            part.chip().with(|flash| {
                *flash = fresh.clone();
                flash.cut_at(operation, tear, Rng::new(operation));
            });

            let end = pass_on("2.0.0", &mut part, &mut quiet());
            assert_eq!(end, "Running 2.0.0", "operation {operation}, {tear}");
        }
    }
}

#[test]
fn the_power_may_go_after_any_request() {
    let mut whole = provisioned();
    let first = whole.requests();
    pass_on("2.0.0", &mut whole, &mut quiet());
    assert!(whole.requests() - first > 40);
    for request in first + 1..=whole.requests() {
        let mut part = provisioned();
        part.cut_after(request);
        assert_eq!(pass_on("2.0.0", &mut part, &mut quiet()), "Running 2.0.0", "request {request}");
    }
}

#[test]
fn the_host_may_start_again_at_any_time() {
    for off in (0..2_500).step_by(130) {
        let (mut part, mut line) = (provisioned(), quiet());
        let bytes = image("2.0.0", SIZE);
        let host = || Host::pass_on(described(&bytes), "2.0.0");
        let (_, now) = run(host(), &bytes, &mut part, &mut line, 0, off);
        let before = part.requests();
        let (end, _) = run(host(), &bytes, &mut part, &mut line, now, u64::MAX);
        assert_eq!(end, "Running 2.0.0", "off after {off} ms");
        assert!(
            part.requests() - before <= 60,
            "off after {off} ms: {} requests more",
            part.requests() - before
        );
    }
}

#[test]
fn lost_and_changed_bytes_cost_only_time() {
    for seed in 0..20 {
        let mut line = Line::new(seed, 10 + seed);
        assert_eq!(pass_on("2.0.0", &mut provisioned(), &mut line), "Running 2.0.0", "seed {seed}");
    }
}

#[test]
fn an_image_that_is_not_the_one_announced_is_never_started() {
    let mut part = provisioned();
    let (bytes, other) = (image("2.0.0", SIZE), image("3.0.0", SIZE));
    let host = Host::pass_on(described(&bytes), "2.0.0");
    let (end, _) = run(host, &other, &mut part, &mut quiet(), 0, u64::MAX);
    let why = "the part does not get beyond byte 10001 of the image: the digest of what came is wrong";
    assert_eq!(end, why);
    assert_eq!(part.started(), ["1.0.0"]);
    assert_eq!(pass_on("2.0.0", &mut part, &mut quiet()), "Running 2.0.0", "it takes the right one then");
}

#[test]
fn an_image_too_large_is_refused_and_nothing_is_lost() {
    let mut part = provisioned();
    let bytes = vec![7; 256 * 1024 + 1];
    let host = Host::pass_on(described(&bytes), "2.0.0");
    let (end, now) = run(host, &bytes, &mut part, &mut quiet(), 0, u64::MAX);
    assert!(end.ends_with("262145 bytes do not fit into a slot of 262144"), "{end}");
    let (end, _) = run(Host::ask(), &[], &mut part, &mut quiet(), now, u64::MAX);
    assert_eq!(end, "Running 1.0.0");
}

#[test]
fn nobody_there_and_the_wrong_version_are_said() {
    let mut part = provisioned();
    part.switch_off(u64::MAX);
    assert_eq!(pass_on("2.0.0", &mut part, &mut quiet()), Failure::Silent.to_string());
    let mut part = provisioned();
    let bytes = image("2.0.0", SIZE);
    let host = Host::pass_on(described(&bytes), "2.0.1");
    let (end, _) = run(host, &bytes, &mut part, &mut quiet(), 0, u64::MAX);
    assert_eq!(end, Failure::OtherVersion("2.0.0").to_string());
}

#[test]
fn an_empty_part_says_so() {
    let (end, _) = run(Host::ask(), &[], &mut Part::new(&[]), &mut quiet(), 0, u64::MAX);
    assert_eq!(end, format!("{:?} ", Phase::Empty));
}

#[test]
fn a_version_that_no_part_can_say_is_refused_before_anything_is_sent() {
    let (mut part, version) = (provisioned(), "版".repeat(22));
    let bytes = image("2.0.0", SIZE);
    let before = part.requests();
    let host = Host::pass_on(described(&bytes), &version);
    let (end, now) = run(host, &bytes, &mut part, &mut quiet(), 0, u64::MAX);
    assert_eq!((end, now), (Failure::LongVersion.to_string(), 0));
    assert_eq!(part.requests(), before);
    let longest = "v".repeat(64);
    let mut part = Part::new(&[image(&longest, SIZE)]);
    assert_eq!(pass_on(&longest, &mut part, &mut quiet()), format!("Running {longest}"));
}

/// A frame of a part that answers the request with this number.
fn answer(number: u8, phase: u8, offset: u32, text: &str) -> Vec<u8> {
    let mut message = vec![0x81, number, phase];
    message.extend(offset.to_le_bytes());
    message.extend(text.as_bytes());
    message.extend(wire::block::crc16(&message).to_le_bytes());
    let mut frame = vec![0];
    for piece in message.split(|byte| *byte == 0) {
        frame.push(piece.len() as u8 + 1);
        frame.extend(piece);
    }
    frame.push(0);
    frame
}

/// Requests until the host gives up a part that answers each with what `say` gives, or not at all; how it ended, and
/// when.
fn against(size: u32, mut say: impl FnMut(u64) -> Option<(u8, u32, &'static str)>) -> (u64, String, u64) {
    let image = Image::new(size, wire::message::Digest::Sha256, &[1; 32]).unwrap();
    let (mut host, mut now, mut number, mut requests) = (Host::pass_on(image, "2.0.0"), 0, 0_u8, 0);
    let mut out = [0; FRAME_SIZE];
    loop {
        let read = |_: u32, buffer: &mut [u8]| {
            buffer.fill(7);
            Ok::<_, ()>(())
        };
        match host.poll(now, read, &mut out) {
            Output::Send(_) => {
                // The host counts its requests from 1.
                (number, now) = (number.wrapping_add(1), now + 5);
                if let Some((phase, offset, text)) = say(requests) {
                    host.handle(now, &answer(number, phase, offset, text));
                }
                requests += 1;
                assert!(requests < 1_000_000, "it does not end");
            }
            Output::Wait(until) => now = until,
            Output::End(Event::Answered(phase, text)) => return (requests, format!("{phase:?} {text}"), now),
            Output::End(Event::Failed(failure)) => return (requests, failure.to_string(), now),
        }
    }
}

#[test]
fn parts_that_get_nowhere_are_given_up() {
    const STUCK: &str = "the part does not get beyond byte";
    type Says = fn(u64) -> (u8, u32);
    let cases: [(&str, Says, &str); 7] = [
        ("receiving from 0 for ever", |_| (2, 0), STUCK),
        ("receiving from the end for ever", |_| (2, 1000), STUCK),
        ("back and forth", |n| (2, n as u32 % 2 * 256), STUCK),
        ("the application for ever", |_| (0, 0), STUCK),
        ("empty for ever", |_| (1, 0), STUCK),
        ("failed for ever", |_| (4, 0), STUCK),
        ("whole for ever", |n| if n < 2 { (1, 0) } else { (3, 0) }, "does not start it"),
    ];
    for (what, say, told) in cases {
        let (requests, end, now) = against(1000, |n| Some((say(n).0, say(n).1, "")));
        assert!(end.contains(told), "{what}: {end}");
        assert!(requests <= 41 && now < 30_000, "{what}: {requests} requests, {now} ms");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_a_part_answers_the_host_ends(
        answers in proptest::collection::vec(
            proptest::option::weighted(0.9, (0_u8..=4, 0_u32..5, 0_usize..3)), 1..40,
        ),
        size in 1_u32..1500,
    ) {
        let texts = ["", "1.0.0", "no room"];
        let (requests, end, now) = against(size, |n| {
            let (phase, quarter, text) = answers[n as usize % answers.len()]?;
            Some((phase, quarter * size / 4, texts[text]))
        });
        // Five times the furthest byte moves, with 20 setbacks each, and five answers further on after every one of these;
        // a part that says nothing is asked again for two minutes.
        let answered = 5 * 21 * 6;
        proptest::prop_assert!(requests <= answered * 121, "{requests} requests: {end}");
        proptest::prop_assert!(now <= answered * 121_000, "{now} ms: {end}");
    }
}
