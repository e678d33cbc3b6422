//! Lists inside packets: the bytes of a packet, checked when it was parsed, or a slice of the
//! sender's. Both iterate alike and are equal when their entries are.

use crate::Error;
use crate::bytes::Reader;

#[derive(Debug, Clone, Copy)]
pub(crate) enum List<'a, T> {
    Parsed(&'a [u8]),
    Given(&'a [T]),
}

/// The entries in order; `read` is the function that found the bytes of a parsed list sound.
pub(crate) fn entries<'a, T: Copy>(
    list: List<'a, T>,
    read: fn(&mut Reader<'a>) -> Result<T, Error>,
) -> impl Iterator<Item = T> + Clone + use<'a, T> {
    let (bytes, given) = match list {
        List::Parsed(bytes) => (bytes, &[][..]),
        List::Given(given) => (&[][..], given),
    };
    let mut body = Reader::new(bytes);
    core::iter::from_fn(move || read(&mut body).ok()).chain(given.iter().copied())
}
