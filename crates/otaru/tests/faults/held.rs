//! Another program holds the database, longer than anybody waits for it.

use std::time::Duration;

use server::rollout::{Event, EventKind};
use store::{Store, committer};

use crate::house::House;
use crate::rng::Rng;

/// Three times the ten seconds that a statement waits, and a little more.
const LONG: Duration = Duration::from_secs(35);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes most of a minute; ./test faults runs it"]
async fn while_another_holds_the_database_nothing_is_acknowledged_and_afterwards_all_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut house =
        House::open(folder.path(), &folder.path().join("log"), &mut Rng::from_environment()).await;
    house.until_acknowledged().await;

    let config = store::Config {
        data: house.data.clone(),
        database: house.database.clone(),
        clock: store::Clock::default(),
    };
    let other = Store::open_to_read(config).await.unwrap();
    // On SQLite to begin is to hold it; on PostgreSQL who writes an event holds up all who want to.
    let mut tx = other.begin().await.unwrap();
    let (product_id, device_id, job_id, task_id) = (1, None, None, None);
    let event = Event { at: 0, product_id, device_id, job_id, task_id, kind: EventKind::ProductChanged };
    committer::append_events(&mut tx, &[event]).await.unwrap();
    let held = std::time::Instant::now();
    house.check().await;
    house.until_logged("another process or node holds what is to be written").await;
    house.until_logged("reports could not be written").await;
    tokio::time::sleep(LONG.saturating_sub(held.elapsed())).await;
    tx.rollback().await.unwrap();
    other.close().await;

    house.check().await;
    house.until_acknowledged().await;
    house.finish().await;
}
