//! What is due has a row; deleting the row is what makes it happen once.

use std::collections::BTreeMap;

use rollout::{Id, Ms, Timer};

use crate::Error;
use crate::record::{Column, TIMER, int, text};
use crate::sql::{Tx, Val};

const KEY: [Column; 2] = [text("kind"), int("subject")];

/// Takes up to `limit` timers due at `now`, the longest due first. They are gone once `tx` commits; two
/// transactions never take the same one.
pub async fn claim_timers(tx: &mut Tx, now: Ms, limit: u32) -> Result<Vec<Timer>, Error> {
    let lock = tx.dialect.skip_locked();
    let sql = format!(
        "with due as (select kind, subject from timer where at <= ? order by at, kind, subject limit ?{lock}) \
         delete from timer where (kind, subject) in (select kind, subject from due) returning kind, subject, at"
    );
    let mut claimed = Vec::new();
    for row in tx.rows(sql, vec![now.into(), limit.into()]).await? {
        claimed.push((row.get::<Ms>(2)?, parse(&row.get::<String>(0)?, row.get(1)?)?));
    }
    claimed.sort_unstable();
    Ok(claimed.into_iter().map(|(_, timer)| timer).collect())
}

/// When the next timer is due, if any is set.
pub async fn next_timer_at(tx: &mut Tx) -> Result<Option<Ms>, Error> {
    let row = tx.row("select at from timer order by at limit 1", vec![]).await?;
    row.map(|row| row.get(0)).transpose()
}

/// When a timer is due, if it is set.
pub async fn timer_at(tx: &mut Tx, timer: Timer) -> Result<Option<Ms>, Error> {
    let row = tx.row("select at from timer where kind = ? and subject = ?", key(timer).to_vec()).await?;
    row.map(|row| row.get(0)).transpose()
}

/// Sets or clears timers.
pub(crate) async fn set(tx: &mut Tx, timers: &BTreeMap<Timer, Option<Ms>>) -> Result<(), Error> {
    let cleared =
        timers.iter().filter(|(_, at)| at.is_none()).map(|(timer, _)| key(*timer).to_vec()).collect();
    let statement = "delete from timer where (kind, subject) in (select kind, subject from v)";
    tx.bulk(&KEY, cleared, statement).await?;
    let set =
        timers.iter().filter_map(|(timer, at)| at.map(|at| [key(*timer).to_vec(), vec![at.into()]].concat()));
    let replace = "on conflict (kind, subject) do update set at = excluded.at";
    tx.insert(TIMER.name, TIMER.columns, set.collect(), replace).await.map(drop)
}

pub(crate) fn key(timer: Timer) -> [Val; 2] {
    let (kind, subject) = match timer {
        Timer::Push(job) => ("push", job),
        Timer::Timeout(task) => ("timeout", task),
        Timer::Settle(task) => ("settle", task),
        Timer::Retry(task) => ("retry", task),
        Timer::Unstarted(task) => ("unstarted", task),
        Timer::Grace(device) => ("grace", device),
        Timer::Quiet(device) => ("quiet", device),
        Timer::Work(job) => ("work", job),
        Timer::Gate(job) => ("gate", job),
        Timer::Lost(task) => ("lost", task),
        Timer::Start(job) => ("start", job),
        Timer::Finish(job) => ("finish", job),
        Timer::Release(job) => ("release", job),
        Timer::Retention => ("retention", 0),
        Timer::Alive => ("alive", 0),
    };
    [kind.into(), subject.into()]
}

fn parse(kind: &str, subject: Id) -> Result<Timer, Error> {
    Ok(match kind {
        "push" => Timer::Push(subject),
        "timeout" => Timer::Timeout(subject),
        "settle" => Timer::Settle(subject),
        "retry" => Timer::Retry(subject),
        "unstarted" => Timer::Unstarted(subject),
        "grace" => Timer::Grace(subject),
        "quiet" => Timer::Quiet(subject),
        "work" => Timer::Work(subject),
        "gate" => Timer::Gate(subject),
        "lost" => Timer::Lost(subject),
        "start" => Timer::Start(subject),
        "finish" => Timer::Finish(subject),
        "release" => Timer::Release(subject),
        "retention" => Timer::Retention,
        "alive" => Timer::Alive,
        _ => return Err(Error::Unreadable { column: 0, what: format!("a timer of kind {kind:?}") }),
    })
}
