//! Which fields of which rows lie in which columns.

use rollout::{
    Device, DeviceError, EventKind, Gate, Hold, Job, JobKind, JobState, ModuleVersion, NodeType, Package,
    PackageFile, PackageState, Product, Protocol, Reason, Release, Rivalry, Scope, Session, SignMethod,
    StartClock, Task, TaskState, Terms, Work,
};

use crate::Error;
use crate::certificates::DeviceCertificate;
use crate::configurations::{Configuration, OfDevice, Settings};
use crate::groups::Group;
use crate::modules::Module;
use crate::registrations::DeviceToken;
use crate::sql::{Field, Fields, Kind, Val, json_field, word_field};
use crate::tags::DeviceTag;
use crate::topology::Belonging;

/// A column's name and what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

pub(crate) const fn int(name: &'static str) -> Column {
    Column { name, kind: Kind::Int }
}

pub(crate) const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

pub(crate) const fn blob(name: &'static str) -> Column {
    Column { name, kind: Kind::Blob }
}

/// A table: its key, the columns of its record, and those only the store knows.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [&'static str],
    /// Columns beside the key that never change. Left out of an update they spare SQLite the indexes they
    /// are in: it rewrites those of every column named, changed or not.
    pub(crate) fixed: &'static [&'static str],
    pub(crate) columns: &'static [Column],
    pub(crate) hidden: &'static [Column],
}

/// A type kept as a row of a table.
pub(crate) trait Record: Sized {
    const TABLE: &'static Table;

    /// In the order of the table's columns.
    fn values(&self) -> Vec<Val>;

    /// Takes the table's columns in their order.
    fn read(fields: &mut Fields<'_>) -> Result<Self, Error>;
}

/// `a, b, c`
pub(crate) fn column_list(columns: &[Column]) -> String {
    columns.iter().map(|c| c.name).collect::<Vec<_>>().join(", ")
}

const fn kind_of<R, F: Field>(_field: fn(&R) -> &F) -> Kind {
    F::KIND
}

/// Fields are named as their columns; `beside` ones are kept elsewhere and read as empty.
macro_rules! record {
    ($type:ty, $name:literal, key $key:tt, fixed $fixed:tt, [$($field:ident),* $(,)?], hidden $hidden:tt, beside [$($beside:ident)?]) => {
        impl Record for $type {
            const TABLE: &'static Table = &Table {
                name: $name,
                key: &$key,
                fixed: &$fixed,
                columns: &[$(Column { name: stringify!($field), kind: kind_of(|r: &$type| &r.$field) }),*],
                hidden: &$hidden,
            };

            fn values(&self) -> Vec<Val> {
                vec![$(self.$field.to_val()),*]
            }

            fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
                Ok(Self { $($field: fields.next()?,)* $($beside: Default::default(),)? })
            }
        }
    };
}

record!(
    Product, "product", key ["id"],
    fixed ["product_key"],
    [
        id, product_key, name, node_type, settle_ms, grace_ms, timezone, dynamic_registration,
        without_pre_registration, registration_until, created_at
    ],
    hidden [blob("secret")], beside []
);
record!(
    Device, "device", key ["id"],
    fixed ["product_id", "name"],
    [id, product_id, name, enabled, first_online_at, last_online_at, last_offline_at, created_at, rivalry],
    hidden [blob("secret"), int("online"), int("registration_until")], beside []
);
record!(
    DeviceToken, "device_token", key ["device_id", "client_id"],
    fixed [],
    [device_id, client_id, hash, created_at],
    hidden [], beside []
);
record!(
    DeviceTag, "device_tag", key ["device_id", "name"],
    fixed [],
    [device_id, name, value, product_id, device_name],
    hidden [], beside []
);
record!(
    DeviceCertificate, "device_certificate", key ["device_id"],
    fixed [],
    [device_id, sha256],
    hidden [], beside []
);
record!(
    Belonging, "topology", key ["device_id"],
    fixed [],
    [device_id, gateway_id, added_at],
    hidden [], beside []
);
record!(
    Group, "device_group", key ["id"],
    fixed ["product_id", "name", "members"],
    [id, product_id, name, description, filter, members, created_at],
    hidden [], beside []
);
record!(
    Session, "session", key ["device_id"],
    fixed [],
    [device_id, epoch, connected_at],
    hidden [text("node")], beside []
);
record!(
    ModuleVersion, "module_version", key ["device_id", "module"],
    fixed [],
    [device_id, module, version, epoch, first_reported_at, reported_at, given_up],
    hidden [], beside []
);
record!(
    Module, "module", key ["product_id", "folded"],
    fixed [],
    [product_id, name, alias, description, created_at],
    hidden [text("folded")], beside []
);
record!(
    Package, "package", key ["id"],
    fixed ["product_id", "module", "sha256", "more_files"],
    [
        id, product_id, name, module, version, sign_method, size, md5, sha256, file_name, image_version, src_version, custom,
        more_files, state, created_at
    ],
    hidden [], beside []
);
record!(
    Job, "job", key ["id"],
    fixed ["product_id", "package_id"],
    [
        id, product_id, package_id, kind, state, scope, need_push, protocol, timeout_ms, rate_per_minute,
        next_push_us, offered_until_us, terms, hold, held_at, held_ms, gate, work, release, created_at, closed_at, ended_at
    ],
    hidden [], beside [counts]
);
record!(
    Task, "task", key ["id"],
    fixed ["job_id", "device_id", "stream_id"],
    [
        id, job_id, product_id, package_id, device_id, module, wave, stream_id, state, progress, furthest, src_version,
        dest_version, attempt, approved, tries, retry_at, pushes, idle_pushes, told_epoch, told_at, ready_at, slot_until,
        first_progress_at, held_before, begun_at, start_clock, heard_at, lost_in, offered_in, failed_in, done_at, device_error, reason, created_at, updated_at
    ],
    hidden [int("open")], beside []
);

