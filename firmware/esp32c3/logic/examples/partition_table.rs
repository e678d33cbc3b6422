//! Writes a partition table as the flash holds it, as ESP-IDF's `gen_esp32part.py` does.
//!
//! usage: partition_table partitions.csv partition-table.bin

use std::error::Error;
use std::fs;

use esp_idf_part::PartitionTable;

fn main() -> Result<(), Box<dyn Error>> {
    let [from, to] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "usage: partition_table partitions.csv partition-table.bin")?;
    let table = PartitionTable::try_from_str(fs::read_to_string(from)?)?;
    fs::write(to, table.to_bin()?)?;
    Ok(())
}
