//! The settings in force, and where each comes from.

use std::fmt::Write as _;

use super::all;
use super::file::is_secret;
use super::layers::Parsed;

/// A settings file that says what `parsed` says, with the origin of each value beside it. Secrets are left out.
pub fn shown(parsed: &Parsed) -> String {
    let Some((_, sub)) = parsed.matches.subcommand() else { return String::new() };
    let mut lines = Vec::new();
    for arg in all().get_arguments() {
        let (id, key) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default());
        let origin = parsed.origin(sub, arg);
        let raw: Vec<_> = sub.get_raw(id).into_iter().flatten().collect();
        let is_default = raw == arg.get_default_values();
        let values: Vec<String> = raw.iter().map(|value| literal(&value.to_string_lossy())).collect();
        let line = match (values.as_slice(), arg.get_action()) {
            ([], _) => format!("# {key} is not set"),
            _ if is_secret(arg) && !is_default => format!("# {key} is set, and not shown"),
            (values, clap::ArgAction::Append) => format!("{key} = [{}]", values.join(", ")),
            ([value, ..], _) => format!("{key} = {value}"),
        };
        lines.push((line, origin));
    }
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (line, origin) in lines {
        let _ = writeln!(text, "{line:width$}  # {origin}");
    }
    text
}

fn literal(value: &str) -> String {
    match value.parse::<i64>() {
        Ok(number) => number.to_string(),
        Err(_) => toml::Value::String(value.into()).to_string(),
    }
}
