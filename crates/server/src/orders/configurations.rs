//! Remote configuration: a JSON file of each product, in versions, that devices ask for or are told of.

use bytes::Bytes;
use rollout::{EventKind, Id, Product};
use store::configurations::{self as rows, Configuration, OfDevice, Settings};
use store::{Slice, Tx};

use super::devices::devices_named;
use super::uploads::stored;
use super::{Paging, failed, product_in};
use crate::Server;
use crate::error::OrderError;

/// Most bytes of a configuration, as in the cloud's console.
const LONGEST: usize = 64 * 1024;
/// What some editors write before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Most devices that one push names.
const MOST_NAMED: usize = 1_000;

/// A product's remote configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductConfiguration {
    /// Whether devices get it, and what was pushed to all of them.
    pub settings: Settings,
    /// The present version.
    pub present: Option<Configuration>,
}

impl Server {
    /// What a product says of its configuration, and the present version.
    pub async fn configuration(&self, product_key: &str) -> Result<ProductConfiguration, OrderError> {
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?;
        configuration_in(&mut tx, product.id).await
    }

    /// Makes a version of a product's configuration; the same file again is the version that it is already. If one is
    /// `expected` to be present (0: none), nothing is made over another.
    pub async fn set_configuration(
        &self,
        product_key: &str,
        file: Bytes,
        expected: Option<i64>,
    ) -> Result<Configuration, OrderError> {
        check_file(&file)?;
        let mut blob = self.core.store.blobs().create().await.map_err(stored)?;
        blob.write(file).await.map_err(stored)?;
        // Held until the row is committed, so that the file is not taken for one nobody refers to.
        let file = blob.finish().await.map_err(stored)?;
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        let present = configuration_in(&mut unit.tx, product.id).await?.present;
        if let Some(same) = present.as_ref().filter(|present| present.sha256 == file.sha256) {
            return Ok(same.clone());
        }
        check_expected(present.as_ref(), expected)?;
        let made = Configuration {
            id: self.core.next_id(),
            product_id: product.id,
            version: present.map_or(1, |present| present.version + 1),
            sha256: file.sha256.clone(),
            size: i64::try_from(file.size).unwrap_or(i64::MAX),
            created_at: unit.now,
        };
        rows::create(&mut unit.tx, &made).await.map_err(failed("keep a configuration"))?;
        unit.told(product.id, None, None, EventKind::ConfigurationCreated { version: made.version });
        unit.finish().await?;
        Ok(made)
    }

    /// The versions of a product's configuration, the oldest first.
    pub async fn configurations(
        &self,
        product_key: &str,
        paging: Paging<i64>,
    ) -> Result<Slice<Configuration, i64>, OrderError> {
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?;
        let found = rows::list(&mut tx, product.id, paging.after, paging.limit).await;
        found.map_err(failed("read configurations"))
    }

    /// The file of a version.
    pub async fn configuration_file(&self, product_key: &str, version: i64) -> Result<Bytes, OrderError> {
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?;
        let found = rows::find(&mut tx, product.id, version).await.map_err(failed("read configurations"))?;
        let found = found.ok_or_else(|| {
            let text = format!("the configuration of the product {product_key:?} has no version {version}");
            OrderError::not_found("configurationNotFound", text).with("version", version)
        })?;
        drop(tx);
        let read = async {
            let blob = self.core.store.blobs().open(&found.sha256).await?;
            blob.read(0, usize::try_from(blob.len()).unwrap_or(usize::MAX)).await
        };
        read.await.map_err(|error| OrderError::internal("read the file of a configuration", error))
    }

    /// Lets the devices of a product have its configuration, or not.
    pub async fn enable_configuration(
        &self,
        product_key: &str,
        enabled: bool,
    ) -> Result<ProductConfiguration, OrderError> {
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        let mut found = configuration_in(&mut unit.tx, product.id).await?;
        if found.settings.enabled != enabled {
            found.settings.enabled = enabled;
            let put = rows::put_settings(&mut unit.tx, &found.settings).await;
            put.map_err(failed("change a configuration"))?;
            unit.told(product.id, None, None, EventKind::ConfigurationEnabled { enabled });
            unit.finish().await?;
        }
        Ok(found)
    }

    /// Tells all devices of a product of the present version: those connected at once, others when they come. Those
    /// that have fetched or taken it already are not told again.
    pub async fn push_configuration(&self, product_key: &str) -> Result<Configuration, OrderError> {
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        let (mut settings, present) = self.pushable(&mut unit.tx, &product).await?;
        settings.pushed = present.version;
        rows::put_settings(&mut unit.tx, &settings).await.map_err(failed("push a configuration"))?;
        unit.told(product.id, None, None, EventKind::ConfigurationPushed { version: present.version });
        self.configurations.expect(product_key);
        unit.finish().await?;
        // Who came before that was expected is known to be connected by then.
        let _ = self.queue.flush().await;
        self.configurations.push_to_all(product.id);
        Ok(present)
    }

