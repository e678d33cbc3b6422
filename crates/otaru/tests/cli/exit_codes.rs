//! 0 done, 1 refused, 2 wrong command line, 3 nobody there.

use crate::common::{Platform, otaru, run};

#[test]
fn a_wrong_command_line_is_2() {
    for words in [
        &["nonsense"][..],
        &["product"],
        &["job", "start", "pkg_1"],
        &["job", "start", "pkg_1", "--all", "--percent", "5"],
        &["job", "verify", "pkg_1"],
        &["job", "tasks", "job_1", "--state", "GOOD"],
        &["serve", "--devices", "nowhere"],
        &["serve", "--public-url", "otaru.example"],
        &["package", "add", "pk", "file"],
    ] {
        let done = run(otaru().args(words));
        assert_eq!(done.code, 2, "{words:?}: {}", done.err);
    }
}

#[test]
fn a_platform_that_is_not_there_is_3() {
    let folder = tempfile::tempdir().unwrap();
    let no_token = run(otaru().args(["product", "list", "--data"]).arg(folder.path()));
    assert_eq!(no_token.code, 3);
    assert!(no_token.err.contains("admin-token does not exist"), "{}", no_token.err);

    // Port 9 is reserved for a service that answers nothing, and is not ours.
    let nobody = run(otaru().args(["product", "list", "--url", "http://127.0.0.1:9", "--token", "x"]));
    assert_eq!(nobody.code, 3);
    assert!(nobody.err.contains("Is `otaru serve` running?"), "{}", nobody.err);
}

#[test]
fn a_fleet_that_cannot_run_is_told_before_its_devices_are_made() {
    for (option, value, told) in [
        ("--block", "5", "256 to 131072"),
        ("--window", "99", "1 to 32"),
        ("--version", "", "the version must be"),
        ("--prefix", "x/", "the device name must be"),
        ("--ca", "/nowhere/ca.pem", "the CA in /nowhere/ca.pem cannot be read"),
    ] {
        let nobody = ["--url", "http://127.0.0.1:9", "--token", "x"];
        let done = run(otaru().args(["sim", "fleet", "a1TestPk001", option, value]).args(nobody));
        assert_eq!(done.code, 1, "{}", done.err);
        assert!(done.err.contains(told), "{}", done.err);
    }
}

#[test]
fn a_refusal_is_1_and_tells_why() {
    let platform = Platform::start();
    platform.order(&["product", "add", "Lamp", "--key", "a1TestPk001"]);
    for (words, word) in [
        (&["product", "add", "Lamp", "--key", "a1TestPk001"][..], "productKeyTaken"),
        (&["product", "show", "nobody"], "productNotFound"),
        (&["device", "credentials", "a1TestPk001", "nobody"], "deviceNotFound"),
        (&["job", "show", "nothing"], "badId"),
        (&["job", "watch", "job_0000000000001"], "jobNotFound"),
        (&["task", "cancel", "tsk_0000000000001"], "taskNotFound"),
        (&["package", "add", "a1TestPk001", "/nowhere/lamp.bin", "--version", "1"], "/nowhere/lamp.bin"),
        (&["package", "add", "a1TestPk001", "/", "--version", "1"], "is not a file"),
        (
            &["package", "add", "a1TestPk001", "a.bin", "/x/b,c.bin", "--version", "1"],
            "/x/b,c.bin has a comma",
        ),
        (&["product", "list", "--token", "wrong"], "wrongToken"),
    ] {
        let done = platform.run(words);
        assert_eq!(done.code, 1, "{words:?}: {}", done.err);
        assert!(done.err.contains(word) && done.out.is_empty(), "{words:?}: {}", done.err);
    }
}

/// An ESP application image that says it is version 9.9.
fn image(size: usize) -> Vec<u8> {
    let mut file = vec![0; size];
    file[0] = 0xE9;
    file[32..36].copy_from_slice(&[0x32, 0x54, 0xCD, 0xAB]);
    file[48..51].copy_from_slice(b"9.9");
    file
}

/// A platform that hangs up in the middle of a file would look like one that is not there.
#[test]
fn a_refused_upload_is_told_however_long_the_file_is() {
    let platform = Platform::start();
    platform.order(&["product", "add", "Lamp", "--key", "a1TestPk001"]);
    let file = platform.file("long.bin", &image(30_000_000));
    let file = file.to_str().unwrap();
    for (words, word) in [
        (&["package", "add", "nobody", file, "--version", "9.9"][..], "productNotFound"),
        (&["package", "add", "a1TestPk001", file, "--version", "9.9", "--token", "x"], "wrongToken"),
        (&["package", "add", "a1TestPk001", file, "--version", "1.0"], "imageVersionDiffers"),
    ] {
        let done = platform.run(words);
        assert_eq!(done.code, 1, "{words:?}: {}", done.err);
        assert!(done.err.contains(word), "{words:?}: {}", done.err);
    }
    let package =
        platform.json(&["package", "add", "a1TestPk001", file, "--version", "1", "--accept-image-version"]);
    assert_eq!(package["imageVersion"], "9.9");
}
