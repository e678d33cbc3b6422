//! Gateways and their sub-devices.

use rollout::{Id, NodeType};
use store::Slice;
use store::topology::{self, DeviceName, SubDeviceView};

use super::devices::{find_device, unknown_device};
use super::{Paging, failed, product_in};
use crate::Server;
use crate::error::OrderError;
use crate::gateway::Gateway;

impl Server {
    /// The sub-devices of a gateway, in the order they were made.
    pub async fn sub_devices(
        &self,
        product_key: &str,
        device_name: &str,
        paging: Paging,
    ) -> Result<Slice<SubDeviceView, Id>, OrderError> {
        let mut tx = self.read().await?;
        let gateway = find_device(&mut tx, product_key, device_name).await?.device.id;
        let found = topology::list(&mut tx, gateway, paging.after, paging.limit).await;
        found.map_err(failed("read a topology"))
    }

    /// Puts a device under a gateway, whichever it belonged to before.
    pub async fn add_sub_device(
        &self,
        product_key: &str,
        device_name: &str,
        sub: &DeviceName,
    ) -> Result<(), OrderError> {
        let write = failed("change a topology");
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        if product.node_type != NodeType::Gateway {
            let text = format!(
                "devices of the product {product_key:?} are no gateways; make them gateways first: otaru product set {product_key} --gateway true"
            );
            return Err(OrderError::conflict("notAGateway", text).with("productKey", product_key));
        }
        let id = find_device(&mut unit.tx, product_key, device_name).await?.device.id;
        let pair = [(&*sub.product_key, &*sub.device_name)];
        let found = topology::find(&mut unit.tx, &pair).await.map_err(&write)?.pop().flatten();
        let found = found.ok_or_else(|| unknown_device(&sub.product_key, &sub.device_name))?;
        if found.device == id {
            let text = format!("the gateway {device_name:?} cannot be its own sub-device");
            return Err(OrderError::conflict("gatewayOfItself", text).with("deviceName", device_name));
        }
        let most = self.core.sub_devices;
        let has = topology::count(&mut unit.tx, id).await.map_err(&write)?;
        if found.gateway != Some(id) && has >= most as i64 {
            let text = format!("the gateway {device_name:?} has {has} sub-devices, and {most} are allowed");
            return Err(OrderError::conflict("tooManySubDevices", text).with("most", most));
        }
        let name = DeviceName { product_key: product_key.into(), device_name: device_name.into() };
        unit.put_under(Some(&Gateway { id, name }), &[found]).await.map_err(&write)?;
        unit.finish().await
    }

    /// Takes a device out of the topology of its gateway, which logs it out.
    pub async fn remove_sub_device(
        &self,
        product_key: &str,
        device_name: &str,
        sub: &DeviceName,
    ) -> Result<(), OrderError> {
        let write = failed("change a topology");
        let mut unit = self.begin().await?;
        let id = find_device(&mut unit.tx, product_key, device_name).await?.device.id;
        let pair = [(&*sub.product_key, &*sub.device_name)];
        let found = topology::find(&mut unit.tx, &pair).await.map_err(&write)?.pop().flatten();
        let found = found.filter(|found| found.gateway == Some(id)).ok_or_else(|| {
            let text = format!("the gateway {device_name:?} has no sub-device {:?}", sub.device_name);
            let error = OrderError::not_found("subDeviceNotFound", text);
            error.with("productKey", &*sub.product_key).with("deviceName", &*sub.device_name)
        })?;
        unit.put_under(None, &[found]).await.map_err(&write)?;
        unit.finish().await
    }
}
