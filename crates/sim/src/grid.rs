//! How fast a download is: block size x window x round trip x loss.

use std::fmt::Write as _;

use device::flash::{Layout, Region};

use crate::device::{Device, End, Scheme};
use crate::image::{Behaviour, Image};
use crate::link::{Conditions, FaultyLink};
use crate::rng::Rng;

/// Bytes that are downloaded.
const FILE: usize = 1 << 20;
/// Receive buffers of the device.
const WINDOWS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Bytes of a block.
const BLOCKS: [u32; 3] = [1024, 4096, 16_384];

/// KB a second of a whole download of 1 MiB. No time is counted for the flash, and none for the platform.
pub fn speed(block: u32, window: usize, conditions: Conditions) -> Result<u64, String> {
    let region = |first: u32, sectors: u32| Region { start: first << 12, len: sectors << 12 };
    let slots = [region(4, 300), region(304, 300)];
    let scheme = Scheme::BootLog(Layout { log: region(0, 2), journal: region(2, 2), slots });
    let mut rng = Rng::new(7);
    let image = |version: &str, len, rng: &mut Rng| Image::new(version, Behaviour::Works, len, rng);
    let images = vec![image("1.0", 64, &mut rng), image("2.0", FILE, &mut rng)];
    let mut device: Device<4, 4096> = Device::new(scheme, block, images)?;
    device.window = window;
    device.link = FaultyLink::new(conditions, rng);
    if device.run()? != End::Quiet || !device.platform.is_done() {
        return Err(format!("the download does not succeed: {:?}", device.platform.failures));
    }
    Ok(FILE as u64 / device.download.max(1))
}

/// The tables of docs/performance.md, part "A device".
pub fn tables() -> Result<String, String> {
    let mut tables = String::new();
    for (round_trip, rate) in [(300, 0), (50, 0), (300, 64_000)] {
        let limit = if rate == 0 { String::new() } else { format!(", {} KB a second at most", rate / 1000) };
        let _ = write!(tables, "\n### {round_trip} ms round trip{limit}\n\n| block | lost |");
        tables.extend(WINDOWS.map(|window| format!(" {window} |")));
        let _ = writeln!(tables, "\n| --- | --- |{}", " --- |".repeat(WINDOWS.len()));
        for (block, lose) in BLOCKS.into_iter().flat_map(|block| [0, 1, 5].map(|lose| (block, lose))) {
            let _ = write!(tables, "| {} KiB | {lose} % |", block >> 10);
            for window in WINDOWS {
                let conditions = Conditions { round_trip, rate, lose, ..Conditions::default() };
                let _ = write!(tables, " {} |", speed(block, window, conditions)?);
            }
            tables.push('\n');
        }
    }
    Ok(tables)
}
