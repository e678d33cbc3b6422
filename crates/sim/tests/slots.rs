//! The device's flash, one rule at a time.
#![allow(clippy::unwrap_used)]

use device::flash::{BadLayout, BootLog, Download, Error, Layout, OtaData, Reason, Region, Slot, State};
use device::{Config, DEFAULT_MODULE, MESSAGE_SIZE, Module, Output, Record, Updater};
use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};
use otaru_sim::{Behaviour, Device, End, Fault, FaultyFlash, Image, Rng, Scheme, Tear};

type Flash = FaultyFlash<8, 4096>;

const fn sectors(first: u32, count: u32) -> Region {
    Region { start: first * 4096, len: count * 4096 }
}

const LAYOUT: Layout =
    Layout { log: sectors(0, 2), journal: sectors(2, 2), slots: [sectors(4, 3), sectors(7, 3)] };

fn provisioned() -> (Flash, BootLog) {
    let mut flash = Flash::new(40_960);
    flash.write(LAYOUT.slots[0].start, &[1; 4000]).unwrap();
    let log = BootLog::provision(&mut flash, LAYOUT, 4000).unwrap();
    (flash, log)
}

fn installed() -> (Flash, BootLog) {
    let (mut flash, mut log) = provisioned();
    flash.write(LAYOUT.slots[1].start, &[2; 5000]).unwrap();
    log.install(&mut flash, 4999).unwrap();
    (flash, log)
}

fn boot(flash: &mut Flash) -> (Slot, State) {
    let mut log = BootLog::open(flash, LAYOUT).unwrap();
    let slot = log.boot(flash).unwrap();
    assert_eq!(slot, log.running().0);
    log.running()
}

#[test]
fn a_device_that_was_never_provisioned_says_so() {
    let mut flash = Flash::new(40_960);
    let error = BootLog::open(&mut flash, LAYOUT).unwrap_err();
    assert_eq!((error, error.to_string().contains("never provisioned")), (Error::Empty, true));
}

#[test]
fn three_trials_and_back() {
    let (mut flash, log) = installed();
    assert_eq!(log.spare(), None, "the other slot is what the device falls back to");
    for left in [2, 1, 0] {
        assert_eq!(boot(&mut flash), (Slot::B, State::Trial { left }));
    }
    for _ in 0..2 {
        assert_eq!(boot(&mut flash), (Slot::A, State::RolledBack(Reason::NotConfirmed)));
    }
    let mut log = BootLog::open(&mut flash, LAYOUT).unwrap();
    assert_eq!(log.spare(), Some(LAYOUT.slots[1]));
    log.acknowledge(&mut flash).unwrap();
    assert_eq!(boot(&mut flash), (Slot::A, State::Confirmed));
}

#[test]
fn a_confirmed_image_stays() {
    let (mut flash, _) = installed();
    boot(&mut flash);
    let mut log = BootLog::open(&mut flash, LAYOUT).unwrap();
    log.confirm(&mut flash).unwrap();
    for _ in 0..5 {
        assert_eq!(boot(&mut flash), (Slot::B, State::Confirmed));
    }
    assert_eq!(log.confirm(&mut flash), Err(Error::NotOnTrial));
    assert_eq!(log.give_up(&mut flash), Err(Error::NotOnTrial));
}

#[test]
fn an_image_that_gives_itself_up_is_not_started_again() {
    let (mut flash, _) = installed();
    boot(&mut flash);
    BootLog::open(&mut flash, LAYOUT).unwrap().give_up(&mut flash).unwrap();
    assert_eq!(boot(&mut flash), (Slot::A, State::RolledBack(Reason::GivenUp)));
}

