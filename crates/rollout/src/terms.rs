//! What an operator settles when a job is made, and only the rules read.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::rows::{Id, Ms};
use crate::window::Window;

/// What becomes of a device's task when another job's has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Overwrite {
    /// The old task goes on, the new one fails.
    Keep,
    /// The old task is cancelled unless it is in progress; then the new one fails.
    Replace,
    /// The new task waits until the old one has ended.
    #[default]
    Queue,
}

/// A number of devices, or a part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Share {
    /// So many.
    Count {
        /// How many.
        n: i64,
    },
    /// A part.
    Percent {
        /// Thousandths of a per cent.
        thousandths: u32,
    },
}

/// A wave of a job, with all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// What the operator asked for, of the job's devices.
    pub share: Share,
    /// Devices with a spread up to this one belong to it, or to one before.
    pub threshold: i64,
}

/// A group of devices that is a wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveGroup {
    /// The group.
    pub group: Id,
    /// Its name, told here too because the group may be gone when this is read.
    pub name: String,
}

/// Two failure rates for a sequential test, in thousandths of a per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// A rate that is fine.
    pub accepted: u32,
    /// A rate that is not.
    pub rejected: u32,
}

/// Failures after which a job halts, counted since its start or last resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FailureLimits {
    /// At most so many.
    pub failures: Option<i64>,
    /// At most this part of the devices told, in thousandths of a per cent.
    pub failure_thousandths: Option<u32>,
    /// From so many devices told the part is looked at.
    pub min_offers: i64,
    /// Wald's sequential test, with error rates of 5 %.
    pub evidence: Option<Evidence>,
}

/// A word an operator gives a job's devices to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name.
    pub key: String,
    /// What it says.
    pub value: String,
}

/// The terms of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terms {
    /// How often a device may try in all, before the task fails.
    pub attempts: i32,
    /// From a failed attempt to the next.
    pub retry_interval_ms: Ms,
    /// Whether the source version, reported after step 100, is a failed attempt.
    pub rollback_fails: bool,
    /// Connected time from telling the device to its first progress; `None` is no limit.
    pub start_timeout_ms: Option<Ms>,
    /// Pushes without getting further, after which the attempt has failed; `None` is no limit.
    pub most_pushes: Option<i32>,
    /// What becomes of a task in another's way.
    pub overwrite: Overwrite,
    /// Whether tasks for other modules of the same device are in nobody's way.
    pub multi_module: bool,
    /// Whether each task waits for an operator or an app to approve it.
    pub need_confirm: bool,
    /// Only devices whose module reports one of these; all if there are none.
    pub src_versions: Vec<String>,
    /// Whether a dynamic job is only for versions reported after it was made.
    pub only_new: bool,
    /// Not before.
    pub start_at: Option<Ms>,
    /// Nothing begins from then on.
    pub end_at: Option<Ms>,
    /// Whether what has begun is cancelled at the end too.
    pub end_running: bool,
    /// When devices are told, by the clocks where they are; always if there are none.
    pub windows: Vec<Window>,
    /// What the files offered may have together, in 1 000 bits a second; `None` is no limit.
    pub kbit_per_second: Option<i64>,
    /// For the devices to read.
    pub tags: Vec<Tag>,
    /// Groups that are its first waves.
    pub wave_groups: Vec<WaveGroup>,
    /// The waves after them, each larger than the one before; the last takes what is left.
    pub waves: Vec<Wave>,
    /// Successes in a wave before the next opens.
    pub min_success: Share,
    /// From enough successes to the next wave.
    pub soak_ms: Ms,
    /// From the opening of a wave: then who has not ended is waited for no longer.
    pub max_wait_ms: Option<Ms>,
    /// When it halts by itself.
    pub limits: FailureLimits,
    /// Silence after which a device that has begun is lost.
    pub lost_ms: Option<Ms>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            attempts: 3,
            retry_interval_ms: 60_000,
            rollback_fails: true,
            start_timeout_ms: Some(30 * 60_000),
            most_pushes: Some(5),
            overwrite: Overwrite::default(),
            multi_module: false,
            need_confirm: false,
            src_versions: Vec::new(),
            only_new: false,
            start_at: None,
            end_at: None,
            end_running: false,
            windows: Vec::new(),
            kbit_per_second: None,
            tags: Vec::new(),
            wave_groups: Vec::new(),
            waves: Vec::new(),
            min_success: Share::Percent { thousandths: 90_000 },
            soak_ms: 60 * 60_000,
            max_wait_ms: Some(24 * 60 * 60_000),
            limits: FailureLimits::default(),
            lost_ms: Some(60 * 60_000),
        }
    }
}

impl Terms {
    /// Whether a device whose module reports `version` is among those the job is for.
    pub fn takes_source(&self, version: Option<&str>) -> bool {
        let listed = |version: &str| self.src_versions.iter().any(|v| v == version);
        self.src_versions.is_empty() || version.is_some_and(listed)
    }

    /// The cloud's own rules, without the answers to what goes wrong with them.
    pub fn as_the_cloud() -> Self {
        Self {
            attempts: 1,
            rollback_fails: false,
            start_timeout_ms: None,
            most_pushes: None,
            overwrite: Overwrite::Keep,
            lost_ms: None,
            ..Self::default()
        }
    }
}
