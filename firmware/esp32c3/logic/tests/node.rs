//! The program on a board of which little is there but a clock.

use std::fmt;

use device::BadConfig;
use device::flash::Region;
use device::mcu::{Application, FRAME_SIZE};
use embedded_storage::nor_flash::NorFlash;
use otaru_esp32_logic::{Board, Connection, Home, Settings, Table, Trouble, run};
use sim::{FaultyFlash, Rng, Tear};
use wire::block::crc16;

type Flash = FaultyFlash<4, 4096>;

/// A tenth of a second passes whenever somebody looks at the clock.
#[derive(Default)]
struct Nothing {
    now: u64,
    said: Vec<String>,
    /// What is on the serial line, if anything, and what it has sent.
    part: Option<Application>,
    line: Vec<u8>,
    platform: Option<Mqtt>,
}

/// A platform that takes every login, and acknowledges only after a while what comes at QoS 1.
#[derive(Default)]
struct Mqtt {
    is_open: bool,
    answer: Vec<u8>,
    /// Identifiers of packets that are not acknowledged.
    owed: Vec<[u8; 2]>,
    looked: u32,
    told: bool,
}

impl Mqtt {
    const PATIENCE: u32 = 20;

    fn take(&mut self, packet: &[u8]) {
        match packet[0] >> 4 {
            1 => self.answer.extend([0x20, 2, 0, 0]),
            3 if packet[0] & 2 != 0 => {
                let topic = 2 + usize::from(packet[1] >= 0x80);
                let id = topic + 2 + usize::from(u16::from_be_bytes([packet[topic], packet[topic + 1]]));
                self.owed.push([packet[id], packet[id + 1]]);
            }
            _ => {}
        }
    }

    fn answer(&mut self, into: &mut [u8]) -> usize {
        self.looked += 1;
        if self.looked > Self::PATIENCE {
            self.told |= !self.owed.is_empty();
            self.answer.extend(self.owed.drain(..).flat_map(|[high, low]| [0x40, 2, high, low]));
        }
        let len = into.len().min(self.answer.len());
        into[..len].copy_from_slice(&self.answer[..len]);
        self.answer.drain(..len);
        len
    }
}

impl Board for Nothing {
    fn now(&mut self) -> u64 {
        self.now += 100;
        self.now
    }

    fn poll(&mut self) {}

    fn rest(&mut self) {}

    fn is_up(&mut self) -> bool {
        self.platform.is_some()
    }

    fn open(&mut self, _: &str, _: u16) {
        self.platform.as_mut().expect("there is no network").is_open = true;
    }

    fn connection(&mut self) -> Connection {
        let is_open = self.platform.as_ref().is_some_and(|platform| platform.is_open);
        if is_open { Connection::Open } else { Connection::Closed }
    }

    fn room(&mut self) -> usize {
        4096
    }

    fn send(&mut self, bytes: &[u8]) {
        self.platform.iter_mut().for_each(|platform| platform.take(bytes));
    }

    fn receive(&mut self, into: &mut [u8]) -> usize {
        self.platform.as_mut().map_or(0, |platform| platform.answer(into))
    }

    fn close(&mut self) {}

    fn line_send(&mut self, bytes: &[u8]) -> usize {
        let mut out = [0; FRAME_SIZE];
        for byte in bytes {
            let answer = self.part.as_mut().and_then(|part| part.take(*byte, &mut out));
            self.line.extend(answer.into_iter().flatten());
        }
        bytes.len()
    }

