//! The private parsers of this crate, for `fuzz/`.

use crate::cursor::{self, List};

/// Reads a cursor of a list sorted by number, and one of a list sorted by name; gives those that are
/// cursors, written anew.
pub fn cursors(text: &str) -> [Option<String>; 2] {
    let number = cursor::paging::<i64>(List::Jobs, Some(text), None).ok().and_then(|paging| paging.after);
    let name = cursor::paging::<String>(List::Devices, Some(text), None).ok().and_then(|paging| paging.after);
    [number.map(|key| cursor::encode(List::Jobs, &key)), name.map(|key| cursor::encode(List::Devices, &key))]
}
