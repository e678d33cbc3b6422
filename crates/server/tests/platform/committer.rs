//! Batches: what stands together, what one bad row does to its neighbours, what a kill leaves.

use crate::common::*;
#[cfg(not(feature = "postgres-tests"))]
use otaru_server::Unready;
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
async fn sql(world: &World, statement: &'static str) {
    use sqlx::{Connection, Executor};
    let url = format!("sqlite:{}", world.folder.path().join("otaru.db").display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
    database.execute(statement).await.unwrap();
}

/// A report on a connection whose beginning could not be written would be lost: it is not
/// acknowledged, and the device has to come again.
#[cfg(not(feature = "postgres-tests"))]
#[tokio::test]
async fn nothing_is_acknowledged_on_a_connection_that_is_not_written() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    sql(&world, "create trigger poison before insert on session begin select raise(abort, 'poison'); end")
        .await;
    let (mut device, code) = Device::dial(&world, &key).await;
    assert_eq!(code, 0);
    device.expect_close().await;
    sql(&world, "drop trigger poison").await;
    let device = Device::online(&world, &key, "1.0.0").await;
    let view = world.server.device("a1TestPk001", "dev001").await.unwrap();
    assert_eq!((view.online, &*view.versions[0].version), (true, "1.0.0"));

    sql(&world, "create trigger poison before delete on session begin select raise(abort, 'poison'); end")
        .await;
    device.hang_up().await;
    while world.counter("failed_reports") < 2 {
        tokio::task::yield_now().await;
    }
    assert!(world.server.device("a1TestPk001", "dev001").await.unwrap().online);
    sql(&world, "drop trigger poison").await;
    world.clock.advance(1_001);
    while world.server.device("a1TestPk001", "dev001").await.unwrap().online {
        tokio::task::yield_now().await;
    }
}

/// What asks whether the platform is ready is no report of a device.
#[cfg(not(feature = "postgres-tests"))]
#[tokio::test]
async fn a_mark_that_comes_to_nothing_is_no_lost_report() {
    let world = World::new().await;
    sql(&world, "alter table counter rename column at to gone").await;
    let why = world.server.ready().await.unwrap_err();
    assert!(matches!(why, Unready::NotWritten), "{why}");
    assert_eq!(world.counter("failed_reports"), 0);
}

/// The database still holds a connection that has ended: a notice to it is decided, and goes nowhere.
#[cfg(not(feature = "postgres-tests"))]
#[tokio::test]
async fn a_notice_that_reaches_no_connection_is_no_push() {
    let world = World::new().await;
    world.product().await;
    let package = world.package("2.0.0", b"x").await;
    let device = Device::online(&world, &world.device("dev001").await, "1.0.0").await;
    sql(&world, "create trigger poison before delete on session begin select raise(abort, 'poison'); end")
        .await;
    device.hang_up().await;
    while world.counter("failed_reports") < 1 {
        tokio::task::yield_now().await;
    }
    let job = world.job(&package, &["dev001"]).await;
    world.until_all(&job, TaskState::Notified).await;
    assert_eq!(world.counter("pushes"), 0);
}

#[cfg(not(feature = "postgres-tests"))]
#[tokio::test]
async fn a_timer_that_cannot_be_done_holds_up_no_other() {
    let world = World::new().await;
    world.product().await;
    let keys = [world.device("dev001").await, world.device("dev002").await];
    let package = world.package("2.0.0", b"x").await;
    let job = world
        .job_of(NewJob { timeout_minutes: Some(1), scope: named(&["dev001", "dev002"]), ..new_job(&package) })
        .await;
    let mut devices = Vec::new();
    for key in &keys {
        let mut device = Device::online(&world, key, "1.0.0").await;
        device.notice().await;
        device.progress(10, "").await;
        devices.push(device);
    }
    let first = world.tasks(&job).await[0].task.id;
    let trigger = "create trigger poison before update on task when new.state = 'FAILED' \
                   and new.id = (select min(id) from task) begin select raise(abort, 'poison'); end";
    sql(&world, trigger).await;
    world.clock.advance(60_000);
    world
        .until(&job, "one timed out", |_, tasks| {
            tasks.iter().filter(|t| t.state == TaskState::Failed).count() == 1
        })
        .await;
    sql(&world, "drop trigger poison").await;
    world.clock.advance(60_000);
    let tasks = world.until_all(&job, TaskState::Failed).await;
    assert_eq!(tasks[0].id, first);
}

