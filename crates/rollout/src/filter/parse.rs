//! From text to filter.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::fmt;
use core::ops::Range;

use super::lex::{Placed, Token, lex};
use super::{
    Condition, Field, Filter, MAX_CONDITIONS, MAX_DEPTH, MAX_LENGTH, Moment, Order, Status, TimeField, time,
};

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The place of the first character of what is wrong, from 1.
    pub at: usize,
    /// What stands there: a part of the text in quotation marks, or words.
    pub found: String,
    /// What is allowed there.
    pub expected: &'static str,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: found {}, expected {}", self.at, self.found, self.expected)
    }
}

impl core::error::Error for FilterError {}

impl FilterError {
    pub(super) fn at(text: &str, place: Range<usize>, expected: &'static str) -> Self {
        let found = match &text[place.clone()] {
            "" => "the end".into(),
            part => format!("{part:?}"),
        };
        Self { at: text[..place.start].chars().count() + 1, found, expected }
    }

    fn too_much(n: usize, what: &str, expected: &'static str) -> Self {
        Self { at: 1, found: format!("{n} {what}"), expected }
    }
}

const CONDITION: &str =
    "a condition: name, enabled, status, lastSeen, created, tag.NAME, module.NAME, group, has, not or (";
const AFTER: &str = "and, or, or the end";
const AFTER_IN_PARENTHESES: &str = "and, or, or )";
const EQUALITY: &str = "=, !=, in or not in";
const EQUALITY_OR_LIKE: &str = "=, !=, in, not in, like or not like";
const VALUE: &str =
    "a value: a text in quotation marks, or a word that is none of and, or, not, in, has, like";
const PATTERN: &str = "a pattern for names, as lamp-*: letters, digits, -, _, @, ., :, and * or ?";
const STATUS: &str = "online, offline or neverConnected";
const BOOLEAN: &str = "true or false";
const MOMENT: &str =
    "a time: now, now-7d (s, m, h, d or w), or RFC 3339, as 2026-11-01T00:00:00Z, from 1970 to 9999";
const HAS: &str = "tag.NAME or module.NAME";
const PLAIN_NAME: &str = "1 to 64 letters, digits, ., _ or - after tag. or module.";

