//! The machine itself: the first instructions, registers, time, memory. The only code, with the network card's, that
//! the compiler cannot vouch for.
#![allow(unsafe_code)]

use core::arch::{asm, global_asm};
use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Where programs are started in RAM, as in application.ld.
const PROGRAM: usize = 0x8010_0000;

/// Memory that is handed out: from the end of the application's to the end of RAM, of which there are 16 MiB.
const POOL: core::ops::Range<usize> = 0x8080_0000..0x8100_0000;

const RESET: usize = 0x0010_0000;
const WALL_CLOCK: usize = 0x0010_1000;
const ALARM: usize = 0x0200_4000;
const CLOCK: usize = 0x0200_BFF8;
const SERIAL: usize = 0x1000_0000;
const BANK: usize = 0x2200_0000;

/// Ticks of the clock in a millisecond.
const TICKS: u64 = 10_000;

/// What is reported and shown as the version of this image. Whoever makes an image may write another one over it,
/// after the marker.
#[used]
static VERSION: [u8; 64] = *b"version of the image: 1.0.0                                     ";
const MARKER: usize = "version of the image: ".len();

// A fault and the alarm end in `trapped`, on a stack that is known to be there.
global_asm!(
    ".section .start, \"ax\"",
    ".global _start",
    "_start:",
    "la sp, _stack",
    "la t0, 2f",
    "csrw mtvec, t0",
    "la t0, _bss",
    "la t1, _bss_end",
    "1: bgeu t0, t1, 3f",
    "sw zero, 0(t0)",
    "addi t0, t0, 4",
    "j 1b",
    ".balign 4",
    "2: la sp, _stack",
    "csrr a0, mcause",
    "csrr a1, mepc",
    "j {trapped}",
    "3: j main",
    trapped = sym trapped,
);

extern "C" fn trapped(cause: usize, at: usize) -> ! {
    crate::say!("trap {cause:#x} at {at:#x}, starting again");
    restart()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crate::say!("{info}, starting again");
    restart()
}

fn write(register: usize, value: u32) {
    // SAFETY: only called with the registers above.
    unsafe { (register as *mut u32).write_volatile(value) }
}

fn read(register: usize) -> u32 {
    // SAFETY: as above.
    unsafe { (register as *const u32).read_volatile() }
}

/// Starts the machine anew.
pub fn restart() -> ! {
    write(RESET, 0x7777);
    loop {
        core::hint::spin_loop();
    }
}

fn ticks() -> u64 {
    loop {
        let (high, low) = (read(CLOCK + 4), read(CLOCK));
        if high == read(CLOCK + 4) {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

/// Milliseconds since some moment.
pub fn millis() -> u64 {
    ticks() / TICKS
}

/// A number that is another one at every start.
pub fn chance() -> u64 {
    let low = read(WALL_CLOCK);
    u64::from(read(WALL_CLOCK + 4)) << 32 | u64::from(low)
}

fn set_alarm(at: u64) {
    write(ALARM + 4, u32::MAX);
    write(ALARM, at as u32);
    write(ALARM + 4, (at >> 32) as u32);
}

/// The machine starts anew after this time, whatever the program does, unless [`unwatch`] is called.
pub fn watch(millis: u64) {
    set_alarm(ticks() + millis * TICKS);
    // SAFETY: the alarm's interrupt goes to `trapped`.
    unsafe { asm!("csrs mie, {timer}", "csrsi mstatus, 8", timer = in(reg) 0x80) }
}

/// Ends what [`watch`] began.
pub fn unwatch() {
    // SAFETY: no interrupt is a safe state.
    unsafe { asm!("csrci mstatus, 8") }
}

/// Sleeps for a millisecond. Not while the machine is watched, as there is but one alarm.
pub fn nap() {
    set_alarm(ticks() + TICKS);
    // SAFETY: with interrupts off an alarm only ends the wait.
    unsafe { asm!("csrs mie, {timer}", "wfi", timer = in(reg) 0x80) }
}

/// Memory for good, all zeroes, from the start of a page.
///
/// # Panics
///
/// When no memory is left.
pub fn take(len: usize) -> &'static mut [u8] {
    static NEXT: AtomicUsize = AtomicUsize::new(POOL.start);
    let start = NEXT.load(Ordering::Relaxed);
    let end = start + len.next_multiple_of(4096);
    assert!(end <= POOL.end, "no memory is left for {len} bytes");
    NEXT.store(end, Ordering::Relaxed);
    // SAFETY: nothing else is there, and nobody gets it twice: there is one core, and no interrupt returns.
    unsafe {
        core::ptr::write_bytes(start as *mut u8, 0, len);
        core::slice::from_raw_parts_mut(start as *mut u8, len)
    }
}

/// The chips of the second flash, by their words.
pub struct Bank(());

impl Bank {
    /// Bytes.
    pub const LEN: u32 = 32 << 20;

    /// Takes the chips. Whoever takes them twice must not use both at once.
    pub fn new() -> Self {
        Self(())
    }

    fn word(offset: u32) -> usize {
        assert!(offset < Self::LEN && offset.is_multiple_of(4));
        BANK + offset as usize
    }

    /// The word at this offset: what is stored, or the status after a command. Always read from the chips: the compiler
    /// must not take a command for what can be read.
    pub fn get(&self, offset: u32) -> u32 {
        read(Self::word(offset))
    }

    /// Writes a command, or what belongs to one.
    pub fn put(&mut self, offset: u32, word: u32) {
        write(Self::word(offset), word);
    }

    /// Copies these bytes to where programs start, and starts them.
    pub fn start(&self, offset: u32, len: u32) -> ! {
        for at in (0..len).step_by(4) {
            let word = self.get(offset + at);
            // SAFETY: nothing of the bootloader is there.
            unsafe { ((PROGRAM + at as usize) as *mut u32).write_volatile(word) }
        }
        // SAFETY: what starts here is an image whose digest was checked; it sets up everything it needs.
        unsafe { asm!("fence.i", "jr {program}", program = in(reg) PROGRAM, options(noreturn)) }
    }
}

impl Default for Bank {
    fn default() -> Self {
        Self::new()
    }
}

/// The version of this image.
pub fn version() -> &'static str {
    // SAFETY: it is a static. What the compiler knows of it need not be so.
    let bytes: &'static [u8; 64] = unsafe { &*core::hint::black_box(&raw const VERSION) };
    core::str::from_utf8(&bytes[MARKER..]).unwrap_or_default().trim_end()
}

/// The serial line.
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: the register of a 16550 that takes bytes; QEMU's is always ready.
            unsafe { (SERIAL as *mut u8).write_volatile(byte) }
        }
        Ok(())
    }
}

/// Writes a line to the serial line.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = core::fmt::Write::write_fmt(&mut $crate::machine::Serial, format_args!("{}\n", format_args!($($text)*)));
    }};
}
