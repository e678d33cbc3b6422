//! Who may register: what an operator sees and sets of it.

use rollout::{EventKind, Ms, Product};
use store::Owner;
use store::devices::DeviceView;

use super::{devices::find_device, failed, product_in};
use crate::Server;
use crate::error::OrderError;

/// Longest time for which registering again is allowed: 30 days.
pub const MOST_ALLOWED_MINUTES: i64 = 30 * 24 * 60;

impl Server {
    /// `ProductSecret`: what its devices register with.
    pub async fn product_secret(&self, product_key: &str) -> Result<String, OrderError> {
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?;
        let sealed = store::products::secret(&mut tx, product.id).await;
        let sealed = sealed.map_err(failed("read a product's secret"))?;
        let sealed = sealed.ok_or_else(|| super::unknown_product(product_key))?;
        let secret = self.core.store.keyring().open(Owner::Product { product_key }, &sealed);
        let secret = secret.map_err(|error| OrderError::internal("read a product's secret", error))?;
        String::from_utf8(secret)
            .map_err(|_| OrderError::internal("read a product's secret", "it is no text"))
    }

    /// Lets all devices of a product that were activated register again for some minutes; 0 ends it.
    pub async fn allow_product_registration(
        &self,
        product_key: &str,
        minutes: i64,
    ) -> Result<Product, OrderError> {
        check_minutes(minutes)?;
        let mut unit = self.begin().await?;
        let mut product = product_in(&mut unit.tx, product_key).await?;
        product.registration_until = until(unit.now, minutes);
        let written = store::products::update(&mut unit.tx, &product).await;
        written.map_err(failed("change a product"))?;
        let kind = EventKind::RegistrationAllowed { until: product.registration_until };
        unit.told(product.id, None, None, kind);
        unit.finish().await?;
        Ok(product)
    }

    /// Lets a device that was activated register again for some minutes; 0 ends it.
    pub async fn allow_device_registration(
        &self,
        product_key: &str,
        device_name: &str,
        minutes: i64,
    ) -> Result<DeviceView, OrderError> {
        check_minutes(minutes)?;
        let mut unit = self.begin().await?;
        let mut view = find_device(&mut unit.tx, product_key, device_name).await?;
        view.registration_until = until(unit.now, minutes);
        let (product, device) = (view.device.product_id, view.device.id);
        let written = store::devices::set_registration(&mut unit.tx, device, view.registration_until).await;
        written.map_err(failed("change a device"))?;
        let kind = EventKind::RegistrationAllowed { until: view.registration_until };
        unit.told(product, Some(device), None, kind);
        unit.finish().await?;
        Ok(view)
    }
}

fn until(now: Ms, minutes: i64) -> Option<Ms> {
    (minutes > 0).then(|| now + minutes * 60_000)
}

fn check_minutes(minutes: i64) -> Result<(), OrderError> {
    if (0..=MOST_ALLOWED_MINUTES).contains(&minutes) {
        return Ok(());
    }
    let text =
        format!("minutes {minutes} is not allowed: 1 to {MOST_ALLOWED_MINUTES}, which is 30 days; 0 ends it");
    Err(OrderError::invalid("minutesInvalid", text).with("minutes", minutes))
}