#[test]
fn a_damaged_image_is_not_started() {
    let (mut flash, _) = installed();
    let slot = LAYOUT.slots[1];
    flash.rot(&[Region { len: 4999, ..slot }], &mut Rng::new(1));
    assert_eq!(boot(&mut flash), (Slot::A, State::RolledBack(Reason::Damaged)));
    let slot = LAYOUT.slots[0];
    flash.rot(&[Region { len: 4000, ..slot }], &mut Rng::new(1));
    let mut log = BootLog::open(&mut flash, LAYOUT).unwrap();
    assert_eq!(log.boot(&mut flash), Err(Error::NoImage));
}

#[test]
fn what_is_behind_the_image_does_not_matter() {
    let (mut flash, _) = installed();
    flash.write(LAYOUT.slots[1].start + 5000, &[3; 8]).unwrap();
    assert_eq!(boot(&mut flash).0, Slot::B);
}

#[test]
fn layouts_that_cannot_be() {
    let check = |layout: Layout| layout.check(&Flash::new(40_960)).unwrap_err();
    let odd = Region { start: 4096 * 2 + 8, len: 8192 };
    assert_eq!(check(Layout { journal: odd, ..LAYOUT }), BadLayout::NotSectors { region: odd, sector: 4096 });
    let short = Layout { log: sectors(0, 1), ..LAYOUT };
    assert_eq!(
        check(short).to_string(),
        "the region at 0x0, 0x1000 bytes long is too small: it needs 2 sectors of 0x1000 bytes"
    );
    let beyond = Layout { slots: [sectors(4, 3), sectors(7, 4)], ..LAYOUT };
    assert!(check(beyond).to_string().contains("reaches beyond the flash of 0xa000 bytes"));
    let wrapping = Region { start: 0xFFFF_F000, len: 0x2000 };
    assert!(matches!(check(Layout { log: wrapping, ..LAYOUT }), BadLayout::Beyond { .. }));
    let shared = Layout { journal: sectors(1, 2), ..LAYOUT };
    assert_eq!(check(shared), BadLayout::Overlap(sectors(0, 2), sectors(1, 2)));
    assert!(matches!(LAYOUT.check(&FaultyFlash::<64, 4096>::new(40_960)), Err(BadLayout::Geometry { .. })));
}

/// A record as an updater saves it, made by one that has got this much of a file of 9 000 bytes.
fn record(stored: u32) -> Record {
    let images = vec![
        Image::new("1.0", Behaviour::Works, 4000, &mut Rng::new(1)),
        Image::new("2.0", Behaviour::Works, 9000, &mut Rng::new(2)),
    ];
    let mut platform = otaru_sim::Platform::new(images);
    let modules = [Module::new(DEFAULT_MODULE, "1.0")];
    let config = Config { block: 1000, ..Config::new("a1Simulated", "device", &modules) };
    let mut updater = Updater::new(config, None).unwrap();
    updater.handle_connected();
    let mut inbox = Vec::new();
    loop {
        match updater.poll(0, &mut [0; MESSAGE_SIZE]) {
            Output::Publish { topic, payload, .. } => {
                inbox.extend(platform.receive(&topic.to_string(), payload.as_bytes()));
            }
            Output::Prepare { .. } => updater.handle_prepared(),
            Output::Save(Some(record)) if record.stored() == stored => return record,
            Output::Save(_) => updater.handle_saved(),
            Output::Wait(_) => {
                let (topic, payload) = inbox.remove(0);
                if let Some(block) = updater.handle_message(0, &topic, &payload) {
                    updater.handle_written(block.offset);
                }
            }
            _ => {}
        }
    }
}

/// A download of which so many bytes are written, and the record of them.
fn begun(written: usize, stored: u32) -> Flash {
    let mut flash = Flash::new(40_960);
    let (mut download, none) = Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots).unwrap();
    assert_eq!(none, None);
    download.prepare(&mut flash, LAYOUT.slots[1], 9000).unwrap();
    for block in 0..written / 1000 {
        download.write(&mut flash, block as u32 * 1000, &[block as u8; 1000]).unwrap();
    }
    download.save(&mut flash, Some(record(stored))).unwrap();
    flash
}

