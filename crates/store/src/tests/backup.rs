use std::io::{Cursor, Read};

use bytes::Bytes;
use rollout::{Changes, Event, EventKind, ModuleVersion, Package, PackageFile, Session, Timer};

use super::explain::counted;
use super::home::Home;
use super::on_both;
use super::sample::{self, JOB, PRODUCT};
use crate::certificates::{self, DeviceCertificate};
use crate::committer;
use crate::configurations::{Configuration, Settings};
use crate::devices::Claimant;
use crate::idempotency::{self, Answered};
use crate::record::{column_list, tables};
use crate::registrations::{DeviceToken, keep_tokens};
use crate::sql::Row;
use crate::{
    Config, ImportError, OpenError, SCHEMA, Store, configurations, device_counts, devices, groups, import,
    jobs, packages, statistics, tags, topology,
};

/// Something in every table.
async fn filled(home: &Home) -> Store {
    let store = home.open().await;
    let mut writer = store.blobs().create().await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    let stored = writer.finish().await.unwrap();
    let mut writer = store.blobs().create().await.unwrap();
    writer.write(Bytes::from_static(b"def")).await.unwrap();
    let second = writer.finish().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    sample::fill(&store, &mut tx, 10..20).await;
    let more =
        PackageFile { name: "b".into(), size: 3, md5: second.md5.clone(), sha256: second.sha256.clone() };
    let several = Package { id: 6, more_files: vec![more], ..sample::package() };
    packages::create(&mut tx, &several).await.unwrap();
    jobs::create(&mut tx, &sample::job(8), &[10, 11]).await.unwrap();
    let version = ModuleVersion {
        device_id: 10,
        module: "default".into(),
        version: "\"1\"\n版本".into(),
        epoch: -1,
        first_reported_at: i64::MAX,
        reported_at: i64::MIN,
        given_up: Some("2.0".into()),
    };
    let kind = EventKind::DeviceConnected { first: true };
    let event = Event { at: 77, product_id: PRODUCT, device_id: Some(10), job_id: None, task_id: None, kind };
    let changes = Changes {
        tasks_new: vec![sample::task(100, JOB, 10)],
        counts: [((JOB, rollout::TaskState::Queued), 1)].into(),
        sessions: vec![Session { device_id: 10, epoch: 1, connected_at: 1 }],
        versions: vec![version],
        timers: [(Timer::Push(JOB), Some(5))].into(),
        events: vec![event; 6000],
        ..Changes::default()
    };
    committer::apply(&mut tx, &changes).await.unwrap();
    statistics::note(&mut tx, &counted()).await.unwrap();
    device_counts::note(&mut tx, &changes.events[..2]).await.unwrap();
    committer::reserve_streams(&mut tx, 41).await.unwrap();
    let answered = Answered { request_hash: "h".into(), response: "r".into(), at: 1 };
    idempotency::put(&mut tx, "k", &answered).await.unwrap();
    tags::set(&mut tx, &[sample::tag(10, "region", "欧洲")]).await.unwrap();
    let certificate = DeviceCertificate { device_id: 10, sha256: "0a".into() };
    certificates::set(&mut tx, &certificate).await.unwrap();
    let token = DeviceToken { device_id: 10, client_id: "灯".into(), hash: vec![0, 255], created_at: 9 };
    keep_tokens(&mut tx, &[token]).await.unwrap();
    groups::create(&mut tx, &sample::group(3, "北"), 9).await.unwrap();
    groups::add(&mut tx, 3, &[(10, "lamp0010".into())]).await.unwrap();
    let configuration = Configuration { sha256: stored.sha256.clone(), ..sample::configuration(1) };
    configurations::create(&mut tx, &configuration).await.unwrap();
    configurations::put_settings(&mut tx, &Settings::new(PRODUCT)).await.unwrap();
    let known = configurations::devices(&mut tx, &[10]).await.unwrap();
    configurations::put_devices(&mut tx, &Vec::from_iter(known.into_values())).await.unwrap();
    topology::put(&mut tx, &[sample::belonging(10, 11)]).await.unwrap();
    tx.commit().await.unwrap();
    drop(stored);
    store
}

