use rollout::{Changes, Job, ModuleVersion, Rival, Task, TaskState, Terms};

use super::home::Home;
use super::on_both;
use super::sample::{self, JOB, PRODUCT};
use crate::targets::{Alike, Among, alike};
use crate::{Whom, committer, jobs};

fn said(device_id: i64, module: &str, version: &str) -> ModuleVersion {
    ModuleVersion {
        device_id,
        module: module.into(),
        version: version.into(),
        epoch: 1,
        first_reported_at: 1,
        reported_at: 1,
        given_up: None,
    }
}

on_both! {
    async fn devices_are_sorted_by_what_decides_about_them(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..15).await;
        let multi = Job { id: 8, terms: Terms { multi_module: true, ..Terms::default() }, ..sample::job(8) };
        jobs::create(&mut tx, &multi, &[]).await.unwrap();
        let ended = Job { state: rollout::JobState::Canceled, ..sample::job(9) };
        jobs::create(&mut tx, &ended, &[]).await.unwrap();
        let came = |id| rollout::Device { first_online_at: Some(1), ..sample::device(id) };
        let begun = Task { state: TaskState::InProgress, ..sample::task(101, JOB, 12) };
        let changes = Changes {
            devices: vec![came(10), came(11), came(12), rollout::Device { enabled: false, ..came(13) }],
            versions: vec![said(10, "default", "1"), said(11, "default", "1"), said(12, "default", "1"), said(13, "MCU", "1")],
            tasks_new: vec![begun, Task { module: "MCU".into(), ..sample::task(102, 8, 12) }, sample::task(103, 9, 11)],
            ..Changes::default()
        };
        committer::apply(&mut tx, &changes).await.unwrap();
        for product in [PRODUCT, 99] {
            let sql = "insert into device_count (product_id, status, n) values (?, 'all', 5)";
            tx.exec(sql, vec![product.into()]).await.unwrap();
        }
        let open = jobs::open_of(&mut tx, PRODUCT).await.unwrap();
        assert_eq!(open.iter().map(|j| j.id).collect::<Vec<_>>(), [JOB, 8]);
        let same = |version: Option<&str>, devices: &[i64]| Alike {
            enabled: true,
            came: true,
            online: false,
            version: version.map(Into::into),
            rivals: vec![],
            n: devices.len() as i64,
            devices: devices.to_vec(),
        };
        let rivals = vec![
            Rival { same_module: false, multi_module: true, in_progress: false },
            Rival { same_module: true, multi_module: false, in_progress: true },
        ];
        let expected = [
            same(Some("1"), &[10, 11]),
            Alike { rivals, ..same(Some("1"), &[12]) },
            Alike { enabled: false, ..same(None, &[13]) },
            Alike { came: false, ..same(None, &[14]) },
        ];
        let package = sample::package();
        // Whether it is the largest product or not, which SQLite looks at in other ways.
        for others in [0_i64, 1_000] {
            let sql = "update device_count set n = ? where product_id = 99";
            tx.exec(sql, vec![others.into()]).await.unwrap();
            let mut found = alike(&mut tx, Among::Whom(&Whom::All), &package, &open, true).await.unwrap();
            found.iter_mut().for_each(|alike| alike.devices.sort_unstable());
            found.sort_by_key(|alike| alike.devices[0]);
            assert_eq!(found, expected);
        }
        let mut named = alike(&mut tx, Among::Devices(&[12, 14]), &package, &open, false).await.unwrap();
        named.sort_by_key(|alike| !alike.came);
        let without = |alike: &Alike| Alike { devices: vec![], ..alike.clone() };
        assert_eq!(named, [without(&expected[1]), without(&expected[3])]);
        let idle = alike(&mut tx, Among::Devices(&[12]), &package, &[], false).await.unwrap();
        assert!(idle[0].rivals.is_empty());
        drop(tx);
        store.close().await;
    }
}
