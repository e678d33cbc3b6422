use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use otaru::settings::{ConfigFile, Database};
use store::{Clock, Config, Store};

use crate::cli::Connection;
use crate::output::out;

#[derive(Args)]
pub(crate) struct Backup {
    /// The file to write; it must not exist yet. It holds the key, so it is as secret as the data folder
    file: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    database: Database,
}

#[derive(Args)]
pub(crate) struct Restore {
    /// The file a backup wrote
    file: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    database: Database,
}

fn config(database: &Database, connection: &Connection) -> Config {
    Config {
        data: connection.data.data.clone(),
        database: database.database.clone(),
        clock: Clock::default(),
    }
}

/// Writes a backup of one moment.
pub(crate) fn backup(backup: Backup, connection: &Connection) -> anyhow::Result<()> {
    let config = config(&backup.database, connection);
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
    let config = config(&restore.database, connection);
    tokio::runtime::Runtime::new()?.block_on(store::import(config, file))?;
    out!(
        "restored {} into {}; `otaru serve` makes a new admin token there",
        restore.file.display(),
        connection.data.data.display()
    );
    Ok(())
}
