use api::dto::{Event, Page};
use clap::Args;

use super::follow::follow;
use super::{Format, given, or_dash, when};
use crate::client::{Client, joined};
use crate::output::next_line;

#[derive(Args)]
pub(crate) struct Show {
    /// Only those of a product
    #[arg(value_name = "PK")]
    product_key: Option<String>,
    /// Only those of a device of it
    #[arg(value_name = "DN")]
    device_name: Option<String>,
    /// Only those of a job
    #[arg(long, value_name = "JOB", conflicts_with = "product_key")]
    job: Option<String>,
    /// Only those of a task
    #[arg(long, value_name = "TASK", conflicts_with_all = ["product_key", "job"])]
    task: Option<String>,
    /// Go on with what happens from now on, or after --after, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// With --follow: first those after this number that are known already; 0 is from the beginning
    #[arg(long, value_name = "N", requires = "follow")]
    after: Option<i64>,
    #[command(flatten)]
    format: Format,
}

impl Show {
    fn filters(&self) -> Vec<(&'static str, &str)> {
        given(&[
            ("productKey", &self.product_key),
            ("deviceName", &self.device_name),
            ("jobId", &self.job),
            ("taskId", &self.task),
        ])
    }
}

/// Shows what happened, or what happens.
pub(crate) fn run(show: &Show, client: &Client) -> anyhow::Result<()> {
    if !show.follow {
        return list(show, client);
    }
    let after = show.after.map(|after| after.to_string());
    let mut query = show.filters();
    query.extend(after.as_deref().map(|after| ("after", after)));
    follow(client, &format!("/events/stream?{}", joined(&query)), None, |event: Event| show.print(&event))
}

/// The last page has a cursor too, for what happens later.
fn list(show: &Show, client: &Client) -> anyhow::Result<()> {
    const PAGE: usize = 200;
    let filters = joined(&show.filters());
    let mut cursor = String::new();
    loop {
        let page: Page<Event> = client.get(&format!("/events?limit={PAGE}&{filters}{cursor}"))?;
        let is_last = page.items.len() < PAGE;
        if !page.items.iter().all(|event| show.print(event)) || is_last {
            return Ok(());
        }
        cursor = page.next_cursor.map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
}

impl Show {
    /// Prints a line, which in JSON is one object; false once nobody reads them.
    fn print(&self, event: &Event) -> bool {
        let json = || serde_json::to_string(event).unwrap_or_default();
        next_line(&if self.format.json { json() } else { line(event) })
    }
}

fn line(event: &Event) -> String {
    let of = [&event.product_key, &event.device_name, &event.job_id, &event.task_id];
    let of: Vec<_> = of.into_iter().flatten().map(String::as_str).collect();
    let params = serde_json::to_string(&event.params).unwrap_or_default();
    let params = if event.params.is_empty() { String::new() } else { format!("  {params}") };
    let of = or_dash(Some(of.join(" ")).filter(|of| !of.is_empty()).as_ref());
    format!("{:>7}  {}  {:<18}  {of}{params}", event.seq, when(&event.at), event.code)
}
