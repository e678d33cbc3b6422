//! A data folder and a database of a test's own.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::{Clock, Config, Store};

pub(super) struct Home {
    folder: TempDir,
    pub(super) config: Config,
}

impl Home {
    pub(super) fn sqlite() -> Self {
        Self::with("sqlite".into())
    }

    fn with(database: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self { folder, config: Config { data, database, clock: Clock::Caller } }
    }

    /// A path beside the data folder.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) async fn open(&self) -> Store {
        Store::open(self.config.clone()).await.unwrap()
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.config.database == "sqlite"
    }

    /// A second home over the same engine.
    pub(super) async fn another(&self) -> Self {
        #[cfg(feature = "postgres-tests")]
        if !self.is_sqlite() {
            return Self::postgres().await;
        }
        Self::sqlite()
    }
}

impl Home {
    /// Takes the database away where it is not in the folder.
    pub(super) async fn done(self) {
        #[cfg(feature = "postgres-tests")]
        if !self.is_sqlite() {
            self.drop_database().await;
        }
    }
}

#[cfg(feature = "postgres-tests")]
impl Home {
    fn server() -> String {
        std::env::var("OTARU_TEST_POSTGRES").expect(
            "with the feature postgres-tests, OTARU_TEST_POSTGRES must be the postgres:// URL of a server",
        )
    }

    async fn command(sql: String) {
        use sqlx::Connection;
        let mut connection = sqlx::PgConnection::connect(&Self::server()).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    pub(super) async fn postgres() -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let name = format!("otaru_test_{:016x}", u64::from_le_bytes(random));
        Self::command(format!("create database {name}")).await;
        let mut url = Self::server();
        let path = url.find("://").map_or(0, |at| at + 3);
        let end = url[path..].find('?').map_or(url.len(), |at| path + at);
        let slash = url[path..end].find('/').map_or(end, |at| path + at);
        url.replace_range(slash..end, &format!("/{name}"));
        Self::with(url)
    }

    async fn drop_database(self) {
        let name = self.config.database.rsplit('/').next().unwrap();
        let name = name.split('?').next().unwrap();
        Self::command(format!("drop database {name} with (force)")).await;
    }
}
