use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::bail;
use api::dto::{Job, Package, PackageFile};
use clap::{Args, Subcommand, ValueEnum};

use super::{Format, or_dash, product, spelt, upload, when};
use crate::client::{Client, segment};
use crate::output::{bytes, facts, out};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Upload a file, or several, as a package; run again, it goes on where it broke off
    Add(Add),
    /// List packages
    List {
        /// Key of the product [default: all products]
        #[arg(value_name = "PK")]
        product_key: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Show a package
    Show {
        /// Id of the package, pkg_…
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// Cancel every job of a package that has not ended
    Cancel {
        /// Id of the package, pkg_…
        id: String,
    },
    /// Remove a package whose jobs have all ended
    Remove {
        /// Id of the package, pkg_…
        id: String,
    },
}

#[derive(Args)]
pub(crate) struct Add {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// The file; or up to 20, which devices fetch over HTTP
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The version a device reports once it runs it
    #[arg(long, value_name = "V")]
    version: String,
    /// The module it is for [default: default]
    #[arg(long, value_name = "M")]
    module: Option<String>,
    /// What people call it [default: module and version]
    #[arg(long, value_name = "N")]
    name: Option<String>,
    /// The digest its notices name; every device checks MD5
    #[arg(long, value_enum, default_value = "md5")]
    sign_method: SignMethod,
    /// Let it be rolled out without a verify job first
    #[arg(long)]
    no_verify: bool,
    /// Take an ESP image whose compiled-in version is another one
    #[arg(long)]
    accept_image_version: bool,
    /// The version the file is a difference to [default: it is a whole file]
    #[arg(long, value_name = "V")]
    diff_from: Option<String>,
    /// Its own words for the devices, in extData of their notices
    #[arg(long, value_name = "TEXT")]
    custom: Option<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum SignMethod {
    Md5,
    Sha256,
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<()> {
    match command {
        Command::Add(add) => add_package(&add, client),
        Command::List { product_key, format } => {
            let filter: Vec<_> = product_key.iter().map(|key| ("productKey", key.as_str())).collect();
            let head = ["PACKAGE", "PRODUCT", "NAME", "MODULE", "VERSION", "SIZE", "STATE"];
            format.list(client, "/packages", &filter, &head, row)
        }
        Command::Show { id, format } => {
            let package: Package = client.get(&path(&id))?;
            format.show(&package, show)
        }
        Command::Cancel { id } => {
            let jobs: Vec<Job> = client.order(&format!("{}/cancel", path(&id)))?;
            out!("cancelled {} jobs of {id}", jobs.len());
            Ok(())
        }
        Command::Remove { id } => {
            client.delete(&path(&id))?;
            out!("removed package {id}");
            Ok(())
        }
    }
}

/// The package's place in the API.
fn path(id: &str) -> String {
    format!("/packages/{}", segment(id))
}

fn add_package(add: &Add, client: &Client) -> anyhow::Result<()> {
    // With several, commas stand between their names.
    if let [_, _, ..] = add.files[..]
        && let Some(path) = add.files.iter().find(|path| name(path).contains(','))
    {
        bail!(
            "{} has a comma in its name, which files of a package of several cannot have: rename it",
            path.display()
        );
    }
    let package = upload::package(&add.files, &target(add), client)?;
    add.format.show(&package, show)
}

/// The name that devices are told of a file.
fn name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn target(add: &Add) -> String {
    let names: Vec<_> = add.files.iter().map(|path| name(path)).collect();
    let method = match add.sign_method {
        SignMethod::Md5 => "md5",
        SignMethod::Sha256 => "sha256",
    };
    let mut query =
        vec![("version", add.version.clone()), ("fileName", names.join(",")), ("signMethod", method.into())];
    query.push(("needVerify", (!add.no_verify).to_string()));
    query.push(("acceptImageVersion", add.accept_image_version.to_string()));
    query.extend(add.module.iter().map(|module| ("module", module.clone())));
    query.extend(add.diff_from.iter().map(|version| ("srcVersion", version.clone())));
    query.extend(add.custom.iter().map(|custom| ("custom", custom.clone())));
    query.extend(add.name.iter().map(|name| ("name", name.clone())));
    let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", segment(value))).collect();
    format!("{}/packages?{}", product::path(&add.product_key), query.join("&"))
}

fn row(package: &Package) -> Vec<String> {
    vec![
        package.id.clone(),
        package.product_key.clone(),
        package.name.clone(),
        package.module.clone(),
        package.version.clone(),
        bytes(package.size),
        spelt(&package.state),
    ]
}

fn show(package: &Package) {
    let file = |file: &PackageFile| {
        let PackageFile { file_name, size, md5, sha256 } = file;
        ("file", format!("{file_name}, {size} bytes, MD5 {md5}, SHA-256 {sha256}"))
    };
    let mut files: Vec<_> = package.files.iter().map(file).collect();
    if files.is_empty() {
        files = vec![
            ("md5", package.md5.clone()),
            ("sha256", package.sha256.clone()),
            ("file", package.file_name.clone()),
        ];
    }
    let before = [
        ("package", package.id.clone()),
        ("product", package.product_key.clone()),
        ("name", package.name.clone()),
        ("module", package.module.clone()),
        ("version", package.version.clone()),
        ("size", format!("{} bytes", package.size)),
    ];
    let after = [
        ("sign method", spelt(&package.sign_method)),
        ("difference to", or_dash(package.src_version.as_ref())),
        ("own words", or_dash(package.custom.as_ref())),
        ("image version", or_dash(package.image_version.as_ref())),
        ("state", spelt(&package.state)),
        ("created", when(&package.created_at)),
    ];
    facts(&[&before[..], &files, &after].concat());
}