async fn dump(store: &Store) -> Vec<String> {
    let mut tx = store.read().await.unwrap();
    let mut out = vec![];
    for table in tables() {
        let columns = [table.columns, table.hidden].concat();
        let sql =
            format!("select {} from {} order by {}", column_list(&columns), table.name, table.key.join(", "));
        let rows = tx.rows(sql, vec![]).await.unwrap();
        assert!(!rows.is_empty(), "nothing in {}", table.name);
        let text = |row: &Row| -> Vec<_> {
            columns.iter().enumerate().map(|(n, c)| row.val(n, c.kind).unwrap()).collect()
        };
        out.extend(rows.iter().map(|row| format!("{} {:?}", table.name, text(row))));
    }
    out
}

async fn archive(home: &Home) -> (Vec<u8>, Vec<String>) {
    let store = filled(home).await;
    let bytes = store.export(Vec::new()).await.unwrap();
    let rows = dump(&store).await;
    store.close().await;
    (bytes, rows)
}

async fn restored(config: &Config, bytes: Vec<u8>) -> Store {
    import(config.clone(), Cursor::new(bytes)).await.unwrap();
    Store::open(config.clone()).await.unwrap()
}

async fn check(store: &Store, rows: &[String]) {
    assert_eq!(dump(store).await, rows);
    let file = store.blobs().open(&sample::package().sha256).await.unwrap();
    assert_eq!(file.read(0, 9).await.unwrap(), "abc");
    let second = "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34";
    assert_eq!(store.blobs().open(second).await.unwrap().read(0, 9).await.unwrap(), "def");
    let names = [Claimant { product_key: "a1sample", device_name: "lamp0010", client_id: None }];
    let found = devices::logins(&mut store.read().await.unwrap(), &names).await.unwrap();
    let owner = crate::Owner::Device { product_key: "a1sample", device_name: "lamp0010" };
    assert_eq!(
        store.keyring().open(owner, &found[0].as_ref().unwrap().secret).unwrap(),
        b"secret of lamp0010"
    );
    store.close().await;
}

/// A home that took nothing: neither folder nor database.
async fn assert_untouched(home: &Home) {
    assert!(!home.config.data.exists(), "{:?}", home.config.data.read_dir().map(Iterator::count));
    let store = home.open().await;
    assert_eq!(crate::events::last(&mut store.read().await.unwrap()).await.unwrap(), 0);
    store.close().await;
}

async fn refusal(home: &Home, bytes: Vec<u8>) -> ImportError {
    import(home.config.clone(), Cursor::new(bytes)).await.unwrap_err()
}

/// The archive with its entries changed.
fn altered(bytes: &[u8], mut change: impl FnMut(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = vec![];
        entry.read_to_end(&mut content).unwrap();
        let Some(content) = change(&name, content) else { continue };
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        out.append_data(&mut header, name, &content[..]).unwrap();
    }
    out.into_inner().unwrap()
}

