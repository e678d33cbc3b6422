//! A device without anything of its own: every function that an application and a bootloader need, on flash and a
//! network that are not there. `black_box` keeps the linker from leaving anything out.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;
use core::sync::atomic::AtomicU8;

use device::flash::{BootLog, Download, Layout, Region};
use device::{Config, Failure, Module, Operation, Output, Updater, MESSAGE_SIZE};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use wire::credentials::{password_of, SignMethod, Username};

/// What a device keeps in memory all the time, beside its buffers.
const KEPT: usize =
    core::mem::size_of::<Updater<'_>>() + core::mem::size_of::<Download>() + core::mem::size_of::<BootLog>();
#[no_mangle]
static STATE: [AtomicU8; KEPT] = [const { AtomicU8::new(0) }; KEPT];

struct Flash;

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        black_box((offset, bytes));
        black_box(Ok(()))
    }

    fn capacity(&self) -> usize {
        black_box(1 << 22)
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        black_box((from, to));
        black_box(Ok(()))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        black_box((offset, bytes));
        black_box(Ok(()))
    }
}

fn layout() -> Layout {
    let region = |start, len| black_box(Region { start, len });
    let slots = [region(0x10_000, 0x100_000), region(0x110_000, 0x100_000)];
    Layout { log: region(0, 0x2000), journal: region(0x2000, 0x2000), slots }
}

fn log_in(device_name: &str, product_key: &str) {
    let user = Username { device_name, product_key };
    black_box(password_of(SignMethod::HmacSha256, black_box(b"secret"), black_box("pk.dn"), &user).as_str());
}

fn bootloader(flash: &mut Flash) {
    if let Ok(mut log) = BootLog::open(flash, layout()) {
        let _ = black_box(log.boot(flash));
    }
}

fn application(flash: &mut Flash) {
    let (product_key, device_name) = (black_box("a1TestPk001"), black_box("dev001"));
    log_in(device_name, product_key);
    let Ok(mut log) = BootLog::open(flash, layout()) else { return };
    let _ = black_box((log.confirm(flash), log.give_up(flash), log.acknowledge(flash)));
    let Some(spare) = log.spare() else { return };
    let Ok((mut download, record)) = Download::open(flash, layout().journal, &[spare]) else { return };
    let modules = [Module::new("default", black_box("1.0")), Module::new("MCU", black_box("m1"))];
    let config = Config { http: true, ..Config::new(product_key, device_name, &modules) };
    let Ok(mut updater) = Updater::new(config, record) else {
        return;
    };
    if let device::flash::State::RolledBack(why) = log.running().1 {
        updater.handle_rolled_back("default", why);
    }
    updater.handle_connected();
    let mut now = 0;
    let mut message = [0; MESSAGE_SIZE];
    let mut received = [0; 4096 + device::FRAME_OVERHEAD];
    loop {
        now += black_box(1);
        match updater.poll(now, &mut message) {
            Output::Publish { topic, payload, .. } => {
                black_box((topic, payload));
            }
            Output::Prepare { size, .. } => match download.prepare(flash, spare, size) {
                Ok(()) => updater.handle_prepared(),
                Err(_) => updater.handle_broken(Operation::Prepare, "flash"),
            },
            Output::Save(record) => match download.save(flash, record) {
                Ok(()) => updater.handle_saved(),
                Err(_) => updater.handle_broken(Operation::Save, "flash"),
            },
            Output::Read { offset, len } => match download.read(flash, offset, len, &mut received) {
                Ok(len) => updater.handle_read(offset, &received[..len]),
                Err(_) => updater.handle_broken(Operation::Read, "flash"),
            },
            Output::Keep { file, .. } => {
                black_box(file);
                updater.handle_kept();
            }
            Output::Install { size, .. } => match log.install(flash, size) {
                Ok(()) => updater.handle_installed(),
                Err(_) => updater.handle_broken(Operation::Install, "flash"),
            },
            Output::Event(event) => {
                black_box((event, updater.last_failure(), updater.status(), updater.counters()));
            }
            Output::Fetch { id, url, offset, len } => {
                let fetched = black_box((url, len, &mut received)).2;
                if let Some(block) = updater.handle_fetched(id, offset, fetched) {
                    let _ = download.write(flash, block.offset, block.data);
                    updater.handle_written(block.offset);
                }
                updater.handle_fetch_failed(now, id, "HTTP");
            }
            Output::Reboot => return,
            Output::Wait(_) => {
                let (topic, len) = black_box(("topic", 100));
                let payload = black_box(&mut received);
                if let Some(block) = updater.handle_message(now, topic, &payload[..len]) {
                    let _ = download.write(flash, block.offset, block.data);
                    updater.handle_written(block.offset);
                }
                updater.handle_too_long(topic, len, 4608);
                updater.handle_settled();
                if black_box(false) {
                    updater.handle_disconnected();
                    updater.abandon(Failure::Upgrade, "battery");
                }
            }
        }
    }
}

#[no_mangle]
extern "C" fn _start() -> ! {
    let mut flash = black_box(Flash);
    black_box(&STATE);
    bootloader(&mut flash);
    application(&mut flash);
    loop {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
