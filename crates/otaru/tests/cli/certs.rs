//! Certificates for TLS, made and taken up.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use crate::common::{Done, Platform, otaru, run};

fn certs(folder: &Path, words: &[&str]) -> Done {
    run(otaru().args(["certs", "new"]).args(words).arg("--data").arg(folder))
}

fn made(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join("tls").join(file)).unwrap()
}

#[test]
fn a_certificate_is_replaced_when_asked_and_the_ca_stays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = certs(folder, &["--name", "otaru.example,192.0.2.7"]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.out.contains("otaru.example, 192.0.2.7"), "{}", first.out);
    #[cfg(unix)]
    for (file, mode) in [("ca-key.pem", 0o600), ("server-key.pem", 0o600), ("ca.pem", 0o644)] {
        use std::os::unix::fs::PermissionsExt as _;
        let found = std::fs::metadata(folder.join("tls").join(file)).unwrap().permissions().mode();
        assert_eq!(found & mode, found & 0o777, "{file}");
    }
    let (ca, server) = (made(folder, "ca.pem"), made(folder, "server.pem"));
    let again = certs(folder, &["--name", "otaru.example"]);
    assert!(again.code == 1 && again.err.contains("--replace"), "{}", again.err);
    assert_eq!(made(folder, "server.pem"), server);
    assert_eq!(certs(folder, &["--name", "otaru.example", "--replace"]).code, 0);
    assert_ne!(made(folder, "server.pem"), server);
    assert_eq!(made(folder, "ca.pem"), ca);
    std::fs::write(folder.join("tls/ca-key.pem"), "lost").unwrap();
    let lost = certs(folder, &["--name", "otaru.example", "--replace"]);
    assert!(lost.code == 1 && lost.err.contains("are no CA"), "{}", lost.err);
    for file in ["ca-key.pem", "ca.pem"] {
        let aside = tempfile::tempdir().unwrap();
        std::fs::rename(folder.join("tls").join(file), aside.path().join(file)).unwrap();
        let lost = certs(folder, &["--name", "otaru.example", "--replace"]);
        assert!(
            lost.code == 1 && lost.err.contains(&format!("{file} is missing: bring it back")),
            "{}",
            lost.err
        );
        std::fs::rename(aside.path().join(file), folder.join("tls").join(file)).unwrap();
    }
}

#[test]
fn names_are_needed_and_must_be_names() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&[][..], &["--name", "http://otaru.example"]] {
        assert_eq!(certs(folder.path(), words).code, 2, "{words:?}");
    }
}

#[test]
fn serve_takes_what_lies_in_its_folder_and_says_so_or_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert_eq!(certs(&data, &["--name", "localhost"]).code, 0);
    let platform = Platform::start_in(folder);
    assert!(platform.greeting.contains("with TLS or without"), "{}", platform.greeting);
    let (_, folder) = platform.stop();
    std::fs::copy(data.join("tls/ca-key.pem"), data.join("tls/server-key.pem")).unwrap();
    let refused = run(&mut crate::common::serve(data.as_os_str()));
    assert!(refused.code == 1 && refused.err.contains("not that of the first"), "{}", refused.err);
    let mut half = crate::common::serve(data.as_os_str());
    let half = run(half.arg("--tls-key").arg(data.join("tls/server-key.pem")));
    assert!(half.code == 1 && half.err.contains("set both"), "{}", half.err);
    drop(folder);
}

#[test]
fn our_device_comes_with_tls_and_fetches_with_it() {
    let platform = Platform::start_for_https();
    let secret = "0123456789abcdef0123456789abcdef";
    platform.order(&["product", "add", "Street lamp", "--key", "a1TestPk001"]);
    platform.order(&["device", "add", "a1TestPk001", "lamp-1", "--secret", secret]);
    let content = b"firmware".repeat(50_000);
    let file = platform.file("lamp.bin", &content);
    let words =
        ["package", "add", "a1TestPk001", file.to_str().unwrap(), "--version", "2.0.0", "--no-verify"];
    let package = platform.json(&words);
    let id = package["id"].as_str().unwrap();
    platform.order(&["job", "start", id, "--device", "lamp-1", "--protocol", "http"]);

    let (_, port) = platform.devices.rsplit_once(':').unwrap();
    let ca = platform.data().join("tls/ca.pem");
    let state = platform.folder.path().join("lamp-1");
    let device = |host: &str, more: &[&str]| {
        let host = format!("mqtts://{host}:{port}");
        let words = ["device", "run", "a1TestPk001", "lamp-1", "--secret", secret, "--once", "--host", &host];
        platform.spawn(&[&words[..], &["--state", state.to_str().unwrap()], more].concat())
    };
    let with_ca = ["--ca", ca.to_str().unwrap()];
    // Whose certificate is of no known CA, or for another name, is not told who the device is.
    for (host, more) in [("localhost", &[][..]), ("127.0.0.1", &with_ca)] {
        let mut stranger = device(host, more);
        let told = BufReader::new(stranger.stderr.take().unwrap()).lines().next().unwrap().unwrap();
        assert!(told.contains("offline") && told.contains("TLS fails"), "{told}");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
    let done = device("localhost", &with_ca).wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(std::fs::read(state.join("modules/default.bin")).unwrap() == content);

    // So does a fleet.
    let fleet =
        ["sim", "fleet", "a1TestPk001", "--devices", "1", "--updates", "1", "--host", &platform.devices];
    platform.order(&["device", "add", "a1TestPk001", "sim-00001"]);
    platform.order(&["job", "start", id, "--device", "sim-00001", "--protocol", "http"]);
    let done = platform.run(&[&fleet[..], &with_ca].concat());
    assert_eq!(done.code, 0, "{}", done.err);
}
