//! Devices that register with their product's secret: who gets what, once and again.

use crate::common::*;
use door::{Granted, Platform as _, Registration, RegistrationRefusal};
use mqtt::Version;
use otaru_server::rollout::{EventKind, RegistrationScheme};
use otaru_server::{EventFilter, ProductChange, Server};
use wire::credentials::{SignMethod, Username, registration_sign};
use wire::message::{Grant, Registered};

const PK: &str = "a1TestPk001";
const HOUR: i64 = 3_600_000;

/// A product whose devices may register, and its secret.
async fn open_product(world: &World, without_pre_registration: bool) -> String {
    world.product().await;
    set(world, true, without_pre_registration).await;
    world.server.product_secret(PK).await.unwrap()
}

async fn set(world: &World, dynamic_registration: bool, without_pre_registration: bool) {
    let change = ProductChange {
        dynamic_registration: Some(dynamic_registration),
        without_pre_registration: Some(without_pre_registration),
        ..ProductChange::default()
    };
    world.server.change_product(PK, change, |_| Ok(())).await.unwrap();
}

fn sign(product_secret: &str, device_name: &str) -> String {
    let user = Username { device_name, product_key: PK };
    registration_sign(SignMethod::HmacSha256, product_secret.as_bytes(), &user, "42").to_string()
}

/// Registers without a socket.
async fn ask(
    world: &World,
    ps: &str,
    device_name: &str,
    client_id: Option<&str>,
) -> Result<String, RegistrationRefusal> {
    ask_of(&world.server, ps, device_name, client_id).await
}

async fn ask_of(
    server: &Server,
    ps: &str,
    device_name: &str,
    client_id: Option<&str>,
) -> Result<String, RegistrationRefusal> {
    let signature = sign(ps, device_name);
    let registration = Registration {
        product_key: PK,
        device_name,
        random: "42",
        sign_method: SignMethod::HmacSha256,
        signature: signature.as_bytes(),
        client_id,
    };
    server.register(&registration).await.map(|Granted(granted)| granted)
}

/// What devices of these names, which all ask at once, get for the client id `chip`.
async fn ask_at_once(world: &World, ps: &str, names: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let mut asked = tokio::task::JoinSet::new();
    for name in names {
        let (server, ps) = (world.server.clone(), ps.to_owned());
        asked.spawn(async move {
            let token = ask_of(&server, &ps, &name, Some("chip")).await.unwrap();
            (name, token)
        });
    }
    asked.join_all().await
}

/// Registers over a socket; gives the CONNACK's code and what came after it.
async fn register(world: &World, ps: &str, device_name: &str, auth_type: &str) -> (u8, Option<Vec<u8>>) {
    let client_id =
        format!("{device_name}.{PK}|random=42,authType={auth_type},securemode=2,signmethod=hmacsha256|");
    let password = sign(ps, device_name);
    let dialled = Device::try_dial_as(Version::V311, world, device_name, &client_id, &password).await;
    match dialled.unwrap() {
        (mut device, 0) => (0, Some(device.expect("/ext/").await)),
        (_, code) => (code, None),
    }
}

async fn login(world: &World, device_name: &str, client_id: &str, token: &str) -> u8 {
    let client_id = format!("{client_id}|authType=connwl,securemode=-2,_ss=1,ext=3,_v=sdk-c-4.2.0|");
    Device::try_dial_as(Version::V311, world, device_name, &client_id, token).await.unwrap().1
}

/// How often devices have registered, and what all events say.
async fn registrations(world: &World) -> (Vec<(RegistrationScheme, bool)>, String) {
    let all = world.server.events(EventFilter::All, None, 1_000).await.unwrap();
    let kinds: Vec<EventKind> = all.items.into_iter().map(|numbered| numbered.event.kind).collect();
    let text = serde_json::to_string(&kinds).unwrap();
    let registered = kinds.into_iter().filter_map(|kind| match kind {
        EventKind::DeviceRegistered { scheme, again, gateway: None } => Some((scheme, again)),
        _ => None,
    });
    (registered.collect(), text)
}

