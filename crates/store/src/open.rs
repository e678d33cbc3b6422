//! Opening a data folder and its database.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::lock::{DatabaseLock, FolderLock};
use crate::migrate::{self, Found, SCHEMA};
use crate::pools::{Pools, SQLITE_FILE};
use crate::sql::Tx;
use crate::{Blobs, Chain, Error, ErrorCounts, Keyring, Owner, Sealed, hex, meta};

const KEY_CHECK: &str = "otaru";
pub(crate) const KEY_FILE: &str = "keys";
pub(crate) const BLOB_FOLDER: &str = "blobs";
/// Stands in a data folder while a backup is being restored into it.
pub(crate) const RESTORE_FOLDER: &str = "restoring";

/// Where everything lies.
#[derive(Clone)]
pub struct Config {
    /// The data folder: key file, blobs and, with SQLite, the database. Made if missing.
    pub data: PathBuf,
    /// `sqlite`, or `postgres://user:password@host/database`.
    pub database: String,
    /// Which clock [`crate::committer::times`] reads.
    pub clock: Clock,
}

/// Which clock tells the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// PostgreSQL's own, so that all nodes agree; on SQLite the caller's.
    #[default]
    Database,
    /// The caller's on both: a test's.
    Caller,
}

/// Why a data folder was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The setting is neither.
    #[error("the database setting must be `sqlite` or a URL `postgres://user:password@host/database`: {0}")]
    Setting(String),
    /// The folder cannot be made, read or written.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process serves it.
    #[error("{} is in use by another otaru process; stop that one, or choose another folder with --data", .0.display())]
    Locked(PathBuf),
    /// Another process serves the same database from another folder.
    #[error(
        "the database is in use by another otaru process; stop that one, or give this one a database of its own"
    )]
    DatabaseLocked,
    /// The database does not open.
    #[error("the database {what} cannot be opened: {}", Chain(source))]
    Unreachable {
        /// Its file, or host and port.
        what: String,
        /// Why.
        source: Error,
    },
    /// A restore did not end.
    #[error("a backup was being restored into {} and did not finish; empty the folder (and the database) and restore again", .0.display())]
    Unrestored(PathBuf),
    /// Written by a later program.
    #[error(
        "the database has schema {found}, this program knows schemas up to {known}; use a program at least as new as the one that wrote it"
    )]
    Newer {
        /// The database's schema.
        found: u32,
        /// [`SCHEMA`].
        known: u32,
    },
    /// Written by an older program, and only looked at now.
    #[error(
        "the database has schema {found}, this program needs schema {known}; `otaru serve` brings it up to date"
    )]
    Older {
        /// The database's schema.
        found: u32,
        /// [`SCHEMA`].
        known: u32,
    },
    /// Not a database of ours.
    #[error(
        "the database holds {found}, not otaru's tables of schema {known}; give otaru an empty database or its own"
    )]
    OtherKind {
        /// What it says it is.
        found: String,
        /// [`SCHEMA`].
        known: u32,
    },
    /// The files are another database's.
    #[error("the database is empty, but {} holds packages' files: they belong to another database; give otaru that one, or another folder with --data", .0.display())]
    NotItsFolder(PathBuf),
    /// There is nothing to look at.
    #[error("there is no database yet; `otaru serve` makes one")]
    NoDatabase,
    /// The secrets in the database cannot be read without it.
    #[error("the database was written with a key file, and {} is missing; put it back from a copy or a backup", .0.display())]
    KeyMissing(PathBuf),
    /// The key belongs to another database.
    #[error("the key file {} does not fit the database; put back the one it was made with, or open its own database", .0.display())]
    WrongKey(PathBuf),
    /// The database's refusal.
    #[error(transparent)]
    Database(#[from] Error),
}

