use api::dto::{
    DeviceCounts, NewProduct, NodeType, Product, ProductChange, ProductCredentials, RegistrationAllowance,
};
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
    /// Print the ProductSecret, which devices register with
    Credentials {
        /// Key of the product
        #[arg(value_name = "PK")]
        product_key: String,
        #[command(flatten)]
        format: Format,
    },
    /// Change a product's name or time zone, the patience with its devices, or whether they may register
    Set(Set),
    /// Let all devices of a product register again for a while, also those that were activated
    AllowRegistration {
        /// Key of the product
        #[arg(value_name = "PK")]
        product_key: String,
        #[command(flatten)]
        allowance: Allowance,
        #[command(flatten)]
        format: Format,
    },
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
    /// Whether its devices may register: get their secret for the ProductSecret they carry
    #[arg(long, value_name = "true|false")]
    dynamic_registration: Option<bool>,
    /// Whether devices that nobody has made may register too, for a token; needs dynamic registration
    #[arg(long, value_name = "true|false")]
    without_pre_registration: Option<bool>,
    #[command(flatten)]
    format: Format,
}

/// For how long devices may register again.
#[derive(Args)]
pub(crate) struct Allowance {
    /// For how long, at most 43200, which is 30 days; 0 ends it
    #[arg(long, value_name = "N", default_value_t = 60)]
    minutes: i64,
}

impl Allowance {
    /// Sends it to a product or device at this place of the API.
    pub(super) fn send<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        client: &Client,
    ) -> anyhow::Result<T> {
        let allowance = RegistrationAllowance { minutes: self.minutes };
        client.post(&format!("{path}/allow-registration"), &allowance)
    }
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
            let head = ["PRODUCT KEY", "NAME", "DEVICES", "ONLINE", "CREATED"];
            format.list(client, "/products", &[], &head, |product: &Product| {
                let Product { product_key, name, devices, created_at, .. } = product;
                let [all, online] = [devices.all, devices.online].map(|n| n.to_string());
                vec![product_key.clone(), name.clone(), all, online, when(created_at)]
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
                dynamic_registration: set.dynamic_registration,
                without_pre_registration: set.without_pre_registration,
                ..ProductChange::default()
            };
            let product: Product = client.patch(&path(&set.product_key), &change)?;
            set.format.show(&product, show)
        }
        Command::Credentials { product_key, format } => {
            let found: ProductCredentials = client.get(&format!("{}/credentials", path(&product_key)))?;
            format.show(&found, |found| {
                facts(&[
                    ("ProductKey", found.product_key.clone()),
                    ("ProductSecret", found.product_secret.clone()),
                ]);
            })
        }
        Command::AllowRegistration { product_key, allowance, format } => {
            let product: Product = allowance.send(&path(&product_key), client)?;
            format.show(&product, show)
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

fn registration(product: &Product) -> &'static str {
    match (product.dynamic_registration, product.without_pre_registration) {
        (false, _) => "off",
        (true, false) => "devices made beforehand",
        (true, true) => "any device",
    }
}

/// Until when registering again is allowed.
pub(super) fn again(until: Option<&String>) -> String {
    until.map_or("not allowed".into(), |until| format!("allowed until {}", when(until)))
}

fn devices(counts: &DeviceCounts) -> String {
    let DeviceCounts { all, online, offline, never_connected, disabled } = counts;
    format!(
        "{all}: {online} online, {offline} offline, {never_connected} never connected; {disabled} disabled"
    )
}

fn show(product: &Product) {
    facts(&[
        ("product key", product.product_key.clone()),
        ("name", product.name.clone()),
        ("node type", spelt(&product.node_type)),
        ("settle", format!("{} s", product.settle_seconds)),
        ("grace", format!("{} s", product.grace_seconds)),
        ("time zone", product.timezone.clone().unwrap_or("the server's".into())),
        ("registration", registration(product).into()),
        ("register again", again(product.registration_allowed_until.as_ref())),
        ("devices", devices(&product.devices)),
        ("created", when(&product.created_at)),
    ]);
}
