//! Requests that are none, or that two readers of the same bytes could take for different ones: each is
//! refused with the reason, and nothing behind it is taken for another request.

use crate::common::House;
use crate::common::client::Client;
use crate::common::platform::TestBlob;
use tokio::io::AsyncWriteExt as _;

const OTHER: &str = "GET /other HTTP/1.1\r\nHost: h\r\n\r\n";

async fn house() -> House {
    let house = House::open().await;
    house.platform.file("/file", Ok(TestBlob::new(10)));
    house.platform.file("/other", Ok(TestBlob::new(20)));
    house
}

/// All that comes for some bytes until the connection ends.
async fn answers(house: &House, bytes: &[u8]) -> String {
    let mut client = Client::new(house.dial().await);
    // The answer may come, and the connection go, before all is sent.
    let _ = client.stream.write_all(bytes).await;
    let _ = client.stream.shutdown().await;
    String::from_utf8_lossy(&client.rest().await).into_owned()
}

#[tokio::test]
async fn what_is_ambiguous_is_refused() {
    let house = house().await;
    for (head, status, why) in [
        ("GET /file HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411, "Content-Length"),
        ("GET /file HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411, ""),
        ("GET /file HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 411, ""),
        ("GET /file HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", 411, ""),
        ("GET /file HTTP/1.1\r\ntransfer-encoding:\tchunked\r\n\r\n0\r\n\r\n", 411, ""),
        ("GET /file HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "single number"),
        ("GET /file HTTP/1.1\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\nabc", 400, "single number"),
        ("GET /file HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc", 400, "single number"),
        ("GET /file HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc", 400, "single number"),
        ("GET /file HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc", 400, "single number"),
        ("GET /file HTTP/1.1\r\nContent-Length:\r\n\r\n", 400, "single number"),
        ("GET /file HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "single number"),
        ("GET /file HTTP/1.1\nHost: h\n\n", 400, "CR LF"),
        ("GET /file HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400, "CR LF"),
        ("GET /file HTTP/1.1\r\nHost: h\r\n\n", 400, "CR LF"),
        ("GET /file HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400, "no HTTP"),
        ("GET /file HTTP/1.1\r\n\tHost: a\r\n\r\n", 400, "no HTTP"),
        ("GET /file HTTP/1.1\r\nHost : a\r\n\r\n", 400, "no HTTP"),
        ("GET /file HTTP/1.1\r\nContent-Length : 4\r\n\r\nabcd", 400, "no HTTP"),
        ("GET /file HTTP/1.1\r\nHost\r\n\r\n", 400, "no HTTP"),
        ("GET /file HTTP/1.1\r\n: a\r\n\r\n", 400, "no HTTP"),
        ("GET /file HTTP/1.1\r\nHost: a\0b\r\n\r\n", 400, "no HTTP"),
        ("GET /file HTTP/1.1\r\nHost: a\rContent-Length: 4\r\n\r\n", 400, "no HTTP"),
        ("GET /fi\0le HTTP/1.1\r\n\r\n", 400, "no HTTP"),
        ("GET  /file HTTP/1.1\r\n\r\n", 400, "no HTTP"),
        ("GET /file  HTTP/1.1\r\n\r\n", 505, "HTTP/1.1"),
        ("GET /file with blanks HTTP/1.1\r\n\r\n", 505, "HTTP/1.1"),
        ("GET /file\r\n\r\n", 400, "no HTTP"),
        ("G\0T /file HTTP/1.1\r\n\r\n", 400, "no HTTP"),
        ("GET /file HTTP/2.0\r\n\r\n", 505, "HTTP/1.1"),
        ("GET /file HTTP/1.2\r\n\r\n", 505, "HTTP/1.1"),
        ("GET file HTTP/1.1\r\n\r\n", 400, "target"),
        ("CONNECT h:443 HTTP/1.1\r\n\r\n", 400, "target"),
        ("OPTIONS * HTTP/1.1\r\n\r\n", 400, "target"),
        ("GET /file HTTP/1.1\r\n\r\n", 400, "no Host"),
        ("GET /file HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "no Host"),
        ("POST /file HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n", 413, "4096"),
    ] {
        let answer = answers(&house, format!("{head}{OTHER}").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n") && answer.contains(why), "{head:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count() - answer.matches("HTTP/1.1 and").count(),
            1,
            "{answer}"
        );
    }
    assert_eq!(house.counted("http_bytes"), 0);
}

#[tokio::test]
async fn what_is_too_long_is_refused_before_it_ends() {
    let house = house().await;
    let many = format!("GET /file HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65));
    let (path, value) =
        (format!("GET /{}", "a".repeat(20_000)), format!("GET /file HTTP/1.1\r\nA: {}", "b".repeat(20_000)));
    let names = format!("GET /file HTTP/1.1\r\n{}: ", "A".repeat(20_000));
    for bytes in [many, path, value, names] {
        let answer = answers(&house, bytes.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(house.counted("http_bad_request"), 4);
}

#[tokio::test]
async fn a_body_is_passed_over_and_the_next_request_is_found() {
    let house = house().await;
    for (body, close) in [("", ""), ("abc", ""), ("GET /file HTTP/1.1\r\n\r\n", "")] {
        let first =
            format!("GET /file HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n{close}\r\n{body}", body.len());
        let answers = answers(&house, format!("{first}\r\n{OTHER}").as_bytes()).await;
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
        assert_eq!(answers.matches("Content-Length: 10\r\n").count(), 1, "{answers}");
        assert_eq!(answers.matches("Content-Length: 20\r\n").count(), 1, "{answers}");
    }
}

#[tokio::test]
async fn requests_in_a_row_wait_their_turn() {
    let house = house().await;
    let answers = answers(&house, OTHER.repeat(2000).as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2000);
}

#[tokio::test]
async fn paths_are_taken_as_they_are() {
    let house = house().await;
    for target in [
        "/./file",
        "//file",
        "/x/../file",
        "/file/",
        "/file?",
        "/file#",
        "/%66ile",
        "/file%00",
        "/..%2ffile",
        "/FILE",
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..\\..\\etc\\passwd",
        "/file;x",
    ] {
        let answer = answers(&house, format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{target}: {answer}");
    }
}

#[tokio::test]
async fn what_an_old_client_or_a_proxy_sends_is_served() {
    let house = house().await;
    for request in [
        "GET /file HTTP/1.0\r\n\r\n",
        "GET http://otaru.example:1883/file HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\r\n",
    ] {
        let answer = answers(&house, format!("{request}{OTHER}").as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("Connection: close"),
            "{answer}"
        );
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "nothing behind the last request is served: {answer}"
        );
    }
}
