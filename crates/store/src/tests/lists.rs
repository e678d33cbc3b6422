use std::collections::BTreeSet;

use rollout::{
    Changes, Device, Event, EventKind, Id, JobState, ModuleVersion, Reason, Session, Task, TaskState, Timer,
};

use super::home::Home;
use super::on_both;
use super::sample::{self, JOB, PACKAGE, PRODUCT};
use crate::committer::{self, Keys};
use crate::devices::{Claimant, Filter};
use crate::idempotency::{self, Answered};
use crate::modules::{self, Creation, Module};
use crate::{Order, Owner, Removal, Sealed, Store, Tx, devices, events, jobs, packages, products, tasks};

async fn filled(home: &Home, devices: impl Iterator<Item = Id>) -> Store {
    let store = home.open().await;
    let mut tx = store.begin().await.unwrap();
    sample::fill(&store, &mut tx, devices).await;
    tx.commit().await.unwrap();
    store
}

async fn names(
    tx: &mut Tx,
    filter: &Filter,
    after: Option<&str>,
    limit: u32,
) -> (Vec<String>, Option<String>) {
    let page = devices::list(tx, PRODUCT, filter, after, limit).await.unwrap();
    (page.items.into_iter().map(|view| view.device.name).collect(), page.next)
}

fn module(name: &str) -> Module {
    Module {
        product_id: PRODUCT,
        name: name.into(),
        alias: Some("别名".into()),
        description: None,
        created_at: 9,
    }
}

