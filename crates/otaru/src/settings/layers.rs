//! A flag goes before a variable, a variable before the settings file, the file before the default.
//!
//! The file is laid under the command line by making its values the defaults, so it obeys the same rules as flags.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::bail;
use clap::builder::OsStr;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::File;
use super::file::{check, is_secret, takes_many};

const FILE: &str = "otaru.toml";

/// A command line with the settings file laid under it.
pub struct Parsed {
    /// What was found.
    pub matches: ArgMatches,
    /// The settings file, if one was used.
    pub file: Option<File>,
}

/// Why a command line cannot be carried out.
#[derive(Debug)]
pub enum Wrong {
    /// As clap says it; also what asks for help.
    Line(clap::Error),
    /// A variable or a settings file.
    Setting(anyhow::Error),
}

impl From<anyhow::Error> for Wrong {
    fn from(error: anyhow::Error) -> Self {
        Self::Setting(error)
    }
}

/// Parses a command line. Only a subcommand with `--config` gets a settings file.
pub fn parse(command: &Command, line: Vec<OsString>) -> Result<Parsed, Wrong> {
    let matches = matches(with_variables(command.clone()), line.clone())?;
    let Some((file, name)) = file_of(&matches)? else { return Ok(Parsed { matches, file: None }) };
    let under = with_variables(lay_under(command.clone(), &name, &file));
    Ok(Parsed { matches: self::matches(under, line)?, file: Some(file) })
}

fn matches(command: Command, line: Vec<OsString>) -> Result<ArgMatches, Wrong> {
    command.try_get_matches_from(line).map_err(|error| match wrong_variable(&error) {
        Some(told) => Wrong::Setting(told),
        None => Wrong::Line(error),
    })
}

/// A variable that is empty counts as not set, and so does an empty item of a list: what puts variables together often
/// leaves a comma at an end.
fn with_variables(command: Command) -> Command {
    command.mut_args(with_variable).mut_subcommands(with_variables)
}

fn with_variable(arg: Arg) -> Arg {
    let Some(value) = arg.get_env().and_then(std::env::var_os) else { return arg };
    let list = value.to_str().filter(|_| takes_many(&arg));
    let Some(list) = list else { return if value.is_empty() { arg.env(None) } else { arg } };
    let items: Vec<&str> = list.split(',').filter(|item| !item.is_empty()).collect();
    if items.is_empty() {
        return arg.env(None);
    }
    let is_whole = items.len() == list.split(',').count();
    // What is wrong is told of as clap finds it.
    if is_whole || items.iter().any(|item| check(&arg, item).is_err()) {
        return arg;
    }
    let items: Vec<OsStr> = items.into_iter().map(|item| OsStr::from(item.to_string())).collect();
    arg.env(None).default_values(items)
}

/// Whether the variable of a setting says something.
fn is_set(arg: &Arg) -> bool {
    let value = arg.get_env().and_then(std::env::var_os).unwrap_or_default();
    if takes_many(arg) { value.to_string_lossy().contains(|c| c != ',') } else { !value.is_empty() }
}

/// The settings file of a subcommand, and the subcommand's name.
fn file_of(matches: &ArgMatches) -> anyhow::Result<Option<(File, String)>> {
    let Some((name, sub)) = matches.subcommand() else { return Ok(None) };
    let Ok(config) = sub.try_get_one::<PathBuf>("config") else { return Ok(None) };
    let data = sub.get_one::<PathBuf>("data").map(|data| data.join(FILE)).filter(|file| file.exists());
    let file = match (config, data) {
        (Some(path), _) => File::read(path)?,
        (None, Some(path)) => {
            let file = File::read(&path)?;
            if let Some(entry) = file.entry("data") {
                bail!(
                    "{}, line {}: a settings file in the data folder cannot say where the data folder is; remove the line, or give the file with --config",
                    path.display(),
                    entry.line
                );
            }
            file
        }
        (None, None) => return Ok(None),
    };
    Ok(Some((file, name.to_string())))
}

fn lay_under(command: Command, name: &str, file: &File) -> Command {
    file.entries().iter().fold(command, |command, entry| {
        let under = |arg: Arg| arg.default_values(entry.values.clone());
        if has(&command, &entry.id) {
            return command.mut_arg(&entry.id, under);
        }
        command.mut_subcommand(
            name,
            |sub| if has(&sub, &entry.id) { sub.mut_arg(&entry.id, under) } else { sub },
        )
    })
}

fn has(command: &Command, id: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == id)
}

/// clap tells of a wrong variable as if it were a flag.
fn wrong_variable(error: &clap::Error) -> Option<anyhow::Error> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return None };
    let name = flag.trim_start_matches('-').split([' ', '=']).next()?;
    let command = super::all();
    let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
    let allowed = check(arg, value).err()?;
    let variable = arg.get_env()?.to_str()?;
    let set = std::env::var(variable).unwrap_or_default();
    let from_variable = set.split(',').chain([set.as_str()]).any(|part| part == value);
    match (from_variable, is_secret(arg)) {
        (true, true) => {
            Some(anyhow::anyhow!("the variable {variable} has a value that is not allowed; {allowed}"))
        }
        (true, false) => Some(anyhow::anyhow!("the variable {variable} is {value:?}; {allowed}")),
        (false, true) => {
            Some(anyhow::anyhow!("the flag --{name} has a value that is not allowed; {allowed}"))
        }
        (false, false) => None,
    }
}

impl Parsed {
    /// Where the value of a setting comes from, in words.
    pub(super) fn origin(&self, sub: &ArgMatches, arg: &Arg) -> String {
        let id = arg.get_id().as_str();
        let entry = self.file.as_ref().and_then(|file| file.entry(id).map(|entry| (file, entry)));
        match (sub.value_source(id), entry) {
            (Some(ValueSource::CommandLine), _) => format!("flag --{}", arg.get_long().unwrap_or(id)),
            _ if is_set(arg) => format!("variable {}", arg.get_env().unwrap_or_default().display()),
            (_, Some((file, entry))) => format!("{}, line {}", file.path.display(), entry.line),
            (_, None) => "default".into(),
        }
    }
}
