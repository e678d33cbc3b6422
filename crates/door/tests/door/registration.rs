//! Devices that register, over MQTT and over HTTP, byte for byte (docs/protocol.md 2.7, 2.9).

use std::sync::atomic::Ordering;

use crate::common::House;
use crate::common::client::{Client, Credentials, bytes_in, publish};
use crate::common::platform::{PRODUCT, PRODUCT_SECRET};
use mqtt::{Packet, Version};
use otaru_door::Config;
use wire::credentials::{SignMethod, Username, registration_sign};

const RANDOM: &str = "4251869544";
const ACCEPTED: &[u8] = &[0x20, 2, 0, 0];
const BAD_CLIENT_ID: &[u8] = &[0x20, 2, 0, 2];
const UNAVAILABLE: &[u8] = &[0x20, 2, 0, 3];
const BAD_LOGIN: &[u8] = &[0x20, 2, 0, 4];

async fn house() -> House {
    House::with(Config { register_in_clear: true, ..Config::default() }).await
}

fn sign(method: SignMethod, device_name: &str) -> String {
    let user = Username { device_name, product_key: PRODUCT };
    registration_sign(method, PRODUCT_SECRET.as_bytes(), &user, RANDOM).to_string()
}

/// What an official SDK shows.
fn wish(auth_type: &str, device_name: &str) -> Credentials {
    Credentials {
        client_id: format!(
            "{device_name}.{PRODUCT}|random={RANDOM},authType={auth_type},securemode=2,signmethod=hmacsha256|"
        ),
        password: sign(SignMethod::HmacSha256, device_name).into_bytes(),
        ..Credentials::of(device_name)
    }
}

/// All that comes until the device says goodbye and the connection ends.
async fn answer(house: &House, wish: &Credentials) -> Vec<u8> {
    let mut client = Client::speaking(wish.version, house.dial().await);
    client.say(&wish.packet()).await;
    // A device that is refused is not listened to any more.
    let _ = client.try_send(&bytes_in(wish.version, &Packet::GOODBYE)).await;
    client.rest().await
}

fn published(topic: &str, payload: &str) -> Vec<u8> {
    [ACCEPTED, &publish(topic, None, payload.as_bytes())].concat()
}

#[tokio::test]
async fn a_device_made_beforehand_gets_its_secret() {
    let mut house = house().await;
    let payload = r#"{"productKey":"a1TestPk001","deviceName":"dev001","deviceSecret":"0123456789abcdef0123456789abcdef"}"#;
    assert_eq!(answer(&house, &wish("register", "dev001")).await, published("/ext/register", payload));
    assert_eq!((house.counted("registrations"), house.counted("sessions")), (1, 0));
    assert_eq!(house.sessions.online(), 0);
    assert!(house.told.try_recv().is_err(), "it is no session");
}

#[tokio::test]
async fn a_device_gets_a_token_for_the_client_id_it_has_shown() {
    let house = house().await;
    let payload = r#"{"productKey":"a1TestPk001","deviceName":"dev001","clientId":"dev001.a1TestPk001","deviceToken":"token-of-dev001.a1TestPk001"}"#;
    assert_eq!(answer(&house, &wish("regnwl", "dev001")).await, published("/ext/regnwl", payload));
}

#[tokio::test]
async fn parameters_may_stand_in_any_order_and_the_signature_in_either_case() {
    let house = house().await;
    for (client_id, method) in [
        (
            "x|signmethod=hmacsha1,securemode=-2,instanceId=iot-1,authType=register,random=4251869544|",
            SignMethod::HmacSha1,
        ),
        ("|authtype=REGISTER,random=4251869544|", SignMethod::HmacMd5),
        (
            "a.b|random=4251869544,securemode=2,signmethod=HmacSHA256,authType=register",
            SignMethod::HmacSha256,
        ),
    ] {
        let password = sign(method, "dev001").to_uppercase().into_bytes();
        let credentials = Credentials { client_id: client_id.into(), password, ..Credentials::of("dev001") };
        assert_eq!(answer(&house, &credentials).await[..4], *ACCEPTED, "{client_id}");
    }
}

