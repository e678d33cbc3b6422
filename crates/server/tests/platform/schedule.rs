//! Approval, schedule and pause over real sockets and a database.

use crate::common::{Device, DeviceKey, World, named, new_job};
use otaru_server::rollout::{CancelStates, Hold, Job, JobState, Package, Tag, TaskState, Terms};
use otaru_server::{NewJob, NewScope, Order};

const MINUTE: i64 = 60_000;

async fn online() -> (World, DeviceKey, Device, Package) {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let device = Device::online(&world, &key, "1.0.0").await;
    let package = world.package("2.0.0", b"x").await;
    (world, key, device, package)
}

fn job_on(terms: Terms, package: &Package) -> NewJob {
    NewJob { terms, scope: named(&["dev001"]), ..new_job(package) }
}

async fn enrolled(world: &World, job: &Job) {
    world.until(job, "enrolled", |job, tasks| job.work.is_none() && !tasks.is_empty()).await;
}

#[tokio::test]
async fn a_task_is_approved_alone_or_with_its_job() {
    for alone in [true, false] {
        let (world, _, mut device, package) = online().await;
        let job = world.job_of(job_on(Terms { need_confirm: true, ..Terms::default() }, &package)).await;
        enrolled(&world, &job).await;
        let task = world.tasks(&job).await.remove(0).task;
        assert_eq!(task.state, TaskState::Confirm);
        device.nothing_more().await;
        if alone {
            world.server.approve_task(task.id).await.unwrap();
        } else {
            world.server.approve_job(job.id).await.unwrap();
        }
        device.notice().await;
        let error = world.server.approve_task(task.id).await.unwrap_err();
        assert_eq!(error.code, "taskNotWaiting");
    }
}

#[tokio::test]
async fn a_planned_job_starts_after_a_kill_and_ends_by_its_schedule() {
    let (world, key, mut device, package) = online().await;
    let now = crate::common::START;
    let terms =
        Terms { start_at: Some(now + 10 * MINUTE), end_at: Some(now + 30 * MINUTE), ..Terms::default() };
    let job = world.job_of(job_on(terms, &package)).await;
    enrolled(&world, &job).await;
    assert_eq!(world.server.job(job.id).await.unwrap().state, JobState::Planned);
    assert_eq!(world.server.pause_job(job.id).await.unwrap_err().code, "jobNotRunning");
    device.nothing_more().await;
    let world = world.kill().await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    device.nothing_more().await;
    world.clock.advance(10 * MINUTE);
    device.notice().await;
    world.clock.advance(20 * MINUTE);
    world.until_all(&job, TaskState::Canceled).await;
    world.until_job(&job, JobState::Completed).await;
}

#[tokio::test]
async fn a_paused_job_answers_nothing_and_lets_go_when_it_is_resumed() {
    let (world, key, device, package) = online().await;
    device.hang_up().await;
    let job = world.job_of(job_on(Terms::default(), &package)).await;
    enrolled(&world, &job).await;
    let paused = world.server.pause_job(job.id).await.unwrap();
    assert_eq!(paused.hold, Some(Hold::Paused));
    let mut device = Device::online(&world, &key, "1.0.0").await;
    assert_eq!(device.ask().await, serde_json::json!({}));
    device.nothing_more().await;
    world.server.resume_job(job.id).await.unwrap();
    device.notice().await;
    assert_eq!(world.server.resume_job(job.id).await.unwrap_err().code, "jobNotHeld");
}

#[tokio::test]
async fn tags_travel_in_ext_data_as_the_last_member() {
    let (world, _, mut device, package) = online().await;
    let tags = vec![Tag { key: "ring".into(), value: "say \"hi\" {x}".into() }];
    let plain = world.server.create_job(job_on(Terms::default(), &package)).await.unwrap();
    device.notice().await;
    world.server.cancel_job(plain.job.id).await.unwrap();
    world.until_job(&plain.job, JobState::Canceled).await;
    let tagged = world.server.create_job(job_on(Terms { tags, ..Terms::default() }, &package)).await.unwrap();
    assert!(tagged.forecast.largest_notice > plain.forecast.largest_notice + 20);
    let notice = device.notice().await;
    assert_eq!(notice["data"]["extData"], serde_json::json!({"ring": "say \"hi\" {x}"}));
}

