//! The eleventh device: a real one, which an upgrade already waits for.

use std::sync::mpsc;
use std::time::Duration;

use api::dto::{CreatedJob, Credentials, Device, JobKind, NewDevice, NewScope, Page, Task, TaskState};

use super::story::{heading, new_job};
use crate::client::Client;
use crate::commands::credentials;
use crate::commands::task::why;
use crate::output::out;

const NAME: &str = "my-device";

/// A device of the one who watches.
pub(super) struct Guest {
    client: Client,
    product_key: String,
    job: String,
}

impl Guest {
    /// Makes the device and a job for it.
    pub(super) fn invite(client: Client, product_key: &str, package: &str) -> anyhow::Result<Self> {
        let new = NewDevice { device_name: Some(NAME.into()), device_secret: None };
        let _: Device = client.post(&format!("/products/{product_key}/devices"), &new)?;
        let scope = NewScope::Named { device_names: vec![NAME.into()] };
        let created: CreatedJob = client.post("/jobs", &new_job(package, JobKind::Static, scope))?;
        Ok(Self { client, product_key: product_key.into(), job: created.job.id })
    }

    /// Tells how to be this device.
    pub(super) fn introduce(&self, host: &str, port: u16) -> anyhow::Result<()> {
        let Self { client, product_key: key, .. } = self;
        let found: Credentials = client.get(&format!("/products/{key}/devices/{NAME}/credentials"))?;
        heading("Now your own device: a board, MQTTX, or the mosquitto clients");
        credentials::show(&found, Some(&(host.to_string(), port)));
        out!("");
        out!("An upgrade to 2.0.0 waits for it. Connect, subscribe to");
        out!("  /ota/device/upgrade/{key}/{NAME}");
        out!("and publish its first report to /ota/device/inform/{key}/{NAME}:");
        out!(r#"  {{"id":"1","params":{{"version":"1.0.0"}}}}"#);
        out!(
            "The notice comes at once; its streamId is what blocks are asked for with. From there on docs/guide-mqttx.md"
        );
        out!("tells the steps, with values of its own: take those of this notice. Ctrl-C ends it all.");
        Ok(())
    }

    /// Tells what becomes of it, until the process ends.
    pub(super) fn watch(&self) -> anyhow::Result<()> {
        let (_sender, pause) = mpsc::channel::<()>();
        let mut last = None;
        loop {
            let tasks: Page<Task> = self.client.get(&format!("/jobs/{}/tasks", self.job))?;
            let task = tasks.items.first();
            let now = task.map(|task| (task.state, task.progress, task.attempt));
            if let Some(task) = task.filter(|_| now != last) {
                self.tell(task);
            }
            last = now;
            let _ = pause.recv_timeout(Duration::from_millis(300));
        }
    }

    fn tell(&self, task: &Task) {
        match task.state {
            TaskState::Confirm => {}
            TaskState::Queued => out!("{NAME}: waiting for its first report"),
            TaskState::Notified => out!("{NAME}: the notice has left; it may ask for blocks now"),
            TaskState::InProgress => out!("{NAME}: {} %", task.progress),
            TaskState::Succeeded => out!("{NAME}: it reports 2.0.0, the upgrade has succeeded"),
            TaskState::Failed | TaskState::Canceled => {
                let why = task.reason.as_ref().map(why).unwrap_or_default();
                out!("{NAME}: the upgrade has ended without success: {why}");
                out!("  to try again: otaru job re-upgrade {}", self.job);
            }
        }
    }
}
