//! TLS on the devices' port (docs/protocol.md 1.1), with OpenSSL in the part of the device.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::common::House;
use crate::common::client::{Client, Credentials};
use crate::common::platform::{PRODUCT, PRODUCT_SECRET, SECRET, TestBlob};
use crate::common::websocket;
use futures_util::FutureExt as _;
use mqtt::Packet;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::extension::{BasicConstraints, SubjectKeyIdentifier};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use otaru_door::certs::{Authority, Pem};
use otaru_door::{Certificate, Config, Fingerprint, Tls, TlsError, proxy};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, duplex};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;
use wire::block::Frame;
use wire::credentials::{PskIdentity, SignMethod, Username, registration_sign};

/// What C SDK 4.x uses.
const IDENTITY: &str = "dev001|hmacsha256|a1TestPk001&dev001|2524608000000";

const HOST: &str = "localhost";

struct Certificates {
    ca: Pem,
    server: Pem,
}

/// Making keys takes its time.
static MADE: LazyLock<Certificates> = LazyLock::new(|| {
    let authority = Authority::new().unwrap();
    let server = authority.sign_server(&[HOST.parse().unwrap()]).unwrap();
    Certificates { ca: authority.to_pem().unwrap(), server }
});

fn certificate(pem: &Pem) -> Certificate {
    Certificate::from_pem(&pem.certificate, &pem.key).unwrap()
}

fn tls() -> Tls {
    Tls::new(Some(&certificate(&MADE.server))).unwrap()
}

async fn house() -> House {
    House::with_tls(Config::default(), tls()).await
}

/// A device that trusts the CA and no other.
fn device(version: SslVersion) -> SslConnectorBuilder {
    let mut device = SslConnector::builder(SslMethod::tls_client()).unwrap();
    let mut trusted = X509StoreBuilder::new().unwrap();
    trusted.add_cert(X509::from_pem(&MADE.ca.certificate).unwrap()).unwrap();
    device.set_cert_store(trusted.build());
    device.set_verify(SslVerifyMode::PEER);
    device.set_min_proto_version(Some(version)).unwrap();
    device.set_max_proto_version(Some(version)).unwrap();
    device
}

/// A device of TLS 1.2 that knows this suite and no other.
fn knowing(suite: &str) -> SslConnectorBuilder {
    let mut device = device(SslVersion::TLS1_2);
    device.set_cipher_list(suite).unwrap();
    device
}

/// A device with a pre-shared key.
fn sharing(suite: &str, identity: &'static str, secret: &'static str) -> SslConnectorBuilder {
    let key = PskIdentity::parse(identity).unwrap().key(secret.as_bytes());
    let mut device = knowing(suite);
    device.set_psk_client_callback(move |_, _, identity_out, key_out| {
        identity_out[..identity.len()].copy_from_slice(identity.as_bytes());
        identity_out[identity.len()] = 0;
        key_out[..key.len()].copy_from_slice(&key);
        Ok(key.len())
    });
    device
}

/// Shakes hands over a stream.
async fn shake<S>(stream: S, device: SslConnectorBuilder) -> Result<SslStream<S>, openssl::ssl::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ssl = device.build().configure().unwrap().into_ssl(HOST).unwrap();
    let mut stream = SslStream::new(ssl, stream).unwrap();
    Pin::new(&mut stream).connect().await?;
    Ok(stream)
}

async fn dial(house: &House, device: SslConnectorBuilder) -> SslStream<TcpStream> {
    shake(house.dial().await, device).await.unwrap()
}

async fn is_refused(house: &House, device: SslConnectorBuilder) -> bool {
    shake(house.dial().await, device).await.is_err()
}

async fn enter<S: AsyncRead + AsyncWrite + Unpin>(stream: SslStream<S>) -> Client<SslStream<S>> {
    let mut client = Client::enter(stream, &Credentials::of("dev001")).await;
    client.ping().await;
    client
}

