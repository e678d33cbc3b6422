//! What a device wants done.

use core::ffi::c_char;
use core::ptr::null;

use device::Event as Happened;

/// What is to be done next, as `otaru_poll` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Kind {
    /// Nothing until `until` (`UINT64_MAX`: whenever that may be), or until something else is told to the device. In the
    /// midst of a digest that is now: there is more to do, once others had their turn.
    OtaruWait = 0,
    /// Open a connection to the platform, TCP or TLS. Then `otaru_opened`, or `otaru_closed` if it cannot be opened.
    OtaruOpen = 1,
    /// Send these `len` bytes at `data`, all of them, before the next `otaru_poll`.
    OtaruSend = 2,
    /// Close the connection; `text` says why. Nothing needs to be told.
    OtaruClose = 3,
    /// Only with an MQTT client of your own: publish the `len` bytes at `data` to `topic`, with QoS 1 if
    /// `acknowledged`, else QoS 0.
    OtaruPublish = 4,
    /// Only with `http`: fetch `url` from byte `offset` on, `size` bytes to the end of the file, and hand over what
    /// comes with `otaru_fetched`, naming it by `id`.
    OtaruFetch = 5,
    /// Only with `http`: the slot at `offset` holds file number `file` of a package of several, `size` bytes, for
    /// `module`, and its digest is right. Take it out, durably; then `otaru_done`, or `otaru_failed`.
    OtaruKeep = 6,
    /// The slot at `offset` holds the image, `size` bytes, of version `version` for `module`, and its digest is right:
    /// make it what starts next, or pass it on. Then `otaru_done`, or `otaru_failed`. It may take as long as it needs.
    OtaruInstall = 7,
    /// Start again. All that is to be said is said; nothing else comes any more.
    OtaruReboot = 8,
    /// `event` happened; nothing needs to be done.
    OtaruHappened = 9,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Event {
    /// The platform took the login: a new image that gets here has shown that it works. (Not with an MQTT client of
    /// your own.)
    OtaruOnline = 0,
    /// An update of `module` to `version` begins, `size` bytes, of which `offset` are in the slot already.
    OtaruStarted = 1,
    /// The file in the slot has the digest that was announced.
    OtaruVerified = 2,
    /// The new version starts at the next boot.
    OtaruInstalled = 3,
    /// The update failed for the reason in `text`, and the platform is told.
    OtaruUpdateFailed = 4,
    /// An offer was refused for the reason in `text`, and the platform is told.
    OtaruRefused = 5,
    /// The platform cancelled the update.
    OtaruCancelled = 6,
}

impl From<Happened> for Event {
    fn from(happened: Happened) -> Self {
        match happened {
            Happened::Started { .. } => Self::OtaruStarted,
            Happened::Verified => Self::OtaruVerified,
            Happened::Installed => Self::OtaruInstalled,
            Happened::Failed(_) => Self::OtaruUpdateFailed,
            Happened::Refused(_) => Self::OtaruRefused,
            Happened::Cancelled => Self::OtaruCancelled,
        }
    }
}

/// What is to be done next. Of the other fields those count that are named at its kind; texts and bytes stay as they
/// are until the next `otaru_poll`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Todo {
    /// What it is.
    pub kind: Kind,
    /// What happened.
    pub event: Event,
    /// Until when nothing is to be done, in milliseconds of the caller's clock.
    pub until: u64,
    /// Bytes to send or to publish.
    pub data: *const u8,
    /// How many.
    pub len: usize,
    /// Where to publish.
    pub topic: *const c_char,
    /// Whether the platform is to acknowledge it.
    pub acknowledged: bool,
    /// Number of a file, from 0.
    pub file: u32,
    /// Name of a fetch.
    pub id: u32,
    /// Where, in bytes.
    pub offset: u32,
    /// How much, in bytes.
    pub size: u32,
    /// Which module.
    pub module: *const c_char,
    /// Which version.
    pub version: *const c_char,
    /// An absolute URL.
    pub url: *const c_char,
    /// In words.
    pub text: *const c_char,
}

impl Todo {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            event: Event::OtaruOnline,
            until: 0,
            data: null(),
            len: 0,
            topic: null(),
            acknowledged: false,
            file: 0,
            id: 0,
            offset: 0,
            size: 0,
            module: null(),
            version: null(),
            url: null(),
            text: null(),
        }
    }

    pub(crate) fn bytes(kind: Kind, bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len(), ..Self::new(kind) }
    }
}
