//! Puts the built web page into the crate, if there is one: the folder `OTARU_CONSOLE_DIST` names, else
//! `console/dist/web` of the checkout.
// Cargo reads what a build script prints.
#![allow(clippy::print_stdout)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const CHOSEN: &str = "OTARU_CONSOLE_DIST";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo takes a path that is not there for changed, so the folder around the build is watched.
    let usual = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../console/dist");
    println!("cargo::rerun-if-changed={}", usual.display());
    println!("cargo::rerun-if-env-changed={CHOSEN}");
    let chosen = env::var_os(CHOSEN).map(PathBuf::from);
    if let Some(folder) = chosen.as_ref().filter(|folder| !folder.join("index.html").is_file()) {
        return Err(format!("{CHOSEN} names {}, which holds no index.html", folder.display()).into());
    }
    let web = chosen.unwrap_or_else(|| usual.join("web"));
    let mut files = Vec::new();
    if web.is_dir() {
        println!("cargo::rerun-if-changed={}", web.display());
        list(&web.canonicalize()?, "", &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (path, file) in files {
        writeln!(table, "    ({path:?}, include_bytes!({file:?})),")?;
    }
    table.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("files.rs"), table)?;
    Ok(())
}

/// The files of a folder, by the paths they are asked for.
fn list(folder: &Path, path: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &path, files)?;
        } else {
            files.push((path, entry.path()));
        }
    }
    Ok(())
}