#[tokio::test]
async fn every_suite_of_the_c_sdks_opens_the_door() {
    let house = house().await;
    for suite in ["AES256-SHA256", "AES256-SHA", "AES128-SHA256", "AES128-SHA"] {
        let stream = dial(&house, knowing(suite)).await;
        assert_eq!(stream.ssl().current_cipher().unwrap().name(), suite);
        enter(stream).await;
    }
    assert_eq!(house.counted("tls_handshakes"), 4);
}

#[tokio::test]
async fn newer_devices_get_what_looks_ahead() {
    let house = house().await;
    let stream = dial(&house, knowing("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA")).await;
    assert_eq!(stream.ssl().current_cipher().unwrap().name(), "ECDHE-RSA-AES128-GCM-SHA256");
    enter(stream).await;
    let stream = dial(&house, device(SslVersion::TLS1_3)).await;
    assert_eq!(stream.ssl().version_str(), "TLSv1.3");
    enter(stream).await;
}

#[tokio::test]
async fn a_key_made_of_the_secret_opens_the_door_with_every_suite() {
    let house = house().await;
    for suite in [
        "PSK-AES256-CBC-SHA384",
        "PSK-AES256-CBC-SHA",
        "PSK-AES128-CBC-SHA256",
        "PSK-AES128-CBC-SHA",
        "RSA-PSK-AES256-CBC-SHA384",
        "RSA-PSK-AES256-CBC-SHA",
        "RSA-PSK-AES128-CBC-SHA256",
        "RSA-PSK-AES128-CBC-SHA",
    ] {
        enter(dial(&house, sharing(suite, IDENTITY, SECRET)).await).await;
    }
    assert_eq!((house.counted("tls_handshakes"), house.counted("tls_failed")), (8, 0));
}

#[tokio::test]
async fn a_key_opens_the_door_also_where_certificates_are_asked_for() {
    let house = asking_house().await;
    for suite in ["PSK-AES128-CBC-SHA", "RSA-PSK-AES256-CBC-SHA384", "RSA-PSK-AES128-CBC-SHA"] {
        enter(dial(&house, sharing(suite, IDENTITY, SECRET)).await).await;
    }
}

#[tokio::test]
async fn without_a_certificate_a_pre_shared_key_opens_all_the_same() {
    let house = House::open().await;
    enter(dial(&house, sharing("PSK-AES128-CBC-SHA", IDENTITY, SECRET)).await).await;
    assert!(is_refused(&house, knowing("AES128-SHA")).await);
    assert!(is_refused(&house, device(SslVersion::TLS1_3)).await);
    house.await_count("tls_failed", 2).await;
}

#[tokio::test]
async fn a_wrong_key_and_an_unknown_device_fail_and_a_platform_that_cannot_tell_says_nothing() {
    const UNKNOWN: &str = "dev009|hmacsha256|a1TestPk001&dev009|2524608000000";
    let house = house().await;
    let sharing = |identity, secret| sharing("PSK-AES128-CBC-SHA", identity, secret);
    assert!(is_refused(&house, sharing(IDENTITY, "wrong")).await);
    assert!(is_refused(&house, sharing(UNKNOWN, SECRET)).await);
    house.await_count("tls_failed", 2).await;
    house.platform.down.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(is_refused(&house, sharing(IDENTITY, SECRET)).await);
    house.await_count("connect_unavailable", 1).await;
    assert_eq!(house.counted("tls_failed"), 2);
    house.platform.down.store(false, std::sync::atomic::Ordering::Relaxed);
    enter(dial(&house, sharing(IDENTITY, SECRET)).await).await;
}

#[tokio::test]
async fn what_is_no_tls_or_too_old_is_refused() {
    let house = house().await;
    // The end of a server's hello, a record that is too long, and neither.
    for hello in
        [&[0x16, 3, 1, 0, 4, 0x0e, 0, 0, 0][..], &[0x16, 3, 1, 0xff, 0xff, 0], b"\x16\x03\x01\x00\x05hello"]
    {
        let mut client = Client::new(house.dial().await);
        client.send(hello).await;
        let alert = client.rest().await;
        assert!(alert.first().is_none_or(|kind| *kind == 0x15), "{alert:?}");
    }
    let mut old = device(SslVersion::TLS1_1);
    old.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
    assert!(is_refused(&house, old).await);
    house.await_count("tls_failed", 4).await;
    house.enter("dev001").await;
}

