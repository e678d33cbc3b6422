//! Every flash operation of a whole life is a crash point, in every torn model, over many layouts; and without one of
//! the checks that the device kit makes, this is noticed.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use device::flash::{BootLog, Layout, Reason, Region, State};
use otaru_sim::{Device, Geometry, Plan, Scheme, Violation};

const KIB: usize = 1 << 10;

/// Hands out whole sectors, one region after the other.
struct Sectors {
    sector: u32,
    next: u32,
}

impl Sectors {
    fn take(&mut self, count: u32) -> Region {
        let start = self.next * self.sector;
        self.next += count;
        Region { start, len: count * self.sector }
    }
}

fn boot_log(sector: usize, log: u32, slot: u32) -> Scheme {
    let mut sectors = Sectors { sector: sector as u32, next: 1 };
    let (log, journal) = (sectors.take(log), sectors.take(2));
    Scheme::BootLog(Layout { log, journal, slots: [sectors.take(slot), sectors.take(slot)] })
}

fn espressif(factory: bool, slots: usize) -> Scheme {
    let mut sectors = Sectors { sector: 4096, next: 9 };
    let otadata = sectors.take(2);
    let factory = factory.then(|| sectors.take(2));
    let slots = (0..slots).map(|_| sectors.take(3)).collect();
    Scheme::Espressif { otadata, factory, slots, journal: sectors.take(2) }
}

/// Name, unit, sector, scheme, and how much less is done there because it takes long.
fn layouts() -> Vec<(&'static str, usize, usize, Scheme, u64)> {
    vec![
        ("NOR of one-byte writes", 1, 4 * KIB, boot_log(4 * KIB, 2, 2), 1),
        ("half words", 2, 4 * KIB, boot_log(4 * KIB, 3, 2), 1),
        ("words", 4, 4 * KIB, boot_log(4 * KIB, 2, 3), 1),
        ("words, a long log", 4, 4 * KIB, boot_log(4 * KIB, 4, 2), 1),
        ("double words", 8, 4 * KIB, boot_log(4 * KIB, 2, 2), 1),
        ("quad words", 16, 8 * KIB, boot_log(8 * KIB, 2, 2), 2),
        ("flash words of 32 bytes", 32, 8 * KIB, boot_log(8 * KIB, 2, 2), 1),
        ("sectors of 16 KiB", 8, 16 * KIB, boot_log(16 * KIB, 2, 2), 3),
        ("sectors of 32 KiB", 4, 32 * KIB, boot_log(32 * KIB, 2, 1), 2),
        ("sectors of 64 KiB", 1, 64 * KIB, boot_log(64 * KIB, 2, 1), 2),
        ("sectors of 128 KiB", 32, 128 * KIB, boot_log(128 * KIB, 2, 1), 2),
        ("sectors of 256 KiB", 4, 256 * KIB, boot_log(256 * KIB, 2, 1), 4),
        ("Espressif's bootloader", 4, 4 * KIB, espressif(false, 2), 1),
        ("Espressif's bootloader, factory", 4, 4 * KIB, espressif(true, 2), 1),
        ("Espressif's bootloader, factory and one slot more", 16, 4 * KIB, espressif(true, 3), 1),
    ]
}

/// Cuts everything, `seeds` times each way; how many cuts that were.
fn cut_everywhere(seeds: u64) -> u64 {
    let (mut points, mut took) = (0, Duration::ZERO);
    for (name, unit, sector, scheme, less) in layouts() {
        let geometry = Geometry { unit, sector };
        let plan = Plan { seeds: seeds.div_ceil(less), ..Plan::new(scheme, geometry) };
        let proof =
            plan.prove(geometry, &|_, _| {}).unwrap_or_else(|violation| panic!("{name}: {violation}"));
        assert!(proof.log_erases.iter().all(|erases| *erases > 0), "{name}: a log does not go round");
        let (operations, again) = (proof.operations, proof.again);
        println!("{name}: {operations} operations, {} crash points, {again} good images again", proof.points);
        points += proof.points;
        took += proof.took;
    }
    println!("{points} crash points, {:.0} a second", points as f64 / took.as_secs_f64());
    points
}

#[test]
fn a_whole_life_cut_everywhere() {
    assert!(cut_everywhere(1) > 8_000);
}

/// Its journal is blank, and its logs do not go round.
#[test]
fn the_first_updates_of_a_new_device_cut_everywhere() {
    let geometry = Geometry { unit: 8, sector: 4 * KIB };
    for scheme in [boot_log(4 * KIB, 2, 2), espressif(false, 2)] {
        let plan = Plan { aged: false, ..Plan::new(scheme, geometry) };
        plan.prove(geometry, &|_, _| {}).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[test]
#[ignore = "takes minutes; ./test power-cuts runs it"]
fn a_whole_life_cut_everywhere_many_times() {
    assert!(cut_everywhere(16) >= 100_000);
}

fn plan() -> Plan {
    Plan { seeds: 6, ..Plan::new(boot_log(4 * KIB, 2, 2), Geometry { unit: 4, sector: 4 * KIB }) }
}

fn without(check: fn(&mut Device<4, 4096>)) -> Violation {
    plan().prove_on::<4, 4096>(check, &|_, _| {}).expect_err("the check that is missing is not missed")
}

/// Whatever is read from the boot log has the right checksum.
fn believe_everything(at: u32, data: &mut [u8]) {
    let log = 4096..3 * 4096;
    if log.contains(&at) && data.len() == 52 && data.iter().any(|byte| *byte != 0xFF) {
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&data[..48]);
        data[48..].copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn a_log_without_its_checksum_is_noticed() {
    let violation = without(|device| device.flash.on_read(believe_everything));
    assert!(violation.tear.is_some(), "{violation}");
}

#[test]
fn a_bootloader_that_does_not_check_the_image_is_noticed() {
    let violation = without(|device| {
        device.bootloader = |flash, layout| {
            let mut log = BootLog::open(flash, layout)?;
            let slot = log.boot(flash)?;
            let damaged = log.running().1 == State::RolledBack(Reason::Damaged);
            Ok(layout.slots[if damaged { slot.other() } else { slot }.index()])
        };
    });
    assert!(violation.what.contains("no image that was offered"), "{violation}");
}