fn resumed(flash: &mut Flash) -> u32 {
    let (_, record) = Download::open(flash, LAYOUT.journal, &LAYOUT.slots).unwrap();
    record.map_or(0, |record| record.stored())
}

#[test]
fn a_download_goes_on_where_it_was() {
    let mut flash = begun(6000, 6000);
    let before = flash.operations();
    assert_eq!(resumed(&mut flash), 6000);
    assert_eq!(flash.operations(), before, "nothing had to be done for that");
    let (mut download, _) = Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots).unwrap();
    download.write(&mut flash, 6000, &[9; 1000]).unwrap();
}

#[test]
fn what_no_record_speaks_of_is_erased_down_to_its_sector() {
    let mut flash = begun(7000, 6000);
    assert_eq!(resumed(&mut flash), 4096);
    let mut rest = [0; 4096];
    flash.read(LAYOUT.slots[1].start + 4096, &mut rest).unwrap();
    assert!(rest.iter().all(|byte| *byte == 0xFF));
    assert_eq!(resumed(&mut flash), 4096, "also after the next cut");
}

#[test]
fn a_record_of_the_other_slot_is_none() {
    let mut flash = begun(6000, 6000);
    let (_, record) = Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots[..1]).unwrap();
    assert_eq!(record, None);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let mut flash = begun(1000, 1000);
    let (mut download, _) = Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots).unwrap();
    let unaligned = download.write(&mut flash, 1001, &[0; 8]);
    assert_eq!(unaligned, Err(Error::Unaligned { offset: 1001, unit: 8 }));
    let beyond = download.write(&mut flash, 12_280, &[0; 9]);
    assert_eq!(beyond, Err(Error::TooLarge { size: 12_289, slot: 12_288 }));
    assert_eq!(
        download.prepare(&mut flash, LAYOUT.slots[1], 12_289),
        Err(Error::TooLarge { size: 12_289, slot: 12_288 })
    );
}

#[test]
fn a_journal_of_which_nothing_can_be_read_is_an_empty_one() {
    let mut flash = Flash::new(40_960);
    let (mut download, _) = Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots).unwrap();
    download.prepare(&mut flash, LAYOUT.slots[1], 9000).unwrap();
    flash.cut_at(flash.operations() + 1, Tear::Unreadable, Rng::new(1));
    assert_eq!(download.save(&mut flash, Some(record(1000))), Err(Error::Flash(Fault::Cut)));
    flash.power_on();
    assert_eq!(resumed(&mut flash), 0);
    let (mut download, _) = Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots).unwrap();
    download.prepare(&mut flash, LAYOUT.slots[1], 9000).unwrap();
    download.save(&mut flash, Some(record(1000))).unwrap();
    assert_eq!(resumed(&mut flash), 1000);
}

#[test]
fn a_block_that_is_there_already_is_left_as_it_is() {
    let mut flash = begun(3000, 3000);
    let (mut download, _) = Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots).unwrap();
    let before = flash.operations();
    download.write(&mut flash, 2000, &[2; 1000]).unwrap();
    assert_eq!(flash.operations(), before);
    let other = download.write(&mut flash, 2000, &[3; 1000]);
    assert!(matches!(other, Err(Error::Flash(Fault::NotBlank { .. }))), "{other:?}");
}

#[test]
fn the_end_of_a_file_need_not_fill_a_unit() {
    let mut flash = begun(8000, 8000);
    let (mut download, _) = Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots).unwrap();
    download.write(&mut flash, 8000, &[7; 995]).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(download.read(&mut flash, 8960, 35, &mut buffer), Ok(35));
    assert_eq!(buffer[..35], [7; 35]);
    download.save(&mut flash, Some(record(9000))).unwrap();
    assert_eq!(resumed(&mut flash), 9000);
}

