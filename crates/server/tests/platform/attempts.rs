//! Attempts over real sockets and a database: retried, counted, and explained.

use crate::common::{Device, DeviceKey, World, named, new_job};
use otaru_server::NewJob;
use otaru_server::rollout::{DeviceError, Job, JobState, Reason, TaskState, Terms, Waiting};

const MINUTE: i64 = 60_000;

/// A device that was pushed a job on the usual terms.
async fn told() -> (World, Job, DeviceKey, Device) {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let package = world.package("2.0.0", b"x").await;
    let new = NewJob { terms: Terms::default(), scope: named(&["dev001"]), ..new_job(&package) };
    let job = world.job_of(new).await;
    device.notice().await;
    (world, job, key, device)
}

#[tokio::test]
async fn a_failed_attempt_is_followed_by_another_even_after_a_kill() {
    let (world, job, key, mut device) = told().await;
    device.progress(40, "").await;
    device.progress(-2, "no route").await;
    let view = world.tasks(&job).await.remove(0);
    assert_eq!((view.task.state, view.task.tries), (TaskState::InProgress, 2));
    assert!(matches!(view.waiting, Some(Waiting::RetryAt { .. })), "{:?}", view.waiting);
    assert_eq!(view.task.device_error, Some(DeviceError { step: -2, desc: "no route".into() }));
    device.nothing_more().await;

    let world = world.kill().await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    device.nothing_more().await;
    world.clock.advance(MINUTE);
    device.notice().await;
    device.progress(100, "").await;
    device.report("2.0.0").await;
    world.until_job(&job, JobState::Completed).await;
}

#[tokio::test]
async fn a_device_that_never_begins_fails_in_the_end_and_says_why() {
    let (world, job, _, mut device) = told().await;
    for _ in 0..2 {
        world.clock.advance(30 * MINUTE);
        world.until(&job, "given up", |_, tasks| tasks[0].retry_at.is_some()).await;
        world.clock.advance(MINUTE);
        device.notice().await;
    }
    world.clock.advance(30 * MINUTE);
    let tasks = world.until_all(&job, TaskState::Failed).await;
    assert_eq!(tasks[0].reason, Some(Reason::StartTimeout { minutes: 30 }));
    assert_eq!(tasks[0].tries, 3);
}
