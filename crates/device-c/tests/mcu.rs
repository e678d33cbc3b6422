//! Images passed on to a part behind a serial line, by the functions that C calls.

use core::ffi::{CStr, c_void};
use std::mem::{MaybeUninit, size_of};

use otaru_device_c::{
    Code, Flash, Mcu, McuKind, McuTodo, otaru_mcu_ask, otaru_mcu_error, otaru_mcu_pass_on, otaru_mcu_poll,
    otaru_mcu_received,
};
use sim::mcu::{Line, Part, image};

const SLOT: u32 = 4096;
const CAPACITY: u32 = 200_000;

unsafe extern "C" fn read(context: *mut c_void, offset: u32, bytes: *mut u8, len: usize) -> i32 {
    // SAFETY: the context is a vector that outlives the flash, and is only read.
    let chip = unsafe { &*context.cast::<Vec<u8>>() };
    let Some(part) = chip.get(offset as usize..offset as usize + len) else { return -1 };
    // SAFETY: the library lends as many bytes.
    unsafe { bytes.copy_from(part.as_ptr(), len) };
    0
}

unsafe extern "C" fn write(_: *mut c_void, _: u32, _: *const u8, _: usize) -> i32 {
    -1
}

unsafe extern "C" fn erase(_: *mut c_void, _: u32, _: usize) -> i32 {
    -1
}

fn flash(chip: &mut Vec<u8>) -> Flash {
    let context = (&raw mut *chip).cast();
    Flash { context, capacity: CAPACITY, read: Some(read), write: Some(write), erase: Some(erase) }
}

fn holding(image: &[u8]) -> Vec<u8> {
    let mut chip = vec![0xFF; CAPACITY as usize];
    chip[SLOT as usize..SLOT as usize + image.len()].copy_from_slice(image);
    chip
}

/// Talks to the part until it is over; how, and what was said last.
fn talk(mcu: &mut Box<Mcu>, part: &mut Part, line: &mut Line, now: &mut u64) -> (McuKind, String) {
    loop {
        let mut todo = MaybeUninit::<McuTodo>::uninit();
        // SAFETY: a conversation that was begun, and memory for what is to be done.
        assert_eq!(unsafe { otaru_mcu_poll(&raw mut **mcu, *now, todo.as_mut_ptr()) }, Code::OtaruOk);
        // SAFETY: written, as it says.
        let todo = unsafe { todo.assume_init() };
        let sent = match todo.kind {
            // SAFETY: so many bytes, which stay until the next poll.
            McuKind::OtaruMcuSend => unsafe { std::slice::from_raw_parts(todo.data, todo.len) }.to_vec(),
            McuKind::OtaruMcuWait => Vec::new(),
            // SAFETY: a text, which stays until the next poll.
            kind => return (kind, unsafe { CStr::from_ptr(todo.text) }.to_str().unwrap_or("?").to_owned()),
        };
        *now += 10;
        let sent = line.carry(&sent);
        let answer = line.carry(&part.tick(*now, &sent));
        // SAFETY: as above; the bytes are only read.
        let taken = unsafe { otaru_mcu_received(&raw mut **mcu, *now, answer.as_ptr(), answer.len()) };
        assert_eq!(taken, Code::OtaruOk);
    }
}

fn memory() -> Box<Mcu> {
    // SAFETY: any bytes are one.
    Box::new(unsafe { MaybeUninit::<Mcu>::zeroed().assume_init() })
}

