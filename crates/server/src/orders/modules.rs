//! Modules: the parts of a device that are updated one by one.

use rollout::{DEFAULT_MODULE, EventKind};
use store::Removal;
use store::modules::{Creation, Module};
use wire::credentials::valid_module;

use super::{failed, product_in};
use crate::Server;
use crate::error::OrderError;

/// What a new module is made of.
#[derive(Clone, Debug, Default)]
pub struct NewModule {
    /// 1 to 64 letters, digits and `.-_`; unique in the product whatever the case.
    pub name: String,
    /// What people call it.
    pub alias: Option<String>,
    /// What it is.
    pub description: Option<String>,
}

/// Most modules of a product beside `default`; the cloud has ten.
const MOST_MODULES: u32 = 64;

impl Server {
    /// Makes a module.
    pub async fn create_module(&self, product_key: &str, new: NewModule) -> Result<Module, OrderError> {
        let write = failed("make a module");
        if !valid_module(&new.name) {
            let text = format!(
                "the module name {:?} is not allowed: 1 to 64 letters, digits, '.', '-', '_'",
                new.name
            );
            return Err(OrderError::invalid("moduleNameInvalid", text).with("name", new.name));
        }
        for (field, text) in [("alias", &new.alias), ("description", &new.description)] {
            if text.as_ref().is_some_and(|t| t.chars().count() > 100 || t.chars().any(char::is_control)) {
                let text = format!(
                    "the {field} is not allowed: at most 100 characters, none of them a control character"
                );
                return Err(OrderError::invalid("moduleTextInvalid", text).with("field", field));
            }
        }
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        let module = Module {
            product_id: product.id,
            name: new.name,
            alias: new.alias,
            description: new.description,
            created_at: unit.now,
        };
        match store::modules::create(&mut unit.tx, &module, MOST_MODULES).await.map_err(&write)? {
            Creation::Created => {}
            Creation::Taken => {
                let text = format!(
                    "the product {product_key:?} already has a module {:?}; upper and lower case count as the same",
                    module.name
                );
                return Err(OrderError::conflict("moduleTaken", text).with("name", module.name));
            }
            Creation::TooMany => {
                let text = format!(
                    "the product {product_key:?} already has {MOST_MODULES} modules beside \"default\""
                );
                return Err(OrderError::conflict("tooManyModules", text).with("most", MOST_MODULES));
            }
        }
        unit.told(product.id, None, None, EventKind::ModuleCreated { module: module.name.clone() });
        unit.finish().await?;
        Ok(module)
    }

    /// The modules of a product, `default` among them.
    pub async fn modules(&self, product_key: &str) -> Result<Vec<Module>, OrderError> {
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?;
        store::modules::list(&mut tx, product.id).await.map_err(failed("read modules"))
    }

    /// Removes a module that has no packages.
    pub async fn remove_module(&self, product_key: &str, name: &str) -> Result<(), OrderError> {
        let write = failed("remove a module");
        if name == DEFAULT_MODULE {
            let text = "the module \"default\" stands for the whole firmware and cannot be removed";
            return Err(OrderError::conflict("moduleDefault", text));
        }
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        match store::modules::delete(&mut unit.tx, product.id, name).await.map_err(&write)? {
            Removal::Removed => {}
            Removal::InUse => {
                let text = format!("the module {name:?} still has packages; remove those first");
                return Err(OrderError::conflict("moduleInUse", text).with("name", name));
            }
            Removal::Missing => {
                let text = format!("the product {product_key:?} has no module {name:?}");
                return Err(OrderError::not_found("moduleNotFound", text).with("name", name));
            }
        }
        unit.told(product.id, None, None, EventKind::ModuleRemoved { module: name.to_owned() });
        unit.finish().await
    }
}
