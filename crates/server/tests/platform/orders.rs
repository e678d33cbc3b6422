//! What operators order, rightly and wrongly.

use crate::common::*;
use bytes::Bytes;
use otaru_server::rollout::{
    JobKind, JobState, PackageState, Protocol, Reason, SignMethod, TaskState, Terms,
};
use otaru_server::{
    DeviceFilter, EventFilter, NewDevice, NewJob, NewModule, NewPackage, NewProduct, NewScope, Paging,
    Warning,
};

const PK: &str = "a1TestPk001";

async fn refusal(world: &World, new: NewJob) -> &'static str {
    world.server.create_job(new).await.unwrap_err().code
}

#[tokio::test]
async fn products_are_made_with_keys_of_their_own_or_given_ones() {
    let world = World::new().await;
    world.product().await;
    let given = || NewProduct { name: "again".into(), product_key: Some(PK.into()), ..NewProduct::default() };
    assert_eq!(world.server.create_product(given()).await.unwrap_err().code, "productKeyTaken");
    let own = world
        .server
        .create_product(NewProduct { name: "own".into(), ..NewProduct::default() })
        .await
        .unwrap();
    assert!(wire::credentials::valid_product_key(&own.product_key));
    let bad = NewProduct { product_key: Some("a/b".into()), ..given() };
    assert_eq!(world.server.create_product(bad).await.unwrap_err().code, "productKeyInvalid");
    let bad = NewProduct { name: "a\nb".into(), ..NewProduct::default() };
    assert_eq!(world.server.create_product(bad).await.unwrap_err().code, "nameInvalid");
    world.device("dev001").await;
    assert_eq!(world.server.remove_product(PK).await.unwrap_err().code, "productNotEmpty");
    world.server.remove_product(&own.product_key).await.unwrap();
    assert_eq!(world.server.product(&own.product_key).await.unwrap_err().code, "productNotFound");
}

#[tokio::test]
async fn an_import_tells_for_each_line_what_came_of_it() {
    let world = World::new().await;
    world.product().await;
    world.device("dev001").await;
    let line = |name: &str, secret: Option<&str>| NewDevice {
        device_name: Some(name.into()),
        device_secret: secret.map(Into::into),
    };
    let lines = vec![
        line("dev002", Some("0123456789abcdef0123456789abcdef")),
        line("dev001", None),
        line("x", None),
        line("dev003", Some("two words")),
        line("dev004", None),
        line("dev004", None),
        NewDevice::default(),
    ];
    let results = world.server.import_devices(PK, lines).await.unwrap();
    let codes: Vec<_> = results.iter().map(|r| r.as_ref().map_or_else(|e| e.code, |_| "made")).collect();
    let expected = [
        "made",
        "deviceNameTaken",
        "deviceNameInvalid",
        "deviceSecretInvalid",
        "made",
        "deviceNameTaken",
        "made",
    ];
    assert_eq!(codes, expected);
    let set = world.server.credentials(PK, "dev002").await.unwrap();
    assert_eq!(set.device_secret, "0123456789abcdef0123456789abcdef");
    assert_eq!(set.logins.len(), 3);
    let given = DeviceKey { name: "dev002".into(), secret: set.device_secret };
    let _device = Device::online(&world, &given, "1.0.0").await;
    let filter = DeviceFilter { prefix: Some("dev00".into()), online: Some(true), ..DeviceFilter::default() };
    let online = world.server.devices(PK, &filter, Paging { after: None, limit: 10 }).await.unwrap().items;
    assert_eq!(online.iter().map(|v| &*v.device.name).collect::<Vec<_>>(), ["dev002"]);
}

