//! Settings and partition tables, as Espressif's tools write them.

use device::flash::Region;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use otaru_esp32_logic::{BadTable, Nvs, NvsError, Settings, SettingsError, Table};
use proptest::prelude::*;
use sim::FaultyFlash;

type Flash = FaultyFlash<4, 4096>;

const NVS: Region = Region { start: 0x9000, len: 0x6000 };

/// `settings.csv`, written by `nvs_partition_gen.py` 0.3.0 as 0x6000 bytes, without the blank end.
const PARTITION: &[u8] = include_bytes!("data/settings.bin");

fn flash_with(bytes: &[u8]) -> Flash {
    let mut flash = Flash::new(0x400000);
    flash.write(NVS.start, bytes).unwrap();
    flash
}

#[test]
fn the_partition_of_espressifs_tool() {
    let settings = Settings::read(&mut flash_with(PARTITION), NVS).unwrap();
    assert_eq!(settings.ssid, "My Wi-Fi");
    assert_eq!(settings.password, "my password");
    assert_eq!((settings.host.as_str(), settings.port), ("192.168.1.10", 1883));
    assert_eq!((settings.product_key.as_str(), settings.device_name.as_str()), ("a1TestPk001", "lamp-0001"));
    assert_eq!(settings.secret, "0123456789abcdef0123456789abcdef");
}

#[test]
fn without_settings_it_says_so() {
    let read = |bytes: &[u8]| Settings::read(&mut flash_with(bytes), NVS);
    assert_eq!(read(&[]), Err(SettingsError::NoNamespace));
    assert_eq!(read(&partition(&[])), Err(SettingsError::Missing("ssid")));
    let all = |port: u32, ssid: &str| {
        let named =
            ["host", "product_key", "device_name", "secret"].map(|key| (key, Value::Text("x".into())));
        let mut values = named.to_vec();
        values.extend([("ssid", Value::Text(ssid.into())), ("port", Value::Number(port))]);
        read(&partition(&values))
    };
    assert_eq!(all(8883, "a").unwrap().port, 8883);
    assert_eq!(all(70_000, "a"), Err(SettingsError::Port(70_000)));
    assert_eq!(all(0, "a"), Err(SettingsError::Port(0)));
    assert_eq!(all(1, ""), Err(SettingsError::Missing("ssid")));
    assert_eq!(all(1, &"a".repeat(33)), Err(SettingsError::Bad("ssid", NvsError::Long(33))));
    assert_eq!(all(1, &"a".repeat(3500)), Err(SettingsError::Bad("ssid", NvsError::Long(3501))));
    let bad = read(&partition(&[("ssid", Value::Number(7))])).unwrap_err();
    assert_eq!(bad.to_string(), "the setting ssid is of another type: use data,string or data,u16");
}

#[test]
fn a_certificate_is_read_whole() {
    let pem = "A line of a certificate\n".repeat(100);
    let named =
        ["ssid", "host", "product_key", "device_name", "secret"].map(|key| (key, Value::Text("x".into())));
    let values = [&named[..], &[("ca", Value::Text(pem.clone()))]].concat();
    let read = Settings::read(&mut flash_with(&partition(&values)), NVS).unwrap();
    assert_eq!(read.ca.as_str(), pem);
    assert_eq!(Settings::read(&mut flash_with(PARTITION), NVS).unwrap().ca, "");
}

#[derive(Clone, Debug)]
enum Value {
    Number(u32),
    Text(String),
}

/// Bit by bit, and apart from the code under test.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    let crc = !bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift));
    crc.to_le_bytes()
}

fn entry(namespace: u8, kind: u8, span: usize, key: &str, data: [u8; 8]) -> Vec<u8> {
    let mut entry = vec![namespace, kind, span as u8, 0xFF, 0, 0, 0, 0];
    entry.extend(key.bytes().chain([0; 16]).take(16));
    entry.extend(data);
    let crc = crc(&[&entry[..4], &entry[8..]].concat());
    entry[4..8].copy_from_slice(&crc);
    entry
}

fn item(namespace: u8, key: &str, value: &Value) -> Vec<u8> {
    match value {
        Value::Number(number) => {
            let mut data = [0xFF; 8];
            data[..4].copy_from_slice(&number.to_le_bytes());
            entry(namespace, 0x04, 1, key, data)
        }
        Value::Text(text) => {
            let bytes = [text.as_bytes(), &[0]].concat();
            let mut data = [0xFF; 8];
            data[..2].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
            data[4..].copy_from_slice(&crc(&bytes));
            let mut all = entry(namespace, 0x21, 1 + bytes.len().div_ceil(32), key, data);
            all.extend(&bytes);
            all.resize(all.len().next_multiple_of(32), 0xFF);
            all
        }
    }
}

fn page(number: u32, items: &[Vec<u8>]) -> Vec<u8> {
    let mut page = 0xFFFF_FFFE_u32.to_le_bytes().to_vec();
    page.extend(number.to_le_bytes());
    page.extend([0xFE; 1]);
    page.resize(28, 0xFF);
    let crc = crc(&page[4..28]);
    page.extend(crc);
    let places = items.concat().len() / 32;
    assert!(places <= 126);
    let mut states = [0xFF_u8; 32];
    (0..places).for_each(|place| states[place / 4] ^= 1 << (place % 4 * 2));
    page.extend(states);
    page.extend(items.concat());
    page.resize(4096, 0xFF);
    page
}

