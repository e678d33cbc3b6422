//! The `Range` header of a download over HTTP: a length of the file, then the header's value.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &str)| {
    let (total, value) = input;
    if let Some((first, length)) = door::fuzzing::range(value, total) {
        let end = first.checked_add(length).expect("a part ends below 2^64");
        assert!(end <= total && (length > 0 || (first, total) == (0, 0)), "{first}+{length} of {total}");
    }
});
