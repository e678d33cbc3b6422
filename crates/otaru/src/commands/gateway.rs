use api::dto::{Device, DeviceName, SubDevice};
use clap::{Args, Subcommand};

use super::{Format, product, when};
use crate::client::{Client, segment};
use crate::output::out;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the sub-devices of a gateway
    List {
        #[command(flatten)]
        gateway: Gateway,
        #[command(flatten)]
        format: Format,
    },
    /// Put a device under a gateway, whichever it belonged to before
    Add(Add),
    /// Take a device from its gateway, which logs it out
    Remove(Sub),
}

#[derive(Args)]
pub(crate) struct Gateway {
    /// Key of the gateway's product
    #[arg(value_name = "PK")]
    product_key: String,
    /// Name of the gateway
    #[arg(value_name = "DN")]
    device_name: String,
}

#[derive(Args)]
pub(crate) struct Sub {
    #[command(flatten)]
    gateway: Gateway,
    /// Key of the sub-device's product
    #[arg(value_name = "SUB_PK")]
    sub_product_key: String,
    /// Name of the sub-device
    #[arg(value_name = "SUB_DN")]
    sub_device_name: String,
}

#[derive(Args)]
pub(crate) struct Add {
    #[command(flatten)]
    sub: Sub,
    #[command(flatten)]
    format: Format,
}

impl Gateway {
    fn path(&self) -> String {
        let Self { product_key, device_name } = self;
        format!("{}/devices/{}/sub-devices", product::path(product_key), segment(device_name))
    }
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<()> {
    match command {
        Command::List { gateway, format } => {
            let head = ["PRODUCT KEY", "SUB-DEVICE", "STATE", "ADDED"];
            format.list(client, &gateway.path(), &[], &head, |sub: &SubDevice| {
                let state = if sub.online { "online" } else { "offline" };
                let (key, name) = (sub.product_key.clone(), sub.device_name.clone());
                vec![key, name, state.into(), when(&sub.added_at)]
            })
        }
        Command::Add(Add { sub, format }) => {
            let Sub { gateway, sub_product_key, sub_device_name } = sub;
            let sub = DeviceName { product_key: sub_product_key, device_name: sub_device_name };
            let device: Device = client.post(&gateway.path(), &sub)?;
            format.show(&device, |device| {
                out!("{} belongs to gateway {}", device.device_name, gateway.device_name);
            })
        }
        Command::Remove(Sub { gateway, sub_product_key, sub_device_name }) => {
            let (key, name) = (segment(&sub_product_key), segment(&sub_device_name));
            client.delete(&format!("{}/{key}/{name}", gateway.path()))?;
            out!("{sub_device_name} belongs to no gateway");
            Ok(())
        }
    }
}
