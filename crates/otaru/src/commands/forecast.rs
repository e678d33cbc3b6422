use api::dto::{Forecast, HeldJob};

use super::when;
use crate::client::listed;
use crate::output::out;

/// Tells people what a job would do.
pub(super) fn show(found: &Forecast) {
    let Forecast { matched, of_matched, on_target, excluded, waves, .. } = found;
    let Forecast { largest_notice, estimate, warnings, .. } = found;
    out!("{matched} devices get a task; {on_target} more have the version already");
    let tell = |n: i64, what: &str| {
        if n > 0 {
            out!("  {n} {what}");
        }
    };
    tell(of_matched.offline, "of them are offline now");
    tell(of_matched.never_connected, "of them have never connected");
    tell(of_matched.disabled, "of them are disabled");
    tell(of_matched.never_reported, "of them have never reported the module");
    tell(of_matched.queued, "of them finish another upgrade first");
    tell(of_matched.replacing, "of them drop another upgrade for this one");
    tell(of_matched.conflicting, "of them fail at once, because of another upgrade");
    for HeldJob { job_id, halted, unfinished } in &found.held_ahead {
        let state = if *halted { "halted" } else { "paused" };
        out!(
            "    {job_id} is {state} with {unfinished} unfinished tasks: cancel it, or let this job take its place (--overwrite replace)"
        );
    }
    tell(excluded.unknown, "are left out: no devices of the product");
    listed(&found.unknown, &found.unknown_lines).iter().for_each(|line| out!("    {line}"));
    tell(excluded.outside_share, "are left out: outside the share");
    tell(excluded.disabled, "are left out: disabled");
    tell(excluded.never_connected, "are left out: they have never connected");
    tell(excluded.never_reported, "are left out: they have never reported the module");
    tell(excluded.other_source, "are left out: on a version the job is not for");
    tell(excluded.other_package_source, "are left out: on a version the difference is not made from");
    if waves.len() > 1 {
        let sizes: Vec<String> = waves.iter().map(ToString::to_string).collect();
        out!("its waves have {} devices", sizes.join(", "));
    }
    out!("its largest notice has {largest_notice} bytes");
    out!(
        "{} bytes in all, in {} at best, if each device takes {} KiB a second and {} download at once",
        estimate.bytes,
        duration(estimate.seconds),
        estimate.bytes_per_second / 1_024,
        estimate.downloads
    );
    let (starts, done) = (when(&estimate.starts_at), when(&estimate.done_at));
    out!("the first can be told at {starts}, the last can be done at {done}");
    if estimate.cut_short {
        out!("its end comes before that: the last of them will not be told");
    }
    warnings.iter().for_each(|warning| out!("warning: {}", warning.text));
}

fn duration(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}
