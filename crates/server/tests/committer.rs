//! Batches: what stands together, what one bad row does to its neighbours, what a kill leaves.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::*;
use otaru_server::rollout::{JobState, TaskState};
use otaru_server::{NewDevice, NewJob};

async fn import(world: &World, n: usize) -> Vec<DeviceKey> {
    let names: Vec<String> = (0..n).map(|i| format!("dev{i:05}")).collect();
    let lines =
        names.iter().map(|n| NewDevice { device_name: Some(n.clone()), device_secret: None }).collect();
    let made = world.server.import_devices("a1TestPk001", lines).await.unwrap();
    let key = |(name, made): (String, Result<otaru_server::DeviceSecret, _>)| DeviceKey {
        name,
        secret: made.unwrap().secret,
    };
    names.into_iter().zip(made).map(key).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_that_come_together_are_committed_together() {
    let world = World::new().await;
    world.product().await;
    let mut devices = Vec::new();
    for key in import(&world, 100).await {
        devices.push(Device::connect(&world, &key).await);
    }
    let before = world.counter("commits");
    let reporting = devices.into_iter().map(|mut device| {
        tokio::spawn(async move {
            for i in 0..20 {
                device.report(&format!("1.0.{i}")).await;
            }
            device
        })
    });
    let mut devices = Vec::new();
    for device in reporting.collect::<Vec<_>>() {
        devices.push(device.await.unwrap());
    }
    let commits = world.counter("commits") - before;
    assert!(commits < 1_000, "{commits} commits for 2000 reports");
    for device in &devices {
        let versions = world.server.device("a1TestPk001", &device.name).await.unwrap().versions;
        assert_eq!(versions[0].version, "1.0.19");
    }
}

#[cfg(not(feature = "postgres-tests"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_cannot_be_written_harms_nobody_else() {
    use sqlx::{Connection, Executor};
    let world = World::new().await;
    world.product().await;
    let mut devices = Vec::new();
    for key in import(&world, 20).await {
        devices.push(Device::connect(&world, &key).await);
    }
    let url = format!("sqlite:{}", world.folder.path().join("otaru.db").display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let poison = "create trigger poison before insert on module_version when new.version = 'poison' \
                  begin select raise(abort, 'poison'); end";
    database.execute(poison).await.unwrap();

    let reporting = devices.into_iter().enumerate().map(|(i, mut device)| {
        tokio::spawn(async move {
            if i == 7 {
                let topic = format!("/ota/device/inform/a1TestPk001/{}", device.name);
                device.send_publish(&topic, br#"{"params":{"version":"poison"}}"#, Some(77)).await;
                device.expect_close().await;
            } else {
                device.report("1.0.0").await;
            }
            device
        })
    });
    let mut devices = Vec::new();
    for device in reporting.collect::<Vec<_>>() {
        devices.push(device.await.unwrap());
    }
    for (i, device) in devices.iter().enumerate() {
        let versions = world.server.device("a1TestPk001", &device.name).await.unwrap().versions;
        assert_eq!(versions.len(), usize::from(i != 7), "{}", device.name);
    }
    assert_eq!(world.counter("failed_reports"), 1);
}

#[tokio::test]
async fn enrolment_goes_on_after_a_kill() {
    let world = World::new().await;
    world.product().await;
    import(&world, 1_700).await;
    let package = world.package("2.0.0", b"x").await;
    let names: Vec<String> = (0..1_700).map(|i| format!("dev{i:05}")).collect();
    let names: Vec<&str> = names.iter().map(|n| &**n).collect();
    let job = world.job_of(NewJob { scope: named(&names), ..new_job(&package) }).await;
    let world = world.restart().await;
    world.until(&job, "enrolled", |job, _| job.work.is_none()).await;
    let row = world.server.job(job.id).await.unwrap();
    assert_eq!((row.counts.get(TaskState::Queued), row.counts.total()), (1_700, 1_700));
    assert_eq!(world.tasks(&job).await.len(), 1_700);

    world.server.cancel_job(job.id).await.unwrap();
    let world = world.restart().await;
    world
        .until(&job, "cancelled", |job, tasks| {
            job.work.is_none() && tasks.iter().all(|t| t.state == TaskState::Canceled)
        })
        .await;
    world.until_job(&job, JobState::Canceled).await;
}
