//! The file door, byte for byte as devices read it (docs/protocol.md 7).

use std::time::Duration;

use crate::common::House;
use crate::common::client::Client;
use crate::common::platform::TestBlob;
use otaru_door::{Config, FileRefusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer as it came over the wire.
struct Answer {
    /// Up to and with the empty line.
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("no end of the head") + 4;
        Self { head: String::from_utf8(bytes[..end].to_vec()).unwrap(), body: bytes[end..].to_vec() }
    }

    /// The status line's code; checks what every answer owes a device.
    fn status(&self) -> u16 {
        assert!(self.head.starts_with("HTTP/1.1 "), "{}", self.head);
        assert_eq!(self.field("Content-Length"), Some(self.body.len().to_string().as_str()), "{}", self.head);
        for line in self.head.split_inclusive("\r\n") {
            assert!(line.len() < 127, "{line}");
        }
        let lower = self.head.to_ascii_lowercase();
        for word in ["transfer-encoding", "content-encoding", "chunked", "location"] {
            assert!(!lower.contains(word), "{}", self.head);
        }
        self.head[9..12].parse().unwrap()
    }

    /// A field whose name is spelt exactly so, with one blank after the colon.
    fn field(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request that ends its connection and gives the answer.
async fn ask(house: &House, method: &str, target: &str, fields: &str) -> Answer {
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:1883\r\nConnection: close\r\n{fields}\r\n");
    let mut client = Client::new(house.dial().await);
    client.send(request.as_bytes()).await;
    Answer::of(&client.rest().await)
}

async fn get(house: &House, target: &str, fields: &str) -> Answer {
    ask(house, "GET", target, fields).await
}

const FIRMWARE: &str = "/files/fw.bin?expires=1&sign=a%2Fb";

async fn house_with_a_file(length: usize) -> (House, Vec<u8>) {
    let house = House::open().await;
    let blob = TestBlob::with_etag(length, "0123abcd");
    let bytes = blob.bytes().to_vec();
    house.platform.file(FIRMWARE, Ok(blob));
    (house, bytes)
}

#[tokio::test]
async fn a_whole_file() {
    let (house, file) = house_with_a_file(200_000).await;
    let answer = get(&house, FIRMWARE, "").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body, file);
    assert_eq!(answer.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(answer.field("ETag"), Some("\"0123abcd\""));
    assert_eq!(answer.field("Content-Type"), Some("application/octet-stream"));
    assert_eq!(answer.field("Content-Range"), None);
    assert!(answer.field("Date").is_some_and(|date| date.ends_with(" GMT")), "{}", answer.head);
    assert_eq!((house.counted("http_requests"), house.counted("http_bytes")), (1, 200_000));
}

#[tokio::test]
async fn the_requests_of_the_official_sdks() {
    let (house, file) = house_with_a_file(10_000).await;
    let link_sdk = "Accept: text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8\r\nRange: bytes=0-\r\nContent-Length: 0\r\n";
    let answer = get(&house, FIRMWARE, link_sdk).await;
    assert!(matches!(answer.status(), 200 | 206));
    assert_eq!(answer.body, file);
    let sdk_3 = "Accept: text/html\r\nAccept-Encoding: gzip, deflate\r\nRange: bytes=4000-\r\n";
    let answer = get(&house, FIRMWARE, sdk_3).await;
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.body, file[4000..]);
    let urllib = "Accept-Encoding: identity\r\nUser-Agent: Python-urllib/3.11\r\n";
    assert_eq!(get(&house, FIRMWARE, urllib).await.body, file);
}

#[tokio::test]
async fn single_ranges() {
    let (house, file) = house_with_a_file(1000).await;
    for (range, content_range, part) in [
        ("bytes=0-", "bytes 0-999/1000", 0..1000),
        ("bytes=100-199", "bytes 100-199/1000", 100..200),
        ("bytes=999-", "bytes 999-999/1000", 999..1000),
        ("bytes=900-5000", "bytes 900-999/1000", 900..1000),
        ("bytes=-10", "bytes 990-999/1000", 990..1000),
    ] {
        let answer = get(&house, FIRMWARE, &format!("Range: {range}\r\n")).await;
        assert_eq!(answer.status(), 206, "{range}");
        assert_eq!(answer.field("Content-Range"), Some(content_range));
        assert_eq!(answer.field("Accept-Ranges"), Some("bytes"));
        assert_eq!(answer.body, file[part]);
    }
}

#[tokio::test]
async fn ranges_that_are_ignored_give_the_whole_file() {
    let (house, file) = house_with_a_file(1000).await;
    for fields in [
        "Range: bytes=0-1,5-6\r\n",
        "Range: bytes=9-3\r\n",
        "Range: pages=1-2\r\n",
        "Range: nonsense\r\n",
        "Range: bytes=0-1\r\nRange: bytes=5-6\r\n",
        "Range: bytes=0-1\r\nIf-Range: \"another\"\r\n",
    ] {
        let answer = get(&house, FIRMWARE, fields).await;
        assert_eq!((answer.status(), answer.field("Content-Range")), (200, None), "{fields}");
        assert_eq!(answer.body, file);
    }
    assert_eq!(get(&house, FIRMWARE, "Range: bytes=0-1\r\nIf-Range: \"0123abcd\"\r\n").await.status(), 206);
}

#[tokio::test]
async fn a_range_beyond_the_end_is_416() {
    let (house, _) = house_with_a_file(1000).await;
    for range in ["bytes=1000-", "bytes=5000-6000", "bytes=-0", "bytes=99999999999999999999999-"] {
        let answer = get(&house, FIRMWARE, &format!("Range: {range}\r\n")).await;
        assert_eq!(answer.status(), 416, "{range}");
        assert_eq!(answer.field("Content-Range"), Some("bytes */1000"));
        assert!(String::from_utf8_lossy(&answer.body).contains("1000 bytes"));
    }
    assert_eq!(house.counted("http_bad_range"), 4);
}

#[tokio::test]
async fn a_file_that_the_client_has_is_not_sent_again() {
    let (house, _) = house_with_a_file(1000).await;
    for known in ["\"0123abcd\"", "W/\"0123abcd\"", "\"x\", \"0123abcd\"", "*"] {
        let answer = get(&house, FIRMWARE, &format!("If-None-Match: {known}\r\nRange: bytes=0-\r\n")).await;
        assert!(answer.head.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{known}: {}", answer.head);
        assert_eq!((answer.field("ETag"), answer.body.len()), (Some("\"0123abcd\""), 0));
    }
    for other in ["\"x\"", "0123abcd", ""] {
        assert_eq!(get(&house, FIRMWARE, &format!("If-None-Match: {other}\r\n")).await.status(), 200);
    }
    // A weak tag does not do for joining parts.
    let weak = "Range: bytes=0-1\r\nIf-Range: W/\"0123abcd\"\r\n";
    assert_eq!(get(&house, FIRMWARE, weak).await.status(), 200);
}

#[tokio::test]
async fn head_tells_what_get_would_send() {
    let (house, _) = house_with_a_file(1000).await;
    house.platform.file("/expired", Err(FileRefusal::Forbidden("the address has expired".to_owned())));
    for (target, status, length) in [(FIRMWARE, "200 OK", "1000"), ("/expired", "403 Forbidden", "24")] {
        let answer = ask(&house, "HEAD", target, "Range: bytes=0-9\r\n").await;
        assert!(answer.head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{}", answer.head);
        assert_eq!((answer.field("Content-Length"), answer.body.len()), (Some(length), 0));
    }
    assert_eq!(house.counted("http_bytes"), 0);
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let (house, _) = house_with_a_file(0).await;
    let answer = get(&house, FIRMWARE, "").await;
    assert_eq!((answer.status(), answer.body.len()), (200, 0));
}

#[tokio::test]
async fn refusals_say_why_in_plain_text() {
    let house = House::open().await;
    house.platform.file("/expired", Err(FileRefusal::Forbidden("the address has expired".to_owned())));
    house.platform.file("/busy", Err(FileRefusal::Unavailable));
    for (target, status, text, counter) in [
        ("/expired", 403, "the address has expired\n", "http_forbidden"),
        (
            "/nothing",
            404,
            "there is no file at this address; a device finds the address of its file in the notice of its upgrade\n",
            "http_not_found",
        ),
        ("/busy", 503, "the file cannot be served at present; try again\n", "http_failed"),
    ] {
        let answer = get(&house, target, "").await;
        assert_eq!(answer.status(), status);
        assert_eq!(String::from_utf8_lossy(&answer.body), text);
        assert_eq!(answer.field("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(house.counted(counter), 1);
    }
}

#[tokio::test]
async fn other_methods_are_told_to_get() {
    let (house, _) = house_with_a_file(1000).await;
    for (method, fields) in
        [("POST", "Content-Length: 3\r\n\r\nabc"), ("PUT", ""), ("DELETE", ""), ("OPTIONS", "")]
    {
        let answer = ask(&house, method, FIRMWARE, fields).await;
        assert_eq!((answer.status(), answer.field("Allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(house.counted("http_bad_method"), 4);
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let (house, file) = house_with_a_file(300).await;
    let request = |end: &str| format!("GET {FIRMWARE} HTTP/1.1\r\nHost: h\r\n{end}\r\n");
    let mut client = Client::new(house.dial().await);
    client
        .send([request("Range: bytes=0-9\r\n"), request("Connection: close\r\n")].concat().as_bytes())
        .await;
    let bytes = client.rest().await;
    let first = Answer::of(&bytes);
    assert!(first.head.starts_with("HTTP/1.1 206 "));
    assert_eq!(first.body[..10], file[..10]);
    let second = Answer::of(&first.body[10..]);
    assert_eq!((second.status(), second.body), (200, file));
}

#[tokio::test]
async fn a_connection_ends_with_the_first_refusal() {
    let (house, _) = house_with_a_file(300).await;
    house.platform.file("/expired", Err(FileRefusal::Forbidden("the address has expired".into())));
    let form = "POST /auth/register/device HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".to_owned();
    let request = |line: &str| format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
    for (request, status) in [
        (request("GET /nothing"), 404),
        (request("GET /expired"), 403),
        (request("DELETE /expired"), 405),
        (form, 200),
    ] {
        let mut client = Client::new(house.dial().await);
        client.send(request.as_bytes()).await;
        let answer = Answer::of(&client.rest().await);
        assert_eq!((answer.status(), answer.field("Connection")), (status, Some("close")), "{request}");
    }
}

#[tokio::test]
async fn a_file_that_breaks_off_ends_the_connection_short() {
    let house = House::open().await;
    house.platform.file("/broken", Ok(TestBlob::broken(200_000, 140_000)));
    let answer = get(&house, "/broken", "").await;
    assert_eq!(answer.field("Content-Length"), Some("200000"));
    assert_eq!(answer.body.len(), 131_072);
    assert_eq!(house.counted("http_failed"), 1);
    house.enter("dev001").await.ping().await;
}

#[tokio::test]
async fn a_request_that_does_not_end_is_closed_and_so_is_an_idle_connection() {
    let house = House::with(Config { connect_timeout: Duration::from_millis(50), ..Config::default() }).await;
    for hello in ["GET / HTT", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let mut client = Client::new(house.dial().await);
        client.send(hello.as_bytes()).await;
        client.rest().await;
        assert_eq!(house.counted("connect_timeout"), 1, "only what was never asked is late");
    }
}

#[tokio::test]
async fn a_head_has_one_deadline_however_it_dawdles() {
    let house =
        House::with(Config { connect_timeout: Duration::from_millis(200), ..Config::default() }).await;
    let start = std::time::Instant::now();
    let mut stream = house.dial().await;
    // A byte in time does not win more time.
    for byte in b"GET / HTTP/1.1\r\nHost: h\r\n".iter().cycle() {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(house.counted("connect_timeout"), 1);
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
    let house = House::with(Config { write_timeout: Duration::from_millis(50), ..Config::default() }).await;
    house.platform.file("/large", Ok(TestBlob::new(64 << 20)));
    let mut stream: TcpStream = house.dial().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    house.await_count("write_timeout", 1).await;
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    assert!(received.len() < 64 << 20);
}
