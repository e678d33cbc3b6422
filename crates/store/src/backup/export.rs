//! Writing a backup.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{CHECKSUMS, FORMAT, KEYS, KIND, MANIFEST, Manifest, line};
use crate::keyring::private_file;
use crate::record::{Column, Table, column_list, tables};
use crate::sql::{Tx, Val};
use crate::{Error, SCHEMA, Store, hex};

const PAGE: usize = 1000;
/// An entry ends with the row that brings it to so many bytes.
const ENTRY: usize = 1024 * 1024;

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database could not be read.
    #[error("the backup broke off: {0}")]
    Database(#[from] Error),
    /// The archive could not be written.
    #[error("the backup cannot be written: {0}")]
    Write(#[source] io::Error),
    /// There is something under the archive's name already.
    #[error("{0} exists already; a backup overwrites nothing, choose another name")]
    Exists(PathBuf),
    /// A blob is missing, unreadable, or not what its name says.
    #[error("the file {sha256} of a package cannot be backed up: {source}")]
    Blob {
        /// Which.
        sha256: String,
        /// Why.
        source: io::Error,
    },
}

enum Part {
    Entry { name: String, bytes: Vec<u8> },
    Blob { sha256: String, path: PathBuf },
}

impl Store {
    /// Writes a backup of one moment into a new file that only its owner may read; reports go on
    /// meanwhile. A backup that breaks off leaves no file.
    pub async fn backup(&self, file: &Path) -> Result<(), ExportError> {
        let out = private_file(file).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => ExportError::Exists(file.into()),
            _ => ExportError::Write(error),
        })?;
        let done = async {
            let out = self.export(out).await?;
            let sync = tokio::task::spawn_blocking(move || out.sync_all());
            sync.await.map_err(io::Error::other).flatten().map_err(ExportError::Write)
        };
        let done = done.await;
        if done.is_err()
            && let Err(error) = std::fs::remove_file(file)
        {
            tracing::warn!(file = %file.display(), %error, "cannot remove a backup that broke off");
        }
        done
    }

    /// Writes a backup of one moment. It holds the keys: let nobody else read it.
    pub async fn export<W: Write + Send + 'static>(&self, out: W) -> Result<W, ExportError> {
        let (sender, receiver) = mpsc::channel(4);
        let writer = tokio::task::spawn_blocking(move || write_archive(out, receiver));
        let sent = self.send_parts(&sender).await;
        drop(sender);
        let written = writer.await.map_err(io::Error::other).map_err(ExportError::Write)?;
        // The archive's own failure also stops the sending; it is the one to tell of.
        let out = written?;
        sent?.ok_or_else(|| ExportError::Write(io::ErrorKind::BrokenPipe.into()))?;
        Ok(out)
    }

    /// `None` if nobody takes the parts any more.
    async fn send_parts(&self, to: &mpsc::Sender<Part>) -> Result<Option<()>, ExportError> {
        let mut tx = self.read().await?;
        let manifest = Manifest { kind: KIND.into(), format: FORMAT, schema: SCHEMA };
        let manifest = serde_json::to_vec(&manifest).map_err(io::Error::other).map_err(ExportError::Write)?;
        let keys = self.keyring().text().into_bytes();
        for (name, bytes) in [(MANIFEST, manifest), (KEYS, keys)] {
            if to.send(Part::Entry { name: name.into(), bytes }).await.is_err() {
                return Ok(None);
            }
        }
        for table in tables() {
            if send_table(&mut tx, table, to).await?.is_none() {
                return Ok(None);
            }
        }
        for sha256 in crate::packages::digests(&mut tx).await? {
            let path = self.blobs().path_of(&sha256);
            let path = path.map_err(|source| ExportError::Blob { sha256: sha256.clone(), source })?;
            if to.send(Part::Blob { sha256, path }).await.is_err() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

/// `None` if nobody takes the parts any more.
async fn send_table(tx: &mut Tx, table: &Table, to: &mpsc::Sender<Part>) -> Result<Option<()>, Error> {
    let columns: Vec<Column> = [table.columns, table.hidden].concat();
    let (list, key) = (column_list(&columns), table.key.join(", "));
    let marks = vec!["?"; table.key.len()].join(", ");
    let (mut after, mut bytes): (Vec<Val>, _) = (vec![], vec![]);
    let mut names = (0..).map(|n| format!("table/{}/{n:06}.jsonl", table.name));
    loop {
        let beyond = if after.is_empty() { String::new() } else { format!("where ({key}) > ({marks})") };
        let sql = format!("select {list} from {} {beyond} order by {key} limit {PAGE}", table.name);
        let rows = tx.rows(sql, std::mem::take(&mut after)).await?;
        let end = rows.len() < PAGE;
        for (n, row) in rows.iter().enumerate() {
            let values = line::write(&columns, row, &mut bytes)?;
            if n + 1 == PAGE {
                after = key_of(table, &columns, values);
            }
            if bytes.len() >= ENTRY && !send_rows(&mut names, &mut bytes, to).await {
                return Ok(None);
            }
        }
        if end {
            return Ok(send_rows(&mut names, &mut bytes, to).await.then_some(()));
        }
    }
}

fn key_of(table: &Table, columns: &[Column], values: Vec<Val>) -> Vec<Val> {
    columns.iter().zip(values).filter(|(c, _)| table.key.contains(&c.name)).map(|(_, value)| value).collect()
}

/// False if nobody takes the parts any more.
async fn send_rows(
    names: &mut impl Iterator<Item = String>,
    bytes: &mut Vec<u8>,
    to: &mpsc::Sender<Part>,
) -> bool {
    if bytes.is_empty() {
        return true;
    }
    let name = names.next().unwrap_or_default();
    to.send(Part::Entry { name, bytes: std::mem::take(bytes) }).await.is_ok()
}

fn write_archive<W: Write>(out: W, mut parts: mpsc::Receiver<Part>) -> Result<W, ExportError> {
    let mut archive = tar::Builder::new(out);
    let mut checksums = BTreeMap::new();
    while let Some(part) = parts.blocking_recv() {
        let (name, digest) = match part {
            Part::Entry { name, bytes } => {
                let digest = append(&mut archive, &name, bytes.len() as u64, &bytes[..]);
                (name, digest.map_err(ExportError::Write)?)
            }
            Part::Blob { sha256, path } => {
                let name = format!("blob/{sha256}");
                append_blob(&mut archive, &name, &sha256, &path)?;
                (name, sha256)
            }
        };
        checksums.insert(name, digest);
    }
    let finish = |checksums: Vec<u8>| {
        append(&mut archive, CHECKSUMS, checksums.len() as u64, &checksums[..])?;
        let mut out = archive.into_inner()?;
        out.flush()?;
        Ok(out)
    };
    serde_json::to_vec(&checksums).map_err(io::Error::other).and_then(finish).map_err(ExportError::Write)
}

fn append_blob<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    sha256: &str,
    path: &Path,
) -> Result<(), ExportError> {
    let failed = |source| ExportError::Blob { sha256: sha256.into(), source };
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let digest = append(archive, name, len, file).map_err(failed)?;
    if digest == sha256 {
        Ok(())
    } else {
        Err(failed(io::Error::other("its content has changed on the disk")))
    }
}

/// Adds an entry; gives its SHA-256.
fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    len: u64,
    from: impl Read,
) -> io::Result<String> {
    let mut header = tar::Header::new_gnu();
    header.set_size(len);
    header.set_mode(0o600);
    let mut hashed = Hashed { from: from.take(len), digest: Sha256::new(), left: len };
    archive.append_data(&mut header, name, &mut hashed)?;
    if hashed.left > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(hex::encode(&hashed.digest.finalize()))
}

struct Hashed<R> {
    from: R,
    digest: Sha256,
    left: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buf)?;
        self.digest.update(&buf[..n]);
        self.left -= n as u64;
        Ok(n)
    }
}