/// Places in the queue and download slots belong to connections; none outlives a kill.
#[tokio::test]
async fn after_a_kill_nobody_waits_for_slots_and_nobody_is_told_before_it_reports() {
    let world = World::with(otaru_server::rollout::Limits { downloads: 1, ..Default::default() }).await;
    world.product().await;
    let patience = otaru_server::ProductChange { grace_ms: Some(3_600_000), ..Default::default() };
    world.server.change_product("a1TestPk001", patience, |_| Ok(())).await.unwrap();
    let keys = [world.device("dev001").await, world.device("dev002").await];
    let mut devices = Vec::new();
    for key in &keys {
        devices.push(Device::online(&world, key, "1.0.0").await);
    }
    let package = world.package("2.0.0", b"x").await;
    let job = world.job_of(new_job(&package)).await;
    let told = |tasks: &[otaru_server::rollout::Task]| tasks.iter().filter(|t| t.told_at.is_some()).count();
    let tasks =
        world.until(&job, "one told, one waiting", |_, tasks| tasks.len() == 2 && told(tasks) == 1).await;
    let waits = tasks.iter().position(|t| t.told_at.is_none()).unwrap();
    devices[1 - waits].progress(10, "").await;

    let world = world.kill().await;
    let mut silent = Device::connect(&world, &keys[waits]).await;
    silent.ask_nothing_pushed().await;
    world.clock.advance(60_000);
    silent.ask_nothing_pushed().await;
    let mut again = Device::online(&world, &keys[1 - waits], "1.0.0").await;
    again.notice().await;
}

#[tokio::test]
async fn a_stop_writes_that_devices_have_gone() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    world.clock.advance(5_000);
    let world = world.restart().await;
    device.expect_close().await;
    let view = world.server.device("a1TestPk001", "dev001").await.unwrap();
    assert_eq!((view.online, view.device.last_offline_at), (false, Some(START + 5_000)));
    let events = world
        .server
        .events(otaru_server::EventFilter::Device("a1TestPk001", "dev001"), None, 100)
        .await
        .unwrap()
        .items;
    assert_eq!(events.last().unwrap().event.kind, otaru_server::rollout::EventKind::DeviceDisconnected);
}

#[cfg(not(feature = "postgres-tests"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_cannot_be_written_harms_nobody_else() {
    let world = World::new().await;
    world.product().await;
    let mut devices = Vec::new();
    for key in import(&world, 20).await {
        devices.push(Device::connect(&world, &key).await);
    }
    let poison = "create trigger poison before insert on module_version when new.version = 'poison' \
                  begin select raise(abort, 'poison'); end";
    sql(&world, poison).await;

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
    let world = world.kill().await;
    world.until(&job, "enrolled", |job, _| job.work.is_none()).await;
    let row = world.server.job(job.id).await.unwrap();
    assert_eq!((row.counts.get(TaskState::Queued), row.counts.total()), (1_700, 1_700));
    assert_eq!(world.tasks(&job).await.len(), 1_700);

    world.server.cancel_job(job.id).await.unwrap();
    let world = world.kill().await;
    world
        .until(&job, "cancelled", |job, tasks| {
            job.work.is_none() && tasks.iter().all(|t| t.state == TaskState::Canceled)
        })
        .await;
    world.until_job(&job, JobState::Canceled).await;
}
