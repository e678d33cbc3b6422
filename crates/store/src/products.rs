//! Products. Events are the caller's to write.

use std::collections::{BTreeMap, BTreeSet};

use rollout::{Id, Product};

use crate::modules::{self, Module};
use crate::record::Record;
use crate::sql::{Tx, Val};
use crate::{Error, Removal, Sealed, Slice, configurations, device_counts, statistics};

/// Makes a product with its module `default`. False if the product key is taken.
pub async fn create(tx: &mut Tx, product: &Product, secret: &Sealed) -> Result<bool, Error> {
    let columns = [Product::TABLE.columns, Product::TABLE.hidden].concat();
    let row = [product.values(), vec![Val::from(&secret.0[..])]].concat();
    let made = tx.insert("product", &columns, vec![row], "on conflict (product_key) do nothing").await? == 1;
    if made {
        modules::insert(tx, &Module::default_of(product)).await?;
    }
    Ok(made)
}

/// A product by its number.
pub async fn get(tx: &mut Tx, id: Id) -> Result<Option<Product>, Error> {
    Ok(tx.select_in("id", &[id], "").await?.pop())
}

/// A product by its key.
pub async fn find(tx: &mut Tx, product_key: &str) -> Result<Option<Product>, Error> {
    Ok(tx.select_where("product_key = ?", vec![product_key.into()]).await?.pop())
}

/// The keys of products by number.
pub async fn keys(tx: &mut Tx, ids: BTreeSet<Id>) -> Result<BTreeMap<Id, String>, Error> {
    tx.texts_in("product", "product_key", ids).await
}

/// A product's own secret.
pub async fn secret(tx: &mut Tx, id: Id) -> Result<Option<Sealed>, Error> {
    let row = tx.row("select secret from product where id = ?", vec![id.into()]).await?;
    row.map(|row| row.get(0).map(Sealed)).transpose()
}

/// Products after the one numbered `after`.
pub async fn list(tx: &mut Tx, after: Option<Id>, limit: u32) -> Result<Slice<Product, Id>, Error> {
    let args = vec![after.unwrap_or(Id::MIN).into(), (i64::from(limit) + 1).into()];
    let items = tx.select_where("id > ? order by id limit ?", args).await?;
    Ok(Slice::cut(items, limit, |p: &Product| p.id))
}

/// Writes a product's settings. False if it is not there.
pub async fn update(tx: &mut Tx, product: &Product) -> Result<bool, Error> {
    Ok(tx.update(std::slice::from_ref(product), |_| None, &[], |_| vec![]).await? == 1)
}

/// Removes a product that has neither devices nor packages, with its modules and old jobs.
pub async fn delete(tx: &mut Tx, id: Id) -> Result<Removal, Error> {
    if get(tx, id).await?.is_none() {
        return Ok(Removal::Missing);
    }
    let used = "select 1 from device where product_id = ? union all select 1 from package where product_id = ? limit 1";
    if tx.row(used, vec![id.into(), id.into()]).await?.is_some() {
        return Ok(Removal::InUse);
    }
    statistics::remove(tx, id).await?;
    device_counts::remove(tx, id).await?;
    configurations::remove(tx, id).await?;
    for sql in [
        "delete from job_target where job_id in (select id from job where product_id = ?)",
        "delete from job_count where job_id in (select id from job where product_id = ?)",
        "delete from job where product_id = ?",
        "delete from module where product_id = ?",
        "delete from device_group where product_id = ?",
        "delete from product where id = ?",
    ] {
        tx.exec(sql, vec![id.into()]).await?;
    }
    Ok(Removal::Removed)
}
