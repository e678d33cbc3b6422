//! Restoring a backup.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{CHECKSUMS, FORMAT, KEYS, KIND, MANIFEST, Manifest, line};
use crate::keyring::private_file;
use crate::lock::FolderLock;
use crate::migrate::{self, Found};
use crate::open::{BLOB_FOLDER, KEY_FILE, RESTORE_FOLDER, fits, make_folder};
use crate::pools::Pools;
use crate::record::{Column, Table, tables};
use crate::sql::{Tx, Val};
use crate::{BlobWriter, Blobs, Config, Error, Keyring, OpenError, SCHEMA, hex, meta, packages};

/// The largest entry that is not a blob.
const MAX_ENTRY: u64 = 64 * 1024 * 1024;
const CHUNK: usize = 256 * 1024;
const LOCK_FILE: &str = "lock";

/// Why a backup was not restored. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The folder or the database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is something in the folder.
    #[error("{} is not empty; restore into an empty or new folder", .0.display())]
    FolderInUse(PathBuf),
    /// There is something in the database.
    #[error("the database is not empty; restore into an empty one")]
    DatabaseInUse,
    /// The file is not what it should be.
    #[error("this is no whole otaru backup: {0}")]
    Broken(String),
    /// A backup of another program version.
    #[error(
        "the backup has format {format} and schema {schema}, this program restores format {} and schema {}",
        FORMAT,
        SCHEMA
    )]
    Version {
        /// The backup's format.
        format: u32,
        /// The schema of its tables.
        schema: u32,
    },
    /// The archive cannot be read or the folder not written.
    #[error("the backup cannot be restored: {0}")]
    Io(#[from] io::Error),
    /// The database's refusal.
    #[error("the backup cannot be restored: {0}")]
    Database(#[from] Error),
}

enum Part {
    Entry {
        name: String,
        bytes: Vec<u8>,
    },
    BlobChunk(Bytes),
    BlobEnd {
        sha256: String,
    },
    /// All checksums were right.
    Whole,
}

/// Restores a backup into an empty or new data folder and an empty database of either engine.
pub async fn import<R: Read + Send + 'static>(config: Config, from: R) -> Result<(), ImportError> {
    let data = config.data.clone();
    let made = !data.exists();
    make_folder(&data)?;
    if data.read_dir()?.any(|entry| entry.is_ok_and(|e| e.file_name() != LOCK_FILE)) {
        return Err(ImportError::FolderInUse(data));
    }
    let lock = FolderLock::take(&data)?.ok_or_else(|| OpenError::Locked(data.clone()))?;
    let stage = data.join(RESTORE_FOLDER);
    let done = restore(&config, &stage, from).await;
    if done.is_err() {
        clear(&data, made);
    }
    drop(lock);
    done
}

/// Takes away what a restore that failed has made.
fn clear(data: &Path, made: bool) {
    let stage = data.join(RESTORE_FOLDER);
    let gone = std::fs::remove_dir_all(&stage).and_then(|()| std::fs::remove_file(data.join(LOCK_FILE)));
    let gone = gone.and_then(|()| if made { std::fs::remove_dir(data) } else { Ok(()) });
    if let Err(error) = gone {
        tracing::warn!(folder = %data.display(), %error, "cannot clear away a restore that failed");
    }
}

async fn restore<R: Read + Send + 'static>(
    config: &Config,
    stage: &Path,
    from: R,
) -> Result<(), ImportError> {
    make_folder(stage)?;
    let pools = Pools::connect(config, stage).await?;
    let done = fill(&pools, config, stage, from).await;
    pools.close().await;
    done?;
    let data = &config.data;
    for entry in stage.read_dir()? {
        let entry = entry?;
        std::fs::rename(entry.path(), data.join(entry.file_name()))?;
    }
    std::fs::remove_dir(stage)?;
    Ok(crate::blobs::sync_folder(data)?)
}

async fn fill<R: Read + Send + 'static>(
    pools: &Pools,
    config: &Config,
    stage: &Path,
    from: R,
) -> Result<(), ImportError> {
    let mut tx = pools.begin(config.clock).await?;
    if migrate::inspect(&mut tx).await? != Found::Empty {
        return Err(ImportError::DatabaseInUse);
    }
    let (sender, mut parts) = mpsc::channel(4);
    let reader = tokio::task::spawn_blocking(move || read_archive(from, &sender));
    let mut restore = Restore {
        tx: &mut tx,
        blobs: Blobs::open_folder(&stage.join(BLOB_FOLDER))?,
        key_file: stage.join(KEY_FILE),
        blob: None,
        begun: false,
        whole: false,
    };
    while let Some(part) = parts.recv().await {
        restore.take(part).await?;
    }
    reader.await.map_err(io::Error::other)??;
    restore.check().await?;
    tx.commit().await?;
    Ok(())
}

