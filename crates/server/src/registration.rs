//! Devices that register (docs/protocol.md 2.7, 2.9): who gets a secret or a token for its product's secret.
//!
//! What has gathered is looked up together, as logins are. Who is refused costs nothing more; the others are looked
//! up once more where what they get is written, together too. Nothing is told before that is durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use door::{Granted, RegistrationRefusal as Refusal};
use rollout::{Device, EventKind, Id, Ms, RegistrationScheme};
use sha2::{Digest as _, Sha256};
use store::devices::Claimant;
use store::registrations::{DeviceToken, Known, KnownDevice};
use store::{Error, Owner, Tx};
use tokio::sync::{mpsc, oneshot};
use tracing::error;
use wire::credentials::{SignMethod, Username, verify_registration};

use crate::core::{Core, Unit};
use crate::orders::random_text;

/// Most registrations in one transaction.
const BATCH: usize = 256;

/// Client ids that a device may have tokens for.
const MOST_TOKENS: i64 = 5;

/// Characters of secrets and tokens that are made here.
const SECRET_LEN: usize = 32;

type Answer = Result<Granted, Refusal>;

/// What a token is remembered by.
pub(crate) fn token_hash(token: &[u8]) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

/// A registration as it came.
struct Wish {
    product_key: String,
    device_name: String,
    random: String,
    sign_method: SignMethod,
    signature: Vec<u8>,
    client_id: Option<String>,
}

impl Wish {
    fn applicant(&self) -> Claimant<'_> {
        let Self { product_key, device_name, client_id, .. } = self;
        Claimant { product_key, device_name, client_id: client_id.as_deref() }
    }
}

struct Question {
    wish: Wish,
    answer: oneshot::Sender<Answer>,
}

/// What a wish comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The device's secret.
    Secret,
    /// A token, and the device has room for it.
    Token,
    /// A token, in place of its oldest one.
    TokenForOldest,
    /// A token, and the device is to be made.
    New,
}

/// The way to ask.
#[derive(Clone)]
pub(crate) struct Registrations(mpsc::Sender<Question>);

impl Registrations {
    /// Starts answering. It ends when nobody can ask any more.
    pub(crate) fn start(core: Arc<Core>) -> Self {
        let (questions, waiting) = mpsc::channel(BATCH);
        tokio::spawn(run(core, waiting));
        Self(questions)
    }

    /// What a device gets, once it is durable.
    pub(crate) async fn ask(&self, registration: &door::Registration<'_>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let wish = Wish {
            product_key: registration.product_key.into(),
            device_name: registration.device_name.into(),
            random: registration.random.into(),
            sign_method: registration.sign_method,
            signature: registration.signature.into(),
            client_id: registration.client_id.map(Into::into),
        };
        self.0.send(Question { wish, answer }).await.map_err(|_| Refusal::Unavailable)?;
        answered.await.map_err(|_| Refusal::Unavailable)?
    }
}

async fn run(core: Arc<Core>, mut waiting: mpsc::Receiver<Question>) {
    loop {
        let mut questions = Vec::with_capacity(BATCH);
        if waiting.recv_many(&mut questions, BATCH).await == 0 {
            return;
        }
        // Who has stopped waiting needs no answer.
        questions.retain(|question| !question.answer.is_closed());
        let mut rest = sift(&core, questions).await;
        while !rest.is_empty() {
            let (first, later) = one_each(rest);
            settle(&core, first).await;
            rest = later;
        }
    }
}

/// Answers those who are refused and gives the others.
async fn sift(core: &Core, questions: Vec<Question>) -> Vec<Question> {
    let known = match read(core, &questions).await {
        Ok(known) => known,
        Err(error) => {
            refuse_all(questions, &error);
            return Vec::new();
        }
    };
    let mut rest = Vec::new();
    for (question, known) in questions.into_iter().zip(known) {
        match judge(core, &question.wish, known.as_ref(), core.now()) {
            Ok(_) => rest.push(question),
            Err(refusal) => drop(question.answer.send(Err(refusal))),
        }
    }
    rest
}

