//! What the log says of devices that are turned away, and of sessions.
#![allow(clippy::unwrap_used)]

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mqtt::{QoS, Version};
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_openssl::SslStream;
use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::certs::{Authority, Pem};
use crate::log::Log;
use crate::pipe_tests::client::{Client, Credentials, bytes};
use crate::pipe_tests::platform::TestPlatform;
use crate::serve::{Door, open};
use crate::{Certificate, Config, Counters, Sessions, Tls};

/// All that is logged on this thread, and so by the runtime of this test.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn capture(level: Level) -> (Self, DefaultGuard) {
        let lines = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .with_writer(lines.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    fn all(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains("otaru_door")).map(str::to_owned).collect()
    }

    /// The lines there are once one holds `part`.
    async fn until(&self, part: &str) -> Vec<String> {
        for _ in 0..2_000 {
            let lines = self.all();
            if lines.iter().any(|line| line.contains(part)) {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no line with {part:?} in {:#?}", self.all())
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

struct House {
    door: Arc<Door<TestPlatform>>,
    address: std::net::SocketAddr,
    served: AbortHandle,
}

impl Drop for House {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl House {
    async fn open() -> Self {
        Self::with(Config { connect_timeout: Duration::from_secs(1), ..Config::default() }).await
    }

    async fn with(config: Config) -> Self {
        Self::with_tls(config, Tls::new(None).unwrap()).await
    }

    async fn with_tls(config: Config, tls: Tls) -> Self {
        let (platform, _) = TestPlatform::new();
        let (sessions, counters, log) = (Sessions::new(), Arc::new(Counters::default()), Log::default());
        let door = Arc::new(Door::new(platform, sessions, config, counters, log, tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = {
            let door = door.clone();
            tokio::spawn(async move { open(&[listener], door).await }).abort_handle()
        };
        Self { door, address, served }
    }

    /// Says `hello` and waits for the end.
    async fn dial(&self, hello: &[u8]) {
        let mut client = Client::new(TcpStream::connect(self.address).await.unwrap());
        client.send(hello).await;
        client.rest().await;
    }

    async fn enter(&self) -> Client<TcpStream> {
        Client::enter(TcpStream::connect(self.address).await.unwrap(), &Credentials::of("dev001")).await
    }
}

fn hello(change: impl FnOnce(&mut Credentials)) -> Vec<u8> {
    let mut credentials = Credentials::of("dev001");
    change(&mut credentials);
    bytes(&credentials.packet())
}

const NAMED: &str = r#"product="a1TestPk001" device="dev001" mqtt="3.1.1""#;

#[tokio::test]
async fn whoever_is_turned_away_has_one_line_that_says_why() {
    let (log, _guard) = Lines::capture(Level::INFO);
    let house = House::open().await;
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (hello(|c| c.client_id = "plain".into()), "the client id has no parameters", NAMED),
        (
            hello(|c| c.client_id = "id|signmethod=sha\n256|".into()),
            r#"unknown sign method "sha\n256""#,
            NAMED,
        ),
        (hello(|c| c.password = b"my secret".to_vec()), "wrong password: it does not fit", NAMED),
        (hello(|c| c.password = Vec::new()), "there is no password", NAMED),
        (
            hello(|c| (c.username, c.password) = (String::new(), Vec::new())),
            "it has neither user name and password nor shown a certificate of its own",
            r#"mqtt="3.1.1""#,
        ),
        (
            hello(|c| c.client_id = "id|authType=id2,signmethod=hmacsha1|".into()),
            "names an authType that is not served",
            NAMED,
        ),
        (hello(|c| c.client_id = "id|authType=connwl|".into()), "wrong device token", NAMED),
        (
            hello(|c| c.client_id = "id|authType=regnwl,random=1|".into()),
            "it wants to register without TLS",
            NAMED,
        ),
        (
            bytes(&Credentials { version: Version::V31, ..Credentials::of("dev009") }.packet()),
            "the device is unknown or disabled",
            r#"device="dev009" mqtt="3.1""#,
        ),
        (
            hello(|c| c.username = "d&a1TestPk001".into()),
            "the user name must read",
            r#"product="a1TestPk001" mqtt="3.1.1""#,
        ),
        (
            b"\x10\x10\0\x04MQTT\x05\x02\0\x3c\0\0\x03abc".to_vec(),
            "the client id has no parameters",
            r#"mqtt="5""#,
        ),
        (
            b"\x10\x13\0\x04MQTT\x05\x02\0\x3c\x03\x23\0\x01\0\x03abc".to_vec(),
            "property 0x23 does not belong into this packet",
            r#"mqtt="5""#,
        ),
        (
            b"\x10\x14\0\x04MQTT\x05\x02\0\x3c\x04\x15\0\x01x\0\x03abc".to_vec(),
            "it asks for an authentication method",
            r#"mqtt="5""#,
        ),
        (
            b"\x10\x15\0\x04MQTT\x05\x02\0\x3c\x05\x27\0\0\0\x1e\0\x03abc".to_vec(),
            "its Maximum Packet Size of 30 bytes",
            r#"mqtt="5""#,
        ),
        (
            b"\x10\x10\0\x04MQTT\x84\x02\0\x3c\0\0\x03abc".to_vec(),
            "protocol level 132 is not served",
            "peer=127.0.0.1:",
        ),
        (
            b"\x10\x0e\0\x06MQIsdp\x04\x02\0\x3c\0\0".to_vec(),
            "protocol name MQIsdp does not belong to level 4",
            "peer=127.0.0.1:",
        ),
        (
            b"\x10\x0c\0\x04MQXX\x04\x02\0\x3c\0\0".to_vec(),
            "the protocol name is not MQTT's",
            "peer=127.0.0.1:",
        ),
        (b"\x16\x03\x01\0".to_vec(), "its TLS handshake was not done within 1 s", "peer=127.0.0.1:"),
        (b"\x16\x03\x01\0\x04\x0e\0\0\0".to_vec(), "its TLS handshake failed: ", "peer=127.0.0.1:"),
        (
            crate::proxy::SIGNATURE.to_vec(),
            "a PROXY header begins as it does, and is taken from listed balancers only",
            "peer=127.0.0.1:",
        ),
        (b"\x30\0".to_vec(), "the first byte is 0x30", "peer=127.0.0.1:"),
        (b"\x10\x20\0\x04MQ".to_vec(), "no whole CONNECT came within 1 s", "peer=127.0.0.1:"),
        (b"GET / HTT".to_vec(), "no whole head of an HTTP request came within 1 s", "peer=127.0.0.1:"),
        (b"GET /x HTTP/1.0\r\n\r\n".to_vec(), "refused: there is no file at this address", "code=404"),
        (b"PUT /x HTTP/1.0\r\n\r\n".to_vec(), "refused: files are fetched with GET", "code=405"),
        (b"GET /x HTTP/1.1\r\n\r\n".to_vec(), "refused: the request has no Host", "code=400"),
        (b"POST /auth/register/device HTTP/1.0\r\n\r\n".to_vec(), "an HTTP request was refused", "code=460"),
    ];
    for (said, (hello, why, who)) in cases.iter().enumerate() {
        house.dial(hello).await;
        let lines = log.until(why).await;
        let line = &lines[said];
        assert!(line.starts_with(" INFO") && line.contains(why) && line.contains(who), "{line}");
        assert_eq!(lines.len(), said + 1);
    }
    house.door.platform.down.store(true, Ordering::Relaxed);
    house.dial(&hello(|_| {})).await;
    log.until("the login cannot be checked at present").await;
    let text = log.all().concat();
    assert!(!text.contains("my secret") && !text.contains(&client_password()), "{text}");
}

/// Shakes hands with TLS 1.2, in vain.
async fn shake(house: &House, arm: impl FnOnce(&mut SslConnectorBuilder)) {
    let mut device = SslConnector::builder(SslMethod::tls_client()).unwrap();
    device.set_verify(SslVerifyMode::NONE);
    device.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    arm(&mut device);
    let ssl = device.build().configure().unwrap().into_ssl("localhost").unwrap();
    let stream = TcpStream::connect(house.address).await.unwrap();
    let mut stream = SslStream::new(ssl, stream).unwrap();
    Pin::new(&mut stream).connect().await.unwrap_err();
}

#[tokio::test]
async fn a_handshake_that_fails_says_what_to_mend() {
    let (log, _guard) = Lines::capture(Level::INFO);
    let authority = Authority::new().unwrap();
    let server = authority.sign_server(&["localhost".parse().unwrap()]).unwrap();
    let ca = authority.to_pem().unwrap().certificate;
    let certificate = Certificate::from_pem(&server.certificate, &server.key).unwrap().trusting(&ca).unwrap();
    let house = House::with_tls(Config::default(), Tls::new(Some(&certificate)).unwrap()).await;
    shake(&house, |device| {
        device.set_cipher_list("PSK-AES128-CBC-SHA").unwrap();
        device.set_psk_client_callback(|_, _, identity, key| {
            identity[..7].copy_from_slice(b"dev001\0");
            key[0] = 1;
            Ok(1)
        });
    })
    .await;
    log.until(r#"its pre-shared key, "dev001", cannot be read; it must read"#).await;
    let stranger = Authority::new().unwrap().sign_device("whatever").unwrap();
    for (Pem { certificate, key }, verdict) in [
        (&stranger, "verify failed: unable to get local issuer certificate; its own certificate must be"),
        (&server, "certificate purpose; its own certificate must be"),
    ] {
        shake(&house, |device| {
            device.set_certificate(&X509::from_pem(certificate).unwrap()).unwrap();
            device.set_private_key(&PKey::private_key_from_pem(key).unwrap()).unwrap();
        })
        .await;
        log.until(verdict).await;
    }
}

fn client_password() -> String {
    String::from_utf8(Credentials::of("dev001").password).unwrap()
}

#[tokio::test]
async fn lines_of_what_comes_through_a_balancer_name_the_device_and_not_the_balancer() {
    let (log, _guard) = Lines::capture(Level::INFO);
    let config = Config {
        balancers: vec!["127.0.0.1".parse().unwrap()],
        max_connections_per_address: Some(0),
        ..Config::default()
    };
    let house = House::with(config).await;
    let header =
        [&crate::proxy::SIGNATURE[..], b"\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\0\x50\0\x51"].concat();
    let cases = [
        (&header[..], "its address has 0 connections already", "peer=192.0.2.7:80"),
        (
            b"\x10\x20",
            "it is listed as a balancer, and it does not begin with a PROXY header",
            "peer=127.0.0.1:",
        ),
    ];
    for (hello, why, peer) in cases {
        house.dial(hello).await;
        let lines = log.until(why).await;
        assert!(lines.iter().any(|line| line.contains(why) && line.contains(peer)), "{lines:#?}");
    }
}

#[tokio::test]
async fn a_port_check_and_a_welcome_device_leave_no_line() {
    let (log, _guard) = Lines::capture(Level::INFO);
    let house = House::open().await;
    TcpStream::connect(house.address).await.unwrap().shutdown().await.unwrap();
    house.enter().await.ping().await;
    assert_eq!(log.all(), [""; 0]);
}

#[tokio::test]
async fn a_flood_leaves_few_lines_and_its_number() {
    const FLOOD: u64 = 300;
    let (log, _guard) = Lines::capture(Level::INFO);
    let house = House::open().await;
    for _ in 0..FLOOD {
        house.dial(b"\x30\0").await;
    }
    let left_out = |line: &String| line.split_once("count=").map(|(_, count)| count.parse::<u64>().unwrap());
    let lines = loop {
        let lines = log.until("count=").await;
        let counted: u64 = lines.iter().map(|line| left_out(line).unwrap_or(1)).sum();
        if counted == FLOOD {
            break lines;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(lines.len() < FLOOD as usize / 2, "{} lines", lines.len());
}

#[tokio::test]
async fn at_debug_a_session_leaves_a_trail() {
    let (log, _guard) = Lines::capture(Level::DEBUG);
    let house = House::open().await;
    let mut client = house.enter().await;
    log.until("a session began").await;
    client.publish("/ota/device/inform/a1TestPk001/dev002", None, b"{}").await;
    log.until("a publish was dropped: the topic is another device's").await;
    client.subscribe(&[("/ota/device/upgrade/a1TestPk001/dev002", QoS::AtLeastOnce)]).await;
    log.until("a subscription was refused").await;
    client.publish("/sys/a1TestPk001/dev001/thing/file/download", None, b"no JSON").await;
    log.until("a block request was dropped").await;
    drop(client);
    let lines = log.until("a session ended").await;
    for line in lines {
        assert!(line.contains(r#"product="a1TestPk001" device="dev001""#), "{line}");
    }
}
