use super::home::Home;
use super::on_both;
use super::sample::{self, PRODUCT};
use crate::{Removal, devices, tags};

on_both! {
    async fn tags_are_set_replaced_and_removed(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..13).await;
        let set = [sample::tag(10, "region", "eu"), sample::tag(10, "ring", "1"), sample::tag(11, "region", "us")];
        tags::set(&mut tx, &set).await.unwrap();
        tags::set(&mut tx, &[sample::tag(10, "region", "欧洲")]).await.unwrap();
        let others = [(10, "ring".to_owned()), (11, "ring".to_owned()), (99, "region".to_owned())];
        tags::unset(&mut tx, &others).await.unwrap();
        tags::unset(&mut tx, &[]).await.unwrap();
        let found = tags::of(&mut tx, &[10, 11, 12]).await.unwrap();
        let region = |value: &str| tags::Tags::from([("region".to_owned(), value.to_owned())]);
        assert_eq!(found, [(10, region("欧洲")), (11, region("us"))].into());
        let named = tags::values(&mut tx, &[10, 11, 12], "region").await.unwrap();
        assert_eq!(named, [(10, "欧洲".to_owned()), (11, "us".to_owned())].into());
        assert!(tags::values(&mut tx, &[10, 11], "ring").await.unwrap().is_empty());
        let view = devices::find(&mut tx, PRODUCT, "lamp0010").await.unwrap().unwrap();
        assert_eq!(view.tags, region("欧洲"));
        drop(tx);
        store.close().await;
    }

    async fn tags_go_with_their_device(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..12).await;
        tags::set(&mut tx, &[sample::tag(10, "region", "eu"), sample::tag(11, "region", "eu")]).await.unwrap();
        assert_eq!(devices::delete(&mut tx, 10).await.unwrap(), Removal::Removed);
        let found = tags::of(&mut tx, &[10, 11]).await.unwrap();
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [11]);
        drop(tx);
        store.close().await;
    }
}
