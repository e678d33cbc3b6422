//! The settings file: TOML, whose keys are the flags without their dashes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::builder::OsStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};
use toml::de::{DeTable, DeValue};

use super::all;

/// A settings file that has been read and found good.
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    entries: Vec<Entry>,
}

/// One setting in a file.
pub(super) struct Entry {
    /// What clap calls the setting.
    pub(super) id: String,
    pub(super) line: usize,
    pub(super) values: Vec<OsStr>,
}

impl File {
    /// Reads a file and checks every value as if it were given with its flag.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the settings file {} cannot be read", path.display()))?;
        Self::parse(path, &text)
    }

    pub(crate) fn parse(path: &Path, text: &str) -> anyhow::Result<Self> {
        let place = |at: usize| format!("{}, line {}", path.display(), line(text, at));
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            anyhow::anyhow!("{}: this is not TOML: {}", place(at), error.message())
        })?;
        let mut entries = Vec::new();
        for (key, value) in table.get_ref() {
            let at = key.span().start;
            let entry = entry(key.get_ref(), value.get_ref(), line(text, at));
            entries.push(entry.with_context(|| place(at))?);
        }
        Ok(Self { path: path.into(), entries })
    }

    #[cfg(fuzzing)]
    pub(crate) fn lines(&self) -> impl Iterator<Item = (String, usize, Vec<String>)> {
        let text = |value: &OsStr| value.to_string_lossy().into_owned();
        self.entries
            .iter()
            .map(move |entry| (entry.id.clone(), entry.line, entry.values.iter().map(text).collect()))
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }
}

fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn entry(key: &str, value: &DeValue<'_>, line: usize) -> anyhow::Result<Entry> {
    let command = all();
    let Some(arg) = command.get_arguments().find(|arg| arg.get_long() == Some(key)) else {
        bail!("there is no setting {key:?}{}; `otaru serve --help` lists all", nearest(key));
    };
    let values = match value {
        DeValue::Array(list) if arg.get_action().takes_values() && takes_many(arg) => {
            list.iter().map(|value| text(value.get_ref())).collect::<Option<Vec<_>>>()
        }
        one => text(one).map(|one| vec![one]),
    };
    let Some(values) = values else {
        let allowed =
            if takes_many(arg) { "a text, a number or a list of texts" } else { "a text or a number" };
        bail!("the setting {key:?} is {}; write {allowed}", a(value.type_str()));
    };
    for value in &values {
        check(arg, value).map_err(|wrong| {
            let value = if is_secret(arg) { "not allowed".into() } else { format!("{value:?}") };
            anyhow::anyhow!("the setting {key:?} is {value}; {wrong}")
        })?;
    }
    Ok(Entry { id: arg.get_id().to_string(), line, values: values.into_iter().map(OsStr::from).collect() })
}

fn a(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// As it would stand behind the flag.
fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().into()),
        DeValue::Float(number) => Some(number.as_str().into()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

pub(super) fn takes_many(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

/// Values that are not to be shown: those whose variable is not shown in the help either.
pub(super) fn is_secret(arg: &Arg) -> bool {
    arg.is_hide_env_values_set()
}

/// Whether a setting may have a value; if not, what it may have.
pub(super) fn check(arg: &Arg, value: &str) -> Result<(), String> {
    let flag = format!("--{}={value}", arg.get_long().unwrap_or_default());
    let line = [OsString::from("settings"), flag.into()];
    without_variables().try_get_matches_from(line).map(drop).map_err(|error| allowed(&error))
}

/// All settings, whatever the environment says.
fn without_variables() -> Command {
    all().mut_args(|arg| arg.env(None))
}

fn allowed(error: &Error) -> String {
    match (error.kind(), error.get(ContextKind::ValidValue), std::error::Error::source(error)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid)), _) => {
            format!("write one of: {}", valid.join(", "))
        }
        (_, _, Some(source)) => source.to_string(),
        _ => "write a value".into(),
    }
}

/// The setting that may have been meant, as clap finds it.
fn nearest(key: &str) -> String {
    let line = [OsString::from("settings"), format!("--{}=", key.replace('_', "-")).into()];
    let found = match without_variables().try_get_matches_from(line) {
        Err(error) if error.kind() != ErrorKind::UnknownArgument => Some(key.replace('_', "-")),
        Err(error) => match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_string()),
            _ => None,
        },
        Ok(_) => None,
    };
    found.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<File, String> {
        File::parse(Path::new("otaru.toml"), text).map_err(|error| format!("{error:#}"))
    }

    fn wrong(text: &str) -> String {
        parse(text).err().unwrap()
    }

    #[test]
    fn keys_are_flags_and_lists_are_lists() {
        let file =
            parse("# mine\ndevices = [\"0.0.0.0:1883\", \"[::]:1883\"]\nmax-downloads = 7\nlog = \"warn\"\n")
                .unwrap();
        let devices = file.entry("devices").unwrap();
        assert_eq!((devices.line, devices.values.len()), (2, 2));
        assert_eq!(file.entry("max_downloads").unwrap().values, ["7"]);
        assert!(file.entry("operators").is_none());
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for host in ["otaru", "Otaru.example.com", "my_host", "10.0.0.9", "::1", "[fe80::1]"] {
            assert!(parse(&format!("allow-host = {host:?}")).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_wrong_value_is_told_with_its_line_and_what_is_allowed() {
        let error = wrong("\nconnect-timeout = 10\n");
        assert!(error.contains("otaru.toml, line 2: the setting \"connect-timeout\" is \"10\""), "{error}");
        assert!(error.contains("with its unit"), "{error}");
        for (text, words) in [
            ("devices = [\"here\"]", "write ADDRESS:PORT"),
            ("allow-host = \"http://x y/\"", "write a host name or an address, without http://"),
            ("allow-host = \"otaru.example.com:80\"", "without http:// and port"),
            ("allow-host = [\"otaru..com\"]", "write a host name"),
            ("log-format = \"xml\"", "write one of: text, json"),
            ("max-downloads = 0", "from 1 to 60000"),
            ("max-downloads = [1]", "is an array; write a text or a number"),
            ("devices = [[1]]", "list of texts"),
            ("[log]\nlevel = 1", "is a table"),
            ("log = ", "line 1: this is not TOML"),
            ("log = \"a\"\nlog = \"b\"", "line 2: this is not TOML"),
            ("config = \"x\"", "no setting \"config\""),
        ] {
            let error = wrong(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn an_unknown_key_is_told_with_the_nearest_one() {
        for (key, nearest) in [
            ("conect-timeout", "did you mean \"connect-timeout\"?"),
            ("max_downloads", "did you mean \"max-downloads\"?"),
            ("public-uri", "did you mean \"public-url\"?"),
        ] {
            let error = wrong(&format!("{key} = 1"));
            assert!(error.contains(nearest), "{key}: {error}");
        }
        assert!(!wrong("zzz = 1").contains("mean"));
    }

    #[test]
    fn a_wrong_secret_is_not_repeated() {
        let error = wrong("database = \"mysql://root:hunter2@db/x\"");
        assert!(error.contains("write sqlite") && !error.contains("hunter2"), "{error}");
    }
}