#[test]
fn an_image_is_passed_on_over_a_bad_line_and_power_cuts() {
    let images = [image("1.0.0", 60_001), image("2.0.0", 100_003)];
    let mut part = Part::new(&images);
    let (mut line, mut now) = (Line::new(7, 3), 0);
    let mut mcu = memory();
    // SAFETY: memory for a conversation.
    assert_eq!(unsafe { otaru_mcu_ask(&raw mut *mcu, size_of::<Mcu>()) }, Code::OtaruOk);
    assert_eq!(talk(&mut mcu, &mut part, &mut line, &mut now).0, McuKind::OtaruMcuLoader);
    for (image, version) in images.iter().zip([c"1.0.0", c"2.0.0"]) {
        let mut chip = holding(image);
        let flash = flash(&mut chip);
        part.cut_after(part.requests() + 100);
        let (place, size, len) = (&raw mut *mcu, size_of::<Mcu>(), image.len() as u32);
        // SAFETY: memory for a conversation, a flash that outlives it, and a text for ever.
        let begun = unsafe { otaru_mcu_pass_on(place, size, &flash, SLOT, len, version.as_ptr()) };
        assert_eq!(begun, Code::OtaruOk);
        let end = talk(&mut mcu, &mut part, &mut line, &mut now);
        assert_eq!(end, (McuKind::OtaruMcuRuns, version.to_str().unwrap_or("?").to_owned()));
    }
    assert_eq!(part.started().last().map(String::as_str), Some("2.0.0"));
}

#[test]
fn nobody_answers_and_that_is_told() {
    let mut mcu = memory();
    let mut part = Part::new(&[]);
    part.switch_off(u64::MAX);
    let (mut line, mut now) = (Line::new(1, 0), 0);
    // SAFETY: memory for a conversation.
    assert_eq!(unsafe { otaru_mcu_ask(&raw mut *mcu, size_of::<Mcu>()) }, Code::OtaruOk);
    let (kind, why) = talk(&mut mcu, &mut part, &mut line, &mut now);
    assert_eq!(kind, McuKind::OtaruMcuFailed);
    assert!(why.contains("did not answer"), "{why}");
}

#[test]
fn wrong_use_is_refused() {
    let mut mcu = memory();
    let mut chip = holding(b"image");
    let good = flash(&mut chip);
    let (place, size) = (&raw mut *mcu, size_of::<Mcu>());
    let why = || {
        // SAFETY: memory of a conversation, whose text stays until the next call.
        unsafe { CStr::from_ptr(otaru_mcu_error(place)) }.to_str().unwrap_or("?").to_owned()
    };
    // SAFETY: null is allowed everywhere, and the rest is what it says it is.
    unsafe {
        assert_eq!(otaru_mcu_received(place, 0, [1].as_ptr(), 1), Code::OtaruNoDevice);
        assert!(why().contains("never made ready"));
        assert_eq!(otaru_mcu_ask(core::ptr::null_mut(), size), Code::OtaruNoDevice);
        assert_eq!(otaru_mcu_ask(place, size + 8), Code::OtaruNoDevice);
        let version = c"1.0".as_ptr();
        for (flash, offset, len, version, wanted) in [
            (core::ptr::null(), SLOT, 5, version, "flash is missing"),
            (&raw const good, SLOT, 5, core::ptr::null(), "version is missing"),
            (&raw const good, SLOT, 0, version, "at least one byte"),
            (&raw const good, SLOT + 1, 5, version, "multiple of 4"),
            (&raw const good, SLOT, u32::MAX, version, "does not lie in the flash"),
            (&raw const good, CAPACITY, 1, version, "does not lie in the flash"),
        ] {
            assert_eq!(otaru_mcu_pass_on(place, size, flash, offset, len, version), Code::OtaruBadArgument);
            assert!(why().contains(wanted), "{} for {wanted}", why());
            assert_eq!(otaru_mcu_received(place, 0, [1].as_ptr(), 1), Code::OtaruNoDevice);
        }
        assert_eq!(otaru_mcu_pass_on(place, size, &good, SLOT, 5, version), Code::OtaruOk);
        assert_eq!(otaru_mcu_poll(place, 0, core::ptr::null_mut()), Code::OtaruBadArgument);
        assert_eq!(otaru_mcu_received(place, 0, core::ptr::null(), 1), Code::OtaruBadArgument);
        let mut todo = MaybeUninit::uninit();
        assert_eq!(otaru_mcu_poll(place, u64::MAX, todo.as_mut_ptr()), Code::OtaruBadArgument);
    }
}