/// Why an unused blob was not removed. The next start tries again.
#[derive(Debug, thiserror::Error)]
pub enum RemoveBlobError {
    /// Nobody could say whether it is used.
    #[error("cannot tell whether the file is still needed")]
    Database(#[from] Error),
    /// The folder's refusal.
    #[error("cannot remove the file")]
    Folder(#[from] io::Error),
}

/// The database, the blobs and the keys of one installation. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Opened>);

struct Opened {
    pools: Pools,
    clock: Clock,
    keyring: Keyring,
    blobs: Blobs,
    lock: Mutex<Option<FolderLock>>,
    database_lock: Mutex<Option<DatabaseLock>>,
    errors: Arc<ErrorCounts>,
}

impl Store {
    /// Opens a data folder for serving: makes what is missing, brings the tables up to date, and keeps
    /// other processes out.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let data = &config.data;
        make_folder(data)?;
        let lock =
            FolderLock::take(data).map_err(at(data))?.ok_or_else(|| OpenError::Locked(data.clone()))?;
        refuse_unrestored(data)?;
        let pools = Pools::connect(&config, data).await?;
        let database_lock = Mutex::new(DatabaseLock::take(&pools).await?);
        let mut tx = pools.begin(config.clock).await?;
        prepare(&mut tx, data).await?;
        let keyring = keyring(&mut tx, &data.join(KEY_FILE), true).await?;
        tx.commit().await?;
        let folder = data.join(BLOB_FOLDER);
        let blobs = Blobs::open_folder(&folder).map_err(at(&folder))?;
        let store = Self(Arc::new(Opened {
            pools,
            clock: config.clock,
            keyring,
            blobs,
            lock: Some(lock).into(),
            database_lock,
            errors: Arc::default(),
        }));
        store.sweep_blobs().await?;
        Ok(store)
    }

    /// Opens a data folder that may be served by another process, to read it: for a backup.
    pub async fn open_to_read(config: Config) -> Result<Self, OpenError> {
        let data = &config.data;
        refuse_unrestored(data)?;
        if config.database == "sqlite" && !data.join(SQLITE_FILE).exists() {
            return Err(OpenError::NoDatabase);
        }
        let pools = Pools::connect(&config, data).await?;
        let mut tx = pools.read(config.clock).await?;
        match migrate::inspect(&mut tx).await? {
            Found::Ours { schema: SCHEMA } => {}
            Found::Ours { schema: found } if found < SCHEMA => {
                return Err(OpenError::Older { found, known: SCHEMA });
            }
            other => refuse(other)?,
        }
        let keyring = keyring(&mut tx, &data.join(KEY_FILE), false).await?;
        let blobs = Blobs::of_folder(&data.join(BLOB_FOLDER));
        let (lock, database_lock) = (None.into(), None.into());
        let errors = Arc::default();
        Ok(Self(Arc::new(Opened { pools, clock: config.clock, keyring, blobs, lock, database_lock, errors })))
    }

    /// A transaction that may write. On SQLite it waits for the one before it.
    pub async fn begin(&self) -> Result<Tx, Error> {
        let begun = self.0.pools.begin(self.0.clock).await.inspect_err(|error| self.0.errors.note(error));
        Ok(begun?.count_in(&self.0.errors))
    }

    /// A transaction that reads one state of everything, whatever is written meanwhile.
    pub async fn read(&self) -> Result<Tx, Error> {
        let begun = self.0.pools.read(self.0.clock).await.inspect_err(|error| self.0.errors.note(error));
        Ok(begun?.count_in(&self.0.errors))
    }

    /// How often the database failed, by kind.
    pub fn error_counts(&self) -> [(&'static str, u64); 4] {
        self.0.errors.read()
    }

    /// The keys that seal secrets.
    pub fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// The files.
    pub fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    /// Removes a blob if no package or configuration is made of it. False if it stays, or was not there.
    pub async fn remove_unused_blob(&self, sha256: &str) -> Result<bool, RemoveBlobError> {
        let ticket = self.blobs().ticket();
        let used = crate::packages::uses(&mut self.read().await?, sha256).await?;
        Ok(!used && self.blobs().remove(sha256, ticket)?)
    }

    /// Waits for open transactions, closes the database and lets others open the folder. What still holds
    /// a clone gets errors from now on.
    pub async fn close(&self) {
        self.0.pools.close().await;
        let database_lock = self.0.database_lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lock) = database_lock {
            lock.release().await;
        }
        self.0.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Removes files nothing refers to: uploads that a crash cut short.
    async fn sweep_blobs(&self) -> Result<(), OpenError> {
        let mut tx = self.read().await?;
        let used = crate::packages::digests(&mut tx).await?;
        let folder = self.blobs().folder();
        self.blobs().sweep(&used).map_err(at(folder))
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Folder { path: path.into(), source }
}

/// A folder only its owner may enter.
pub(crate) fn make_folder(folder: &Path) -> Result<(), OpenError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(at(folder))
}

fn refuse_unrestored(data: &Path) -> Result<(), OpenError> {
    if data.join(RESTORE_FOLDER).exists() { Err(OpenError::Unrestored(data.into())) } else { Ok(()) }
}

fn refuse(found: Found) -> Result<(), OpenError> {
    Err(match found {
        Found::Empty => OpenError::NoDatabase,
        Found::Ours { schema } => OpenError::Newer { found: schema, known: SCHEMA },
        Found::Other { what } => OpenError::OtherKind { found: what, known: SCHEMA },
    })
}

async fn prepare(tx: &mut Tx, data: &Path) -> Result<(), OpenError> {
    let folder = data.join(BLOB_FOLDER);
    match migrate::inspect(tx).await? {
        // The sweep would take its files for leftovers.
        Found::Empty if !Blobs::is_empty(&folder).map_err(at(&folder))? => {
            Err(OpenError::NotItsFolder(data.into()))
        }
        Found::Empty => Ok(migrate::migrate(tx, 0, SCHEMA).await?),
        Found::Ours { schema: SCHEMA } => Ok(()),
        Found::Ours { schema } if schema < SCHEMA => Ok(migrate::migrate(tx, schema, SCHEMA).await?),
        other => refuse(other),
    }
}

/// The keyring, proved to be the database's own. A new database gets a new one.
async fn keyring(tx: &mut Tx, file: &Path, make: bool) -> Result<Keyring, OpenError> {
    let found = Keyring::load(file).map_err(at(file))?;
    let check = meta::get(tx, "key_check").await?;
    match (found, check) {
        (Some(keyring), Some(check)) if fits(&keyring, &check) => Ok(keyring),
        (Some(_), Some(_)) => Err(OpenError::WrongKey(file.into())),
        (None, Some(_)) => Err(OpenError::KeyMissing(file.into())),
        (_, None) if !make => Err(OpenError::NoDatabase),
        (found, None) => {
            let keyring = found.map_or_else(|| new_keyring(file), Ok)?;
            let check = keyring.seal(Owner::KeyCheck, KEY_CHECK.as_bytes()).map_err(at(file))?;
            meta::put(tx, "key_check", &hex::encode(&check.0)).await?;
            Ok(keyring)
        }
    }
}

fn new_keyring(file: &Path) -> Result<Keyring, OpenError> {
    let keyring = Keyring::generate().map_err(at(file))?;
    keyring.create(file).map_err(at(file))?;
    Ok(keyring)
}

pub(crate) fn fits(keyring: &Keyring, check: &str) -> bool {
    let sealed = hex::decode(check).map(Sealed);
    sealed.is_some_and(|sealed| keyring.open(Owner::KeyCheck, &sealed).as_deref() == Ok(KEY_CHECK.as_bytes()))
}
