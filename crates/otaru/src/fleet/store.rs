//! Memory for the files of many devices, of which most have the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a piece is in its file, and how long it is.
type Place = (u32, usize);

/// Pieces of files, each kept once however many devices have it.
#[derive(Debug, Default)]
pub(super) struct Store {
    pieces: Mutex<HashMap<Place, Vec<Arc<[u8]>>>>,
}

impl Store {
    /// A piece with these bytes at this place of a file.
    fn piece(&self, offset: u32, data: &[u8]) -> Arc<[u8]> {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let same = pieces.entry((offset, data.len())).or_default();
        // What nobody else has any more is let go.
        same.retain(|piece| Arc::strong_count(piece) > 1 || **piece == *data);
        if let Some(piece) = same.iter().find(|piece| ***piece == *data) {
            return Arc::clone(piece);
        }
        let piece: Arc<[u8]> = data.into();
        same.push(Arc::clone(&piece));
        piece
    }
}

/// The slot of one device.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pieces: BTreeMap<u32, Arc<[u8]>>,
}

impl Slot {
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
    }

    pub(super) fn write(&mut self, store: &Store, offset: u32, data: &[u8]) {
        self.pieces.insert(offset, store.piece(offset, data));
    }

    /// Bytes at this place, as many as are at hand; none if there are none.
    pub(super) fn read(&self, offset: u32, len: u32) -> &[u8] {
        let Some((start, piece)) = self.pieces.range(..=offset).next_back() else { return &[] };
        let rest = piece.get((offset - start) as usize..).unwrap_or_default();
        &rest[..rest.len().min(len as usize)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_devices_share_is_kept_once() {
        let store = Store::default();
        let mut slots = [Slot::default(), Slot::default()];
        for slot in &mut slots {
            slot.write(&store, 0, b"abcd");
            slot.write(&store, 4, b"ef");
        }
        slots[1].write(&store, 4, b"xy");
        assert_eq!((slots[0].read(1, 9), slots[0].read(4, 1)), (&b"bcd"[..], &b"e"[..]));
        assert_eq!((slots[1].read(5, 9), slots[1].read(6, 9)), (&b"y"[..], &b""[..]));
        assert_eq!(store.pieces.lock().unwrap()[&(0, 4)].len(), 1);
        slots[1].clear();
        slots[0].write(&store, 4, b"ef");
        assert_eq!(store.pieces.lock().unwrap()[&(4, 2)].len(), 1);
    }
}
