//! No statement that runs on a report, a connect, a tick or a list walks through a whole table.

use std::borrow::Cow;

use rollout::Release;

use super::home::Home;
use super::on_both;
use super::sample::{self, JOB, PACKAGE, PRODUCT};
use crate::committer::{self, Keys, Unworked};
use crate::record::{column_list, tables};
use crate::sql::{Dialect, Tx, Val};
use crate::{
    Order, Store, Whom, certificates, configurations, device_counts, devices, events, groups, idempotency,
    jobs, modules, packages, registrations, statistics, tags, tasks, topology,
};

/// Each statement of a piece of work with its plan.
async fn plans(tx: &mut Tx) -> Vec<(String, Vec<String>)> {
    let mut out = vec![];
    for (sql, args) in tx.recorded.take().unwrap_or_default() {
        let (explain, column) = match tx.dialect {
            Dialect::Sqlite => ("explain query plan ", 3),
            Dialect::Postgres => ("explain ", 0),
        };
        let rows = tx.rows(Cow::Owned(format!("{explain}{sql}")), args).await.unwrap();
        let lines = rows.iter().map(|row| row.get::<String>(column).unwrap()).collect();
        out.push((sql.into_owned(), lines));
    }
    out
}

fn walks_a_table(line: &str) -> bool {
    let after = |what: &str| line.trim_start_matches([' ', '-', '>']).strip_prefix(what).map(str::to_owned);
    let name = after("SCAN ").or_else(|| after("Seq Scan on "));
    let name = name.as_deref().and_then(|rest| rest.split(' ').next().map(str::to_owned));
    name.is_some_and(|name| tables().iter().any(|table| table.name == name))
}

async fn assert_indexed(tx: &mut Tx, what: &str) {
    let plans = plans(tx).await;
    assert!(!plans.is_empty(), "{what} ran no statement");
    for (sql, plan) in plans {
        let sorts = plan.iter().any(|line| line.contains("TEMP B-TREE FOR ORDER BY"));
        let merges = sql.contains("union all") || sql.contains(" in (") || sql.contains("with v");
        let bad = plan.iter().any(|line| walks_a_table(line)) || sorts && !merges;
        assert!(!bad, "{what}: {sql}\n{}", plan.join("\n"));
    }
}

async fn filled(home: &Home) -> Store {
    let store = home.open().await;
    let mut tx = store.begin().await.unwrap();
    sample::fill(&store, &mut tx, 10..300).await;
    tx.commit().await.unwrap();
    store
}

/// A version that changed and a task that ended.
pub(super) fn counted() -> rollout::Changes {
    let event = |task_id, kind| rollout::Event {
        at: 5,
        product_id: PRODUCT,
        device_id: Some(10),
        job_id: None,
        task_id,
        kind,
    };
    let (from, to) = (rollout::TaskState::InProgress, rollout::TaskState::Succeeded);
    let version = rollout::EventKind::VersionChanged {
        module: "default".into(),
        previous: Some("1.0".into()),
        version: "2.0".into(),
    };
    let ended = rollout::EventKind::TaskState { from, to, reason: Some(rollout::Reason::Success) };
    rollout::Changes {
        tasks: vec![sample::task(100, JOB, 10)],
        events: vec![event(None, version), event(Some(100), ended)],
        ..rollout::Changes::default()
    }
}

fn came() -> rollout::Event {
    let kind = rollout::EventKind::DeviceConnected { first: true };
    rollout::Event { at: 5, product_id: PRODUCT, device_id: Some(10), job_id: None, task_id: None, kind }
}

fn login(device_name: &str) -> devices::Claimant<'_> {
    devices::Claimant { product_key: "a1sample", device_name, client_id: Some("lamp") }
}

fn applicant(device_name: &str) -> devices::Claimant<'_> {
    devices::Claimant { product_key: "a1sample", device_name, client_id: Some("lamp") }
}

