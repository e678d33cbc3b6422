//! What Linux knows of this process, under the names that all Prometheus clients give it. Other systems give none
//! but the start.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use server::{Family, Kind};

/// Clock ticks in a second, as /proc counts them: part of the kernel's interface, 100 on every machine in use.
const TICKS: f64 = 100.0;

/// All there is to know now.
pub(super) fn families(begun: SystemTime) -> Vec<Family> {
    let read = |file: &str| std::fs::read_to_string(Path::new("/proc/self").join(file)).ok();
    let files = std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
    let begun = begun.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let known = [
        read("status").and_then(|text| resident_bytes(&text)),
        read("stat").and_then(|text| cpu_seconds(&text)),
        files,
        read("limits").and_then(|text| file_limit(&text)),
        Some(begun),
    ];
    all()
        .into_iter()
        .zip(known)
        .filter_map(|(family, value)| value.map(|value| with(family, value)))
        .collect()
}

/// The families, as yet without a value.
pub(super) fn all() -> [Family; 5] {
    let gauge = |name, help| Family::one(name, Kind::Gauge, help, 0.0);
    [
        gauge("process_resident_memory_bytes", "Memory of the process that is in RAM."),
        Family::one(
            "process_cpu_seconds_total",
            Kind::Counter,
            "Processor time used, by user and system.",
            0.0,
        ),
        gauge("process_open_fds", "Files and sockets open now."),
        gauge("process_max_fds", "Files and sockets that may be open."),
        gauge("process_start_time_seconds", "When the platform was started, in seconds since 1970."),
    ]
}

fn with(family: Family, value: f64) -> Family {
    Family::one(family.name, family.kind, family.help, value)
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// Fields 14 and 15; the second, the program's name in brackets, may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

fn file_limit(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    1234 kB\n"), Some(1_263_616.0));
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        let limits =
            "Limit  Soft  Hard  Units\nMax open files            1024                 4096      files\n";
        assert_eq!(file_limit(limits), Some(1024.0));
        assert_eq!(file_limit("Max open files            unlimited            unlimited files"), None);
        for nothing in ["", "VmRSS: x kB", "7 (a S"] {
            assert!(resident_bytes(nothing).is_none() && cpu_seconds(nothing).is_none());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_known() {
        let found = families(SystemTime::now());
        assert_eq!(found.len(), all().len());
    }
}
