//! What operators upload: device lists, and the heads of firmware files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(devices) = server::csv_devices(bytes, "a1TestPk001") {
        let lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).count();
        assert!(devices.len() <= lines);
        assert!(
            devices.iter().all(|(line, device)| *line > 0 && device.device_secret.as_deref() != Some(""))
        );
    }
    if let Some(version) = server::fuzzing::image_version(bytes) {
        assert!(bytes[0] == 0xE9 && !version.contains('\0'));
        // 32 bytes at most, each of which may become a replacement character.
        assert!(version.len() <= 32 * 3);
    }
});
