//! What is measured is what happened, and a platform that cannot write is not ready.

use std::collections::BTreeMap;

use crate::common::*;
#[cfg(not(feature = "postgres-tests"))]
use otaru_server::Unready;
use otaru_server::rollout::{EventKind, TaskState};
use otaru_server::{EventFilter, Kind, Server, Values};

/// Every number of a family, by its labels.
fn numbers(server: &Server, name: &str) -> BTreeMap<String, u64> {
    let family = server.metrics().into_iter().find(|family| family.name == name).unwrap();
    let labels =
        |labels: Vec<(&str, String)>| labels.into_iter().map(|(_, v)| v).collect::<Vec<_>>().join(">");
    match family.values {
        Values::One(value) => [(String::new(), value as u64)].into(),
        Values::Labelled(values) => values.into_iter().map(|v| (labels(v.labels), v.value as u64)).collect(),
        Values::Ranges(ranges) => {
            [("count".into(), ranges.at_most.last().unwrap().1), ("sum".into(), ranges.sum as u64)].into()
        }
    }
}

fn one(server: &Server, name: &str) -> u64 {
    numbers(server, name)[""]
}

#[tokio::test]
async fn moves_of_tasks_and_events_are_those_of_the_log() {
    let world = World::new().await;
    world.product().await;
    let keys = [world.device("dev001").await, world.device("dev002").await];
    let package = world.package("2.0.0", b"the file").await;
    let job = world.job(&package, &["dev001", "dev002"]).await;
    let [mut good, mut bad] =
        [Device::online(&world, &keys[0], "1.0.0").await, Device::online(&world, &keys[1], "1.0.0").await];
    for device in [&mut good, &mut bad] {
        device.notice().await;
        device.progress(10, "").await;
    }
    good.report("2.0.0").await;
    bad.progress(-1, "no").await;
    world.until(&job, "both ended", |_, tasks| tasks.iter().all(|task| task.state.is_terminal())).await;

    let events = world.server.events(EventFilter::All, None, 1_000).await.unwrap().items;
    let mut moves = BTreeMap::new();
    for event in &events {
        if let EventKind::TaskState { from, to, .. } = &event.event.kind {
            *moves.entry(format!("{}>{}", from.as_str(), to.as_str())).or_insert(0) += 1;
        }
    }
    let mut counted = numbers(&world.server, "otaru_task_transitions_total");
    counted.retain(|_, n| *n > 0);
    assert_eq!(counted, moves);
    assert_eq!(moves[&format!("{}>{}", TaskState::InProgress.as_str(), TaskState::Failed.as_str())], 1);
    assert_eq!(one(&world.server, "otaru_events_total"), events.len() as u64);
    assert_eq!(one(&world.server, "otaru_tasks_created_total"), 2);
    assert_eq!(one(&world.server, "otaru_pushes_total"), 2);
    assert_eq!(one(&world.server, "otaru_sessions"), 2);
    assert_eq!(numbers(&world.server, "otaru_uplinks_total")["progress"], 3);
    assert_eq!(numbers(&world.server, "otaru_uplinks_total")["inform"], 3);
    // Six reports, and that two devices came.
    let batches = numbers(&world.server, "otaru_batch_reports");
    assert_eq!((batches["sum"], batches["count"]), (8, world.counter("commits")));
    assert!(numbers(&world.server, "otaru_commit_duration_seconds")["count"] > batches["count"]);
}

#[tokio::test]
async fn names_follow_the_conventions() {
    let world = World::new().await;
    for family in world.server.metrics() {
        let name = family.name;
        assert!(
            name.starts_with("otaru_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
        assert!(family.help.ends_with('.') && !family.help.contains('|'), "{name}: {}", family.help);
    }
}

/// Another writer holds the database, and the committer waits behind it.
#[cfg(not(feature = "postgres-tests"))]
#[tokio::test]
async fn a_platform_that_cannot_write_is_not_ready() {
    let world = World::new().await;
    world.server.ready().await.unwrap();
    let held = world.hold_database().await;
    let why = world.server.ready().await.unwrap_err();
    assert!(matches!(why, Unready::Stuck { .. }), "{why}");
    drop(held);
    world.server.ready().await.unwrap();
}
