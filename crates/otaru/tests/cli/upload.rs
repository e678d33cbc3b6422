//! `otaru package add` over lines that break and a platform that dies.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::Platform;

const SIZE: usize = 5 << 20;

fn file() -> Vec<u8> {
    (0..SIZE as u32).map(|n| (n ^ (n >> 9) ^ (n >> 17)) as u8).collect()
}

/// Passes connections on to a place, and cuts the first few after so many bytes on the way there.
fn line_that_breaks(to: String, cuts: usize, after: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let cut = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&cut);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let platform = TcpStream::connect(&to).unwrap();
            let (mut there, mut back) = (platform.try_clone().unwrap(), client.try_clone().unwrap());
            let mut answers = platform.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            let (mut client, counted) = (client, Arc::clone(&counted));
            std::thread::spawn(move || {
                let (mut sent, mut chunk) = (0, vec![0; 16 * 1024]);
                while let Ok(n @ 1..) = client.read(&mut chunk) {
                    sent += n;
                    if sent > after && counted.load(Ordering::Relaxed) < cuts {
                        counted.fetch_add(1, Ordering::Relaxed);
                        let _ = client.shutdown(std::net::Shutdown::Both);
                        let _ = there.shutdown(std::net::Shutdown::Both);
                        return;
                    }
                    if there.write_all(&chunk[..n]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, cut)
}

fn with_product() -> Platform {
    let platform = Platform::start();
    platform.order(&["product", "add", "Street lamp", "--key", "a1TestPk001"]);
    platform
}

#[test]
fn a_file_comes_whole_over_a_line_that_breaks() {
    let platform = with_product();
    let path = platform.file("lamp.bin", &file());
    let to = platform.url.strip_prefix("http://").unwrap().to_owned();
    let (url, cut) = line_that_breaks(to, 2, 2 << 20);
    let words =
        ["package", "add", "a1TestPk001", path.to_str().unwrap(), "--version", "2.0.0", "--url", &url];
    let package = platform.json(&words);
    assert_eq!(cut.load(Ordering::Relaxed), 2);
    assert_eq!(package["size"], SIZE);
    let again =
        platform.json(&["package", "add", "a1TestPk001", path.to_str().unwrap(), "--version", "2.0.1"]);
    assert_eq!((&again["sha256"], &again["md5"]), (&package["sha256"], &package["md5"]));
}

#[test]
fn run_again_it_goes_on_also_after_the_platform_was_killed() {
    let platform = with_product();
    let path = platform.file("lamp.bin", &file());
    let to = platform.url.strip_prefix("http://").unwrap().to_owned();
    let (url, cut) = line_that_breaks(to, usize::MAX, 3 << 19);
    let words = ["package", "add", "a1TestPk001", path.to_str().unwrap(), "--version", "2.0.0"];
    let mut first = platform.spawn(&[&words[..], &["--url", &url]].concat());
    while cut.load(Ordering::Relaxed) == 0 || sent(&platform) < 1 << 19 {
        std::thread::yield_now();
    }
    // It dies long before it has sent the rest in as small parts.
    first.kill().unwrap();
    first.wait().unwrap();
    let platform = platform.kill_and_restart();
    let kept = sent(&platform);
    assert!((1 << 19..SIZE as u64).contains(&kept), "{kept}");

    let to = platform.url.strip_prefix("http://").unwrap().to_owned();
    // The rest fits through a line that does not let the whole file pass.
    let (url, _) = line_that_breaks(to, usize::MAX, SIZE - (1 << 18));
    let package = platform.json(&[&words[..], &["--url", &url]].concat());
    assert_eq!(package["size"], SIZE);
    assert_eq!(package["sha256"], sha256(&path));
}

/// Bytes of uploads on the platform's disk.
fn sent(platform: &Platform) -> u64 {
    let files = std::fs::read_dir(platform.data().join("blobs")).unwrap();
    files.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// `package add` over a line that breaks, `package show`, and our own device, which fetches and checks every file.
#[test]
fn a_package_of_three_files_reaches_a_device() {
    let platform = Platform::start_for_http();
    platform.order(&["product", "add", "Street lamp", "--key", "a1TestPk001"]);
    let secret = "0123456789abcdef0123456789abcdef";
    platform.order(&["device", "add", "a1TestPk001", "lamp-1", "--secret", secret]);
    let contents = [file(), b"<html>".to_vec(), file()];
    let names = ["app.bin", "web.html", "twin.bin"];
    let paths: Vec<_> = names.iter().zip(&contents).map(|(name, bytes)| platform.file(name, bytes)).collect();
    let to = platform.url.strip_prefix("http://").unwrap().to_owned();
    let (url, cut) = line_that_breaks(to, 2, 2 << 20);
    let mut words = vec!["package", "add", "a1TestPk001"];
    words.extend(paths.iter().map(|path| path.to_str().unwrap()));
    words.extend(["--version", "2.0.0", "--no-verify", "--url", &url]);
    let package = platform.json(&words);
    assert_eq!(cut.load(Ordering::Relaxed), 2);
    assert_eq!(package["size"], 2 * SIZE + 6);
    for (listed, (name, path)) in package["files"].as_array().unwrap().iter().zip(names.iter().zip(&paths)) {
        assert_eq!((&listed["fileName"], &listed["sha256"]), (&(*name).into(), &sha256(path).into()));
    }
    let id = package["id"].as_str().unwrap();
    let shown = platform.order(&["package", "show", id]);
    assert!(names.iter().all(|name| shown.contains(&format!("{name}, "))), "{shown}");

    let start = ["job", "start", id, "--device", "lamp-1"];
    let over_mqtt = platform.run(&start);
    assert!(
        over_mqtt.code == 1 && over_mqtt.err.contains("(with --protocol http) [severalFilesOverMqtt]"),
        "{}",
        over_mqtt.err
    );
    let job = platform.json(&[&start[..], &["--protocol", "http"]].concat());
    let mut device = platform.device("lamp-1", &[]);
    platform.order(&["job", "watch", job["job"]["id"].as_str().unwrap()]);
    assert!(device.wait().unwrap().success());
    let kept = platform.folder.path().join("lamp-1/modules/default.files");
    for (n, content) in contents.iter().enumerate() {
        assert!(std::fs::read(kept.join(n.to_string())).unwrap() == *content, "file {n}");
    }
}

fn sha256(path: &std::path::Path) -> String {
    let done = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(done.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_wrong_image_is_refused_before_all_of_it_is_sent() {
    let platform = with_product();
    let mut image = vec![0; 40 << 20];
    image[0] = 0xE9;
    image[32..36].copy_from_slice(&[0x32, 0x54, 0xCD, 0xAB]);
    image[48..51].copy_from_slice(b"9.9");
    let path = platform.file("esp.bin", &image);
    let words = ["package", "add", "a1TestPk001", path.to_str().unwrap(), "--version", "2.0.0"];
    let done = platform.run(&words);
    assert!(done.code == 1 && done.err.contains("imageVersionDiffers"), "{}", done.err);
    assert!(sent(&platform) < 20 << 20);
    // With the consent it goes on.
    platform.order(&[&words[..], &["--accept-image-version"]].concat());
}
