//! What people call what rows know by number.

use std::collections::{BTreeMap, BTreeSet};

use rollout::Id;

use super::failed;
use crate::Server;
use crate::error::OrderError;

/// Names of rows by number. Of what was removed meanwhile there is none.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Product keys.
    pub products: BTreeMap<Id, String>,
    /// Device names.
    pub devices: BTreeMap<Id, String>,
}

impl Server {
    /// The names of a page's products and devices.
    pub async fn names(&self, products: BTreeSet<Id>, devices: BTreeSet<Id>) -> Result<Names, OrderError> {
        let mut tx = self.read().await?;
        Ok(Names {
            products: store::products::keys(&mut tx, products).await.map_err(failed("read products"))?,
            devices: store::devices::names(&mut tx, devices).await.map_err(failed("read devices"))?,
        })
    }
}
