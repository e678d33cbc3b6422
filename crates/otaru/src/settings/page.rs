//! docs/settings.md.

use std::fmt::Write as _;

use clap::Arg;

use super::all;
use super::file::{check, is_secret};

const HEAD: &str = "\
# Settings

<!-- Made by `cargo run -p otaru --example settings` from crates/otaru/src/settings; do not edit. -->

`otaru serve` needs none. Each can be given in three ways; where several are given, the first of these counts:

1. the flag, `--max-downloads 200`
2. the variable, `OTARU_MAX_DOWNLOADS=200`
3. the settings file, `max-downloads = 200`

The settings file is [TOML](https://toml.io). It is `otaru.toml` in the data folder if that exists, or another one named
with `--config FILE` or `OTARU_CONFIG`; its keys are the flags without their dashes. What is wrong in it, also a key that
does not exist, keeps the platform from starting and is told with its line. `otaru backup` and `otaru restore` read
`data` and `database` from the same file; a restore wants an empty data folder, so name a file elsewhere to it. A relative
path counts from the folder the command is started in.

`otaru serve --print-settings` shows what would be in force and where each value comes from, in the form of a settings
file, and starts nothing.

Times and sizes are whole numbers with their unit and no space: `250ms`, `10s`, `5min`, `12h`, `90d`; `512B`, `64KiB`,
`1MiB` (1 KiB is 1 024 bytes). An empty variable counts as not set. Where several values may be given, repeat the flag, separate them by commas in the
variable, and write a list in the file: `devices = [\"0.0.0.0:1883\", \"[::]:1883\"]`. A database's URL may hold a
password: it is never shown, and the file or the variable hides it better than a flag, which `ps` shows.

The commands of operators have two settings of their own, `--url` (`OTARU_URL`) and `--token` (`OTARU_TOKEN`).

";

/// The page, made from the definitions.
pub fn page() -> String {
    let mut text = HEAD.to_string();
    let mut heading = None;
    for arg in all().get_arguments() {
        let group = arg.get_help_heading().filter(|heading| *heading != "Platform").unwrap_or("The platform");
        if heading.as_deref() != Some(group) {
            let _ = writeln!(text, "## {group}\n");
            heading = Some(group.to_string());
        }
        text.push_str(&section(arg));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn section(arg: &Arg) -> String {
    let key = arg.get_long().unwrap_or_default();
    let mut text =
        format!("### `{key}`\n\n{}.\n\n", arg.get_help().map(ToString::to_string).unwrap_or_default());
    let names = arg.get_value_names().unwrap_or_default().join(" ");
    let variable = arg.get_env().unwrap_or_default().to_string_lossy();
    let _ = writeln!(text, "- flag `--{key} {names}`, variable `{variable}`");
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if defaults.is_empty() { "not set".into() } else { format!("`{}`", defaults.join(", ")) };
    let secret = if is_secret(arg) { "; never shown" } else { "" };
    let _ = writeln!(text, "- default: {default}{secret}");
    // No setting means anything by this; what is refused is told with what is allowed.
    if let Err(allowed) = check(arg, "\u{1}") {
        let _ = writeln!(text, "- {allowed}");
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    const CHECKED_IN: &str = include_str!("../../../../docs/settings.md");

    #[test]
    fn the_page_has_not_drifted() {
        assert!(
            super::page() == CHECKED_IN,
            "docs/settings.md is not what the settings are; renew it with\n  cargo run -p otaru --example settings"
        );
    }

    #[test]
    fn every_setting_has_flag_variable_and_help() {
        for arg in super::all().get_arguments() {
            let key = arg.get_long().expect("a flag");
            let variable = format!("OTARU_{}", key.replace('-', "_").to_uppercase());
            assert_eq!(arg.get_env(), Some(std::ffi::OsStr::new(&variable)), "{key}");
            assert!(arg.get_help().is_some(), "{key}");
        }
    }
}
