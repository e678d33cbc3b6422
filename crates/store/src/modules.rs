//! The modules an operator has named. A device may report others. Events are the caller's to write.

use rollout::{DEFAULT_MODULE, Id, Ms, Product};

use crate::record::Record;
use crate::sql::Tx;
use crate::{Error, Removal};

/// A part of a device with a version of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its product.
    pub product_id: Id,
    /// Unique in the product, whatever the case of its letters.
    pub name: String,
    /// What people call it.
    pub alias: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Ms,
}

impl Module {
    pub(crate) fn default_of(product: &Product) -> Self {
        Self {
            product_id: product.id,
            name: DEFAULT_MODULE.into(),
            alias: None,
            description: None,
            created_at: product.created_at,
        }
    }
}

/// How making a module went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is there now.
    Created,
    /// The product has one of this name.
    Taken,
    /// The product has as many as are allowed.
    TooMany,
}

/// Makes a module, unless its product has `at_most` besides `default`.
pub async fn create(tx: &mut Tx, module: &Module, at_most: u32) -> Result<Creation, Error> {
    let lock = tx.dialect.for_update();
    tx.rows(format!("select id from product where id = ?{lock}"), vec![module.product_id.into()]).await?;
    if get(tx, module.product_id, &module.name).await?.is_some() {
        return Ok(Creation::Taken);
    }
    if list(tx, module.product_id).await?.len() > at_most as usize {
        return Ok(Creation::TooMany);
    }
    insert(tx, module).await?;
    Ok(Creation::Created)
}

/// A module by its name, whatever the case of its letters.
pub async fn get(tx: &mut Tx, product: Id, name: &str) -> Result<Option<Module>, Error> {
    Ok(tx.select_where("product_id = ? and folded = ?", vec![product.into(), fold(name).into()]).await?.pop())
}

/// All modules of a product: few, so there are no pages.
pub async fn list(tx: &mut Tx, product: Id) -> Result<Vec<Module>, Error> {
    tx.select_where("product_id = ? order by folded", vec![product.into()]).await
}

/// Removes a module no package is for. `default` is always in use.
pub async fn delete(tx: &mut Tx, product: Id, name: &str) -> Result<Removal, Error> {
    let Some(module) = get(tx, product, name).await? else { return Ok(Removal::Missing) };
    let key = vec![product.into(), module.name.as_str().into()];
    let used = tx.row("select 1 from package where product_id = ? and module = ? limit 1", key).await?;
    if used.is_some() || module.name == DEFAULT_MODULE {
        return Ok(Removal::InUse);
    }
    let key = vec![product.into(), fold(name).into()];
    tx.exec("delete from module where product_id = ? and folded = ?", key).await?;
    Ok(Removal::Removed)
}

pub(crate) async fn insert(tx: &mut Tx, module: &Module) -> Result<(), Error> {
    let columns = [Module::TABLE.columns, Module::TABLE.hidden].concat();
    let row = [module.values(), vec![fold(&module.name).into()]].concat();
    tx.insert("module", &columns, vec![row], "").await.map(drop)
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}
