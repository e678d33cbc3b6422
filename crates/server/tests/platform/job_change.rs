//! Jobs that are changed on their way, over real sockets and a database.

use crate::common::{Device, DeviceKey, START, World, new_job};
use otaru_server::rollout::{Job, JobKind, JobState, Package, Reason, Tag, TaskState, Terms};
use otaru_server::{JobChange, NewJob, NewScope, TagChange, TermsChange};

const MINUTE: i64 = 60_000;
const PRODUCT: &str = "a1TestPk001";

async fn world(devices: u32) -> (World, Vec<(DeviceKey, Device)>, Package) {
    let world = World::new().await;
    world.product().await;
    let mut all = vec![];
    for n in 0..devices {
        let key = world.device(&format!("dev00{n}")).await;
        let device = Device::online(&world, &key, "1.0.0").await;
        all.push((key, device));
    }
    let package = world.package("2.0.0", b"x").await;
    (world, all, package)
}

async fn change(world: &World, job: &Job, change: JobChange) -> Job {
    world.server.change_job(job.id, change, |_| Ok(())).await.unwrap()
}

fn terms(terms: TermsChange) -> JobChange {
    JobChange { terms, ..JobChange::default() }
}

async fn taken(world: &World, job: &Job) -> Vec<String> {
    world.tasks(job).await.into_iter().map(|view| view.device_name).collect()
}

#[tokio::test]
async fn a_changed_scope_takes_those_online_at_once_also_after_a_kill() {
    let (world, mut devices, package) = world(3).await;
    for (n, region) in ["eu", "us", "us"].into_iter().enumerate() {
        let tags = TagChange::from([("region".to_owned(), Some(region.to_owned()))]);
        world.server.tag_device(PRODUCT, &format!("dev00{n}"), tags, |_| Ok(())).await.unwrap();
    }
    let filter = |text: &str| NewScope::Filter(text.into());
    let new = NewJob {
        kind: JobKind::Dynamic,
        scope: filter("tag.region = eu"),
        terms: Terms::default(),
        ..new_job(&package)
    };
    let job = world.job_of(new).await;
    devices[0].1.notice().await;
    devices[1].1.nothing_more().await;
    let us = JobChange { scope: Some(filter("tag.region = us and name != dev002")), ..JobChange::default() };
    change(&world, &job, us).await;
    devices[1].1.notice().await;
    assert_eq!(taken(&world, &job).await, ["dev000", "dev001"], "whom it is no longer for keeps its task");

    let world = world.kill().await;
    let (key, _) = devices.remove(2);
    let mut device = Device::online(&world, &key, "1.0.0").await;
    device.nothing_more().await;
    let us = JobChange { scope: Some(filter("tag.region = us")), ..JobChange::default() };
    change(&world, &job, us).await;
    device.notice().await;
    let wrong = JobChange { scope: Some(NewScope::Percent { thousandths: 1 }), ..JobChange::default() };
    assert_eq!(world.server.change_job(job.id, wrong, |_| Ok(())).await.unwrap_err().code, "policyInvalid");
}

#[tokio::test]
async fn a_timeout_that_changes_holds_for_who_has_begun() {
    let (world, mut devices, package) = world(2).await;
    let job = world.job_of(NewJob { timeout_minutes: Some(60), ..new_job(&package) }).await;
    for (_, device) in &mut devices {
        device.notice().await;
    }
    devices[0].1.progress(10, "").await;
    world.clock.advance(10 * MINUTE);
    devices[1].1.progress(10, "").await;
    change(&world, &job, JobChange { timeout_minutes: Some(Some(15)), ..JobChange::default() }).await;
    world.until_nothing_is_due().await;
    world.clock.advance(6 * MINUTE);
    let failed = |tasks: &[otaru_server::rollout::Task]| {
        tasks.iter().filter(|t| t.reason == Some(Reason::Timeout { minutes: 15 })).count()
    };
    world.until(&job, "the first one failed", |_, tasks| failed(tasks) == 1).await;
    change(&world, &job, JobChange { timeout_minutes: Some(None), ..JobChange::default() }).await;
    world.until_nothing_is_due().await;
    world.clock.advance(60 * MINUTE);
    world.until_nothing_is_due().await;
    devices[1].1.report("2.0.0").await;
    world.until_job(&job, JobState::Completed).await;
}

#[tokio::test]
async fn rate_tags_and_end_change_while_devices_wait() {
    let (world, mut devices, package) = world(2).await;
    let job =
        world.job_of(NewJob { rate_per_minute: Some(1), terms: Terms::default(), ..new_job(&package) }).await;
    world
        .until(&job, "one was told", |job, tasks| {
            job.work.is_none() && tasks.iter().filter(|t| t.state == TaskState::Notified).count() == 1
        })
        .await;
    let tags = vec![Tag { key: "ring".into(), value: "beta".into() }];
    let wanted =
        TermsChange { tags: Some(tags), end_at: Some(Some(START + 20 * MINUTE)), ..TermsChange::default() };
    let told = change(&world, &job, JobChange { rate_per_minute: Some(600), ..terms(wanted) }).await;
    assert_eq!((told.rate_per_minute, told.terms.end_at), (600, Some(START + 20 * MINUTE)));
    world.clock.advance(1_000);
    world.until_all(&job, TaskState::Notified).await;
    let mut ringed = 0;
    for (_, device) in &mut devices {
        ringed += usize::from(device.notice().await["data"]["extData"]["ring"] == "beta");
    }
    assert_eq!(ringed, 1, "the notice that left after the change");
    devices[0].1.progress(20, "").await;
    world.clock.advance(20 * MINUTE);
    world
        .until(&job, "ended", |_, tasks| tasks.iter().any(|t| t.reason == Some(Reason::ScheduleEnded)))
        .await;
    let late = world.server.change_job(job.id, JobChange::default(), |_| Ok(())).await.unwrap_err();
    assert_eq!(late.code, "jobEnded");
}
