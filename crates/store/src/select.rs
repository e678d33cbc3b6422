//! Filters as SQL, and the ways to the devices they mean.

use std::collections::{BTreeMap, BTreeSet};

use rollout::filter::{Condition, Field, Filter, Order, Status, TimeField};
use rollout::{Id, Ms};

use crate::Error;
use crate::sql::{Dialect, Tx, Val};

/// A filter with what its words stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Which devices are meant.
    pub filter: Filter,
    /// The groups it names, of devices that were added. One that is not here has no members.
    pub groups: BTreeMap<String, Id>,
    /// What it takes for now.
    pub now: Ms,
}

/// A part of a statement with its parameters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    pub(crate) sql: String,
    pub(crate) args: Vec<Val>,
}

impl Part {
    fn push(&mut self, sql: &str, args: impl IntoIterator<Item = Val>) {
        self.sql.push_str(sql);
        self.args.extend(args);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sql.is_empty()
    }

    /// Goes on with ` and …`.
    pub(crate) fn and(&mut self, sql: &str, args: impl IntoIterator<Item = Val>) {
        self.push(" and ", []);
        self.push(sql, args);
    }

    pub(crate) fn and_part(&mut self, part: Part) {
        self.and(&part.sql, part.args);
    }

    fn one_of(&mut self, column: &str, values: &[String]) {
        let marks = vec!["?"; values.len()].join(", ");
        self.push(&format!("{column} in ({marks})"), values.iter().map(|v| v.as_str().into()));
    }
}

impl Selection {
    /// Those that both mean.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.groups.extend(other.groups);
        Self { filter: Filter::And(vec![self.filter, other.filter]), ..self }
    }

    /// What holds of a row of `device` that is meant: true or false, never NULL.
    pub(crate) fn condition(&self, dialect: Dialect) -> Part {
        let mut part = Part::default();
        self.write(&self.filter, dialect, &mut part);
        part
    }

    fn write(&self, filter: &Filter, dialect: Dialect, part: &mut Part) {
        match filter {
            Filter::And(all) => self.write_all(all, " and ", dialect, part),
            Filter::Or(all) => self.write_all(all, " or ", dialect, part),
            Filter::Not(not) => {
                part.push("not ", []);
                self.write_all(std::slice::from_ref(not), "", dialect, part);
            }
            Filter::Is(condition) => self.write_one(condition, dialect, part),
        }
    }

    fn write_all(&self, all: &[Filter], between: &str, dialect: Dialect, part: &mut Part) {
        part.push("(", []);
        for (n, one) in all.iter().enumerate() {
            part.push(if n > 0 { between } else { "" }, []);
            self.write(one, dialect, part);
        }
        part.push(")", []);
    }

    fn write_one(&self, condition: &Condition, dialect: Dialect, part: &mut Part) {
        match condition {
            Condition::OneOf { field, values } => self.write_one_of(field, values, part),
            Condition::Like(pattern) => {
                let (sql, pattern) = dialect.like("device.name", pattern);
                part.push(&sql, [pattern.into()]);
            }
            Condition::Enabled(enabled) => part.push("device.enabled = ?", [(*enabled).into()]),
            Condition::Status(states) => {
                let states: Vec<&str> = states.iter().map(|status| status_sql(*status)).collect();
                part.push(&format!("({})", states.join(" or ")), []);
            }
            Condition::Time { field: TimeField::Created, order, at } => {
                part.push(&format!("device.created_at {} ?", order.as_str()), [at.at(self.now).into()]);
            }
            Condition::Time { field: TimeField::LastSeen, order, at } => {
                self.write_last_seen(*order, at.at(self.now), part);
            }
            Condition::HasTag(tag) => {
                let sql = "exists (select 1 from device_tag t where t.device_id = device.id and t.name = ?)";
                part.push(sql, [tag.as_str().into()]);
            }
            Condition::HasModule(module) => {
                let sql =
                    "exists (select 1 from module_version m where m.device_id = device.id and m.module = ?)";
                part.push(sql, [module.as_str().into()]);
            }
        }
    }

    fn write_one_of(&self, field: &Field, values: &[String], part: &mut Part) {
        match field {
            Field::Name => part.one_of("device.name", values),
            Field::Tag(tag) => {
                let sql =
                    "exists (select 1 from device_tag t where t.device_id = device.id and t.name = ? and ";
                part.push(sql, [tag.as_str().into()]);
                part.one_of("t.value", values);
                part.push(")", []);
            }
            Field::Module(module) => {
                let sql = "exists (select 1 from module_version m where m.device_id = device.id and m.module = ? and ";
                part.push(sql, [module.as_str().into()]);
                part.one_of("m.version", values);
                part.push(")", []);
            }
            Field::Group => {
                let ids: BTreeSet<Id> =
                    values.iter().filter_map(|name| self.groups.get(name)).copied().collect();
                let marks = if ids.is_empty() { "null".into() } else { vec!["?"; ids.len()].join(", ") };
                let sql = format!(
                    "exists (select 1 from group_member g where g.group_id in ({marks}) and g.device_id = device.id)"
                );
                part.push(&sql, ids.into_iter().map(Val::from));
            }
        }
    }

    /// Who is connected is seen now, and who never was is not so.
    fn write_last_seen(&self, order: Order, at: Ms, part: &mut Part) {
        let sign = order.as_str();
        let here = if order.holds(self.now, at) { "device.online = 1 or" } else { "" };
        let seen = "coalesce(device.last_offline_at, device.last_online_at)";
        let sql = format!("({here} device.online = 0 and {seen} is not null and {seen} {sign} ?)");
        part.push(&sql, [at.into()]);
    }
}