async fn read(core: &Core, questions: &[Question]) -> Result<Vec<Option<Known>>, Error> {
    let mut tx = core.store.read().await?;
    let known = look_up(&mut tx, questions).await?;
    tx.rollback().await?;
    Ok(known)
}

/// The first of each device, and the others: these are for a transaction of their own.
fn one_each(questions: Vec<Question>) -> (Vec<Question>, Vec<Question>) {
    let mut seen = BTreeSet::new();
    questions.into_iter().partition(|question| {
        let Wish { product_key, device_name, .. } = &question.wish;
        seen.insert((product_key.clone(), device_name.clone()))
    })
}

/// Writes what devices get, and tells them.
async fn settle(core: &Arc<Core>, questions: Vec<Question>) {
    match grant(core, &questions).await {
        Ok(answers) => {
            for (question, answer) in questions.into_iter().zip(answers) {
                let _ = question.answer.send(answer);
            }
        }
        Err(error) => refuse_all(questions, &error),
    }
}

fn refuse_all(questions: Vec<Question>, error: &Error) {
    error!(%error, registrations = questions.len(), "devices cannot be registered");
    for question in questions {
        let _ = question.answer.send(Err(Refusal::Unavailable));
    }
}

async fn look_up(tx: &mut Tx, questions: &[Question]) -> Result<Vec<Option<Known>>, Error> {
    let applicants: Vec<_> = questions.iter().map(|question| question.wish.applicant()).collect();
    store::registrations::known(tx, &applicants).await
}

async fn grant(core: &Arc<Core>, questions: &[Question]) -> Result<Vec<Answer>, Error> {
    let mut unit = core.unit().await?;
    let known = look_up(&mut unit.tx, questions).await?;
    let mut batch = Batch::default();
    let mut answers = Vec::with_capacity(questions.len());
    for (Question { wish, .. }, known) in questions.iter().zip(&known) {
        answers.push(batch.take(&mut unit, wish, known.as_ref()));
    }
    batch.write(&mut unit).await?;
    unit.commit().await?;
    Ok(answers)
}

/// What is written of registrations that belong together.
#[derive(Default)]
struct Batch {
    devices: Vec<store::devices::NewDevice>,
    /// Devices whose oldest token makes room.
    full: Vec<Id>,
    tokens: Vec<DeviceToken>,
}

impl Batch {
    fn take(&mut self, unit: &mut Unit, wish: &Wish, known: Option<&Known>) -> Answer {
        let verdict = judge(&unit.core, wish, known, unit.now)?;
        let known = known.ok_or(Refusal::UnknownProduct)?;
        let (granted, device) = match (verdict, &known.device) {
            (Verdict::New, _) => {
                let device = self.make_device(unit, wish, known.product)?;
                (self.make_token(device, wish, unit.now), device)
            }
            (_, None) => return Err(Refusal::UnknownDevice),
            (Verdict::Secret, Some(device)) => {
                let secret = device_secret(&unit.core, &wish.product_key, &wish.device_name, device)?;
                (Granted(secret), device.device)
            }
            (verdict, Some(device)) => {
                if verdict == Verdict::TokenForOldest {
                    self.full.push(device.device);
                }
                (self.make_token(device.device, wish, unit.now), device.device)
            }
        };
        let again = known.device.as_ref().is_some_and(|device| device.first_online_at.is_some());
        let scheme = match wish.client_id {
            None => RegistrationScheme::Register,
            Some(_) => RegistrationScheme::Regnwl,
        };
        let kind = EventKind::DeviceRegistered { scheme, again, gateway: None };
        unit.told(known.product, Some(device), None, kind);
        Ok(granted)
    }

    fn make_token(&mut self, device: Id, wish: &Wish, now: Ms) -> Granted {
        let token = random_text(SECRET_LEN);
        self.tokens.push(DeviceToken {
            device_id: device,
            client_id: wish.client_id.clone().unwrap_or_default(),
            hash: token_hash(token.as_bytes()),
            created_at: now,
        });
        Granted(token)
    }

