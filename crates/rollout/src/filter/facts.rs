//! What a filter means.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use super::{Condition, Field, Filter, Status, TimeField};
use crate::rows::{Device, Ms};

/// What a filter asks of a device.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its row.
    pub device: &'a Device,
    /// Whether it is connected.
    pub online: bool,
    /// Its tags.
    pub tags: &'a BTreeMap<String, String>,
    /// Its modules' versions.
    pub versions: &'a BTreeMap<String, String>,
    /// The names of the groups it is a member of.
    pub groups: &'a BTreeSet<String>,
}

impl Facts<'_> {
    fn status(&self) -> Status {
        match self.device.first_online_at {
            _ if self.online => Status::Online,
            Some(_) => Status::Offline,
            None => Status::NeverConnected,
        }
    }

    fn time(&self, field: TimeField, now: Ms) -> Option<Ms> {
        match field {
            TimeField::Created => Some(self.device.created_at),
            TimeField::LastSeen if self.online => Some(now),
            TimeField::LastSeen => self.device.last_offline_at.or(self.device.last_online_at),
        }
    }

    fn is_one_of(&self, field: &Field, values: &[String]) -> bool {
        let any = |text: Option<&String>| text.is_some_and(|text| values.contains(text));
        match field {
            Field::Name => any(Some(&self.device.name)),
            Field::Tag(tag) => any(self.tags.get(tag)),
            Field::Module(module) => any(self.versions.get(module)),
            Field::Group => values.iter().any(|group| self.groups.contains(group)),
        }
    }

    fn are(&self, condition: &Condition, now: Ms) -> bool {
        match condition {
            Condition::OneOf { field, values } => self.is_one_of(field, values),
            Condition::Like(pattern) => fits(pattern.as_bytes(), self.device.name.as_bytes()),
            Condition::Enabled(enabled) => self.device.enabled == *enabled,
            Condition::Status(states) => states.contains(&self.status()),
            Condition::Time { field, order, at } => {
                self.time(*field, now).is_some_and(|time| order.holds(time, at.at(now)))
            }
            Condition::HasTag(tag) => self.tags.contains_key(tag),
            Condition::HasModule(module) => self.versions.contains_key(module),
        }
    }
}

impl Filter {
    /// Whether a device is meant.
    pub fn matches(&self, facts: &Facts<'_>, now: Ms) -> bool {
        match self {
            Self::And(all) => all.iter().all(|one| one.matches(facts, now)),
            Self::Or(all) => all.iter().any(|one| one.matches(facts, now)),
            Self::Not(not) => !not.matches(facts, now),
            Self::Is(condition) => facts.are(condition, now),
        }
    }
}

/// Whether a name fits a pattern, in steps as many as the product of their lengths at most. Both are ASCII.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                // The last star takes one character more.
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}
