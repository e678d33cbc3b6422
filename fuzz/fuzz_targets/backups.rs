//! The reader of backups: no archive is taken for whole unless every checksum says so.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if store::read_backup(bytes).is_ok() {
        let checksums = b"checksums.json";
        assert!(bytes.windows(checksums.len()).any(|window| window == checksums));
    }
});
