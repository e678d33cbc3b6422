//! Dynamic jobs, from the order to the device.

use crate::common::*;
use otaru_server::rollout::{Job, JobKind, JobState, Package, TaskState, Terms, Wave};
use otaru_server::{GroupChange, Members, Membership, NewGroup, NewJob, NewPackage, NewScope, TagChange};

const PRODUCT: &str = "a1TestPk001";

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

async fn group(world: &World, name: &str, filter: Option<&str>) {
    let new = NewGroup { name: name.into(), filter: filter.map(Into::into), ..NewGroup::default() };
    world.server.create_group(PRODUCT, new).await.unwrap();
}

async fn join(world: &World, group: &str, device: &str) {
    let named = Members::Named(vec![(1, device.into())]);
    let done = world.server.change_members(PRODUCT, group, named, Membership::Join).await.unwrap();
    assert_eq!(done.changed, 1);
}

async fn tag(world: &World, device: &str, name: &str, value: &str) {
    let tags = TagChange::from([(name.to_owned(), Some(value.to_owned()))]);
    world.server.tag_device(PRODUCT, device, tags, |_| Ok(())).await.unwrap();
}

async fn taken(world: &World, job: &Job) -> Vec<String> {
    world.tasks(job).await.into_iter().map(|view| view.device_name).collect()
}

#[tokio::test]
async fn a_policy_of_a_group_takes_who_joins_with_the_next_report() {
    let world = World::new().await;
    world.product().await;
    let mut devices = vec![];
    for name in ["dev001", "dev002", "dev003"] {
        let key = world.device(name).await;
        devices.push(Device::online(&world, &key, "1.0.0").await);
    }
    group(&world, "beta", None).await;
    join(&world, "beta", "dev001").await;
    let package = world.package("2.0.0", b"x").await;
    let new = NewJob {
        scope: NewScope::Group("beta".into()),
        terms: Terms::default(),
        kind: JobKind::Dynamic,
        ..new_job(&package)
    };
    let created = world.server.create_job(new).await.unwrap();
    let job = created.job;
    assert_eq!(created.forecast.matched, 1);
    devices[0].notice().await;
    // These might have made a task: their streams are given back.
    for device in &mut devices[1..] {
        device.report("1.0.0").await;
        device.ask_nothing_pushed().await;
    }
    join(&world, "beta", "dev002").await;
    devices[1].ask_nothing_pushed().await;
    devices[1].report("1.0.0").await;
    devices[1].notice().await;
    devices[2].report("1.0.0").await;
    devices[2].ask_nothing_pushed().await;
    let streams: Vec<u32> = world.tasks(&job).await.iter().map(|view| view.task.stream_id).collect();
    assert_eq!((taken(&world, &job).await, streams), (vec!["dev001".into(), "dev002".into()], vec![1, 2]));

    let in_use = world.server.remove_group(PRODUCT, "beta").await.unwrap_err();
    assert_eq!(in_use.code, "groupInUse");
    world.server.close_job(job.id).await.unwrap();
    world.server.remove_group(PRODUCT, "beta").await.unwrap();
    devices[1].report("2.0.0").await;
    devices[0].report("2.0.0").await;
    world.until_job(&job, JobState::Canceled).await;
}

#[tokio::test]
async fn a_policy_of_a_filter_follows_tags_versions_and_the_groups_filter() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let other = world.device("dev002").await;
    let mut other = Device::online(&world, &other, "1.0.0").await;
    group(&world, "eu", Some("tag.region = eu")).await;
    let package = world.package("2.0.0", b"x").await;
    let of = |scope: NewScope, package: &Package| NewJob { scope, ..dynamic(package, false) };
    let job = world.job_of(of(NewScope::Group("eu".into()), &package)).await;
    world.until(&job, "enrolled", |job, _| job.work.is_none()).await;
    assert_eq!(taken(&world, &job).await, [""; 0]);
    tag(&world, "dev001", "region", "eu").await;

    let world = world.kill().await;
    drop((device, other));
    device = Device::online(&world, &key, "1.0.0").await;
    device.notice().await;
    let key = world.device("dev003").await;
    other = Device::online(&world, &key, "1.0.0").await;
    other.ask_nothing_pushed().await;
    let change = GroupChange { filter: Some("name like dev*".into()), ..GroupChange::default() };
    world.server.change_group(PRODUCT, "eu", change, |_| Ok(())).await.unwrap();
    other.report("1.0.0").await;
    other.notice().await;
    assert_eq!(taken(&world, &job).await, ["dev001", "dev003"]);

    let wrong = of(NewScope::Filter("region = eu".into()), &package);
    assert_eq!(world.server.create_job(wrong).await.unwrap_err().code, "filterInvalid");
    let missing = of(NewScope::Group("us".into()), &package);
    assert_eq!(world.server.forecast_job(&missing).await.unwrap_err().code, "groupNotFound");
    let filter = NewScope::Filter("module.default = 1.0.0 and name != dev003".into());
    let forecast = world.server.forecast_job(&of(filter, &package)).await.unwrap();
    assert_eq!((forecast.matched, forecast.of_matched.queued), (2, 1));
}
