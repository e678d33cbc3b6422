//! Databases of earlier schemas become the present one, with their rows.

use rollout::{Job, ModuleVersion, Release, StartClock, Task, TaskState, Terms};

use super::home::Home;
use super::on_both;
use super::sample::{self, JOB, PACKAGE, PRODUCT};
use crate::certificates::{self, DeviceCertificate};
use crate::committer::{self, Keys};
use crate::migrate;
use crate::open::make_folder;
use crate::pools::Pools;
use crate::registrations::{DeviceToken, keep_tokens};
use crate::sql::{Tx, Val};
use crate::{
    Clock, SCHEMA, configurations, device_counts, devices, groups, meta, packages, products, statistics,
    tags, topology,
};

/// Runs `insert into table values (…)`.
async fn insert(tx: &mut Tx, table: &str, values: Vec<Val>) {
    let marks = vec!["?"; values.len()].join(", ");
    tx.exec(format!("insert into {table} values ({marks})"), values).await.unwrap();
}

/// What schema 1 held of a device that is half way through a download.
async fn rows_of_schema_1(tx: &mut Tx) {
    let none = || Val::Int(None);
    let no_text = || Val::Text(None);
    let secret = || Val::from(&b"sealed"[..]);
    let n = Val::from;
    let s = |text: &str| Val::from(text);
    insert(tx, "product", vec![n(PRODUCT), s("a1sample"), s("Lamp"), n(10_000), n(30_000), n(1), secret()])
        .await;
    insert(
        tx,
        "device",
        vec![n(10), n(PRODUCT), s("lamp0010"), n(1), n(2), n(2), none(), n(2), secret(), n(0)],
    )
    .await;
    let file = ["900150983cd24fb0d6963f7d28e17f72", "ba78", "lamp.bin"].map(s);
    let [md5, sha256, name] = file;
    insert(
        tx,
        "package",
        vec![
            n(PACKAGE),
            n(PRODUCT),
            s("Lamp 2"),
            s("default"),
            s("2.0"),
            s("md5"),
            n(3),
            md5,
            sha256,
            name,
            no_text(),
            s("NOT_REQUIRED"),
            n(3),
        ],
    )
    .await;
    insert(
        tx,
        "job",
        vec![
            n(JOB),
            n(PRODUCT),
            n(PACKAGE),
            s("STATIC"),
            s("IN_PROGRESS"),
            s(r#"{"kind":"all"}"#),
            n(1),
            s("mqtt"),
            none(),
            n(1_000),
            n(0),
            no_text(),
            n(4),
            none(),
        ],
    )
    .await;
    insert(tx, "module_version", vec![n(10), s("default"), s("1.0"), n(7), n(20), n(20)]).await;
    insert(tx, "job_count", vec![n(JOB), s("IN_PROGRESS"), n(1)]).await;
    insert(
        tx,
        "task",
        vec![
            n(100),
            n(JOB),
            n(PRODUCT),
            n(PACKAGE),
            n(10),
            s("default"),
            n(1),
            s("IN_PROGRESS"),
            n(40),
            s("1.0"),
            s("2.0"),
            n(1),
            n(1),
            n(7),
            n(20),
            none(),
            none(),
            n(30),
            no_text(),
            n(5),
            n(40),
            n(1),
        ],
    )
    .await;
}

/// A database of schema 1 with its rows, in a transaction.
async fn database_of_schema_1(home: &Home) -> (Pools, Tx) {
    let data = &home.config.data;
    make_folder(data).unwrap();
    let pools = Pools::connect(&home.config, data).await.unwrap();
    let mut tx = pools.begin(Clock::Caller).await.unwrap();
    migrate::migrate(&mut tx, 0, 1).await.unwrap();
    rows_of_schema_1(&mut tx).await;
    (pools, tx)
}

/// A gate as schema 12 kept it: one of two devices told has failed, another is lost.
const GATE_OF_SCHEMA_12: &str = r#"{"wave":0,"openedAt":5,"enoughAt":null,"waves":[{"total":2,"succeeded":0,"failed":1,"lost":1,"canceled":0,"prevented":0}],"offered":2,"succeeded":0,"failed":1,"lostBefore":0,"resumedAt":null,"before":{"total":0,"succeeded":0,"failed":0,"lost":0,"canceled":0,"prevented":0}}"#;

on_both! {
    async fn waves_of_schema_12_go_on(home: Home) {
        let (pools, mut tx) = database_of_schema_1(home).await;
        migrate::migrate(&mut tx, 1, 12).await.unwrap();
        let gate = Val::from(GATE_OF_SCHEMA_12);
        tx.exec("update job set gate = ?, release = 99", vec![gate]).await.unwrap();
        tx.exec("update task set lost = 1, wave = 1", vec![]).await.unwrap();
        tx.commit().await.unwrap();
        pools.close().await;

        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        let keys = Keys { devices: [10].into(), ..Keys::default() };
        let rows = committer::load(&mut tx, &keys, 50).await.unwrap();
        let (job, task) = (&rows.jobs[&JOB], &rows.tasks[&100]);
        assert_eq!(job.release, Some(Release::All { cursor: 99 }));
        let gate = job.gate.as_ref().unwrap();
        assert_eq!((gate.round, gate.offered, gate.waves[0].lost, gate.waves[0].retrying), (0, 2, 1, 0));
        assert_eq!((task.lost_in, task.offered_in, task.failed_in), (Some(0), Some(0), None));
        let waves = |at, upto, cursor| Release::Waves { at, upto, cursor };
        for (release, found) in [(waves(1, 1, 0), vec![100]), (waves(1, 2, 100), vec![]), (waves(0, 0, 0), vec![])] {
            assert_eq!(committer::release_chunk(&mut tx, JOB, release, 9).await.unwrap(), (found, true));
        }
        drop(tx);
        store.close().await;
    }

    async fn a_database_of_schema_1_keeps_its_rows(home: Home) {
        let (pools, tx) = database_of_schema_1(home).await;
        tx.commit().await.unwrap();
        pools.close().await;

        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        assert_eq!(meta::get(&mut tx, "schema").await.unwrap(), Some(SCHEMA.to_string()));
        let found = statistics::versions(&mut tx, PRODUCT, "default", 9).await.unwrap();
        assert_eq!((found.devices, &*found.versions[0].version, found.versions[0].devices), (1, "1.0", 1));
        let counts = device_counts::of(&mut tx, &[PRODUCT]).await.unwrap()[&PRODUCT];
        assert_eq!((counts.all, counts.online, counts.offline(), counts.disabled), (1, 0, 1, 0));
        let keys = Keys { devices: [10].into(), ..Keys::default() };
        let mut rows = committer::load(&mut tx, &keys, 50).await.unwrap();
        let job: Job = rows.jobs.remove(&JOB).unwrap();
        assert_eq!(job.counts.get(TaskState::InProgress), 1);
        assert_eq!(Job { counts: Default::default(), ..job }, sample::job(JOB));
        assert_eq!(sample::job(JOB).terms, Terms::default());
        let task = Task {
            state: TaskState::InProgress,
            progress: 40,
            src_version: Some("1.0".into()),
            pushes: 1,
            told_epoch: 7,
            told_at: Some(20),
            first_progress_at: Some(30),
            begun_at: Some(30),
            heard_at: Some(40),
            stream_id: 1,
            updated_at: 40,
            ..sample::task(100, JOB, 10)
        };
        assert_eq!(rows.tasks[&100], task);
        // What the later schema knows is kept too.
        let later = Task { start_clock: Some(StartClock::Left(9)), furthest: 50, ..task };
        let module = (10, String::from("default"));
        let version = ModuleVersion { given_up: Some("2.0".into()), ..rows.versions[&module].clone() };
        let changes =
            rollout::Changes { tasks: vec![later.clone()], versions: vec![version.clone()], ..Default::default() };
        committer::apply(&mut tx, &changes).await.unwrap();
        let rows = committer::load(&mut tx, &keys, 50).await.unwrap();
        assert_eq!((&rows.tasks[&100], &rows.versions[&module]), (&later, &version));
        let tag = sample::tag(10, "region", "eu");
        tags::set(&mut tx, std::slice::from_ref(&tag)).await.unwrap();
        assert_eq!(tags::of(&mut tx, &[10]).await.unwrap()[&10]["region"], "eu");
        let certificate = DeviceCertificate { device_id: 10, sha256: "0a".into() };
        assert_eq!(certificates::set(&mut tx, &certificate).await.unwrap(), None);
        let bearer = certificates::bearer(&mut tx, "0a").await.unwrap().unwrap();
        assert_eq!((bearer.device, &*bearer.product_key, &*bearer.device_name), (10, "a1sample", "lamp0010"));
        assert_eq!(packages::get(&mut tx, PACKAGE).await.unwrap().unwrap().more_files, []);
        groups::create(&mut tx, &sample::group(3, "north"), 9).await.unwrap();
        assert_eq!(groups::add(&mut tx, 3, &[(10, "lamp0010".into())]).await.unwrap().len(), 1);
        assert_eq!(configurations::devices(&mut tx, &[10]).await.unwrap()[&10].told, 0);
        configurations::put_settings(&mut tx, &configurations::Settings::new(PRODUCT)).await.unwrap();
        let product = products::get(&mut tx, PRODUCT).await.unwrap().unwrap();
        assert_eq!(product.node_type, rollout::NodeType::Device);
        assert!(!product.dynamic_registration && !product.without_pre_registration && product.registration_until.is_none());
        assert_eq!(devices::get(&mut tx, 10).await.unwrap().unwrap().registration_until, None);
        let token = DeviceToken { device_id: 10, client_id: "a".into(), hash: vec![7; 32], created_at: 9 };
        keep_tokens(&mut tx, &[token]).await.unwrap();
        topology::put(&mut tx, &[sample::belonging(11, 10)]).await.unwrap();
        assert_eq!(topology::count(&mut tx, 10).await.unwrap(), 1);
        drop(tx);
        store.close().await;
    }
}
