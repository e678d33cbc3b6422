//! What happens, in the order it happens.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use api::dto::{
    Counts, CreatedJob, Credentials, Device, Job, JobKind, NewDevice, NewJob, NewModule, NewProduct,
    NewScope, Package, Page, Product, Protocol, Task, Terms,
};

use super::fleet::Fleet;
use crate::client::Client;
use crate::commands::task::why;
use crate::commands::watch::{self, View};
use crate::output::out;

const DEVICES: usize = 10;
/// The device that fails on purpose, and when.
const CLUMSY: (usize, u8) = (7, 60);
const FIRMWARE: usize = 8 << 20;
const MCU_FIRMWARE: usize = 256 << 10;
/// Longest time for any one thing to happen.
const PATIENCE: Duration = Duration::from_secs(180);

/// The story, to be told once.
pub(super) struct Story {
    client: Client,
    port: u16,
    folder: PathBuf,
}

/// What the story leaves behind.
pub(super) struct Ending {
    pub(super) client: Client,
    pub(super) product_key: String,
    /// The package for a device that joins later.
    pub(super) package_id: String,
    /// Whether all went right.
    pub(super) right: bool,
}

impl Story {
    pub(super) fn new(client: Client, port: u16, folder: &Path) -> Self {
        Self { client, port, folder: folder.into() }
    }

    /// Tells it; the devices go on running.
    pub(super) fn tell(self) -> anyhow::Result<(Ending, Fleet)> {
        let began = Instant::now();
        let product_key = self.product()?;
        let firmware = self.package(&product_key, "default", "2.0.0", FIRMWARE, true)?;
        let mcu = self.package(&product_key, "MCU", "1.1.0", MCU_FIRMWARE, false)?;
        let fleet = self.fleet(&product_key)?;

        heading("Verify it on one device");
        let verify = NewScope::Named { device_names: vec![name(1)] };
        let verified = self.job(&fleet, &firmware.id, JobKind::Verify, verify)?;

        heading("Roll it out to all; one device fails on purpose");
        let rollout = Instant::now();
        let failed = self.job(&fleet, &firmware.id, JobKind::Static, NewScope::All)?;
        let rollout = rollout.elapsed();
        self.tell_failures(&failed)?;
        heading("Upgrade that one again");
        let mended = self.again(&fleet, &failed)?;

        heading("Another module of the same devices");
        let modules = self.job(&fleet, &mcu.id, JobKind::Static, NewScope::All)?;

        let counts = [&verified, &mended, &modules].map(|job| job.counts);
        let expected = [(1, 1), (DEVICES - 1, DEVICES - 1), (DEVICES, DEVICES)];
        let clumsy_failed = failed.counts.failed == 1;
        let right =
            clumsy_failed && counts.iter().zip(expected).all(|(counts, all)| succeeded(counts) == all);
        summary(right, began.elapsed(), rollout, &failed, &counts);
        let Self { client, .. } = self;
        Ok((Ending { client, product_key, package_id: firmware.id, right }, fleet))
    }

    fn product(&self) -> anyhow::Result<String> {
        heading("A product with the modules default and MCU");
        order("product add \"Demo lamp\"");
        let new = NewProduct {
            name: "Demo lamp".into(),
            node_type: None,
            product_key: None,
            product_secret: None,
            timezone: None,
        };
        let product: Product = self.client.post("/products", &new)?;
        let key = product.product_key;
        order(&format!("module add {key} MCU"));
        let module =
            NewModule { name: "MCU".into(), alias: Some("Motor controller".into()), description: None };
        let _: api::dto::Module = self.client.post(&format!("/products/{key}/modules"), &module)?;
        Ok(key)
    }

    fn package(
        &self,
        key: &str,
        module: &str,
        version: &str,
        size: usize,
        verify: bool,
    ) -> anyhow::Result<Package> {
        let option = if verify { "" } else { " --no-verify" };
        order(&format!("package add {key} {module}.bin --version {version} --module {module}{option}"));
        let path = format!(
            "/products/{key}/packages?version={version}&module={module}&fileName={module}.bin&needVerify={verify}"
        );
        let file = std::io::Cursor::new(firmware(size));
        self.client.upload(&path, "application/octet-stream", size as u64, file)
    }