#[tokio::test]
async fn refusals_have_their_codes() {
    let house = house().await;
    let right = wish("register", "dev001");
    let client_id = |client_id: &str| Credentials { client_id: client_id.into(), ..right.clone() };
    for malformed in [
        client_id("x|authType=register,signmethod=hmacsha256|"),
        client_id("x|authType=register,random=4251869544,signmethod=sha256|"),
    ] {
        assert_eq!(answer(&house, &malformed).await, BAD_CLIENT_ID, "{malformed:?}");
    }
    assert_eq!(house.platform.registered.load(Ordering::Relaxed), 0);
    let quoted = "a\"b|authType=regnwl,random=4251869544,signmethod=hmacsha256|";
    for unsendable in [client_id(quoted), wish("register", "quoted")] {
        assert_eq!(answer(&house, &unsendable).await, BAD_CLIENT_ID, "{unsendable:?}");
    }
    for wrong in [
        Credentials { password: b"wrong".to_vec(), ..right.clone() },
        Credentials { password: vec![], ..right.clone() },
        client_id("x|authType=register,random=other,signmethod=hmacsha256|"),
        wish("register", "dev002"),
        wish("register", "dev009"),
        wish("register", "closed"),
        wish("regnwl", "unmade"),
        wish("regnwl", "crowded"),
        wish("register", "banned"),
    ] {
        assert_eq!(answer(&house, &wrong).await, BAD_LOGIN, "{wrong:?}");
    }
    assert_eq!((house.counted("malformed_connect"), house.counted("refused_registration")), (2, 11));
    house.platform.down.store(true, Ordering::Relaxed);
    assert_eq!(answer(&house, &right).await, UNAVAILABLE);
    assert_eq!((house.counted("connect_unavailable"), house.counted("registrations")), (1, 0));
}

