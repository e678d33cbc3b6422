//! The header of the PROXY protocol, as it comes from a balancer, in one piece or in two.
#![no_main]

use door::fuzzing::proxy::{Header, MAX_LENGTH, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match parse(bytes) {
        Ok(Header::Whole { length, .. }) => {
            assert!(length <= bytes.len() && length <= MAX_LENGTH);
            // What follows it changes nothing, and no part of it is a header.
            assert_eq!(parse(&bytes[..length]), parse(bytes));
            for cut in [0, length / 2, length - 1] {
                let Ok(Header::Incomplete(needed)) = parse(&bytes[..cut]) else { panic!("whole at {cut}") };
                assert!(cut < needed && needed <= length);
            }
        }
        Ok(Header::Incomplete(needed)) => assert!(bytes.len() < needed && needed <= MAX_LENGTH),
        // More bytes make it no better.
        Err(error) => assert_eq!(parse(&[bytes, b"\r\n"].concat()), Err(error)),
    }
});