    fn fleet(&self, key: &str) -> anyhow::Result<Fleet> {
        heading(&format!("{DEVICES} devices, each on a socket of its own"));
        let mut fleet = Fleet::new(self.port, &self.folder);
        for n in 1..=DEVICES {
            let new = NewDevice { device_name: Some(name(n)), device_secret: None };
            let _: Device = self.client.post(&format!("/products/{key}/devices"), &new)?;
            let found: Credentials =
                self.client.get(&format!("/products/{key}/devices/{}/credentials", name(n)))?;
            let fail_at = (n == CLUMSY.0).then_some(CLUMSY.1);
            fleet.switch_on(key, &name(n), &found.device_secret, fail_at);
        }
        order(&format!("device run {key} {} --secret …", name(1)));
        self.wait_for_reports(key)?;
        out!("  {} … {} are online and run default 1.0.0, MCU 1.0.0", name(1), name(DEVICES));
        Ok(fleet)
    }

    fn wait_for_reports(&self, key: &str) -> anyhow::Result<()> {
        let (_sender, pause) = mpsc::channel::<()>();
        let began = Instant::now();
        loop {
            let devices: Page<Device> = self.client.get(&format!("/products/{key}/devices"))?;
            let ready = devices.items.iter().filter(|d| d.online && d.versions.len() == 2).count();
            if ready == DEVICES {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "only {ready} of {DEVICES} devices came online");
            let _ = pause.recv_timeout(Duration::from_millis(50));
        }
    }

    fn job(&self, fleet: &Fleet, package: &str, kind: JobKind, scope: NewScope) -> anyhow::Result<Job> {
        match &scope {
            NewScope::Named { device_names } => {
                order(&format!("job verify {package} {}", device_names.join(" ")))
            }
            _ => order(&format!("job start {package} --all --attempts 1")),
        }
        let mut new = new_job(package, kind, scope);
        if kind == JobKind::Static {
            // The device that fails on purpose is to wait for the order to start again.
            new.terms.attempts = Some(1);
        }
        let created: CreatedJob = self.client.post("/jobs", &new)?;
        self.follow(fleet, &created.job.id)
    }

    fn again(&self, fleet: &Fleet, job: &Job) -> anyhow::Result<Job> {
        order(&format!("job re-upgrade {}", job.id));
        let _: Job = self.client.order(&format!("/jobs/{}/re-upgrade", job.id))?;
        self.follow(fleet, &job.id)
    }

    fn follow(&self, fleet: &Fleet, job: &str) -> anyhow::Result<Job> {
        order(&format!("job watch {job}"));
        let job = watch::follow(&format!("/jobs/{job}"), &self.client, PATIENCE, View::beside(&fleet.bars))?;
        out!("  {}", watch::counts(&job.counts));
        Ok(job)
    }

    fn tell_failures(&self, job: &Job) -> anyhow::Result<()> {
        let failed: Page<Task> = self.client.get(&format!("/jobs/{}/tasks?state=FAILED", job.id))?;
        for task in &failed.items {
            out!("  {}: {}", task.device_name, task.reason.as_ref().map(why).unwrap_or_default());
        }
        Ok(())
    }
}

/// A job with the usual terms.
pub(super) fn new_job(package: &str, kind: JobKind, scope: NewScope) -> NewJob {
    NewJob {
        package_id: package.into(),
        kind,
        scope,
        protocol: Protocol::Mqtt,
        need_push: true,
        timeout_minutes: None,
        rate_per_minute: None,
        terms: Terms::default(),
        allow_large_notice: false,
        allow_sha256_over_mqtt: false,
    }
}

fn name(n: usize) -> String {
    format!("lamp-{n:02}")
}

pub(super) fn heading(text: &str) {
    out!("");
    out!("{text}");
}

/// What an operator would type.
fn order(text: &str) {
    out!("  $ otaru {text}");
}

/// Tasks that succeeded, and all.
fn succeeded(counts: &Counts) -> (usize, usize) {
    let count = |n: i64| usize::try_from(n).unwrap_or(0);
    (count(counts.succeeded), count(counts.total()))
}

fn summary(right: bool, whole: Duration, rollout: Duration, job: &Job, counts: &[Counts]) {
    heading(if right { "All went right" } else { "Not all went right" });
    let updates: usize = counts.iter().map(|counts| succeeded(counts).0).sum();
    let megabytes = (succeeded(&job.counts).0 * FIRMWARE) as f64 / 1e6;
    let seconds = rollout.as_secs_f64();
    out!("  {updates} updates of {DEVICES} devices in {:.1} s", whole.as_secs_f64());
    out!(
        "  the roll-out: {megabytes:.1} MB in {seconds:.1} s from order to last report, {:.1} MB/s",
        megabytes / seconds
    );
}

/// Bytes that do not compress, the same at every run.
fn firmware(size: usize) -> Vec<u8> {
    let mut state = 0x0074_6172_755f_6f74_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..size.div_ceil(8)).flat_map(|_| next()).take(size).collect()
}