#[tokio::test]
async fn half_a_handshake_has_the_time_of_a_connect_and_no_more() {
    let config = Config { connect_timeout: Duration::from_millis(100), ..Config::default() };
    let house = House::with_tls(config, tls()).await;
    for hello in [&[0x16][..], &[0x16, 3, 1, 2, 0, 1, 0, 1]] {
        let mut client = Client::new(house.dial().await);
        client.send(hello).await;
        assert_eq!(client.rest().await, b"");
    }
    house.await_count("connect_timeout", 2).await;
    let mut left = house.dial().await;
    left.write_all(&[0x16, 3, 1, 2]).await.unwrap();
    drop(left);
    house.await_count("tls_failed", 1).await;
}

/// The first message of a device.
async fn hello() -> Vec<u8> {
    let (near, mut far) = duplex(16 * 1024);
    let mut shaking = Box::pin(shake(near, device(SslVersion::TLS1_3)));
    assert!((&mut shaking).now_or_never().is_none());
    let mut hello = vec![0; 16 * 1024];
    let length = far.read(&mut hello).await.unwrap();
    hello.truncate(length);
    hello
}

#[tokio::test]
async fn handshakes_that_an_address_does_not_end_keep_its_own_waiting_and_nobody_elses() {
    let balancers = vec!["127.0.0.0/8".parse().unwrap()];
    // One origin may have two handshakes that have begun.
    let config = Config { balancers, max_connections: 16, ..Config::default() };
    let (house, hello) = (House::with_tls(config, tls()).await, hello().await);
    let begin = async || {
        let mut stream = behind(&house, 7).await;
        stream.write_all(&hello).await.unwrap();
        stream
    };
    let (mut first, mut second) = (begin().await, begin().await);
    for stream in [&mut first, &mut second] {
        assert_eq!(stream.read_u8().await.unwrap(), 0x16, "an answer");
    }
    let mut third = begin().await;
    enter(shake(behind(&house, 8).await, device(SslVersion::TLS1_3)).await.unwrap()).await;
    assert!(third.read_u8().now_or_never().is_none());
    drop(first);
    assert_eq!(third.read_u8().await.unwrap(), 0x16, "an answer");
}

#[tokio::test]
async fn another_cas_certificate_is_not_trusted_and_the_door_hears_it() {
    let other = Authority::new().unwrap().sign_server(&[HOST.parse().unwrap()]).unwrap();
    let house = House::with_tls(Config::default(), Tls::new(Some(&certificate(&other))).unwrap()).await;
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        assert!(is_refused(&house, device(version)).await);
    }
    house.await_count("tls_failed", 2).await;
}

#[tokio::test]
async fn a_device_registers_over_tls_unless_told_otherwise() {
    let house = house().await;
    let user = Username { device_name: "dev001", product_key: PRODUCT };
    let sign = registration_sign(SignMethod::HmacSha256, PRODUCT_SECRET.as_bytes(), &user, "42");
    let wish = Credentials {
        client_id: "dev001|authType=register,random=42,securemode=2,signmethod=hmacsha256|".into(),
        password: sign.to_string().into_bytes(),
        ..Credentials::of("dev001")
    };
    let mut client = Client::new(dial(&house, knowing("AES128-SHA")).await);
    client.say(&wish.packet()).await;
    assert!(client.receive().await.is_welcome());
    assert_eq!(client.receive().await.publish().topic, "/ext/register");

    let form = format!("productKey={PRODUCT}&deviceName=dev001&random=42&sign={sign}&signMethod=HmacSHA256");
    let head = "POST /auth/register/device HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let mut client = Client::new(dial(&house, device(SslVersion::TLS1_3)).await);
    client.send(format!("{head}Content-Length: {}\r\n\r\n{form}", form.len()).as_bytes()).await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.contains("{\"code\":200,\"data\":") && answer.contains(SECRET), "{answer}");
}

