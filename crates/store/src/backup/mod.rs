//! Everything an installation remembers in one file, whatever its database.
//!
//! A backup is a tar archive: `manifest.json`, the key file `keys`, `table/<name>/<n>.jsonl` with a row a
//! line and keys of columns, `blob/<SHA-256>`, and last `checksums.json`, SHA-256 by entry: without it the
//! archive is not whole. Tables are of one moment. Secrets stay sealed, but the key lies beside them: who
//! has the archive has the secrets.

mod export;
mod import;
mod line;

use serde::{Deserialize, Serialize};

pub use export::ExportError;
#[cfg(fuzzing)]
pub use import::read_backup;
pub use import::{ImportError, import};

const KIND: &str = "otaru backup";
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const KEYS: &str = "keys";
const CHECKSUMS: &str = "checksums.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    kind: String,
    format: u32,
    schema: u32,
}
