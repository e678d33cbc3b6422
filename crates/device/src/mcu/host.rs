//! The side that has the image.

use core::fmt;

use super::frame::{FRAME_SIZE, Reader};
use super::message::{Image, MAX_DATA, MAX_TEXT, Phase, Request, State};
use crate::text::Text;

/// Milliseconds to wait for the answer to a short request, and to one that erases flash or reads it all, before it is
/// sent again. A part that is busy for longer answers the repeated one.
const PATIENCE: (u64, u64) = (1_000, 3_000);

/// Milliseconds that a part may say nothing at all.
const SILENCE: u64 = 120_000;

/// Milliseconds to leave a part alone that has to start again first.
const RESTART: u64 = 500;

/// How many answers may come that bring the image no further, and in how many of them the part may say that it cannot.
const SETBACKS: u8 = 20;
const REFUSALS: u8 = 3;

/// Asks a part who is there, and passes an image on to it.
///
/// Call [`Host::poll`] until it says [`Output::Wait`] after bytes were handled and when the time it named has come. Times
/// are milliseconds of any clock that does not run backwards.
#[derive(Debug)]
pub struct Host<'a> {
    image: Option<(Image, &'a str)>,
    reader: Reader,
    step: Step,
    /// Number of the last request.
    number: u8,
    /// Whether it is without an answer.
    waiting: bool,
    /// When the next request is sent, whatever comes.
    due: u64,
    /// When the part was last heard.
    heard: Option<u64>,
    /// The next byte to send.
    offset: u32,
    /// The furthest it was; how many answers since then did not ask for a byte further on, and in how many of them the
    /// part said that it cannot.
    furthest: u32,
    setbacks: u8,
    refusals: u8,
    phase: Phase,
    text: Text<MAX_TEXT>,
    /// What it said last of something that failed.
    why: Text<MAX_TEXT>,
}

