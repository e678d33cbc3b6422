//! Server time for whole files over HTTP, beside nginx, which sends them with sendfile.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::Bench;
use crate::child::{Cores, LOADER_CORE, SERVER_CORE, free_address, load};
use crate::load::{Downloads, DownloadsDone, Load, file_address};
use crate::otaru::{Otaru, Setup};
use crate::peers::nginx;
use crate::proc;
use crate::stats::{Rounds, Short};

/// What was seen of one file and number of connections.
#[derive(Default)]
struct Seen {
    /// Milliseconds of each server per GB.
    cpu: [Rounds; 2],
    ratio: Rounds,
    /// MB a second.
    rate: [Rounds; 2],
}

/// A file that both servers have.
struct Shared {
    size: u64,
    file: PathBuf,
    /// Where each server has it: Otaru and nginx.
    paths: [String; 2],
}

impl Bench {
    pub(crate) fn downloads(&self) -> anyhow::Result<String> {
        let folder = self.folder.join("downloads");
        std::fs::create_dir_all(&folder)?;
        let setup = Setup::new(&self.otaru, &folder.join("otaru"), "sqlite", Cores::One(SERVER_CORE))?;
        let otaru = Otaru::start(setup)?;
        otaru.fill(self.scale.downloads.len())?;
        let nginx_address = free_address()?;
        let (_nginx, nginx_pids) = nginx::start(&folder, nginx_address, None)?;
        let servers = [(otaru.devices(), vec![otaru.pid()?]), (nginx_address, nginx_pids)];

        let mut files: Vec<Shared> = Vec::new();
        for (device, (size, _)) in self.scale.downloads.iter().enumerate() {
            if files.iter().all(|file| file.size != *size) {
                files.push(share(&otaru, &folder, *size, device)?);
            }
        }
        let before = proc::peak_resident(otaru.pid()?)?;
        let mut cells: Vec<Seen> = self.scale.downloads.iter().map(|_| Seen::default()).collect();
        for round in 1..=self.scale.rounds {
            eprintln!("downloads: round {round} of {}", self.scale.rounds);
            for ((size, connections), seen) in self.scale.downloads.iter().zip(&mut cells) {
                let file = files.iter().find(|file| file.size == *size).context("no such file")?;
                let mut cpu = [0.0; 2];
                for (at, (address, pids)) in servers.iter().enumerate() {
                    let spec = Load::Downloads(Downloads {
                        address: *address,
                        path: file.paths[at].clone(),
                        file: file.file.clone(),
                        pids: pids.clone(),
                        connections: *connections,
                        work: self.scale.work,
                        at_most: self.scale.work * 10 + Duration::from_millis(100),
                    });
                    let cores = Cores::One(LOADER_CORE);
                    let name = format!("{} MB over HTTP x {connections}", size / 1_000_000);
                    let done: DownloadsDone = if at == 0 {
                        self.watched(&name, pids[0], cores, &spec)?
                    } else {
                        load(cores, &spec)?.0
                    };
                    cpu[at] = done.cpu_seconds * 1e12 / done.bytes as f64;
                    seen.cpu[at].add(cpu[at]);
                    seen.rate[at].add(done.bytes as f64 / done.seconds / 1e6);
                }
                seen.ratio.add(cpu[0] / cpu[1]);
            }
        }
        let rise = proc::peak_resident(otaru.pid()?)?.saturating_sub(before);
        Ok(self.download_text(&cells, rise))
    }

    fn download_text(&self, cells: &[Seen], rise: u64) -> String {
        let mut text = format!(
            "\n## Downloads over HTTP\n\nWhole files, over and over, each connection one at a time; the servers on one core, the loader on another. Processor\ntime of all server processes, user and system, in milliseconds per GB: the median of {} rounds, and in parentheses\nthe least and the most. nginx sends with `sendfile`. The aim is at most 1.2 of its time. Meanwhile Otaru's memory\nrose by {:.1} MiB at most.\n\n| file | connections | Otaru | nginx | ÷ nginx | Otaru, MB/s | nginx, MB/s |\n| --- | --- | --- | --- | --- | --- | --- |\n",
            self.scale.rounds,
            rise as f64 / 1024.0 / 1024.0
        );
        for ((size, connections), seen) in self.scale.downloads.iter().zip(cells) {
            let ([otaru, nginx], [fast, fast_nginx]) = (&seen.cpu, &seen.rate);
            let _ = writeln!(
                text,
                "| {} MB | {connections} | {otaru} | {nginx} | {} | {} | {} |",
                size / 1_000_000,
                seen.ratio,
                Short(fast.median()),
                Short(fast_nginx.median())
            );
        }
        text
    }
}

/// Makes a file of this size. Otaru keeps it, and nginx sends it from there, so that both send the same pages.
fn share(otaru: &Otaru, folder: &Path, size: u64, device: usize) -> anyhow::Result<Shared> {
    let source = folder.join("image");
    fill(&source, size)?;
    let package = otaru.package_of(&source, &size.to_string())?;
    std::fs::remove_file(&source)?;
    let name = crate::packets::device_name(device);
    otaru.http_job(&package, &json!({"kind": "named", "deviceNames": [name]}))?;
    let path = file_address(otaru.devices(), device)?;
    let file = find(&otaru.data(), size)?.context("the file is not in the data folder")?;
    let below = file.strip_prefix(folder)?.to_string_lossy().into_owned();
    Ok(Shared { size, file, paths: [path, format!("/{below}")] })
}

/// Bytes that are not alike.
fn fill(path: &Path, size: u64) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ size;
    for _ in 0..size / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes())?;
    }
    Ok(file.flush()?)
}

/// The file of this size somewhere below a folder.
fn find(folder: &Path, size: u64) -> anyhow::Result<Option<PathBuf>> {
    for entry in folder.read_dir()? {
        let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        let found = match metadata.is_dir() {
            true => find(&path, size)?,
            false => (metadata.len() == size).then_some(path),
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
