use super::home::Home;
use super::on_both;
use super::sample::{self, PRODUCT};
use crate::configurations::{self as rows, OfDevice, Settings};
use crate::{Removal, devices, packages, products};

on_both! {
    async fn versions_settings_and_devices_are_kept(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..13).await;
        assert!(rows::present(&mut tx, &[PRODUCT]).await.unwrap().is_empty());
        for n in 1..=3 {
            rows::create(&mut tx, &sample::configuration(n)).await.unwrap();
        }
        assert_eq!(rows::present(&mut tx, &[PRODUCT, PRODUCT + 1]).await.unwrap(), [(PRODUCT, sample::configuration(3))].into());
        assert_eq!(rows::find(&mut tx, PRODUCT, 2).await.unwrap(), Some(sample::configuration(2)));
        assert_eq!(rows::get(&mut tx, 901).await.unwrap(), Some(sample::configuration(1)));
        let page = rows::list(&mut tx, PRODUCT, Some(1), 1).await.unwrap();
        assert_eq!((page.items, page.next), (vec![sample::configuration(2)], Some(2)));
        assert!(packages::uses(&mut tx, &sample::configuration(2).sha256).await.unwrap());
        assert!(packages::digests(&mut tx).await.unwrap().contains(&sample::configuration(1).sha256));

        assert!(rows::pushing(&mut tx).await.unwrap().is_empty());
        for pushed in [1, 2] {
            let settings = Settings { pushed, ..Settings::new(PRODUCT) };
            rows::put_settings(&mut tx, &settings).await.unwrap();
            assert_eq!(rows::settings(&mut tx, &[PRODUCT]).await.unwrap(), [(PRODUCT, settings)].into());
        }
        assert_eq!(rows::pushing(&mut tx).await.unwrap(), [sample::product().product_key]);

        let unknown = |device_id| OfDevice { device_id, product_id: PRODUCT, ..OfDevice::default() };
        let found = rows::devices(&mut tx, &[10, 12, 99]).await.unwrap();
        assert_eq!(found, [(10, unknown(10)), (12, unknown(12))].into());
        let known = OfDevice {
            wanted: 1,
            told: 2,
            told_at: Some(5),
            fetched: 2,
            fetched_at: Some(6),
            answered: 1,
            answered_at: Some(7),
            code: Some(-1),
            ..unknown(12)
        };
        rows::put_devices(&mut tx, &[unknown(11), OfDevice { told: 1, ..known.clone() }]).await.unwrap();
        rows::put_devices(&mut tx, std::slice::from_ref(&known)).await.unwrap();
        assert_eq!(rows::devices(&mut tx, &[12]).await.unwrap()[&12], known);
        let page = rows::list_devices(&mut tx, PRODUCT, Some(10), 1).await.unwrap();
        assert_eq!((page.items, page.next), (vec![unknown(11)], Some(11)));

        tx.exec("update device set online = 1 where id > 10", vec![]).await.unwrap();
        let online = rows::online(&mut tx, PRODUCT, "", 1).await.unwrap();
        assert_eq!(online, [(11, sample::device(11).name)]);
        assert_eq!(rows::online(&mut tx, PRODUCT, &online[0].1, 9).await.unwrap().len(), 1);

        assert_eq!(devices::delete(&mut tx, 12).await.unwrap(), Removal::Removed);
        assert_eq!(rows::list_devices(&mut tx, PRODUCT, None, 9).await.unwrap().items, [unknown(11)]);
        drop(tx);
        store.close().await;
    }

    async fn a_removed_product_leaves_no_version(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        let secret = store.keyring().seal(crate::Owner::Product { product_key: "a1sample" }, b"x").unwrap();
        products::create(&mut tx, &sample::product(), &secret).await.unwrap();
        rows::create(&mut tx, &sample::configuration(1)).await.unwrap();
        rows::put_settings(&mut tx, &Settings::new(PRODUCT)).await.unwrap();
        assert_eq!(products::delete(&mut tx, PRODUCT).await.unwrap(), Removal::Removed);
        assert!(packages::digests(&mut tx).await.unwrap().is_empty());
        assert!(rows::settings(&mut tx, &[PRODUCT]).await.unwrap().is_empty());
        drop(tx);
        store.close().await;
    }
}
