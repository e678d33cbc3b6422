//! The private parsers of this crate, for `fuzz/`.

use crate::http::range::Range;
pub use crate::proxy;

/// The identity of a pre-shared key in a record of TLS.
pub fn psk_identity(record: &[u8]) -> Option<&str> {
    crate::tls::psk::offered(record)
}

/// First byte and length of the part that a `Range` header asks for, of a file of `total` bytes; the whole
/// file is a part too.
pub fn range(value: &str, total: u64) -> Option<(u64, u64)> {
    match Range::parse(value, total) {
        Range::Whole => Some((0, total)),
        Range::Part { first, length } => Some((first, length)),
        Range::Unsatisfiable => None,
    }
}
