//! The program on a board of which nothing is there but a clock.

use std::fmt;

use device::flash::Region;
use embedded_storage::nor_flash::NorFlash;
use otaru_esp32_logic::{Board, Connection, Home, Settings, Table, Trouble, run};
use sim::FaultyFlash;

type Flash = FaultyFlash<4, 4096>;

/// A second passes whenever somebody looks at the clock.
#[derive(Default)]
struct Nothing {
    now: u64,
    said: Vec<String>,
}

impl Board for Nothing {
    fn now(&mut self) -> u64 {
        self.now += 1000;
        self.now
    }

    fn poll(&mut self) {}

    fn rest(&mut self) {}

    fn is_up(&mut self) -> bool {
        false
    }

    fn open(&mut self, _: &str, _: u16) {
        panic!("there is no network");
    }

    fn connection(&mut self) -> Connection {
        Connection::Closed
    }

    fn room(&mut self) -> usize {
        0
    }

    fn send(&mut self, _: &[u8]) {}

    fn receive(&mut self, _: &mut [u8]) -> usize {
        0
    }

    fn close(&mut self) {}

    fn line_send(&mut self, bytes: &[u8]) -> usize {
        bytes.len()
    }

    fn line_receive(&mut self, _: &mut [u8]) -> usize {
        0
    }

    fn say(&mut self, what: fmt::Arguments<'_>) {
        self.said.push(what.to_string());
    }
}

fn table(factory: bool) -> Table {
    let region = |start, len| Region { start, len };
    let slots = [region(0x20000, 0x10000), region(0x30000, 0x10000)];
    Table {
        nvs: region(0x9000, 0x6000),
        otadata: region(0xF000, 0x2000),
        journal: region(0x11000, 0x2000),
        slots: slots.into_iter().collect(),
        factory,
        mcu: Some(region(0x40000, 0x10000)),
    }
}

fn settings() -> Settings {
    let text = |text: &str| heapless::String::try_from(text).unwrap();
    Settings {
        ssid: text("Wi-Fi"),
        password: Default::default(),
        host: heapless::String::try_from("otaru.example").unwrap(),
        port: 1883,
        ca: Default::default(),
        product_key: heapless::String::try_from("a1TestPk001").unwrap(),
        device_name: text("lamp-0001"),
        secret: heapless::String::try_from("secret").unwrap(),
    }
}

#[test]
fn an_image_that_runs_nowhere_writes_nothing() {
    let mut flash = Flash::new(0x50000);
    let home = Home { table: table(false), running: None, version: "1.0.0" };
    let end = run(&mut flash, &mut Nothing::default(), &home, &settings());
    assert_eq!(end, Err(Trouble::Nowhere));
    assert_eq!(flash.operations(), 0);
}

#[test]
fn an_image_on_trial_that_finds_no_network_gives_itself_up() {
    let mut flash = Flash::new(0x50000);
    // As the bootloader leaves the entry of an image that it starts for the first time: ota_1 is number 2.
    let mut entry = [0xFF; 32];
    entry[..4].copy_from_slice(&2_u32.to_le_bytes());
    entry[24..28].copy_from_slice(&1_u32.to_le_bytes());
    entry[28..].copy_from_slice(&0x55F6_3774_u32.to_le_bytes());
    flash.write(0xF000, &entry).unwrap();
    let (mut board, written) = (Nothing::default(), flash.operations());
    let home = Home { table: table(false), running: Some(1), version: "1.1.0" };
    assert_eq!(run(&mut flash, &mut board, &home, &settings()), Ok(()));
    assert_eq!(board.said.first().map(String::as_str), Some("firmware 1.1.0, in ota_1"));
    assert_eq!(board.said.last().map(String::as_str), Some("no login within 300 s: this image is given up"));
    assert_eq!(flash.operations(), written, "otadata is the bootloader's to change");
}