#[tokio::test]
async fn what_contradicts_itself_is_refused_before_anything_is_made() {
    let (world, _, _device, package) = online().await;
    let tag = |key: &str, value: &str| vec![Tag { key: key.into(), value: value.into() }];
    let wrong: Vec<(&str, Terms)> = vec![
        ("scheduleInvalid", Terms { start_at: Some(1), ..Terms::default() }),
        ("scheduleInvalid", Terms { end_at: Some(1), ..Terms::default() }),
        ("termsContradict", Terms { end_running: true, ..Terms::default() }),
        ("srcVersionsInvalid", Terms { src_versions: vec!["1".into(); 2], ..Terms::default() }),
        ("noDeviceMatched", Terms { src_versions: vec!["0.9".into()], ..Terms::default() }),
        ("tagsInvalid", Terms { tags: tag("no blanks", ""), ..Terms::default() }),
        ("noticeInvalid", Terms { tags: tag("version", "3"), ..Terms::default() }),
        ("noticeInvalid", Terms { tags: tag("ring", "}"), ..Terms::default() }),
        (
            "termsContradict",
            Terms {
                multi_module: true,
                overwrite: otaru_server::rollout::Overwrite::Replace,
                ..Terms::default()
            },
        ),
    ];
    for (code, terms) in wrong {
        let error = world.server.create_job(job_on(terms.clone(), &package)).await.unwrap_err();
        assert_eq!(error.code, code, "{terms:?}");
    }
    let long = Terms { retry_interval_ms: 10 * MINUTE, ..Terms::default() };
    let new = NewJob { timeout_minutes: Some(10), ..job_on(long, &package) };
    assert_eq!(world.server.create_job(new).await.unwrap_err().code, "retryIntervalInvalid");
    let none = otaru_server::JobFilter::All;
    let paging = otaru_server::Paging { after: None, limit: 10 };
    assert!(world.server.jobs(none, None, Order::Oldest, paging).await.unwrap().items.is_empty());
    let all = NewJob { scope: NewScope::All, ..job_on(Terms::default(), &package) };
    world.server.create_job(all).await.unwrap();
}

#[tokio::test]
async fn a_difference_says_so_and_carries_its_own_words() {
    let (world, _, mut device, _) = online().await;
    let other = world.device("dev002").await;
    let mut other = Device::online(&world, &other, "0.9").await;
    let new = otaru_server::NewPackage {
        src_version: Some("1.0.0".into()),
        custom: Some("{\"a\":1}".into()),
        ..crate::common::new_package("2.0.0")
    };
    let package = world.package_of(new, b"diff").await;
    let created = world.server.create_job(new_job(&package)).await.unwrap();
    assert_eq!((created.forecast.matched, created.forecast.excluded.other_package_source), (1, 1));
    let notice = device.notice().await;
    assert_eq!(
        (&notice["data"]["isDiff"], &notice["data"]["extData"]["_package_udi"]),
        (&1.into(), &"{\"a\":1}".into())
    );
    other.nothing_more().await;
    device.progress(-1, "no").await;
    device.report("0.9").await;
    let task = world.until_all(&created.job, TaskState::Failed).await[0].id;
    device.nothing_more().await;
    let error = world.server.reupgrade_task(task).await.unwrap_err();
    assert_eq!(
        (error.code, error.text.contains("reports 0.9, and its job and package are for 1.0.0")),
        ("sourceExcluded", true)
    );
    device.report("1.0.0").await;
    world.server.reupgrade_task(task).await.unwrap();
    device.notice().await;
    let canceled = world.server.cancel_package_jobs(package.id).await.unwrap();
    assert_eq!(canceled.iter().map(|job| job.id).collect::<Vec<_>>(), [created.job.id]);
    world.until_job(&created.job, JobState::Canceled).await;
}

#[tokio::test]
async fn tasks_are_cancelled_by_their_states() {
    let (world, _, mut device, package) = online().await;
    let job = world.job_of(job_on(Terms::default(), &package)).await;
    device.notice().await;
    device.progress(10, "").await;
    let queued = CancelStates { queued: true, ..CancelStates::default() };
    world.server.cancel_job_tasks(job.id, queued).await.unwrap();
    world.until(&job, "looked through", |job, _| job.work.is_none()).await;
    assert_eq!(world.tasks(&job).await[0].task.state, TaskState::InProgress);
    let begun = CancelStates { in_progress: true, ..CancelStates::default() };
    world.server.cancel_job_tasks(job.id, begun).await.unwrap();
    world.until_job(&job, JobState::Canceled).await;
    let error = world.server.cancel_job_tasks(job.id, CancelStates::default()).await.unwrap_err();
    assert_eq!(error.code, "statesInvalid");
}
