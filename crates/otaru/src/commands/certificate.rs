//! The certificate by which a device may come in.

use std::path::PathBuf;

use anyhow::Context as _;
use api::dto::DeviceCertificate;
use clap::Args;

use super::device::Named;
use crate::client::Client;
use crate::output::out;

#[derive(Args)]
pub(crate) struct Certificate {
    #[command(flatten)]
    named: Named,
    /// The certificate that it shows from now on, as PEM; without it and --remove the present one is shown
    #[arg(long, value_name = "FILE", conflicts_with = "remove")]
    set: Option<PathBuf>,
    /// Take the certificate away
    #[arg(long)]
    remove: bool,
}

/// Shows or changes a device's certificate.
pub(crate) fn run(order: Certificate, client: &Client) -> anyhow::Result<()> {
    let Certificate { named, set, remove } = order;
    let path = format!("{}/certificate", named.path());
    let certificate: DeviceCertificate = match set {
        Some(file) => {
            let pem = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let sha256 = door::certs::fingerprint(&pem)
                .with_context(|| format!("there is no certificate in {}: PEM is expected", file.display()))?;
            client.put(&path, &DeviceCertificate { sha256: Some(sha256) })?
        }
        None if remove => client.put(&path, &DeviceCertificate { sha256: None })?,
        None => client.get(&path)?,
    };
    named.format.show(&certificate, |certificate| match &certificate.sha256 {
        Some(sha256) => out!("SHA-256 {sha256}"),
        None => out!("it has no certificate"),
    })
}
