//! Partition tables in the form of ESP-IDF (`partitions.csv`), also for devices that are not Espressif's.
//!
//! A row is `name, type, subtype, offset, size`. What counts is:
//!
//! - `ota_0`, `ota_1`, ... of type `app`: the slots; `factory` of type `app`, if there is one,
//! - `ota` of type `data`: the device has Espressif's bootloader; or a partition named `bootlog`: it has two slots and a
//!   bootloader with a [`device::flash::BootLog`],
//! - a partition named `journal`: the journal of downloads, of two sectors or more.

use device::flash::{Layout, Region};
use thiserror::Error;

use crate::device::Scheme;

/// Where the first partition is, unless the table says otherwise: after the table itself.
const FIRST: u32 = 0x9000;

/// A table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadTable {
    /// A row cannot be read.
    #[error("line {line}: {what}")]
    Row {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Something is missing, or too much.
    #[error("{0}")]
    Roles(String),
}

/// A row of the table.
struct Partition {
    name: String,
    is_app: bool,
    subtype: String,
    region: Region,
}

/// Reads a table: how its device chooses what starts, and where everything is.
pub fn parse(table: &str) -> Result<Scheme, BadTable> {
    let mut partitions = Vec::new();
    let mut next = FIRST;
    for (index, row) in table.lines().enumerate() {
        let row = row.split('#').next().unwrap_or_default().trim();
        if row.is_empty() {
            continue;
        }
        let partition = partition(row, next).map_err(|what| BadTable::Row { line: index + 1, what })?;
        next = partition.region.end();
        partitions.push(partition);
    }
    check_overlaps(&partitions)?;
    scheme(&partitions)
}

fn partition(row: &str, next: u32) -> Result<Partition, String> {
    let fields: Vec<&str> = row.split(',').map(str::trim).collect();
    let [name, kind, subtype, offset, size, ..] = fields[..] else {
        return Err(format!("{row:?} has fewer than the five fields name, type, subtype, offset, size"));
    };
    let is_app = matches!(kind, "app" | "0" | "0x00" | "0x0");
    let alignment = if is_app { 0x1_0000 } else { 0x1000 };
    let start = match offset {
        "" => next.checked_next_multiple_of(alignment).ok_or("the partition before ends beyond 4 GiB")?,
        offset => {
            number(offset).ok_or(format!("the offset {offset:?} is no number such as 0x10000 or 64K"))?
        }
    };
    let len = number(size).ok_or(format!("the size {size:?} is no number such as 0x6000, 24K or 1M"))?;
    if len == 0 || start.checked_add(len).is_none() {
        return Err(format!("{size:?} is no size for a partition at {start:#x}"));
    }
    let subtype = subtype.to_ascii_lowercase();
    Ok(Partition { name: name.to_owned(), is_app, subtype, region: Region { start, len } })
}

/// Hex, decimal, or decimal with `K` or `M`.
fn number(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u32::from_str_radix(hex, 16).ok();
    }
    let (digits, factor) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['M', 'm']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    digits.trim().parse::<u32>().ok()?.checked_mul(factor)
}

fn check_overlaps(partitions: &[Partition]) -> Result<(), BadTable> {
    let mut sorted: Vec<_> = partitions.iter().collect();
    sorted.sort_by_key(|partition| partition.region.start);
    let overlap = |pair: &&[&Partition]| pair[0].region.end() > pair[1].region.start;
    match sorted.windows(2).find(overlap) {
        Some(pair) => {
            Err(BadTable::Roles(format!("the partitions {} and {} share bytes", pair[0].name, pair[1].name)))
        }
        None => Ok(()),
    }
}

