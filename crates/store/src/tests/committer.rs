use std::collections::{BTreeMap, BTreeSet};

use rollout::{Changes, Event, EventKind, Id, Scope, Session, TaskState, Timer};

use super::home::Home;
use super::on_both;
use super::sample::{self, JOB, PACKAGE, PRODUCT};
use crate::committer::{self, Keys, Unworked};
use crate::{Error, Store, events, jobs};

fn event(at: i64) -> Event {
    let kind = EventKind::ProductCreated { product_key: "a1b2".into() };
    Event { at, product_id: PRODUCT, device_id: None, job_id: None, task_id: None, kind }
}

async fn apply(store: &Store, changes: Changes) {
    let mut tx = store.begin().await.unwrap();
    committer::apply(&mut tx, &changes).await.unwrap();
    tx.commit().await.unwrap();
}

async fn filled(home: &Home, devices: impl Iterator<Item = Id>) -> Store {
    let store = home.open().await;
    let mut tx = store.begin().await.unwrap();
    sample::fill(&store, &mut tx, devices).await;
    tx.commit().await.unwrap();
    store
}

async fn seqs(store: &Store) -> Vec<i64> {
    let mut tx = store.read().await.unwrap();
    let found = events::list(&mut tx, events::Filter::All, 0, 10_000).await.unwrap();
    found.into_iter().map(|e| e.seq).collect()
}

fn chunk(devices: &[Id], upto: Id, last: bool) -> committer::Chunk {
    committer::Chunk { devices: devices.to_vec(), upto, last }
}