fn token(device_id: rollout::Id) -> registrations::DeviceToken {
    registrations::DeviceToken { device_id, client_id: "lamp".into(), hash: vec![7; 32], created_at: 1 }
}

macro_rules! indexed {
    ($tx:expr, $($work:expr),* $(,)?) => {$(
        $tx.recorded = Some(vec![]);
        $work.await.unwrap();
        assert_indexed(&mut $tx, stringify!($work)).await;
    )*};
}

on_both! {
    async fn hot_statements_walk_no_table(home: Home) {
        let store = filled(home).await;
        let mut tx = store.begin().await.unwrap();
        if !home.is_sqlite() {
            // These tables are small: without this a walk would be the better plan.
            tx.script("set local enable_seqscan = off".into()).await.unwrap();
        }
        let scope = rollout::Scope::Filter { filter: "has tag.region".into() };
        let policy = rollout::Job { kind: rollout::JobKind::Dynamic, scope, ..sample::job(JOB + 1) };
        jobs::create(&mut tx, &policy, &[]).await.unwrap();
        let meant = meaning(&mut tx, FILTERS[0]).await;
        let keys = Keys {
            devices: [10, 11].into(),
            tasks: [1, 2, 3].into(),
            restarts: [1, 2, 3].into(),
            jobs: [JOB].into(),
            packages: [PACKAGE].into(),
            reports: [(10, "default".into())].into(),
            enrols_policy: false,
            scopes: [].into(),
        };
        let task = sample::task(100, JOB, 10);
        let changes = rollout::Changes {
            devices: vec![sample::device(10)],
            sessions: vec![rollout::Session { device_id: 10, epoch: 1, connected_at: 1 }],
            sessions_ended: vec![(11, 1)],
            versions: vec![],
            tasks_new: vec![task.clone()],
            tasks: vec![task],
            jobs: vec![sample::job(JOB)],
            packages: vec![sample::package()],
            counts: [((JOB, rollout::TaskState::Queued), 1)].into(),
            offered_until_us: Some(1),
            timers: [(rollout::Timer::Push(1), Some(1)), (rollout::Timer::Push(2), None)].into(),
            ..rollout::Changes::default()
        };
        indexed!(tx,
            committer::apply(&mut tx, &changes),
            statistics::note(&mut tx, &counted()),
            device_counts::note(&mut tx, &[came()]),
            statistics::drop_before(&mut tx, 5),
            committer::load(&mut tx, &keys, 5),
            committer::surroundings(&mut tx, &[&sample::task(100, JOB, 10)], 5),
            committer::ready_tasks(&mut tx, JOB, 5, 10),
            committer::offered_until(&mut tx),
            committer::claim_timers(&mut tx, 5, 10),
            committer::chunk(&mut tx, PRODUCT, &Whom::All, 5, 10, 5_000),
            committer::chunk(&mut tx, PRODUCT, &Whom::Members(3), 5, 10, 5_000),
            committer::chunk(&mut tx, PRODUCT, &meant, 5, 10, 5_000),
            committer::enrol_chunk(&mut tx, &rollout::Job { scope: rollout::Scope::Named, ..sample::job(8) }, 5, 5, 10),
            committer::task_chunk(&mut tx, JOB, 5, Unworked::Unfinished, 10),
            committer::release_chunk(&mut tx, JOB, Release::Waves { at: 1, upto: 2, cursor: 5 }, 10),
            committer::timer_at(&mut tx, rollout::Timer::Alive),
            committer::now(&mut tx, 5),
            events::drop_oldest(&mut tx, i64::MAX, 3),
            committer::reserve_streams(&mut tx, 5),
            committer::return_streams(&mut tx, 5),
            certificates::bearer(&mut tx, "0a"),
            devices::logins(&mut tx, &["lamp0011", "lamp0012", "nobody"].map(login)),
            registrations::known(&mut tx, &["lamp0011", "lamp0012", "nobody"].map(applicant)),
            registrations::keep_tokens(&mut tx, &[token(10), token(11)]),
            registrations::forget_oldest_tokens(&mut tx, &[10, 11]),
            devices::find(&mut tx, PRODUCT, "lamp0011"),
            devices::lock(&mut tx, &[10, 11]),
            groups::among(&mut tx, 3, &[10, 11], 5),
            tags::of(&mut tx, &[10, 11]),
            tags::values(&mut tx, &[10, 11], rollout::TIME_ZONE_TAG),
            tags::set(&mut tx, &[sample::tag(10, "region", "eu")]),
            tags::unset(&mut tx, &[(10, "region".to_owned())]),
            tasks::by_stream(&mut tx, 5),
            topology::find(&mut tx, &[("a1sample", "lamp0011"), ("a1sample", "lamp0012"), ("a1sample", "nobody")]),
            topology::count(&mut tx, 10),
            topology::put(&mut tx, &[sample::belonging(12, 10)]),
            topology::remove(&mut tx, &[11, 12]),
        );
        drop(tx);
        store.close().await;
    }

    async fn lists_walk_no_table(home: Home) {
        let store = filled(home).await;
        let mut tx = store.begin().await.unwrap();
        if !home.is_sqlite() {
            tx.script("set local enable_seqscan = off".into()).await.unwrap();
        }
        let online =
            devices::Filter { prefix: Some("lamp".into()), online: Some(true), ..devices::Filter::default() };
        let names = ["lamp0011".to_owned()];
        indexed!(tx,
            devices::list(&mut tx, PRODUCT, &devices::Filter::default(), Some("lamp"), 10),
            devices::list(&mut tx, PRODUCT, &online, Some("lamp"), 10),
            devices::ids_of(&mut tx, PRODUCT, &names),
            devices::names(&mut tx, [11, 12].into()),
            devices::gated_jobs(&mut tx, 299),
            devices::delete(&mut tx, 299),
            configurations::devices(&mut tx, &[10, 11]),
            configurations::present(&mut tx, &[PRODUCT]),
            configurations::settings(&mut tx, &[PRODUCT]),
            configurations::list(&mut tx, PRODUCT, Some(1), 10),
            configurations::find(&mut tx, PRODUCT, 1),
            configurations::list_devices(&mut tx, PRODUCT, Some(1), 10),
            configurations::online(&mut tx, PRODUCT, "lamp", 10),
            groups::list(&mut tx, PRODUCT, Some("a"), 10),
            groups::some_members(&mut tx, 3, 10),
            groups::add(&mut tx, 3, &[(12, "lamp0012".to_owned())]),
            groups::remove(&mut tx, 3, &[12]),
            groups::of(&mut tx, &[10, 11]),
            modules::list(&mut tx, PRODUCT),
            modules::delete(&mut tx, PRODUCT, "default"),
            packages::list(&mut tx, Some(PRODUCT), Order::Oldest, Some(1), 10),
            packages::list(&mut tx, Some(PRODUCT), Order::Newest, Some(1), 10),
            packages::list(&mut tx, None, Order::Oldest, Some(1), 10),
            packages::list(&mut tx, None, Order::Newest, Some(1), 10),
            packages::uses(&mut tx, "00"),
            packages::delete(&mut tx, PACKAGE),
            jobs::list(&mut tx, jobs::Filter::All, None, Order::Oldest, Some(1), 10),
            jobs::list(&mut tx, jobs::Filter::All, None, Order::Newest, Some(1), 10),
            jobs::list(&mut tx, jobs::Filter::Product(PRODUCT), None, Order::Oldest, Some(1), 10),
            jobs::list(&mut tx, jobs::Filter::Product(PRODUCT), None, Order::Newest, Some(1), 10),
            jobs::list(&mut tx, jobs::Filter::Package(PACKAGE), None, Order::Oldest, Some(1), 10),
            jobs::list(&mut tx, jobs::Filter::Package(PACKAGE), None, Order::Newest, Some(1), 10),
            jobs::list(&mut tx, jobs::Filter::All, Some(rollout::JobState::Planned), Order::Newest, Some(1), 10),
            jobs::list(&mut tx, jobs::Filter::Product(PRODUCT), Some(rollout::JobState::Planned), Order::Newest, Some(1), 10),
            tasks::list_by_job(&mut tx, JOB, tasks::Filter::default(), Some(1), 10),
            tasks::list_by_job(&mut tx, JOB, tasks::Filter { reason: Some("timeout"), ..tasks::Filter::default() }, Some(1), 10),
            tasks::list_by_job(&mut tx, JOB, tasks::Filter { device: Some(10), ..tasks::Filter::default() }, Some(1), 10),
            device_counts::of(&mut tx, &[PRODUCT]),
            tasks::list_by_device(&mut tx, 10, Order::Oldest, Some(1), 10),
            tasks::list_by_device(&mut tx, 10, Order::Newest, Some(1), 10),
            tasks::any_to_restart(&mut tx, JOB, true),
            topology::list(&mut tx, 10, Some(1), 10),
            topology::under(&mut tx, PRODUCT),
            topology::gateways_of(&mut tx, &[11, 12]),
            statistics::forget(&mut tx, PRODUCT, 12, 5),
            statistics::versions(&mut tx, PRODUCT, "default", 10),
            statistics::counts_of(&mut tx, PRODUCT, "default", ["1.0"].into_iter()),
            statistics::changes(&mut tx, PRODUCT, "default", 5, 10),
            statistics::ends(&mut tx, PRODUCT, statistics::Of::All, (5, 9), 10, 10),
            statistics::ends(&mut tx, PRODUCT, statistics::Of::Package(PACKAGE), (5, 9), 10, 10),
            statistics::ends(&mut tx, PRODUCT, statistics::Of::Job(JOB), (5, 9), 10, 10),
            events::list(&mut tx, events::Filter::All, 1, 10),
            events::list(&mut tx, events::Filter::Product(PRODUCT), 1, 10),
            events::list(&mut tx, events::Filter::Device(10), 1, 10),
            events::list(&mut tx, events::Filter::Job(JOB), 1, 10),
            events::list(&mut tx, events::Filter::Task(10), 1, 10),
            events::latest(&mut tx, events::Filter::All, None, 10),
            events::latest(&mut tx, events::Filter::Product(PRODUCT), Some(9), 10),
            events::latest(&mut tx, events::Filter::Device(10), Some(9), 10),
            events::latest(&mut tx, events::Filter::Job(JOB), Some(9), 10),
            events::latest(&mut tx, events::Filter::Task(10), Some(9), 10),
            idempotency::forget(&mut tx, 5),
        );
        drop(tx);
        store.close().await;
    }
}

