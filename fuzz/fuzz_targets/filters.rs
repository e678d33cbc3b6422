//! The filter language: what is read is written and read again as the same, what is wrong is told with its place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollout::filter::{Filter, MAX_CONDITIONS, MAX_LENGTH};

fuzz_target!(|text: &str| match Filter::parse(text) {
    Ok(filter) => {
        assert!(filter.conditions().len() <= MAX_CONDITIONS);
        let again = filter.to_string();
        // Escapes may make a text longer than it may be.
        if again.chars().count() <= MAX_LENGTH {
            assert_eq!(Filter::parse(&again), Ok(filter), "{again}");
        }
    }
    Err(error) => assert!((1..=text.chars().count() + 1).contains(&error.at), "{error}"),
});
