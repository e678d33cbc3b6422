//! The real program: `otaru serve`, set up by an operator's requests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use ureq::Agent;

use crate::child::{Cores, START, Server, free_address, pause};
use crate::packets::{NEW, PRODUCT, SECRET, device_name};

/// A platform and its operator.
pub(crate) struct Otaru {
    server: Option<Server>,
    setup: Setup,
    agent: Agent,
    token: String,
}

/// How it is started, again and again.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) binary: PathBuf,
    pub(crate) folder: PathBuf,
    /// `sqlite`, or a URL.
    pub(crate) database: String,
    pub(crate) cores: Cores,
    pub(crate) devices: SocketAddr,
    pub(crate) operators: SocketAddr,
    pub(crate) max_downloads: usize,
}

impl Setup {
    /// A fresh one, on free ports.
    pub(crate) fn new(binary: &Path, folder: &Path, database: &str, cores: Cores) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let devices = free_address()?;
        // Held until the other has been chosen, so that the two differ.
        let held = std::net::TcpListener::bind(devices)?;
        let operators = free_address()?;
        drop(held);
        let (binary, folder, database) = (binary.into(), folder.into(), database.into());
        Ok(Self { binary, folder, database, cores, devices, operators, max_downloads: 60_000 })
    }
}

impl Otaru {
    pub(crate) fn start(setup: Setup) -> anyhow::Result<Self> {
        let config = Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent = config.build().into();
        let mut otaru = Self { server: None, setup, agent, token: String::new() };
        otaru.begin()?;
        Ok(otaru)
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        let Setup { binary, folder, database, cores, devices, operators, max_downloads } = &self.setup;
        let data = folder.join("data");
        let args = [
            "--data",
            &*data.to_string_lossy(),
            "serve",
            "--devices",
            &*devices.to_string(),
            "--operators",
            &*operators.to_string(),
            "--public-url",
            &*format!("http://{devices}"),
            "--database",
            database,
            "--max-downloads",
            &*max_downloads.to_string(),
        ];
        let mut server = Server::start(*cores, binary, &args, &folder.join("otaru.log"))?;
        server.wait_for(*operators)?;
        server.wait_for(*devices)?;
        self.server = Some(server);
        // It listens before it has opened its data: a token and a good answer say that it has.
        let (token, until) = (data.join("admin-token"), Instant::now() + START);
        loop {
            self.token = std::fs::read_to_string(&token).unwrap_or_default().trim().into();
            match self.get("/status") {
                Ok(_) => break,
                Err(error) if Instant::now() > until => return Err(error.context("it does not get ready")),
                Err(_) => pause(),
            }
        }
        Ok(())
    }

    /// `kill -9`, and up again on the same data.
    pub(crate) fn crash(&mut self) -> anyhow::Result<()> {
        if let Some(server) = self.server.take() {
            server.kill()?;
        }
        self.begin()
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.server.as_ref().context("it was stopped")?.pid())
    }

    /// Where it keeps its files.
    pub(crate) fn data(&self) -> PathBuf {
        self.setup.folder.join("data")
    }

    pub(crate) fn devices(&self) -> SocketAddr {
        self.setup.devices
    }

    /// Where operators and their pages go.
    pub(crate) fn operators(&self) -> String {
        format!("http://{}", self.setup.operators)
    }

    /// The product and its devices.
    pub(crate) fn fill(&self, devices: usize) -> anyhow::Result<()> {
        self.post("/products", &json!({"name": "Bench", "productKey": PRODUCT, "nodeType": "gateway"}))?;
        for first in (0..devices).step_by(5_000) {
            let last = (first + 5_000).min(devices);
            let list: Vec<Value> = (first..last)
                .map(|number| json!({"deviceName": device_name(number), "deviceSecret": SECRET}))
                .collect();
            let made = self.post(&format!("/products/{PRODUCT}/import-devices"), &json!(list))?;
            if made["refused"] != 0 {
                bail!("devices were refused: {made}");
            }
        }
        Ok(())
    }

    /// Does something to its data while it is down.
    pub(crate) fn stopped(&mut self, work: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        drop(self.server.take());
        work(&self.setup.folder.join("data"))?;
        self.begin()
    }

    /// A package of the new version that needs no trial.
    pub(crate) fn package(&self, file: &Path) -> anyhow::Result<String> {
        self.package_of(file, NEW)
    }

    /// A package that needs no trial.
    pub(crate) fn package_of(&self, file: &Path, version: &str) -> anyhow::Result<String> {
        let path =
            format!("/products/{PRODUCT}/packages?version={version}&needVerify=false&fileName=bench.bin");
        let request = self.agent.post(self.url(&path)).header("content-type", "application/octet-stream");
        let answer = request.header("authorization", self.bearer()).send(std::fs::File::open(file)?)?;
        text_id(&read(answer)?)
    }

    /// A job, once all its tasks are made.
    pub(crate) fn job(
        &self,
        package: &str,
        scope: &Value,
        need_push: bool,
        rate: i64,
    ) -> anyhow::Result<String> {
        self.made(&order(package, scope, need_push, rate))
    }

    /// A job that lets devices fetch the file over HTTP, once all its tasks are made.
    pub(crate) fn http_job(&self, package: &str, scope: &Value) -> anyhow::Result<String> {
        let mut order = order(package, scope, true, 1_000_000);
        order["protocol"] = "http".into();
        self.made(&order)
    }

    fn made(&self, order: &Value) -> anyhow::Result<String> {
        let id = text_id(&self.post("/jobs", order)?["job"])?;
        while self.get(&format!("/jobs/{id}"))?["busy"] != false {
            pause();
        }
        Ok(id)
    }

    /// What such a job would do.
    pub(crate) fn dry_run(&self, package: &str, scope: &Value) -> anyhow::Result<Value> {
        self.post("/jobs/dry-run", &order(package, scope, true, 1_000_000))
    }

    /// The cursor of the page after the first device whose name begins so.
    pub(crate) fn after_device(&self, prefix: &str) -> anyhow::Result<String> {
        let page = self.get(&format!("/products/{PRODUCT}/devices?prefix={prefix}&limit=1"))?;
        Ok(page["nextCursor"].as_str().with_context(|| format!("no cursor in {page}"))?.into())
    }

    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        read(self.agent.get(self.url(path)).header("authorization", self.bearer()).call()?)
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.agent.post(self.url(path)).header("authorization", self.bearer());
        read(request.header("content-type", "application/json").send(body.to_string())?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.operators())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

fn order(package: &str, scope: &Value, need_push: bool, rate: i64) -> Value {
    // Loads come back again and again without progress; no attempt fails for that.
    let terms = json!({"mostPushes": 0, "startTimeoutMinutes": 0});
    let rate = need_push.then_some(rate);
    json!({"packageId": package, "kind": "STATIC", "scope": scope,
        "needPush": need_push, "ratePerMinute": rate, "terms": terms})
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> anyhow::Result<Value> {
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string()?;
    if !answer.status().is_success() {
        bail!("the platform answered {}: {text}", answer.status());
    }
    Ok(serde_json::from_str(&text)?)
}

fn text_id(row: &Value) -> anyhow::Result<String> {
    Ok(row["id"].as_str().with_context(|| format!("no id in {row}"))?.into())
}