#[tokio::test]
async fn a_package_needs_its_module_and_keeps_what_the_image_says() {
    let world = World::new().await;
    world.product().await;
    let of_mcu = || NewPackage { module: Some("MCU".into()), ..new_package("2.0.0") };
    let missing = world.server.start_package(PK, of_mcu()).await;
    assert_eq!(missing.err().unwrap().code, "moduleNotFound");
    let module = NewModule { name: "MCU".into(), alias: Some("单片机".into()), description: None };
    world.server.create_module(PK, module.clone()).await.unwrap();
    let folded = NewModule { name: "mcu".into(), ..module };
    assert_eq!(world.server.create_module(PK, folded).await.unwrap_err().code, "moduleTaken");
    world.package_of(of_mcu(), b"x").await;
    assert_eq!(world.server.remove_module(PK, "MCU").await.unwrap_err().code, "moduleInUse");
    assert_eq!(world.server.remove_module(PK, "default").await.unwrap_err().code, "moduleDefault");

    for version in ["", " 1", "a\"b", "{}", "\u{7}", &"v".repeat(65)] {
        let error = world.server.start_package(PK, new_package(version)).await.err().unwrap();
        assert_eq!(error.code, "versionInvalid", "{version:?}");
    }
    let empty = world.server.start_package(PK, new_package("2.0.0")).await.unwrap();
    assert_eq!(empty.finish().await.unwrap_err().code, "fileEmpty");

    let mut image = vec![0; 4_000];
    image[0] = 0xE9;
    image[32..36].copy_from_slice(&[0x32, 0x54, 0xCD, 0xAB]);
    image[48..53].copy_from_slice(b"1.9.9");
    let mut upload = world.server.start_package(PK, new_package("2.0.0")).await.unwrap();
    let refused = upload.write(Bytes::from(image.clone())).await.unwrap_err();
    assert_eq!(refused.code, "imageVersionDiffers");
    assert!(refused.text.contains("\"1.9.9\"") && refused.text.contains("\"2.0.0\""), "{}", refused.text);
    let accepted = NewPackage { accept_image_version: true, ..new_package("2.0.0") };
    let package = world.package_of(accepted, &image).await;
    assert_eq!(package.image_version.as_deref(), Some("1.9.9"));
}

#[tokio::test]
async fn jobs_that_cannot_work_are_refused_with_what_to_do() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &[1; 300]).await;
    assert_eq!(refusal(&world, new_job(&package)).await, "noDeviceMatched");
    let _device = Device::online(&world, &key, "1.0.0").await;
    let one = || NewJob { scope: named(&["dev001"]), ..new_job(&package) };
    assert_eq!(
        refusal(&world, NewJob { scope: named(&["dev001", "dev777"]), ..one() }).await,
        "deviceNotFound"
    );
    assert_eq!(refusal(&world, NewJob { scope: named(&[]), ..one() }).await, "noDeviceNamed");
    assert_eq!(
        refusal(&world, NewJob { scope: NewScope::Percent { thousandths: 0 }, ..one() }).await,
        "percentInvalid"
    );
    assert_eq!(refusal(&world, NewJob { timeout_minutes: Some(0), ..one() }).await, "numberInvalid");
    assert_eq!(refusal(&world, NewJob { rate_per_minute: Some(-1), ..one() }).await, "numberInvalid");
    assert_eq!(refusal(&world, NewJob { kind: JobKind::Verify, ..one() }).await, "packageNotVerifiable");
    assert_eq!(refusal(&world, NewJob { package: 77, ..one() }).await, "packageNotFound");

    let sha256 =
        world.package_of(NewPackage { sign_method: SignMethod::Sha256, ..new_package("3") }, b"x").await;
    let over_mqtt = || NewJob { package: sha256.id, ..one() };
    assert_eq!(refusal(&world, over_mqtt()).await, "sha256OverMqtt");
    let job = world.job_of(NewJob { allow_sha256_over_mqtt: true, ..over_mqtt() }).await;
    world.server.cancel_job(job.id).await.unwrap();
    assert_eq!(world.server.cancel_job(job.id).await.unwrap_err().code, "jobEnded");

    let large = world.package("4", &vec![0; 16 * 1024 * 1024 + 1]).await;
    assert_eq!(refusal(&world, NewJob { package: large.id, ..one() }).await, "fileTooLargeForMqtt");
    world.job_of(NewJob { package: large.id, protocol: Protocol::Http, ..one() }).await;
}

#[tokio::test]
async fn a_notice_too_large_for_common_buffers_must_be_allowed() {
    let long = format!("http://ota.example/{}", "a".repeat(1_500));
    let world = World::with_public_url(Some(long)).await;
    world.product().await;
    world.device("dev001").await;
    let package = world.package("2.0.0", b"x").await;
    let new = || NewJob { scope: named(&["dev001"]), protocol: Protocol::Http, ..new_job(&package) };
    assert_eq!(refusal(&world, new()).await, "noticeTooLarge");
    let created = world.server.create_job(NewJob { allow_large_notice: true, ..new() }).await.unwrap();
    assert!(created.forecast.largest_notice > 1_800, "{:?}", created.forecast);

    let world = World::with_public_url(None).await;
    world.product().await;
    world.device("dev001").await;
    let package = world.package("2.0.0", b"x").await;
    let error = world.server.create_job(NewJob { package: package.id, ..new() }).await.unwrap_err();
    assert_eq!(error.code, "publicUrlUnset");
    assert!(error.text.contains("--public-url"), "{}", error.text);
}

