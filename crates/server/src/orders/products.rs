//! Products.

use rollout::{EventKind, Id, Ms, NodeType, Product};
use store::{Owner, Removal, Slice, topology};
use wire::credentials::valid_product_key;

use super::{Paging, failed, product_in};
use crate::Server;
use crate::error::OrderError;
use crate::ids::random_bytes;
use crate::zones::zone_name;

/// What a new product is made of.
#[derive(Clone, Debug, Default)]
pub struct NewProduct {
    /// What people call it, 1 to 64 characters.
    pub name: String,
    /// What its devices may be; devices if absent.
    pub node_type: Option<NodeType>,
    /// `ProductKey` of a fleet that moves in; made here if absent.
    pub product_key: Option<String>,
    /// `ProductSecret` of a fleet that moves in; made here if absent.
    pub product_secret: Option<String>,
    /// The IANA name of the zone its devices are in; the server's if absent.
    pub timezone: Option<String>,
}

/// What to change of a product.
#[derive(Clone, Debug, Default)]
pub struct ProductChange {
    /// What people call it.
    pub name: Option<String>,
    /// See [`Product::node_type`].
    pub node_type: Option<NodeType>,
    /// See [`Product::settle_ms`].
    pub settle_ms: Option<Ms>,
    /// See [`Product::grace_ms`].
    pub grace_ms: Option<Ms>,
    /// See [`Product::timezone`].
    pub timezone: Option<Option<String>>,
    /// See [`Product::dynamic_registration`].
    pub dynamic_registration: Option<bool>,
    /// See [`Product::without_pre_registration`].
    pub without_pre_registration: Option<bool>,
}

const SETTLE_MS: Ms = 10_000;
const GRACE_MS: Ms = 30_000;
const MOST_PATIENCE_MS: Ms = 3_600_000;

impl Server {
    /// Makes a product with its module `default`.
    pub async fn create_product(&self, new: NewProduct) -> Result<Product, OrderError> {
        check_name(&new.name)?;
        let timezone = check_zone(new.timezone)?;
        let product_key = new.product_key.unwrap_or_else(random_product_key);
        if !valid_product_key(&product_key) {
            return Err(OrderError::invalid(
                "productKeyInvalid",
                format!("the product key {product_key:?} is not allowed: 1 to 20 letters and digits"),
            )
            .with("productKey", product_key));
        }
        let secret = new.product_secret.unwrap_or_else(|| random_text(16));
        if !wire::credentials::valid_device_secret(&secret) {
            return Err(OrderError::invalid(
                "productSecretInvalid",
                "the product secret is not allowed: 1 to 64 printable ASCII characters without blanks",
            ));
        }
        let mut unit = self.begin().await?;
        let product = Product {
            id: self.core.next_id(),
            product_key,
            name: new.name,
            node_type: new.node_type.unwrap_or(NodeType::Device),
            settle_ms: SETTLE_MS,
            grace_ms: GRACE_MS,
            timezone,
            dynamic_registration: false,
            without_pre_registration: false,
            registration_until: None,
            created_at: unit.now,
        };
        let owner = Owner::Product { product_key: &product.product_key };
        let seal = self.core.store.keyring().seal(owner, secret.as_bytes());
        let sealed = seal.map_err(|e| OrderError::internal("seal a secret", e))?;
        if !store::products::create(&mut unit.tx, &product, &sealed)
            .await
            .map_err(failed("make a product"))?
        {
            let text = format!("there is already a product with the key {:?}", product.product_key);
            return Err(OrderError::conflict("productKeyTaken", text).with("productKey", product.product_key));
        }
        let kind = EventKind::ProductCreated { product_key: product.product_key.clone() };
        unit.told(product.id, None, None, kind);
        unit.finish().await?;
        Ok(product)
    }

    /// Products in the order they were made.
    pub async fn products(&self, paging: Paging) -> Result<Slice<Product, Id>, OrderError> {
        let mut tx = self.read().await?;
        store::products::list(&mut tx, paging.after, paging.limit).await.map_err(failed("read products"))
    }