fn status_sql(status: Status) -> &'static str {
    match status {
        Status::Online => "device.online = 1",
        Status::Offline => "device.online = 0 and device.first_online_at is not null",
        Status::NeverConnected => "device.online = 0 and device.first_online_at is null",
    }
}

/// Where devices are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Among all of a product.
    All,
    /// Among those that a filter means.
    Meant(Selection),
    /// Among those that were added to a group.
    Members(Id),
    /// Among those that a job names.
    Named(Id),
}

impl Whom {
    /// The way through them in the order of their numbers, past those no job but one that names them takes.
    pub(crate) fn walk(&self, product: Id) -> Walk {
        match self {
            Self::All | Self::Meant(_) => Walk {
                condition: Part {
                    sql: format!("device.product_id = ? and {TAKEN}"),
                    args: vec![product.into()],
                },
                ..Walk::along("device", "device.id")
            },
            Self::Members(group) => Walk::of_group(*group, "k.device_id"),
            Self::Named(job) => Walk {
                condition: Part { sql: "k.job_id = ?".into(), args: vec![(*job).into()] },
                ..Walk::along("job_target k", "k.device_id")
            },
        }
    }

    /// What more must hold of a device on the way.
    pub(crate) fn condition(&self, dialect: Dialect) -> Part {
        let mut part = Part::default();
        match self {
            Self::All | Self::Named(_) => {}
            Self::Meant(selection) => part.and_part(selection.condition(dialect)),
            Self::Members(_) => part.and(TAKEN, []),
        }
        part
    }

    /// All of them, those too that a job would leave out: tables, and what holds of their rows.
    pub(crate) fn all(&self, product: Id, dialect: Dialect) -> (String, Part) {
        match self {
            Self::All => Walk::by_name(product, None).all(Part::default()),
            Self::Meant(selection) => {
                let mut part = Part::default();
                part.and_part(selection.condition(dialect));
                Walk::by_name(product, Some(selection)).all(part)
            }
            Self::Members(_) | Self::Named(_) => self.walk(product).all(Part::default()),
        }
    }

    /// Those of a few devices that are found here.
    pub(crate) async fn among(&self, tx: &mut Tx, devices: &[Id]) -> Result<Vec<Id>, Error> {
        let (any, args) = tx.dialect.any(devices);
        let mut part = match self {
            Self::All | Self::Meant(_) => {
                Part { sql: format!("select device.id from device where device.id {any}"), args }
            }
            Self::Members(group) => {
                let sql =
                    format!("select device_id from group_member where device_id {any} and group_id = ?");
                Part { sql, args: [args, vec![(*group).into()]].concat() }
            }
            Self::Named(job) => {
                let sql = format!("select device_id from job_target where device_id {any} and job_id = ?");
                Part { sql, args: [args, vec![(*job).into()]].concat() }
            }
        };
        if let Self::Meant(selection) = self {
            part.and_part(selection.condition(tx.dialect));
        }
        tx.rows(part.sql, part.args).await?.iter().map(|row| row.get(0)).collect()
    }
}

/// Whom a job takes that does not name its devices: the words of the index `device_enrol`.
const TAKEN: &str = "device.first_online_at is not null and device.enabled = 1";

/// A way along an index: it leads past every device that is meant, and past as few others as an index allows.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The table of the index; beside `device` it is called `k`.
    table: &'static str,
    /// What it is ordered by.
    key: &'static str,
    /// Which part of it is walked.
    condition: Part,
}

impl Walk {
    fn along(table: &'static str, key: &'static str) -> Self {
        Self { table, key, condition: Part::default() }
    }

    /// The way through those that were added to a group.
    fn of_group(group: Id, key: &'static str) -> Self {
        let condition = Part { sql: "k.group_id = ?".into(), args: vec![group.into()] };
        Self { condition, ..Self::along("group_member k", key) }
    }

