//! The side of the part: its loader, and its application.

use core::fmt::{self, Display};

use super::frame::{FRAME_SIZE, Reader};
use super::message::{Image, MAX_DATA, MAX_TEXT, Phase, Request, State};
use super::store::{Store, Stored};
use crate::text::Text;

/// What runs on a part until its image is whole and right.
///
/// A part switches on with it; if [`Loader::is_done`] it starts the application. That one is told by [`Application`]
/// when an image is to come, and then resets the part so that [`Loader::stay`] is called: a word in memory that a reset
/// leaves alone will do for that.
#[derive(Debug)]
pub struct Loader<S> {
    store: S,
    reader: Reader,
    /// The image is whole and right.
    right: bool,
    /// It is not started before it was asked for another one.
    stays: bool,
    why: Text<MAX_TEXT>,
}

impl<S: Store> Loader<S> {
    /// Looks whether the image is whole and its digest right: that reads it all.
    pub fn new(mut store: S) -> Self {
        let right = matches!(store.stored(), Stored::Whole(image) if is_right(&mut store, image));
        Self { store, reader: Reader::new(), right, stays: false, why: Text::new() }
    }

    /// As `new`, for an application that was asked to take an image: its own is not started before that has come, or
    /// was refused.
    pub fn stay(store: S) -> Self {
        Self { stays: true, ..Self::new(store) }
    }

    /// Whether the image is to be started, once everything handed out is sent.
    pub fn is_done(&self) -> bool {
        self.right && !self.stays
    }

    /// Gives the store back.
    pub fn into_store(self) -> S {
        self.store
    }

    /// Takes the next byte from the line; what is to be sent, if it ends a request.
    pub fn take<'o>(&mut self, byte: u8, out: &'o mut [u8; FRAME_SIZE]) -> Option<&'o [u8]> {
        let Self { store, reader, right, stays, why } = self;
        let (number, request) = reader.take(byte).and_then(Request::read)?;
        *why = carry_out(store, right, request).err().map(Text::of).unwrap_or_default();
        *right &= matches!(store.stored(), Stored::Whole(_));
        *stays &= !matches!(request, Request::Begin(_));
        let (phase, offset) = match store.stored() {
            _ if !why.as_str().is_empty() => (Phase::Failed, 0),
            Stored::Part(_, stored) => (Phase::Receiving, stored),
            Stored::Whole(_) if *right && !*stays => (Phase::Whole, 0),
            Stored::Nothing | Stored::Whole(_) => (Phase::Empty, 0),
        };
        Some(State { phase, offset, text: why.as_str() }.write(number, out))
    }
}

/// Why a request was not carried out.
enum Refusal<E> {
    Store(E),
    Digest,
    TooMuch { size: u32 },
}

impl<E: Display> Display for Refusal<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Digest => f.write_str("the digest of what came is wrong"),
            Self::TooMuch { size } => write!(f, "more came than the {size} bytes that were announced"),
        }
    }
}

fn carry_out<S: Store>(
    store: &mut S,
    right: &mut bool,
    request: Request<'_>,
) -> Result<(), Refusal<S::Error>> {
    match (request, store.stored()) {
        (Request::Begin(image), Stored::Part(begun, _)) if begun == image => Ok(()),
        (Request::Begin(image), Stored::Whole(whole)) if *right && whole == image => Ok(()),
        (Request::Begin(image), _) => store.begin(image).map_err(Refusal::Store),
        (Request::Data { offset, data }, Stored::Part(image, stored)) if offset == stored => {
            if stored.checked_add(data.len() as u32).is_none_or(|end| end > image.size) {
                return Err(Refusal::TooMuch { size: image.size });
            }
            store.write(data).map_err(Refusal::Store)
        }
        (Request::End, Stored::Part(image, stored)) if stored == image.size => {
            if !is_right(store, image) {
                store.begin(image).map_err(Refusal::Store)?;
                return Err(Refusal::Digest);
            }
            store.finish().map_err(Refusal::Store)?;
            *right = true;
            Ok(())
        }
        // Something said before, whose answer was lost: the state says where it stands.
        (Request::Hello | Request::Data { .. } | Request::End, _) => Ok(()),
    }
}

/// Reads the whole image; one that cannot be read is not right.
fn is_right<S: Store>(store: &mut S, image: Image) -> bool {
    let mut hasher = image.digest.hasher();
    let mut buffer = [0; MAX_DATA];
    for offset in (0..image.size).step_by(MAX_DATA) {
        let part = &mut buffer[..MAX_DATA.min((image.size - offset) as usize)];
        if store.read(offset, part).is_err() {
            return false;
        }
        hasher.update(part);
    }
    hasher.matches(&image.digest)
}

/// What a part's application says of itself on the line.
#[derive(Debug)]
pub struct Application {
    version: Text<MAX_TEXT>,
    reader: Reader,
    wanted: bool,
}

impl Application {
    /// An application of this version, of which [`MAX_TEXT`] bytes are told.
    pub fn new(version: impl Display) -> Self {
        Self { version: Text::of(version), reader: Reader::new(), wanted: false }
    }

    /// Whether an image is to come: the part is to start again with [`Loader::stay`].
    pub fn is_update_wanted(&self) -> bool {
        self.wanted
    }

    /// Takes the next byte from the line; what is to be sent, if it ends a request.
    pub fn take<'o>(&mut self, byte: u8, out: &'o mut [u8; FRAME_SIZE]) -> Option<&'o [u8]> {
        let (number, request) = self.reader.take(byte).and_then(Request::read)?;
        self.wanted |= matches!(request, Request::Begin(_));
        Some(State { phase: Phase::Running, offset: 0, text: self.version.as_str() }.write(number, out))
    }
}