on_both! {
    async fn products_are_made_changed_and_removed(home: Home) {
        let store = filled(home, 10..11).await;
        let mut tx = store.begin().await.unwrap();
        let secret = products::secret(&mut tx, PRODUCT).await.unwrap().unwrap();
        let owner = Owner::Product { product_key: "a1sample" };
        assert_eq!(store.keyring().open(owner, &secret).unwrap(), b"0123456789abcdef");
        let twin = rollout::Product { id: 2, ..sample::product() };
        assert!(!products::create(&mut tx, &twin, &secret).await.unwrap());
        let second = rollout::Product { product_key: "a2".into(), ..twin };
        assert!(products::create(&mut tx, &second, &Sealed(vec![1])).await.unwrap());
        let page = products::list(&mut tx, None, 1).await.unwrap();
        assert_eq!((page.items.as_slice(), page.next), (&[sample::product()][..], Some(PRODUCT)));
        let page = products::list(&mut tx, page.next, 1).await.unwrap();
        assert_eq!((page.items.as_slice(), page.next), (std::slice::from_ref(&second), None));
        let changed = rollout::Product { name: "灯".into(), settle_ms: 1, timezone: Some("Asia/Shanghai".into()), ..second };
        assert!(products::update(&mut tx, &changed).await.unwrap());
        assert!(!products::update(&mut tx, &rollout::Product { id: 3, ..changed.clone() }).await.unwrap());
        assert_eq!(products::find(&mut tx, "a2").await.unwrap(), Some(changed.clone()));
        assert_eq!(products::get(&mut tx, 2).await.unwrap(), Some(changed));
        assert_eq!(products::find(&mut tx, "A2").await.unwrap(), None);
        assert_eq!(products::delete(&mut tx, PRODUCT).await.unwrap(), Removal::InUse);
        assert_eq!(products::delete(&mut tx, 2).await.unwrap(), Removal::Removed);
        assert_eq!(products::delete(&mut tx, 2).await.unwrap(), Removal::Missing);
        assert_eq!(modules::list(&mut tx, 2).await.unwrap(), []);
        drop(tx);
        store.close().await;
    }

    async fn a_product_goes_with_its_jobs(home: Home) {
        let store = filled(home, 10..11).await;
        let mut tx = store.begin().await.unwrap();
        tx.exec("update job set state = 'COMPLETED'", vec![]).await.unwrap();
        assert_eq!(devices::delete(&mut tx, 10).await.unwrap(), Removal::Removed);
        assert_eq!(products::delete(&mut tx, PRODUCT).await.unwrap(), Removal::InUse);
        assert_eq!(packages::delete(&mut tx, PACKAGE).await.unwrap(), Removal::Removed);
        assert_eq!(products::delete(&mut tx, PRODUCT).await.unwrap(), Removal::Removed);
        assert_eq!(jobs::get(&mut tx, JOB).await.unwrap(), None);
        drop(tx);
        store.close().await;
    }

    async fn modules_are_unique_whatever_their_case(home: Home) {
        let store = filled(home, 0..0).await;
        let mut tx = store.begin().await.unwrap();
        assert_eq!(modules::create(&mut tx, &module("MCU"), 2).await.unwrap(), Creation::Created);
        assert_eq!(modules::create(&mut tx, &module("mcu"), 2).await.unwrap(), Creation::Taken);
        assert_eq!(modules::create(&mut tx, &module("Default"), 2).await.unwrap(), Creation::Taken);
        assert_eq!(modules::create(&mut tx, &module("wifi"), 2).await.unwrap(), Creation::Created);
        assert_eq!(modules::create(&mut tx, &module("bt"), 2).await.unwrap(), Creation::TooMany);
        assert_eq!(modules::get(&mut tx, PRODUCT, "mCU").await.unwrap(), Some(module("MCU")));
        let listed: Vec<_> = modules::list(&mut tx, PRODUCT).await.unwrap().into_iter().map(|m| m.name).collect();
        assert_eq!(listed, ["default", "MCU", "wifi"]);
        let of_mcu = rollout::Package { id: 6, module: "MCU".into(), ..sample::package() };
        packages::create(&mut tx, &of_mcu).await.unwrap();
        assert_eq!(modules::delete(&mut tx, PRODUCT, "mcu").await.unwrap(), Removal::InUse);
        assert_eq!(modules::delete(&mut tx, PRODUCT, "default").await.unwrap(), Removal::InUse);
        assert_eq!(modules::delete(&mut tx, PRODUCT, "WIFI").await.unwrap(), Removal::Removed);
        assert_eq!(modules::delete(&mut tx, PRODUCT, "wifi").await.unwrap(), Removal::Missing);
        drop(tx);
        store.close().await;
    }

    async fn devices_are_made_line_by_line(home: Home) {
        let store = filled(home, 10..12).await;
        let mut tx = store.begin().await.unwrap();
        let named = |id, name: &str| sample::new_device(&store, Device { name: name.into(), ..sample::device(id) });
        let new = [named(20, "new"), named(21, "lamp0010"), named(22, "new"), named(23, "New")];
        assert_eq!(devices::create(&mut tx, &new).await.unwrap(), BTreeSet::from([20, 23]));
        assert_eq!(devices::create(&mut tx, &[]).await.unwrap(), BTreeSet::new());
        let many: Vec<_> = (1000..4000).map(|id| named(id, &format!("many{id}"))).collect();
        assert_eq!(devices::create(&mut tx, &many).await.unwrap().len(), 3000);
        let wanted = ["new".to_owned(), "nobody".to_owned(), "lamp0011".to_owned()];
        let found = devices::ids_of(&mut tx, PRODUCT, &wanted).await.unwrap();
        assert_eq!(Vec::from_iter(found), [("lamp0011".to_owned(), 11), ("new".to_owned(), 20)]);
        drop(tx);
        store.close().await;
    }

    async fn a_login_finds_its_secret(home: Home) {
        let store = filled(home, 10..12).await;
        let mut tx = store.read().await.unwrap();
        let names = [
            ("a1sample", "lamp0011"), ("a1sample", "LAMP0011"), ("a1sampl", "lamp0011"), ("", ""),
            ("a1sample", "' or 1=1 --"), ("a1sample", "lamp0010"), ("a1sample", "lamp0011"),
        ];
        let names = names.map(|(product_key, device_name)| Claimant { product_key, device_name, client_id: None });
        let found = devices::logins(&mut tx, &names).await.unwrap();
        let ids: Vec<_> = found.iter().map(|login| login.as_ref().map(|l| (l.device, l.enabled))).collect();
        let (ten, eleven) = (Some((10, true)), Some((11, true)));
        assert_eq!(ids, [eleven, None, None, None, None, ten, eleven]);
        let owner = Owner::Device { product_key: "a1sample", device_name: "lamp0011" };
        let secret = &found[0].as_ref().unwrap().secret;
        assert_eq!(store.keyring().open(owner, secret).unwrap(), b"secret of lamp0011");
        assert_eq!(devices::logins(&mut tx, &[]).await.unwrap().len(), 0);
        drop(tx);
        store.close().await;
    }

    async fn devices_are_listed_by_name_prefix_and_presence(home: Home) {
        let store = filled(home, 95..105).await;
        let mut tx = store.begin().await.unwrap();
        let sessions = [96, 100, 101].map(|id| Session { device_id: id, epoch: 1, connected_at: 3 }).to_vec();
        let version = |module: &str| ModuleVersion {
            device_id: 96,
            module: module.into(),
            version: "1".into(),
            epoch: 1,
            first_reported_at: 1,
            reported_at: 2,
            given_up: None,
        };
        let versions = vec![version("b"), version("A")];
        let changes = Changes { sessions, versions, ..Changes::default() };
        committer::apply(&mut tx, &changes).await.unwrap();
        let all = Filter::default();
        let (page, next) = names(&mut tx, &all, None, 4).await;
        assert_eq!(page, ["lamp0095", "lamp0096", "lamp0097", "lamp0098"]);
        let (page, next) = names(&mut tx, &all, next.as_deref(), 6).await;
        assert_eq!((page.len(), next), (6, None));
        let prefix = Some("lamp010".to_owned());
        let (page, next) = names(&mut tx, &Filter { prefix: prefix.clone(), ..Filter::default() }, None, 9).await;
        assert_eq!((page.len(), next), (5, None));
        let (page, _) = names(&mut tx, &Filter { prefix: prefix.clone(), online: Some(true), selection: None }, None, 9).await;
        assert_eq!(page, ["lamp0100", "lamp0101"]);
        let (page, _) = names(&mut tx, &Filter { prefix, online: Some(false), selection: None }, Some("lamp0102"), 9).await;
        assert_eq!(page, ["lamp0103", "lamp0104"]);
        let (page, next) = names(&mut tx, &Filter { online: Some(true), ..Filter::default() }, None, 1).await;
        assert_eq!((page, next), (vec!["lamp0096".to_owned()], Some("lamp0096".to_owned())));
        let view = devices::find(&mut tx, PRODUCT, "lamp0096").await.unwrap().unwrap();
        assert!(view.online);
        assert_eq!(view.versions, [version("A"), version("b")]);
        assert_eq!(devices::get(&mut tx, 96).await.unwrap(), Some(view));
        assert_eq!(devices::get(&mut tx, 9).await.unwrap(), None);
        drop(tx);
        store.close().await;
    }

    async fn a_device_leaves_with_all_that_is_its_own(home: Home) {
        let store = filled(home, 10..12).await;
        let mut tx = store.begin().await.unwrap();
        let tasks_new = vec![
            sample::task(100, JOB, 10),
            Task { state: TaskState::Failed, ..sample::task(101, JOB, 10) },
            Task { state: TaskState::Failed, ..sample::task(102, JOB, 11) },
        ];
        let counts = [((JOB, TaskState::Queued), 1), ((JOB, TaskState::Failed), 2)].into();
        let timers = [
            (Timer::Grace(10), Some(1)),
            (Timer::Quiet(10), Some(1)),
            (Timer::Timeout(101), Some(2)),
            (Timer::Grace(101), Some(3)),
            (Timer::Settle(102), Some(4)),
        ];
        let sessions = vec![Session { device_id: 10, epoch: 1, connected_at: 1 }];
        let changes = Changes { tasks_new, counts, timers: timers.into(), sessions, ..Changes::default() };
        committer::apply(&mut tx, &changes).await.unwrap();
        assert!(devices::set_enabled(&mut tx, 10, false).await.unwrap());
        assert!(!devices::set_enabled(&mut tx, 12, false).await.unwrap());
        assert!(!devices::get(&mut tx, 10).await.unwrap().unwrap().device.enabled);
        assert_eq!(devices::delete(&mut tx, 10).await.unwrap(), Removal::InUse);
        let canceled = Task { state: TaskState::Canceled, ..sample::task(100, JOB, 10) };
        let counts = [((JOB, TaskState::Queued), -1), ((JOB, TaskState::Canceled), 1)].into();
        let changes = Changes { tasks: vec![canceled], counts, ..Changes::default() };
        committer::apply(&mut tx, &changes).await.unwrap();
        assert_eq!(devices::delete(&mut tx, 10).await.unwrap(), Removal::Removed);
        assert_eq!(devices::delete(&mut tx, 10).await.unwrap(), Removal::Missing);
        let keys = Keys { devices: [10].into(), tasks: (100..103).collect(), ..Keys::default() };
        let rows = committer::load(&mut tx, &keys, 0).await.unwrap();
        assert_eq!(Vec::from_iter(rows.tasks.into_keys()), [102]);
        assert!(rows.sessions.is_empty());
        let counts = jobs::get(&mut tx, JOB).await.unwrap().unwrap().counts;
        assert_eq!((counts.total(), counts.get(TaskState::Failed)), (1, 1));
        let left = committer::claim_timers(&mut tx, 99, 99).await.unwrap();
        assert_eq!(left, [Timer::Grace(101), Timer::Settle(102)]);
        drop(tx);
        store.close().await;
    }

    async fn packages_are_listed_and_removed(home: Home) {
        let store = filled(home, 0..0).await;
        let mut tx = store.begin().await.unwrap();
        let more = |n: u8| rollout::PackageFile { name: format!("f{n}.bin"), size: 3, md5: format!("{n:032}"), sha256: format!("{n:064}") };
        let odd = rollout::Package { id: 6, more_files: vec![more(7), more(8)], image_version: Some("1.9".into()), src_version: Some("1".into()), custom: Some("{}".into()), ..sample::package() };
        packages::create(&mut tx, &odd).await.unwrap();
        assert_eq!(packages::get(&mut tx, 6).await.unwrap(), Some(odd.clone()));
        let page = packages::list(&mut tx, Some(PRODUCT), Order::Oldest, None, 1).await.unwrap();
        assert_eq!((page.items, page.next), (vec![sample::package()], Some(PACKAGE)));
        let page = packages::list(&mut tx, None, Order::Oldest, page.next, 1).await.unwrap();
        assert_eq!((page.items, page.next), (vec![odd], None));
        assert_eq!(packages::delete(&mut tx, PACKAGE).await.unwrap(), Removal::InUse);
        assert!(packages::uses(&mut tx, &sample::package().sha256).await.unwrap());
        for n in [7, 8] {
            assert!(packages::uses(&mut tx, &more(n).sha256).await.unwrap());
            assert!(packages::digests(&mut tx).await.unwrap().contains(&more(n).sha256));
        }
        assert!(!packages::uses(&mut tx, &more(9).sha256).await.unwrap());
        assert_eq!(packages::delete(&mut tx, 6).await.unwrap(), Removal::Removed);
        assert!(!packages::uses(&mut tx, &more(7).sha256).await.unwrap());
        assert_eq!(packages::delete(&mut tx, 6).await.unwrap(), Removal::Missing);
        assert!(!packages::uses(&mut tx, &"0".repeat(64)).await.unwrap());
        drop(tx);
        store.close().await;
    }

    async fn jobs_are_listed_with_their_counts(home: Home) {
        let store = filled(home, 0..0).await;
        let mut tx = store.begin().await.unwrap();
        let other = rollout::Job { package_id: 6, product_id: 2, ..sample::job(9) };
        for job in [sample::job(8), other] {
            jobs::create(&mut tx, &job, &[]).await.unwrap();
        }
        let counts = [((8, TaskState::Queued), 3), ((9, TaskState::Failed), 4)].into();
        committer::apply(&mut tx, &Changes { counts, ..Changes::default() }).await.unwrap();
        let counts = [((8, TaskState::Queued), -1)].into();
        committer::apply(&mut tx, &Changes { counts, ..Changes::default() }).await.unwrap();
        let page = jobs::list(&mut tx, jobs::Filter::Package(PACKAGE), None, Order::Oldest, None, 1).await.unwrap();
        assert_eq!((page.items[0].id, page.next), (JOB, Some(JOB)));
        let page = jobs::list(&mut tx, jobs::Filter::Product(PRODUCT), None, Order::Oldest, page.next, 5).await.unwrap();
        assert_eq!((page.items.len(), page.items[0].id, page.next), (1, 8, None));
        assert_eq!(page.items[0].counts.get(TaskState::Queued), 2);
        let all = jobs::list(&mut tx, jobs::Filter::All, None, Order::Oldest, None, 5).await.unwrap().items;
        assert_eq!(all.len(), 3);
        let page = jobs::list(&mut tx, jobs::Filter::All, None, Order::Newest, None, 2).await.unwrap();
        assert_eq!((&page.items[..], page.next), (&[all[2].clone(), all[1].clone()][..], Some(all[1].id)));
        let page = jobs::list(&mut tx, jobs::Filter::All, None, Order::Newest, page.next, 2).await.unwrap();
        assert_eq!((&page.items[..], page.next), (&all[..1], None));
        let ended = JobState::Completed;
        let done = rollout::Job { state: ended, ..sample::job(8) };
        committer::apply(&mut tx, &Changes { jobs: vec![done], ..Changes::default() }).await.unwrap();
        for (filter, state, wanted) in [
            (jobs::Filter::All, JobState::InProgress, vec![9, JOB]),
            (jobs::Filter::All, ended, vec![8]),
            (jobs::Filter::Product(PRODUCT), JobState::InProgress, vec![JOB]),
            (jobs::Filter::Package(6), ended, vec![]),
        ] {
            let page = jobs::list(&mut tx, filter, Some(state), Order::Newest, None, 5).await.unwrap();
            assert_eq!(page.items.iter().map(|job| job.id).collect::<Vec<_>>(), wanted, "{filter:?} {state:?}");
        }
        assert_eq!(jobs::get(&mut tx, 9).await.unwrap().unwrap().counts.total(), 4);
        assert_eq!(jobs::get(&mut tx, 99).await.unwrap(), None);
        drop(tx);
        store.close().await;
    }

    async fn tasks_are_listed_by_job_state_and_device(home: Home) {
        let store = filled(home, 10..12).await;
        let mut tx = store.begin().await.unwrap();
        let task = |id: Id, state, device| Task { state, ..sample::task(id, JOB, device) };
        let tasks_new = vec![
            task(100, TaskState::Succeeded, 10),
            task(101, TaskState::Queued, 11),
            task(102, TaskState::Queued, 10),
            task(103, TaskState::Failed, 10),
            Task { job_id: 8, ..task(104, TaskState::Queued, 10) },
        ];
        committer::apply(&mut tx, &Changes { tasks_new, ..Changes::default() }).await.unwrap();
        let page = tasks::list_by_job(&mut tx, JOB, tasks::Filter::default(), None, 3).await.unwrap();
        let ids = |views: &[tasks::TaskView]| views.iter().map(|v| v.task.id).collect::<Vec<_>>();
        assert_eq!((ids(&page.items), page.next), (vec![100, 101, 102], Some(102)));
        assert_eq!(page.items[1].device_name, "lamp0011");
        let page = tasks::list_by_job(&mut tx, JOB, tasks::Filter::default(), page.next, 3).await.unwrap();
        assert_eq!((ids(&page.items), page.next), (vec![103], None));
        let page = tasks::list_by_job(&mut tx, JOB, tasks::Filter { state: Some(TaskState::Queued), ..tasks::Filter::default() }, None, 1).await.unwrap();
        assert_eq!((ids(&page.items), page.next), (vec![101], Some(101)));
        let page = tasks::list_by_device(&mut tx, 10, Order::Oldest, Some(100), 2).await.unwrap();
        assert_eq!((ids(&page.items), page.next), (vec![102, 103], Some(103)));
        let page = tasks::list_by_device(&mut tx, 10, Order::Oldest, page.next, 2).await.unwrap();
        assert_eq!((ids(&page.items), page.next), (vec![104], None));
        let view = tasks::get(&mut tx, 104).await.unwrap().unwrap();
        assert_eq!(view.device_name, "lamp0010");
        assert_eq!(tasks::by_stream(&mut tx, 104).await.unwrap(), Some(view.task));
        assert_eq!(tasks::by_stream(&mut tx, u32::MAX).await.unwrap(), None);
        assert_eq!(tasks::get(&mut tx, 1).await.unwrap(), None);
        drop(tx);
        store.close().await;
    }

    async fn tasks_are_found_by_why_they_ended(home: Home) {
        let store = filled(home, 10..20).await;
        let mut tx = store.begin().await.unwrap();
        let failed = |id: Id, reason| {
            let state = TaskState::Failed;
            Task { state, reason: Some(reason), ..sample::task(id, JOB, id - 90) }
        };
        // A device's own words are no code.
        let desc = String::from("{\"code\":\"timeout\"");
        let tasks_new = vec![
            failed(100, Reason::DeviceFailed { step: -2, desc }),
            failed(101, Reason::Timeout { minutes: 5 }),
            failed(102, Reason::DeviceFailed { step: -1, desc: "灯".into() }),
            sample::task(103, JOB, 13),
            failed(104, Reason::Timeout { minutes: 9 }),
        ];
        committer::apply(&mut tx, &Changes { tasks_new, ..Changes::default() }).await.unwrap();
        let all = async |tx: &mut Tx, filter, look| {
            let (mut found, mut after, mut pages) = (vec![], None, 0);
            loop {
                let page = tasks::page_of_job(tx, JOB, filter, after, 1, look).await.unwrap();
                found.extend(page.items.into_iter().map(|view| view.task.id));
                (after, pages) = (page.next, pages + 1);
                if after.is_none() {
                    return (found, pages);
                }
            }
        };
        let of = |reason| tasks::Filter { reason: Some(reason), ..tasks::Filter::default() };
        assert_eq!(all(&mut tx, of("timeout"), 9).await, (vec![101, 104], 2));
        assert_eq!(all(&mut tx, of("timeout"), 2).await, (vec![101, 104], 3), "few are looked at for a page");
        assert_eq!(all(&mut tx, of("deviceFailed"), 9).await, (vec![100, 102], 2));
        assert_eq!(all(&mut tx, of("time"), 9).await, (vec![], 1));
        assert_eq!(all(&mut tx, of("time%\"'\\"), 9).await, (vec![], 1));
        let queued = tasks::Filter { state: Some(TaskState::Queued), ..of("timeout") };
        assert_eq!(all(&mut tx, queued, 9).await, (vec![], 1));
        let device = |device, filter| tasks::Filter { device: Some(device), ..filter };
        assert_eq!(all(&mut tx, device(11, of("timeout")), 9).await, (vec![101], 1));
        assert_eq!(all(&mut tx, device(12, of("timeout")), 9).await, (vec![], 1));
        assert_eq!(all(&mut tx, device(13, tasks::Filter::default()), 9).await, (vec![103], 1));
        assert_eq!(all(&mut tx, device(13, queued), 9).await, (vec![], 1));
        drop(tx);
        store.close().await;
    }

    async fn a_stream_belongs_to_one_task(home: Home) {
        let store = filled(home, 10..12).await;
        let mut tx = store.begin().await.unwrap();
        let twin = Task { stream_id: 100, ..sample::task(101, JOB, 11) };
        let tasks_new = vec![sample::task(100, JOB, 10), twin];
        let refused = committer::apply(&mut tx, &Changes { tasks_new, ..Changes::default() }).await;
        assert!(matches!(refused, Err(crate::Error::Taken(_))), "{refused:?}");
        drop(tx);
        store.close().await;
    }

    async fn events_are_filtered(home: Home) {
        let store = filled(home, 10..12).await;
        let mut tx = store.begin().await.unwrap();
        let tasks_new = vec![sample::task(100, JOB, 10)];
        let event = |product_id, device_id, job_id, task_id| {
            let kind = EventKind::DeviceEnabled { enabled: true };
            Event { at: 5, product_id, device_id, job_id, task_id, kind }
        };
        let events = vec![
            event(1, None, None, None),
            event(1, Some(10), None, None),
            event(1, Some(10), Some(JOB), Some(100)),
            event(2, Some(11), Some(8), Some(101)),
            event(1, None, Some(JOB), None),
        ];
        committer::apply(&mut tx, &Changes { tasks_new, events, ..Changes::default() }).await.unwrap();
        for (filter, wanted) in [
            (events::Filter::All, vec![1, 2, 3, 4, 5]),
            (events::Filter::Product(2), vec![4]),
            (events::Filter::Device(10), vec![2, 3]),
            (events::Filter::Job(JOB), vec![3, 5]),
            (events::Filter::Task(100), vec![3]),
            (events::Filter::Task(7), vec![]),
        ] {
            let found = events::list(&mut tx, filter, 0, 10).await.unwrap();
            assert_eq!(found.iter().map(|e| e.seq).collect::<Vec<_>>(), wanted, "{filter:?}");
            let mut back = events::latest(&mut tx, filter, None, 10).await.unwrap();
            back.items.reverse();
            assert_eq!((back.items, back.next), (found, None), "{filter:?}");
        }
        let back = events::latest(&mut tx, events::Filter::All, Some(5), 2).await.unwrap();
        assert_eq!((back.items.iter().map(|e| e.seq).collect::<Vec<_>>(), back.next), (vec![4, 3], Some(3)));
        let found = events::list(&mut tx, events::Filter::All, 2, 2).await.unwrap();
        assert_eq!(found.iter().map(|e| e.seq).collect::<Vec<_>>(), [3, 4]);
        drop(tx);
        store.close().await;
    }

    async fn an_answer_is_kept_until_it_is_old(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        let answer = |text: &str| Answered { request_hash: "h".into(), response: text.into(), at: 10 };
        assert!(idempotency::put(&mut tx, "k", &answer("")).await.unwrap());
        assert!(idempotency::put(&mut tx, "k", &answer("first")).await.unwrap());
        assert!(!idempotency::put(&mut tx, "k", &answer("second")).await.unwrap());
        assert_eq!(idempotency::get(&mut tx, "k").await.unwrap(), Some(answer("first")));
        assert_eq!(idempotency::get(&mut tx, "other").await.unwrap(), None);
        assert_eq!(idempotency::forget(&mut tx, 10).await.unwrap(), 0);
        assert_eq!(idempotency::forget(&mut tx, 11).await.unwrap(), 1);
        assert_eq!(idempotency::get(&mut tx, "k").await.unwrap(), None);
        drop(tx);
        store.close().await;
    }
}
