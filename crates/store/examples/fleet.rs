//! Fills a product that is there with devices that have been seen: each was connected once and reported a version of
//! the module `default`. For measuring, since a million devices that really connect take long.
//!
//! `cargo run --release -p otaru-store --example fleet -- DATA_FOLDER sqlite|postgres://… PRODUCT_KEY VERSION COUNT`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool at the desk")]

use otaru_store::devices::NewDevice;
use otaru_store::{Clock, Config, Owner, Store, committer, device_counts, devices, products, statistics};
use rollout::{Changes, DEFAULT_MODULE, Device, Event, EventKind, Id, ModuleVersion};

const CHUNK: i64 = 2_000;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let mut next = |what| args.next().unwrap_or_else(|| panic!("{what} is missing"));
    let (data, database) = (next("the data folder").into(), next("the database"));
    let (product_key, version) = (next("the product's key"), next("the version"));
    let count: i64 = next("the number of devices").parse().unwrap();
    let store = Store::open(Config { data, database, clock: Clock::Database }).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let product = products::find(&mut tx, &product_key).await.unwrap().expect("there is no such product").id;
    tx.rollback().await.unwrap();
    for first in (1..=count).step_by(CHUNK as usize) {
        let ids = first..(first + CHUNK).min(count + 1);
        let mut tx = store.begin().await.unwrap();
        let new: Vec<_> = ids.clone().map(|id| new_device(&store, &product_key, product, id)).collect();
        assert_eq!(devices::create(&mut tx, &new).await.unwrap().len(), new.len());
        let versions = ids.clone().map(|id| reported(id, &version)).collect();
        committer::apply(&mut tx, &Changes { versions, ..Changes::default() }).await.unwrap();
        // Counted as what it was, and not told: there is nobody who would follow it.
        let events = ids.flat_map(|id| happened(product, id, &version)).collect();
        let changes = Changes { events, ..Changes::default() };
        device_counts::note(&mut tx, &changes.events).await.unwrap();
        statistics::note(&mut tx, &changes).await.unwrap();
        tx.commit().await.unwrap();
    }
    store.close().await;
    println!("{count} devices");
}

fn new_device(store: &Store, product_key: &str, product_id: Id, id: Id) -> NewDevice {
    let device = Device {
        id,
        product_id,
        name: format!("fleet-{id:07}"),
        enabled: true,
        first_online_at: Some(0),
        last_online_at: Some(0),
        last_offline_at: Some(0),
        rivalry: None,
        created_at: 0,
    };
    let owner = Owner::Device { product_key, device_name: &device.name };
    let secret = store.keyring().seal(owner, b"0123456789abcdef0123456789abcdef").unwrap();
    NewDevice { device, secret }
}

fn happened(product_id: Id, device: Id, version: &str) -> [Event; 4] {
    let (module, version) = (DEFAULT_MODULE.into(), version.into());
    let kinds = [
        EventKind::DeviceCreated { device_name: String::new() },
        EventKind::DeviceConnected { first: true },
        EventKind::VersionChanged { module, previous: None, version },
        EventKind::DeviceDisconnected,
    ];
    kinds.map(|kind| Event { at: 0, product_id, device_id: Some(device), job_id: None, task_id: None, kind })
}

fn reported(device_id: Id, version: &str) -> ModuleVersion {
    ModuleVersion {
        device_id,
        module: DEFAULT_MODULE.into(),
        version: version.into(),
        epoch: 1,
        first_reported_at: 0,
        reported_at: 0,
        given_up: None,
    }
}
