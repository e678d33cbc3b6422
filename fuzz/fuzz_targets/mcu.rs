//! A serial line: whatever comes on it, a part starts only an image whose digest is right, and both sides go on.
#![no_main]

use device::flash::Region;
use device::mcu::{Application, FRAME_SIZE, FlashStore, Host, Image, Loader, Output};
use libfuzzer_sys::fuzz_target;
use sim::FaultyFlash;
use wire::block::crc16;
use wire::message::Digest;

const LOG: Region = Region { start: 0, len: 1024 };
const SLOT: Region = Region { start: 1024, len: 2048 };

/// MD5 of "abc".
const DIGEST: [u8; 16] = 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72_u128.to_be_bytes();

fuzz_target!(|bytes: &[u8]| {
    // The bytes as they are, and as messages, each with its length before it, in good frames.
    let mut line = bytes.to_vec();
    let mut rest = bytes;
    while let Some((len, more)) = rest.split_first() {
        let (message, more) = more.split_at(usize::from(*len).min(more.len()));
        line.extend(frame(message));
        rest = more;
    }
    let flash: FaultyFlash<4, 512> = FaultyFlash::new(SLOT.end());
    let mut loader = Loader::new(FlashStore::open(flash, LOG, SLOT).expect("a blank flash"));
    let mut application = Application::new("1.0.0");
    let image = Image::new(3, Digest::Md5, &DIGEST).expect("a digest");
    let mut host = Host::pass_on(image, "1.0.0");
    let mut out = [0; FRAME_SIZE];
    for (now, byte) in line.iter().enumerate() {
        let _ = loader.take(*byte, &mut out);
        let _ = application.take(*byte, &mut out);
        host.handle(now as u64, &[*byte]);
        let read = |offset: u32, buffer: &mut [u8]| {
            buffer.copy_from_slice(b"abc".get(offset as usize..offset as usize + buffer.len()).ok_or(())?);
            Ok::<_, ()>(())
        };
        if let Output::Send(frame) = host.poll(now as u64 * 500, read, &mut out) {
            assert!(frame.len() > 4);
        }
    }
    let done = loader.is_done();
    let flash = loader.into_store().into_flash();
    let store = FlashStore::open(flash, LOG, SLOT).expect("it goes on after a reset");
    assert_eq!(Loader::new(store).is_done(), done, "a reset changes nothing");
});

fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    let whole = [message, &crc16(message).to_le_bytes()].concat();
    for group in whole.split(|byte| *byte == 0) {
        // Longer ones are no messages anyway.
        let group = &group[..group.len().min(253)];
        frame.push(group.len() as u8 + 1);
        frame.extend(group);
    }
    frame.push(0);
    frame
}
