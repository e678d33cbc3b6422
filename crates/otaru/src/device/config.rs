//! The options of `otaru device run` in a file (docs/device-agent.md): what it says stands for the flags that the command
//! line does not have.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::{Args as _, Command};
use toml::{Table, Value};

use super::Options;

/// Who the device is: no flags.
const NAMES: [&str; 2] = ["product-key", "device-name"];

/// The command line with the file of its `--config` written out, if it is one of `device run` and has one.
pub fn written_out(line: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    let Some(run) = position(&line, 0, "device").and_then(|device| position(&line, device, "run")) else {
        return Ok(line);
    };
    let asks_for_help = line.iter().any(|part| part == "--help" || part == "-h");
    let Some(path) = config(&line[run..]).filter(|_| !asks_for_help) else { return Ok(line) };
    let shown = path.display();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("the file of options {shown} cannot be read"))?;
    let table: Table =
        text.parse().map_err(|error: toml::de::Error| anyhow::anyhow!("{shown} is not TOML: {error}"))?;
    let (mut names, mut flags) = (Vec::new(), Vec::new());
    for name in NAMES {
        let value = table.get(name).with_context(|| format!("{shown} does not say {name}"))?;
        names
            .push(OsString::from(value.as_str().with_context(|| format!("{shown}: {name} must be a text"))?));
    }
    for (key, value) in table.iter().filter(|(key, _)| !NAMES.contains(&key.as_str())) {
        if !is_given(&line[run..], key) {
            flags.extend(flag(key, value, &path).with_context(|| shown.to_string())?);
        }
    }
    let mut whole = line;
    whole.splice(run + 1..run + 1, names.into_iter().chain(flags));
    Ok(whole)
}

fn position(line: &[OsString], after: usize, word: &str) -> Option<usize> {
    line.iter().skip(after + 1).position(|part| part == word).map(|at| at + after + 1)
}

/// The value of `--config`.
fn config(line: &[OsString]) -> Option<PathBuf> {
    line.iter().enumerate().find_map(|(at, part)| match part.to_str()? {
        "--config" => line.get(at + 1).map(PathBuf::from),
        part => part.strip_prefix("--config=").map(PathBuf::from),
    })
}

/// Whether the command line has this flag, or another that says the same.
fn is_given(line: &[OsString], key: &str) -> bool {
    let flag = match key {
        "secret-file" => "--secret".to_owned(),
        "modules" => "--module".to_owned(),
        key => format!("--{key}"),
    };
    let has =
        |part: &str| part.strip_prefix(&flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
    line.iter().filter_map(|part| part.to_str()).any(has)
}

/// An entry of the file as it stands on a command line.
fn flag(key: &str, value: &Value, file: &Path) -> anyhow::Result<Vec<OsString>> {
    match (key, value) {
        ("modules", Value::Table(modules)) => {
            let module = |(name, version): (&String, &Value)| {
                let version =
                    version.as_str().with_context(|| format!("the version of {name} must be a text"))?;
                Ok(format!("--module={name}={version}").into())
            };
            return modules.iter().map(module).collect();
        }
        ("modules", _) => bail!("modules must be a table of names and versions"),
        ("secret-file", Value::String(path)) => {
            // A path beside the file, wherever it is started from.
            let path = file.parent().unwrap_or(Path::new("")).join(path);
            let secret = std::fs::read_to_string(&path)
                .with_context(|| format!("the secret in {} cannot be read", path.display()))?;
            return Ok(vec![format!("--secret={}", secret.trim()).into()]);
        }
        _ => {}
    }
    let known = Options::augment_args(Command::new("run"));
    let mut flags = known.get_arguments().filter_map(|arg| arg.get_long().map(|long| (long, arg)));
    let found = flags.find(|(long, _)| *long == key && !["config", "module"].contains(long));
    let Some((_, arg)) = found else {
        bail!("there is no option {key}; `otaru device run --help` lists them, and modules is a table");
    };
    if !arg.get_action().takes_values() {
        ensure!(value.is_bool(), "{key} must be true or false");
        let flag = format!("--{key}").into();
        return Ok(if value.as_bool() == Some(true) { vec![flag] } else { Vec::new() });
    }
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        _ => bail!("{key} must be a text or a number"),
    };
    Ok(vec![format!("--{key}={text}").into()])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(text: &str, line: &str) -> anyhow::Result<String> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("secret"), "s3cret\n")?;
        let file = folder.path().join("device.toml");
        std::fs::write(&file, text)?;
        let line = line.replace("FILE", file.to_str().unwrap());
        let whole = written_out(line.split(' ').map(OsString::from).collect())?;
        let whole: Vec<&str> = whole.iter().map(|part| part.to_str().unwrap()).collect();
        Ok(whole.join(" ").replace(file.to_str().unwrap(), "FILE"))
    }

    const FILE: &str = "product-key = 'a1'\ndevice-name = 'lamp-1'\nsecret-file = 'secret'\nblock = 512\nonce = true\n\
                        [modules]\ndefault = '1.0'\nMCU = '7'\n";

    #[test]
    fn a_file_stands_for_flags() {
        assert_eq!(
            written(FILE, "otaru device run --config FILE").unwrap(),
            "otaru device run a1 lamp-1 --block=512 --module=MCU=7 --module=default=1.0 --once --secret=s3cret --config FILE"
        );
    }

    #[test]
    fn a_flag_goes_before_the_file() {
        assert_eq!(
            written(FILE, "otaru device run --config=FILE --block 1024 --secret=x --module a=b --once")
                .unwrap(),
            "otaru device run a1 lamp-1 --config=FILE --block 1024 --secret=x --module a=b --once"
        );
    }

    #[test]
    fn other_commands_are_left_alone() {
        for line in ["otaru device list --config FILE", "otaru serve --config FILE", "otaru device run a1 b2"]
        {
            assert_eq!(written(FILE, line).unwrap(), line);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("product-key = 'a1'", "does not say device-name"),
            ("product-key = 1", "product-key must be a text"),
            ("= 1", "is not TOML"),
            ("product-key = 'a1'\ndevice-name = 'b2'\nblok = 1", "there is no option blok"),
            ("product-key = 'a1'\ndevice-name = 'b2'\nonce = 1", "once must be true or false"),
            ("product-key = 'a1'\ndevice-name = 'b2'\nblock = [1]", "block must be a text or a number"),
            ("product-key = 'a1'\ndevice-name = 'b2'\nmodules = 'x'", "modules must be a table"),
            ("product-key = 'a1'\ndevice-name = 'b2'\nsecret-file = 'none'", "cannot be read"),
        ];
        for (text, told) in cases {
            let error = format!("{:#}", written(text, "otaru device run --config FILE").unwrap_err());
            assert!(error.contains(told), "{text}: {error}");
        }
        let error = written_out(["otaru", "device", "run", "--config", "/none"].map(OsString::from).to_vec());
        assert!(error.unwrap_err().to_string().contains("/none cannot be read"));
    }
}
