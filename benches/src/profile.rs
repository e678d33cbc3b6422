//! Where a server's time goes while it is loaded, as `perf` sees it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};

/// Symbols named beside the shares.
const NAMED: usize = 8;

/// A server that is watched.
pub(crate) struct Watched {
    perf: Child,
}

/// A load, and where the time went.
pub(crate) struct Profile {
    pub(crate) load: String,
    /// Per cent by part.
    parts: BTreeMap<Part, f64>,
    /// The highest, in per cent of all.
    symbols: Vec<(f64, String)>,
}

/// What time is spent in, itself and not what it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Kernel,
    Sqlite,
    Sqlx,
    Memory,
    Copies,
    Runtime,
    Own,
    Other,
}

const PARTS: [(Part, &str); 8] = [
    (Part::Kernel, "kernel"),
    (Part::Sqlite, "SQLite"),
    (Part::Sqlx, "sqlx"),
    (Part::Memory, "allocator"),
    (Part::Copies, "copying, comparing"),
    (Part::Runtime, "tokio, mio, futures"),
    (Part::Own, "Otaru"),
    (Part::Other, "other"),
];

impl Watched {
    pub(crate) fn start(pid: u32, data: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("perf");
        command.args(["record", "-q", "-F", "1999", "-o"]).arg(data).args(["-p", &pid.to_string()]);
        let perf = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self { perf: perf.context("cannot run perf (Debian: linux-perf)")? })
    }

    pub(crate) fn end(mut self, load: &str, data: &Path) -> anyhow::Result<Profile> {
        // It writes what it has when it is interrupted.
        Command::new("kill").args(["-INT", &self.perf.id().to_string()]).status()?;
        self.perf.wait()?;
        let mut command = Command::new("perf");
        command.args(["report", "--stdio", "-g", "none", "--sort", "comm,dso,symbol", "-i"]).arg(data);
        let output = command.stderr(Stdio::null()).output()?;
        let profile = Profile::read(load, &String::from_utf8_lossy(&output.stdout));
        ensure!(!profile.symbols.is_empty(), "perf saw nothing of the server while it was loaded: {load}");
        Ok(profile)
    }
}

impl Profile {
    fn read(load: &str, report: &str) -> Self {
        let (mut parts, mut symbols) = (BTreeMap::new(), Vec::new());
        for line in report.lines().filter(|line| !line.starts_with('#')) {
            let Some((share, rest)) = line.trim().split_once("%") else { continue };
            let (Ok(share), Some((place, symbol))) = (share.parse::<f64>(), rest.split_once("] ")) else {
                continue;
            };
            let symbol = symbol.split("  ").next().unwrap_or_default();
            *parts.entry(part(place, symbol)).or_default() += share;
            symbols.push((share, short(symbol)));
        }
        symbols.truncate(NAMED);
        Self { load: load.into(), parts, symbols }
    }
}

/// The part that a symbol of a thread and file belongs to.
fn part(place: &str, symbol: &str) -> Part {
    let has = |words: &[&str]| words.iter().any(|word| symbol.contains(word));
    if place.contains("[kernel") {
        Part::Kernel
    } else if has(&["malloc", "free", "calloc", "realloc", "unlink_chunk", "_rust_alloc", "_rdl_"]) {
        Part::Memory
    } else if has(&["memmove", "memcpy", "memset", "memcmp", "memchr"]) {
        Part::Copies
    } else if has(&["otaru_"]) {
        Part::Own
    } else if has(&["sqlx"]) {
        Part::Sqlx
    } else if has(&["tokio", "mio::", "futures", "parking_lot"]) {
        Part::Runtime
    } else if place.contains("sqlx-sqlite") || has(&["sqlite3"]) {
        Part::Sqlite
    } else {
        Part::Other
    }
}

/// A symbol as it fits between backticks: at most 60 characters.
fn short(symbol: &str) -> String {
    let symbol = symbol.trim().replace('`', "");
    symbol.chars().take(60).collect()
}

/// What a section of the page says of the loads it put on the server; nothing if none was watched.
pub(crate) fn text(profiles: &[Profile]) -> String {
    if profiles.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = PARTS.iter().map(|(_, name)| *name).collect();
    let mut text = format!(
        "\n### Where the time goes\n\nThe server's processor time under some of these loads, by `perf`, in per cent: where it was itself, not what it\ncalled. What the compiler has inlined counts where it went.\n\n| load | {} |\n|{}\n",
        names.join(" | "),
        " --- |".repeat(names.len() + 1)
    );
    for profile in profiles {
        let shares = PARTS.map(|(part, _)| format!("{:.0}", profile.parts.get(&part).unwrap_or(&0.0)));
        text += &format!("| {} | {} |\n", profile.load, shares.join(" | "));
    }
    text += "\nThe functions with most of it:\n\n";
    for profile in profiles {
        let named: Vec<String> =
            profile.symbols.iter().map(|(share, symbol)| format!("`{symbol}` {share:.1}")).collect();
        text += &format!("- {}: {}\n", profile.load, named.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_by_part() {
        let report = "\
# comment
    10.50%  tokio-rt-worker  [kernel.kallsyms]  [k] tcp_sendmsg   
     5.25%  sqlx-sqlite-wor  otaru              [.] sqlite3VdbeExec   
     2.00%  tokio-rt-worker  libc.so.6          [.] _int_malloc
     1.00%  tokio-rt-worker  otaru              [.] otaru_door::session::run::{{closure}}
";
        let profile = Profile::read("x", report);
        let part = |part| profile.parts.get(&part).copied();
        assert_eq!(part(Part::Kernel), Some(10.5));
        assert_eq!(part(Part::Sqlite), Some(5.25));
        assert_eq!(part(Part::Memory), Some(2.0));
        assert_eq!(part(Part::Own), Some(1.0));
        assert_eq!(profile.symbols[1], (5.25, "sqlite3VdbeExec".into()));
    }
}