#[tokio::test]
async fn a_device_made_beforehand_gets_its_secret_until_it_has_used_it() {
    let world = World::new().await;
    world.product().await;
    let ps = world.server.product_secret(PK).await.unwrap();
    let key = world.device("dev001").await;
    assert_eq!(register(&world, &ps, "dev001", "register").await.0, 4, "it is off");
    set(&world, true, false).await;
    assert_eq!(register(&world, "other", "dev001", "register").await.0, 4);
    assert_eq!(register(&world, &ps, "dev009", "register").await.0, 4, "nobody made it");
    assert_eq!(register(&world, &ps, "dev001", "regnwl").await.0, 4, "only for secrets");
    for _ in 0..2 {
        let (code, payload) = register(&world, &ps, "dev001", "register").await;
        assert_eq!(code, 0);
        let payload = payload.unwrap();
        let registered = Registered::parse(&payload).unwrap();
        assert_eq!((registered.product_key(), registered.device_name()), (PK, "dev001"));
        assert!(matches!(registered.grant(), Grant::Secret(secret) if secret.eq_str(&key.secret)));
    }
    // A report is durable, and with it that the device has connected.
    let device = Device::online(&world, &key, "1.0.0").await;
    assert_eq!(register(&world, &ps, "dev001", "register").await.0, 4);
    drop(device);
    let (told, text) = registrations(&world).await;
    assert_eq!(told, [(RegistrationScheme::Register, false); 2]);
    assert!(!text.contains(&key.secret) && !text.contains(&ps), "{text}");
    assert_eq!((world.counter("registrations"), world.counter("refused_registration")), (2, 5));
}

#[tokio::test]
async fn who_was_activated_may_register_again_for_a_while() {
    let world = World::new().await;
    let ps = open_product(&world, false).await;
    for name in ["dev001", "dev002"] {
        let key = world.device(name).await;
        Device::online(&world, &key, "1.0.0").await;
    }
    let refused = Err(RegistrationRefusal::Activated);
    assert_eq!(ask(&world, &ps, "dev001", None).await, refused);
    let view = world.server.allow_device_registration(PK, "dev001", 60).await.unwrap();
    assert_eq!(view.registration_until, Some(world.clock.now() + HOUR));
    world.clock.advance(HOUR - 1);
    assert!(ask(&world, &ps, "dev001", None).await.is_ok());
    assert_eq!(ask(&world, &ps, "dev002", None).await, refused, "it is for one");
    world.clock.advance(1);
    assert_eq!(ask(&world, &ps, "dev001", None).await, refused, "the time is over");

    let product = world.server.allow_product_registration(PK, 60).await.unwrap();
    assert_eq!(product.registration_until, Some(world.clock.now() + HOUR));
    for name in ["dev001", "dev002"] {
        assert!(ask(&world, &ps, name, None).await.is_ok(), "{name}");
    }
    world.server.allow_product_registration(PK, 0).await.unwrap();
    assert_eq!(ask(&world, &ps, "dev001", None).await, refused, "it was ended");
    let (told, _) = registrations(&world).await;
    assert_eq!(told, [(RegistrationScheme::Register, true); 3]);
    for minutes in [-1, 30 * 24 * 60 + 1, i64::MAX] {
        let error = world.server.allow_device_registration(PK, "dev001", minutes).await.unwrap_err();
        assert_eq!(error.code, "minutesInvalid");
    }
}

#[tokio::test]
async fn a_device_that_nobody_made_gets_a_token_and_connects_with_it() {
    let world = World::new().await;
    let ps = open_product(&world, true).await;
    let (code, payload) = register(&world, &ps, "dev001", "regnwl").await;
    assert_eq!(code, 0);
    let payload = payload.unwrap();
    let Grant::Token { client_id, token } = Registered::parse(&payload).unwrap().grant() else { panic!() };
    let (client_id, token) = (client_id.to_string(), token.to_string());
    assert_eq!((&*client_id, token.len()), ("dev001.a1TestPk001", 32));
    assert_eq!(login(&world, "dev001", &client_id, &token).await, 0);
    assert_eq!(login(&world, "dev001", &client_id, &token.to_uppercase()).await, 4);
    assert_eq!(login(&world, "dev001", &client_id, "").await, 4);
    assert_eq!(login(&world, "dev001", "another", &token).await, 4);
    assert_eq!(login(&world, "dev002", &client_id, &token).await, 5);
    let world = world.kill().await;
    assert_eq!(login(&world, "dev001", &client_id, &token).await, 0, "it survives a kill");

    // A device that has lost its token registers as before.
    let newer = ask(&world, &ps, "dev001", Some(&client_id)).await.unwrap();
    assert_eq!(login(&world, "dev001", &client_id, &token).await, 4);
    assert_eq!(login(&world, "dev001", &client_id, &newer).await, 0);
    set(&world, false, false).await;
    assert_eq!(login(&world, "dev001", &client_id, &newer).await, 0, "the switches are for registering");
    world.server.set_device_enabled(PK, "dev001", false).await.unwrap();
    assert_eq!(login(&world, "dev001", &client_id, &newer).await, 5);
    let (told, text) = registrations(&world).await;
    assert_eq!(told.iter().map(|(scheme, _)| *scheme).collect::<Vec<_>>(), [RegistrationScheme::Regnwl; 2]);
    assert!(!text.contains(&token) && !text.contains(&newer), "{text}");
    assert!(text.contains("deviceCreated"));
}

