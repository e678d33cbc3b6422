//! What is known of who registers, and the tokens that are kept.

use rollout::{Product, Session};

use super::home::Home;
use super::on_both;
use super::sample::{self, PRODUCT};
use crate::devices::Claimant;
use crate::registrations::{DeviceToken, forget_oldest_tokens, keep_tokens, known};
use crate::{Owner, Tx, committer, devices, products, topology};

fn applicant<'a>(device_name: &'a str, client_id: Option<&'a str>) -> Claimant<'a> {
    Claimant { product_key: "a1sample", device_name, client_id }
}

fn token(device_id: i64, client_id: &str, at: i64) -> DeviceToken {
    DeviceToken { device_id, client_id: client_id.into(), hash: client_id.as_bytes().into(), created_at: at }
}

/// How many tokens a device has, and the hash of the one for a client id.
async fn tokens(tx: &mut Tx, device_name: &str, client_id: &str) -> (i64, Option<Vec<u8>>) {
    let found = known(tx, &[applicant(device_name, None)]).await.unwrap().remove(0).unwrap();
    let name = Claimant { product_key: "a1sample", device_name, client_id: Some(client_id) };
    let login = devices::logins(tx, &[name]).await.unwrap().remove(0).unwrap();
    (found.device.unwrap().tokens, login.token)
}

on_both! {
    async fn what_is_known_of_applicants_comes_in_their_order(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..12).await;
        let switched = Product {
            dynamic_registration: true,
            without_pre_registration: true,
            registration_until: Some(77),
            ..sample::product()
        };
        assert!(products::update(&mut tx, &switched).await.unwrap());
        assert!(devices::set_registration(&mut tx, 11, Some(99)).await.unwrap());
        assert!(!devices::set_registration(&mut tx, 12, Some(99)).await.unwrap());
        let came = rollout::Device { first_online_at: Some(5), ..sample::device(11) };
        let sessions = vec![Session { device_id: 11, epoch: 1, connected_at: 5 }];
        committer::apply(&mut tx, &rollout::Changes { devices: vec![came], sessions, ..Default::default() }).await.unwrap();
        keep_tokens(&mut tx, &[token(10, "a", 1), token(10, "b", 2)]).await.unwrap();
        topology::put(&mut tx, &[sample::belonging(11, 10)]).await.unwrap();

        let other = Claimant { product_key: "a2", ..applicant("lamp0010", None) };
        let asked = [other, applicant("lamp0011", None), applicant("nobody", Some("a")), applicant("lamp0010", Some("a")), applicant("lamp0010", Some("c"))];
        let found = known(&mut tx, &asked).await.unwrap();
        assert_eq!(found.len(), 5);
        assert!(found[0].is_none());
        let of = |n: usize| found[n].as_ref().unwrap();
        assert_eq!((of(1).product, of(1).dynamic_registration, of(1).without_pre_registration, of(1).registration_until), (PRODUCT, true, true, Some(77)));
        let owner = Owner::Product { product_key: "a1sample" };
        assert_eq!(store.keyring().open(owner, &of(1).secret).unwrap(), b"0123456789abcdef");
        let device = |n: usize| of(n).device.as_ref().unwrap();
        assert_eq!((device(1).device, device(1).enabled, device(1).first_online_at, device(1).registration_until), (11, true, Some(5), Some(99)));
        let owner = Owner::Device { product_key: "a1sample", device_name: "lamp0011" };
        assert_eq!(store.keyring().open(owner, &device(1).secret).unwrap(), b"secret of lamp0011");
        assert_eq!((device(1).gateway, device(3).gateway), (Some(10), None));
        assert!(of(2).device.is_none());
        let of_tokens = |n: usize| (device(n).tokens, device(n).has_token);
        assert_eq!([of_tokens(1), of_tokens(3), of_tokens(4)], [(0, false), (2, true), (2, false)]);
        assert!(known(&mut tx, &[]).await.unwrap().is_empty());
        // Reports write a device's row; the allowance is none of theirs.
        assert_eq!(devices::get(&mut tx, 11).await.unwrap().unwrap().registration_until, Some(99));
        assert_eq!(products::get(&mut tx, PRODUCT).await.unwrap(), Some(switched));
        drop(tx);
        store.close().await;
    }

    async fn tokens_are_replaced_forgotten_and_go_with_their_device(home: Home) {
        let store = home.open().await;
        let mut tx = store.begin().await.unwrap();
        sample::fill(&store, &mut tx, 10..12).await;
        assert_eq!(tokens(&mut tx, "lamp0010", "a").await, (0, None));
        keep_tokens(&mut tx, &[token(10, "a", 1), token(10, "b", 2), token(11, "a", 3)]).await.unwrap();
        assert_eq!(tokens(&mut tx, "lamp0010", "b").await, (2, Some(b"b".to_vec())));
        keep_tokens(&mut tx, &[DeviceToken { hash: b"new".to_vec(), ..token(10, "a", 4) }]).await.unwrap();
        assert_eq!(tokens(&mut tx, "lamp0010", "a").await, (2, Some(b"new".to_vec())));
        assert_eq!(tokens(&mut tx, "lamp0010", "A").await, (2, None));
        forget_oldest_tokens(&mut tx, &[10]).await.unwrap();
        assert_eq!(tokens(&mut tx, "lamp0010", "b").await, (1, None));
        assert_eq!(tokens(&mut tx, "lamp0011", "a").await, (1, Some(b"a".to_vec())));
        let plain = Claimant { product_key: "a1sample", device_name: "lamp0011", client_id: None };
        assert_eq!(devices::logins(&mut tx, &[plain]).await.unwrap().remove(0).unwrap().token, None);
        devices::delete(&mut tx, 11).await.unwrap();
        let left = tx.row("select count(*) from device_token", vec![]).await.unwrap().unwrap();
        assert_eq!(left.get::<i64>(0).unwrap(), 1);
        drop(tx);
        store.close().await;
    }
}
