//! The door's way into the use cases.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use door::{
    Admitted, Bearer, Blob, BoxFuture, Closed, Downlink, FileRefusal, Fingerprint, Granted, Passing,
    Platform, Refusal, Registration, RegistrationRefusal, Session, StreamRefusal, Unavailable,
};
use jiff::Timestamp;
use rollout::{Id, Input, JobState, Ms, Protocol, Task, TaskState};
use store::devices::Login;
use store::{BlobFile, Owner, Tx, UnsealError};
use tracing::{debug, error};
use wire::credentials::{AuthType, PskIdentity, PskKey, Username};
use wire::topic::Kind;

use crate::Server;
use crate::committer::NotTaken;
use crate::configurations::{self, Configurator};
use crate::counters::Counters;
use crate::downlink::FILE_ID;
use crate::ids::IdKind;
use crate::links::{LinkError, Subject};
use crate::registration::token_hash;
use crate::uplink::{self, Unread};

const FORGED: &str = "This address was not made by this platform, or was changed on the way.";
const SWITCHED_OFF: &str =
    "The configuration this address was made for was switched off or removed, or its device is disabled.";

/// What a device does about an address that is none any more.
const ASK: &str =
    "Ask for a new one: with thing/ota/firmware/get, or for a configuration with thing/config/get.";

impl Platform for Server {
    async fn authenticate(&self, login: &door::Login<'_>) -> Result<Admitted, Refusal> {
        let (product_key, device_name) = (login.product_key, login.device_name);
        let method = login.client_id.sign_method().map_err(|_| Refusal::Malformed)?;
        let auth_type = login.client_id.auth_type().and_then(AuthType::parse);
        if auth_type == Some(AuthType::Connwl) {
            return self.check_token(login).await;
        }
        let user = Username { device_name, product_key };
        let (found, secret) = self.enabled(user).await?;
        if !wire::credentials::verify(login.password, method, &secret, login.client_id, &user) {
            return Err(Refusal::BadPassword);
        }
        Ok(self.admit(found.device))
    }

    async fn register(&self, registration: &Registration<'_>) -> Result<Granted, RegistrationRefusal> {
        if !self.core.takes_logins() {
            return Err(RegistrationRefusal::Unavailable);
        }
        self.registrations.ask(registration).await
    }

    async fn pre_shared_key(&self, identity: &PskIdentity<'_>) -> Result<PskKey, Refusal> {
        let (_, secret) = self.enabled(identity.user).await?;
        Ok(identity.key(&secret))
    }

    async fn bearer(&self, certificate: &Fingerprint) -> Result<Bearer, Refusal> {
        if !self.core.takes_logins() {
            return Err(Refusal::Unavailable);
        }
        // Drawn before the look: what is taken away after it is known to be younger.
        let epoch = self.core.next_id();
        let sha256: String = certificate.iter().map(|byte| format!("{byte:02x}")).collect();
        let found = async {
            let mut tx = self.core.store.read().await?;
            store::certificates::bearer(&mut tx, &sha256).await
        };
        let found = found.await.map_err(|error| {
            error!(%error, sha256, "a certificate cannot be looked up");
            Refusal::Unavailable
        })?;
        let found = found.filter(|found| found.enabled).ok_or(Refusal::NotAuthorised)?;
        Ok(Bearer {
            admitted: Admitted { device: found.device, epoch },
            product_key: found.product_key.into(),
            device_name: found.device_name.into(),
        })
    }

    fn connected(&self, session: &Arc<Session>) {
        self.queue.presence(Input::Connected { device: session.device, epoch: session.epoch });
        if session.gateway.is_none() && self.core.renounced.has(session.device, session.epoch) {
            self.core.sessions.close(session.device, Closed::Ordered);
        }
        self.configurations.came(session);
    }

    fn ousted(&self, older: &Session) {
        self.queue.presence(Input::Ousted { device: older.device });
    }

    fn disconnected(&self, session: &Arc<Session>, _why: Closed) {
        self.queue.presence(Input::Disconnected { device: session.device, epoch: session.epoch });
    }