record!(
    Configuration, "configuration", key ["id"],
    fixed ["product_id", "version", "sha256", "size", "created_at"],
    [id, product_id, version, sha256, size, created_at],
    hidden [], beside []
);
record!(
    Settings, "product_configuration", key ["product_id"],
    fixed [],
    [product_id, enabled, pushed],
    hidden [], beside []
);
record!(
    OfDevice, "device_configuration", key ["device_id"],
    fixed ["product_id"],
    [device_id, product_id, wanted, told, told_at, fetched, fetched_at, answered, answered_at, code],
    hidden [], beside []
);

word_field!(NodeType, SignMethod, PackageState, JobKind, JobState, Protocol, TaskState);
json_field!(
    Scope,
    Gate,
    Hold,
    Terms,
    Work,
    Release,
    StartClock,
    DeviceError,
    Reason,
    EventKind,
    Rivalry,
    Vec<PackageFile>
);

/// The devices a job names.
pub(crate) const JOB_TARGET: Table = Table {
    name: "job_target",
    key: &["job_id", "device_id"],
    fixed: &[],
    columns: &[int("job_id"), int("device_id")],
    hidden: &[],
};

/// How many tasks of a job are in a state.
pub(crate) const JOB_COUNT: Table = Table {
    name: "job_count",
    key: &["job_id", "state"],
    fixed: &[],
    columns: &[int("job_id"), text("state"), int("n")],
    hidden: &[],
};

/// The devices that were added to groups.
pub(crate) const GROUP_MEMBER: Table = Table {
    name: "group_member",
    key: &["group_id", "device_id"],
    fixed: &[],
    columns: &[int("group_id"), int("device_id"), text("device_name")],
    hidden: &[],
};

/// What is due, and when.
pub(crate) const TIMER: Table = Table {
    name: "timer",
    key: &["kind", "subject"],
    fixed: &[],
    columns: &[text("kind"), int("subject"), int("at")],
    hidden: &[],
};

/// What happened.
pub(crate) const EVENT: Table = Table {
    name: "event",
    key: &["seq"],
    fixed: &[],
    columns: &[
        int("seq"),
        int("at"),
        int("product_id"),
        int("device_id"),
        int("job_id"),
        int("task_id"),
        text("kind"),
    ],
    hidden: &[],
};

/// The devices by status.
pub(crate) const DEVICE_COUNT: Table = Table {
    name: "device_count",
    key: &["product_id", "status"],
    fixed: &[],
    columns: &[int("product_id"), text("status"), int("n")],
    hidden: &[],
};

/// The devices by version.
pub(crate) const VERSION_COUNT: Table = Table {
    name: "version_count",
    key: &["product_id", "module", "version"],
    fixed: &[],
    columns: &[int("product_id"), text("module"), text("version"), int("n")],
    hidden: &[],
};

/// By how much they became more in an hour.
pub(crate) const VERSION_CHANGE: Table = Table {
    name: "version_change",
    key: &["product_id", "module", "hour", "version"],
    fixed: &[],
    columns: &[int("product_id"), text("module"), int("hour"), text("version"), int("n")],
    hidden: &[],
};

/// How tasks ended in a minute.
pub(crate) const TASK_END: Table = Table {
    name: "task_end",
    key: &["job_id", "minute", "state", "reason"],
    fixed: &[],
    columns: &[
        int("job_id"),
        int("minute"),
        text("state"),
        text("reason"),
        int("product_id"),
        int("package_id"),
        int("n"),
        int("timed"),
        int("total_ms"),
        int("longest_ms"),
    ],
    hidden: &[],
};

/// Tables without a record of their own.
const OTHERS: [&Table; 12] = [
    &Table { name: "meta", key: &["name"], fixed: &[], columns: &[text("name"), text("value")], hidden: &[] },
    &Table {
        name: "counter",
        key: &["name"],
        fixed: &[],
        columns: &[text("name"), int("value"), int("at")],
        hidden: &[],
    },
    &JOB_TARGET,
    &JOB_COUNT,
    &GROUP_MEMBER,
    &TIMER,
    &EVENT,
    &DEVICE_COUNT,
    &VERSION_COUNT,
    &VERSION_CHANGE,
    &TASK_END,
    &Table {
        name: "idempotency",
        key: &["name"],
        fixed: &[],
        columns: &[text("name"), text("request_hash"), text("response"), int("at")],
        hidden: &[],
    },
];

/// Every table; those referred to come before those that refer.
pub(crate) fn tables() -> Vec<&'static Table> {
    let records = [
        Product::TABLE,
        Device::TABLE,
        DeviceToken::TABLE,
        DeviceTag::TABLE,
        DeviceCertificate::TABLE,
        Belonging::TABLE,
        Group::TABLE,
        Session::TABLE,
        ModuleVersion::TABLE,
        Module::TABLE,
        Package::TABLE,
        Job::TABLE,
        Task::TABLE,
        Configuration::TABLE,
        Settings::TABLE,
        OfDevice::TABLE,
    ];
    OTHERS.into_iter().chain(records).collect()
}
