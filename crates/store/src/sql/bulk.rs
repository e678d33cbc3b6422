//! Many rows in one statement.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fields, Row, Tx, Val};
use crate::Error;
use crate::record::{Column, Record, Table, column_list, int};

impl Tx {
    /// Runs `with v(columns) as (rows) <statement>`, in as few statements as the engine allows.
    pub(crate) async fn bulk(
        &mut self,
        columns: &[Column],
        rows: Vec<Vec<Val>>,
        statement: &str,
    ) -> Result<u64, Error> {
        let mut touched = 0;
        for (sql, args) in self.bulk_statements(columns, rows, statement, &[]) {
            touched += self.exec(sql, args).await?;
        }
        Ok(touched)
    }

    /// As [`Self::bulk`], for a statement that returns rows, with parameters of its own.
    pub(crate) async fn bulk_rows(
        &mut self,
        columns: &[Column],
        rows: Vec<Vec<Val>>,
        statement: &str,
        own: &[Val],
    ) -> Result<Vec<Row>, Error> {
        let mut out = Vec::new();
        for (sql, args) in self.bulk_statements(columns, rows, statement, own) {
            out.append(&mut self.rows(sql, args).await?);
        }
        Ok(out)
    }

    /// What a statement finds for each of these rows, in their order. It sees them as `v`, with a column `place`
    /// before the others, and gives `place` before what `read` takes.
    pub(crate) async fn bulk_found<T, const N: usize>(
        &mut self,
        columns: [Column; N],
        rows: impl Iterator<Item = [Val; N]>,
        statement: &str,
        read: impl Fn(&mut Fields<'_>) -> Result<T, Error>,
    ) -> Result<Vec<Option<T>>, Error> {
        let columns: Vec<Column> = [int("place")].into_iter().chain(columns).collect();
        let placed = |(place, row): (i64, [Val; N])| [place.into()].into_iter().chain(row).collect();
        let rows: Vec<Vec<Val>> = (0..).zip(rows).map(placed).collect();
        let mut found: Vec<Option<T>> = rows.iter().map(|_| None).collect();
        for row in self.bulk_rows(&columns, rows, statement, &[]).await? {
            let mut fields = row.fields();
            let place: i64 = fields.next()?;
            let record = read(&mut fields)?;
            if let Some(found) = usize::try_from(place).ok().and_then(|place| found.get_mut(place)) {
                *found = Some(record);
            }
        }
        Ok(found)
    }

    fn bulk_statements(
        &self,
        columns: &[Column],
        mut rows: Vec<Vec<Val>>,
        statement: &str,
        own: &[Val],
    ) -> Vec<(String, Vec<Val>)> {
        let mut out = Vec::new();
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(self.dialect.max_rows()));
            let (table, mut args) = self.dialect.values(columns, std::mem::replace(&mut rows, rest));
            args.extend_from_slice(own);
            out.push((format!("with v({}) as ({table}) {statement}", column_list(columns)), args));
        }
        out
    }

    /// Inserts rows into a table. `conflict` is empty or an `on conflict` clause.
    pub(crate) async fn insert(
        &mut self,
        table: &str,
        columns: &[Column],
        rows: Vec<Vec<Val>>,
        conflict: &str,
    ) -> Result<u64, Error> {
        let list = column_list(columns);
        let first = columns[0].name;
        let statement =
            format!("insert into {table} ({list}) select {list} from v where {first} is not null {conflict}");
        self.bulk(columns, rows, &statement).await
    }

    /// Inserts rows of a table that ends in a column `n`, or adds their `n` to that of the row with the same key.
    pub(crate) async fn add(&mut self, table: &Table, rows: Vec<Vec<Val>>) -> Result<(), Error> {
        let Table { name, key, columns, .. } = table;
        let conflict = format!("on conflict ({}) do update set n = {name}.n + excluded.n", key.join(", "));
        self.insert(name, columns, rows, &conflict).await.map(drop)
    }

    /// Inserts records, replacing those with the same key.
    pub(crate) async fn upsert<R: Record>(&mut self, records: &[R]) -> Result<(), Error> {
        let table = R::TABLE;
        let set = |c: &Column| format!("{0} = excluded.{0}", c.name);
        let sets: Vec<String> =
            table.columns.iter().filter(|c| !table.key.contains(&c.name)).map(set).collect();
        let conflict = format!("on conflict ({}) do update set {}", table.key.join(", "), sets.join(", "));
        let rows = records.iter().map(Record::values).collect();
        self.insert(table.name, table.columns, rows, &conflict).await?;
        Ok(())
    }

    /// Writes records over those with the same `id`, column by column: those in which any of them differs from
    /// what it was `before`, all if that is unknown, but none that never changes. SQLite rewrites each index
    /// that a named column is in. `extra` columns come after the record's own; a NULL there leaves them as
    /// they are.
    pub(crate) async fn update<'a, R: Record + 'a>(
        &mut self,
        records: &[R],
        before: impl Fn(&R) -> Option<&'a R>,
        extra: &[Column],
        more: impl Fn(&R) -> Vec<Val>,
    ) -> Result<u64, Error> {
        let Table { name, key, fixed, columns, .. } = R::TABLE;
        let values = |record: &R| {
            let mut values = record.values();
            values.extend(more(record));
            values
        };
        let mut rows: Vec<Vec<Val>> = records.iter().map(values).collect();
        let all = [columns, extra].concat();
        let mut changed = vec![false; all.len()];
        for (record, row) in records.iter().zip(&rows) {
            match before(record).map(values) {
                Some(was) => {
                    changed.iter_mut().zip(row.iter().zip(&was)).for_each(|(c, (a, b))| *c |= a != b)
                }
                None => changed.fill(true),
            }
        }
        let is_key = |n: usize| key.contains(&all[n].name);
        let is_set = |n: &usize| changed[*n] && !is_key(*n) && !fixed.contains(&all[*n].name);
        let set = |n: usize| match all[n].name {
            column if n < columns.len() => format!("{column} = v.{column}"),
            column => format!("{column} = coalesce(v.{column}, {name}.{column})"),
        };
        let sets: Vec<String> = (0..all.len()).filter(is_set).map(set).collect();
        if sets.is_empty() {
            return Ok(0);
        }
        let is_sent = |n: &usize| is_key(*n) || is_set(n);
        let sent: Vec<Column> = (0..all.len()).filter(is_sent).map(|n| all[n]).collect();
        for row in &mut rows {
            let mut n = 0..;
            row.retain(|_| n.next().is_some_and(|n| is_sent(&n)));
        }
        let statement = format!("update {name} set {} from v where {name}.id = v.id", sets.join(", "));
        self.bulk(&sent, rows, &statement).await
    }

    /// Records whose `column` is one of `ids`. `rest` goes on after the condition.
    pub(crate) async fn select_in<R: Record>(
        &mut self,
        column: &str,
        ids: &[i64],
        rest: &str,
    ) -> Result<Vec<R>, Error> {
        let list = column_list(R::TABLE.columns);
        let mut out = Vec::with_capacity(ids.len());
        for some in ids.chunks(self.dialect.max_rows()) {
            let (any, args) = self.dialect.any(some);
            let select = format!("select {list} from {} where {column} {any}{rest}", R::TABLE.name);
            for row in self.packed_rows(&list, select, args).await? {
                out.push(R::read(&mut row.fields())?);
            }
        }
        Ok(out)
    }

    /// Records for which a condition holds. It may go on after `where` as the statement does: say `limit`.
    pub(crate) async fn select_where<R: Record>(
        &mut self,
        condition: &str,
        args: Vec<Val>,
    ) -> Result<Vec<R>, Error> {
        let Table { name, columns, .. } = R::TABLE;
        let sql = format!("select {} from {name} where {condition}", column_list(columns));
        self.rows(sql, args).await?.iter().map(|row| R::read(&mut row.fields())).collect()
    }

    /// One text of each row of a table whose `id` is one of `ids`.
    pub(crate) async fn texts_in(
        &mut self,
        table: &str,
        column: &str,
        ids: BTreeSet<i64>,
    ) -> Result<BTreeMap<i64, String>, Error> {
        let ids = Vec::from_iter(ids);
        let mut out = BTreeMap::new();
        for some in ids.chunks(self.dialect.max_rows()) {
            let (any, args) = self.dialect.any(some);
            for row in self.rows(format!("select id, {column} from {table} where id {any}"), args).await? {
                out.insert(row.get(0)?, row.get(1)?);
            }
        }
        Ok(out)
    }
}