#[tokio::test]
async fn nobody_registers_where_others_can_read_the_secret_unless_told() {
    let house = House::open().await;
    assert_eq!(answer(&house, &wish("register", "dev001")).await, BAD_CLIENT_ID);
    let answer = post(&house, &form("dev001", SignMethod::HmacSha1)).await;
    assert!(answer.ends_with(r#"{"code":460,"message":"registration needs https"}"#), "{answer}");
    assert_eq!(house.platform.registered.load(Ordering::Relaxed), 0);
    assert_eq!(house.counted("refused_registration"), 2);
}

#[tokio::test]
async fn a_session_of_the_device_goes_on_and_pings_are_answered_meanwhile() {
    let house = house().await;
    let mut session = house.enter("dev001").await;
    let mut client = Client::new(house.dial().await);
    client.say(&wish("register", "dev001").packet()).await;
    assert!(client.receive().await.is_welcome());
    assert_eq!(client.receive().await.publish().topic, "/ext/register");
    client.ping().await;
    session.ping().await;
    client.publish("/ota/device/inform/a1TestPk001/dev001", Some(1), b"{}").await;
    client.ping().await;
    assert_eq!((house.counted("uplinks"), house.counted("take_over")), (0, 0));
    client.send(&[0xf0, 0xff, 0xff, 0xff, 0x7f]).await;
    assert!(client.rest().await.is_empty(), "closed after what is no packet");
}

#[tokio::test]
async fn mqtt_5_is_spoken_too() {
    let house = house().await;
    let wish = Credentials { version: Version::V5, ..wish("register", "dev001") };
    let mut client = Client::speaking(Version::V5, house.dial().await);
    client.say(&wish.packet()).await;
    assert!(client.receive().await.is_welcome());
    assert!(client.receive().await.publish().payload.starts_with(b"{\"productKey\":"));
    let wrong = Credentials { password: vec![], ..wish.clone() };
    let mut client = Client::speaking(Version::V5, house.dial().await);
    client.say(&wrong.packet()).await;
    assert!(matches!(client.receive().await.packet(), Packet::ConnAck { code: 0x86, .. }));
}

#[tokio::test]
async fn a_token_that_is_wrong_is_told_as_such() {
    let house = house().await;
    let login = Credentials {
        client_id: "dev001.a1TestPk001|authType=connwl,securemode=-2,_ss=1,ext=3|".into(),
        password: b"none".to_vec(),
        ..Credentials::of("dev001")
    };
    assert_eq!(answer(&house, &login).await, BAD_LOGIN);
    assert_eq!(house.counted("bad_password"), 1);
}

fn form(device_name: &str, method: SignMethod) -> String {
    let sign = sign(method, device_name);
    format!("productKey={PRODUCT}&deviceName={device_name}&random={RANDOM}&sign={sign}&signMethod={method}")
}

/// Posts a form as the C SDK 4.x does, and gives the whole answer.
async fn post(house: &House, form: &str) -> String {
    let length = form.len();
    let head = "POST /auth/register/device HTTP/1.1\r\nHost: iot-auth.cn-shanghai.aliyuncs.com\r\n\
                Accept: text/xml,text/javascript,text/html,application/json\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n";
    ask(house, &format!("{head}Content-Length: {length}\r\n\r\n{form}")).await
}

async fn ask(house: &House, request: &str) -> String {
    let mut client = Client::new(house.dial().await);
    let _ = client.try_send(request.as_bytes()).await;
    String::from_utf8(client.rest().await).unwrap()
}

#[tokio::test]
async fn over_http_the_answer_is_as_sdks_search_it() {
    let house = house().await;
    for method in SignMethod::ALL {
        let answer = post(&house, &form("dev001", method)).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
        assert_eq!(
            body,
            r#"{"code":200,"data":{"productKey":"a1TestPk001","deviceName":"dev001","deviceSecret":"0123456789abcdef0123456789abcdef"},"message":"success"}"#
        );
        assert!(body.len() < 192);
    }
    assert_eq!((house.counted("registrations"), house.counted("http_requests")), (3, 3));
}

#[tokio::test]
async fn over_http_every_refusal_has_its_code() {
    let house = house().await;
    let right = form("dev001", SignMethod::HmacMd5);
    for (form, code) in [
        (right.replace("sign=", "sign=0"), 6600),
        (right.replace("hmacmd5", "sha256"), 6292),
        (right.replace("&signMethod=hmacmd5", ""), 200),
        (right.replace("&random", "&rnd"), 460),
        (right.replace("dev001", "d"), 460),
        (form("dev002", SignMethod::HmacMd5), 6289),
        (form("dev009", SignMethod::HmacMd5), 6100),
        (form("banned", SignMethod::HmacMd5), 6204),
        (right.replace(PRODUCT, "another"), 6250),
        (form("closed", SignMethod::HmacMd5), 6288),
        (form("quoted", SignMethod::HmacMd5), 500),
        (String::new(), 460),
    ] {
        let answer = post(&house, &form).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(&format!("\r\n\r\n{{\"code\":{code},")), "{form}: {answer}");
    }
    let long = format!("{right}&x={}", "y".repeat(8192));
    assert!(post(&house, &long).await.starts_with("HTTP/1.1 413 "));
    house.platform.down.store(true, Ordering::Relaxed);
    assert!(post(&house, &right).await.contains("{\"code\":500,"));
}

#[tokio::test]
async fn other_ways_to_the_place_of_registration_are_those_of_a_file() {
    let house = house().await;
    let request =
        |line: &str| format!("{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(ask(&house, &request("GET /auth/register/device")).await.starts_with("HTTP/1.1 404 "));
    assert!(ask(&house, &request("POST /auth/register")).await.starts_with("HTTP/1.1 405 "));
    assert!(ask(&house, &request("POST /auth/register/device?x=1")).await.contains("{\"code\":460,"));
}

#[tokio::test]
async fn over_http_who_registers_too_often_is_told_so() {
    let house = house().await;
    let wish = wish("register", "dev001");
    let mut waiting = Vec::new();
    for n in 0..13 {
        let mut client = Client::new(house.dial().await);
        client.say(&wish.packet()).await;
        // Each of these in its turn; the last three wait, for 7 seconds at most.
        if n < 10 {
            assert!(client.receive().await.is_welcome());
        } else {
            house.await_count("throttled", n - 9).await;
        }
        waiting.push(client);
    }
    let answer = post(&house, &form("dev001", SignMethod::HmacSha1)).await;
    assert!(answer.contains("{\"code\":429,"), "{answer}");
}

#[tokio::test]
async fn a_form_may_come_in_pieces_and_another_request_behind_it() {
    let house = house().await;
    let form = form("dev001", SignMethod::HmacSha256);
    let head = |line: &str, fields: &str| format!("{line} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let post = head("POST /auth/register/device", &format!("Content-Length: {}\r\n", form.len())) + &form;
    let (first, second) = post.split_at(post.len() - 20);
    let mut client = Client::new(house.dial().await);
    client.send(first.as_bytes()).await;
    let last = head("GET /nothing", "Connection: close\r\n");
    client.send(format!("{second}{post}{last}").as_bytes()).await;
    let answers = String::from_utf8(client.rest().await).unwrap();
    let statuses: Vec<&str> =
        answers.lines().filter_map(|line| line.split_once("HTTP/1.1 ").map(|(_, status)| status)).collect();
    assert_eq!(statuses, ["200 OK", "200 OK", "404 Not Found"], "{answers}");
    assert_eq!(answers.matches("{\"code\":200,").count(), 2, "{answers}");
}
