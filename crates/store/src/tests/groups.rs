use std::collections::BTreeSet;

use super::home::Home;
use super::on_both;
use super::sample::{self, PRODUCT};
use crate::committer;
use crate::groups::{self, Group};
use crate::modules::Creation;
use crate::{Removal, Whom, devices};

fn members(ids: impl Iterator<Item = i64>) -> Vec<(i64, String)> {
    ids.map(|id| (id, sample::device(id).name)).collect()
}

on_both! {
    async fn groups_are_made_filled_and_removed(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..20).await;
        assert_eq!(groups::create(&mut tx, &sample::group(1, "north"), 2).await.unwrap(), Creation::Created);
        assert_eq!(groups::create(&mut tx, &sample::group(2, "north"), 2).await.unwrap(), Creation::Taken);
        let dynamic = Group { filter: Some("status = online".into()), ..sample::group(2, "here") };
        assert_eq!(groups::create(&mut tx, &dynamic, 2).await.unwrap(), Creation::Created);
        assert_eq!(groups::create(&mut tx, &sample::group(3, "more"), 2).await.unwrap(), Creation::TooMany);

        let added = groups::add(&mut tx, 1, &members(10..13)).await.unwrap();
        assert_eq!(added, BTreeSet::from([10, 11, 12]));
        assert_eq!(groups::add(&mut tx, 1, &members(12..14)).await.unwrap(), BTreeSet::from([13]));
        assert_eq!(groups::remove(&mut tx, 1, &[10, 15]).await.unwrap(), BTreeSet::from([10]));
        assert_eq!(devices::delete(&mut tx, 11).await.unwrap(), Removal::Removed);
        let kept = groups::get(&mut tx, PRODUCT, "north").await.unwrap().unwrap();
        assert_eq!(kept, Group { members: 2, ..sample::group(1, "north") });
        let some = groups::some_members(&mut tx, 1, 9).await.unwrap();
        assert_eq!(some.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [12, 13]);
        let of = groups::of(&mut tx, &[10, 12]).await.unwrap();
        assert_eq!(of, [(12, BTreeSet::from(["north".to_owned()]))].into());
        assert_eq!(groups::among(&mut tx, 1, &[10, 12, 13], 5).await.unwrap(), BTreeSet::from([12, 13]));
        assert_eq!(groups::among(&mut tx, 9, &[10, 12, 13], 5).await.unwrap(), BTreeSet::new());

        let page = groups::list(&mut tx, PRODUCT, None, 1).await.unwrap();
        assert_eq!((page.items, page.next.as_deref()), (vec![dynamic.clone()], Some("here")));
        let page = groups::list(&mut tx, PRODUCT, page.next.as_deref(), 1).await.unwrap();
        assert_eq!((page.items[0].name.as_str(), page.next), ("north", None));
        let changed = Group { filter: Some("status = offline".into()), ..dynamic };
        groups::update(&mut tx, &changed).await.unwrap();
        assert_eq!(groups::by_id(&mut tx, 2).await.unwrap(), Some(changed));
        groups::delete(&mut tx, 2).await.unwrap();
        assert_eq!(groups::by_id(&mut tx, 2).await.unwrap(), None);
        drop(tx);
        store.close().await;
    }

    async fn a_group_is_enrolled_in_chunks_past_those_that_never_came(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..40).await;
        tx.exec("update device set first_online_at = 1 where id >= 20", vec![]).await.unwrap();
        tx.exec("update device set enabled = 0 where id = 25", vec![]).await.unwrap();
        groups::create(&mut tx, &sample::group(1, "north"), 2).await.unwrap();
        groups::add(&mut tx, 1, &members(10..28)).await.unwrap();
        let (mut found, mut cursor, mut chunks) = (vec![], 0, 0);
        loop {
            let chunk = committer::chunk(&mut tx, PRODUCT, &Whom::Members(1), cursor, 3, 4).await.unwrap();
            found.extend(chunk.devices);
            (cursor, chunks) = (chunk.upto, chunks + 1);
            if chunk.last {
                break;
            }
        }
        assert_eq!(found, [20, 21, 22, 23, 24, 26, 27]);
        assert!(chunks > 4, "{chunks}");
        drop(tx);
        store.close().await;
    }
}