    /// A device that nobody has made; like all others it has a secret, which an operator may use.
    fn make_device(&mut self, unit: &mut Unit, wish: &Wish, product: Id) -> Result<Id, Refusal> {
        let Wish { product_key, device_name, .. } = wish;
        let owner = Owner::Device { product_key, device_name };
        let secret = unit.core.store.keyring().seal(owner, random_text(SECRET_LEN).as_bytes());
        let secret = secret.map_err(|error| {
            error!(%error, "the secret of a device that registers cannot be sealed");
            Refusal::Unavailable
        })?;
        let device = Device::new(unit.core.next_id(), product, device_name.clone(), unit.now);
        let id = device.id;
        self.devices.push(store::devices::NewDevice { device, secret });
        let kind = EventKind::DeviceCreated { device_name: device_name.clone() };
        unit.told(product, Some(id), None, kind);
        Ok(id)
    }

    async fn write(self, unit: &mut Unit) -> Result<(), Error> {
        let Self { devices, full, tokens } = self;
        store::devices::create(&mut unit.tx, &devices).await?;
        store::registrations::forget_oldest_tokens(&mut unit.tx, &full).await?;
        store::registrations::keep_tokens(&mut unit.tx, &tokens).await
    }
}

/// A device's secret, opened.
pub(crate) fn device_secret(
    core: &Core,
    product_key: &str,
    device_name: &str,
    device: &KnownDevice,
) -> Result<String, Refusal> {
    let opened = core.store.keyring().open(Owner::Device { product_key, device_name }, &device.secret);
    match opened.map(String::from_utf8) {
        Ok(Ok(secret)) => Ok(secret),
        broken => {
            error!(product_key, device_name, error = ?broken.err(), "a device cannot be registered: its secret does not open");
            Err(Refusal::Unavailable)
        }
    }
}

/// What a product's devices sign with, opened.
pub(crate) fn product_secret(core: &Core, product_key: &str, known: &Known) -> Result<Vec<u8>, Refusal> {
    core.store.keyring().open(Owner::Product { product_key }, &known.secret).map_err(|error| {
        error!(%error, product_key, "a device cannot be registered: its product's secret does not open");
        Refusal::Unavailable
    })
}

fn judge(core: &Core, wish: &Wish, known: Option<&Known>, now: Ms) -> Result<Verdict, Refusal> {
    let known = known.ok_or(Refusal::UnknownProduct)?;
    let verdict = decide(wish.client_id.is_some(), known, now);
    if matches!(verdict, Err(Refusal::Off | Refusal::OnlyMadeBefore)) {
        return verdict;
    }
    let (product_key, device_name) = (&*wish.product_key, &*wish.device_name);
    let secret = product_secret(core, product_key, known)?;
    let user = Username { device_name, product_key };
    // Before it is told whether the device is there.
    if !verify_registration(&wish.signature, wish.sign_method, &secret, &user, &wish.random) {
        return Err(Refusal::BadSignature);
    }
    verdict
}

/// What becomes of a registration that is signed rightly.
pub(crate) fn decide(for_token: bool, known: &Known, now: Ms) -> Result<Verdict, Refusal> {
    if !known.dynamic_registration {
        return Err(Refusal::Off);
    }
    if for_token && !known.without_pre_registration {
        return Err(Refusal::OnlyMadeBefore);
    }
    let Some(device) = &known.device else {
        return if for_token { Ok(Verdict::New) } else { Err(Refusal::UnknownDevice) };
    };
    if !device.enabled {
        return Err(Refusal::Disabled);
    }
    let is_open = |until: Option<Ms>| until.is_some_and(|until| now < until);
    let again = is_open(known.registration_until) || is_open(device.registration_until);
    let is_fresh = again || device.first_online_at.is_none();
    match for_token {
        false if is_fresh => Ok(Verdict::Secret),
        // Who was activated with its secret has no token to replace.
        true if is_fresh || device.tokens > 0 => match device.tokens {
            _ if device.has_token => Ok(Verdict::Token),
            0..MOST_TOKENS => Ok(Verdict::Token),
            _ if again => Ok(Verdict::TokenForOldest),
            _ => Err(Refusal::TooManyTokens),
        },
        _ => Err(Refusal::Activated),
    }
}
