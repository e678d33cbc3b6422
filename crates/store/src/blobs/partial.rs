//! Files that come in pieces, over any number of connections and starts.
//!
//! Such a file lies beside the blobs as `partial-<number>`, and what was said of it beforehand as
//! `partial-<number>.json`. How much of it is there is the length of the file, nothing else.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use md5::Md5;
use rollout::{Id, Ms};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::write::{Upload, sync_folder};
use super::{BlobWriter, Blobs, blocking};

const PARTIAL: &str = "partial-";
const ABOUT: &str = ".json";
/// Bytes read at once of a file that is taken up again.
const REREAD: usize = 256 * 1024;

/// What is known of a file before it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Partial {
    /// Its number.
    pub id: Id,
    /// How long it will be.
    pub size: u64,
    /// What its SHA-256 will be, if that was said: 64 lower-case hex digits.
    pub sha256: Option<String>,
    /// When it was begun.
    pub created_at: Ms,
}

impl Blobs {
    /// Begins a file that stays until it is removed.
    pub async fn begin_partial(&self, partial: &Partial) -> io::Result<BlobWriter> {
        let (path, partial, folder) = (self.partial(partial.id), partial.clone(), self.folder().to_owned());
        let begin = move || {
            let text = serde_json::to_vec(&partial)?;
            let mut about = File::create_new(about(&path))?;
            about.write_all(&text)?;
            about.sync_all()?;
            let file = File::options().append(true).read(true).create_new(true).open(&path)?;
            sync_folder(&folder)?;
            Ok(Upload::partial(file, path))
        };
        Ok(BlobWriter::of(self.clone(), blocking(begin).await?))
    }

    /// Takes such a file up again: what is there is read once, for its digests.
    pub async fn resume_partial(&self, id: Id) -> io::Result<BlobWriter> {
        let path = self.partial(id);
        let resume = move || {
            let mut file = File::options().append(true).read(true).open(&path)?;
            let (mut md5, mut sha256, mut size) = (Md5::new(), Sha256::new(), 0);
            let mut chunk = vec![0; REREAD];
            loop {
                let n = file.read(&mut chunk)?;
                if n == 0 {
                    break;
                }
                md5.update(&chunk[..n]);
                sha256.update(&chunk[..n]);
                size += n as u64;
            }
            let mut upload = Upload::partial(file, path);
            (upload.md5, upload.sha256, upload.size) = (md5, sha256, size);
            Ok(upload)
        };
        Ok(BlobWriter::of(self.clone(), blocking(resume).await?))
    }

    /// The files begun, each with the bytes that are there and will stay. What a crash left of others is removed.
    pub async fn partials(&self) -> io::Result<Vec<(Partial, u64)>> {
        let folder = self.folder().to_owned();
        blocking(move || {
            let mut found = Vec::new();
            for path in partial_files(&folder)?.into_values() {
                match read_about(&path).ok().zip(synced_len(&path).ok()) {
                    Some(known) => found.push(known),
                    None => remove(&path)?,
                }
            }
            Ok(found)
        })
        .await
    }

    /// The first bytes of such a file, at most `most`.
    pub async fn partial_head(&self, id: Id, most: usize) -> io::Result<Vec<u8>> {
        let path = self.partial(id);
        blocking(move || {
            let mut head = Vec::new();
            File::open(path)?.take(most as u64).read_to_end(&mut head)?;
            Ok(head)
        })
        .await
    }

    /// Removes such a file; it may be gone already.
    pub async fn remove_partial(&self, id: Id) -> io::Result<()> {
        let path = self.partial(id);
        blocking(move || remove(&path)).await
    }

    fn partial(&self, id: Id) -> PathBuf {
        self.folder().join(format!("{PARTIAL}{id}"))
    }
}

fn about(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ABOUT);
    name.into()
}

/// The files by number, also those of which only one half is there.
fn partial_files(folder: &Path) -> io::Result<BTreeMap<Id, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PARTIAL));
        if let Some(id) = number.and_then(|number| number.trim_end_matches(ABOUT).parse().ok()) {
            found.insert(id, folder.join(format!("{PARTIAL}{id}")));
        }
    }
    Ok(found)
}

fn read_about(path: &Path) -> io::Result<Partial> {
    Ok(serde_json::from_slice(&std::fs::read(about(path))?)?)
}

fn synced_len(path: &Path) -> io::Result<u64> {
    let file = File::options().append(true).open(path)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

fn remove(path: &Path) -> io::Result<()> {
    for path in [path.to_owned(), about(path)] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