struct Restore<'a> {
    tx: &'a mut Tx,
    blobs: Blobs,
    key_file: PathBuf,
    blob: Option<BlobWriter>,
    begun: bool,
    whole: bool,
}

impl Restore<'_> {
    async fn take(&mut self, part: Part) -> Result<(), ImportError> {
        match part {
            Part::Entry { name, bytes } if name == MANIFEST && !self.begun => self.manifest(&bytes).await,
            _ if !self.begun => Err(broken("it does not begin with a manifest")),
            Part::Entry { name, bytes } if name == KEYS => self.keys(&bytes),
            Part::Entry { name, bytes } => self.table(&name, &bytes).await,
            Part::BlobChunk(chunk) => Ok(self.blob().await?.write(chunk).await?),
            Part::BlobEnd { sha256 } => self.blob_end(&sha256).await,
            Part::Whole => {
                self.whole = true;
                Ok(())
            }
        }
    }

    async fn manifest(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        check_manifest(bytes)?;
        migrate::migrate(self.tx, 0, SCHEMA).await?;
        self.tx.exec("delete from counter", vec![]).await?;
        self.tx.exec("delete from meta", vec![]).await?;
        self.begun = true;
        Ok(())
    }

    fn keys(&self, bytes: &[u8]) -> Result<(), ImportError> {
        let mut file = private_file(&self.key_file)?;
        io::Write::write_all(&mut file, bytes)?;
        Ok(file.sync_all()?)
    }

    async fn table(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImportError> {
        let Rows { table, columns, rows } = read_rows(name, bytes)?;
        let n = rows.len() as u64;
        let inserted = self.tx.insert(table, &columns, rows, "").await?;
        if inserted == n {
            Ok(())
        } else {
            Err(broken(format!("its entry {name:?} holds a row without a key")))
        }
    }

    async fn blob(&mut self) -> Result<&mut BlobWriter, ImportError> {
        if self.blob.is_none() {
            self.blob = Some(self.blobs.create().await?);
        }
        self.blob.as_mut().ok_or_else(|| broken("a file broke off"))
    }

    async fn blob_end(&mut self, sha256: &str) -> Result<(), ImportError> {
        self.blob().await?;
        let Some(blob) = self.blob.take() else { return Err(broken("a file broke off")) };
        let stored = blob.finish().await?;
        if stored.sha256 == sha256 { Ok(()) } else { Err(broken(format!("the file {sha256} is damaged"))) }
    }

    async fn check(&mut self) -> Result<(), ImportError> {
        if !self.whole {
            return Err(broken("its end is missing"));
        }
        let keyring = Keyring::load(&self.key_file)?.ok_or_else(|| broken("it has no keys"))?;
        let check = meta::get(self.tx, "key_check").await?.unwrap_or_default();
        if !fits(&keyring, &check) {
            return Err(broken("its keys do not fit its tables"));
        }
        for sha256 in packages::digests(self.tx).await? {
            if !self.blobs.path_of(&sha256)?.is_file() {
                return Err(broken(format!("the file {sha256} is missing")));
            }
        }
        Ok(())
    }
}

fn check_manifest(bytes: &[u8]) -> Result<(), ImportError> {
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|_| broken("its manifest is not ours"))?;
    if manifest.kind != KIND {
        return Err(broken("its manifest is not ours"));
    }
    let Manifest { format, schema, .. } = manifest;
    if (format, schema) == (FORMAT, SCHEMA) { Ok(()) } else { Err(ImportError::Version { format, schema }) }
}

/// What an entry holds of a table.
struct Rows {
    table: &'static str,
    columns: Vec<Column>,
    rows: Vec<Vec<Val>>,
}

