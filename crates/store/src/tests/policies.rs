use rollout::{Changes, Job, JobKind, JobState, Labels, ModuleVersion, Package, Scope};

use super::home::Home;
use super::on_both;
use super::sample::{self, JOB};
use crate::committer::{self, Keys};
use crate::groups::{self, Group};
use crate::{Tx, jobs, packages, tags};

/// The policies and matches that reports of modules of device 10 need.
async fn loaded(tx: &mut Tx, modules: &[&str]) -> (Vec<i64>, Vec<((i64, i64), i64)>) {
    let reports = modules.iter().map(|module| (10, (*module).into())).collect();
    let keys = Keys { devices: [10].into(), reports, ..Keys::default() };
    let rows = committer::load(tx, &keys, 9).await.unwrap();
    assert!(rows.policies.iter().all(|job| rows.jobs.contains_key(job)));
    (rows.policies.into_iter().collect(), rows.matches.into_iter().collect())
}

on_both! {
    async fn a_report_finds_the_policies_of_its_module_and_their_matches(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..12).await;
        let mcu = Package { id: 6, module: "MCU".into(), ..sample::package() };
        packages::create(&mut tx, &mcu).await.unwrap();
        let dynamic = |id| Job { kind: JobKind::Dynamic, ..sample::job(id) };
        let ended = Job { state: JobState::Canceled, ended_at: Some(5), ..dynamic(10) };
        let closed = Job { closed_at: Some(5), ..dynamic(12) };
        for job in [dynamic(8), Job { package_id: 6, ..dynamic(9) }, ended, dynamic(11), closed] {
            jobs::create(&mut tx, &job, &[]).await.unwrap();
        }
        let version = ModuleVersion {
            device_id: 10,
            module: "default".into(),
            version: "1".into(),
            epoch: 1,
            first_reported_at: 1,
            reported_at: 1,
            given_up: None,
        };
        let changes = Changes {
            versions: vec![version],
            tasks_new: vec![
                rollout::Task { state: rollout::TaskState::Failed, ..sample::task(101, 8, 10) },
                sample::task(102, 8, 10),
                sample::task(103, JOB, 10),
                sample::task(104, 11, 11),
            ],
            ..Changes::default()
        };
        committer::apply(&mut tx, &changes).await.unwrap();
        assert_eq!(loaded(&mut tx, &[]).await, (vec![], vec![]));
        assert_eq!(loaded(&mut tx, &["default"]).await, (vec![8, 11], vec![((8, 10), 2)]));
        assert_eq!(loaded(&mut tx, &["MCU"]).await, (vec![9], vec![]));
        assert_eq!(loaded(&mut tx, &["default", "MCU"]).await.0, [8, 9, 11]);
        // A chunk of the enrolment of one.
        let keys = Keys { devices: [10, 11].into(), jobs: [8].into(), enrols_policy: true, ..Keys::default() };
        let rows = committer::load(&mut tx, &keys, 9).await.unwrap();
        assert_eq!(rows.policies.into_iter().collect::<Vec<_>>(), [8, 9, 11]);
        assert_eq!(rows.matches.into_iter().collect::<Vec<_>>(), [((8, 10), 2), ((11, 11), 1)]);
        drop(tx);
        store.close().await;
    }

    async fn what_policies_mean_comes_with_what_they_ask_of_the_devices(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..13).await;
        for (id, filter) in [(501, None), (502, Some("has tag.ring"))] {
            let group = Group { filter: filter.map(Into::into), ..sample::group(id, &format!("g{id}")) };
            groups::create(&mut tx, &group, 9).await.unwrap();
        }
        groups::add(&mut tx, 501, &[(10, "lamp0010".into()), (12, "lamp0012".into())]).await.unwrap();
        tags::set(&mut tx, &[sample::tag(10, "ring", "beta"), sample::tag(11, "ring", "beta")]).await.unwrap();
        let group = |group| Scope::Group { group, name: String::new() };
        let scopes = [Scope::All, Scope::Filter { filter: "tag.ring = beta".into() }, group(501), group(502), group(503)];
        for (id, scope) in (8..).zip(scopes.clone()) {
            let job = Job { kind: JobKind::Dynamic, scope, ..sample::job(id) };
            jobs::create(&mut tx, &job, &[]).await.unwrap();
        }
        let reports = [(10, "default".into()), (11, "MCU".into())].into();
        let to_be = Scope::Filter { filter: "not has tag.ring".into() };
        let keys =
            Keys { devices: [10, 11, 12].into(), reports, scopes: [to_be.clone()].into(), ..Keys::default() };
        let mut rows = committer::load(&mut tx, &keys, 9).await.unwrap();
        let mut meaning = |scope: &Scope| rows.meanings.remove(scope).map(|filter| filter.to_string());
        let meant = scopes.each_ref().map(&mut meaning);
        let expected = [None, Some("tag.ring = \"beta\""), Some("group = \"g501\""), Some("has tag.ring"), None];
        assert_eq!(meant, expected.map(|filter| filter.map(str::to_owned)), "a group that is gone means nobody");
        assert_eq!(meaning(&to_be).as_deref(), Some("not has tag.ring"));
        assert!(rows.meanings.is_empty());
        let tags = [("ring".to_owned(), "beta".to_owned())].into();
        let labels = [
            (10, Labels { tags, groups: ["g501".to_owned()].into() }),
            (11, Labels { tags: [("ring".to_owned(), "beta".to_owned())].into(), ..Labels::default() }),
        ];
        assert_eq!(rows.labels.into_iter().collect::<Vec<_>>(), labels, "of those that report");
        drop(tx);
        store.close().await;
    }
}
