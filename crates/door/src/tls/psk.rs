//! Pre-shared keys (docs/protocol.md 1.1).
//!
//! OpenSSL asks for the key in the middle of its work and cannot wait for the platform. So the identity is
//! read from the record before OpenSSL has it, and the key is at hand when it asks.

use std::sync::{Arc, LazyLock, OnceLock};

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslRef};
use wire::credentials::PskKey;

use super::HANDSHAKE;

/// Message type within a record of a handshake.
const CLIENT_KEY_EXCHANGE: u8 = 0x10;

/// A key, and the identity it was looked up for.
pub(super) struct Known {
    pub(super) identity: String,
    pub(super) key: PskKey,
}

/// The key of one handshake, once it is known.
pub(super) type Slot = Arc<OnceLock<Known>>;

static INDEX: LazyLock<Result<Index<Ssl, Slot>, ErrorStack>> = LazyLock::new(Ssl::new_ex_index);

/// Gives a handshake a slot for its key.
pub(super) fn slot(ssl: &mut SslRef) -> Result<Slot, ErrorStack> {
    let slot = Slot::default();
    ssl.set_ex_data(INDEX.clone()?, slot.clone());
    Ok(slot)
}

/// OpenSSL's question for the key of an identity; 0 = there is none.
pub(super) fn key(ssl: &mut SslRef, identity: Option<&[u8]>, out: &mut [u8]) -> Result<usize, ErrorStack> {
    let known = ssl.ex_data(INDEX.clone()?).and_then(|slot| slot.get());
    let known = known.filter(|known| identity == Some(known.identity.as_bytes()));
    let Some((known, room)) = known.and_then(|known| Some((known, out.get_mut(..known.key.len())?))) else {
        return Ok(0);
    };
    room.copy_from_slice(&known.key);
    Ok(known.key.len())
}

/// The identity in the ClientKeyExchange of TLS 1.2, if the records that have come hold a whole one. Without a
/// pre-shared key there is an encrypted secret in its place, which is no text.
///
/// Before it a device that was asked for a certificate sends that, in the same record or in one of its own.
pub(crate) fn offered(mut records: &[u8]) -> Option<&str> {
    while let Some((head, rest)) = records.split_first_chunk::<5>().filter(|(head, _)| head[0] == HANDSHAKE) {
        let (mut messages, behind) =
            rest.split_at_checked(usize::from(u16::from_be_bytes([head[3], head[4]])))?;
        while let Some((head, rest)) = messages.split_first_chunk::<4>() {
            let length = u32::from_be_bytes([0, head[1], head[2], head[3]]);
            let (body, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            if head[0] == CLIENT_KEY_EXCHANGE {
                return identity(body);
            }
            messages = behind;
        }
        records = behind;
    }
    None
}

/// The text at the start of a ClientKeyExchange.
fn identity(body: &[u8]) -> Option<&str> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    std::str::from_utf8(rest.get(..usize::from(u16::from_be_bytes(*length)))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = "dev001|hmacsha256|a1TestPk001&dev001|2524608000000";

    fn record(kind: u8, message: u8, identity: &[u8]) -> Vec<u8> {
        let length = identity.len() as u8;
        let head = [kind, 3, 3, 0, length + 6, message, 0, 0, length + 2, 0, length];
        [&head[..], identity].concat()
    }

    #[test]
    fn an_identity_is_found_where_it_stands_only() {
        let whole = record(HANDSHAKE, CLIENT_KEY_EXCHANGE, IDENTITY.as_bytes());
        assert_eq!(offered(&whole), Some(IDENTITY));
        assert_eq!(offered(&[&whole[..], &[0x14, 3, 3, 0, 1, 1]].concat()), Some(IDENTITY));
        for cut in 0..whole.len() {
            assert_eq!(offered(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(offered(&record(0x17, CLIENT_KEY_EXCHANGE, IDENTITY.as_bytes())), None);
        assert_eq!(offered(&record(HANDSHAKE, 1, IDENTITY.as_bytes())), None);
        assert_eq!(offered(&record(HANDSHAKE, CLIENT_KEY_EXCHANGE, &[0xff; 64])), None);
        assert_eq!(offered(&record(HANDSHAKE, CLIENT_KEY_EXCHANGE, b"")), Some(""));
    }

    #[test]
    fn an_identity_is_found_behind_the_certificate_that_was_asked_for() {
        // One that is empty: there is none.
        let certificate = [11, 0, 0, 3, 0, 0, 0];
        let exchange = record(HANDSHAKE, CLIENT_KEY_EXCHANGE, IDENTITY.as_bytes());
        let own_record = [&[HANDSHAKE, 3, 3, 0, 7][..], &certificate, &exchange].concat();
        assert_eq!(offered(&own_record), Some(IDENTITY));
        let mut same_record = [&exchange[..5], &certificate, &exchange[5..]].concat();
        same_record[4] += 7;
        assert_eq!(offered(&same_record), Some(IDENTITY));
        for bytes in [own_record, same_record] {
            for cut in 0..bytes.len() {
                assert_eq!(offered(&bytes[..cut]), None, "{cut}");
            }
        }
    }
}
