//! Jobs for groups and filters, and waves of groups, over a database.

use crate::common::{Device, World, new_job};
use otaru_server::rollout::{Job, JobState, Package, Scope, Share, Terms, Wave, WaveGroup};
use otaru_server::{Members, Membership, NewGroup, NewJob, NewScope, TagChange};

const PRODUCT: &str = "a1TestPk001";

/// Six devices that have connected, and one that never did. Those with an even number are in the EU.
async fn world() -> (World, Package) {
    let world = World::new().await;
    world.product().await;
    for n in 0..6 {
        let name = format!("dev00{n}");
        let key = world.device(&name).await;
        drop(Device::online(&world, &key, "1.0.0").await);
        let region = if n % 2 == 0 { "eu" } else { "us" };
        let tags = TagChange::from([("region".to_owned(), Some(region.to_owned()))]);
        world.server.tag_device(PRODUCT, &name, tags, |_| Ok(())).await.unwrap();
    }
    world.device("dev009").await;
    let package = world.package("2.0.0", b"x").await;
    (world, package)
}

async fn group(world: &World, name: &str, members: &[&str]) {
    let new = NewGroup { name: name.into(), ..NewGroup::default() };
    world.server.create_group(PRODUCT, new).await.unwrap();
    change(world, name, members, Membership::Join).await;
}

async fn change(world: &World, name: &str, members: &[&str], way: Membership) {
    let named = (1..).zip(members.iter().map(|m| (*m).to_owned())).collect();
    let done = world.server.change_members(PRODUCT, name, Members::Named(named), way).await.unwrap();
    assert_eq!(done.changed, members.len(), "{done:?}");
}

async fn job(world: &World, package: &Package, scope: NewScope, terms: Terms) -> (Job, i64) {
    let made = world.server.create_job(NewJob { scope, terms, ..new_job(package) }).await.unwrap();
    world.until(&made.job, "enrolled", |job, _| job.work.is_none()).await;
    (made.job, made.forecast.matched)
}

async fn names(world: &World, job: &Job) -> Vec<String> {
    world.tasks(job).await.into_iter().map(|view| view.device_name).collect()
}

#[tokio::test]
async fn a_job_for_a_filter_is_for_those_it_means_then() {
    let (world, package) = world().await;
    let filter = "tag.region = eu and module.default = 1.0.0 and name != dev004";
    let (job, matched) = job(&world, &package, NewScope::Filter(filter.into()), Terms::default()).await;
    assert_eq!((matched, names(&world, &job).await), (2, vec!["dev000".to_owned(), "dev002".to_owned()]));
    assert_eq!(world.server.job(job.id).await.unwrap().scope, Scope::Filter { filter: filter.into() });
    let wrong = NewJob { scope: NewScope::Filter("region = eu".into()), ..new_job(&package) };
    let error = world.server.create_job(wrong).await.unwrap_err();
    assert_eq!((error.code, &error.params["at"]), ("filterInvalid", &1.into()));
    let nobody = NewJob { scope: NewScope::Filter("name = dev009".into()), ..new_job(&package) };
    assert_eq!(world.server.create_job(nobody).await.unwrap_err().code, "noDeviceMatched");
}

#[tokio::test]
async fn a_job_for_a_group_keeps_its_members_when_the_group_changes() {
    let (world, package) = world().await;
    group(&world, "north", &["dev001", "dev002", "dev009"]).await;
    let (first, matched) = job(&world, &package, NewScope::Group("north".into()), Terms::default()).await;
    assert_eq!(matched, 2, "who never connected belongs only to a job that names it");
    change(&world, "north", &["dev002"], Membership::Leave).await;
    change(&world, "north", &["dev003"], Membership::Join).await;
    world.server.remove_group(PRODUCT, "north").await.unwrap();
    assert_eq!(names(&world, &first).await, ["dev001", "dev002"]);
    assert_ne!(world.server.job(first.id).await.unwrap().state, JobState::Completed);

    let here = NewGroup { name: "eu".into(), filter: Some("tag.region = eu".into()), ..NewGroup::default() };
    world.server.create_group(PRODUCT, here).await.unwrap();
    let other = world.package("3.0.0", b"y").await;
    let (second, _) = job(&world, &other, NewScope::Group("eu".into()), Terms::default()).await;
    assert_eq!(names(&world, &second).await, ["dev000", "dev002", "dev004"]);
    let missing = NewJob { scope: NewScope::Group("west".into()), ..new_job(&other) };
    assert_eq!(world.server.create_job(missing).await.unwrap_err().code, "groupNotFound");
}

#[tokio::test]
async fn groups_are_the_first_waves_and_shares_follow() {
    let (world, package) = world().await;
    group(&world, "canary", &["dev003"]).await;
    let us = NewGroup { name: "us".into(), filter: Some("tag.region = us".into()), ..NewGroup::default() };
    world.server.create_group(PRODUCT, us).await.unwrap();
    let wave = |name: &str| WaveGroup { group: 0, name: name.into() };
    let all = Wave { share: Share::Percent { thousandths: 100_000 }, threshold: 0 };
    let terms = Terms { wave_groups: vec![wave("canary"), wave("us")], waves: vec![all], ..Terms::default() };
    let (made, _) = job(&world, &package, NewScope::All, terms.clone()).await;
    let waves: Vec<_> =
        world.tasks(&made).await.into_iter().map(|view| (view.device_name, view.task.wave)).collect();
    let expected = [2, 1, 2, 0, 2, 1].into_iter().enumerate();
    assert_eq!(waves, expected.map(|(n, wave)| (format!("dev00{n}"), wave)).collect::<Vec<_>>());
    let totals: Vec<_> =
        world.server.job(made.id).await.unwrap().gate.unwrap().waves.iter().map(|w| w.total).collect();
    assert_eq!(totals, [1, 2, 3]);

    group(&world, "idle", &["dev009"]).await;
    let empty = Terms { wave_groups: vec![wave("idle"), wave("canary")], ..terms.clone() };
    let twice = Terms { wave_groups: vec![wave("us"), wave("us")], ..terms.clone() };
    let missing = Terms { wave_groups: vec![wave("west")], ..terms };
    for (terms, code) in [(empty, "firstWaveEmpty"), (twice, "gateInvalid"), (missing, "groupNotFound")] {
        let new = NewJob { terms, scope: NewScope::All, ..new_job(&package) };
        assert_eq!(world.server.create_job(new).await.unwrap_err().code, code);
    }
}