on_both! {
    async fn comes_back_as_it_was(home: Home) {
        let (bytes, rows) = archive(home).await;
        let target = home.another().await;
        check(&restored(&target.config, bytes).await, &rows).await;
        target.done().await;
    }

    async fn long_rows_and_many_come_back(home: Home) {
        let store = filled(home).await;
        let mut tx = store.begin().await.unwrap();
        for n in 0..5 {
            let answered = Answered { request_hash: "h".into(), response: "长".repeat(300_000), at: n };
            idempotency::put(&mut tx, &format!("key {n}"), &answered).await.unwrap();
        }
        let new: Vec<_> = (1000..3000).map(|id| sample::new_device(&store, sample::device(id))).collect();
        devices::create(&mut tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        let (bytes, rows) = (store.export(Vec::new()).await.unwrap(), dump(&store).await);
        store.close().await;
        let target = home.another().await;
        check(&restored(&target.config, bytes).await, &rows).await;
        target.done().await;
    }

    async fn moves_to_sqlite(home: Home) {
        let (bytes, rows) = archive(home).await;
        let target = Home::sqlite();
        check(&restored(&target.config, bytes).await, &rows).await;
    }

    async fn is_not_restored_over_anything(home: Home) {
        let (bytes, rows) = archive(home).await;
        let error = refusal(home, bytes.clone()).await;
        assert!(matches!(error, ImportError::FolderInUse(_)), "{error}");
        let moved = home.beside("moved");
        std::fs::rename(&home.config.data, &moved).unwrap();
        if !home.is_sqlite() {
            let error = refusal(home, bytes).await;
            assert!(matches!(error, ImportError::DatabaseInUse), "{error}");
            assert!(!home.config.data.exists());
        }
        let back = Config { data: moved, ..home.config.clone() };
        check(&Store::open(back).await.unwrap(), &rows).await;
    }

    async fn a_broken_one_leaves_nothing(home: Home) {
        let (bytes, _) = archive(home).await;
        let target = home.another().await;
        let flip = |which: &'static str| {
            altered(&bytes, move |name, mut content| {
                if name.starts_with(which) {
                    let middle = content.len() / 2;
                    content[middle] ^= 1;
                }
                Some(content)
            })
        };
        let without = |which: &'static str| {
            altered(&bytes, move |name, content| (!name.starts_with(which)).then_some(content))
        };
        let sabotaged = [
            vec![],
            b"not a tar archive".to_vec(),
            bytes[..bytes.len() / 2].to_vec(),
            bytes[..bytes.len() - 4096].to_vec(),
            flip("blob/"),
            flip("table/device/"),
            flip("table/event/"),
            flip("keys"),
            flip("manifest"),
            flip("checksums"),
            without("blob/"),
            without("table/job/"),
            without("table/event/"),
            without("keys"),
            without("manifest"),
            without("checksums"),
        ];
        for (n, bytes) in sabotaged.into_iter().enumerate() {
            let error = refusal(&target, bytes).await;
            assert!(matches!(error, ImportError::Broken(_)), "{n}: {error}");
        }
        assert_untouched(&target).await;
        target.done().await;
    }

    async fn one_of_a_later_schema_is_refused(home: Home) {
        let (bytes, _) = archive(home).await;
        let target = home.another().await;
        let later = altered(&bytes, |name, content| match name {
            "manifest.json" => Some(String::from_utf8(content).unwrap().replace(&format!("\"schema\":{SCHEMA}"), "\"schema\":99").into_bytes()),
            _ => Some(content),
        });
        let error = refusal(&target, later).await;
        assert!(matches!(error, ImportError::Version { format: 1, schema: 99 }), "{error}");
        assert_untouched(&target).await;
        target.done().await;
    }

    async fn goes_into_a_file_of_the_owners_beside_a_running_server(home: Home) {
        let serving = filled(home).await;
        let reader = Store::open_to_read(home.config.clone()).await.unwrap();
        let file = home.beside("backup.tar");
        reader.backup(&file).await.unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(matches!(reader.backup(&file).await, Err(crate::ExportError::Exists(_))));
        let rows = dump(&serving).await;
        let target = home.another().await;
        check(&restored(&target.config, std::fs::read(&file).unwrap()).await, &rows).await;
        target.done().await;
        reader.close().await;
        serving.close().await;
    }

    async fn a_damaged_blob_is_not_backed_up(home: Home) {
        let store = filled(home).await;
        let path = store.blobs().path_of(&sample::package().sha256).unwrap();
        let file = home.beside("backup.tar");
        std::fs::write(&path, "abd").unwrap();
        assert!(matches!(store.backup(&file).await, Err(crate::ExportError::Blob { .. })));
        assert!(!file.exists());
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(store.backup(&file).await, Err(crate::ExportError::Blob { .. })));
        store.close().await;
    }
}

#[cfg(feature = "postgres-tests")]
#[tokio::test]
async fn moves_from_sqlite_to_postgres() {
    let (bytes, rows) = archive(&Home::sqlite()).await;
    let target = Home::postgres().await;
    check(&restored(&target.config, bytes).await, &rows).await;
    target.done().await;
}

#[tokio::test]
async fn a_folder_of_half_a_restore_is_refused() {
    let home = Home::sqlite();
    let (bytes, _) = archive(&Home::sqlite()).await;
    std::fs::create_dir_all(home.config.data.join("restoring")).unwrap();
    assert!(matches!(refusal(&home, bytes).await, ImportError::FolderInUse(_)));
    assert!(matches!(Store::open(home.config.clone()).await, Err(OpenError::Unrestored(_))));
}