on_both! {
    async fn of_a_task_only_what_differs_is_written(home: Home) {
        let store = filled(home, 10..12).await;
        let before: BTreeMap<Id, _> = [(101, 10), (102, 11)].map(|(id, device)| (id, sample::task(id, JOB, device))).into();
        apply(&store, Changes { tasks_new: before.values().cloned().collect(), ..Changes::default() }).await;
        let mut tx = store.begin().await.unwrap();
        tx.exec("update task set pushes = 7", vec![]).await.unwrap();
        let mut tasks: Vec<_> = before.values().cloned().collect();
        tasks[0].progress = 50;
        tasks[1].state = TaskState::Failed;
        committer::apply(&mut tx, &Changes { tasks, tasks_before: before, ..Changes::default() }).await.unwrap();
        let keys = Keys { tasks: [101, 102].into(), ..Keys::default() };
        let rows = committer::load(&mut tx, &keys, 0).await.unwrap();
        let seen = |id: Id| rows.tasks.get(&id).map(|t| (t.progress, t.pushes, t.state));
        assert_eq!(seen(101), Some((50, 7, TaskState::Queued)), "a column nothing changed was written");
        assert_eq!(seen(102), Some((0, 7, TaskState::Failed)));
        let open = tx.row("select count(*) from task where open = 1", vec![]).await.unwrap().unwrap();
        assert_eq!(open.get::<i64>(0).unwrap(), 1);
        drop(tx);
        store.close().await;
    }

    async fn a_task_brings_its_device_job_package_and_product(home: Home) {
        let store = filled(home, 10..13).await;
        let mut ended = sample::task(103, JOB, 11);
        ended.state = TaskState::Failed;
        let mut busy = sample::task(101, JOB, 10);
        busy.slot_until = Some(500);
        let tasks_new = vec![busy, sample::task(102, JOB, 11), ended];
        let sessions = vec![Session { device_id: 11, epoch: 3, connected_at: 9 }];
        apply(&store, Changes { tasks_new, sessions, ..Changes::default() }).await;
        let mut tx = store.begin().await.unwrap();
        let keys = Keys { tasks: BTreeSet::from([103]), ..Keys::default() };
        let rows = committer::load(&mut tx, &keys, 499).await.unwrap();
        assert_eq!(Vec::from_iter(rows.devices.into_keys()), [11]);
        assert_eq!(Vec::from_iter(rows.tasks.into_keys()), [102, 103]);
        assert_eq!(Vec::from_iter(rows.sessions.into_keys()), [11]);
        assert_eq!(Vec::from_iter(rows.jobs.into_keys()), [JOB]);
        assert_eq!(Vec::from_iter(rows.packages.into_keys()), [PACKAGE]);
        assert_eq!(Vec::from_iter(rows.products.into_keys()), [PRODUCT]);
        assert_eq!(rows.slots_used, 1);
        let rows = committer::load(&mut tx, &keys, 500).await.unwrap();
        assert_eq!(rows.slots_used, 0);
        drop(tx);
        store.close().await;
    }

    async fn an_older_connection_does_not_end_a_newer_one(home: Home) {
        let store = filled(home, 10..11).await;
        let begun = |epoch| vec![Session { device_id: 10, epoch, connected_at: 9 }];
        apply(&store, Changes { sessions: begun(5), ..Changes::default() }).await;
        apply(&store, Changes { sessions_ended: vec![(10, 4)], ..Changes::default() }).await;
        let keys = Keys { devices: BTreeSet::from([10]), ..Keys::default() };
        let mut tx = store.begin().await.unwrap();
        assert_eq!(committer::load(&mut tx, &keys, 0).await.unwrap().sessions.len(), 1);
        assert_eq!(committer::connections(&mut tx, 0, 10).await.unwrap(), [(10, 5)]);
        assert_eq!(committer::connections(&mut tx, 10, 10).await.unwrap(), []);
        drop(tx);
        apply(&store, Changes { sessions_ended: vec![(10, 6)], ..Changes::default() }).await;
        let mut tx = store.begin().await.unwrap();
        assert!(committer::load(&mut tx, &keys, 0).await.unwrap().sessions.is_empty());
        drop(tx);
        store.close().await;
    }

    async fn time_never_runs_backwards(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        assert_eq!(committer::now(&mut tx, 1000).await.unwrap(), 1000);
        committer::append_events(&mut tx, &[event(1000)]).await.unwrap();
        assert_eq!(committer::now(&mut tx, 400).await.unwrap(), 1000);
        committer::append_events(&mut tx, &[event(400)]).await.unwrap();
        let found = events::list(&mut tx, events::Filter::All, 1, 10).await.unwrap();
        assert_eq!((found[0].seq, found[0].event.at), (2, 1000));
        assert_eq!(events::last(&mut tx).await.unwrap(), 2);
        drop(tx);
        store.close().await;
    }

    async fn events_have_no_gaps_though_a_commit_is_late_or_never(home: Home) {
        let store = home.open().await;
        let mut undone = store.begin().await.unwrap();
        committer::append_events(&mut undone, &[event(1), event(1)]).await.unwrap();
        drop(undone);
        let mut late = store.begin().await.unwrap();
        committer::append_events(&mut late, &[event(2)]).await.unwrap();
        let other = tokio::spawn({
            let store = store.clone();
            async move {
                let mut tx = store.begin().await.unwrap();
                committer::append_events(&mut tx, &[event(3), event(3)]).await.unwrap();
                tx.commit().await.unwrap();
            }
        });
        // The other one must not get ahead, so there is nothing to await but time.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert!(seqs(&store).await.is_empty() && !other.is_finished());
        late.commit().await.unwrap();
        other.await.unwrap();
        assert_eq!(seqs(&store).await, [1, 2, 3]);
        store.close().await;
    }

    async fn events_of_many_writers_have_no_gaps_in_the_order_of_commits(home: Home) {
        let store = home.open().await;
        let writer = |n: i64| {
            let store = store.clone();
            async move {
                for _ in 0..10 {
                    let mut tx = store.begin().await.unwrap();
                    let at = committer::now(&mut tx, n).await.unwrap();
                    committer::append_events(&mut tx, &vec![event(at); 3]).await.unwrap();
                    tx.commit().await.unwrap();
                }
            }
        };
        let writers: Vec<_> = (0..4).map(|n| tokio::spawn(writer(n))).collect();
        let mut seen = vec![];
        while writers.iter().any(|w| !w.is_finished()) {
            let now = seqs(&store).await;
            assert!(now.starts_with(&seen), "an event appeared before one already read");
            seen = now;
        }
        assert_eq!(seqs(&store).await, Vec::from_iter(1..=120));
        store.close().await;
    }

    async fn a_timer_is_claimed_once(home: Home) {
        let store = home.open().await;
        let timers = (0..50).map(|n| (Timer::Timeout(n), Some(n))).collect();
        apply(&store, Changes { timers, ..Changes::default() }).await;
        let claim = || {
            let store = store.clone();
            async move {
                let mut claimed = vec![];
                loop {
                    let mut tx = store.begin().await.unwrap();
                    let some = committer::claim_timers(&mut tx, 39, 3).await.unwrap();
                    tx.commit().await.unwrap();
                    if some.is_empty() {
                        return claimed;
                    }
                    claimed.extend(some);
                }
            }
        };
        let (one, other) = tokio::join!(tokio::spawn(claim()), tokio::spawn(claim()));
        let mut all = [one.unwrap(), other.unwrap()].concat();
        all.sort_unstable();
        assert_eq!(all, Vec::from_iter((0..40).map(Timer::Timeout)));
        let mut tx = store.read().await.unwrap();
        assert_eq!(committer::next_timer_at(&mut tx).await.unwrap(), Some(40));
        drop(tx);
        store.close().await;
    }

    async fn an_undone_claim_leaves_the_timer(home: Home) {
        let store = home.open().await;
        let timers = BTreeMap::from([(Timer::Work(1), Some(5)), (Timer::Push(1), Some(4))]);
        apply(&store, Changes { timers, ..Changes::default() }).await;
        let mut tx = store.begin().await.unwrap();
        let due = [Timer::Push(1), Timer::Work(1)];
        assert_eq!(committer::claim_timers(&mut tx, 9, 10).await.unwrap(), due);
        tx.rollback().await.unwrap();
        let mut tx = store.begin().await.unwrap();
        assert_eq!(committer::claim_timers(&mut tx, 9, 10).await.unwrap(), due);
        assert_eq!(committer::next_timer_at(&mut tx).await.unwrap(), None);
        drop(tx);
        store.close().await;
    }

    async fn the_longest_waiting_are_ready_first(home: Home) {
        let store = filled(home, 10..11).await;
        let ready = |id, at| rollout::Task { ready_at: at, ..sample::task(id, JOB, 10) };
        let tasks_new = vec![ready(1, Some(30)), ready(2, None), ready(3, Some(20)), ready(4, Some(30))];
        apply(&store, Changes { tasks_new, ..Changes::default() }).await;
        let mut tx = store.read().await.unwrap();
        for (now, limit, wanted) in
            [(30, 2, &[3, 1][..]), (30, 9, &[3, 1, 4]), (29, 9, &[3]), (19, 9, &[3])]
        {
            let found = committer::ready_tasks(&mut tx, JOB, now, limit).await.unwrap();
            assert_eq!(found, wanted, "{limit} at {now}");
        }
        assert!(committer::ready_tasks(&mut tx, 8, 30, 9).await.unwrap().is_empty());
        drop(tx);
        store.close().await;
    }

    async fn what_a_server_offered_is_known_to_the_next(home: Home) {
        let store = filled(home, 10..11).await;
        let mut tx = store.begin().await.unwrap();
        assert_eq!(committer::offered_until(&mut tx).await.unwrap(), 0);
        for until in [7, 5] {
            let changes = Changes { offered_until_us: Some(until), ..Changes::default() };
            committer::apply(&mut tx, &changes).await.unwrap();
            committer::apply(&mut tx, &Changes::default()).await.unwrap();
            assert_eq!(committer::offered_until(&mut tx).await.unwrap(), until);
        }
        drop(tx);
        store.close().await;
    }

    async fn a_job_enrols_whom_it_is_for(home: Home) {
        let store = filled(home, 10..16).await;
        let seen = |id| rollout::Device { first_online_at: Some(1), ..sample::device(id) };
        let off = rollout::Device { enabled: false, ..seen(12) };
        let devices = vec![seen(10), seen(11), off, seen(14)];
        apply(&store, Changes { devices, ..Changes::default() }).await;
        let mut tx = store.begin().await.unwrap();
        let all = sample::job(JOB);
        let share = rollout::Job { scope: Scope::Percent { thousandths: 1, threshold: 1 }, ..all.clone() };
        for job in [all, share] {
            assert_eq!(committer::enrol_chunk(&mut tx, &job, 0, 5, 2).await.unwrap(), chunk(&[10, 11], 11, false));
            assert_eq!(committer::enrol_chunk(&mut tx, &job, 11, 5, 2).await.unwrap(), chunk(&[14], 14, true));
            assert_eq!(committer::enrol_chunk(&mut tx, &job, 14, 5, 2).await.unwrap(), chunk(&[], 14, true));
        }
        let named = rollout::Job { scope: Scope::Named, ..sample::job(8) };
        jobs::create(&mut tx, &named, &[13, 12, 13]).await.unwrap();
        assert_eq!(committer::enrol_chunk(&mut tx, &named, 0, 5, 2).await.unwrap(), chunk(&[12, 13], 13, true));
        assert_eq!(committer::enrol_chunk(&mut tx, &named, 12, 5, 2).await.unwrap(), chunk(&[13], 13, true));
        drop(tx);
        store.close().await;
    }

    async fn an_order_on_a_job_goes_through_its_tasks(home: Home) {
        let store = filled(home, 10..11).await;
        let states = TaskState::ALL.into_iter().cycle().take(18);
        let task = |(id, state)| rollout::Task { state, ..sample::task(id, JOB, 10) };
        let tasks_new: Vec<_> = (1..).zip(states).map(task).collect();
        apply(&store, Changes { tasks_new: tasks_new.clone(), ..Changes::default() }).await;
        let mut tx = store.begin().await.unwrap();
        for which in [Unworked::Unfinished, Unworked::Restartable, Unworked::Unapproved] {
            let wanted = |t: &&rollout::Task| match which {
                Unworked::Unfinished => !t.state.is_terminal(),
                Unworked::Restartable => matches!(t.state, TaskState::Failed | TaskState::Canceled),
                Unworked::Unapproved => t.state == TaskState::Confirm,
            };
            let wanted: Vec<Id> = tasks_new.iter().filter(wanted).map(|t| t.id).collect();
            let (mut found, mut cursor) = (vec![], 0);
            loop {
                let (some, last) = committer::task_chunk(&mut tx, JOB, cursor, which, 3).await.unwrap();
                cursor = some.last().copied().unwrap_or(cursor);
                found.extend(some);
                if last {
                    break;
                }
            }
            assert_eq!(found, wanted);
        }
        drop(tx);
        store.close().await;
    }

    async fn the_oldest_events_are_dropped_a_chunk_at_a_time(home: Home) {
        let store = filled(home, 10..11).await;
        let mut tx = store.begin().await.unwrap();
        let before = events::last(&mut tx).await.unwrap();
        for at in [100, 100, 100, 200, 300] {
            committer::append_events(&mut tx, &[event(at)]).await.unwrap();
        }
        let left = async |tx: &mut crate::Tx| -> Vec<i64> {
            events::list(tx, events::Filter::All, 0, 100).await.unwrap().iter().map(|e| e.seq - before).collect()
        };
        assert!(!events::drop_oldest(&mut tx, 100, 2).await.unwrap(), "none is older");
        assert_eq!((left(&mut tx).await, events::dropped(&mut tx).await.unwrap()), (vec![1, 2, 3, 4, 5], 0));
        assert!(events::drop_oldest(&mut tx, 101, 2).await.unwrap());
        assert_eq!(left(&mut tx).await, [3, 4, 5]);
        assert!(!events::drop_oldest(&mut tx, 101, 2).await.unwrap());
        assert_eq!((left(&mut tx).await, events::dropped(&mut tx).await.unwrap()), (vec![4, 5], before + 3));
        while events::drop_oldest(&mut tx, i64::MAX, 1).await.unwrap() {}
        assert_eq!(left(&mut tx).await, [0; 0]);
        committer::append_events(&mut tx, &[event(300)]).await.unwrap();
        assert_eq!((left(&mut tx).await, events::dropped(&mut tx).await.unwrap()), (vec![6], before + 5));
        drop(tx);
        store.close().await;
    }

    async fn stream_numbers_are_given_once_and_run_out(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        assert_eq!(committer::reserve_streams(&mut tx, 10).await.unwrap(), 1);
        assert_eq!(committer::reserve_streams(&mut tx, 5).await.unwrap(), 11);
        committer::return_streams(&mut tx, 4).await.unwrap();
        assert_eq!(committer::reserve_streams(&mut tx, 1).await.unwrap(), 12);
        tx.exec("update counter set value = 4294967290 where name = 'stream'", vec![]).await.unwrap();
        assert!(matches!(committer::reserve_streams(&mut tx, 6).await, Err(Error::StreamsUsedUp)));
        assert_eq!(committer::reserve_streams(&mut tx, 5).await.unwrap(), u32::MAX - 4);
        assert!(matches!(committer::reserve_streams(&mut tx, 1).await, Err(Error::StreamsUsedUp)));
        drop(tx);
        store.close().await;
    }

    async fn two_committers_stand_in_line_and_never_in_each_others_way(home: Home) {
        let store = filled(home, 10..40).await;
        let tasks_new = (10..40).map(|id| sample::task(id, JOB, id)).collect();
        apply(&store, Changes { tasks_new, ..Changes::default() }).await;
        let committer = |devices: Vec<Id>| {
            let store = store.clone();
            async move {
                for _ in 0..20 {
                    let mut tx = store.begin().await.unwrap();
                    let keys = Keys { devices: devices.iter().copied().collect(), ..Keys::default() };
                    let mut rows = committer::load(&mut tx, &keys, 0).await.unwrap();
                    rows.tasks.values_mut().for_each(|t| t.progress += 1);
                    let tasks = rows.tasks.into_values().collect();
                    let counts = [((JOB, TaskState::Queued), 1)].into();
                    let changes = Changes { tasks, counts, events: vec![event(1)], ..Changes::default() };
                    committer::apply(&mut tx, &changes).await.unwrap();
                    tx.commit().await.unwrap();
                }
            }
        };
        let sets = [(10..30).collect(), (20..40).rev().collect(), vec![39, 10, 25]];
        for done in sets.map(|devices| tokio::spawn(committer(devices))) {
            done.await.unwrap();
        }
        let mut tx = store.read().await.unwrap();
        for (id, wanted) in [(11, 20), (10, 40), (22, 40), (25, 60), (39, 40)] {
            let found = crate::tasks::get(&mut tx, id).await.unwrap().unwrap();
            assert_eq!(found.task.progress, wanted, "task {id} lost a change");
        }
        assert_eq!(jobs::get(&mut tx, JOB).await.unwrap().unwrap().counts.total(), 60);
        drop(tx);
        store.close().await;
    }

    async fn a_batch_may_be_larger_than_a_statement(home: Home) {
        let store = filled(home, 10..11).await;
        let tasks_new: Vec<_> = (1..=2500).map(|id| sample::task(id, JOB, 10)).collect();
        let keys = Keys { tasks: tasks_new.iter().map(|t| t.id).collect(), ..Keys::default() };
        apply(&store, Changes { tasks_new, ..Changes::default() }).await;
        let mut tx = store.begin().await.unwrap();
        let mut tasks: Vec<_> = committer::load(&mut tx, &keys, 0).await.unwrap().tasks.into_values().collect();
        assert_eq!(tasks.len(), 2500);
        tasks.iter_mut().for_each(|t| t.progress = 1);
        committer::apply(&mut tx, &Changes { tasks, ..Changes::default() }).await.unwrap();
        let rows = committer::load(&mut tx, &keys, 0).await.unwrap();
        assert!(rows.tasks.values().all(|t| t.progress == 1));
        drop(tx);
        store.close().await;
    }
}

#[cfg(feature = "postgres-tests")]
#[tokio::test]
async fn postgres_tells_the_time() {
    let mut home = Home::postgres().await;
    home.config.clock = crate::Clock::Database;
    let store = home.open().await;
    let host = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let mut tx = store.begin().await.unwrap();
    let now = committer::now(&mut tx, 0).await.unwrap();
    assert!((now - i64::try_from(host).unwrap()).abs() < 60_000);
    drop(tx);
    store.close().await;
    home.done().await;
}
