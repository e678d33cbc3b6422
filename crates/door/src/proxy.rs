//! The header of the PROXY protocol, version 2: what a balancer sends ahead of a connection's own bytes
//! to say whose they are.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, command, family, length of the rest.
const FIXED: usize = 16;

/// Longest header taken, in bytes: the longest addresses, and room for what balancers add to them.
pub const MAX_LENGTH: usize = 4096;

/// What the first bytes of a connection say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The header is not there yet: it has at least this many bytes.
    Incomplete(usize),
    /// The header ends after `length` bytes.
    Whole {
        /// The header's bytes.
        length: usize,
        /// Where the connection came from, unless the balancer speaks for itself or does not know.
        source: Option<SocketAddr>,
    },
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another protocol, or version 1 of this one.
    #[error("it does not begin with a PROXY header of version 2")]
    Signature,
    /// Neither LOCAL nor PROXY of version 2.
    #[error("its PROXY header has version and command {0:#04x}, and 0x20 or 0x21 are taken")]
    Command(u8),
    /// Not TCP over IPv4 or IPv6, nor a Unix stream, nor unspecified.
    #[error(
        "its PROXY header has address family and transport {0:#04x}, and 0x00, 0x11, 0x21 or 0x31 are taken"
    )]
    Family(u8),
    /// The addresses do not fit into the length given.
    #[error("its PROXY header gives {length} bytes to addresses that need {needed}")]
    TooShort {
        /// Bytes behind the length.
        length: usize,
        /// Bytes of the addresses.
        needed: usize,
    },
    /// Longer than [`MAX_LENGTH`].
    #[error("its PROXY header has {0} bytes, at most {MAX_LENGTH} are taken")]
    TooLong(usize),
}

/// What a family has for addresses.
#[derive(Clone, Copy)]
enum Family {
    Unspecified,
    V4,
    V6,
    Unix,
}

impl Family {
    fn parse(byte: u8) -> Result<Self, Error> {
        match byte {
            0x00 => Ok(Self::Unspecified),
            0x11 => Ok(Self::V4),
            0x21 => Ok(Self::V6),
            0x31 => Ok(Self::Unix),
            _ => Err(Error::Family(byte)),
        }
    }

    /// Bytes of both addresses and ports.
    const fn length(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::V4 => 12,
            Self::V6 => 36,
            Self::Unix => 216,
        }
    }

    fn source(self, addresses: &[u8]) -> Option<SocketAddr> {
        match self {
            Self::V4 => {
                let (ip, rest) = addresses.split_first_chunk::<4>()?;
                Some((Ipv4Addr::from(*ip), port(rest, 4)?).into())
            }
            Self::V6 => {
                let (ip, rest) = addresses.split_first_chunk::<16>()?;
                Some((Ipv6Addr::from(*ip).to_canonical(), port(rest, 16)?).into())
            }
            Self::Unspecified | Self::Unix => None,
        }
    }
}

/// The source's port, behind the destination's address.
fn port(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|port| u16::from_be_bytes(*port))
}