/// Words that stand for themselves only in quotation marks.
const RESERVED: [&str; 6] = ["and", "or", "not", "in", "has", "like"];

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let length = text.chars().count();
        if length > MAX_LENGTH {
            return Err(FilterError::too_much(length, "characters", "at most 4096 characters"));
        }
        let mut parser = Parser { text, tokens: lex(text)?, next: 0, depth: 0, conditions: 0 };
        let filter = parser.any_of()?;
        if parser.peek().is_some() {
            return Err(parser.wrong(AFTER));
        }
        Ok(filter)
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Placed<'a>>,
    next: usize,
    depth: usize,
    conditions: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.next).map(|placed| &placed.token)
    }

    /// The next token is not what it should be.
    fn wrong(&self, expected: &'static str) -> FilterError {
        let end = self.text.len();
        let place = self.tokens.get(self.next).map_or(end..end, |placed| placed.start..placed.end);
        FilterError::at(self.text, place, expected)
    }

    fn eats_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(s)) if *s == sign);
        self.next += usize::from(found);
        found
    }

    fn eats_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.next += usize::from(found);
        found
    }

    fn any_of(&mut self) -> Result<Filter, FilterError> {
        let mut all = vec![self.all_of()?];
        while self.eats_word("or") {
            all.push(self.all_of()?);
        }
        Ok(one_or(all, Filter::Or))
    }

    fn all_of(&mut self) -> Result<Filter, FilterError> {
        let mut all = vec![self.one()?];
        while self.eats_word("and") {
            all.push(self.one()?);
        }
        Ok(one_or(all, Filter::And))
    }

    fn one(&mut self) -> Result<Filter, FilterError> {
        let (start, not) = (self.next, self.eats_word("not"));
        if not || self.eats_sign("(") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                self.next = start;
                return Err(self.wrong("at most 16 parentheses and nots within each other"));
            }
            let inner = if not { self.one() } else { self.in_parentheses() }?;
            self.depth -= 1;
            return Ok(if not { Filter::Not(Box::new(inner)) } else { inner });
        }
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(self.wrong("at most 50 conditions"));
        }
        self.condition()
    }

    fn in_parentheses(&mut self) -> Result<Filter, FilterError> {
        let inner = self.any_of()?;
        if self.eats_sign(")") { Ok(inner) } else { Err(self.wrong(AFTER_IN_PARENTHESES)) }
    }

    fn condition(&mut self) -> Result<Filter, FilterError> {
        let Some(Token::Word(word)) = self.peek() else { return Err(self.wrong(CONDITION)) };
        let (word, place) = (*word, self.next);
        self.next += 1;
        let known = match &*word.to_ascii_lowercase() {
            "name" => return self.name(),
            "enabled" => return self.enabled(),
            "status" => return self.status(),
            "lastseen" => return self.time(TimeField::LastSeen),
            "created" => return self.time(TimeField::Created),
            "has" => return self.has(),
            "group" => Some(Field::Group),
            _ => None,
        };
        match known.map_or_else(|| self.named(word, place), |field| Ok(Some(field)))? {
            Some(field) => self.one_of(field, EQUALITY),
            None => {
                self.next = place;
                Err(self.wrong(CONDITION))
            }
        }
    }

    /// `tag.NAME` or `module.NAME`, the word at a place.
    fn named(&mut self, word: &str, place: usize) -> Result<Option<Field>, FilterError> {
        let Some((kind, name)) = word.split_once('.') else { return Ok(None) };
        let field = match &*kind.to_ascii_lowercase() {
            "tag" => Field::Tag(name.into()),
            "module" => Field::Module(name.into()),
            _ => return Ok(None),
        };
        if is_plain(name) {
            return Ok(Some(field));
        }
        self.next = place;
        Err(self.wrong(PLAIN_NAME))
    }

    fn name(&mut self) -> Result<Filter, FilterError> {
        let start = self.next;
        let not = self.eats_word("not");
        if !self.eats_word("like") {
            self.next = start;
            return self.one_of(Field::Name, EQUALITY_OR_LIKE);
        }
        let letter = |c: char| c.is_ascii_alphanumeric() || "-_@.:*?".contains(c);
        match self.value(PATTERN)? {
            pattern if !pattern.is_empty() && pattern.chars().all(letter) => {
                Ok(negated(Condition::Like(pattern), not))
            }
            _ => {
                self.next -= 1;
                Err(self.wrong(PATTERN))
            }
        }
    }

    fn one_of(&mut self, field: Field, operators: &'static str) -> Result<Filter, FilterError> {
        let (values, not) = self.comparison(operators, |parser| parser.value(VALUE))?;
        Ok(negated(Condition::OneOf { field, values }, not))
    }

    fn status(&mut self) -> Result<Filter, FilterError> {
        let (states, not) = self.comparison(EQUALITY, Self::state)?;
        Ok(negated(Condition::Status(states), not))
    }

    fn state(&mut self) -> Result<Status, FilterError> {
        let word = self.value(STATUS)?;
        let found = Status::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(&word));
        found.ok_or_else(|| {
            self.next -= 1;
            self.wrong(STATUS)
        })
    }

    fn enabled(&mut self) -> Result<Filter, FilterError> {
        let not = self.eats_sign("!=");
        if !not && !self.eats_sign("=") {
            return Err(self.wrong("= or !="));
        }
        let enabled = match () {
            () if self.eats_word("true") => true,
            () if self.eats_word("false") => false,
            () => return Err(self.wrong(BOOLEAN)),
        };
        Ok(negated(Condition::Enabled(enabled), not))
    }

    fn time(&mut self, field: TimeField) -> Result<Filter, FilterError> {
        let order = Order::ALL.into_iter().find(|order| self.eats_sign(order.as_str()));
        let Some(order) = order else { return Err(self.wrong("<, <=, > or >=")) };
        let at = self.moment()?;
        Ok(Filter::Is(Condition::Time { field, order, at }))
    }

    /// `now - 7d` may be written apart.
    fn moment(&mut self) -> Result<Moment, FilterError> {
        let start = self.next;
        let mut text = self.value(MOMENT)?;
        for (begun, next) in [("now", "-"), ("now-", "")] {
            if let Some(Token::Word(more)) = self.peek()
                && text.eq_ignore_ascii_case(begun)
                && more.starts_with(next)
            {
                text.push_str(more);
                self.next += 1;
            }
        }
        time::parse(&text).ok_or_else(|| {
            self.next = start;
            self.wrong(MOMENT)
        })
    }

    fn has(&mut self) -> Result<Filter, FilterError> {
        let place = self.next;
        let word = self.value(HAS)?;
        match self.named(&word, place)? {
            Some(Field::Tag(tag)) => Ok(Filter::Is(Condition::HasTag(tag))),
            Some(Field::Module(module)) => Ok(Filter::Is(Condition::HasModule(module))),
            _ => {
                self.next = place;
                Err(self.wrong(HAS))
            }
        }
    }

    /// An operator and its values, and whether it says that none of them is meant.
    fn comparison<T>(
        &mut self,
        operators: &'static str,
        value: impl Fn(&mut Self) -> Result<T, FilterError>,
    ) -> Result<(Vec<T>, bool), FilterError> {
        if self.eats_sign("=") {
            return Ok((vec![value(self)?], false));
        }
        if self.eats_sign("!=") {
            return Ok((vec![value(self)?], true));
        }
        let start = self.next;
        let not = self.eats_word("not");
        if !self.eats_word("in") {
            self.next = start;
            return Err(self.wrong(operators));
        }
        if !self.eats_sign("(") {
            return Err(self.wrong("( and values separated by commas"));
        }
        let mut values = vec![value(self)?];
        while self.eats_sign(",") {
            values.push(value(self)?);
        }
        if self.eats_sign(")") { Ok((values, not)) } else { Err(self.wrong(", or )")) }
    }

    fn value(&mut self, expected: &'static str) -> Result<String, FilterError> {
        let value = match self.peek() {
            Some(Token::Text(text)) => text.clone(),
            Some(Token::Word(word)) if !RESERVED.iter().any(|r| r.eq_ignore_ascii_case(word)) => {
                word.to_string()
            }
            _ => return Err(self.wrong(expected)),
        };
        self.next += 1;
        Ok(value)
    }
}

fn negated(condition: Condition, not: bool) -> Filter {
    let is = Filter::Is(condition);
    if not { Filter::Not(Box::new(is)) } else { is }
}

fn one_or(mut all: Vec<Filter>, of: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match all.pop() {
        Some(one) if all.is_empty() => one,
        Some(last) => {
            all.push(last);
            of(all)
        }
        None => of(all),
    }
}

/// As tags and modules are called.
fn is_plain(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(letter)
}
