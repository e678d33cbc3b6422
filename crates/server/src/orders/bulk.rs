//! Orders on many devices: what is wrong with one does not hold up the others.

use crate::error::OrderError;

/// Most devices in one order.
pub(super) const MOST_LISTED: usize = 1_000_000;
/// Devices changed in one transaction.
pub(super) const CHUNK: usize = 500;

/// What became of an order on many devices.
#[derive(Debug, Default)]
pub struct Bulk {
    /// Devices it changed.
    pub changed: usize,
    /// Devices that were so already.
    pub unchanged: usize,
    /// Devices it was refused for.
    pub refused: Vec<Refused>,
}

/// A device that an order on many was refused for.
#[derive(Debug)]
pub struct Refused {
    /// Its line in the file, or its place in the list, from 1.
    pub line: u64,
    /// Its name as it was given.
    pub device_name: String,
    /// Why.
    pub error: OrderError,
}

/// A CSV file whose first line names the columns.
pub(super) struct Sheet {
    /// The columns beside the device's name, with their places.
    pub columns: Vec<(usize, String)>,
    /// Line, device name and cells of each device.
    pub rows: Vec<(u64, String, csv::StringRecord)>,
}

pub(super) fn csv_invalid(why: impl std::fmt::Display) -> OrderError {
    OrderError::invalid("csvInvalid", format!("the device list cannot be read as CSV: {why}"))
}

/// A CSV file without the mark that some programs begin it with, and what reads its rows.
pub(super) fn csv_rows(file: &[u8]) -> (&[u8], csv::Reader<&[u8]>) {
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    let mut rows = csv::ReaderBuilder::new();
    (file, rows.has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(file))
}

/// Refuses a row that is longer than the first line says.
pub(super) fn check_width(line: u64, row: &csv::StringRecord, columns: usize) -> Result<(), OrderError> {
    if row.len() <= columns {
        return Ok(());
    }
    let text = format!("line {line} has {} columns, {columns} are expected", row.len());
    Err(csv_invalid(text).with("line", line))
}

/// Refuses a first line that names a column twice.
pub(super) fn check_columns(head: &[&str], same: impl Fn(&str, &str) -> bool) -> Result<(), OrderError> {
    let again = (1..head.len()).find(|n| head[..*n].iter().any(|before| same(before, head[*n])));
    match again {
        None => Ok(()),
        Some(n) => Err(csv_invalid(format!("its first line names the column {:?} twice", head[n]))),
    }
}

/// Reads a CSV file with a column `deviceName` and whatever others.
pub(super) fn sheet(file: &[u8]) -> Result<Sheet, OrderError> {
    let (file, mut reader) = csv_rows(file);
    let mut records = reader.records();
    let head = records.next().ok_or_else(|| csv_invalid("it is empty"))?.map_err(csv_invalid)?;
    let name = head.iter().position(|cell| cell.eq_ignore_ascii_case("deviceName"));
    let name = name.ok_or_else(|| {
        csv_invalid("its first line must name the columns, separated by commas, and one of them deviceName")
    })?;
    let same = |a: &str, b: &str| a == b || [a, b].iter().all(|c| c.eq_ignore_ascii_case("deviceName"));
    check_columns(&head.iter().collect::<Vec<_>>(), same)?;
    let columns = head.iter().enumerate().filter(|(place, _)| *place != name);
    let columns = columns.map(|(place, cell)| (place, cell.to_owned())).collect();
    let mut rows = Vec::new();
    for record in records {
        let record = record.map_err(csv_invalid)?;
        let line = line_of(file, &record);
        check_width(line, &record, head.len())?;
        if !record.iter().all(str::is_empty) {
            rows.push((line, record.get(name).unwrap_or_default().to_owned(), record));
        }
    }
    if rows.is_empty() {
        return Err(csv_invalid("there is no device in it"));
    }
    Ok(Sheet { columns, rows })
}

/// The line a record stands in. The reader's own place for it lies before the empty lines it passed over.
pub(super) fn line_of(file: &[u8], record: &csv::StringRecord) -> u64 {
    let Some(place) = record.position() else { return 0 };
    let before = file.iter().skip(usize::try_from(place.byte()).unwrap_or(usize::MAX));
    let passed = before.take_while(|byte| b"\r\n".contains(byte)).filter(|byte| **byte == b'\n').count();
    place.line() + passed as u64
}

/// Most runs of lines in one answer.
const MOST_SPANS: usize = 10_000;

/// Lines, in their order, as `3,7-9`. What is beyond the bound is `…`.
pub(super) fn spans(lines: impl Iterator<Item = u64>) -> String {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    let mut rest = "";
    for line in lines {
        let full = spans.len() == MOST_SPANS;
        match spans.last_mut() {
            Some((_, last)) if line <= *last + 1 => *last = line,
            _ if full => {
                rest = ",…";
                break;
            }
            _ => spans.push((line, line)),
        }
    }
    let text =
        |(first, last): (u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    spans.into_iter().map(text).collect::<Vec<_>>().join(",") + rest
}

pub(super) fn check_length(devices: usize) -> Result<(), OrderError> {
    if devices <= MOST_LISTED {
        return Ok(());
    }
    let text = format!("{devices} devices are too many for one order: at most {MOST_LISTED}");
    Err(OrderError::invalid("listTooLong", text).with("most", MOST_LISTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_a_row_are_told_as_one_span() {
        let told = |lines: &[u64]| spans(lines.iter().copied());
        assert_eq!(told(&[]), "");
        assert_eq!(told(&[7]), "7");
        assert_eq!(told(&[3, 7, 7, 8, 9, 20, 21]), "3,7-9,20-21");
    }

    #[test]
    fn a_list_that_is_all_wrong_has_a_bounded_answer() {
        let every_other = spans((0..1_000_000).map(|n| 2 * n + 1));
        assert!(
            every_other.starts_with("1,3,5,") && every_other.ends_with(",19999,…"),
            "{}",
            every_other.len()
        );
        assert_eq!(spans(1..=1_000_000), "1-1000000");
    }
}
