//! What goes to the terminal. A reader that has seen enough (`| head`) is no error, and texts that devices made up do
//! not steer the terminal.

use std::fmt::Arguments;
use std::io::{self, Write as _};

use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

/// A line to standard output.
macro_rules! out {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}
pub(crate) use out;

pub(crate) fn line(text: Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{}", printable(&text.to_string()));
}

/// A part of a line to standard output.
pub(crate) fn part(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// A line to standard output, of a text without end: false once nobody reads it.
pub(crate) fn next_line(text: &str) -> bool {
    writeln!(io::stdout().lock(), "{}", in_line(text)).is_ok()
}

/// A line to standard error, for what is not the answer.
pub(crate) fn note(text: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(&text.to_string()));
}

/// What went wrong, with what led to it.
pub(crate) fn error(error: &anyhow::Error) {
    note(format_args!("error: {}", told(error)));
}

/// The causes of an error, but for those that the error before has told already.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        text if text.contains(&cause) => told,
        text => format!("{text}: {cause}"),
    })
}

/// Control characters spelt out, but for line breaks.
fn printable(text: &str) -> String {
    spelt_out(text, |c| c.is_control() && c != '\n')
}

/// As a part of a line: line breaks are spelt out too.
fn in_line(text: &str) -> String {
    spelt_out(text, char::is_control)
}

fn spelt_out(text: &str, which: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if which(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    part(&(serde_json::to_string_pretty(value)? + "\n"));
    Ok(())
}

/// Rows under a head, in columns. Rows may come page by page: a column only grows.
pub(crate) struct Table {
    head: Option<Vec<String>>,
    widths: Vec<usize>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        let head: Vec<String> = head.iter().map(ToString::to_string).collect();
        Self { widths: vec![0; head.len()], head: Some(head) }
    }

    pub(crate) fn print(&mut self, rows: Vec<Vec<String>>) {
        self.lines(rows).iter().for_each(|line| out!("{line}"));
    }

    fn lines(&mut self, rows: Vec<Vec<String>>) -> Vec<String> {
        let rows = self.head.take().into_iter().chain(rows);
        let rows: Vec<Vec<_>> = rows.map(|row| row.iter().map(|cell| in_line(cell)).collect()).collect();
        self.widen(&rows);
        rows.iter().map(|row| self.aligned(row)).collect()
    }

    fn widen(&mut self, rows: &[Vec<String>]) {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
    }

    fn aligned(&self, row: &[String]) -> String {
        let padded = row.iter().zip(&self.widths).map(|(cell, width)| {
            let blanks = width.saturating_sub(cell.width());
            format!("{cell}{}", " ".repeat(blanks))
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
    }
}

/// Names and values, one a line, the values in a column.
pub(crate) fn facts(facts: &[(&str, String)]) {
    let width = facts.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    for (name, value) in facts {
        out!("{name:width$}  {}", in_line(value));
    }
}

/// Bytes for people.
pub(crate) fn bytes(n: i64) -> String {
    indicatif::HumanBytes(u64::try_from(n).unwrap_or(0)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_cannot_steer_the_terminal() {
        assert_eq!(printable("灯\n\u{1b}[2J\u{7}\u{9b}x\r"), "灯\n\\u{1b}[2J\\u{7}\\u{9b}x\\r");
    }

    #[test]
    fn a_cell_stays_in_its_line() {
        let rows = vec![vec!["lamp\n\u{1b}[2J\r\t".into(), "Y".into()], vec!["b".into(), "Z".into()]];
        let lines = Table::new(&["NAME", "X"]).lines(rows);
        assert_eq!(lines[1], r"lamp\n\u{1b}[2J\r\t  Y");
        let place = lines[1].find('Y');
        assert_eq!((lines[0].find('X'), lines[2].find('Z')), (place, place));
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("no such file").context("/data: no such file").context("cannot start");
        assert_eq!(told(&error), "cannot start: /data: no such file");
    }

    #[test]
    fn columns_are_as_wide_as_they_look() {
        let mut table = Table::new(&["", ""]);
        table.widen(&[vec!["lamp".into(), "key".into()], vec!["路灯灯".into(), "b".into()]]);
        assert_eq!(table.widths, [6, 3]);
        assert_eq!(table.aligned(&["路灯".into(), "b".into()]), "路灯    b");
    }
}
