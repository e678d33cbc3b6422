//! Orders that come at the same moment, and a platform that was off for a week.

use std::collections::BTreeMap;

use crate::common::*;
use otaru_server::rollout::{EventKind, Id, Job, JobState, Task, TaskState, Terms};
use otaru_server::{EventFilter, NewJob};

const MINUTE: i64 = 60_000;
const WEEK: i64 = 7 * 24 * 60 * MINUTE;

/// So many devices online.
async fn online(devices: usize) -> (World, Vec<(DeviceKey, Device)>) {
    let world = World::new().await;
    world.product().await;
    let mut online = Vec::new();
    for n in 0..devices {
        let key = world.device(&format!("dev{n:03}")).await;
        let device = Device::online(&world, &key, "1.0.0").await;
        online.push((key, device));
    }
    (world, online)
}

/// The same, told of a job on the usual terms.
async fn told(devices: usize) -> (World, Job, Vec<(DeviceKey, Device)>) {
    let (world, mut online) = online(devices).await;
    let package = world.package("2.0.0", b"x").await;
    let new = NewJob { terms: Terms::default(), rate_per_minute: Some(RATE), ..new_job(&package) };
    let job = world.job_of(new).await;
    for (_, device) in &mut online {
        device.notice().await;
        world.clock.advance(SPACING);
    }
    (world, job, online)
}

/// Pushes in a minute, and the time from one to the next that keeps any minute within it.
const RATE: i64 = 10;
const SPACING: i64 = 6_100;

fn counts_add_up(job: &Job, tasks: &[Task]) {
    for state in TaskState::ALL {
        let there = tasks.iter().filter(|t| t.state == state).count();
        assert_eq!(job.counts.get(state), i64::try_from(there).unwrap(), "{state:?}: {job:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_pause_and_start_again_at_the_same_moment_end_in_one_order_or_another() {
    let (world, mut devices) = online(2).await;
    for round in 0..10 {
        let package = world.package(&format!("3.0.{round}"), b"x").await;
        let names: Vec<&str> = devices.iter().map(|(key, _)| &*key.name).collect();
        let job = world.job(&package, &names).await;
        let tasks = world.until(&job, "enrolled", |job, tasks| job.work.is_none() && tasks.len() == 2).await;
        let [first, second] = [tasks[0].id, tasks[1].id];
        world.server.cancel_task(first).await.unwrap();
        let server = &world.server;
        let cancel = async { server.cancel_job(job.id).await.err() };
        let again = async { server.reupgrade_task(first).await.err() };
        let pause = async { server.pause_job(job.id).await.err() };
        let one = async { server.cancel_task(second).await.err() };
        let refused = match round % 2 {
            0 => <[_; 4]>::from(tokio::join!(cancel, again, pause, one)),
            _ => {
                let (one, pause, again, cancel) = tokio::join!(one, pause, again, cancel);
                [cancel, again, pause, one]
            }
        };
        // Each was done or refused for what another had done before it.
        let known =
            ["jobEnded", "jobBusy", "taskBlocked", "jobNotRunning", "taskEnded", "nothingToReupgrade"];
        for refused in refused.into_iter().flatten() {
            assert!(known.contains(&refused.code), "{refused:?}");
        }
        let at_rest = |job: &Job, tasks: &[Task]| {
            job.work.is_none() && job.counts.unfinished() == 0 && tasks.len() == 2
        };
        // Whoever started the task again after the job was cancelled brought the job back.
        if world.server.job(job.id).await.unwrap().state == JobState::InProgress {
            let _ = world.server.cancel_job(job.id).await;
        }
        let tasks = world.until(&job, "at rest", at_rest).await;
        let row = world.server.job(job.id).await.unwrap();
        assert!(matches!(row.state, JobState::Canceled | JobState::Completed), "{row:#?}");
        assert_eq!((row.hold, row.release), (None, None));
        counts_add_up(&row, &tasks);
        for (_, device) in &mut devices {
            device.heard().await;
            assert_eq!(device.ask().await, serde_json::json!({}));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_start_a_task_again_one_does() {
    let (world, job, mut devices) = told(1).await;
    let task = world.tasks(&job).await[0].task.id;
    world.server.cancel_task(task).await.unwrap();
    let (a, b) = tokio::join!(world.server.reupgrade_task(task), world.server.reupgrade_task(task));
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    devices[0].1.notice().await;
    let row = world.tasks(&job).await.remove(0).task;
    assert_eq!((row.state, row.attempt, row.pushes), (TaskState::Notified, 2, 1));
}

/// How often each device was pushed to.
async fn pushes(world: &World) -> BTreeMap<Id, usize> {
    let events = world.server.events(EventFilter::All, None, 10_000).await.unwrap().items;
    let pushed = events.iter().filter(|e| matches!(e.event.kind, EventKind::TaskPushed { .. }));
    pushed.fold(BTreeMap::new(), |mut pushes, event| {
        *pushes.entry(event.event.device_id.unwrap()).or_default() += 1;
        pushes
    })
}

/// The next attempt of each device was due in a week in which the platform was off.
#[tokio::test]
async fn what_was_due_in_a_week_off_is_done_at_the_set_rate_and_once() {
    const DEVICES: usize = 12;
    let (world, job, mut devices) = told(DEVICES).await;
    for (_, device) in &mut devices {
        device.progress(-2, "no route").await;
    }
    let world = world.off_for(WEEK).await;
    let mut back = Vec::new();
    for (key, _) in &devices {
        back.push(Device::online(&world, key, "1.0.0").await);
    }
    for nth in 1..=DEVICES {
        // However many wait, nobody is pushed to before the time has come. A second may be caught up with.
        let next = if nth == 1 { SPACING - 900 } else { SPACING };
        for ms in [0, next - 200] {
            world.clock.advance(ms);
            world.until_nothing_is_due().await;
            let tasks = world.tasks(&job).await;
            assert_eq!(tasks.iter().filter(|view| view.task.pushes == 1).count(), nth);
        }
        world.clock.advance(200);
    }
    world.until_nothing_is_due().await;
    for device in &mut back {
        device.notice().await;
        device.nothing_more().await;
    }
    assert_eq!(pushes(&world).await.into_values().collect::<Vec<_>>(), [2; DEVICES]);
}
