//! Each body runs over SQLite, and with the feature `postgres-tests` over PostgreSQL too.

mod backup;
mod blobs;
mod committer;
mod configurations;
mod explain;
mod filters;
mod groups;
mod home;
mod lists;
mod migrate;
mod open;
mod policies;
mod registrations;
mod roundtrip;
mod sample;
mod tags;
mod targets;
mod topology;

/// Makes a test for each engine of an `async fn(Home)`.
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($home:ident: Home) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn body($home: &Home) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let home = Home::sqlite();
                body(&home).await;
            }

            #[cfg(feature = "postgres-tests")]
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let home = Home::postgres().await;
                body(&home).await;
                home.done().await;
            }
        }
    )*};
}
use on_both;
