use super::home::Home;
use super::on_both;
use crate::migrate::{self, SCHEMA};
use crate::open::{KEY_FILE, RESTORE_FOLDER};
use crate::pools::{Pools, SQLITE_FILE};
use crate::{Config, Error, OpenError, Store, meta};

async fn refusal(config: &Config) -> OpenError {
    match Store::open(config.clone()).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

async fn set_meta(home: &Home, name: &str, value: &str) {
    let store = home.open().await;
    let mut tx = store.begin().await.unwrap();
    meta::put(&mut tx, name, value).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
}

on_both! {
    async fn remembers(home: Home) {
        set_meta(home, "colour", "green").await;
        set_meta(home, "colour", "blue").await;
        let store = home.open().await;
        let mut tx = store.read().await.unwrap();
        assert_eq!(meta::get(&mut tx, "colour").await.unwrap().as_deref(), Some("blue"));
        assert_eq!(meta::get(&mut tx, "nothing").await.unwrap(), None);
        drop(tx);
        store.close().await;
    }

    async fn a_dropped_transaction_is_undone(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        meta::put(&mut tx, "colour", "green").await.unwrap();
        drop(tx);
        let mut tx = store.begin().await.unwrap();
        assert_eq!(meta::get(&mut tx, "colour").await.unwrap(), None);
        drop(tx);
        store.close().await;
    }

    async fn a_read_sees_one_state(home: Home) {
        let store = home.open().await;
        let mut snapshot = store.read().await.unwrap();
        assert_eq!(meta::get(&mut snapshot, "colour").await.unwrap(), None);
        let mut tx = store.begin().await.unwrap();
        meta::put(&mut tx, "colour", "green").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(meta::get(&mut snapshot, "colour").await.unwrap(), None);
        assert!(meta::put(&mut snapshot, "colour", "red").await.is_err(), "a reader wrote");
        drop(snapshot);
        store.close().await;
    }

    async fn a_database_is_served_by_one_process(home: Home) {
        let other = Config { data: home.beside("other"), ..home.config.clone() };
        let store = home.open().await;
        if home.is_sqlite() {
            Store::open(other).await.unwrap().close().await;
        } else {
            assert!(matches!(refusal(&other).await, OpenError::DatabaseLocked));
        }
        store.close().await;
        home.open().await.close().await;
    }

    async fn an_older_database_is_brought_up_to_date(home: Home) {
        std::fs::create_dir_all(&home.config.data).unwrap();
        let pools = Pools::connect(&home.config, &home.config.data).await.unwrap();
        let mut tx = pools.begin(home.config.clock).await.unwrap();
        migrate::migrate(&mut tx, 0, 1).await.unwrap();
        for sql in [
            "insert into product (id, product_key, name, settle_ms, grace_ms, created_at, secret) \
             select 1, 'pk', 'lamp', 2, 3, 4, cast('' as blob)",
            "insert into device (id, product_id, name, enabled, created_at, secret) \
             select 7, 1, 'dev001', 1, 5, cast('' as blob)",
        ] {
            let sql = if home.is_sqlite() { sql.into() } else { sql.replace("blob", "bytea") };
            tx.exec(sql, vec![]).await.unwrap();
        }
        tx.commit().await.unwrap();
        pools.close().await;
        assert!(matches!(
            Store::open_to_read(home.config.clone()).await.err(),
            Some(OpenError::Older { found: 1, known: SCHEMA })
        ));
        let store = home.open().await;
        let mut tx = store.read().await.unwrap();
        let found = crate::devices::get(&mut tx, 7).await.unwrap().unwrap().device;
        assert_eq!((&*found.name, found.rivalry), ("dev001", None));
        drop(tx);
        store.close().await;
    }

    async fn refuses_another_key(home: Home) {
        set_meta(home, "colour", "green").await;
        let file = home.config.data.join(KEY_FILE);
        std::fs::write(&file, format!("1 {}\n", "ab".repeat(32))).unwrap();
        let error = refusal(&home.config).await;
        assert!(matches!(error, OpenError::WrongKey(_)), "{error}");
    }

    async fn refuses_a_missing_key_and_makes_none(home: Home) {
        set_meta(home, "colour", "green").await;
        let file = home.config.data.join(KEY_FILE);
        std::fs::remove_file(&file).unwrap();
        let error = refusal(&home.config).await;
        assert!(matches!(error, OpenError::KeyMissing(_)), "{error}");
        assert!(!file.exists());
    }

    async fn refuses_a_later_schema_naming_both(home: Home) {
        set_meta(home, "schema", "99").await;
        let error = refusal(&home.config).await;
        assert!(matches!(error, OpenError::Newer { found: 99, known: crate::SCHEMA }), "{error}");
        assert!(error.to_string().contains("99") && error.to_string().contains(&crate::SCHEMA.to_string()));
    }

    async fn refuses_another_kind(home: Home) {
        set_meta(home, "kind", "sapporo").await;
        let error = refusal(&home.config).await;
        assert!(matches!(&error, OpenError::OtherKind { found, .. } if found == "sapporo"), "{error}");
    }

    async fn refuses_foreign_tables(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        tx.script("alter table meta rename to something".into()).await.unwrap();
        tx.commit().await.unwrap();
        store.close().await;
        drop(store);
        let error = refusal(&home.config).await;
        assert!(matches!(error, OpenError::OtherKind { .. }), "{error}");
    }

    async fn refuses_a_folder_that_is_served(home: Home) {
        let store = home.open().await;
        let error = refusal(&home.config).await;
        assert!(matches!(error, OpenError::Locked(_)), "{error}");
        let reader = Store::open_to_read(home.config.clone()).await.unwrap();
        assert!(meta::get(&mut reader.read().await.unwrap(), "kind").await.unwrap().is_some());
        reader.close().await;
        store.close().await;
        home.open().await.close().await;
        assert!(store.begin().await.is_err(), "a closed store wrote");
    }

    async fn a_store_that_is_dropped_lets_go_of_its_folder(home: Home) {
        drop(home.open().await);
        home.open().await.close().await;
    }

    async fn an_empty_database_does_not_cost_another_its_files(home: Home) {
        let store = home.open().await;
        let stored = store.blobs().create().await.unwrap().finish().await.unwrap();
        let file = store.blobs().path_of(&stored.sha256).unwrap();
        drop(stored);
        store.close().await;
        drop(store);
        let other = home.another().await;
        if home.is_sqlite() {
            std::fs::remove_file(home.config.data.join(SQLITE_FILE)).unwrap();
        }
        let config = Config { database: other.config.database.clone(), ..home.config.clone() };
        let error = refusal(&config).await;
        assert!(matches!(error, OpenError::NotItsFolder(_)), "{error}");
        assert!(file.exists());
        other.done().await;
    }

    async fn refuses_half_a_restore(home: Home) {
        std::fs::create_dir_all(home.config.data.join(RESTORE_FOLDER)).unwrap();
        let error = refusal(&home.config).await;
        assert!(matches!(error, OpenError::Unrestored(_)), "{error}");
    }
}

#[tokio::test]
async fn there_is_nothing_to_read_before_the_first_start() {
    let home = Home::sqlite();
    assert!(matches!(Store::open_to_read(home.config.clone()).await, Err(OpenError::NoDatabase)));
    assert!(!home.config.data.exists());
}

#[tokio::test]
async fn refuses_a_file_that_is_no_database() {
    let home = Home::sqlite();
    std::fs::create_dir_all(&home.config.data).unwrap();
    std::fs::write(home.config.data.join(SQLITE_FILE), "no database at all, but long enough".repeat(100))
        .unwrap();
    assert!(matches!(refusal(&home.config).await, OpenError::Unreachable { .. }));
}

#[tokio::test]
async fn a_setting_that_is_no_database_is_refused_without_its_password() {
    let home = Home::sqlite();
    for database in ["mysql://root:hunter2@host/db", "otaru.db", ""] {
        let error = refusal(&Config { database: database.into(), ..home.config.clone() }).await;
        assert!(matches!(error, OpenError::Setting(_)), "{error}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::sqlite();
    home.open().await.close().await;
    let mode = |path: std::path::PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(home.config.data.join(KEY_FILE)), 0o600);
    assert_eq!(mode(home.config.data.clone()), 0o700);
}

/// As on a full disk: SQLite itself undoes the transaction of the statement that found no room.
#[tokio::test]
async fn writes_again_once_there_is_room() {
    let home = Home::sqlite();
    let store = home.open().await;
    for _ in 0..3 {
        let mut tx = store.begin().await.unwrap();
        let pages: i64 = tx.row("pragma page_count", vec![]).await.unwrap().unwrap().get(0).unwrap();
        tx.rows(format!("pragma max_page_count = {pages}"), vec![]).await.unwrap();
        let full = meta::put(&mut tx, "colour", &"green".repeat(100_000)).await;
        assert!(matches!(full, Err(Error::Full(_))), "{full:?}");
        assert!(tx.commit().await.is_err());
    }
    let mut tx = store.begin().await.unwrap();
    meta::put(&mut tx, "colour", "blue").await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
}
