//! What an operator can order and ask. Each order is one turn at writing: it checks, writes its
//! intent and its event in one transaction; what touches a whole fleet goes on in chunks after it.

mod answers;
mod bulk;
mod certificates;
mod change;
mod configurations;
mod devices;
mod events;
mod filters;
mod forecast;
mod groups;
mod jobs;
mod looks;
mod modules;
mod names;
mod packages;
mod products;
mod registration;
mod statistics;
mod tags;
mod tasks;
mod topology;
mod uploads;
mod warning;
mod windows;

pub use answers::under_key;
pub use bulk::{Bulk, Refused};
pub use change::{JobChange, TermsChange};
pub use configurations::ProductConfiguration;
pub use devices::{
    CredentialSet, Credentials, DeviceFilter, DeviceSecret, Listed, NewDevice, Unknown, csv_devices,
};
pub use events::{EventFilter, EventPage, Status};
pub use forecast::{Estimate, Excluded, Forecast, HeldJob, OfMatched};
pub use groups::{GroupChange, MOST_GROUPS, Members, Membership, NewGroup, csv_members};
pub use jobs::{CreatedJob, JobFilter, NewJob, NewScope};
pub(crate) use looks::Looks;
pub use modules::NewModule;
pub use names::Names;
pub use packages::{NewFile, NewPackage, PackageUpload};
pub use products::{NewProduct, ProductChange};
pub use registration::MOST_ALLOWED_MINUTES;
pub use statistics::{History, Point, Span, Upgrades, UpgradesOf};
pub use store::Order;
pub use store::Partial;
pub use store::Slice;
pub use store::configurations::{Configuration, OfDevice as DeviceConfiguration};
pub use store::device_counts::DeviceCounts;
pub use store::devices::DeviceView;
pub use store::events::{Filter as WhichEvents, Numbered};
pub use store::groups::Group;
pub use store::modules::Module;
pub use store::statistics::{Ended, HOUR_MS, MINUTE_MS, VersionCount, Versions};
pub use store::topology::{DeviceName, SubDeviceView};
pub use tags::{DeviceTagChange, LONGEST_TAG_NAME, LONGEST_TAG_VALUE, MOST_TAGS, TagChange, csv_tags};
pub use tasks::{CancelOf, TaskFilter, TaskView};
pub use uploads::{NewUpload, Piece, Upload};
pub(crate) use uploads::{Uploads, start_expiry};
pub use warning::Warning;

pub(crate) use devices::find_device;
pub(crate) use products::random_text;
use std::sync::Arc;

use rollout::{Id, Product};

use store::Tx;

use crate::Server;
use crate::core::Unit;
use crate::error::OrderError;

/// Which part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Paging<C = Id> {
    /// The last of the part before, as [`Slice::next`] told it.
    pub after: Option<C>,
    /// Most items.
    pub limit: u32,
}

/// Wraps a database failure for an order that was `doing` something.
fn failed(doing: &'static str) -> impl Fn(store::Error) -> OrderError {
    move |error| {
        tracing::error!(%error, source = ?std::error::Error::source(&error), "could not {doing}");
        match error {
            store::Error::Unavailable(_) | store::Error::Busy(_) => OrderError::unavailable(doing, error),
            error => OrderError::internal(doing, error),
        }
    }
}

fn unknown_product(product_key: &str) -> OrderError {
    OrderError::not_found("productNotFound", format!("there is no product with the key {product_key:?}"))
        .with("productKey", product_key)
}

impl Server {
    async fn begin(&self) -> Result<Unit, OrderError> {
        self.core.unit().await.map_err(failed("begin a transaction"))
    }

    pub(crate) async fn read(&self) -> Result<Tx, OrderError> {
        self.core.store.read().await.map_err(failed("begin to read"))
    }

    async fn find_product(&self, product_key: &str) -> Result<Product, OrderError> {
        let mut tx = self.read().await?;
        product_in(&mut tx, product_key).await
    }
}

async fn product_in(tx: &mut Tx, product_key: &str) -> Result<Product, OrderError> {
    let found = store::products::find(tx, product_key).await.map_err(failed("read products"))?;
    found.ok_or_else(|| unknown_product(product_key))
}

impl Unit {
    async fn finish(mut self) -> Result<(), OrderError> {
        self.use_key().await?;
        let core = Arc::clone(&self.core);
        self.commit().await.map_err(failed("commit"))?;
        core.looks.ordered();
        Ok(())
    }
}