/// Each follows another index.
const FILTERS: [&str; 5] = [
    "module.default = '1' or not (has module.MCU and lastSeen < now-1d)",
    "name like 'lamp00*' and (has tag.region or group = north)",
    "tag.region = eu and status = online",
    "group = north and name != 'lamp0011'",
    "status = offline and created > now-1d",
];

async fn meaning(tx: &mut Tx, filter: &str) -> Whom {
    let filter = rollout::filter::Filter::parse(filter).unwrap();
    Whom::Meant(groups::selection(tx, PRODUCT, filter, 5).await.unwrap())
}

on_both! {
    async fn filters_walk_no_table(home: Home) {
        let store = filled(home).await;
        let mut tx = store.begin().await.unwrap();
        if !home.is_sqlite() {
            tx.script("set local enable_seqscan = off".into()).await.unwrap();
        }
        groups::create(&mut tx, &sample::group(3, "north"), 9).await.unwrap();
        for (text, index) in
            FILTERS.into_iter().zip(["", "", "device_tag_value", "group_member_name", "device_online"])
        {
            let Whom::Meant(selection) = meaning(&mut tx, text).await else { panic!("{text}") };
            let filter = devices::Filter { selection: Some(selection), ..devices::Filter::default() };
            tx.recorded = Some(vec![]);
            devices::page(&mut tx, PRODUCT, &filter, Some("lamp0011"), 10, 20).await.unwrap();
            let plans = plans(&mut tx).await;
            assert!(plans.len() >= 2, "{text}");
            for (sql, plan) in &plans[..2] {
                let plan = plan.join("\n");
                // SQLite tells of the alias of a table it walks.
                let walks = plan.lines().any(walks_a_table) || plan.contains("SCAN ");
                let led = !home.is_sqlite() || plan.contains(index) && !plan.contains("FOR ORDER BY");
                assert!(!walks && led, "{text}: {sql}\n{plan}");
            }
        }
        drop(tx);
        store.close().await;
    }
}

