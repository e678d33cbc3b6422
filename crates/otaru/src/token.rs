//! The administrator's token: a file that only its owner may read.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

const FILE: &str = "admin-token";

/// Where the token of a data folder is.
pub(crate) fn file(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// Reads the token.
pub(crate) fn read(data: &Path) -> anyhow::Result<Option<String>> {
    let file = file(data);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    match text.trim() {
        "" => bail!("{} is empty; remove it, and `otaru serve` makes a new one", file.display()),
        token => Ok(Some(token.to_string())),
    }
}

/// Reads the token of a platform, or makes it. True if it was made now.
pub(crate) fn read_or_make(data: &Path) -> anyhow::Result<(String, bool)> {
    if let Some(token) = read(data)? {
        return Ok((token, false));
    }
    let token = random::<32>()?;
    let file = file(data);
    write_private(&file, &token).with_context(|| format!("cannot write {}", file.display()))?;
    Ok((token, true))
}

/// `N` random bytes in hex.
pub(crate) fn random<const N: usize>() -> anyhow::Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("the system gives no random bytes: {e}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write_private(file: &Path, token: &str) -> std::io::Result<()> {
    let mut file = store::private_file(file)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_token_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        let (token, made) = read_or_make(folder.path()).unwrap();
        assert!(made && token.len() == 64);
        assert_eq!(read_or_make(folder.path()).unwrap(), (token, false));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(file(folder.path())).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn an_empty_token_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(file(folder.path()), "\n").unwrap();
        assert!(read_or_make(folder.path()).unwrap_err().to_string().contains("is empty"));
    }
}
