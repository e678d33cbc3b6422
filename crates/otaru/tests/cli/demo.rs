//! `otaru demo`.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use crate::common::{otaru, run};

#[test]
fn the_story_goes_right() {
    let done = run(otaru().args(["demo", "--exit"]));
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    for part in ["All went right", "20 updates of 10 devices", "MB/s", "lamp-07", "re-upgrade"] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
}

/// The first line that has a text; what stands behind the text.
fn after(lines: &mut Lines<BufReader<ChildStdout>>, text: &str) -> String {
    let mut lines = lines.map_while(Result::ok);
    let line =
        lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("the demo ended without {text:?}"));
    line.split_once(text).unwrap().1.trim().to_string()
}

#[test]
fn an_upgrade_waits_for_a_device_of_ones_own() {
    let mut demo = otaru().arg("demo").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let folder = after(&mut lines, "everything it keeps is in");
    let product_key = after(&mut lines, "ProductKey");
    let name = after(&mut lines, "DeviceName");
    let secret = after(&mut lines, "DeviceSecret");
    let host = after(&mut lines, "mqtt://");
    let port = after(&mut lines, "Port");
    after(&mut lines, "waiting for its first report");

    let state = tempfile::tempdir().unwrap();
    let mut device = otaru();
    device.args(["device", "run", &product_key, &name, "--secret", &secret, "--once", "--block", "65536"]);
    let device = run(device.args(["--host", &format!("{host}:{port}"), "--state"]).arg(state.path()));
    assert_eq!(device.code, 0, "{}", device.err);
    after(&mut lines, "the upgrade has succeeded");

    let interrupted = Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert!(demo.wait().unwrap().success());
    assert!(!Path::new(&folder).exists(), "{folder}");
}
