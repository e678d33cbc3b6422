//! Dynamic jobs, from the order to the device.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::*;
use otaru_server::rollout::{Job, JobKind, JobState, Package, TaskState, Terms, Wave};
use otaru_server::{NewJob, NewPackage, NewScope};

fn dynamic(package: &Package, only_new: bool) -> NewJob {
    let src_versions = vec!["1.0.0".into(), "1.1.0".into()];
    let terms = Terms { src_versions, only_new, ..Terms::default() };
    NewJob { kind: JobKind::Dynamic, terms, ..new_job(package) }
}

async fn succeeded(world: &World, job: &Job, n: usize) {
    world
        .until(job, "done", |_, tasks| {
            tasks.len() == n && tasks.iter().all(|t| t.state == TaskState::Succeeded)
        })
        .await;
}

#[tokio::test]
async fn a_policy_takes_who_is_there_and_who_comes_and_ends_when_it_is_closed() {
    let world = World::new().await;
    world.product().await;
    let here = world.device("dev001").await;
    let mut here = Device::online(&world, &here, "1.0.0").await;
    let package = world.package("2.0.0", b"x").await;
    let created = world.server.create_job(dynamic(&package, false)).await.unwrap();
    let job = created.job;
    assert_eq!(created.forecast.matched, 1);
    here.notice().await;
    let other = world.device("dev002").await;
    let mut other = Device::online(&world, &other, "1.1.0").await;
    other.notice().await;
    other.report("2.0.0").await;
    let none = world.device("dev003").await;
    let mut none = Device::online(&world, &none, "2.0.0").await;
    none.ask_nothing_pushed().await;
    world.server.close_job(job.id).await.unwrap();
    none.report("1.0.0").await;
    none.ask_nothing_pushed().await;
    assert_eq!(world.server.job(job.id).await.unwrap().state, JobState::InProgress);
    here.report("2.0.0").await;
    world.until_job(&job, JobState::Canceled).await;
    succeeded(&world, &job, 2).await;
    assert_eq!(world.server.close_job(job.id).await.unwrap_err().code, "jobTakesNoDevices");
}

#[tokio::test]
async fn a_report_makes_one_task_over_kills_and_the_same_version_none_again() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let package = world.package("2.0.0", b"x").await;
    let job = world.job_of(dynamic(&package, true)).await;
    assert_eq!((&job.work, world.tasks(&job).await.len()), (&None, 0), "it is for what is new only");
    device.report("1.0.0").await;
    device.ask_nothing_pushed().await;
    device.report("1.1.0").await;
    device.notice().await;

    let world = world.kill().await;
    let mut device = Device::online(&world, &key, "1.1.0").await;
    device.notice().await;
    assert_eq!(world.tasks(&job).await.len(), 1);
    device.report("2.0.0").await;
    succeeded(&world, &job, 1).await;
    // An older version again is something new.
    device.report("1.1.0").await;
    device.notice().await;
    device.report("2.0.0").await;
    succeeded(&world, &job, 2).await;
    assert_eq!(world.server.job(job.id).await.unwrap().state, JobState::InProgress);
}

#[tokio::test]
async fn a_policy_that_contradicts_itself_is_refused() {
    let world = World::new().await;
    world.product().await;
    world.device("dev001").await;
    let package = world.package("2.0.0", b"x").await;
    let with = |terms: Terms| NewJob { terms, ..dynamic(&package, false) };
    let wave = Wave { share: otaru_server::rollout::Share::Count { n: 1 }, threshold: i64::MAX };
    let sources = || vec!["1.0.0".to_owned()];
    for (new, fields) in [
        (NewJob { scope: named(&["dev001"]), ..dynamic(&package, false) }, ["scope", "kind"]),
        (
            NewJob { scope: NewScope::Percent { thousandths: 1 }, ..dynamic(&package, true) },
            ["scope", "kind"],
        ),
        (with(Terms { src_versions: sources(), waves: vec![wave], ..Terms::default() }), ["waves", "kind"]),
        (with(Terms::default()), ["srcVersions", "kind"]),
        (NewJob { kind: JobKind::Static, ..dynamic(&package, true) }, ["onlyNew", "kind"]),
    ] {
        let refused = world.server.create_job(new).await.unwrap_err();
        assert_eq!((refused.code, &refused.params["fields"]), ("policyInvalid", &fields.to_vec().into()));
    }
    let new = NewPackage { src_version: Some("1.0.0".into()), ..new_package("2.0.1") };
    let difference = world.package_of(new, b"x").await;
    let policy = NewJob { kind: JobKind::Dynamic, terms: Terms::default(), ..new_job(&difference) };
    assert_eq!(world.job_of(policy).await.state, JobState::InProgress);
}
