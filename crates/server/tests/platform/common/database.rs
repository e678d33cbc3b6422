//! A database for each test: SQLite, or with the feature `postgres-tests` one on PostgreSQL.

#[cfg(not(feature = "postgres-tests"))]
pub async fn fresh() -> String {
    "sqlite".into()
}

/// A new database on the server that OTARU_TEST_POSTGRES names.
#[cfg(feature = "postgres-tests")]
pub async fn fresh() -> String {
    use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let server =
        std::env::var("OTARU_TEST_POSTGRES").expect("OTARU_TEST_POSTGRES must name a PostgreSQL server");
    let name = format!("otaru_server_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&server).await.unwrap();
    connection.execute(AssertSqlSafe(format!("create database {name}"))).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

/// A connection past the platform, as another program would have it.
#[cfg(not(feature = "postgres-tests"))]
pub async fn other(world: &super::World) -> sqlx::SqliteConnection {
    let url = format!("sqlite:{}", world.folder.path().join("otaru.db").display());
    <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap()
}

/// A connection past the platform, as another program would have it.
#[cfg(feature = "postgres-tests")]
pub async fn other(world: &super::World) -> sqlx::PgConnection {
    <sqlx::PgConnection as sqlx::Connection>::connect(&world.database).await.unwrap()
}
