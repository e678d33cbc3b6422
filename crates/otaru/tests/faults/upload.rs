//! An upload that is cut off: by its connection, and by the death of the platform.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::device::PRODUCT;
use crate::process::{Serve, token};

/// Not so small that it would wait in a buffer until its end.
const SIZE: usize = 4 << 20;

#[test]
fn of_an_upload_that_is_cut_off_nothing_remains_and_it_can_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let serve = Serve::start(&data, "sqlite", &log);
    let product = json!({"name": "lamp", "productKey": PRODUCT}).to_string();
    let (status, _) =
        answer(begin(&serve, &data, "products", "application/json", product.len(), product.as_bytes()));
    assert_eq!(status, 201);

    let connection = upload(&serve, &data, SIZE * 8 / 10);
    until(|| uploads(&data) == 1);
    drop(connection);
    until(|| uploads(&data) == 0);

    let connection = upload(&serve, &data, SIZE * 8 / 10);
    until(|| uploads(&data) == 1);
    serve.kill();
    drop(connection);
    assert_eq!(uploads(&data), 1);
    let serve = Serve::start(&data, "sqlite", &log);
    assert_eq!(uploads(&data), 0);

    let (status, package) = answer(upload(&serve, &data, SIZE));
    assert_eq!((status, &package["size"]), (201, &json!(SIZE)), "{package}");
    assert_eq!(serve.stop(), Some(0));
}

/// Sends so much of an upload. Under one key: it is the same order each time.
fn upload(serve: &Serve, data: &Path, sent: usize) -> TcpStream {
    let path = format!("products/{PRODUCT}/packages?version=2.0.0&fileName=lamp.bin");
    begin(serve, data, &path, "application/octet-stream", SIZE, &vec![7; sent])
}

fn begin(serve: &Serve, data: &Path, path: &str, kind: &str, length: usize, body: &[u8]) -> TcpStream {
    let address = serve.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Idempotency-Key: {path}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n",
        token(data)
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> (u16, Value) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// Files that are being written, or were.
fn uploads(data: &Path) -> usize {
    let files = std::fs::read_dir(data.join("blobs")).unwrap();
    files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("upload-")).count()
}

fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it never came to be");
        std::thread::yield_now();
    }
}