#[tokio::test]
async fn an_address_that_leads_devices_to_themselves_is_warned_of() {
    let world = World::with_public_url(Some("http://localhost:1883".into())).await;
    world.product().await;
    world.device("dev001").await;
    let package = world.package("2.0.0", b"x").await;
    let new = |protocol| NewJob { scope: named(&["dev001"]), protocol, ..new_job(&package) };
    let warnings = world.server.forecast_job(&new(Protocol::Http)).await.unwrap().warnings;
    assert_eq!(warnings, [Warning::PublicUrlLoopback("http://localhost:1883".into())]);
    assert_eq!(warnings[0].code(), "publicUrlLoopback");
    assert!(warnings[0].to_string().contains("--public-url"));
    assert_eq!(world.server.create_job(new(Protocol::Http)).await.unwrap().forecast.warnings, warnings);
    assert_eq!(world.server.forecast_job(&new(Protocol::Mqtt)).await.unwrap().warnings, []);
}

#[tokio::test]
async fn ten_per_cent_are_a_part_of_thirty() {
    let world = World::new().await;
    world.product().await;
    let (mut devices, mut names) = (Vec::new(), Vec::new());
    for i in 0..20 {
        names.push(format!("dev{i:03}"));
        let key = world.device(&names[i]).await;
        devices.push(Device::online(&world, &key, "1.0.0").await);
    }
    let package = world.package("2.0.0", b"x").await;
    let mut taken: Vec<Vec<i64>> = Vec::new();
    for thousandths in [10_000, 30_000] {
        let created = world
            .server
            .create_job(NewJob {
                scope: NewScope::Percent { thousandths },
                need_push: false,
                ..new_job(&package)
            })
            .await
            .unwrap();
        let job = created.job;
        world.until(&job, "enrolled", |job, _| job.work.is_none()).await;
        taken.push(world.tasks(&job).await.iter().map(|v| v.task.device_id).collect());
        for (device, name) in devices.iter_mut().zip(names.iter()) {
            let view = world.server.device(PK, name).await.unwrap();
            if taken.last().unwrap().contains(&view.device.id) {
                device.report("2.0.0").await;
            }
        }
        world.until_job(&job, JobState::Completed).await;
    }
    // Those of the ten per cent have succeeded, so the thirty make tasks for the rest of their share.
    assert_eq!((taken[0].len(), taken[1].len()), (2, 4));
    assert!(taken[0].iter().all(|d| !taken[1].contains(d)));
}

#[tokio::test]
async fn one_device_has_one_unfinished_task() {
    let world = World::new().await;
    world.product().await;
    world.device("dev001").await;
    let first = world.job(&world.package("2", b"x").await, &["dev001"]).await;
    let held = world.until_all(&first, TaskState::Queued).await;
    let second = world.job(&world.package("3", b"y").await, &["dev001"]).await;
    let failed = world.until_all(&second, TaskState::Failed).await;
    assert_eq!(failed[0].reason, Some(Reason::Conflict { task: held[0].id }));
    world.until_job(&second, JobState::Completed).await;
    assert_eq!(world.server.reupgrade_task(failed[0].id).await.unwrap_err().code, "taskBlocked");
    world.server.cancel_task(held[0].id).await.unwrap();
    world.server.reupgrade_task(failed[0].id).await.unwrap();
    let tasks = world.until_all(&second, TaskState::Queued).await;
    assert_eq!(tasks[0].attempt, 2);
    assert_eq!(world.server.cancel_task(held[0].id).await.unwrap_err().code, "taskEnded");
    assert_eq!(world.server.reupgrade_task(failed[0].id).await.unwrap_err().code, "taskNotEnded");
}

