//! What a filter means in SQL is what it means in the rules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, TestRunner};
use rollout::filter::{Condition, Facts, Field, Filter, Moment, Order, Status, TimeField};
use rollout::{Changes, Device, Id, Ids, Input, Job, JobKind, Limits, ModuleVersion, Scope, Session};

use super::home::Home;
use super::on_both;
use super::sample::{self, PRODUCT};
use crate::committer::{self, Keys};
use crate::groups;
use crate::{Selection, Tx, Whom, devices, jobs, tags};

const NOW: i64 = 1_000_000;
const GROUPS: [(&str, Id); 2] = [("north", 501), ("south", 502)];

#[derive(Clone, Debug)]
struct Row {
    device: Device,
    online: bool,
    tags: BTreeMap<String, String>,
    versions: BTreeMap<String, String>,
    groups: BTreeSet<String>,
}

fn time() -> impl Strategy<Value = Option<i64>> {
    prop::option::of(select(vec![NOW - 2_000, NOW - 1_000, NOW]))
}

fn map(keys: &'static [&str], values: &'static [&str]) -> impl Strategy<Value = BTreeMap<String, String>> {
    let pair = (select(keys), select(values)).prop_map(|(k, v)| (k.to_owned(), v.to_owned()));
    prop::collection::vec(pair, 0..3).prop_map(|pairs| pairs.into_iter().collect())
}

fn row() -> impl Strategy<Value = Row> {
    let name = "[ab_.]{4}";
    let times = (time(), time(), time(), select(vec![NOW - 1_500, NOW - 1_000]));
    let groups = prop::collection::btree_set(select(vec!["north".to_owned(), "south".to_owned()]), 0..3);
    let words =
        (map(&["t", "T"], &["a", "A", "", "长"]), map(&["default", "MCU"], &["1", "1\r", "2"]), groups);
    (name, any::<bool>(), any::<bool>(), times, words).prop_map(|(name, enabled, online, times, words)| {
        let (first_online_at, last_online_at, last_offline_at, created_at) = times;
        let device = Device {
            name,
            enabled,
            first_online_at,
            last_online_at,
            last_offline_at,
            created_at,
            ..sample::device(0)
        };
        Row { device, online, tags: words.0, versions: words.1, groups: words.2 }
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let texts =
        |texts: &'static [&'static str]| prop::collection::vec(select(texts).prop_map(str::to_owned), 1..3);
    let one_of = |field, values| Condition::OneOf { field, values };
    let moment = prop_oneof![
        select(vec![NOW - 2_000, NOW - 1_000, NOW]).prop_map(Moment::At),
        select(vec![0, 1_000, 2_000]).prop_map(Moment::Ago),
    ];
    prop_oneof![
        texts(&["aaaa", "ab_.", "bbbb"]).prop_map(move |v| one_of(Field::Name, v)),
        (select(vec!["t", "T"]), texts(&["a", "", "长"]))
            .prop_map(move |(t, v)| one_of(Field::Tag(t.into()), v)),
        (select(vec!["default", "MCU"]), texts(&["1", "1\r"]))
            .prop_map(move |(m, v)| one_of(Field::Module(m.into()), v)),
        texts(&["north", "south", "nowhere"]).prop_map(move |v| one_of(Field::Group, v)),
        "[ab_.*?]{1,5}".prop_map(Condition::Like),
        any::<bool>().prop_map(Condition::Enabled),
        prop::collection::vec(select(Status::ALL.to_vec()), 1..3).prop_map(Condition::Status),
        (any::<bool>(), select(Order::ALL.to_vec()), moment).prop_map(|(seen, order, at)| {
            let field = if seen { TimeField::LastSeen } else { TimeField::Created };
            Condition::Time { field, order, at }
        }),
        select(vec!["t", "T"]).prop_map(|t| Condition::HasTag(t.into())),
        select(vec!["default", "MCU"]).prop_map(|m| Condition::HasModule(m.into())),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    condition().prop_map(Filter::Is).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.prop_map(|one| Filter::Not(Box::new(one))),
        ]
    })
}

/// Devices with names of their own, numbered from 10.
fn fleet(runner: &mut TestRunner) -> Vec<Row> {
    let rows = prop::collection::vec(row(), 60).new_tree(runner).unwrap().current();
    let by_name: BTreeMap<String, Row> = rows.into_iter().map(|row| (row.device.name.clone(), row)).collect();
    let numbered = |(id, mut row): (Id, Row)| {
        row.device.id = id;
        row
    };
    (10..).zip(by_name.into_values()).map(numbered).collect()
}

async fn keep(home: &crate::Store, tx: &mut Tx, fleet: &[Row]) {
    sample::fill(home, tx, 0..0).await;
    let new: Vec<_> = fleet.iter().map(|row| sample::new_device(home, row.device.clone())).collect();
    devices::create(tx, &new).await.unwrap();
    let online = fleet.iter().filter(|row| row.online);
    let session = |row: &Row| Session { device_id: row.device.id, epoch: 1, connected_at: NOW };
    let version = |id: Id, (module, version): (&String, &String)| ModuleVersion {
        device_id: id,
        module: module.clone(),
        version: version.clone(),
        epoch: 1,
        first_reported_at: 1,
        reported_at: 1,
        given_up: None,
    };
    let versions = fleet.iter().flat_map(|row| row.versions.iter().map(|v| version(row.device.id, v)));
    let changes = Changes {
        sessions: online.map(session).collect(),
        versions: versions.collect(),
        ..Changes::default()
    };
    committer::apply(tx, &changes).await.unwrap();
    for (name, id) in GROUPS {
        groups::create(tx, &sample::group(id, name), 9).await.unwrap();
        let members = fleet.iter().filter(|row| row.groups.contains(name));
        let members: Vec<_> = members.map(|row| (row.device.id, row.device.name.clone())).collect();
        groups::add(tx, id, &members).await.unwrap();
    }
    for row in fleet {
        let tag = |(name, value): (&String, &String)| tags::DeviceTag {
            device_name: row.device.name.clone(),
            ..sample::tag(row.device.id, name, value)
        };
        tags::set(tx, &row.tags.iter().map(tag).collect::<Vec<_>>()).await.unwrap();
    }
}

