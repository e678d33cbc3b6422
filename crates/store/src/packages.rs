//! Packages. Events are the caller's to write.

use std::collections::BTreeSet;

use rollout::{Id, Package, PackageFile};

use crate::record::Record;
use crate::sql::Tx;
use crate::{Error, Order, Removal, Slice};

/// Makes a package of blobs that are stored.
pub async fn create(tx: &mut Tx, package: &Package) -> Result<(), Error> {
    tx.insert("package", Package::TABLE.columns, vec![package.values()], "").await.map(drop)
}

/// A package by its number.
pub async fn get(tx: &mut Tx, id: Id) -> Result<Option<Package>, Error> {
    Ok(tx.select_in("id", &[id], "").await?.pop())
}

/// Packages, of one product or of all, after the one numbered `after`.
pub async fn list(
    tx: &mut Tx,
    product: Option<Id>,
    order: Order,
    after: Option<Id>,
    limit: u32,
) -> Result<Slice<Package, Id>, Error> {
    let of = if product.is_some() { "product_id = ? and" } else { "" };
    let mut args = Vec::from_iter(product.map(Into::into));
    let (part, of_part) = order.part("id", after, limit);
    args.extend(of_part);
    let items = tx.select_where(&format!("{of} {part}"), args).await?;
    Ok(Slice::cut(items, limit, |p: &Package| p.id))
}

/// Removes a package that no unfinished job brings out. Ended jobs keep its number. Its blobs are
/// [`crate::Store::remove_unused_blob`]'s, once this is committed.
pub async fn delete(tx: &mut Tx, id: Id) -> Result<Removal, Error> {
    let lock = tx.dialect.for_update();
    if tx.row(format!("select id from package where id = ?{lock}"), vec![id.into()]).await?.is_none() {
        return Ok(Removal::Missing);
    }
    let used = "select 1 from job where package_id = ? and (state not in ('COMPLETED', 'CANCELED') or work is not null) limit 1";
    if tx.row(used, vec![id.into()]).await?.is_some() {
        return Ok(Removal::InUse);
    }
    tx.exec("delete from package where id = ?", vec![id.into()]).await?;
    Ok(Removal::Removed)
}

/// Of several files. No index sees into their lists, but this one finds those few packages among the others.
const SEVERAL: &str = "more_files <> '[]' and length(more_files) > 2";

/// Whether any package or configuration is made of this blob.
pub async fn uses(tx: &mut Tx, sha256: &str) -> Result<bool, Error> {
    let sql = format!(
        "select 1 from package where sha256 = ? union all select 1 from configuration where sha256 = ?
        union all select 1 from package where {SEVERAL} and more_files like ? limit 1"
    );
    let within = format!("%\"{sha256}\"%");
    Ok(tx.row(sql, vec![sha256.into(), sha256.into(), within.into()]).await?.is_some())
}

/// The blobs of all packages and configurations.
pub(crate) async fn digests(tx: &mut Tx) -> Result<BTreeSet<String>, Error> {
    let sql = "select sha256 from package union select sha256 from configuration";
    let rows = tx.rows(sql, vec![]).await?;
    let mut digests: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    for row in tx.rows(format!("select more_files from package where {SEVERAL}"), vec![]).await? {
        let more: Vec<PackageFile> = row.get(0)?;
        digests.extend(more.into_iter().map(|file| file.sha256));
    }
    Ok(digests)
}