#[test]
fn whatever_is_in_the_flash_nothing_panics_and_nothing_strange_starts() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let (mut flash, _) = installed();
        for _ in 0..rng.below(2000) {
            flash.rot(&[sectors(0, 10)], &mut rng);
        }
        if let Ok(mut log) = BootLog::open(&mut flash, LAYOUT)
            && let Ok(slot) = log.boot(&mut flash)
        {
            let (fill, len) = if slot == Slot::A { (1, 4000) } else { (2, 4999) };
            let mut image = vec![0; 5000];
            flash.read(LAYOUT.slots[slot.index()].start, &mut image).unwrap();
            assert!(image[..len].iter().all(|byte| *byte == fill), "rng seed {seed}");
        }
        let _ = Download::open(&mut flash, LAYOUT.journal, &LAYOUT.slots[..1]);
        let mut otadata = OtaData::open(&mut flash, LAYOUT.log, 2, Some(0)).unwrap();
        let _ = (otadata.install(&mut flash), otadata.acknowledge(&mut flash));
    }
}

fn life(scheme: Scheme) -> Device<8, 4096> {
    let mut rng = Rng::new(5);
    let behaviours = [Behaviour::Works, Behaviour::Crashes, Behaviour::GivesUp, Behaviour::Works];
    let image = |(index, behaviour): (usize, &Behaviour)| {
        Image::new(&format!("{}.0", index + 1), *behaviour, 6000, &mut rng)
    };
    let images = behaviours.iter().enumerate().map(image).collect();
    let mut device = Device::new(scheme, 1000, images).unwrap();
    assert_eq!(device.run(), Ok(End::Quiet));
    assert!(device.platform.is_done() && device.platform.failures.is_empty());
    device
}

#[test]
fn the_platform_hears_why_the_device_rolled_back() {
    let device = life(Scheme::BootLog(LAYOUT));
    assert_eq!(
        device.platform.rejections,
        [
            "2.0 -1: rolled back: the new image was started several times and never confirmed",
            "3.0 -1: rolled back: the new image gave itself up"
        ]
    );
}

#[test]
fn espressifs_bootloader_starts_what_otadata_names() {
    let [a, b] = LAYOUT.slots;
    let scheme =
        |factory, slots| Scheme::Espressif { otadata: LAYOUT.log, factory, slots, journal: LAYOUT.journal };
    for scheme in [scheme(None, vec![a, b]), scheme(Some(a), vec![b, sectors(10, 2)])] {
        let device = life(scheme);
        let said = &device.platform.rejections;
        assert_eq!(said.len(), 2);
        assert!(said.iter().all(|said| said.ends_with("did not confirm itself")), "{said:?}");
    }
}

#[test]
fn flash_programs_a_unit_once() {
    let mut flash = Flash::new(8192);
    flash.write(8, &[0; 8]).unwrap();
    assert_eq!(flash.write(0, &[0; 16]), Err(Fault::NotBlank { at: 8 }));
    assert_eq!(flash.write(4, &[0; 8]), Err(Fault::NotAligned));
    assert_eq!(flash.write(8192, &[0; 8]), Err(Fault::OutOfBounds));
    flash.erase(0, 4096).unwrap();
    flash.write(8, &[1; 8]).unwrap();
    assert_eq!((flash.erases(0), flash.erases(4096), flash.operations()), (1, 0, 3));
}

#[test]
fn flash_without_power_does_nothing() {
    let mut flash = Flash::new(8192);
    flash.cut_at(0, Tear::Unreadable, Rng::new(3));
    assert_eq!(flash.write(0, &[0; 80]), Err(Fault::Cut));
    assert_eq!(flash.erase(0, 4096), Err(Fault::Cut));
    assert_eq!(flash.read(0, &mut [0; 8]), Err(Fault::Cut));
    flash.power_on();
    let torn = (0..10).find(|unit| flash.read(unit * 8, &mut [0; 8]).is_err()).unwrap();
    assert_eq!(flash.read(0, &mut [0; 80]), Err(Fault::Unreadable { at: torn * 8 }));
    flash.erase(0, 4096).unwrap();
    flash.read(0, &mut [0; 80]).unwrap();
}
