//! Changing what was settled when a job was made.

use rollout::{
    Id, Input, Job, JobField, JobState, Ms, Package, Product, Revision, Scope, Tag, Terms, Unrevisable,
    Window,
};
use serde_json::{Value, json};
use store::Tx;

use super::failed;
use super::filters::selection_in;
use super::groups::group_in;
use super::jobs::{NewJob, NewScope, check_schedule, check_sources, check_terms, job_in};
use super::packages::{package_in, unknown_package};
use crate::Server;
use crate::error::OrderError;
use crate::ids::IdKind;

/// What to change of a job; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct JobChange {
    /// Which devices a dynamic job is for. All are looked at anew, even for the scope it has.
    pub scope: Option<NewScope>,
    /// From a task's first progress to its failure.
    pub timeout_minutes: Option<Option<i64>>,
    /// Pushes in any minute.
    pub rate_per_minute: Option<i64>,
    /// What else was settled.
    pub terms: TermsChange,
    /// Takes a notice that devices with 2 KB buffers cannot receive.
    pub allow_large_notice: bool,
}

/// What to change of a job's [`Terms`].
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is the field of its name; see Terms")]
pub struct TermsChange {
    pub src_versions: Option<Vec<String>>,
    pub attempts: Option<i32>,
    pub retry_interval_ms: Option<Ms>,
    pub rollback_fails: Option<bool>,
    pub start_timeout_ms: Option<Option<Ms>>,
    pub most_pushes: Option<Option<i32>>,
    pub start_at: Option<Option<Ms>>,
    pub end_at: Option<Option<Ms>>,
    pub end_running: Option<bool>,
    pub windows: Option<Vec<Window>>,
    pub kbit_per_second: Option<Option<i64>>,
    pub tags: Option<Vec<Tag>>,
}

impl TermsChange {
    fn over(self, terms: &Terms) -> Terms {
        let old = terms.clone();
        let end_at = self.end_at.unwrap_or(old.end_at);
        Terms {
            src_versions: self.src_versions.unwrap_or(old.src_versions),
            attempts: self.attempts.unwrap_or(old.attempts),
            retry_interval_ms: self.retry_interval_ms.unwrap_or(old.retry_interval_ms),
            rollback_fails: self.rollback_fails.unwrap_or(old.rollback_fails),
            start_timeout_ms: self.start_timeout_ms.unwrap_or(old.start_timeout_ms),
            most_pushes: self.most_pushes.unwrap_or(old.most_pushes),
            start_at: self.start_at.unwrap_or(old.start_at),
            end_at,
            // It says nothing without an end.
            end_running: self.end_running.unwrap_or(old.end_running && end_at.is_some()),
            windows: self.windows.unwrap_or(old.windows),
            kbit_per_second: self.kbit_per_second.unwrap_or(old.kbit_per_second),
            tags: self.tags.unwrap_or(old.tags),
            ..old
        }
    }
}

impl Server {
    /// Changes a job, for all that happens from now on; none of its tasks is taken back. Unless `check` refuses the
    /// job as it is.
    pub async fn change_job(
        &self,
        id: Id,
        change: JobChange,
        check: impl FnOnce(&Job) -> Result<(), OrderError> + Send,
    ) -> Result<Job, OrderError> {
        let mut unit = self.begin().await?;
        let job = job_in(&mut unit.tx, id).await?;
        check(&job)?;
        let package = package_in(&mut unit.tx, job.package_id).await?;
        let product =
            store::products::get(&mut unit.tx, job.product_id).await.map_err(failed("read products"))?;
        let product = product.ok_or_else(|| unknown_package(package.id))?;
        let allow_large_notice = change.allow_large_notice;
        let wanted = change.scope.clone();
        let timeout_minutes = change.timeout_minutes.unwrap_or(job.timeout_ms.map(|ms| ms / 60_000));
        let to = Revision {
            scope: match wanted.as_ref() {
                Some(scope) => Some(scope_in(&mut unit.tx, &product, scope, unit.now).await?),
                None => None,
            },
            timeout_ms: timeout_minutes.map(|minutes| minutes.saturating_mul(60_000)),
            rate_per_minute: change.rate_per_minute.unwrap_or(job.rate_per_minute),
            terms: change.terms.over(&job.terms),
        };
        if let Some(why) = job.refuses(&to, unit.now) {
            return Err(refused(&job, why));
        }
        let as_new = NewJob {
            package: package.id,
            kind: job.kind,
            scope: wanted.unwrap_or_else(|| as_ordered(&job.scope)),
            protocol: job.protocol,
            need_push: job.need_push,
            timeout_minutes,
            rate_per_minute: Some(to.rate_per_minute),
            terms: to.terms.clone(),
            allow_large_notice,
            allow_sha256_over_mqtt: true,
        };
        self.check_change(&job, &as_new, &package, &product, unit.now)?;
        unit.order(Input::ReviseJob { job: id, to: Box::new(to) }).await?;
        unit.finish().await?;
        self.job(id).await
    }