/// A partition whose namespace `otaru` has these values, as many a page as fit.
fn partition(values: &[(&str, Value)]) -> Vec<u8> {
    let mut pages = vec![vec![entry(0, 1, 1, "otaru", [3, 255, 255, 255, 255, 255, 255, 255])]];
    for (key, value) in values {
        let next = item(3, key, value);
        let last = pages.last_mut().unwrap();
        match last.concat().len() + next.len() <= 126 * 32 {
            true => last.push(next),
            false => pages.push(vec![next]),
        }
    }
    pages.iter().enumerate().flat_map(|(number, items)| page(number as u32, items)).collect()
}

#[test]
fn what_was_written_last_counts_wherever_its_page_lies() {
    let [old, new] = ["old", "new"].map(|text| item(3, "host", &Value::Text(text.into())));
    let space = || entry(0, 1, 1, "otaru", [3, 255, 255, 255, 255, 255, 255, 255]);
    let read = |bytes: &[u8]| {
        let mut flash = flash_with(bytes);
        let nvs = Nvs::open(&mut flash, NVS, "otaru").unwrap().unwrap();
        nvs.string(&mut flash, "host", &mut [0; 64]).unwrap().map(str::to_owned)
    };
    assert_eq!(read(&page(0, &[space(), old.clone(), new.clone()])), Some("new".into()));
    let pages = [page(8, std::slice::from_ref(&new)), page(7, &[space(), old.clone()])];
    assert_eq!(read(&pages.concat()), Some("new".into()));
    // An erased one does not count.
    let mut erased = page(0, &[space(), old, new]);
    erased[32] &= 0b0011_1111;
    erased[33] &= 0b1111_1100;
    assert_eq!(read(&erased), Some("old".into()));
}

#[test]
fn partitions_csv_as_the_flash_holds_it() {
    let rows = include_str!("../../partitions.csv");
    let table = esp_idf_part::PartitionTable::try_from_str(rows).unwrap().to_bin().unwrap();
    let read = |table: &[u8]| {
        let mut flash = Flash::new(0x400000);
        flash.write(0x8000, table).unwrap();
        Table::read(&mut flash)
    };
    let found = read(&table).unwrap();
    assert_eq!(found.nvs, NVS);
    assert_eq!(found.otadata, Region { start: 0xF000, len: 0x2000 });
    assert_eq!(found.journal, Region { start: 0x11000, len: 0x2000 });
    let slots = [0x20000, 0x1A0000].map(|start| Region { start, len: 0x180000 });
    assert_eq!(found.slots[..], slots);
    assert_eq!(found.mcu, Some(Region { start: 0x320000, len: 0xE0000 }));
    assert_eq!(
        (found.slot_at(0x1A0000), found.slot_at(0x19FFFF), found.slot_at(0x320000)),
        (Some(1), Some(0), None)
    );
    // Without the fourth row, ota_0, there is no way to find two slots.
    let without = [&table[..96], &table[128..]].concat();
    assert!(matches!(read(&without), Err(BadTable::Missing(_))));
    assert!(matches!(read(&[]), Err(BadTable::Missing(_))));
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        values in proptest::collection::btree_map("[a-z_]{1,15}", prop_oneof![
            any::<u32>().prop_map(Value::Number),
            "\\PC{0,150}".prop_map(Value::Text),
        ], 0..40),
    ) {
        let values: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let mut flash = flash_with(&partition(&values));
        let nvs = Nvs::open(&mut flash, NVS, "otaru").unwrap().unwrap();
        for (key, value) in values {
            let mut room = [0; 640];
            match value {
                Value::Number(number) => prop_assert_eq!(nvs.number(&mut flash, key), Ok(Some(number))),
                Value::Text(text) => {
                    prop_assert_eq!(nvs.string(&mut flash, key, &mut room), Ok(Some(text.as_str())));
                }
            }
        }
        prop_assert_eq!(nvs.number(&mut flash, "Not there"), Ok(None));
        prop_assert!(Nvs::open(&mut flash, NVS, "other").unwrap().is_none());
    }

    /// A changed bit takes a value away, or has it refused; it never makes another of it.
    #[test]
    fn a_rotten_bit_makes_no_other_value(at in 0..PARTITION.len(), bit in 0..8_u8) {
        let mut bytes = PARTITION.to_vec();
        bytes[at] ^= 1_u8 << bit;
        let whole = Settings::read(&mut flash_with(PARTITION), NVS).unwrap();
        match Settings::read(&mut flash_with(&bytes), NVS) {
            Ok(read) => {
                // What may be missing.
                prop_assert!(read.password == whole.password || read.password.is_empty());
                prop_assert_eq!(Settings { password: whole.password.clone(), ..read }, whole);
            }
            Err(SettingsError::NoNamespace | SettingsError::Missing(_) | SettingsError::Bad(_, NvsError::Damaged)) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

#[test]
fn a_flash_that_cannot_be_read_is_no_settings() {
    let mut flash = Flash::new(0x9000);
    assert!(flash.read(NVS.start, &mut [0; 4]).is_err());
    assert!(matches!(Settings::read(&mut flash, NVS), Err(SettingsError::Flash(_))));
    assert!(matches!(Table::read(&mut Flash::new(0x8000)), Err(BadTable::Flash(_))));
}
