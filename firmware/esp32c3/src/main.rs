//! Firmware for the ESP32-C3 that updates itself, and the microcontroller on its serial line, from an Otaru. What it
//! does stands in the crate `logic`; here is the chip.
#![no_std]
#![no_main]

extern crate alloc;

mod board;
mod flash;
mod network;
mod tls;
mod wifi;

use core::cell::RefCell;

use esp_hal::clock::CpuClock;
use esp_hal::delay::Delay;
use esp_hal::peripherals::Peripherals;
use esp_hal::rtc_cntl::{Rtc, RwdtStage};
use esp_hal::time::Duration;
use esp_hal::timer::timg::TimerGroup;
use esp_hal::uart::{Config as LineConfig, Uart};
use esp_println::println;
use logic::{Home, Settings, Table};

use crate::board::Chip;
use crate::flash::Flash;

/// The version that is reported; a package of this image must have the same. Set it in the environment of the build.
const VERSION: &str = match option_env!("FIRMWARE_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

// What the bootloader and `esptool image-info` read of an image.
esp_bootloader_esp_idf::esp_app_desc!(
    VERSION,
    "otaru-esp32c3",
    "00:00:00",
    "2000-01-01",
    esp_bootloader_esp_idf::ESP_IDF_COMPATIBLE_VERSION,
    esp_bootloader_esp_idf::MMU_PAGE_SIZE,
    0,
    u16::MAX,
    esp_bootloader_esp_idf::SECURE_VERSION
);

/// Memory for the Wi-Fi driver, the connection's buffers and TLS, in bytes.
const MEMORY: usize = 176 << 10;

/// A program that does not show for so long that it goes on is started again, which ends a trial.
const WATCHDOG: Duration = Duration::from_secs(10);

/// Milliseconds to read the last words before the chip starts again.
const LAST_WORDS: u32 = 3_000;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    Delay::new().delay_millis(LAST_WORDS);
    esp_hal::system::software_reset()
}

#[esp_hal::main]
fn main() -> ! {
    let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    esp_alloc::heap_allocator!(size: MEMORY);
    run(chip);
    esp_hal::system::software_reset()
}

fn run(chip: Peripherals) {
    let mut watchdog = Rtc::new(chip.RTC_TIMER).rwdt;
    watchdog.set_timeout(RwdtStage::Stage0, WATCHDOG);
    watchdog.enable();
    let watchdog = RefCell::new(watchdog);
    esp_rtos::start(TimerGroup::new(chip.TIMG0).timer0, chip.FROM_CPU_INTR0);
    let mut flash = Flash::new(chip.FLASH, &watchdog);
    let table = Table::read(&mut flash).unwrap_or_else(|bad| panic!("{bad}"));
    let running = flash.running().and_then(|offset| table.slot_at(offset));
    let settings = Settings::read(&mut flash, table.nvs).unwrap_or_else(|bad| panic!("{bad}"));
    let line = Uart::new(chip.UART1, LineConfig::default()).expect("115 200 baud are possible");
    let line = line.with_tx(chip.GPIO4).with_rx(chip.GPIO5);
    let mut board = Chip::new(chip.WIFI, line, &watchdog, &settings);
    let home = Home { table, running, version: VERSION };
    if let Err(trouble) = logic::run(&mut flash, &mut board, &home, &settings) {
        panic!("{trouble}");
    }
    println!("restart");
}