    fn uplink(
        &self,
        session: &Arc<Session>,
        kind: Kind,
        payload: Bytes,
    ) -> BoxFuture<'static, Result<(), Unavailable>> {
        Counters::add(self.core.counters.of(kind));
        if matches!(kind, Kind::ConfigGet | Kind::ConfigPushReply) {
            return self.configuration_uplink(session, kind, &payload);
        }
        let server = self.clone();
        let session = Arc::clone(session);
        if let Kind::Gateway(step) = kind {
            return Box::pin(async move {
                server.serve_gateway(&session, step, &payload).await;
                Ok(())
            });
        }
        let read = uplink::read(&session, kind, &payload);
        Box::pin(async move {
            match read {
                Ok(None) => Ok(()),
                Ok(Some(input)) => match server.queue.report(input).await {
                    // The others of its gateway must not suffer because it has moved.
                    Err(NotTaken) if server.has_moved(&session) => Ok(()),
                    done => done.map_err(|NotTaken| Unavailable),
                },
                Err(Unread { error, answer }) => {
                    server.drop_message(&session, kind, &error, answer);
                    Ok(())
                }
            }
        })
    }

    fn open_stream(
        &self,
        session: &Arc<Session>,
        stream_id: u32,
        file_id: u32,
    ) -> BoxFuture<'static, Result<Arc<dyn Blob>, StreamRefusal>> {
        let (server, device) = (self.clone(), session.device);
        Box::pin(async move { server.find_stream(device, stream_id, file_id).await })
    }

    fn is_watched(&self, session: &Session) -> bool {
        self.core.watches.has(session.device)
    }

    fn show(&self, session: &Session, passing: &Passing<'_>) {
        self.core.watches.show(session, passing, self.core.now());
    }

    async fn open_file(&self, target: &str) -> Result<Arc<dyn Blob>, FileRefusal> {
        let refuse = |refusal| {
            Counters::add(&self.core.counters.refused_links);
            Err(refusal)
        };
        let forbid = |reason| refuse(FileRefusal::Forbidden(reason));
        let now = self.core.now();
        let (task, first_attempt, number) = match self.core.writer.links.check(target, now) {
            Ok(Subject::Task { task, first_attempt, number }) => (task, first_attempt, number),
            Ok(Subject::Configuration { configuration, device }) => {
                return match self.open_configuration(configuration, device).await {
                    Ok(Some(file)) => Ok(file),
                    Ok(None) => forbid(SWITCHED_OFF.into()),
                    Err(error) => {
                        error!(error, configuration, "the file of a configuration cannot be opened");
                        Err(FileRefusal::Unavailable)
                    }
                };
            }
            Err(LinkError::Unknown) => return refuse(FileRefusal::NotFound),
            Err(LinkError::Forged) => return forbid(FORGED.into()),
            Err(LinkError::Expired(at)) => return forbid(expired(at, now)),
        };
        let find = async |tx: &mut Tx| Ok(store::tasks::get(tx, task).await?.map(|v| v.task));
        let found = self.find_file(number, find).await.map_err(|error| {
            error!(error, task, "a file cannot be opened");
            FileRefusal::Unavailable
        })?;
        let task = IdKind::Task.text(task);
        match found {
            None => forbid(format!("The upgrade {task}, which this address was made for, is no more.")),
            Some(Found { ended: Some(why), .. }) => {
                forbid(format!("The file of the upgrade {task} is not to be had: {why}."))
            }
            Some(found) if found.task.first_attempt() != first_attempt => {
                forbid(format!("The upgrade {task} was started again since this address was made. {ASK}"))
            }
            Some(found) => Ok(found.file),
        }
    }
}

fn expired(at: Ms, now: Ms) -> String {
    let [at, now] = [at, now].map(|ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX));
    format!("This address expired at {at:.0}, 24 hours after it was made, and now it is {now:.0}. {ASK}")
}

/// A task's file.
struct Found {
    task: Task,
    protocol: Protocol,
    /// Why its device may not read it, or not any more.
    ended: Option<&'static str>,
    file: Arc<dyn Blob>,
}

