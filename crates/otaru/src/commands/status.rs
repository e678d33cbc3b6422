use api::dto::Status;
use clap::Args;

use super::Format;
use crate::client::Client;
use crate::output::{facts, out};

#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    format: Format,
}

/// Shows how the platform is doing.
pub(crate) fn run(show: &Show, client: &Client) -> anyhow::Result<()> {
    let status: Status = client.get("/status")?;
    show.format.show(&status, |status| {
        facts(&[
            ("version", status.version.clone()),
            ("devices connect to", status.device_addresses.join(", ")),
            ("connected now", status.sessions.to_string()),
        ]);
        out!("\nCounted since the start:");
        let counted = status.counters.iter().filter(|(_, n)| **n > 0);
        facts(&counted.map(|(name, n)| (name.as_str(), n.to_string())).collect::<Vec<_>>());
    })
}
