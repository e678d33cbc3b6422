use std::fmt;
use std::time::Duration;

use device::Failure;

use super::Answer;

/// What a device tells about itself. `Display` gives a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The platform took the connection; these versions are being reported.
    Connected {
        /// Name and version of each module.
        modules: Vec<(String, String)>,
    },
    /// The part behind the serial line was asked who it is.
    Part {
        /// Its module.
        module: String,
        /// What it said.
        answer: Answer,
    },
    /// There is no connection; another attempt follows.
    Offline {
        /// Why.
        why: String,
        /// Time until the next attempt.
        retry: Duration,
    },
    /// An offer was taken.
    Started {
        /// The module.
        module: String,
        /// The version it is to get.
        version: String,
        /// Bytes of the file.
        size: u32,
        /// Bytes of it that were stored already.
        from: u32,
    },
    /// More of the file is stored.
    Progress {
        /// The module.
        module: String,
        /// Bytes stored.
        stored: u32,
        /// Bytes of the file.
        size: u32,
    },
    /// The file has the digest that was announced.
    Verified,
    /// The new version starts at the reboot that follows.
    Installed {
        /// The module.
        module: String,
        /// The version it has now.
        version: String,
    },
    /// A new version works.
    Confirmed {
        /// The module.
        module: String,
        /// Its version.
        version: String,
    },
    /// A new version does not work; the one before runs again.
    RolledBack {
        /// The module.
        module: String,
        /// The version that does not work.
        version: String,
        /// What the hook said.
        why: String,
    },
    /// The device starts again.
    Rebooting,
    /// The update failed, or the offer was refused.
    Failed {
        /// The kind that is reported.
        failure: Failure,
        /// The text that is reported.
        why: String,
    },
    /// The platform cancelled the update.
    Cancelled,
}

impl Event {
    /// Whether to print it: progress only at each full 10 %, which `told` remembers.
    pub(super) fn is_worth_a_line(&self, told: &mut u64) -> bool {
        let Self::Progress { stored, size, .. } = *self else {
            *told = 0;
            return true;
        };
        let tenth = u64::from(stored) * 10 / u64::from(size.max(1));
        std::mem::replace(told, tenth) < tenth
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { modules } => {
                f.write_str("connected, reporting")?;
                modules.iter().try_for_each(|(name, version)| write!(f, " {name}={version}"))
            }
            Self::Part { module, answer } => write!(f, "{module}: it {answer}"),
            Self::Offline { why, retry } => {
                write!(f, "offline: {why}; next attempt in {:.1} s", retry.as_secs_f64())
            }
            Self::Started { module, version, size, from: 0 } => {
                write!(f, "{module}: update to {version}, {size} bytes")
            }
            Self::Started { module, version, size, from } => {
                write!(f, "{module}: update to {version}, {size} bytes, going on at {from}")
            }
            Self::Progress { module, stored, size } => {
                let percent = u64::from(*stored) * 100 / u64::from((*size).max(1));
                write!(f, "{module}: {percent} %, {stored} of {size} bytes")
            }
            Self::Verified => f.write_str("the digest is right"),
            Self::Installed { module, version } => write!(f, "{module}: {version} is installed"),
            Self::Confirmed { module, version } => write!(f, "{module}: {version} works"),
            Self::RolledBack { module, version, why } => {
                write!(f, "{module}: {version} does not work, rolled back: {why}")
            }
            Self::Rebooting => f.write_str("rebooting"),
            Self::Failed { failure, why } => write!(f, "failed ({}): {why}", failure.step()),
            Self::Cancelled => f.write_str("the platform cancelled the update"),
        }
    }
}

/// How a device ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was updated, started again, and the platform has its new version.
    Updated {
        /// The module.
        module: String,
        /// Its version now.
        version: String,
    },
    /// The update failed and the platform was told so.
    Failed {
        /// The kind that was reported.
        failure: Failure,
        /// The text that was reported.
        why: String,
    },
    /// The platform cancelled the update.
    Cancelled,
    /// It was told to end.
    Stopped,
}

impl Outcome {
    /// The exit code of `otaru device run`; 1 to 3 mean the same as for every other command.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Updated { .. } | Self::Stopped => 0,
            Self::Failed { .. } => 4,
            Self::Cancelled => 5,
        }
    }
}