    /// Tells some devices of the present version, also if they have it.
    pub async fn push_configuration_to(
        &self,
        product_key: &str,
        names: &[String],
    ) -> Result<Configuration, OrderError> {
        let write = failed("push a configuration");
        check_names(names)?;
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        let (settings, present) = self.pushable(&mut unit.tx, &product).await?;
        let devices = devices_named(&mut unit.tx, &product, names).await?;
        rows::put_settings(&mut unit.tx, &settings).await.map_err(&write)?;
        let states = rows::devices(&mut unit.tx, &devices).await.map_err(&write)?;
        let anew = |state: OfDevice| OfDevice {
            wanted: present.version,
            fetched: 0,
            answered: 0,
            code: None,
            ..state
        };
        let states: Vec<OfDevice> = states.into_values().map(anew).collect();
        rows::put_devices(&mut unit.tx, &states).await.map_err(&write)?;
        for device in &devices {
            let kind = EventKind::ConfigurationPushed { version: present.version };
            unit.told(product.id, Some(*device), None, kind);
        }
        self.configurations.expect(product_key);
        unit.finish().await?;
        for device in devices {
            if let Some(epoch) = self.core.sessions.epoch(device) {
                self.configurations.push_to(device, epoch);
            }
        }
        Ok(present)
    }

    /// What is known of the devices of a product, in the order they were made; those of which nothing is are left out.
    pub async fn device_configurations(
        &self,
        product_key: &str,
        paging: Paging,
    ) -> Result<Slice<OfDevice, Id>, OrderError> {
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?;
        let found = rows::list_devices(&mut tx, product.id, paging.after, paging.limit).await;
        found.map_err(failed("read configurations"))
    }

    /// The version that can be pushed now.
    async fn pushable(
        &self,
        tx: &mut Tx,
        product: &Product,
    ) -> Result<(Settings, Configuration), OrderError> {
        let product_key = &product.product_key;
        if self.core.writer.base().is_err() {
            let text = "devices fetch a configuration over HTTP, and no address is set at which they reach this platform: start it with --public-url http://HOST:1883 (the host as devices see it)";
            return Err(OrderError::conflict("publicUrlUnset", text));
        }
        let ProductConfiguration { settings, present } = configuration_in(tx, product.id).await?;
        if !settings.enabled {
            let text = format!(
                "the configuration of the product {product_key:?} is off: devices would not get it. Switch it on first: otaru config enable {product_key}"
            );
            return Err(
                OrderError::conflict("configurationOff", text).with("productKey", product_key.as_str())
            );
        }
        let present = present.ok_or_else(|| {
            let text = format!(
                "the product {product_key:?} has no configuration yet; give it one first: otaru config set {product_key} FILE"
            );
            OrderError::conflict("configurationMissing", text).with("productKey", product_key.as_str())
        })?;
        Ok((settings, present))
    }
}

async fn configuration_in(tx: &mut Tx, product: Id) -> Result<ProductConfiguration, OrderError> {
    let read = failed("read configurations");
    let settings = rows::settings(tx, &[product]).await.map_err(&read)?.remove(&product);
    let present = rows::present(tx, &[product]).await.map_err(&read)?.remove(&product);
    Ok(ProductConfiguration { settings: settings.unwrap_or_else(|| Settings::new(product)), present })
}

fn check_file(file: &[u8]) -> Result<(), OrderError> {
    if file.len() > LONGEST {
        let text = format!("the configuration has {} bytes; devices get at most {LONGEST}", file.len());
        return Err(OrderError::invalid("configurationTooLarge", text).with("most", LONGEST));
    }
    if file.starts_with(BYTE_ORDER_MARK) {
        let text = "the configuration begins with a byte-order mark, by which JSON readers of devices fail: save it as UTF-8 without one";
        return Err(OrderError::invalid("configurationInvalid", text).with("line", 1).with("column", 1));
    }
    if let Err(error) = serde_json::from_slice::<serde_json::Value>(file) {
        let text = format!("the configuration is not JSON: {error}");
        return Err(OrderError::invalid("configurationInvalid", text)
            .with("line", error.line())
            .with("column", error.column()));
    }
    Ok(())
}

fn check_expected(present: Option<&Configuration>, expected: Option<i64>) -> Result<(), OrderError> {
    let version = present.map_or(0, |present| present.version);
    let Some(expected) = expected.filter(|expected| *expected != version) else { return Ok(()) };
    let text = format!(
        "the configuration has version {version} by now, and not {expected}: nothing was made; look at that version, then make yours after it"
    );
    Err(OrderError::conflict("changedMeanwhile", text).with("now", serde_json::json!({ "version": version })))
}

fn check_names(names: &[String]) -> Result<(), OrderError> {
    if (1..=MOST_NAMED).contains(&names.len()) {
        return Ok(());
    }
    let text =
        format!("{} devices are named; a push is to all of a product, or to 1 to {MOST_NAMED}", names.len());
    Err(OrderError::invalid("deviceNamesInvalid", text).with("most", MOST_NAMED))
}