#[tokio::test]
async fn an_ended_verification_does_not_take_a_verdict_away() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package_of(NewPackage { need_verify: true, ..new_package("2.0.0") }, b"x").await;
    let verify = || NewJob { kind: JobKind::Verify, scope: named(&["dev001"]), ..new_job(&package) };
    let first = world.job_of(verify()).await;
    let task = world.until_all(&first, TaskState::Queued).await[0].id;
    world.server.cancel_job(first.id).await.unwrap();
    world.until_all(&first, TaskState::Canceled).await;
    let second = world.job_of(verify()).await;
    assert_eq!(world.server.reupgrade_job(first.id).await.unwrap_err().code, "packageNotVerifiable");
    let mut device = Device::online(&world, &key, "1.0.0").await;
    device.notice().await;
    device.report("2.0.0").await;
    world.until_job(&second, JobState::Completed).await;
    assert_eq!(world.server.reupgrade_job(first.id).await.unwrap_err().code, "packageNotVerifiable");
    assert_eq!(world.server.reupgrade_task(task).await.unwrap_err().code, "packageNotVerifiable");
    assert_eq!(world.server.package(package.id).await.unwrap().state, PackageState::Verified);
}

#[tokio::test]
async fn a_job_that_has_ended_counts_devices_that_are_removed_later() {
    let world = World::new().await;
    world.product().await;
    let (good, bad) = (world.device("dev001").await, world.device("dev002").await);
    let package = world.package("2.0.0", b"x").await;
    let job = world.job(&package, &["dev001", "dev002"]).await;
    for (key, step) in [(&good, None), (&bad, Some(-1))] {
        let mut device = Device::online(&world, key, "1.0.0").await;
        device.notice().await;
        match step {
            Some(step) => device.progress(step, "no").await,
            None => device.report("2.0.0").await,
        }
    }
    world.until_job(&job, JobState::Completed).await;
    for name in ["dev001", "dev002"] {
        world.server.remove_device(PK, name).await.unwrap();
    }
    let counts = world.server.job(job.id).await.unwrap().counts;
    assert_eq!((counts.get(TaskState::Succeeded), counts.get(TaskState::Failed)), (1, 1));
    assert_eq!(world.server.reupgrade_job(job.id).await.unwrap_err().code, "nothingToReupgrade");
}

#[tokio::test]
async fn what_was_never_approved_or_is_over_does_not_start_again() {
    let world = World::new().await;
    world.product().await;
    world.device("dev001").await;
    let package = world.package("2.0.0", b"x").await;
    let job = async |terms| {
        let made = world.job_of(NewJob { scope: named(&["dev001"]), terms, ..new_job(&package) }).await;
        world.until(&made, "enrolled", |job, _| job.work.is_none()).await;
        let task = world.tasks(&made).await.remove(0).task;
        world.server.cancel_task(task.id).await.unwrap();
        (made.id, task.id)
    };
    let refused = async |(job, task), codes: [&str; 2]| {
        let errors = [
            world.server.reupgrade_job(job).await.unwrap_err(),
            world.server.reupgrade_task(task).await.unwrap_err(),
        ];
        assert_eq!(errors.each_ref().map(|e| e.code), codes);
        errors
    };
    let unapproved = job(Terms { need_confirm: true, ..Terms::as_the_cloud() }).await;
    let [of_job, _] = refused(unapproved, ["nothingToReupgrade", "taskNotApproved"]).await;
    assert!(of_job.text.contains("approved"), "{}", of_job.text);

    let end_at = Some(START + 60_000);
    let ends = job(Terms { end_at, ..Terms::as_the_cloud() }).await;
    world.server.reupgrade_task(ends.1).await.unwrap();
    world.server.cancel_task(ends.1).await.unwrap();
    world.clock.advance(60_000);
    let [of_job, _] = refused(ends, ["jobOver", "jobOver"]).await;
    assert_eq!(of_job.params["endAt"], "2026-11-22T10:01:00Z");
}

#[tokio::test]
async fn nothing_starts_again_for_a_package_that_is_gone() {
    let world = World::new().await;
    world.product().await;
    world.device("dev001").await;
    let package = world.package("2.0.0", b"x").await;
    let job = world.job(&package, &["dev001"]).await;
    let task = world.until_all(&job, TaskState::Queued).await[0].id;
    world.server.cancel_task(task).await.unwrap();
    world.until_job(&job, JobState::Completed).await;
    world.server.remove_package(package.id).await.unwrap();
    assert_eq!(world.server.reupgrade_task(task).await.unwrap_err().code, "packageNotFound");
    assert_eq!(world.server.reupgrade_job(job.id).await.unwrap_err().code, "packageNotFound");
}

