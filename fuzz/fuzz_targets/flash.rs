//! What is in a device's flash: whatever it is, the device can be provisioned and downloads can begin, and what a record
//! does not speak of is blank. And the table that says where everything is.
#![no_main]

use device::Record;
use device::flash::{BootLog, Download, Layout, OtaData, Region, Slot};
use device::mcu::FlashStore;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use libfuzzer_sys::fuzz_target;
use sim::{FaultyFlash, partitions};

const fn sectors(first: u32, count: u32) -> Region {
    Region { start: first * 512, len: count * 512 }
}

const LAYOUT: Layout =
    Layout { log: sectors(0, 2), journal: sectors(2, 2), slots: [sectors(4, 2), sectors(6, 2)] };
const SIZE: usize = 8 * 512;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(table) = std::str::from_utf8(bytes) {
        let _ = partitions::parse(table);
    }
    let mut content = bytes[..bytes.len().min(SIZE)].to_vec();
    content.resize(SIZE, 0xFF);
    let mut flash: FaultyFlash<4, 512> = FaultyFlash::new(SIZE as u32);
    flash.write(0, &content).expect("it is blank");
    FlashStore::open(flash.clone(), LAYOUT.log, LAYOUT.slots[0]).expect("a loader starts from any flash");
    if let Some(record) = Record::from_bytes(bytes) {
        assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
    }
    if let Ok(mut log) = BootLog::open(&mut flash, LAYOUT) {
        let _ = log.boot(&mut flash);
        let _ = log.acknowledge(&mut flash);
    }
    if let Ok(mut otadata) = OtaData::open(&mut flash, LAYOUT.log, 2, Some(1)) {
        let _ = otadata.confirm(&mut flash);
        let _ = otadata.install(&mut flash);
    }
    let (mut download, record) =
        Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots).expect("any flash will do");
    if record.is_some() {
        let (_, again) = Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots).expect("once more");
        assert_eq!(again, record, "nothing has changed");
    }
    download.prepare(&mut flash, LAYOUT.slots[1], 1024).expect("it fits");
    download.write(&mut flash, 512, &[1; 511]).expect("it was prepared");
    let mut slot = [0; 512];
    flash.read(LAYOUT.slots[1].start, &mut slot).expect("it is there");
    assert_eq!(slot, [0xFF; 512]);
    let mut log = BootLog::provision(&mut flash, LAYOUT, 1000).expect("a factory can always begin");
    assert_eq!(log.boot(&mut flash), Ok(Slot::A));
});