    /// The way through the devices of a product in the order of their names.
    pub(crate) fn by_name(product: Id, selection: Option<&Selection>) -> Self {
        let conjuncts = selection.map(|s| s.filter.conjuncts()).unwrap_or_default();
        let mut walk = selection
            .and_then(|s| s.group_walk(&conjuncts))
            .or_else(|| tag_walk(product, &conjuncts))
            .unwrap_or_else(|| product_walk(product, &conjuncts));
        for conjunct in conjuncts {
            walk.narrow(conjunct);
        }
        walk
    }

    /// Keeps to the names that a condition allows.
    fn narrow(&mut self, conjunct: &Filter) {
        match conjunct {
            Filter::Is(Condition::OneOf { field: Field::Name, values }) => {
                if let (Some(first), Some(last)) = (values.iter().min(), values.iter().max()) {
                    self.keep(">=", first.as_str());
                    self.to(last.as_str());
                }
            }
            Filter::Is(Condition::Like(pattern)) => {
                self.begins(pattern.split(['*', '?']).next().unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Keeps to names that begin so.
    pub(crate) fn begins(&mut self, prefix: &str) {
        if !prefix.is_empty() {
            self.keep(">=", prefix);
            self.to(format!("{prefix}{}", char::MAX));
        }
    }

    /// Keeps to what comes up to this one.
    pub(crate) fn to(&mut self, key: impl Into<Val>) {
        self.keep("<=", key);
    }

    /// Keeps to what comes after this one.
    pub(crate) fn after(&mut self, key: impl Into<Val>) {
        self.keep(">", key);
    }

    /// What it is ordered by.
    pub(crate) fn key(&self) -> &'static str {
        self.key
    }

    fn keep(&mut self, sign: &str, key: impl Into<Val>) {
        self.condition.and(&format!("{} {sign} ?", self.key), [key.into()]);
    }

    /// The key that lies `steps` ahead, if there are so many.
    pub(crate) async fn ahead<K: crate::sql::Field>(
        &self,
        tx: &mut Tx,
        steps: u32,
    ) -> Result<Option<K>, Error> {
        let Self { table, key, condition: Part { sql, args } } = self;
        let sql = format!("select {key} from {table} where {sql} order by {key} limit 1 offset ?");
        let args = [args.clone(), vec![i64::from(steps.saturating_sub(1)).into()]].concat();
        tx.row(sql, args).await?.map(|row| row.get(0)).transpose()
    }

    /// The tables of the way, and what holds of its rows.
    fn all(self, more: Part) -> (String, Part) {
        let Self { table, mut condition, .. } = self;
        // A cross join keeps SQLite to the order of the tables.
        let device = if table == "device" { "" } else { " cross join device" };
        if !device.is_empty() {
            condition.and("device.id = k.device_id", []);
        }
        condition.push(&more.sql, more.args);
        (format!("{table}{device}"), condition)
    }

    /// The first devices on the way for which `more` holds.
    pub(crate) fn first(self, columns: &str, more: Part, limit: u32) -> (String, Vec<Val>) {
        let key = self.key;
        let (from, Part { sql, mut args }) = self.all(more);
        args.push(i64::from(limit).into());
        (format!("select {columns} from {from} where {sql} order by {key} limit ?"), args)
    }
}

impl Selection {
    fn group_walk(&self, conjuncts: &[&Filter]) -> Option<Walk> {
        let group = conjuncts.iter().find_map(|conjunct| match conjunct {
            Filter::Is(Condition::OneOf { field: Field::Group, values }) if values.len() == 1 => {
                self.groups.get(&values[0])
            }
            _ => None,
        })?;
        Some(Walk::of_group(*group, "k.device_name"))
    }
}

fn tag_walk(product: Id, conjuncts: &[&Filter]) -> Option<Walk> {
    let (tag, value) = conjuncts.iter().find_map(|conjunct| match conjunct {
        Filter::Is(Condition::OneOf { field: Field::Tag(tag), values }) if values.len() == 1 => {
            Some((tag, &values[0]))
        }
        _ => None,
    })?;
    let condition = Part {
        sql: "k.product_id = ? and k.name = ? and k.value = ?".into(),
        args: vec![product.into(), tag.as_str().into(), value.as_str().into()],
    };
    Some(Walk { condition, ..Walk::along("device_tag k", "k.device_name") })
}

fn product_walk(product: Id, conjuncts: &[&Filter]) -> Walk {
    let online = conjuncts.iter().find_map(|conjunct| match conjunct {
        Filter::Is(Condition::Status(states)) => match states.as_slice() {
            [Status::Online] => Some(true),
            states => (!states.contains(&Status::Online)).then_some(false),
        },
        _ => None,
    });
    let mut condition = Part { sql: "device.product_id = ?".into(), args: vec![product.into()] };
    if let Some(online) = online {
        condition.and("device.online = ?", [online.into()]);
    }
    Walk { condition, ..Walk::along("device", "device.name") }
}