/// Why the file of a task may not be read.
fn ended(task: &Task, job: JobState, is_enabled: bool) -> Option<&'static str> {
    match (task.state, job) {
        _ if !is_enabled => Some("its device is disabled"),
        (TaskState::Canceled, _) => Some("it was cancelled"),
        (TaskState::Failed, _) => Some("it has failed"),
        (TaskState::Succeeded, _) => Some("it has succeeded"),
        (_, JobState::Canceled) => Some("its job was cancelled"),
        (_, JobState::Completed) => Some("its job has ended"),
        (_, JobState::Planned) => Some("its job has not begun"),
        (_, JobState::InProgress) if !task.approved => Some("it waits for approval"),
        (_, JobState::InProgress) => None,
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

impl Server {
    fn admit(&self, device: Id) -> Admitted {
        Admitted { device, epoch: self.core.next_id() }
    }

    async fn check_token(&self, login: &door::Login<'_>) -> Result<Admitted, Refusal> {
        let user = Username { device_name: login.device_name, product_key: login.product_key };
        let found = self.may_come_in(user, Some(login.client_id.id())).await?;
        match found.token {
            Some(hash) if hash == token_hash(login.password) => Ok(self.admit(found.device)),
            _ => Err(Refusal::BadPassword),
        }
    }

    /// A device that may come in, with its token for a client id if one is given.
    async fn may_come_in(&self, user: Username<'_>, client_id: Option<&str>) -> Result<Login, Refusal> {
        if !self.core.takes_logins() {
            return Err(Refusal::Unavailable);
        }
        let found = self.logins.find(user.product_key, user.device_name, client_id).await;
        let found = found.map_err(|_| Refusal::Unavailable)?;
        found.filter(|found| found.enabled).ok_or(Refusal::NotAuthorised)
    }

    /// A device that may come in, and its secret.
    async fn enabled(&self, user: Username<'_>) -> Result<(Login, Vec<u8>), Refusal> {
        let Username { product_key, device_name } = user;
        let found = self.may_come_in(user, None).await?;
        let secret = self.secret(product_key, device_name, &found).map_err(|error| {
            error!(%error, product_key, device_name, "a login cannot be checked: the device's secret does not open");
            Refusal::Unavailable
        })?;
        Ok((found, secret))
    }

    fn drop_message(
        &self,
        session: &Session,
        kind: Kind,
        error: &wire::message::Error,
        answer: Option<Downlink>,
    ) {
        Counters::add(&self.core.counters.bad_messages);
        debug!(product = session.product_key, device = session.device_name, ?kind, %error, "a message was dropped");
        if let Some(answer) = answer {
            self.core.sessions.deliver(session.device, session.epoch, answer);
        }
    }

    fn configuration_uplink(
        &self,
        session: &Session,
        kind: Kind,
        payload: &[u8],
    ) -> BoxFuture<'static, Result<(), Unavailable>> {
        match configurations::read(kind, payload) {
            Ok(word) => {
                let (configurations, note) =
                    (self.configurations.clone(), (session.device, session.epoch, word));
                Box::pin(async move { configurations.say(note).await.map_err(|_| Unavailable) })
            }
            Err(Unread { error, answer }) => {
                self.drop_message(session, kind, &error, answer);
                Box::pin(std::future::ready(Ok(())))
            }
        }
    }

    /// The file of a version for a device that was told of it; nothing if it may not have it any more.
    async fn open_configuration(&self, id: Id, device: Id) -> Result<Option<Arc<dyn Blob>>, AnyError> {
        let mut tx = self.core.store.read().await?;
        let Some(found) = store::configurations::get(&mut tx, id).await? else { return Ok(None) };
        let settings = store::configurations::settings(&mut tx, &[found.product_id]).await?;
        let is_on = settings.get(&found.product_id).is_none_or(|settings| settings.enabled);
        let enabled = store::devices::get(&mut tx, device).await?.is_some_and(|view| view.device.enabled);
        drop(tx);
        if !is_on || !enabled {
            return Ok(None);
        }
        let name = format!("configuration {}", IdKind::Configuration.text(found.id));
        let file = self.open_blob(name, found.sha256, found.size).await?;
        let configurations = self.configurations.clone();
        Ok(Some(Arc::new(ConfigurationFile { file, configurations, device, version: found.version })))
    }

    /// Whether this is the session of a sub-device that is no longer carried by it.
    fn has_moved(&self, session: &Session) -> bool {
        session.gateway.is_some() && self.core.sessions.epoch(session.device) != Some(session.epoch)
    }

    /// A device's secret.
    pub(crate) async fn find_secret(
        &self,
        product_key: &str,
        device_name: &str,
    ) -> Result<Option<Vec<u8>>, AnyError> {
        let found = self.logins.find(product_key, device_name, None).await?;
        found.map(|found| Ok(self.secret(product_key, device_name, &found)?)).transpose()
    }

    pub(crate) fn secret(
        &self,
        product_key: &str,
        device_name: &str,
        found: &Login,
    ) -> Result<Vec<u8>, UnsealError> {
        self.core.store.keyring().open(Owner::Device { product_key, device_name }, &found.secret)
    }

    async fn find_stream(
        &self,
        device: Id,
        stream_id: u32,
        file_id: u32,
    ) -> Result<Arc<dyn Blob>, StreamRefusal> {
        let refuse = |refusal| {
            Counters::add(&self.core.counters.refused_streams);
            Err(refusal)
        };
        let found =
            self.find_file(FILE_ID, async |tx: &mut Tx| store::tasks::by_stream(tx, stream_id).await).await;
        let found = found.map_err(|error| {
            error!(error, stream_id, "a stream cannot be opened");
            StreamRefusal::Unavailable
        })?;
        let own = |found: &Found| {
            found.task.device_id == device && found.protocol == Protocol::Mqtt && file_id == FILE_ID
        };
        match found.filter(own) {
            Some(found) if found.ended.is_none() => Ok(found.file),
            Some(_) => refuse(StreamRefusal::Ended),
            None => refuse(StreamRefusal::NotFound),
        }
    }

    async fn find_file(
        &self,
        number: u32,
        find: impl AsyncFnOnce(&mut Tx) -> Result<Option<Task>, store::Error>,
    ) -> Result<Option<Found>, AnyError> {
        let mut tx = self.core.store.read().await?;
        let Some(task) = find(&mut tx).await? else { return Ok(None) };
        let Some(job) = store::jobs::get(&mut tx, task.job_id).await? else { return Ok(None) };
        let Some(package) = store::packages::get(&mut tx, task.package_id).await? else { return Ok(None) };
        let device = store::devices::get(&mut tx, task.device_id).await?;
        drop(tx);
        let is_enabled = device.is_some_and(|view| view.device.enabled);
        let ended = ended(&task, job.state, is_enabled);
        let name = format!("package {}", IdKind::Package.text(package.id));
        let index = usize::try_from(number.saturating_sub(FILE_ID)).unwrap_or(usize::MAX);
        let Some(file) = package.files().into_iter().nth(index) else { return Ok(None) };
        let file = Arc::new(self.open_blob(name, file.sha256, file.size).await?);
        Ok(Some(Found { task, protocol: job.protocol, ended, file }))
    }

    /// The file of something, if it is there and as long as it was.
    async fn open_blob(&self, of: String, sha256: String, size: i64) -> Result<File, AnyError> {
        let broken = |what: &dyn std::fmt::Display| format!("the file of the {of}, blob {sha256}: {what}");
        let blob = self.core.store.blobs().open(&sha256).await.map_err(|error| broken(&error))?;
        if i64::try_from(blob.len()) != Ok(size) {
            let what = format!("it has {} bytes instead of {size}", blob.len());
            return Err(broken(&what).into());
        }
        let opened = Opened { blob, sha256, of, told: AtomicBool::new(false) };
        Ok(File(Arc::new(opened)))
    }
}