    fn line_receive(&mut self, into: &mut [u8]) -> usize {
        let len = into.len().min(self.line.len());
        into[..len].copy_from_slice(&self.line[..len]);
        self.line.drain(..len);
        len
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

/// `ota_1` runs and is on trial, as the bootloader leaves the entry of an image that it starts for the first time.
fn on_trial() -> Flash {
    with_entry(1)
}

/// A flash with the entry of `ota_1` in this state.
fn with_entry(state: u32) -> Flash {
    let mut flash = Flash::new(0x50000);
    // ota_1 is number 2.
    let mut entry = [0xFF; 32];
    entry[..4].copy_from_slice(&2_u32.to_le_bytes());
    entry[24..28].copy_from_slice(&state.to_le_bytes());
    entry[28..].copy_from_slice(&0x55F6_3774_u32.to_le_bytes());
    flash.write(0xF000, &entry).unwrap();
    flash
}

fn home() -> Home<'static> {
    Home { table: table(false), running: Some(1), version: "1.1.0" }
}

#[test]
fn an_image_on_trial_that_finds_no_network_gives_itself_up() {
    let mut flash = on_trial();
    let (mut board, written) = (Nothing::default(), flash.operations());
    assert_eq!(run(&mut flash, &mut board, &home(), &settings()), Ok(()));
    assert_eq!(board.said.first().map(String::as_str), Some("firmware 1.1.0, in ota_1"));
    assert_eq!(board.said.last().map(String::as_str), Some("no login within 300 s: this image is given up"));
    assert_eq!(flash.operations(), written, "otadata is the bootloader's to change");
}

#[test]
fn a_configuration_that_cannot_be_right_fails_while_the_image_is_on_trial() {
    let mut flash = on_trial();
    let (mut settings, written) = (settings(), flash.operations());
    settings.device_name = heapless::String::try_from("no name").unwrap();
    let end = run(&mut flash, &mut Nothing::default(), &home(), &settings);
    assert_eq!(end, Err(Trouble::Config(BadConfig::DeviceName)));
    assert_eq!(flash.operations(), written, "it is not confirmed");
}

#[test]
fn what_a_part_says_that_cannot_be_reported_is_no_version() {
    for said in ["1.0.0\0", "1.0\"0", "1.0\\0", "1.0\n0", ""] {
        let (mut flash, part) = (on_trial(), Some(Application::new(said)));
        let (mut board, written) = (Nothing { part, ..Default::default() }, flash.operations());
        assert_eq!(run(&mut flash, &mut board, &home(), &settings()), Ok(()), "{said:?}");
        let told = format!("the part says that its version is {said:?}, which cannot be reported");
        assert_eq!(board.said[1..board.said.len() - 1], [told]);
        assert_eq!(flash.operations(), written, "{said:?} is not noted");
    }
    let (mut flash, part) = (on_trial(), Some(Application::new("1.0.0")));
    let (mut board, written) = (Nothing { part, ..Default::default() }, flash.operations());
    assert_eq!(run(&mut flash, &mut board, &home(), &settings()), Ok(()));
    assert_eq!(board.said[1], "the part on the serial line: 1.0.0");
    assert!(flash.operations() > written, "it is noted");
}

#[test]
fn a_note_of_a_version_that_cannot_be_reported_is_none() {
    for (noted, known) in [("1.0.0", true), ("1.0.0\0", false), ("1.0\"0", false)] {
        let mut flash = on_trial();
        let mut note = vec![noted.len() as u8];
        note.extend(noted.bytes());
        note.extend(crc16(noted.as_bytes()).to_le_bytes());
        note.resize(96, 0xFF);
        flash.write(0x4F000, &note).unwrap();
        let mut board = Nothing::default();
        assert_eq!(run(&mut flash, &mut board, &home(), &settings()), Ok(()), "{noted:?}");
        assert_eq!(board.said.iter().any(|said| said.starts_with("the part")), known, "{noted:?}");
    }
}

#[test]
fn a_roll_back_is_kept_until_the_platform_has_acknowledged_it() {
    // Given up by the bootloader.
    let mut flash = with_entry(4);
    flash.cut_at(flash.operations(), Tear::Before, Rng::new(1));
    let mut board = Nothing { platform: Some(Mqtt::default()), ..Default::default() };
    let home = Home { running: Some(0), ..home() };
    let end = run(&mut flash, &mut board, &home, &settings());
    assert!(matches!(end, Err(Trouble::Flash(_))), "nothing but this entry is written");
    assert!(board.said.iter().any(|said| said.starts_with("rolled back: ")));
    assert!(board.platform.is_some_and(|platform| platform.told));
}