#[tokio::test]
async fn a_device_is_removed_with_what_it_has() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", b"x").await;
    let job = world.job(&package, &["dev001"]).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    device.notice().await;
    assert_eq!(world.server.remove_package(package.id).await.unwrap_err().code, "packageInUse");
    world.server.remove_device(PK, "dev001").await.unwrap();
    device.expect_close().await;
    world.until_job(&job, JobState::Completed).await;
    assert!(world.tasks(&job).await.is_empty());
    let counts = world.server.job(job.id).await.unwrap().counts;
    assert_eq!((counts.get(TaskState::Canceled), counts.total()), (1, 1), "what happened stays");
    assert_eq!(Device::dial(&world, &key).await.1, 5);
    world.server.remove_package(package.id).await.unwrap();
    world.server.remove_product(PK).await.unwrap();
}

#[tokio::test]
async fn events_tell_the_story_in_order_without_gaps() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", b"x").await;
    let job = world.job(&package, &["dev001"]).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    device.notice().await;
    for step in 0..=100 {
        device.progress(step, "").await;
    }
    device.report("2.0.0").await;
    world.until_job(&job, JobState::Completed).await;
    let all = world.server.events(EventFilter::All, None, 1_000).await.unwrap().items;
    let numbers: Vec<i64> = all.iter().map(|e| e.seq).collect();
    assert_eq!(numbers, (1..=all.len() as i64).collect::<Vec<_>>());
    assert!(all.is_sorted_by_key(|e| e.event.at));
    let codes: Vec<String> = all
        .iter()
        .map(|e| serde_json::to_value(&e.event.kind).unwrap()["code"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(codes.iter().filter(|c| *c == "taskProgress").count(), 11);
    assert_eq!(codes.iter().filter(|c| *c == "taskPushed").count(), 1);
    assert_eq!(codes.last().map(|c| &**c), Some("jobState"));
    let of_task = world.tasks(&job).await[0].task.id;
    let timeline = world.server.events(EventFilter::Task(of_task), None, 1_000).await.unwrap().items;
    assert!(codes.contains(&"productCreated".to_owned()) && codes.contains(&"deviceCreated".to_owned()));
    assert!(timeline.len() >= 15 && timeline.iter().all(|e| e.event.task_id == Some(of_task)));
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_not_carried_out_again() {
    let world = World::new().await;
    let new = || NewProduct { name: "lamp".into(), product_key: Some(PK.into()), ..NewProduct::default() };
    let refused = NewProduct { name: String::new(), ..new() };
    otaru_server::under_key("k", "hash", world.server.create_product(refused)).await.unwrap_err();
    assert_eq!(world.server.answered("k", "hash").await.unwrap(), None, "a refused order may be sent again");
    otaru_server::under_key("k", "hash", world.server.create_product(new())).await.unwrap();
    let world = world.kill().await;
    assert_eq!(world.server.answered("k", "hash").await.unwrap_err().code, "answerLost");
    assert_eq!(world.server.answered("k", "other").await.unwrap_err().code, "idempotencyKeyReused");
    world.server.remember("k", "hash", "201 {}".into()).await.unwrap();
    assert_eq!(world.server.answered("k", "hash").await.unwrap().as_deref(), Some("201 {}"));
}

#[tokio::test]
async fn a_job_started_again_takes_nobody_back_from_a_later_one() {
    let world = World::new().await;
    world.product().await;
    let keys = [world.device("dev001").await, world.device("dev002").await];
    let job = world.job(&world.package("2.0.0", b"x").await, &["dev001", "dev002"]).await;
    let mut devices = vec![];
    for key in &keys {
        let mut device = Device::online(&world, key, "1.0.0").await;
        device.notice().await;
        device.progress(-1, "no").await;
        devices.push(device);
    }
    world.until_job(&job, JobState::Completed).await;
    let later = world.job(&world.package("2.1.0", b"y").await, &["dev001"]).await;
    devices[0].notice().await;
    devices[0].report("2.1.0").await;
    world.until_job(&later, JobState::Completed).await;
    world.server.reupgrade_job(job.id).await.unwrap();
    devices[1].notice().await;
    devices[0].nothing_more().await;
    let states: Vec<TaskState> = world.tasks(&job).await.iter().map(|view| view.task.state).collect();
    assert_eq!(states, [TaskState::Failed, TaskState::Notified]);
}