#[tokio::test]
async fn a_device_has_tokens_for_five_client_ids() {
    let world = World::new().await;
    let ps = open_product(&world, true).await;
    let mut tokens = Vec::new();
    for n in 0..5 {
        tokens.push(ask(&world, &ps, "dev001", Some(&format!("chip{n}"))).await.unwrap());
        world.clock.advance(1);
    }
    assert_eq!(ask(&world, &ps, "dev001", Some("chip5")).await, Err(RegistrationRefusal::TooManyTokens));
    tokens[2] = ask(&world, &ps, "dev001", Some("chip2")).await.unwrap();
    world.server.allow_device_registration(PK, "dev001", 1).await.unwrap();
    let sixth = ask(&world, &ps, "dev001", Some("chip5")).await.unwrap();
    assert_eq!(login(&world, "dev001", "chip5", &sixth).await, 0);
    for (n, token) in tokens.iter().enumerate() {
        let code = if n == 0 { 4 } else { 0 };
        assert_eq!(login(&world, "dev001", &format!("chip{n}"), token).await, code, "{n}");
    }
}

#[tokio::test]
async fn a_device_that_uses_its_secret_is_not_taken_over_by_a_token() {
    let world = World::new().await;
    let ps = open_product(&world, true).await;
    let key = world.device("dev001").await;
    Device::online(&world, &key, "1.0.0").await;
    assert_eq!(ask(&world, &ps, "dev001", Some("chip")).await, Err(RegistrationRefusal::Activated));
    world.server.set_device_enabled(PK, "dev001", false).await.unwrap();
    assert_eq!(ask(&world, &ps, "dev001", Some("chip")).await, Err(RegistrationRefusal::Disabled));
    assert_eq!(ask(&world, &ps, "dev001", None).await, Err(RegistrationRefusal::Disabled));
    world.server.remove_device(PK, "dev001").await.unwrap();
    assert!(ask(&world, &ps, "dev001", Some("chip")).await.is_ok(), "it is another device now");
    assert_eq!(ask(&world, "guess", "dev001", Some("chip")).await, Err(RegistrationRefusal::BadSignature));
    assert_eq!(ask(&world, "guess", "nobody", Some("chip")).await, Err(RegistrationRefusal::BadSignature));
}

#[tokio::test]
async fn a_storm_of_registrations_is_taken_together() {
    const DEVICES: usize = 600;
    let world = World::new().await;
    let ps = open_product(&world, true).await;
    let before = transactions(&world);
    let tokens = ask_at_once(&world, &ps, (0..DEVICES).map(|n| format!("dev{n:04}"))).await;
    assert_eq!(tokens.len(), DEVICES);
    let spent = transactions(&world) - before;
    assert!(spent < DEVICES as u64 / 4, "{spent} transactions");
    for (name, token) in tokens.iter().step_by(97) {
        assert_eq!(login(&world, name, "chip", token).await, 0, "{name}");
    }
}

/// Transactions that wrote.
fn transactions(world: &World) -> u64 {
    let families = world.server.metrics();
    let found = families.into_iter().find(|family| family.name == "otaru_commit_duration_seconds").unwrap();
    match found.values {
        otaru_server::Values::Ranges(ranges) => ranges.at_most.last().unwrap().1,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_one_device_that_registers_many_times_at_once_the_last_token_counts() {
    let world = World::new().await;
    let ps = open_product(&world, true).await;
    let tokens = ask_at_once(&world, &ps, (0..6).map(|_| "dev001".into())).await;
    let mut good = 0;
    for (_, token) in &tokens {
        good += usize::from(login(&world, "dev001", "chip", token).await == 0);
    }
    assert_eq!(good, 1);
    assert_eq!(registrations(&world).await.0.len(), 6);
}

#[tokio::test]
async fn nobody_registers_while_the_database_is_lost() {
    let world = World::new().await;
    let ps = open_product(&world, true).await;
    world.lose_database().await;
    assert_eq!(ask(&world, &ps, "dev001", Some("chip")).await, Err(RegistrationRefusal::Unavailable));
}
