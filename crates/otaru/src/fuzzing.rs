//! The private parsers of this crate, for `fuzz/`.

use std::path::Path;

use crate::settings::File;

/// The settings of a file called `otaru.toml`, each with its line and values, or what is wrong with it.
pub fn settings(text: &str) -> Result<Vec<(String, usize, Vec<String>)>, String> {
    let file = File::parse(Path::new("otaru.toml"), text).map_err(|error| format!("{error:#}"))?;
    Ok(file.lines().collect())
}
