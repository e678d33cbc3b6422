//! One update: from the offer to the image that starts next.

use wire::json::RawStr;

use crate::config::Config;
use crate::digest::Hasher;
use crate::pace::Pace;
use crate::record::Record;
use crate::stream::Stream;
use crate::target::{Origin, Target};
use crate::text::Text;
use crate::window::{Millis, Window};

/// Where an update stands. It only moves downwards in this list, but for the next file of a package, which begins anew.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Waits until no record speaks of another file any more.
    Clearing,
    /// The slot is being made ready.
    Preparing { asked: bool },
    /// Blocks are coming.
    Fetching(Window),
    /// The application fetches the file.
    Streaming(Stream),
    /// The slot is read back.
    Verifying(Check),
    /// A file that is not the last is being taken out of the slot.
    Keeping { asked: bool },
    /// The next file of the package is to be asked for at this time, and was so often.
    Next { at: Millis, asked: u8 },
    /// The image is being installed.
    Installing { asked: bool },
    /// All is done but for telling so and for taking the record away.
    Installed,
    /// The caller was told to start again.
    Rebooting,
}

/// A digest being computed over the slot.
#[derive(Clone)]
pub(crate) struct Check {
    pub(crate) hasher: Hasher,
    pub(crate) offset: u32,
    pub(crate) reading: bool,
}

impl Check {
    /// Takes the next bytes of a file of `size` bytes; what is beyond its end is not part of it.
    pub(crate) fn take(&mut self, data: &[u8], size: u32) {
        let left = (size - self.offset) as usize;
        let data = &data[..data.len().min(left)];
        self.hasher.update(data);
        self.offset += data.len() as u32;
    }
}

impl core::fmt::Debug for Check {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Check").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// An update in progress.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) target: Target,
    pub(crate) stage: Stage,
    pub(crate) pace: Pace,
    /// Requests with a lower number belong to an earlier download.
    pub(crate) first_request: u32,
}

impl Update {
    /// Bytes from the start of the file that are in the slot.
    pub(crate) fn stored(&self) -> u32 {
        match &self.stage {
            Stage::Clearing | Stage::Preparing { .. } => 0,
            Stage::Fetching(window) => window.stored(),
            Stage::Streaming(stream) => stream.stored(),
            _ => self.target.size,
        }
    }

    /// What is reported as progress: 100 only when the image is installed.
    pub(crate) fn percent(&self) -> u8 {
        match &self.stage {
            Stage::Installed | Stage::Rebooting => 100,
            _ => self.target.percent(self.stored()),
        }
    }

    /// What must be remembered over a reboot, if anything.
    pub(crate) fn record(&self) -> Option<Record> {
        match self.stage {
            Stage::Clearing | Stage::Preparing { .. } | Stage::Installed | Stage::Rebooting => None,
            _ => {
                Some(Record { file: self.target.fingerprint, stored: self.stored() }).filter(|r| r.stored > 0)
            }
        }
    }

    /// Whether a reply belongs to this download: its token does or, if it has none, it answers one of the messages
    /// from the first of this download to the `last`.
    pub(crate) fn asked_for(&self, token: Option<RawStr<'_>>, request: Option<u32>, last: u32) -> bool {
        match token {
            Some(token) => token.eq_str(self.token().as_str()),
            None => request.is_some_and(|request| {
                request.wrapping_sub(self.first_request) <= last.wrapping_sub(self.first_request)
            }),
        }
    }

    /// What tells this download's blocks from those of others (docs/protocol.md 6.1, fileToken).
    pub(crate) fn token(&self) -> Text<16> {
        let [first, second] = self.target.fingerprint.token();
        Text::of(format_args!("{first:06x}{second:06x}"))
    }

    /// The stage in which the file comes, of which `from` bytes are stored.
    pub(crate) fn fetching(&self, config: &Config<'_>, from: u32) -> Stage {
        match self.target.origin {
            Origin::Blocks { .. } => {
                Stage::Fetching(Window::new(config.window, config.block, from, self.target.size))
            }
            Origin::Url(_) => Stage::Streaming(Stream::new(from, self.target.size)),
        }
    }

    /// The same file is offered again. If its stream has another number now, what the server says of requests by the
    /// old one, before `next_request`, does not count any more. If it comes another way now, it goes on that way.
    pub(crate) fn renew(&mut self, target: &Target, config: &Config<'_>, next_request: u32) {
        let before = core::mem::replace(&mut self.target, *target).origin;
        match (&mut self.stage, target.origin) {
            (Stage::Fetching(window), Origin::Blocks { .. }) if before != target.origin => {
                self.first_request = next_request;
                window.forget_replies();
            }
            (Stage::Fetching(_), Origin::Url(_)) | (Stage::Streaming(_), Origin::Blocks { .. }) => {
                self.first_request = next_request;
                self.stage = self.fetching(config, self.stored());
            }
            _ => {}
        }
    }

    /// Whether it is too late to stop: the image is being made the next to start.
    pub(crate) fn is_committed(&self) -> bool {
        matches!(self.stage, Stage::Installing { .. } | Stage::Installed | Stage::Rebooting)
    }

    /// Whether a file of the package is kept and the next one is not offered yet: another offer takes its place.
    pub(crate) fn is_between_files(&self) -> bool {
        matches!(self.stage, Stage::Next { .. })
    }

    /// Goes on to reading back once every byte is stored.
    pub(crate) fn check_if_complete(&mut self) {
        let is_complete = match &self.stage {
            Stage::Fetching(window) => window.is_complete(),
            Stage::Streaming(stream) => stream.is_complete(),
            _ => false,
        };
        if is_complete {
            let hasher = self.target.digest.hasher();
            self.stage = Stage::Verifying(Check { hasher, offset: 0, reading: false });
        }
    }
}
