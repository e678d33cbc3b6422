//! Groups: devices under one name.

use std::collections::BTreeSet;

use rollout::{EventKind, Id, Job, JobKind, Product, Scope};
use store::devices::Filter;
use store::groups::Group;
use store::modules::Creation;
use store::{Selection, Slice, Tx};

use super::bulk::{Bulk, CHUNK, Refused, check_length, csv_invalid, sheet};
use super::devices::unknown_device;
use super::filters::selection_in;
use super::{Paging, failed, product_in};
use crate::Server;
use crate::core::Unit;
use crate::error::OrderError;
use crate::ids::IdKind;

/// What a new group is made of.
#[derive(Clone, Debug, Default)]
pub struct NewGroup {
    /// 1 to 64 characters, unique in the product.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// Who is in it; without it, those that are added.
    pub filter: Option<String>,
}

/// What to change of a group.
#[derive(Clone, Debug, Default)]
pub struct GroupChange {
    /// What it is.
    pub description: Option<String>,
    /// Who is in it.
    pub filter: Option<String>,
}

/// Devices to add to a group, or to take out of it.
#[derive(Clone, Debug)]
pub enum Members {
    /// These: lines of a file or places in a list, from 1, with names.
    Named(Vec<(u64, String)>),
    /// Those that a filter means now.
    Meant(String),
}

/// Whether devices come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// They are added.
    Join,
    /// They are taken out.
    Leave,
}

/// Most groups of a product.
pub const MOST_GROUPS: u32 = 1_000;
/// Members that are taken out in one transaction when their group is removed.
const CLEARED_AT_ONCE: u32 = 2_000;

/// Reads the names of devices from a CSV file with a column `deviceName`; others are passed over.
pub fn csv_members(file: &[u8]) -> Result<Members, OrderError> {
    let rows = sheet(file)?.rows;
    if rows.iter().any(|(_, name, _)| name.contains('\0')) {
        return Err(csv_invalid("it holds the character NUL"));
    }
    Ok(Members::Named(rows.into_iter().map(|(line, name, _)| (line, name)).collect()))
}

impl Server {
    /// Makes a group.
    pub async fn create_group(&self, product_key: &str, new: NewGroup) -> Result<Group, OrderError> {
        let write = failed("make a group");
        check_name(&new.name)?;
        check_description(new.description.as_ref())?;
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        if let Some(filter) = &new.filter {
            selection_in(&mut unit.tx, &product, filter, unit.now).await?;
        }
        let group = Group {
            id: self.core.next_id(),
            product_id: product.id,
            name: new.name,
            description: new.description,
            filter: new.filter,
            members: 0,
            created_at: unit.now,
        };
        let name = group.name.as_str();
        match store::groups::create(&mut unit.tx, &group, MOST_GROUPS).await.map_err(&write)? {
            Creation::Created => {}
            Creation::Taken => {
                let text = format!("the product {product_key:?} already has a group {name:?}");
                return Err(OrderError::conflict("groupTaken", text).with("group", name));
            }
            Creation::TooMany => {
                let text = format!("the product {product_key:?} already has {MOST_GROUPS} groups");
                return Err(OrderError::conflict("tooManyGroups", text).with("most", MOST_GROUPS));
            }
        }
        unit.told(product.id, None, None, EventKind::GroupCreated { group: group.name.clone() });
        unit.finish().await?;
        Ok(group)
    }

    /// The groups of a product by name.
    pub async fn groups(
        &self,
        product_key: &str,
        paging: Paging<&str>,
    ) -> Result<Slice<Group, String>, OrderError> {
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?;
        let found = store::groups::list(&mut tx, product.id, paging.after, paging.limit).await;
        found.map_err(failed("read groups"))
    }

    /// One group.
    pub async fn group(&self, product_key: &str, name: &str) -> Result<Group, OrderError> {
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?;
        group_in(&mut tx, &product, name).await
    }

    /// Changes what a group is, or the filter of one that has one; unless `check` refuses the group as it is.
    pub async fn change_group(
        &self,
        product_key: &str,
        name: &str,
        change: GroupChange,
        check: impl FnOnce(&Group) -> Result<(), OrderError> + Send,
    ) -> Result<Group, OrderError> {
        check_description(change.description.as_ref())?;
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        let mut group = group_in(&mut unit.tx, &product, name).await?;
        check(&group)?;
        if let Some(filter) = &change.filter {
            if group.filter.is_none() {
                let text = format!(
                    "the group {name:?} holds the devices that were added to it and takes no filter; make another group for the filter"
                );
                return Err(OrderError::conflict("groupHasMembers", text).with("group", name));
            }
            selection_in(&mut unit.tx, &product, filter, unit.now).await?;
        }
        group.filter = change.filter.or(group.filter);
        group.description = change.description.or(group.description);
        store::groups::update(&mut unit.tx, &group).await.map_err(failed("change a group"))?;
        unit.told(product.id, None, None, EventKind::GroupChanged { group: name.to_owned() });
        unit.finish().await?;
        Ok(group)
    }