fn read_rows(name: &str, bytes: &[u8]) -> Result<Rows, ImportError> {
    let mut path = name.split('/');
    let table = path.next().filter(|p| *p == "table").and(path.next());
    let table = tables().into_iter().find(|t| Some(t.name) == table);
    let Table { name: table, columns, hidden, .. } =
        table.ok_or_else(|| broken(format!("its entry {name:?} is of no known kind")))?;
    let columns: Vec<Column> = [*columns, *hidden].concat();
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let rows: Option<Vec<_>> = lines.map(|line| line::read(&columns, line)).collect();
    let rows = rows.ok_or_else(|| broken(format!("its entry {name:?} holds a line that is no row")))?;
    Ok(Rows { table, columns, rows })
}

/// Reads a whole backup without keeping it, for `fuzz/`: whether everything in it can be read.
#[cfg(fuzzing)]
pub fn read_backup(bytes: &[u8]) -> Result<(), ImportError> {
    // An entry has a header of 512 bytes at least, and gives at most two parts more than it has chunks.
    let (sender, mut parts) = mpsc::channel(bytes.len() / 128 + 8);
    read_archive(bytes, &sender)?;
    while let Ok(part) = parts.try_recv() {
        match part {
            Part::Entry { name, bytes } if name == MANIFEST => check_manifest(&bytes)?,
            Part::Entry { name, bytes } if name != KEYS => drop(read_rows(&name, &bytes)?),
            _ => {}
        }
    }
    Ok(())
}

/// Reads the archive through, as long as somebody takes its parts.
fn read_archive(from: impl Read, to: &mpsc::Sender<Part>) -> Result<(), ImportError> {
    let no_archive = |error: io::Error| match error.kind() {
        // The library quotes the bytes it could not read.
        io::ErrorKind::Other => broken("it is no archive"),
        _ => unreadable(error),
    };
    let mut archive = tar::Archive::new(from);
    let mut found = BTreeMap::new();
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(no_archive)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name == CHECKSUMS {
            return check_sums(&small(&mut entry)?, &found, to);
        }
        let parts = match name.strip_prefix("blob/") {
            Some(sha256) => send_blob(&mut entry, sha256, to)?.map(|()| sha256.to_owned()),
            None => send_entry(&mut entry, &name, to)?,
        };
        let Some(digest) = parts else { return Ok(()) };
        if found.insert(name.clone(), digest).is_some() {
            return Err(broken(format!("it has two entries {name:?}")));
        }
    }
    Err(broken("its end is missing"))
}

fn check_sums(
    bytes: &[u8],
    found: &BTreeMap<String, String>,
    to: &mpsc::Sender<Part>,
) -> Result<(), ImportError> {
    let sums: BTreeMap<String, String> =
        serde_json::from_slice(bytes).map_err(|_| broken("its checksums cannot be read"))?;
    let wrong = |(name, sum): &(&String, &String)| found.get(*name) != Some(*sum);
    if let Some((name, _)) = sums.iter().find(wrong) {
        return Err(broken(format!("its entry {name:?} is damaged or missing")));
    }
    if let Some(name) = found.keys().find(|name| !sums.contains_key(*name)) {
        return Err(broken(format!("its entry {name:?} is not among its checksums")));
    }
    // Nobody takes it if the restore has failed already.
    let _ = to.blocking_send(Part::Whole);
    Ok(())
}

fn small<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, ImportError> {
    if entry.size() > MAX_ENTRY {
        return Err(broken("it holds an entry larger than any we write"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 == entry.size() { Ok(bytes) } else { Err(broken("its end is missing")) }
}

/// `None` if nobody takes the parts any more.
fn send_entry<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    name: &str,
    to: &mpsc::Sender<Part>,
) -> Result<Option<String>, ImportError> {
    let bytes = small(entry)?;
    let digest = hex::encode(&Sha256::digest(&bytes));
    Ok(to.blocking_send(Part::Entry { name: name.into(), bytes }).ok().map(|()| digest))
}

fn send_blob<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    sha256: &str,
    to: &mpsc::Sender<Part>,
) -> Result<Option<()>, ImportError> {
    let mut left = entry.size();
    while left > 0 {
        let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
        entry.read_exact(&mut chunk).map_err(unreadable)?;
        left -= chunk.len() as u64;
        if to.blocking_send(Part::BlobChunk(chunk.into())).is_err() {
            return Ok(None);
        }
    }
    Ok(to.blocking_send(Part::BlobEnd { sha256: sha256.into() }).ok())
}

fn broken(what: impl Into<String>) -> ImportError {
    ImportError::Broken(what.into())
}

fn unreadable(error: io::Error) -> ImportError {
    broken(format!("it cannot be read on: {error}"))
}