    /// One product.
    pub async fn product(&self, product_key: &str) -> Result<Product, OrderError> {
        self.find_product(product_key).await
    }

    /// Changes what people call a product, the patience the rules have with its devices, or who may register;
    /// unless `check` refuses the product as it is.
    pub async fn change_product(
        &self,
        product_key: &str,
        change: ProductChange,
        check: impl FnOnce(&Product) -> Result<(), OrderError> + Send,
    ) -> Result<Product, OrderError> {
        let write = failed("change a product");
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        check_patience("settleSeconds", change.settle_ms)?;
        check_patience("graceSeconds", change.grace_ms)?;
        let timezone = change.timezone.map(check_zone).transpose()?;
        let mut unit = self.begin().await?;
        let mut product = product_in(&mut unit.tx, product_key).await?;
        check(&product)?;
        product.name = change.name.unwrap_or(product.name);
        let was_gateway = product.node_type == NodeType::Gateway;
        product.node_type = change.node_type.unwrap_or(product.node_type);
        product.settle_ms = change.settle_ms.unwrap_or(product.settle_ms);
        product.grace_ms = change.grace_ms.unwrap_or(product.grace_ms);
        product.timezone = timezone.unwrap_or(product.timezone);
        product.dynamic_registration = change.dynamic_registration.unwrap_or(product.dynamic_registration);
        product.without_pre_registration =
            change.without_pre_registration.unwrap_or(product.without_pre_registration);
        store::products::update(&mut unit.tx, &product).await.map_err(&write)?;
        if was_gateway && product.node_type == NodeType::Device {
            let under = topology::under(&mut unit.tx, product.id).await.map_err(&write)?;
            unit.take_off(under);
        }
        unit.told(product.id, None, None, EventKind::ProductChanged);
        unit.finish().await?;
        Ok(product)
    }

    /// Removes a product that has neither devices nor packages.
    pub async fn remove_product(&self, product_key: &str) -> Result<(), OrderError> {
        let write = failed("remove a product");
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        if store::products::delete(&mut unit.tx, product.id).await.map_err(&write)? == Removal::InUse {
            return Err(OrderError::conflict(
                "productNotEmpty",
                format!("the product {product_key:?} still has devices or packages; remove those first"),
            )
            .with("productKey", product_key));
        }
        let kind = EventKind::ProductRemoved { product_key: product.product_key };
        unit.told(product.id, None, None, kind);
        unit.finish().await
    }
}

fn check_name(name: &str) -> Result<(), OrderError> {
    let ok = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if ok {
        return Ok(());
    }
    let text =
        format!("the name {name:?} is not allowed: 1 to 64 characters, none of them a control character");
    Err(OrderError::invalid("nameInvalid", text).with("name", name))
}

/// The zone's name as the IANA database spells it.
fn check_zone(name: Option<String>) -> Result<Option<String>, OrderError> {
    let Some(name) = name else { return Ok(None) };
    if let Some(known) = zone_name(&name) {
        return Ok(Some(known));
    }
    let text = format!(
        "timezone {name:?} is no time zone: write a name of the IANA database, as Europe/Berlin or Asia/Shanghai"
    );
    Err(OrderError::invalid("timeZoneUnknown", text).with("field", "timezone").with("value", name))
}

fn check_patience(field: &'static str, ms: Option<Ms>) -> Result<(), OrderError> {
    let Some(ms) = ms.filter(|ms| !(0..=MOST_PATIENCE_MS).contains(ms)) else { return Ok(()) };
    let text = format!("{field} {} is not allowed: 0 to {} seconds", ms / 1_000, MOST_PATIENCE_MS / 1_000);
    Err(OrderError::invalid("patienceInvalid", text).with("field", field))
}

/// Eleven letters and digits, as the cloud's keys have.
fn random_product_key() -> String {
    format!("a1{}", random_text(9))
}

/// Letters and digits, each from 5 random bits.
pub(crate) fn random_text(len: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes = random_bytes::<64>();
    bytes.iter().take(len).map(|b| char::from(LETTERS[usize::from(b & 31)])).collect()
}
