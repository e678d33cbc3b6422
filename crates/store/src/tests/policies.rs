use rollout::{Changes, Job, JobKind, JobState, ModuleVersion, Package};

use super::home::Home;
use super::on_both;
use super::sample::{self, JOB};
use crate::committer::{self, Keys};
use crate::{Tx, jobs, packages};

/// The policies and matches that reports of device 10 need.
async fn loaded(tx: &mut Tx, reports: &[(&str, &str)]) -> (Vec<i64>, Vec<((i64, i64), i64)>) {
    let said = |(module, version): &(&str, &str)| (10, (*module).into(), (*version).into());
    let keys = Keys { devices: [10].into(), reports: reports.iter().map(said).collect(), ..Keys::default() };
    let rows = committer::load(tx, &keys, 9).await.unwrap();
    assert!(rows.policies.iter().all(|job| rows.jobs.contains_key(job)));
    (rows.policies.into_iter().collect(), rows.matches.into_iter().collect())
}

on_both! {
    async fn a_changed_report_finds_the_policies_of_its_module_and_their_matches(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..12).await;
        let mcu = Package { id: 6, module: "MCU".into(), ..sample::package() };
        packages::create(&mut tx, &mcu).await.unwrap();
        let dynamic = |id| Job { kind: JobKind::Dynamic, ..sample::job(id) };
        let ended = Job { state: JobState::Canceled, ended_at: Some(5), ..dynamic(10) };
        for job in [dynamic(8), Job { package_id: 6, ..dynamic(9) }, ended, dynamic(11)] {
            jobs::create(&mut tx, &job, &[]).await.unwrap();
        }
        let version = ModuleVersion {
            device_id: 10,
            module: "default".into(),
            version: "1".into(),
            epoch: 1,
            first_reported_at: 1,
            reported_at: 1,
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
        assert_eq!(loaded(&mut tx, &[("default", "1")]).await, (vec![], vec![]), "nothing changed");
        assert_eq!(loaded(&mut tx, &[("default", "2")]).await, (vec![8, 11], vec![((8, 10), 2)]));
        assert_eq!(loaded(&mut tx, &[("default", "1"), ("MCU", "1")]).await, (vec![9], vec![]));
        // A chunk of the enrolment of one.
        let keys = Keys { devices: [10, 11].into(), jobs: [8].into(), ..Keys::default() };
        let rows = committer::load(&mut tx, &keys, 9).await.unwrap();
        assert_eq!(rows.matches.into_iter().collect::<Vec<_>>(), [((8, 10), 2)]);
        drop(tx);
        store.close().await;
    }
}