/// Reads the header at the start of `bytes`. What cannot become a header is an error as early as that
/// shows.
pub fn parse(bytes: &[u8]) -> Result<Header, Error> {
    let seen = bytes.len().min(SIGNATURE.len());
    if bytes[..seen] != SIGNATURE[..seen] {
        return Err(Error::Signature);
    }
    let Some(fixed) = bytes.first_chunk::<FIXED>() else { return Ok(Header::Incomplete(FIXED)) };
    let [.., command, family, high, low] = *fixed;
    let rest = usize::from(u16::from_be_bytes([high, low]));
    let length = FIXED + rest;
    if length > MAX_LENGTH {
        return Err(Error::TooLong(length));
    }
    let family = match command {
        // The balancer itself: whatever addresses follow are to be skipped.
        0x20 => Family::Unspecified,
        0x21 => Family::parse(family)?,
        _ => return Err(Error::Command(command)),
    };
    if rest < family.length() {
        return Err(Error::TooShort { length: rest, needed: family.length() });
    }
    match bytes.get(FIXED..length) {
        Some(addresses) => Ok(Header::Whole { length, source: family.source(addresses) }),
        None => Ok(Header::Incomplete(length)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x9c, 0x41, 0x07, 0x5b];

    fn v6(source: Ipv6Addr) -> Vec<u8> {
        [&source.octets()[..], &[0; 16], &[0x9c, 0x41, 0x07, 0x5b]].concat()
    }

    fn source(bytes: &[u8]) -> Option<SocketAddr> {
        match parse(bytes).unwrap() {
            Header::Whole { length, source } if length == bytes.len() => source,
            other => panic!("{other:?} of {} bytes", bytes.len()),
        }
    }

    #[test]
    fn a_connection_over_tcp_has_its_source() {
        assert_eq!(source(&header(0x21, 0x11, &V4)), Some("192.0.2.7:40001".parse().unwrap()));
        let six = header(0x21, 0x21, &v6("2001:db8::7".parse().unwrap()));
        assert_eq!(source(&six), Some("[2001:db8::7]:40001".parse().unwrap()));
        let mapped = header(0x21, 0x21, &v6("::ffff:192.0.2.7".parse().unwrap()));
        assert_eq!(source(&mapped), Some("192.0.2.7:40001".parse().unwrap()));
    }

    #[test]
    fn additions_behind_the_addresses_are_skipped() {
        let additions = [&V4[..], &[0x03, 0, 4, 1, 2, 3, 4], &[0x04, 0, 0]].concat();
        assert_eq!(source(&header(0x21, 0x11, &additions)), Some("192.0.2.7:40001".parse().unwrap()));
        let broken = [&V4[..], &[0x03, 0xff, 0xff]].concat();
        assert_eq!(source(&header(0x21, 0x11, &broken)), Some("192.0.2.7:40001".parse().unwrap()));
    }

    #[test]
    fn the_balancer_itself_a_unix_socket_and_the_unknown_have_none() {
        for whole in [
            header(0x20, 0x00, &[]),
            header(0x20, 0x11, &V4),
            header(0x20, 0xff, &[1]),
            header(0x21, 0x00, &[]),
            header(0x21, 0x00, &V4),
            header(0x21, 0x31, &[b'/'; 216]),
        ] {
            assert_eq!(source(&whole), None);
        }
    }

    #[test]
    fn what_is_no_header_says_why() {
        let long = header(0x21, 0x11, &[0; MAX_LENGTH - 15]);
        for (bytes, error) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 40001 1883\r\n".to_vec(), Error::Signature),
            (b"\x10\x20".to_vec(), Error::Signature),
            (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), Error::Signature),
            (header(0x11, 0x11, &V4), Error::Command(0x11)),
            (header(0x22, 0x11, &V4), Error::Command(0x22)),
            (header(0x21, 0x12, &V4), Error::Family(0x12)),
            (header(0x21, 0x41, &V4), Error::Family(0x41)),
            (header(0x21, 0x11, &V4[..11]), Error::TooShort { length: 11, needed: 12 }),
            (header(0x21, 0x21, &[0; 35]), Error::TooShort { length: 35, needed: 36 }),
            (header(0x21, 0x31, &[0; 215]), Error::TooShort { length: 215, needed: 216 }),
            (long[..16].to_vec(), Error::TooLong(MAX_LENGTH + 1)),
        ] {
            assert_eq!(parse(&bytes), Err(error));
        }
    }

    #[test]
    fn the_longest_header_is_taken() {
        let longest = header(0x21, 0x11, &[&V4[..], &[0; MAX_LENGTH - 28]].concat());
        assert_eq!(longest.len(), MAX_LENGTH);
        assert!(source(&longest).is_some());
    }

    #[test]
    fn a_header_cut_anywhere_asks_for_no_more_than_it_has() {
        let whole = header(0x21, 0x21, &[&v6(Ipv6Addr::LOCALHOST)[..], &[0x04, 0, 1, 7]].concat());
        for cut in 0..whole.len() {
            let needed = if cut < 16 { 16 } else { whole.len() };
            assert_eq!(parse(&whole[..cut]), Ok(Header::Incomplete(needed)));
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_read_within_their_bounds(
            command in prop_oneof![Just(0x20_u8), Just(0x21), any::<u8>()],
            family in prop_oneof![Just(0x11_u8), Just(0x21), any::<u8>()],
            rest in prop::collection::vec(any::<u8>(), 0..300),
            behind in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let whole = header(command, family, &rest);
            let followed = [&whole[..], &behind].concat();
            prop_assert_eq!(parse(&followed), parse(&whole));
            match parse(&whole) {
                Ok(Header::Whole { length, .. }) => prop_assert_eq!(length, whole.len()),
                Ok(Header::Incomplete(_)) => prop_assert!(false, "all bytes are there"),
                Err(_) => {}
            }
        }

        #[test]
        fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Header::Incomplete(needed)) = parse(&bytes) {
                prop_assert!(needed > bytes.len() && needed <= MAX_LENGTH);
            }
        }
    }
}
