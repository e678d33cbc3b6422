//! The filter language: which devices are meant, in words (docs/filters.md).
//!
//! [`Filter`] holds only what is valid. Its text and it are inverse: what [`Filter::parse`] read,
//! [`Display`](fmt::Display) writes so that it is read as the same. [`Filter::matches`] says what it means; the
//! store's SQL says the same.

mod facts;
mod lex;
mod parse;
mod time;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

pub use facts::Facts;
pub use parse::FilterError;

use crate::rows::Ms;

/// Longest text of a filter, in characters.
pub const MAX_LENGTH: usize = 4_096;
/// Deepest nesting of parentheses and `not`.
pub const MAX_DEPTH: usize = 16;
/// Most conditions of a filter.
pub const MAX_CONDITIONS: usize = 50;

/// Which devices are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those that each of two or more means.
    And(Vec<Filter>),
    /// Those that one of two or more means.
    Or(Vec<Filter>),
    /// The others.
    Not(Box<Filter>),
    /// Those that are so.
    Is(Condition),
}

/// Something that a device is or is not: there is no third.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A text is one of these.
    OneOf {
        /// Which text.
        field: Field,
        /// At least one.
        values: Vec<String>,
    },
    /// The name fits a pattern: `*` stands for any run of characters, `?` for one.
    Like(String),
    /// It is enabled, or not.
    Enabled(bool),
    /// It is in one of these states.
    Status(Vec<Status>),
    /// A time lies before or after another. A device without that time is not so.
    Time {
        /// Which time.
        field: TimeField,
        /// How it lies.
        order: Order,
        /// The other.
        at: Moment,
    },
    /// It has such a tag, whatever it says.
    HasTag(String),
    /// It has reported such a module, whatever its version.
    HasModule(String),
}

/// A text of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Its name.
    Name,
    /// What a tag says.
    Tag(String),
    /// The version of a module.
    Module(String),
    /// The name of a group it is a member of: any of them.
    Group,
}

/// Whether a device is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is connected.
    Online,
    /// It was connected.
    Offline,
    /// It never was.
    NeverConnected,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Online, Self::Offline, Self::NeverConnected];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::NeverConnected => "neverConnected",
        }
    }
}

/// A time of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeField {
    /// When it was last connected: now, as long as it is.
    LastSeen,
    /// When it was made.
    Created,
}

/// How two times lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `<`
    Before,
    /// `<=`
    NotAfter,
    /// `>`
    After,
    /// `>=`
    NotBefore,
}

impl Order {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::Before, Self::NotAfter, Self::After, Self::NotBefore];

    /// As it is written, here and in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "<",
            Self::NotAfter => "<=",
            Self::After => ">",
            Self::NotBefore => ">=",
        }
    }

    /// Whether `a` lies so to `b`.
    pub fn holds(self, a: Ms, b: Ms) -> bool {
        match self {
            Self::Before => a < b,
            Self::NotAfter => a <= b,
            Self::After => a > b,
            Self::NotBefore => a >= b,
        }
    }
}

/// A time to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This one.
    At(Ms),
    /// So long before now.
    Ago(Ms),
}

impl Moment {
    /// The time it is at `now`.
    pub const fn at(self, now: Ms) -> Ms {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.saturating_sub(ago),
        }
    }
}

impl Filter {
    /// What all must hold.
    pub fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::And(all) => all.iter().flat_map(Self::conjuncts).collect(),
            one => alloc::vec![one],
        }
    }

    /// Every condition in it.
    pub fn conditions(&self) -> Vec<&Condition> {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::conditions).collect(),
            Self::Not(not) => not.conditions(),
            Self::Is(condition) => alloc::vec![condition],
        }
    }

    /// The groups it names.
    pub fn groups(&self) -> Vec<&str> {
        let named = |condition| match condition {
            &Condition::OneOf { field: Field::Group, ref values } => values.as_slice(),
            _ => &[],
        };
        self.conditions().into_iter().flat_map(named).map(String::as_str).collect()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(all) => joined(f, all, " and ", |one| matches!(one, Self::And(_) | Self::Or(_))),
            Self::Or(all) => joined(f, all, " or ", |one| matches!(one, Self::Or(_))),
            Self::Is(condition) => condition.write(f, false),
            Self::Not(not) => match &**not {
                Self::Is(condition) => condition.write(f, true),
                Self::And(_) | Self::Or(_) => write!(f, "not ({not})"),
                Self::Not(_) => write!(f, "not {not}"),
            },
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    all: &[Filter],
    word: &str,
    nested: impl Fn(&Filter) -> bool,
) -> fmt::Result {
    for (n, one) in all.iter().enumerate() {
        f.write_str(if n > 0 { word } else { "" })?;
        if nested(one) { write!(f, "({one})")? } else { write!(f, "{one}")? }
    }
    Ok(())
}

impl Condition {
    fn write(&self, f: &mut fmt::Formatter<'_>, not: bool) -> fmt::Result {
        let (no, unequal) = if not { ("not ", "!") } else { ("", "") };
        match self {
            Self::OneOf { field, values } => {
                write!(f, "{field}")?;
                one_of(f, values.iter().map(|value| Quoted(value)), not)
            }
            Self::Status(states) => {
                f.write_str("status")?;
                one_of(f, states.iter().map(|status| status.as_str()), not)
            }
            Self::Like(pattern) => write!(f, "name {no}like {}", Quoted(pattern)),
            Self::Enabled(enabled) => write!(f, "enabled {unequal}= {enabled}"),
            Self::Time { field, order, at } => write!(f, "{no}{field} {} {at}", order.as_str()),
            Self::HasTag(tag) => write!(f, "{no}has tag.{tag}"),
            Self::HasModule(module) => write!(f, "{no}has module.{module}"),
        }
    }
}

fn one_of<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    mut values: impl ExactSizeIterator<Item = T>,
    not: bool,
) -> fmt::Result {
    if values.len() == 1 {
        return values.try_for_each(|value| write!(f, " {}= {value}", if not { "!" } else { "" }));
    }
    write!(f, " {}in (", if not { "not " } else { "" })?;
    for (n, value) in values.enumerate() {
        write!(f, "{}{value}", if n > 0 { ", " } else { "" })?;
    }
    f.write_str(")")
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("name"),
            Self::Tag(tag) => write!(f, "tag.{tag}"),
            Self::Module(module) => write!(f, "module.{module}"),
            Self::Group => f.write_str("group"),
        }
    }
}

impl fmt::Display for TimeField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::LastSeen { "lastSeen" } else { "created" })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => time::write(f, *at),
            Self::Ago(ago) => time::write_ago(f, *ago),
        }
    }
}

/// A text as it stands in a filter.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