/// Other indexes would do for these too, but walk through what has long ended or is filtered out.
#[tokio::test]
async fn the_narrowest_index_is_used() {
    let home = Home::sqlite();
    let store = filled(&home).await;
    let mut tx = store.begin().await.unwrap();
    tx.recorded = Some(vec![]);
    let reports = [(10, "default".into())].into();
    let keys = Keys { devices: [10, 11].into(), reports, ..Keys::default() };
    committer::load(&mut tx, &keys, 5).await.unwrap();
    committer::chunk(&mut tx, PRODUCT, &Whom::All, 5, 10, 5_000).await.unwrap();
    let offline = devices::Filter { online: Some(false), ..devices::Filter::default() };
    devices::list(&mut tx, PRODUCT, &offline, None, 10).await.unwrap();
    committer::release_chunk(&mut tx, JOB, Release::Waves { at: 1, upto: 2, cursor: 5 }, 10).await.unwrap();
    let plans = plans(&mut tx).await;
    for (what, index) in [
        ("open = 1", "task_open"),
        ("first_online_at is not null", "device_enrol"),
        ("device.online = ?", "device_online"),
        ("kind = 'DYNAMIC'", "job_dynamic"),
        ("(wave, id) > (?, ?)", "task_wave"),
    ] {
        let (sql, plan) = plans.iter().find(|(sql, _)| sql.contains(what)).unwrap();
        assert!(plan.iter().any(|line| line.contains(index)), "{sql}\n{}", plan.join("\n"));
    }
}

