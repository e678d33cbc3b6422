//! What happened, as later readers see it: timeline, audit, live pages.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::revise::JobField;
use crate::rows::{Hold, Id, JobState, Ms, PackageState, Reason, TaskState};

/// One thing that happened. Written in the transaction of the change it tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Ms,
    /// In which product.
    pub product_id: Id,
    /// To which device.
    pub device_id: Option<Id>,
    /// In which job.
    pub job_id: Option<Id>,
    /// To which task.
    pub task_id: Option<Id>,
    /// What.
    pub kind: EventKind,
}

/// The names of a gateway, told because it may be gone when they are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayName {
    /// Its product.
    pub product_key: String,
    /// Its name.
    pub device_name: String,
}

/// How a device registers (docs/protocol.md 2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationScheme {
    /// For its secret, being made beforehand.
    Register,
    /// For a token.
    Regnwl,
}

/// What an event tells: a code with parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "code")]
pub enum EventKind {
    /// A product was made.
    ProductCreated {
        /// Its key, told here too because the product may be gone when this is read.
        #[serde(default)]
        product_key: String,
    },
    /// A product's settings were changed.
    ProductChanged,
    /// A product was removed.
    ProductRemoved {
        /// Its key.
        product_key: String,
    },
    /// A device was made.
    DeviceCreated {
        /// Its name, told here too because the device may be gone when this is read.
        #[serde(default)]
        device_name: String,
    },
    /// A device was enabled or disabled.
    DeviceEnabled {
        /// The new setting.
        enabled: bool,
    },
    /// The certificate by which a device comes in was changed.
    DeviceCertificate {
        /// Its SHA-256 in hex; none if it was taken away.
        sha256: Option<String>,
    },
    /// A device got its secret, or a token, for its product's secret.
    DeviceRegistered {
        /// How.
        scheme: RegistrationScheme,
        /// Whether it had been activated before.
        again: bool,
        /// The gateway that did it for the device.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway: Option<GatewayName>,
    },
    /// Until when a device, or all of a product, may register again; `None` is no more.
    RegistrationAllowed {
        /// Until when.
        until: Option<Ms>,
    },
    /// Tags of a device were changed.
    DeviceTags {
        /// Those set, with their new values.
        set: BTreeMap<String, String>,
        /// The names of those removed.
        removed: Vec<String>,
    },
    /// A group was made.
    GroupCreated {
        /// Its name.
        group: String,
    },
    /// A group's description or filter was changed.
    GroupChanged {
        /// Its name.
        group: String,
    },
    /// A group was removed.
    GroupRemoved {
        /// Its name.
        group: String,
    },
    /// A device was added to a group.
    GroupJoined {
        /// The group's name.
        group: String,
    },
    /// A device was taken out of a group.
    GroupLeft {
        /// The group's name.
        group: String,
    },
    /// A device came under a gateway, went to another, or belongs to none any more.
    GatewayChanged {
        /// Whose it was.
        from: Option<GatewayName>,
        /// Whose it is.
        to: Option<GatewayName>,
    },
    /// A device was removed.
    DeviceRemoved {
        /// Its name.
        device_name: String,
    },
    /// A module was made.
    ModuleCreated {
        /// Its name.
        module: String,
    },
    /// A module was removed.
    ModuleRemoved {
        /// Its name.
        module: String,
    },
    /// A package was uploaded.
    PackageCreated {
        /// The package.
        package: Id,
    },
    /// A package was removed.
    PackageRemoved {
        /// The package.
        package: Id,
    },
    /// A package's verification moved.
    PackageState {
        /// The package.
        package: Id,
        /// Where it is now.
        state: PackageState,
    },
    /// A product's remote configuration has a new version.
    ConfigurationCreated {
        /// Its number.
        version: i64,
    },
    /// Devices of a product get its remote configuration, or no more.
    ConfigurationEnabled {
        /// The new setting.
        enabled: bool,
    },
    /// A version was pushed: to one device if one is named, else to all of a product.
    ConfigurationPushed {
        /// Its number.
        version: i64,
    },
    /// A device fetched a version.
    ConfigurationFetched {
        /// Its number.
        version: i64,
    },
    /// A device answered the push of a version.
    ConfigurationAnswered {
        /// Its number.
        version: i64,
        /// 200 if it took it.
        result: i32,
    },
    /// A device connected.
    DeviceConnected {
        /// Whether it never had before.
        #[serde(default, skip_serializing_if = "is_false")]
        first: bool,
    },
    /// A device's connection ended.
    DeviceDisconnected,
    /// Two clients use this device's identity: they keep taking each other's place.
    IdentityShared {
        /// How often of late.
        take_overs: u32,
        /// In which time.
        seconds: i64,
    },
    /// One connection of such a device has stayed for a while.
    IdentitySettled,
    /// A module's version is another than before.
    VersionChanged {
        /// The module.
        module: String,
        /// What it was.
        previous: Option<String>,
        /// What it is.
        version: String,
    },
    /// A job was made.
    JobCreated,
    /// A job moved.
    JobState {
        /// Where it is now.
        state: JobState,
    },
    /// What was settled of a job was changed.
    JobChanged {
        /// What of it.
        fields: Vec<JobField>,
    },
    /// A dynamic job takes no more devices.
    JobClosed,
    /// A job is held.
    JobHeld {
        /// By what.
        hold: Hold,
    },
    /// A job is held no more.
    JobResumed,
    /// A job goes on to its next wave.
    WaveOpened {
        /// Which, from 0.
        wave: i32,
        /// Whether an operator did not wait for the gate of the wave before.
        #[serde(default, skip_serializing_if = "is_false")]
        skipped: bool,
    },
    /// A device that had begun is silent for long.
    TaskLost,
    /// A device that was lost has spoken.
    TaskFound,
    /// A task was made.
    TaskCreated,
    /// A task moved.
    TaskState {
        /// From where.
        from: TaskState,
        /// To where.
        to: TaskState,
        /// Why it ended.
        reason: Option<Reason>,
    },
    /// A notice left for the device.
    TaskPushed {
        /// Which push of this attempt, from 1.
        push: i32,
    },
    /// An attempt failed and another one follows.
    TaskRetry {
        /// The number of the next.
        attempt: i32,
        /// When it may begin.
        at: Ms,
        /// Why the last one failed.
        reason: Reason,
    },
    /// The device asked and was answered, for the first time on a connection.
    TaskAnswered,
    /// Progress: the first, and at each full ten per cent.
    TaskProgress {
        /// 0 to 100.
        percent: i32,
        /// The device's own words.
        desc: String,
    },
}

fn is_false(flag: &bool) -> bool {
    !flag
}
