//! Rows to begin with.

use rollout::{
    Device, Id, Job, JobKind, JobState, Package, PackageState, Product, Protocol, Scope, SignMethod, Task,
    TaskState,
};

use crate::configurations::Configuration;
use crate::devices::NewDevice;
use crate::groups::Group;
use crate::tags::DeviceTag;
use crate::topology::Belonging;
use crate::{Owner, Store, Tx, devices, jobs, packages, products};

pub(super) const PRODUCT: Id = 1;
pub(super) const PACKAGE: Id = 5;
pub(super) const JOB: Id = 7;

pub(super) fn product() -> Product {
    Product {
        id: PRODUCT,
        product_key: "a1sample".into(),
        name: "Lamp".into(),
        node_type: rollout::NodeType::Device,
        settle_ms: 10_000,
        grace_ms: 30_000,
        timezone: None,
        dynamic_registration: false,
        without_pre_registration: false,
        registration_until: None,
        created_at: 1,
    }
}

pub(super) fn device(id: Id) -> Device {
    Device {
        id,
        product_id: PRODUCT,
        name: format!("lamp{id:04}"),
        enabled: true,
        first_online_at: None,
        last_online_at: None,
        last_offline_at: None,
        created_at: 2,
        rivalry: None,
    }
}

pub(super) fn belonging(device_id: Id, gateway_id: Id) -> Belonging {
    Belonging { device_id, gateway_id, added_at: 4 }
}

pub(super) fn package() -> Package {
    Package {
        id: PACKAGE,
        product_id: PRODUCT,
        name: "Lamp 2".into(),
        module: "default".into(),
        version: "2.0".into(),
        sign_method: SignMethod::Md5,
        size: 3,
        md5: "900150983cd24fb0d6963f7d28e17f72".into(),
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
        file_name: "lamp.bin".into(),
        more_files: vec![],
        image_version: None,
        src_version: None,
        custom: None,
        state: PackageState::NotRequired,
        created_at: 3,
    }
}

pub(super) fn job(id: Id) -> Job {
    Job {
        id,
        product_id: PRODUCT,
        package_id: PACKAGE,
        kind: JobKind::Static,
        state: JobState::InProgress,
        scope: Scope::All,
        need_push: true,
        protocol: Protocol::Mqtt,
        timeout_ms: None,
        rate_per_minute: 1000,
        next_push_us: 0,
        offered_until_us: 0,
        terms: Default::default(),
        hold: None,
        held_at: None,
        held_ms: 0,
        gate: None,
        work: None,
        release: None,
        created_at: 4,
        closed_at: None,
        ended_at: None,
        counts: Default::default(),
    }
}

pub(super) fn task(id: Id, job_id: Id, device_id: Id) -> Task {
    Task {
        id,
        job_id,
        product_id: PRODUCT,
        package_id: PACKAGE,
        device_id,
        module: "default".into(),
        wave: 0,
        stream_id: u32::try_from(id).unwrap(),
        state: TaskState::Queued,
        progress: 0,
        furthest: 0,
        src_version: None,
        dest_version: "2.0".into(),
        attempt: 1,
        approved: true,
        tries: 1,
        retry_at: None,
        pushes: 0,
        idle_pushes: 0,
        told_epoch: 0,
        told_at: None,
        ready_at: None,
        slot_until: None,
        first_progress_at: None,
        held_before: 0,
        begun_at: None,
        start_clock: None,
        heard_at: None,
        lost_in: None,
        offered_in: None,
        failed_in: None,
        done_at: None,
        device_error: None,
        reason: None,
        created_at: 5,
        updated_at: 5,
    }
}

pub(super) fn tag(device: Id, name: &str, value: &str) -> DeviceTag {
    DeviceTag {
        device_id: device,
        name: name.into(),
        value: value.into(),
        product_id: PRODUCT,
        device_name: self::device(device).name,
    }
}

pub(super) fn group(id: Id, name: &str) -> Group {
    let (description, filter) = (Some("何".into()), None);
    Group { id, product_id: PRODUCT, name: name.into(), description, filter, members: 0, created_at: 1 }
}

pub(super) fn new_device(store: &Store, device: Device) -> NewDevice {
    let owner = Owner::Device { product_key: "a1sample", device_name: &device.name };
    let secret = store.keyring().seal(owner, format!("secret of {}", device.name).as_bytes()).unwrap();
    NewDevice { device, secret }
}

/// A version of the product's configuration.
pub(super) fn configuration(version: i64) -> Configuration {
    Configuration {
        id: 900 + version,
        product_id: PRODUCT,
        version,
        sha256: format!("{version:064x}"),
        size: 3,
        created_at: 40,
    }
}

/// A product, its package, one job and some devices.
pub(super) async fn fill(store: &Store, tx: &mut Tx, device_ids: impl Iterator<Item = Id>) {
    let secret =
        store.keyring().seal(Owner::Product { product_key: "a1sample" }, b"0123456789abcdef").unwrap();
    assert!(products::create(tx, &product(), &secret).await.unwrap());
    let new: Vec<_> = device_ids.map(|id| new_device(store, device(id))).collect();
    assert_eq!(devices::create(tx, &new).await.unwrap().len(), new.len());
    packages::create(tx, &package()).await.unwrap();
    jobs::create(tx, &job(JOB), &[]).await.unwrap();
}
