//! docs/performance.md: nothing in it but what a run measured, and where.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::scale::Scale;

/// The sections of the page.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    pub(crate) fn add(&mut self, section: String) {
        self.0.push_str(&section);
    }

    pub(crate) fn write(&self, file: &Path, scale: &Scale) -> anyhow::Result<()> {
        let text = format!(
            "# Performance\n\nWritten by `benches/run.sh --profile --write`, which measures it all anew; nothing here is written by hand.\n\
             Wall-clock rates drift with whatever else a machine does, so what is compared is processor time, with others\n\
             that do the same work in the same run, taking turns.\n\n{}{}",
            machine(scale)?,
            self.0
        );
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

fn machine(scale: &Scale) -> anyhow::Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism()?;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let kib = memory.split_whitespace().nth(1).context("no memory")?.parse::<u64>()?;
    Ok(format!(
        "| | |\n| --- | --- |\n| date | {} |\n| commit | {} |\n| machine | {model}, {cores} cores, {} GiB |\n| system | {} |\n| beside | {}; {}; {} |\n| rounds | {} |\n",
        first_line("date", &["-u", "+%Y-%m-%d"])?,
        first_line("git", &["describe", "--always", "--dirty"])?,
        kib / 1024 / 1024,
        first_line("uname", &["-sr"])?,
        first_line("nginx", &["-v"])?,
        first_line("mosquitto", &["-h"])?,
        first_line("createdb", &["--version"])?,
        scale.rounds,
    ))
}

/// The first line a program prints, wherever it prints it.
fn first_line(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let output =
        Command::new(program).args(args).output().with_context(|| format!("cannot run {program}"))?;
    let text =
        String::from_utf8_lossy(if output.stdout.is_empty() { &output.stderr } else { &output.stdout });
    Ok(text.lines().next().unwrap_or_default().into())
}
