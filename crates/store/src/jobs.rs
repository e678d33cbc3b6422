//! Jobs as operators see them. Their changes are [`crate::committer::apply`]'s.

use rollout::{Id, Job, JobState, Protocol};

use crate::committer::load_counts;
use crate::record::{JOB_TARGET, Record};
use crate::sql::{Field, Tx, Val};
use crate::{Error, Order, Slice};

/// Which jobs a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Every job.
    All,
    /// Those of a product.
    Product(Id),
    /// Those of a package.
    Package(Id),
}

/// Makes a job with the devices it names, if it names any.
pub async fn create(tx: &mut Tx, job: &Job, named: &[Id]) -> Result<(), Error> {
    tx.insert("job", Job::TABLE.columns, vec![job.values()], "").await?;
    let rows = named.iter().map(|device| vec![job.id.into(), (*device).into()]).collect();
    let conflict = "on conflict (job_id, device_id) do nothing";
    tx.insert(JOB_TARGET.name, JOB_TARGET.columns, rows, conflict).await.map(drop)
}

/// A job by its number.
pub async fn get(tx: &mut Tx, id: Id) -> Result<Option<Job>, Error> {
    let found = tx.select_in("id", &[id], "").await?;
    Ok(counted(tx, found).await?.pop())
}

/// The jobs of a product whose tasks go on, without their counts.
pub async fn open_of(tx: &mut Tx, product: Id) -> Result<Vec<Job>, Error> {
    let args = vec![product.into(), JobState::Planned.to_val(), JobState::InProgress.to_val()];
    tx.select_where("product_id = ? and state in (?, ?) order by id", args).await
}

/// Jobs with their counts.
pub async fn counted(tx: &mut Tx, mut jobs: Vec<Job>) -> Result<Vec<Job>, Error> {
    load_counts(tx, &mut jobs).await?;
    Ok(jobs)
}

/// Jobs, in one state or in any, after the one numbered `after`.
pub async fn list(
    tx: &mut Tx,
    filter: Filter,
    state: Option<JobState>,
    order: Order,
    after: Option<Id>,
    limit: u32,
) -> Result<Slice<Job, Id>, Error> {
    let (of, mut args): (_, Vec<Val>) = match filter {
        Filter::All => ("", vec![]),
        Filter::Product(id) => ("product_id = ? and", vec![id.into()]),
        Filter::Package(id) => ("package_id = ? and", vec![id.into()]),
    };
    args.extend(state.iter().map(Field::to_val));
    let in_state = if state.is_some() { "state = ? and" } else { "" };
    let (part, of_part) = order.part("id", after, limit);
    args.extend(of_part);
    let jobs = tx.select_where(&format!("{of} {in_state} {part}"), args).await?;
    let jobs = counted(tx, jobs).await?;
    Ok(Slice::cut(jobs, limit, |job| job.id))
}

/// Jobs with a gate or a timeout that have not ended.
pub async fn timed(tx: &mut Tx) -> Result<Vec<Id>, Error> {
    let sql = "select id from job where (gate is not null or timeout_ms is not null) and ended_at is null order by id";
    tx.rows(sql, vec![]).await?.iter().map(|row| row.get(0)).collect()
}

/// How many running jobs send their file over HTTP.
pub async fn running_over_http(tx: &mut Tx) -> Result<i64, Error> {
    let sql = "select count(*) from job where state = ? and protocol = ?";
    let args = vec![JobState::InProgress.to_val(), Protocol::Http.to_val()];
    tx.row(sql, args).await?.map_or(Ok(0), |row| row.get(0))
}
