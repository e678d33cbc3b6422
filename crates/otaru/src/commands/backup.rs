use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use store::{Clock, Config, Store};

use crate::cli::Connection;
use crate::output::out;

#[derive(Args)]
pub(crate) struct Backup {
    /// The file to write; it must not exist yet. It holds the key, so it is as secret as the data folder
    file: PathBuf,
    #[command(flatten)]
    database: Database,
}

#[derive(Args)]
pub(crate) struct Restore {
    /// The file a backup wrote
    file: PathBuf,
    #[command(flatten)]
    database: Database,
}

/// Where rows are kept.
#[derive(Args)]
pub(crate) struct Database {
    /// `sqlite`, in the data folder, or the URL of a PostgreSQL database
    #[arg(
        long,
        value_name = "sqlite|postgres://…",
        env = "OTARU_DATABASE",
        default_value = "sqlite",
        hide_env_values = true
    )]
    pub(crate) database: String,
}

impl Database {
    fn config(&self, data: &Path) -> Config {
        Config { data: data.into(), database: self.database.clone(), clock: Clock::default() }
    }
}

/// Writes a backup of one moment.
pub(crate) fn backup(backup: Backup, connection: &Connection) -> anyhow::Result<()> {
    let config = backup.database.config(&connection.data);
    tokio::runtime::Runtime::new()?.block_on(async {
        let store = Store::open_to_read(config).await?;
        let done = store.backup(&backup.file).await;
        store.close().await;
        anyhow::Ok(done?)
    })?;
    out!(
        "wrote {}; it holds the key that opens the devices' secrets: keep it as safe as they are",
        backup.file.display()
    );
    Ok(())
}

/// Brings a backup back.
pub(crate) fn restore(restore: Restore, connection: &Connection) -> anyhow::Result<()> {
    let file =
        File::open(&restore.file).with_context(|| format!("cannot read {}", restore.file.display()))?;
    let config = restore.database.config(&connection.data);
    tokio::runtime::Runtime::new()?.block_on(store::import(config, file))?;
    out!(
        "restored {} into {}; `otaru serve` makes a new admin token there",
        restore.file.display(),
        connection.data.display()
    );
    Ok(())
}
