//! What lies in the flash of an ESP32: partition table, settings, the head of an image. Whatever it is, it is read or
//! refused. Checksums are made right, as no mutation would find them.
#![no_main]

use device::flash::Region;
use embedded_storage::nor_flash::NorFlash;
use esp32::{Nvs, Settings, Table, check_image};
use libfuzzer_sys::fuzz_target;
use sim::FaultyFlash;

const NVS: Region = Region { start: 0x9000, len: 0x2000 };
const ENTRIES: usize = 126;

fn crc(parts: &[&[u8]]) -> [u8; 4] {
    let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    let bytes = parts.iter().flat_map(|part| part.iter());
    (!bytes.fold(0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))).to_le_bytes()
}

/// A page with these entries.
fn page(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut page = [0xFFFF_FFFE_u32.to_le_bytes(), number.to_le_bytes(), [0xFE, 0xFF, 0xFF, 0xFF]].concat();
    page.resize(28, 0xFF);
    let sum = crc(&[&page[4..28]]);
    page.extend(sum);
    page.extend([0xAA; 32]);
    for entry in bytes.chunks(32).take(ENTRIES) {
        let mut entry = entry.to_vec();
        entry.resize(32, 0xFF);
        let sum = crc(&[&entry[..4], &entry[8..]]);
        entry[4..8].copy_from_slice(&sum);
        page.extend(entry);
    }
    page.resize(4096, 0xFF);
    page
}

fn read(nvs: &[u8], table: &[u8]) {
    let mut flash: FaultyFlash<4, 4096> = FaultyFlash::new(NVS.start + NVS.len);
    flash.write(NVS.start, nvs).expect("it is blank");
    let mut table = table.to_vec();
    table.resize(table.len().min(0x1000).next_multiple_of(4), 0xFF);
    flash.write(0x8000, &table).expect("it is blank");
    if let Ok(table) = Table::read(&mut flash) {
        assert!(!table.slots.is_empty());
        let _ = table.slot_at(table.slots[0].start);
    }
    let _ = Settings::read(&mut flash, NVS);
    if let Ok(Some(nvs)) = Nvs::open(&mut flash, NVS, "otaru") {
        let _ = nvs.number(&mut flash, "port");
        let _ = nvs.string(&mut flash, "ssid", &mut [0; 4096]);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = check_image(&bytes[..bytes.len().min(80)], "1.0.0");
    let mut raw = bytes[..bytes.len().min(NVS.len as usize)].to_vec();
    raw.resize(NVS.len as usize, 0xFF);
    read(&raw, bytes);
    let (first, second) = bytes.split_at(bytes.len() / 2 / 32 * 32);
    read(&[page(1, first), page(0, second)].concat(), &[]);
});