/// `tables` is what a backup takes: it must be all there is.
#[tokio::test]
async fn every_table_and_column_is_known() {
    let home = Home::sqlite();
    let store = home.open().await;
    let mut tx = store.begin().await.unwrap();
    let sql = "select t.name, c.name, c.type, c.pk from sqlite_master t join pragma_table_info(t.name) c \
               where t.type = 'table' order by 1, 2";
    let mut found = vec![];
    for row in tx.rows(sql, vec![]).await.unwrap() {
        let mut fields = row.fields();
        let (table, column, kind): (String, String, String) =
            (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
        found.push((table, column, kind, fields.next::<i64>().unwrap() > 0));
    }
    let mut known = vec![];
    for table in tables() {
        for column in table.columns.iter().chain(table.hidden) {
            let kind = match Val::null(column.kind) {
                Val::Int(_) => "INTEGER",
                Val::Text(_) => "TEXT",
                _ => "BLOB",
            };
            known.push((
                table.name.into(),
                column.name.into(),
                kind.into(),
                table.key.contains(&column.name),
            ));
        }
        assert!(!column_list(table.columns).is_empty());
    }
    known.sort();
    assert_eq!(found.into_iter().map(|(t, c, k, p)| (t, c, k.to_uppercase(), p)).collect::<Vec<_>>(), known);
}
