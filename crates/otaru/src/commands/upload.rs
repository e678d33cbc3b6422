//! Files on their way to a package, taken up again wherever they broke off.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use api::dto::{NewUpload, Package, Page, Upload};
use indicatif::ProgressBar;
use sha2::{Digest as _, Sha256};

use super::watch::bar;
use super::{AGAIN, RESTART, device, pause};
use crate::client::{Client, Refused, Unreachable};

/// Bytes sent in one request: what is refused is so after the first of them.
const PIECE: u64 = 16 << 20;

/// Makes a package of files; `target` is its place in the API, which ends in a query.
pub(super) fn package(paths: &[PathBuf], target: &str, client: &Client) -> anyhow::Result<Package> {
    let opened: Vec<(File, u64)> = paths.iter().map(|path| device::open(path)).collect::<Result<_, _>>()?;
    // Whether anybody is there is known before a large file is read through.
    let mut known = client.get::<Page<Upload>>("/uploads")?.items;
    let mut files = vec![];
    for (path, (file, size)) in paths.iter().zip(opened) {
        let bar = bar("{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}");
        bar.set_length(size);
        let mut sending = Sending { path, file, size, bar, client };
        let upload = sending.begin(&mut known)?;
        files.push((sending, upload));
    }
    let uploads: Vec<&str> = files.iter().map(|(_, upload)| &*upload.id).collect();
    let target = format!("{target}&uploadId={}", uploads.join(","));
    let package = until_made(&mut files, &target, client);
    files.iter().for_each(|(sending, _)| sending.bar.finish_and_clear());
    package
}

/// Asks for the package, and sends what the platform says is missing, until it is made.
fn until_made(files: &mut [(Sending<'_>, Upload)], target: &str, client: &Client) -> anyhow::Result<Package> {
    let once = files[0].1.id.clone();
    let (mut furthest, mut moved) = (None, Instant::now());
    loop {
        let sent = match client.order_once(target, &once) {
            Ok(package) => return Ok(package),
            Err(error) => match missing(&error, files) {
                Some((at, offset)) => {
                    // The platform names the first file that is not complete.
                    if furthest < Some((at, offset)) {
                        (furthest, moved) = (Some((at, offset)), Instant::now());
                    }
                    let (sending, upload) = &mut files[at];
                    sending.send(upload, offset)
                }
                None => Err(error),
            },
        };
        match sent {
            Err(error) if error.is::<Unreachable>() && moved.elapsed() < RESTART => {
                pause(AGAIN);
            }
            Err(error) if error.is::<Unreachable>() => {
                return Err(
                    error.context("what was sent is kept for a day: run the same command again to go on")
                );
            }
            Err(error) if is_elsewhere(&error) && moved.elapsed() < RESTART => {}
            sent => sent?,
        }
    }
}

struct Sending<'a> {
    path: &'a Path,
    file: File,
    size: u64,
    bar: ProgressBar,
    client: &'a Client,
}

impl Sending<'_> {
    /// The upload that an earlier run has left of this very file, taken from those known, or a new one.
    fn begin(&mut self, known: &mut Vec<Upload>) -> anyhow::Result<Upload> {
        let sha256 = self.digest()?;
        let same = |upload: &Upload| upload.size == self.size && upload.sha256.as_deref() == Some(&*sha256);
        match known.iter().position(same) {
            Some(at) => Ok(known.swap_remove(at)),
            None => self.client.post("/uploads", &NewUpload { size: self.size, sha256: Some(sha256) }),
        }
    }

    fn digest(&mut self) -> anyhow::Result<String> {
        self.bar.set_message("reading");
        let mut digest = Sha256::new();
        let mut chunk = vec![0; 256 * 1024];
        loop {
            let n = self.file.read(&mut chunk).with_context(|| self.unreadable())?;
            if n == 0 {
                break;
            }
            digest.update(&chunk[..n]);
            self.bar.inc(n as u64);
        }
        self.bar.set_message("sending");
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn send(&mut self, upload: &Upload, offset: u64) -> anyhow::Result<()> {
        self.bar.set_position(offset);
        let mut file = self.file.try_clone().with_context(|| self.unreadable())?;
        file.seek(SeekFrom::Start(offset)).with_context(|| self.unreadable())?;
        let length = (self.size - offset).min(PIECE);
        let piece = Counted { file: file.take(length), bar: self.bar.clone() };
        self.client.send_piece(&format!("/uploads/{}", upload.id), offset, length, piece)
    }

    fn unreadable(&self) -> String {
        format!("cannot read {}", self.path.display())
    }
}

/// With which file to go on, and where, if that is what the platform says.
fn missing(error: &anyhow::Error, files: &[(Sending<'_>, Upload)]) -> Option<(usize, u64)> {
    let Refused(problem) = error.downcast_ref()?;
    if problem.code != "uploadIncomplete" {
        return None;
    }
    let id = problem.params.get("upload")?.as_str()?;
    let at = files.iter().position(|(_, upload)| upload.id == id)?;
    Some((at, problem.params.get("offset")?.as_u64()?))
}

/// Whether the upload has got further than was known, as when an earlier connection had not been given up yet.
fn is_elsewhere(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|Refused(problem)| problem.code == "wrongOffset")
}

/// A file that moves a bar while it is read.
struct Counted<R> {
    file: R,
    bar: ProgressBar,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(buf)?;
        self.bar.inc(n as u64);
        Ok(n)
    }
}