#[tokio::test]
async fn secrets_may_be_sent_over_tls() {
    let house = house().await;
    enter(dial(&house, device(SslVersion::TLS1_3)).await).await;
    house.enter("dev002").await.ping().await;
    assert_eq!(*house.platform.private.lock().unwrap(), [true, false]);
}

/// A connection through a balancer from 192.0.2.`last`.
async fn behind(house: &House, last: u8) -> TcpStream {
    let source = [192, 0, 2, last, 10, 0, 0, 1, 0x9c, 0x41, 0x07, 0x5b];
    let mut stream = house.dial().await;
    stream.write_all(&[&proxy::SIGNATURE[..], &[0x21, 0x11, 0, 12], &source].concat()).await.unwrap();
    stream
}

#[tokio::test]
async fn http_and_a_balancers_header_go_with_tls() {
    let config = Config { balancers: vec!["127.0.0.0/8".parse().unwrap()], ..Config::default() };
    let house = House::with_tls(config, tls()).await;
    house.platform.file("/f", Ok(TestBlob::new(100_000)));
    let mut stream = shake(behind(&house, 7).await, device(SslVersion::TLS1_3)).await.unwrap();
    stream.write_all(b"GET /f HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The door says that it ends, as TLS wants it: otherwise this is an error.
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert!(answer.ends_with(TestBlob::new(100_000).bytes()));
}

#[tokio::test]
async fn a_websocket_goes_through_tls() {
    let house = house().await;
    let blob = TestBlob::new(100_000);
    house.platform.stream(1, 7, Ok(blob.clone()));
    let stream = shake(house.dial().await, device(SslVersion::TLS1_2)).await.unwrap();
    let mut client = Client::enter(websocket::open(stream, 1000).await, &Credentials::of("dev001")).await;
    let request =
        br#"{"id":1,"params":{"fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":100000,"offset":0}}}"#;
    client.publish("/sys/a1TestPk001/dev001/thing/file/download", None, request).await;
    let answer = client.receive().await;
    let Frame::Block { data, .. } = Frame::parse(answer.publish().payload).unwrap() else {
        panic!("no block")
    };
    assert!(data == blob.bytes());
    client.ping().await;
}

/// A stream that remembers what came over it, and sends byte by byte.
struct Tap {
    stream: TcpStream,
    came: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.came.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let one = &bytes[..bytes.len().min(1)];
        Pin::new(&mut self.stream).poll_write(cx, one)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The lengths of the records with data in what came.
fn records(mut came: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = came {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.extend((*kind == 0x17).then_some(length));
        came = &rest[length..];
    }
    lengths
}

/// Fetches a file in one block of 100 000 bytes.
async fn fetch<S: AsyncRead + AsyncWrite + Unpin>(house: &House, stream: SslStream<S>) {
    let blob = TestBlob::new(100_000);
    house.platform.stream(1, 7, Ok(blob.clone()));
    let mut client = enter(stream).await;
    let ask = br#"{"id":"1","params":{"fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":100000,"offset":0}}}"#;
    client.publish("/sys/a1TestPk001/dev001/thing/file/download", None, ask).await;
    let received = client.receive().await;
    match Frame::parse(received.publish().payload).unwrap() {
        Frame::Block { data, .. } => assert!(data == blob.bytes()),
        Frame::Error { json, .. } => panic!("{json}"),
    }
}

#[tokio::test]
async fn a_handshake_in_single_bytes_and_records_no_longer_than_set() {
    // What encryption adds: at most an explicit IV, a MAC and padding.
    const OVERHEAD: usize = 16 + 48 + 16;
    for (most, device) in [
        (16_384, device(SslVersion::TLS1_3)),
        (16_384, knowing("AES256-SHA256")),
        (1_000, knowing("AES128-SHA")),
        (512, device(SslVersion::TLS1_3)),
        (512, sharing("PSK-AES128-CBC-SHA", IDENTITY, SECRET)),
    ] {
        let house = House::with_tls(Config { tls_record: most, ..Config::default() }, tls()).await;
        let tap = Tap { stream: house.dial().await, came: Arc::default() };
        tap.stream.set_nodelay(true).unwrap();
        let came = tap.came.clone();
        let stream = shake(tap, device).await.unwrap();
        let shaken = came.lock().unwrap().len();
        fetch(&house, stream).await;
        let lengths = records(&came.lock().unwrap()[shaken..]);
        let longest = lengths.iter().max().unwrap();
        assert!(*longest <= most + OVERHEAD && *longest > most / 2, "{longest} for {most}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_who_comes_and_ends_nobodys_session() {
    let tls = tls();
    let house = House::with_tls(Config::default(), tls.clone()).await;
    let mut here = enter(dial(&house, device(SslVersion::TLS1_3)).await).await;
    let authority = Authority::from_pem(&MADE.ca).unwrap();
    let renewed = authority.sign_server(&[HOST.parse().unwrap()]).unwrap();
    tls.show(&certificate(&renewed)).unwrap();
    here.ping().await;
    let next = dial(&house, device(SslVersion::TLS1_3)).await;
    assert_eq!(next.ssl().peer_certificate().unwrap().to_pem().unwrap(), renewed.certificate);
    assert_eq!(tls.expires(), Some(2_524_607_999), "the last second of 2049");
}

#[test]
fn what_is_no_certificate_is_told_apart() {
    let Certificates { ca, server } = &*MADE;
    let read = |certificate: &[u8], key: &[u8]| Certificate::from_pem(certificate, key).err().unwrap();
    assert!(matches!(read(b"", &server.key), TlsError::Chain(_)));
    assert!(matches!(read(&server.key, &server.key), TlsError::Chain(_)));
    assert!(matches!(read(&server.certificate, b"nothing"), TlsError::Key(_)));
    assert!(matches!(read(&server.certificate, &ca.key), TlsError::Pair));
}

/// A house that asks for certificates of the CA.
async fn asking_house() -> House {
    let certificate = certificate(&MADE.server).trusting(&MADE.ca.certificate).unwrap();
    House::with_tls(Config::default(), Tls::new(Some(&certificate)).unwrap()).await
}

/// A device with a certificate of its own.
fn bearing(version: SslVersion, pem: &Pem) -> SslConnectorBuilder {
    let mut device = device(version);
    device.set_certificate(&X509::from_pem(&pem.certificate).unwrap()).unwrap();
    device.set_private_key(&PKey::private_key_from_pem(&pem.key).unwrap()).unwrap();
    device
}

fn bind(house: &House, pem: &Pem, name: &'static str) {
    let digest = X509::from_pem(&pem.certificate).unwrap().digest(MessageDigest::sha256()).unwrap();
    house.platform.bearers.lock().unwrap().insert(Fingerprint::try_from(&*digest).unwrap(), name);
}

/// What a device with a certificate shows at CONNECT.
fn silent(username: &str) -> Credentials {
    Credentials {
        client_id: "anything|securemode=2|".into(),
        username: username.into(),
        password: Vec::new(),
        ..Credentials::of("dev001")
    }
}

/// The code of the CONNACK.
async fn refusal(house: &House, device: SslConnectorBuilder, credentials: &Credentials) -> u8 {
    let mut client = Client::new(dial(house, device).await);
    client.say(&credentials.packet()).await;
    match client.receive().await.packet() {
        Packet::ConnAck { code, .. } => code,
        other => panic!("{other:?} is no CONNACK"),
    }
}

#[tokio::test]
async fn a_bound_certificate_opens_the_door_and_its_bearer_is_told_who_it_is() {
    let house = asking_house().await;
    let own = Authority::from_pem(&MADE.ca).unwrap().sign_device("whatever").unwrap();
    bind(&house, &own, "dev002");
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let mut client = Client::enter(dial(&house, bearing(version, &own)).await, &silent("")).await;
        let told = client.receive().await;
        assert_eq!(told.publish().topic, "/ext/auth/identity/response");
        assert_eq!(told.publish().payload, br#"{"productKey":"a1TestPk001","deviceName":"dev002"}"#);
        client.ping().await;
        let named = silent("dev002&a1TestPk001");
        let mut client = Client::enter(dial(&house, bearing(version, &own)).await, &named).await;
        client.ping().await;
    }
    // A secret is as good as before, with a certificate beside it or without.
    enter(dial(&house, bearing(SslVersion::TLS1_3, &own)).await).await;
    enter(dial(&house, device(SslVersion::TLS1_3)).await).await;
}

#[tokio::test]
async fn a_certificate_opens_for_its_own_device_only() {
    let house = asking_house().await;
    let authority = Authority::from_pem(&MADE.ca).unwrap();
    let (own, unbound) = (authority.sign_device("a").unwrap(), authority.sign_device("b").unwrap());
    bind(&house, &own, "dev002");
    let with = |pem| bearing(SslVersion::TLS1_3, pem);
    assert_eq!(refusal(&house, with(&own), &silent("dev001&a1TestPk001")).await, 4);
    assert_eq!(refusal(&house, with(&unbound), &silent("")).await, 5);
    assert_eq!(refusal(&house, with(&unbound), &silent("dev002&a1TestPk001")).await, 5);
    assert_eq!(refusal(&house, device(SslVersion::TLS1_3), &silent("dev002&a1TestPk001")).await, 4);
    assert_eq!(refusal(&house, device(SslVersion::TLS1_3), &silent("")).await, 4);
    house.platform.down.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut client = Client::new(dial(&house, with(&own)).await);
    client.say(&silent("").packet()).await;
    assert!(client.next().await.is_none(), "a good certificate was refused");
}

#[tokio::test]
async fn another_cas_certificate_and_one_for_servers_end_the_handshake() {
    let house = asking_house().await;
    let other = Authority::new().unwrap().sign_device("whatever").unwrap();
    for pem in [&other, &MADE.server] {
        bind(&house, pem, "dev002");
        // In TLS 1.2 the device learns of it within its handshake.
        assert!(is_refused(&house, bearing(SslVersion::TLS1_2, pem)).await);
    }
    house.await_count("tls_failed", 2).await;
}

/// A CA that the CA has signed.
fn intermediate() -> Pem {
    let (root, root_key) = (X509::from_pem(&MADE.ca.certificate).unwrap(), &MADE.ca.key);
    let key = PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "intermediate").unwrap();
    let mut made = X509Builder::new().unwrap();
    made.set_version(2).unwrap();
    made.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).unwrap();
    made.set_subject_name(&name.build()).unwrap();
    made.set_issuer_name(root.subject_name()).unwrap();
    made.set_pubkey(&key).unwrap();
    made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    made.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    let identifier = SubjectKeyIdentifier::new().build(&made.x509v3_context(None, None)).unwrap();
    made.append_extension(identifier).unwrap();
    made.sign(&PKey::private_key_from_pem(root_key).unwrap(), MessageDigest::sha256()).unwrap();
    Pem { certificate: made.build().to_pem().unwrap(), key: key.private_key_to_pem_pkcs8().unwrap() }
}

#[tokio::test]
async fn a_ca_that_is_not_its_own_is_trusted_alone() {
    let intermediate = intermediate();
    let certificate = certificate(&MADE.server).trusting(&intermediate.certificate).unwrap();
    let house = House::with_tls(Config::default(), Tls::new(Some(&certificate)).unwrap()).await;
    let own = Authority::from_pem(&intermediate).unwrap().sign_device("whatever").unwrap();
    bind(&house, &own, "dev002");
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let named = silent("dev002&a1TestPk001");
        Client::enter(dial(&house, bearing(version, &own)).await, &named).await.ping().await;
    }
    let sibling = Authority::from_pem(&MADE.ca).unwrap().sign_device("whatever").unwrap();
    assert!(is_refused(&house, bearing(SslVersion::TLS1_2, &sibling)).await);
}