    /// What would be refused of a new job is refused of one that is to become like it.
    fn check_change(
        &self,
        job: &Job,
        as_new: &NewJob,
        package: &Package,
        product: &Product,
        now: Ms,
    ) -> Result<(), OrderError> {
        check_terms(as_new)?;
        check_sources(as_new, package)?;
        if job.terms.tags != as_new.terms.tags {
            self.check_notice(as_new, package, product)?;
        }
        let kept = job.state != JobState::Planned || job.terms.start_at == as_new.terms.start_at;
        let start_at = as_new.terms.start_at.filter(|at| !kept || *at > now);
        check_schedule(&Terms { start_at, ..as_new.terms.clone() }, now)
    }
}

/// The scope of a dynamic job, as it was ordered. Of the others none matters here: it does not change.
fn as_ordered(scope: &Scope) -> NewScope {
    match scope {
        Scope::Filter { filter } => NewScope::Filter(filter.clone()),
        Scope::Group { name, .. } => NewScope::Group(name.clone()),
        Scope::All | Scope::Named | Scope::Percent { .. } => NewScope::All,
    }
}

async fn scope_in(tx: &mut Tx, product: &Product, scope: &NewScope, now: Ms) -> Result<Scope, OrderError> {
    match scope {
        NewScope::All => Ok(Scope::All),
        NewScope::Filter(filter) => {
            selection_in(tx, product, filter, now).await?;
            Ok(Scope::Filter { filter: filter.clone() })
        }
        NewScope::Group(name) => {
            let group = group_in(tx, product, name).await?;
            Ok(Scope::Group { group: group.id, name: group.name })
        }
        NewScope::Named(_) | NewScope::Csv { .. } | NewScope::Percent { .. } => {
            let text = "the scope of a job changes to all, a filter or a group, and only if its kind is DYNAMIC: devices that are named or counted do not become more. Make another job for these";
            Err(OrderError::invalid("policyInvalid", text).with("fields", ["scope"]))
        }
    }
}

fn refused(job: &Job, why: Unrevisable) -> OrderError {
    let id = IdKind::Job.text(job.id);
    let told = |field: JobField| json!(field);
    let name = |field: JobField| told(field).as_str().unwrap_or_default().to_owned();
    let (code, field, text): (_, Option<Value>, _) = match why {
        Unrevisable::Ended => (
            "jobEnded",
            None,
            format!(
                "the job {id} has ended already, or reached its endAt; only a job that goes on can be changed"
            ),
        ),
        Unrevisable::TakesNone(field) => (
            "fieldFixed",
            Some(told(field)),
            format!(
                "{} of the job {id} does not change: its tasks were made for the devices it found, and only a job of kind DYNAMIC takes others later. Make another job for them, and cancel the tasks of those it should not be for",
                name(field)
            ),
        ),
        Unrevisable::Closed(field) => (
            "jobTakesNoDevices",
            Some(told(field)),
            format!(
                "the job {id} is closed and takes no more devices, so its {} does not matter any more",
                name(field)
            ),
        ),
        Unrevisable::Busy(field) => (
            "jobBusy",
            Some(told(field)),
            format!(
                "{} of the job {id} changes only when it is not busy with another order; try again in a moment",
                name(field)
            ),
        ),
        Unrevisable::Started => (
            "jobStarted",
            Some(told(JobField::StartAt)),
            format!("the job {id} has started: startAt changes only before"),
        ),
    };
    let error = match why {
        Unrevisable::TakesNone(_) => OrderError::invalid(code, text),
        _ => OrderError::conflict(code, text),
    };
    let error = error.with("job", id);
    match field {
        Some(field) => error.with("field", field),
        None => error,
    }
}