/// What is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Hello,
    Begin,
    Data,
    End,
    /// The application is to start.
    Start,
    Answered,
    Gone(Gone),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    Silent,
    Stuck,
    NotStarted,
    Other,
    Unreadable,
    LongVersion,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<'o> {
    /// Send these bytes.
    Send(&'o [u8]),
    /// Nothing until this time, or until bytes have come.
    Wait(u64),
    /// That was all.
    End(Event<'o>),
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'o> {
    /// The part answered; the text is its version if it runs. If an image was to be passed on, it runs that.
    Answered(Phase, &'o str),
    /// The image could not be passed on, or nobody is there.
    Failed(Failure<'o>),
}

/// Why nothing came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<'o> {
    /// No answer for two minutes.
    Silent,
    /// It does not get beyond this byte; what the part said of it last, or nothing.
    Stuck(u32, &'o str),
    /// The part has the whole image, and comes back to its loader again and again.
    NotStarted,
    /// The part took the image, and runs this version.
    OtherVersion(&'o str),
    /// The image could not be read.
    Unreadable,
    /// The version is longer than a part can say; nothing was sent.
    LongVersion,
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => write!(f, "the part did not answer for {} s", SILENCE / 1000),
            Self::Stuck(offset, "") => write!(f, "the part does not get beyond byte {offset} of the image"),
            Self::Stuck(offset, text) => {
                write!(f, "the part does not get beyond byte {offset} of the image: {text}")
            }
            Self::NotStarted => f.write_str("the part has the whole image, but does not start it"),
            Self::OtherVersion(version) => write!(f, "the part took the image and runs version {version}"),
            Self::Unreadable => f.write_str("the image for the part cannot be read"),
            Self::LongVersion => {
                write!(f, "the version is longer than the {MAX_TEXT} bytes that a part can say")
            }
        }
    }
}

impl<'a> Host<'a> {
    /// Asks who is there.
    pub fn ask() -> Self {
        Self {
            image: None,
            reader: Reader::new(),
            step: Step::Hello,
            number: 0,
            waiting: false,
            due: 0,
            heard: None,
            offset: 0,
            furthest: 0,
            setbacks: 0,
            refusals: 0,
            phase: Phase::Empty,
            text: Text::new(),
            why: Text::new(),
        }
    }

    /// Passes an image on, whose application says that it is of this version. A part that says so already is left
    /// alone; one that has a part of the image gets the rest. Ends at once if the version has more than [`MAX_TEXT`]
    /// bytes.
    pub fn pass_on(image: Image, version: &'a str) -> Self {
        let step = if version.len() > MAX_TEXT { Step::Gone(Gone::LongVersion) } else { Step::Hello };
        Self { image: Some((image, version)), step, ..Self::ask() }
    }

    /// Takes bytes that came.
    pub fn handle(&mut self, now: u64, bytes: &[u8]) {
        for byte in bytes {
            let message = self.reader.take(*byte).and_then(State::read);
            let Some((number, State { phase, offset, text })) = message else { continue };
            if self.waiting && number == self.number {
                (self.waiting, self.due, self.heard) = (false, now, Some(now));
                self.phase = phase;
                self.text = Text::of(text);
                if phase == Phase::Failed {
                    (self.why, self.refusals) = (self.text, self.refusals + 1);
                }
                let before = self.offset;
                let step = self.after(now, offset);
                self.count(self.step == Step::Data && self.offset > before);
                self.step = self.given_up(step).map_or(step, Step::Gone);
            }
        }
    }

    /// What comes after an answer.
    fn after(&mut self, now: u64, offset: u32) -> Step {
        let Some((image, version)) = self.image else { return Step::Answered };
        let same = self.text.as_str() == version;
        match (self.step, self.phase) {
            (Step::Hello | Step::Start, Phase::Running) if same => Step::Answered,
            (Step::Start, Phase::Running) => Step::Gone(Gone::Other),
            (Step::Begin | Step::Data | Step::End, Phase::Receiving) => {
                self.send_from(offset.min(image.size), image)
            }
            (Step::Begin | Step::End | Step::Start, Phase::Whole) => {
                self.due = now + RESTART;
                Step::Start
            }
            (Step::Begin, _) => {
                self.due = now + RESTART;
                Step::Begin
            }
            _ => Step::Begin,
        }
    }

    /// Whatever a part answers, it ends: an answer is either for a byte further on than the one before or one of a few
    /// setbacks. Only the furthest byte clears those: a part that lost its power has to come back to it first.
    fn count(&mut self, is_next: bool) {
        if self.offset > self.furthest {
            (self.furthest, self.setbacks, self.refusals) = (self.offset, 0, 0);
        } else if !is_next {
            self.setbacks += 1;
        }
    }

    /// Why it goes on no longer, with this step before it.
    fn given_up(&self, step: Step) -> Option<Gone> {
        match step {
            Step::Answered | Step::Gone(_) => None,
            _ if self.setbacks < SETBACKS && self.refusals < REFUSALS => None,
            Step::Start => Some(Gone::NotStarted),
            _ => Some(Gone::Stuck),
        }
    }

    fn send_from(&mut self, offset: u32, image: Image) -> Step {
        self.offset = offset;
        if offset == image.size { Step::End } else { Step::Data }
    }

    /// What to do now. `read` reads bytes of the image: from this offset, as many as the buffer has.
    pub fn poll<'o, E>(
        &'o mut self,
        now: u64,
        read: impl FnOnce(u32, &mut [u8]) -> Result<(), E>,
        out: &'o mut [u8; FRAME_SIZE],
    ) -> Output<'o> {
        if !self.is_over() && now < self.due {
            return Output::Wait(self.due);
        }
        let mut data = [0; MAX_DATA];
        match self.next(now, read, &mut data) {
            Some(request) => {
                let long = matches!(request, Request::Begin(_) | Request::End);
                self.due = now + if long { PATIENCE.1 } else { PATIENCE.0 };
                self.number = self.number.wrapping_add(1);
                self.waiting = true;
                Output::Send(request.write(self.number, out))
            }
            None => Output::End(self.end()),
        }
    }

    /// The next request, or `None` if it is over.
    fn next<'d, E>(
        &mut self,
        now: u64,
        read: impl FnOnce(u32, &mut [u8]) -> Result<(), E>,
        data: &'d mut [u8],
    ) -> Option<Request<'d>> {
        let heard = *self.heard.get_or_insert(now);
        match self.step {
            Step::Answered | Step::Gone(_) => return None,
            _ if now - heard >= SILENCE => self.step = Step::Gone(Gone::Silent),
            _ => {}
        }
        match (self.step, self.image) {
            (Step::Answered | Step::Gone(_), _) => None,
            (Step::Begin, Some((image, _))) => Some(Request::Begin(image)),
            (Step::Data, Some((image, _))) => {
                let data = &mut data[..MAX_DATA.min((image.size - self.offset) as usize)];
                if read(self.offset, data).is_err() {
                    self.step = Step::Gone(Gone::Unreadable);
                    return None;
                }
                Some(Request::Data { offset: self.offset, data })
            }
            (Step::End, _) => Some(Request::End),
            (Step::Hello | Step::Start | Step::Begin | Step::Data, _) => Some(Request::Hello),
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.step, Step::Answered | Step::Gone(_))
    }

    fn end(&self) -> Event<'_> {
        let text = self.text.as_str();
        let Step::Gone(gone) = self.step else { return Event::Answered(self.phase, text) };
        Event::Failed(match gone {
            Gone::Silent => Failure::Silent,
            Gone::Stuck => Failure::Stuck(self.furthest, self.why.as_str()),
            Gone::NotStarted => Failure::NotStarted,
            Gone::LongVersion => Failure::LongVersion,
            Gone::Other => Failure::OtherVersion(text),
            Gone::Unreadable => Failure::Unreadable,
        })
    }
}
