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
