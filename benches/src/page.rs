//! docs/performance.md: nothing in it but what a run measured, and where.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// What the page is before its first section, but for the machine.
const HEAD: &str = "# Performance

Written by `benches/run.sh --profile --write`, which measures it all anew; `--only PART` puts new figures of these parts
into their places. Nothing here is written by hand. Wall-clock rates drift with whatever else a machine does, so what is
compared is processor time, with others that do the same work in the same run, taking turns.

";

/// What begins a section.
const HEADING: &str = "\n## ";

/// The sections of the page, each from its heading on.
#[derive(Default)]
pub(crate) struct Page(Vec<String>);

impl Page {
    /// Takes a section as it was measured, with what the profiles of its loads say.
    pub(crate) fn add(&mut self, section: &str, profiles: &str) -> anyhow::Result<()> {
        let (heading, text) = section.trim_start().split_once('\n').context("a section without text")?;
        let date = first_line("date", &["-u", "+%Y-%m-%d"])?;
        let commit = first_line("git", &["describe", "--always", "--dirty"])?;
        self.0.push(format!("\n{heading}\n\n{date}, commit {commit}.\n{text}{profiles}"));
        Ok(())
    }

    /// Writes the page; of one that is there it keeps the sections that were not measured now.
    pub(crate) fn write(self, file: &Path) -> anyhow::Result<()> {
        let head = format!("{HEAD}{}", machine()?);
        let old = match std::fs::read_to_string(file) {
            Ok(old) => old,
            Err(error) if error.kind() == ErrorKind::NotFound => head.clone(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let text = merged(&head, &old, &self.0)
            .with_context(|| format!("{}: measure everything, or write elsewhere", file.display()))?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// The page with new sections in the places of the old.
fn merged(head: &str, old: &str, new: &[String]) -> anyhow::Result<String> {
    let cut = old.find(HEADING).unwrap_or(old.len());
    let mut sections = sections(&old[cut..]);
    for section in new {
        match sections.iter_mut().find(|old| heading(old) == heading(section)) {
            Some(old) => *old = section,
            None => sections.push(section),
        }
    }
    let kept = sections.iter().any(|section| !new.iter().any(|new| new == section));
    ensure!(!kept || old[..cut] == *head, "its other figures come from another machine");
    Ok(format!("{head}{}", sections.concat()))
}

fn sections(text: &str) -> Vec<&str> {
    let starts: Vec<usize> = text.match_indices(HEADING).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(&start, end)| &text[start..end]).collect()
}

fn heading(section: &str) -> Option<&str> {
    section.trim_start().lines().next()
}

/// The machine, and whom it is measured beside.
fn machine() -> anyhow::Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism()?;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let kib = memory.split_whitespace().nth(1).context("no memory")?.parse::<u64>()?;
    Ok(format!(
        "| | |\n| --- | --- |\n| machine | {model}, {cores} cores, {} GiB |\n| system | {} |\n| beside | {}; {}; {} |\n",
        kib / 1024 / 1024,
        first_line("uname", &["-sr"])?,
        first_line("nginx", &["-v"])?,
        first_line("mosquitto", &["-h"])?,
        first_line("createdb", &["--version"])?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_measured_anew_takes_its_old_place() {
        let old = "head\n\n## A\n\n1\n\n## B\n\n2\n";
        let new = ["\n## C\n\n3\n".to_string(), "\n## A\n\n4\n".to_string()];
        assert_eq!(merged("head\n", old, &new).unwrap(), "head\n\n## A\n\n4\n\n## B\n\n2\n\n## C\n\n3\n");
    }

    #[test]
    fn figures_of_two_machines_are_not_mixed() {
        let old = "another\n\n## A\n\n1\n";
        let new = ["\n## A\n\n4\n".to_string()];
        assert_eq!(merged("head\n", old, &new).unwrap(), "head\n\n## A\n\n4\n");
        let new = ["\n## B\n\n4\n".to_string()];
        assert!(merged("head\n", old, &new).is_err());
    }
}
