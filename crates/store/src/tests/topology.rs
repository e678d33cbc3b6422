use super::home::Home;
use super::on_both;
use super::sample::{self, PRODUCT};
use crate::topology::{self, DeviceName};
use crate::{Removal, devices};

fn name(id: i64) -> DeviceName {
    DeviceName { product_key: "a1sample".into(), device_name: sample::device(id).name }
}

on_both! {
    async fn a_sub_device_belongs_to_one_gateway(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..20).await;
        let under = |gateway, subs: &[i64]| -> Vec<_> {
            subs.iter().map(|sub| sample::belonging(*sub, gateway)).collect()
        };
        topology::put(&mut tx, &under(10, &[12, 13, 14])).await.unwrap();
        topology::put(&mut tx, &under(11, &[14, 15])).await.unwrap();
        assert_eq!(topology::count(&mut tx, 10).await.unwrap(), 2);
        let of = topology::gateways_of(&mut tx, &[10, 13, 14]).await.unwrap();
        assert_eq!(of, [(13, name(10)), (14, name(11))].into());
        assert_eq!(devices::get(&mut tx, 13).await.unwrap().unwrap().gateway, Some(name(10)));

        let names = [("a1sample", "lamp0014"), ("a1sample", "nobody"), ("other", "lamp0014"), ("a1sample", "lamp0010")];
        let found = topology::find(&mut tx, &names).await.unwrap();
        let found: Vec<_> = found.iter().map(|f| f.as_ref().map(|f| (f.device, f.product, f.gateway))).collect();
        assert_eq!(found, [Some((14, PRODUCT, Some(11))), None, None, Some((10, PRODUCT, None))]);

        let page = topology::list(&mut tx, 11, None, 1).await.unwrap();
        assert_eq!(page.items.iter().map(|sub| (sub.device, &sub.name, sub.online)).collect::<Vec<_>>(), [(14, &name(14), false)]);
        let page = topology::list(&mut tx, 11, page.next, 1).await.unwrap();
        assert_eq!((page.items[0].device, page.items[0].added_at, page.next), (15, 4, None));

        let mut under = topology::under(&mut tx, PRODUCT).await.unwrap();
        under.sort_unstable();
        assert_eq!(under, [12, 13, 14, 15]);
        assert!(topology::under(&mut tx, PRODUCT + 1).await.unwrap().is_empty());

        topology::remove(&mut tx, &[12, 19]).await.unwrap();
        assert_eq!(topology::count(&mut tx, 10).await.unwrap(), 1);
        assert_eq!(devices::delete(&mut tx, 14).await.unwrap(), Removal::Removed);
        assert_eq!(devices::delete(&mut tx, 10).await.unwrap(), Removal::Removed);
        assert_eq!(topology::count(&mut tx, 11).await.unwrap(), 1);
        assert_eq!(topology::gateways_of(&mut tx, &[12, 13, 15]).await.unwrap(), [(15, name(11))].into());
        drop(tx);
        store.close().await;
    }
}
