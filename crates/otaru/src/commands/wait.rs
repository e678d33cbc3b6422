//! What tasks wait for, for people.

use api::dto::{BudgetOf, Halt, Hold, Waiting};

use super::when;

/// Why a job halted, in one sentence.
pub(crate) fn halted(halt: &Halt) -> String {
    match halt {
        Halt::Failures { failed, limit } => format!("{failed} devices failed, and {limit} are allowed to"),
        Halt::FailureRate { failed, offered, limit_percent } => {
            let rate = *failed as f64 * 100.0 / (*offered).max(1) as f64;
            format!(
                "{failed} of {offered} devices told failed ({rate:.1} %), and {limit_percent} % are allowed to"
            )
        }
        Halt::Evidence { failed, ended, accepted_percent, rejected_percent } => format!(
            "{failed} of {ended} upgrades that ended failed, which speaks for a failure rate of {rejected_percent} % rather than {accepted_percent} %"
        ),
        Halt::WaveFailed { wave, total: 0, .. } => {
            format!("nobody is left in wave {wave} who was told and whose upgrade could succeed")
        }
        Halt::WaveFailed { wave, succeeded, ended, needed, total } => format!(
            "{succeeded} of {total} upgrades of wave {wave} succeeded, {ended} have ended, and {needed} must succeed"
        ),
        Halt::WaveStalled { wave, minutes } => {
            format!("no upgrade of wave {wave} ended within {minutes} min")
        }
    }
}

/// What holds a job.
pub(crate) fn held(hold: &Hold) -> String {
    match hold {
        Hold::Paused => "paused".into(),
        Hold::Halted { halt } => format!("halted: {}", halted(halt)),
    }
}

/// What a task waits for.
pub(crate) fn waits(waiting: &Waiting) -> String {
    match waiting {
        Waiting::Canceling => "being cancelled".into(),
        Waiting::AwaitsApproval => "approval".into(),
        Waiting::Scheduled { at } => format!("the job starts at {}", when(at)),
        Waiting::Halted { halt } => format!("the job halted: {}", halted(halt)),
        Waiting::WaveNotOpen { wave } => format!("wave {wave}, which is not open yet"),
        Waiting::OutsideWindow { opens_at } => format!("the job's window opens at {}", when(opens_at)),
        Waiting::Lost { since } => format!("lost: began, and is silent since {}", when(since)),
        Waiting::Paused => "the job is paused".into(),
        Waiting::ModuleCase { expected, reported } => {
            format!("the device calls the module {reported:?}, not {expected:?}: nothing of it is heard")
        }
        Waiting::QueuedBehind { task_id, job_id, held: true } => {
            format!("queued behind {task_id} of {job_id}, which is held: resume or cancel that job")
        }
        Waiting::QueuedBehind { task_id, job_id, .. } => format!("queued behind {task_id} of {job_id}"),
        Waiting::RetryAt { at } => format!("tries again at {}", when(at)),
        Waiting::Disabled => "the device is disabled".into(),
        Waiting::Offline => "device is offline".into(),
        Waiting::NotPushed => "device must ask, the job does not push".into(),
        Waiting::AwaitsReport { until } => format!("device may report its version until {}", when(until)),
        Waiting::SharedIdentity { since } => {
            format!("two clients use the device's identity since {}: give each its own", when(since))
        }
        Waiting::Rate => "push rate".into(),
        Waiting::ByteBudget { of: BudgetOf::Job, until } => {
            format!("the job's byte budget, used up until {}", when(until))
        }
        Waiting::ByteBudget { of: BudgetOf::Server, until } => {
            format!("the server's byte budget, used up until {}", when(until))
        }
        Waiting::DownloadSlots => "all downloads at once are taken".into(),
        Waiting::ToldNoProgress { since } => format!("told at {}, no progress yet", when(since)),
        Waiting::Downloading => "device is downloading or writing".into(),
        Waiting::AwaitsVersion { since } => {
            format!("100 % since {}, waiting for the version report", when(since))
        }
    }
}