/// A file, as the door reads it.
struct File(Arc<Opened>);

struct Opened {
    blob: BlobFile,
    sha256: String,
    /// Whose file it is.
    of: String,
    /// Whether the log has been told that it cannot be read.
    told: AtomicBool,
}

impl Opened {
    fn tell(&self, error: &io::Error) {
        if !self.told.swap(true, Ordering::Relaxed) {
            error!(%error, of = self.of, blob = self.sha256, "a file cannot be read");
        }
    }
}

impl Blob for File {
    fn len(&self) -> u64 {
        self.0.blob.len()
    }

    fn read(&self, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        let file = Arc::clone(&self.0);
        Box::pin(async move { file.blob.read(offset, len).await.inspect_err(|error| file.tell(error)) })
    }

    fn resident(
        &self,
        offset: u64,
        len: usize,
    ) -> BoxFuture<'static, io::Result<Option<Arc<std::fs::File>>>> {
        let file = Arc::clone(&self.0);
        Box::pin(async move { file.blob.resident(offset, len).await.inspect_err(|error| file.tell(error)) })
    }

    fn etag(&self) -> Option<&str> {
        Some(&self.0.sha256)
    }
}

/// The file of a configuration, which tells when it is read to its end: a HEAD, or a range before the end, is no
/// fetch.
struct ConfigurationFile {
    file: File,
    configurations: Configurator,
    device: Id,
    version: i64,
}

impl Blob for ConfigurationFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read(&self, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        let read = self.file.read(offset, len);
        if offset + (len as u64) < self.len() {
            return read;
        }
        let (configurations, device, version) = (self.configurations.clone(), self.device, self.version);
        Box::pin(async move { read.await.inspect(|_| configurations.fetched(device, version)) })
    }

    fn etag(&self) -> Option<&str> {
        self.file.etag()
    }
}