    /// Removes a group; its devices stay. Members are taken out in short chunks before.
    pub async fn remove_group(&self, product_key: &str, name: &str) -> Result<(), OrderError> {
        let write = failed("remove a group");
        loop {
            let mut unit = self.begin().await?;
            let product = product_in(&mut unit.tx, product_key).await?;
            let group = group_in(&mut unit.tx, &product, name).await?;
            check_unnamed(&mut unit.tx, &product, name).await?;
            check_no_policy(&mut unit.tx, &group).await?;
            let some = store::groups::some_members(&mut unit.tx, group.id, CLEARED_AT_ONCE).await;
            let some = some.map_err(&write)?;
            if some.is_empty() {
                store::groups::delete(&mut unit.tx, group.id).await.map_err(&write)?;
                unit.told(product.id, None, None, EventKind::GroupRemoved { group: group.name });
                return unit.finish().await;
            }
            let ids: Vec<Id> = some.iter().map(|(id, _)| *id).collect();
            store::devices::lock(&mut unit.tx, &ids).await.map_err(&write)?;
            store::groups::lock(&mut unit.tx, group.id).await.map_err(&write)?;
            unit.move_members(&group, &some, Membership::Leave).await?;
            unit.finish().await?;
        }
    }

    /// Adds devices to a group, or takes them out of it.
    pub async fn change_members(
        &self,
        product_key: &str,
        name: &str,
        members: Members,
        way: Membership,
    ) -> Result<Bulk, OrderError> {
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?;
        let group = group_in(&mut tx, &product, name).await?;
        if let Some(filter) = &group.filter {
            let text = format!(
                "the group {name:?} holds the devices that its filter means, {filter:?}; change the filter instead"
            );
            return Err(OrderError::conflict("groupHasFilter", text).with("group", name));
        }
        match members {
            Members::Named(named) => {
                drop(tx);
                self.change_named(&product, &group, &named, way).await
            }
            Members::Meant(filter) => {
                let selection = selection_in(&mut tx, &product, &filter, self.core.now()).await?;
                drop(tx);
                self.change_meant(&product, &group, selection, way).await
            }
        }
    }

    async fn change_named(
        &self,
        product: &Product,
        group: &Group,
        named: &[(u64, String)],
        way: Membership,
    ) -> Result<Bulk, OrderError> {
        check_length(named.len())?;
        let mut done = Bulk::default();
        for chunk in named.chunks(CHUNK) {
            let mut unit = self.begin().await?;
            unit.member_chunk(product, group, chunk, way, &mut done).await?;
            unit.finish().await?;
        }
        Ok(done)
    }

    async fn change_meant(
        &self,
        product: &Product,
        group: &Group,
        selection: Selection,
        way: Membership,
    ) -> Result<Bulk, OrderError> {
        let filter = Filter { selection: Some(selection), ..Filter::default() };
        let (mut done, mut after) = (Bulk::default(), None::<String>);
        loop {
            let mut tx = self.read().await?;
            let page =
                store::devices::list(&mut tx, product.id, &filter, after.as_deref(), CHUNK as u32).await;
            let page = page.map_err(failed("read devices"))?;
            drop(tx);
            let names: Vec<_> = page.items.into_iter().map(|view| (0, view.device.name)).collect();
            if !names.is_empty() {
                let mut unit = self.begin().await?;
                unit.member_chunk(product, group, &names, way, &mut done).await?;
                unit.finish().await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(done);
            }
        }
    }
}

impl Unit {
    async fn member_chunk(
        &mut self,
        product: &Product,
        group: &Group,
        named: &[(u64, String)],
        way: Membership,
        done: &mut Bulk,
    ) -> Result<(), OrderError> {
        let write = failed("change the members of a group");
        let names: Vec<String> = named.iter().map(|(_, name)| name.clone()).collect();
        let ids = store::devices::ids_of(&mut self.tx, product.id, &names).await.map_err(&write)?;
        let devices: Vec<Id> = ids.values().copied().collect();
        store::devices::lock(&mut self.tx, &devices).await.map_err(&write)?;
        if store::groups::lock(&mut self.tx, group.id).await.map_err(&write)?.is_none() {
            return Err(unknown_group(product, &group.name));
        }
        let members: Vec<(Id, String)> = ids.iter().map(|(name, id)| (*id, name.clone())).collect();
        let moved = self.move_members(group, &members, way).await?;
        let mut found = 0;
        for (line, device_name) in named {
            if ids.contains_key(device_name) {
                found += 1;
                continue;
            }
            let error = unknown_device(&product.product_key, device_name);
            done.refused.push(Refused { line: *line, device_name: device_name.clone(), error });
        }
        done.changed += moved;
        done.unchanged += found - moved;
        Ok(())
    }

