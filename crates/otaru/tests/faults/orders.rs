//! The operator: orders over REST, each with a key and sent until it is answered.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::device::{PRODUCT, file_of};
use crate::process::token;
use crate::rng::Rng;

/// An order that is not answered for so long has failed the test.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Operator {
    agent: ureq::Agent,
    token: String,
    url: watch::Receiver<Option<String>>,
    rng: Rng,
    packages: u32,
    /// Jobs whose making was answered.
    pub(crate) jobs: Vec<String>,
}

/// A status and a body.
type Answer = (u16, Value);

impl Operator {
    pub(crate) fn new(data: &Path, url: watch::Receiver<Option<String>>, rng: Rng) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(20)));
        Self { agent: config.build().into(), token: token(data), url, rng, packages: 0, jobs: Vec::new() }
    }

    /// A product, and devices with their secrets.
    pub(crate) async fn prepare(&mut self, names: &[String]) -> Vec<String> {
        let product = json!({"name": "lamp", "productKey": PRODUCT});
        assert_eq!(self.order("/products", body(&product)).await.0, 201);
        let mut secrets = Vec::new();
        for name in names {
            let secret = format!("{:032x}", u128::from(self.rng.next()));
            let device = json!({"deviceName": name, "deviceSecret": secret});
            assert_eq!(self.order(&format!("/products/{PRODUCT}/devices"), body(&device)).await.0, 201);
            secrets.push(secret);
        }
        secrets
    }

    /// Something that operators do.
    pub(crate) async fn act(&mut self) {
        let job = (!self.jobs.is_empty()).then(|| self.rng.below(self.jobs.len() as u64) as usize);
        // Half of the time the newest, which is still under way.
        let job = job.map(|at| if self.rng.below(2) == 0 { self.jobs.len() - 1 } else { at });
        match (self.rng.below(4), job) {
            (0, Some(at)) => drop(self.order(&format!("/jobs/{}/cancel", self.jobs[at]), None).await),
            (1, Some(at)) => self.again(&self.jobs[at].clone()).await,
            _ => drop(self.roll_out().await),
        }
    }

    /// Upgrades once more whoever failed in a job.
    pub(crate) async fn again(&mut self, job: &str) {
        self.order(&format!("/jobs/{job}/re-upgrade"), None).await;
    }

    /// Uploads a new version and brings it to all devices. The job, unless all of them have left it.
    pub(crate) async fn roll_out(&mut self) -> Option<String> {
        self.packages += 1;
        let version = format!("2.0.{}", self.packages);
        let path =
            format!("/products/{PRODUCT}/packages?version={version}&needVerify=false&fileName=lamp.bin");
        let (status, made) = self.order(&path, Some(("application/octet-stream", file_of(&version)))).await;
        let package = match (status, made["code"].as_str()) {
            (201, _) => made,
            (409, Some("answerLost")) => self.only("/packages", "version", &version).await,
            _ => panic!("{status} {made}"),
        };
        // The next attempt at once, as nobody waits a minute here.
        let terms = json!({"retryIntervalMinutes": 0});
        let job =
            json!({"packageId": package["id"], "kind": "STATIC", "scope": {"kind": "all"}, "terms": terms});
        let (status, made) = self.order("/jobs", body(&job)).await;
        let made = match (status, made["code"].as_str()) {
            (201, _) => made["job"].clone(),
            (409, Some("answerLost")) => {
                self.only("/jobs", "packageId", package["id"].as_str().unwrap()).await
            }
            (_, Some("noDeviceMatched")) => return None,
            _ => panic!("{status} {made}"),
        };
        let id = made["id"].as_str().unwrap().to_owned();
        self.jobs.push(id.clone());
        Some(id)
    }

    /// The one item of a list with this value: what an order made whose answer was lost.
    async fn only(&self, list: &str, member: &str, value: &str) -> Value {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{list}?productKey={PRODUCT}&limit=200{cursor}")).await;
            found.extend(page["items"].as_array().unwrap().iter().filter(|i| i[member] == value).cloned());
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found.len(), 1, "of {list} with {member} {value}: {found:?}");
        found.remove(0)
    }

    /// A job as it is.
    pub(crate) async fn job(&self, id: &str) -> Value {
        self.get(&format!("/jobs/{id}")).await
    }

    /// Sends a file once, and gives whatever is answered.
    pub(crate) async fn upload_once(&self, version: &str, file: Vec<u8>) -> Answer {
        let path =
            format!("/products/{PRODUCT}/packages?version={version}&needVerify=false&fileName=lamp.bin");
        let request = self.request("POST", &path, None, Some(("application/octet-stream", file))).await;
        let agent = self.agent.clone();
        tokio::task::spawn_blocking(move || run(&agent, request)).await.unwrap().expect("no answer")
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.until_answered("GET", path, None, None).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn order(&mut self, path: &str, body: Option<(&'static str, Vec<u8>)>) -> Answer {
        let key = format!("{:016x}", self.rng.next());
        self.until_answered("POST", path, Some(key), body).await
    }

    /// Sends a request again and again, to whichever process there is, until one has carried it out or
    /// refused it.
    async fn until_answered(
        &self,
        method: &'static str,
        path: &str,
        key: Option<String>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Answer {
        let send = async {
            loop {
                let request = self.request(method, path, key.as_deref(), body.clone()).await;
                let agent = self.agent.clone();
                match tokio::task::spawn_blocking(move || run(&agent, request)).await.unwrap() {
                    Some((status, answer)) if status < 500 && answer["code"] != "idempotencyKeyInUse" => {
                        return (status, answer);
                    }
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, send)
            .await
            .unwrap_or_else(|_| panic!("{method} {path} was not answered"))
    }
}

impl Operator {
    /// A request to the process there is, once there is one.
    async fn request(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> ureq::http::Request<Vec<u8>> {
        let url = self.url.clone().wait_for(Option::is_some).await.unwrap().clone().unwrap();
        let (kind, bytes) = body.unwrap_or(("application/json", Vec::new()));
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{url}/api/v1{path}"))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", kind);
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        request.body(bytes).unwrap()
    }
}

fn body(value: &Value) -> Option<(&'static str, Vec<u8>)> {
    Some(("application/json", value.to_string().into_bytes()))
}

/// `None` if the connection broke before the whole answer was there.
fn run(agent: &ureq::Agent, request: ureq::http::Request<Vec<u8>>) -> Option<Answer> {
    let mut response = agent.run(request).ok()?;
    let bytes = response.body_mut().read_to_vec().ok()?;
    Some((response.status().as_u16(), serde_json::from_slice(&bytes).ok()?))
}
