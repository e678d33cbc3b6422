//! What an updater wants done and what it tells.

use core::fmt;

use wire::topic::Topic;

use crate::record::Record;

/// Size of the buffer that [`crate::Updater::poll`] writes a message into, in bytes.
pub const MESSAGE_SIZE: usize = 512;

/// The next thing to do. Storage operations are to be done, and their completion reported, in the order given.
#[derive(Debug)]
pub enum Output<'o> {
    /// Publish this.
    Publish {
        /// The topic, to be written as its `Display` form.
        topic: Topic<'o>,
        /// The message.
        payload: &'o str,
        /// Whether the server is to acknowledge it (QoS 1), else QoS 0.
        acknowledged: bool,
    },
    /// Make the slot ready for `size` bytes: afterwards every byte can be written. Then `handle_prepared`.
    Prepare {
        /// The module whose slot it is.
        module: &'o str,
        /// Which file of the package is to come, from 0.
        file: u8,
        /// Bytes to come.
        size: u32,
    },
    /// Fetch this range over HTTP: `GET` with `Range`, or without if `offset` is 0 and `len` the whole file. Hand over
    /// what comes with `handle_fetched`, in order, in pieces of [`crate::Config::block`] bytes but for the last one;
    /// if it ends early, say so with `handle_fetch_failed`.
    Fetch {
        /// What this fetch is called from now on.
        id: u32,
        /// The absolute URL.
        url: &'o str,
        /// Where in the file.
        offset: u32,
        /// Bytes to the end of the file.
        len: u32,
    },
    /// Read back up to `len` bytes of the slot, at least one. Then `handle_read`.
    Read {
        /// Where in the slot.
        offset: u32,
        /// Bytes left to read.
        len: u32,
    },
    /// Make what was written to the slot durable, then replace the stored record by this one so that after a power
    /// cut either the old or the new one is found. `None` takes it away. Then `handle_saved`.
    Save(Option<Record>),
    /// The slot holds a whole file of a package of several, and its digest is right: take it out, durably, as the slot
    /// is needed for the next one. Then `handle_kept`. After a power cut the same or all files can come again.
    Keep {
        /// The module it is for.
        module: &'o str,
        /// Which file it is, from 0.
        file: u8,
        /// Bytes in the slot.
        size: u32,
    },
    /// The slot holds the whole file, of several the last, and its digest is right: make it what starts next, with the
    /// files that were kept. Then `handle_installed`.
    Install {
        /// The module that gets it.
        module: &'o str,
        /// The version that it will report.
        version: &'o str,
        /// Bytes in the slot.
        size: u32,
    },
    /// Start again, with a new updater that is told the new versions. The last output of an updater.
    Reboot,
    /// This happened; nothing needs doing.
    Event(Event),
    /// Nothing to do until this time, or until something is handled if `None`.
    Wait(Option<u64>),
}

/// Something that happened. The update it is about is [`crate::Updater::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An offer was taken; of its file `from` bytes are in the slot already.
    Started {
        /// Bytes that need not be fetched.
        from: u32,
    },
    /// The file in the slot has the digest of the offer.
    Verified,
    /// The new version starts at the next boot.
    Installed,
    /// The update failed and the platform is told so.
    Failed(Failure),
    /// An offer was refused and the platform is told so.
    Refused(Failure),
    /// The platform cancelled the task.
    Cancelled,
}

/// Why an update failed, as the negative steps of docs/protocol.md 5.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// -1: anything that has no step of its own.
    Upgrade,
    /// -2: the file could not be fetched.
    Download,
    /// -3: the file is not the one announced.
    Verify,
    /// -4: the file could not be stored or installed.
    Burn,
}

impl Failure {
    /// The step that is reported.
    pub fn step(self) -> i32 {
        match self {
            Self::Upgrade => -1,
            Self::Download => -2,
            Self::Verify => -3,
            Self::Burn => -4,
        }
    }
}

/// An operation on storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`Output::Prepare`]
    Prepare,
    /// Writing a [`crate::Block`].
    Write,
    /// [`Output::Read`]
    Read,
    /// [`Output::Save`]
    Save,
    /// [`Output::Keep`]
    Keep,
    /// [`Output::Install`]
    Install,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "the slot cannot be made ready",
            Self::Write => "a block cannot be written",
            Self::Read => "the slot cannot be read",
            Self::Save => "the record cannot be saved",
            Self::Keep => "a file cannot be kept",
            Self::Install => "the image cannot be installed",
        })
    }
}

/// A block that arrived, to be written to the slot. Its bytes stay in the buffer they came in. Then
/// `handle_written`. When a download that failed is tried again, the same bytes can come to the same place once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a block that is not written is never asked for again"]
pub struct Block<'p> {
    /// Where in the slot.
    pub offset: u32,
    /// The bytes.
    pub data: &'p [u8],
}

/// Where the running update stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'u> {
    /// The module.
    pub module: &'u str,
    /// The version it is to get.
    pub version: &'u str,
    /// Which file of the package is on its way, from 0.
    pub file: u8,
    /// Size of the file in bytes.
    pub size: u32,
    /// Bytes from its start that are in the slot.
    pub stored: u32,
    /// 0 to 100 of all files, as it is reported: 100 once installed.
    pub percent: u8,
}

/// What came in and was of no use, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that could not be read, and blocks whose checksum is wrong.
    pub malformed: u32,
    /// Blocks of another download, or not asked for any more.
    pub unwanted: u32,
    /// Requests for a block that were sent again.
    pub repeated: u32,
}