    /// Adds devices to a locked group or takes them out of it, and tells so; gives how many it was.
    async fn move_members(
        &mut self,
        group: &Group,
        members: &[(Id, String)],
        way: Membership,
    ) -> Result<usize, OrderError> {
        let write = failed("change the members of a group");
        let moved: BTreeSet<Id> = match way {
            Membership::Join => store::groups::add(&mut self.tx, group.id, members).await,
            Membership::Leave => {
                let ids: Vec<Id> = members.iter().map(|(id, _)| *id).collect();
                store::groups::remove(&mut self.tx, group.id, &ids).await
            }
        }
        .map_err(write)?;
        for device in &moved {
            let group_name = group.name.clone();
            let kind = match way {
                Membership::Join => EventKind::GroupJoined { group: group_name },
                Membership::Leave => EventKind::GroupLeft { group: group_name },
            };
            self.told(group.product_id, Some(*device), None, kind);
        }
        Ok(moved.len())
    }
}

/// A group of a product.
pub(super) async fn group_in(tx: &mut Tx, product: &Product, name: &str) -> Result<Group, OrderError> {
    let found = store::groups::get(tx, product.id, name).await.map_err(failed("read groups"))?;
    found.ok_or_else(|| unknown_group(product, name))
}

fn unknown_group(product: &Product, name: &str) -> OrderError {
    let text = format!("the product {:?} has no group {name:?}", product.product_key);
    OrderError::not_found("groupNotFound", text).with("group", name)
}

/// No filter of another group names this one.
async fn check_unnamed(tx: &mut Tx, product: &Product, name: &str) -> Result<(), OrderError> {
    let all = store::groups::list(tx, product.id, None, MOST_GROUPS).await.map_err(failed("read groups"))?;
    let names = |group: &Group| group.filter.as_ref().is_some_and(|filter| filter_names(filter, name));
    match all.items.into_iter().find(names) {
        None => Ok(()),
        Some(other) => {
            let text = format!(
                "the filter of the group {:?} names the group {name:?}; change that filter or remove that group first",
                other.name
            );
            Err(OrderError::conflict("groupInUse", text).with("group", name).with("by", other.name))
        }
    }
}

/// No dynamic job takes devices by this group.
async fn check_no_policy(tx: &mut Tx, group: &Group) -> Result<(), OrderError> {
    let jobs = store::jobs::open_of(tx, group.product_id).await.map_err(failed("read jobs"))?;
    let by_it = |job: &&Job| match &job.scope {
        Scope::Group { group: id, .. } => *id == group.id,
        Scope::Filter { filter } => filter_names(filter, &group.name),
        Scope::All | Scope::Named | Scope::Percent { .. } => false,
    };
    let mut policies = jobs.iter().filter(|job| job.kind == JobKind::Dynamic && job.closed_at.is_none());
    match policies.find(by_it) {
        None => Ok(()),
        Some(job) => {
            let id = IdKind::Job.text(job.id);
            let text = format!(
                "the dynamic job {id} takes devices by the group {:?}; close it or change its scope first",
                group.name
            );
            Err(OrderError::conflict("groupInUse", text).with("group", group.name.as_str()).with("by", id))
        }
    }
}

fn filter_names(filter: &str, group: &str) -> bool {
    rollout::filter::Filter::parse(filter).is_ok_and(|filter| filter.groups().contains(&group))
}

fn check_name(name: &str) -> Result<(), OrderError> {
    let length = (1..=64).contains(&name.chars().count());
    if length && name.trim() == name && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let text = format!(
        "the group name {name:?} is not allowed: 1 to 64 characters, no blank at either end, none of them a control character"
    );
    Err(OrderError::invalid("groupNameInvalid", text).with("group", name))
}

fn check_description(text: Option<&String>) -> Result<(), OrderError> {
    if text.is_none_or(|t| t.chars().count() <= 200 && !t.chars().any(char::is_control)) {
        return Ok(());
    }
    let text = "the description is not allowed: at most 200 characters, none of them a control character";
    Err(OrderError::invalid("groupTextInvalid", text).with("field", "description"))
}
