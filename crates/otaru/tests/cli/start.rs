//! How a platform starts, or says why not.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use crate::common::{Done, Platform, otaru, run, serve};

fn refused(folder: &tempfile::TempDir) -> Done {
    let done = run(&mut serve(folder.path().join("data").as_os_str()));
    assert_eq!(done.code, 1, "{}", done.err);
    done
}

#[test]
fn the_first_start_tells_what_to_do_next_and_makes_the_token() {
    let platform = Platform::start();
    assert!(platform.greeting.contains("admin-token"), "{}", platform.greeting);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let token = std::fs::metadata(platform.data().join("admin-token")).unwrap();
        assert_eq!(token.permissions().mode() & 0o777, 0o600);
    }
    platform.order(&["product", "add", "Lamp"]);
    let (code, folder) = platform.stop();
    assert_eq!(code, 0);

    let again = Platform::start_in(folder);
    assert_eq!(again.json(&["product", "list"])[0]["name"], "Lamp");
    assert_eq!(again.stop().0, 0);
}

#[test]
fn a_taken_port_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (flag, other) in [("--devices", "--operators"), ("--operators", "--devices")] {
        let mut command = otaru();
        command
            .args(["serve", flag, &address, other, "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"));
        let done = run(&mut command);
        assert_eq!(done.code, 1, "{}", done.err);
        assert!(done.err.contains(&address) && done.err.contains(flag), "{}", done.err);
    }
}

#[test]
fn several_listeners_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve(folder.path().join("data").as_os_str());
    command.args(["--devices", "127.0.0.1:0"]).env("RUST_LOG", "off").stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let devices = lines.find_map(|line| line.ok().filter(|line| line.starts_with("  devices"))).unwrap();
    assert_eq!(devices.matches("127.0.0.1:").count(), 2, "{devices}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The listener tells the gate who asks.
#[test]
fn metrics_are_read_on_this_machine_without_the_token() {
    let platform = Platform::start();
    let get = |path: &str| {
        let address = platform.url.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let metrics = get("/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 ") && metrics.contains("\notaru_sessions 0\n"), "{metrics}");
    assert!(get("/readyz").starts_with("HTTP/1.1 200 "));
    assert!(get("/api/v1/status").starts_with("HTTP/1.1 401 "));
}

#[test]
fn a_folder_in_use_is_told() {
    let platform = Platform::start();
    let done = run(&mut serve(platform.data().as_os_str()));
    assert_eq!(done.code, 1);
    assert!(done.err.contains("in use by another otaru process"), "{}", done.err);
}

#[test]
fn a_folder_with_another_key_or_none_is_told() {
    let (_, folder) = Platform::start().stop();
    let (_, other) = Platform::start().stop();
    let keys = folder.path().join("data/keys");
    std::fs::copy(other.path().join("data/keys"), &keys).unwrap();
    assert!(refused(&folder).err.contains("does not fit the database"));
    std::fs::remove_file(&keys).unwrap();
    assert!(refused(&folder).err.contains("is missing"));
}

#[test]
fn a_folder_of_another_version_is_told() {
    let (_, folder) = Platform::start().stop();
    let config = store::Config {
        data: folder.path().join("data"),
        database: "sqlite".into(),
        clock: store::Clock::default(),
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = store::Store::open(config).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        store::meta::put(&mut tx, "schema", "999").await.unwrap();
        tx.commit().await.unwrap();
        store.close().await;
    });
    let done = refused(&folder);
    assert!(done.err.contains("schema 999"), "{}", done.err);
}

#[test]
fn what_is_no_database_of_ours_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let done = run(serve(folder.path().join("data").as_os_str()).args(["--database", "mysql://x"]));
    assert_eq!(done.code, 2);
    assert!(done.err.contains("postgres://"), "{}", done.err);
}

/// The cause is told, not that a pool's time was up.
#[test]
fn a_postgresql_that_is_not_there_is_told_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://otaru:hunter2@{free}/otaru");
    let done = run(serve(folder.path().join("data").as_os_str()).args(["--database", &url]));
    assert_eq!(done.code, 1, "{}", done.err);
    let told = done.err.to_lowercase();
    assert!(told.contains(&format!("{free} cannot be opened")) && told.contains("refused"), "{told}");
    assert!(!told.contains("pool") && !told.contains("hunter2"), "{told}");
}
