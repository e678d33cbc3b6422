use api::dto::{NewProduct, NodeType, Product, ProductChange};
use clap::{Args, Subcommand};

use super::{Format, spelt, when};
use crate::client::{Client, segment};
use crate::output::{facts, out};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a product, with the module `default`
    Add(Add),
    /// List products
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Show a product
    Show {
        /// Key of the product
        #[arg(value_name = "PK")]
        product_key: String,
        #[command(flatten)]
        format: Format,
    },
    /// Change a product's name or time zone, or the patience with its devices
    Set(Set),
    /// Remove a product without devices and packages
    Remove {
        /// Key of the product
        #[arg(value_name = "PK")]
        product_key: String,
    },
}

#[derive(Args)]
pub(crate) struct Add {
    /// What people call it
    name: String,
    /// The ProductKey its devices already carry [default: a new one]
    #[arg(long, value_name = "PK")]
    key: Option<String>,
    /// Its devices may be gateways, which speak for sub-devices
    #[arg(long)]
    gateway: bool,
    /// The IANA time zone its devices are in, as Europe/Berlin, for windows of jobs [default: the server's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// The ProductSecret its devices already carry [default: a new one]
    #[arg(long, value_name = "PS", env = "OTARU_PRODUCT_SECRET", hide_env_values = true)]
    secret: Option<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
pub(crate) struct Set {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// Whether its devices may be gateways, which speak for sub-devices
    #[arg(long, value_name = "true|false")]
    gateway: Option<bool>,
    /// How long a device, after its first report on a connection, may correct a version that is neither old nor new
    #[arg(long, value_name = "N")]
    settle_seconds: Option<i64>,
    /// How long a push waits for the device's own report of the module
    #[arg(long, value_name = "N")]
    grace_seconds: Option<i64>,
    /// The IANA time zone its devices are in, as Europe/Berlin, for windows of jobs
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Go by the server's time zone
    #[arg(long, conflicts_with = "timezone")]
    no_timezone: bool,
    #[command(flatten)]
    format: Format,
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<()> {
    match command {
        Command::Add(add) => {
            let new = NewProduct {
                name: add.name,
                node_type: add.gateway.then_some(NodeType::Gateway),
                product_key: add.key,
                product_secret: add.secret,
                timezone: add.timezone,
            };
            let product: Product = client.post("/products", &new)?;
            add.format.show(&product, show)
        }
        Command::List { format } => {
            let head = ["PRODUCT KEY", "NAME", "CREATED"];
            format.list(client, "/products", &[], &head, |product: &Product| {
                vec![product.product_key.clone(), product.name.clone(), when(&product.created_at)]
            })
        }
        Command::Show { product_key, format } => {
            let product: Product = client.get(&path(&product_key))?;
            format.show(&product, show)
        }
        Command::Set(set) => {
            let change = ProductChange {
                name: set.name,
                node_type: set.gateway.map(node_type),
                settle_seconds: set.settle_seconds,
                grace_seconds: set.grace_seconds,
                timezone: if set.no_timezone { Some(None) } else { set.timezone.map(Some) },
            };
            let product: Product = client.patch(&path(&set.product_key), &change)?;
            set.format.show(&product, show)
        }
        Command::Remove { product_key } => {
            client.delete(&path(&product_key))?;
            out!("removed product {product_key}");
            Ok(())
        }
    }
}

fn node_type(gateway: bool) -> NodeType {
    if gateway { NodeType::Gateway } else { NodeType::Device }
}

/// The product's place in the API.
pub(super) fn path(product_key: &str) -> String {
    format!("/products/{}", segment(product_key))
}

fn show(product: &Product) {
    facts(&[
        ("product key", product.product_key.clone()),
        ("name", product.name.clone()),
        ("node type", spelt(&product.node_type)),
        ("settle", format!("{} s", product.settle_seconds)),
        ("grace", format!("{} s", product.grace_seconds)),
        ("time zone", product.timezone.clone().unwrap_or("the server's".into())),
        ("created", when(&product.created_at)),
    ]);
}
