//! What a device is told, by anybody: messages one after the other, each with a byte for its topic and two for its
//! length. The updater comes to rest after each, and installs nothing that was not verified.
#![no_main]

use device::{Config, Event, MESSAGE_SIZE, Module, Output, Updater};
use libfuzzer_sys::fuzz_target;

const TOPICS: [&str; 5] = [
    "/ota/device/upgrade/a1TestPk001/dev001",
    "/ota/device/request/a1TestPk001/dev001",
    "/sys/a1TestPk001/dev001/thing/ota/firmware/get_reply",
    "/sys/a1TestPk001/dev001/thing/file/download_reply",
    "/sys/a1TestPk001/dev002/thing/file/download_reply",
];

struct Storage {
    slot: Vec<u8>,
    verified: bool,
}

/// Does what is wanted, until nothing is.
fn settle(updater: &mut Updater<'_>, now: u64, storage: &mut Storage) {
    for _ in 0..1_000 {
        match updater.poll(now, &mut [0; MESSAGE_SIZE]) {
            Output::Publish { payload, .. } => assert!(payload.starts_with('{') && payload.ends_with('}')),
            Output::Prepare { size, .. } => {
                storage.slot = vec![0xFF; size as usize];
                updater.handle_prepared();
            }
            Output::Read { offset, len } => {
                let (from, to) = (offset as usize, (offset + len) as usize);
                let data = storage.slot[from..to].to_vec();
                updater.handle_read(offset, &data);
            }
            Output::Save(_) => updater.handle_saved(),
            Output::Fetch { id, offset, len, .. } => {
                assert!(len > 0 && (offset + len) as usize == storage.slot.len());
                updater.handle_fetch_failed(now, id, "there is no HTTP");
            }
            Output::Keep { .. } => {
                assert!(storage.verified);
                updater.handle_kept();
            }
            Output::Install { .. } => {
                assert!(storage.verified);
                updater.handle_installed();
            }
            Output::Event(event) => storage.verified = event == Event::Verified,
            Output::Reboot => return,
            Output::Wait(_) => return,
        }
    }
    panic!("the updater does not come to rest");
}

fuzz_target!(|bytes: &[u8]| {
    let modules = [
        Module { slot: 4096, ..Module::new("default", "1.0") },
        Module { slot: 512, ..Module::new("MCU", "m1") },
    ];
    let config = Config { block: 256, http: true, ..Config::new("a1TestPk001", "dev001", &modules) };
    let mut updater = Updater::new(config, None).expect("a good configuration");
    let mut storage = Storage { slot: Vec::new(), verified: false };
    updater.handle_connected();
    let (mut now, mut rest) = (0, bytes);
    while let [topic, low, high, messages @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(messages.len());
        let (payload, next) = messages.split_at(len);
        settle(&mut updater, now, &mut storage);
        let topic = TOPICS[usize::from(*topic) % TOPICS.len()];
        if let Some(block) = updater.handle_message(now, topic, payload) {
            let at = block.offset as usize;
            storage.slot[at..at + block.data.len()].copy_from_slice(block.data);
            updater.handle_written(block.offset);
        }
        updater.handle_too_long(topic, len, 100);
        settle(&mut updater, now, &mut storage);
        (now, rest) = (now + 700, next);
    }
});