/// Everything a list gives, in pages of 5 that look at 13 devices each.
async fn listed(tx: &mut Tx, selection: Selection) -> Vec<Id> {
    let filter = devices::Filter { selection: Some(selection), ..devices::Filter::default() };
    let (mut found, mut after) = (vec![], None::<String>);
    loop {
        let page = devices::page(tx, PRODUCT, &filter, after.as_deref(), 5, 13).await.unwrap();
        assert!(page.items.len() <= 5);
        found.extend(page.items.into_iter().map(|view| view.device.id));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// Everything an enrolment gives, in chunks of 5 that look at 13 devices each.
async fn enrolled(tx: &mut Tx, source: &Whom) -> Vec<Id> {
    let (mut found, mut cursor) = (vec![], 0);
    loop {
        let chunk = committer::chunk(tx, PRODUCT, source, cursor, 5, 13).await.unwrap();
        assert!(chunk.upto > cursor || chunk.last);
        found.extend(&chunk.devices);
        cursor = chunk.upto;
        if chunk.last {
            return found;
        }
    }
}

on_both! {
    async fn sql_means_what_the_rules_mean(home: Home) {
        let mut runner = TestRunner::new(Cases::default());
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        let fleet = fleet(&mut runner);
        keep(&store, &mut tx, &fleet).await;
        let taken = |row: &&Row| row.device.enabled && row.device.first_online_at.is_some();
        for _ in 0..60 {
            let filter = filter().new_tree(&mut runner).unwrap().current();
            let meant = |row: &&Row| {
                let Row { device, online, tags, versions, groups } = row;
                filter.matches(&Facts { device, online: *online, tags, versions, groups }, NOW)
            };
            let ids = |rows: Vec<&Row>| rows.into_iter().map(|row| row.device.id).collect::<Vec<_>>();
            let selection = groups::selection(&mut tx, PRODUCT, filter.clone(), NOW).await.unwrap();
            let wanted = ids(fleet.iter().filter(meant).collect());
            // Names and numbers are in the same order.
            assert_eq!(listed(&mut tx, selection.clone()).await, wanted, "{filter}\n{fleet:#?}");
            let whom = Whom::Meant(selection);
            let wanted = ids(fleet.iter().filter(meant).filter(taken).collect());
            assert_eq!(enrolled(&mut tx, &whom).await, wanted, "{filter}\n{fleet:#?}");
            let some: Vec<Id> = fleet.iter().map(|row| row.device.id).step_by(2).collect();
            let wanted = ids(fleet.iter().step_by(2).filter(meant).collect());
            let mut found = whom.among(&mut tx, &some).await.unwrap();
            found.sort_unstable();
            assert_eq!(found, wanted, "{filter}\n{fleet:#?}");
        }
        drop(tx);
        store.close().await;
    }

    async fn those_a_policy_takes_are_those_its_filter_means(home: Home) {
        let mut runner = TestRunner::new(Cases::default());
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        let fleet = fleet(&mut runner);
        keep(&store, &mut tx, &fleet).await;
        let speaks = |row: &&Row| row.online && row.versions.contains_key("default");
        let takes = |row: &&Row| row.device.enabled && row.device.first_online_at.is_some();
        for id in 1_000..1_020 {
            let filter = filter().new_tree(&mut runner).unwrap().current();
            let scope = Scope::Filter { filter: filter.to_string() };
            let job = Job { kind: JobKind::Dynamic, work: None, scope, ..sample::job(id) };
            jobs::create(&mut tx, &job, &[]).await.unwrap();
            let said = |row: &Row| (row.device.id, "default".to_owned());
            let keys = Keys {
                devices: fleet.iter().filter(speaks).map(|row| row.device.id).collect(),
                reports: fleet.iter().filter(speaks).map(said).collect(),
                ..Keys::default()
            };
            let mut rows = committer::load(&mut tx, &keys, NOW).await.unwrap();
            rows.policies = [id].into();
            let report = |row: &Row| Input::Reported {
                device: row.device.id,
                epoch: 1,
                module: "default".into(),
                version: row.versions["default"].clone(),
            };
            let inputs = fleet.iter().filter(speaks).map(report).collect();
            let changes = rollout::decide(rows, inputs, NOW, Limits::default(), &mut Numbers(id * 1_000));
            let meant = |row: &&Row| {
                let Row { device, online, tags, versions, groups } = row;
                filter.matches(&Facts { device, online: *online, tags, versions, groups }, NOW)
            };
            let wanted: Vec<Id> =
                fleet.iter().filter(speaks).filter(takes).filter(meant).map(|row| row.device.id).collect();
            let taken: Vec<Id> = changes.tasks_new.iter().map(|task| task.device_id).collect();
            assert_eq!(taken, wanted, "{filter}\n{fleet:#?}");
        }
        drop(tx);
        store.close().await;
    }
}

/// Numbers that count up.
struct Numbers(Id);

impl Ids for Numbers {
    fn next_id(&mut self) -> Id {
        self.0 += 1;
        self.0
    }

    fn next_stream(&mut self) -> u32 {
        self.next_id() as u32
    }
}