fn scheme(partitions: &[Partition]) -> Result<Scheme, BadTable> {
    let app = |subtype: &str| partitions.iter().find(|p| p.is_app && p.subtype == subtype).map(|p| p.region);
    let data = |name: &str| partitions.iter().find(|p| !p.is_app && p.name == name).map(|p| p.region);
    let missing = |what: &str| BadTable::Roles(format!("the table has no {what}"));
    let slots: Vec<Region> = (0..16).map_while(|index| app(&format!("ota_{index}"))).collect();
    let factory = app("factory");
    if slots.len() + usize::from(factory.is_some()) < 2 {
        return Err(missing("two slots: add partitions of type app and subtypes ota_0 and ota_1"));
    }
    let journal = data("journal").ok_or(missing(
        "partition for the journal of downloads: add `journal, data, 0x40, , 0x2000`, or two sectors if they are larger",
    ))?;
    let otadata = partitions.iter().find(|p| !p.is_app && p.subtype == "ota").map(|p| p.region);
    match (otadata, data("bootlog")) {
        (Some(_), Some(_)) => Err(BadTable::Roles(
            "the table has otadata, of Espressif's bootloader, and bootlog, of one of your own: leave one of them away".to_owned(),
        )),
        (Some(otadata), None) if slots.is_empty() => {
            Err(missing(&format!("slot for otadata at {:#x} to choose: add ota_0", otadata.start)))
        }
        (Some(otadata), None) => Ok(Scheme::Espressif { otadata, factory, slots, journal }),
        (None, Some(log)) => match slots[..] {
            [a, b] if factory.is_none() => Ok(Scheme::BootLog(Layout { log, journal, slots: [a, b] })),
            _ => Err(BadTable::Roles("a boot log is for exactly two slots, ota_0 and ota_1, and no factory".to_owned())),
        },
        (None, None) => Err(missing(
            "partition that says which slot starts: add `otadata, data, ota, , 0x2000` for Espressif's bootloader, or `bootlog, data, 0x41, , 0x2000` for one of your own",
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ESPRESSIF: &str = "\
# Name,   Type, SubType, Offset,  Size, Flags
nvs,      data, nvs,     ,        0x6000,
otadata,  data, ota,     ,        8K,
phy_init, data, phy,     ,        0x1000,
ota_0,    app,  ota_0,   ,        1M,
ota_1,    app,  ota_1,   ,        1M,
journal,  data, 0x40,    ,        0x2000
";

    #[test]
    fn blank_offsets_follow_each_other_as_in_esp_idf() {
        let Scheme::Espressif { otadata, factory, slots, journal } = parse(ESPRESSIF).unwrap() else {
            panic!()
        };
        assert_eq!((otadata, factory), (Region { start: 0xF000, len: 0x2000 }, None));
        let slot = |start| Region { start, len: 1 << 20 };
        assert_eq!(slots, [slot(0x2_0000), slot(0x12_0000)]);
        assert_eq!(journal, Region { start: 0x22_0000, len: 0x2000 });
    }

    #[test]
    fn a_boot_log_in_place_of_otadata() {
        let table = ESPRESSIF.replace("otadata,  data, ota", "bootlog, data, 0x41");
        assert!(matches!(parse(&table).unwrap(), Scheme::BootLog(_)));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let cases = [
            (ESPRESSIF.replace("8K", "8Q"), "line 3: the size \"8Q\" is no number such as 0x6000, 24K or 1M"),
            (
                ESPRESSIF.replace("journal,", "diary,"),
                "the table has no partition for the journal of downloads",
            ),
            (
                ESPRESSIF.replace("otadata,  data, ota", "otadata, data, nvs"),
                "add `otadata, data, ota, , 0x2000`",
            ),
            (ESPRESSIF.replace("ota_1,    app,  ota_1", "x, app, test"), "the table has no two slots"),
            (
                ESPRESSIF.replace("phy,     , ", "phy, 0xF000,"),
                "the partitions otadata and phy_init share bytes",
            ),
            (
                ESPRESSIF.replace("nvs,     ,        0x6000", "nvs"),
                "line 2: \"nvs,      data, nvs,\" has fewer",
            ),
            (ESPRESSIF.replace(",        1M,", ", 0xFFFFF000, 1M,"), "is no size for a partition at 0x20000"),
        ];
        for (table, wanted) in cases {
            let error = parse(&table).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let both = format!("{ESPRESSIF}bootlog, data, 0x41, , 8K\n");
        assert!(parse(&both).unwrap_err().to_string().contains("leave one of them away"));
    }
}
