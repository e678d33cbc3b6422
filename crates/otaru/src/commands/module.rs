use api::dto::{Module, NewModule};
use clap::{Args, Subcommand};

use super::{Format, or_dash, product, when};
use crate::client::{Client, segment};
use crate::output::{facts, out};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a module
    Add(Add),
    /// List the modules of a product
    List {
        /// Key of the product
        #[arg(value_name = "PK")]
        product_key: String,
        #[command(flatten)]
        format: Format,
    },
    /// Remove a module that no package is for
    Remove {
        /// Key of the product
        #[arg(value_name = "PK")]
        product_key: String,
        /// Name of the module
        name: String,
    },
}

#[derive(Args)]
pub(crate) struct Add {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// The name that devices report
    name: String,
    /// What people call it
    #[arg(long)]
    alias: Option<String>,
    /// What it is
    #[arg(long, value_name = "TEXT")]
    desc: Option<String>,
    #[command(flatten)]
    format: Format,
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<()> {
    match command {
        Command::Add(add) => {
            let new = NewModule { name: add.name, alias: add.alias, description: add.desc };
            let module: Module = client.post(&path(&add.product_key), &new)?;
            add.format.show(&module, show)
        }
        Command::List { product_key, format } => {
            let head = ["MODULE", "ALIAS", "DESCRIPTION"];
            format.list(client, &path(&product_key), &[], &head, |module: &Module| {
                vec![
                    module.name.clone(),
                    or_dash(module.alias.as_ref()),
                    or_dash(module.description.as_ref()),
                ]
            })
        }
        Command::Remove { product_key, name } => {
            client.delete(&format!("{}/{}", path(&product_key), segment(&name)))?;
            out!("removed module {name}");
            Ok(())
        }
    }
}

fn path(product_key: &str) -> String {
    format!("{}/modules", product::path(product_key))
}

fn show(module: &Module) {
    facts(&[
        ("module", module.name.clone()),
        ("alias", or_dash(module.alias.as_ref())),
        ("description", or_dash(module.description.as_ref())),
        ("created", when(&module.created_at)),
    ]);
}
