//! Who logs in, and with which secret: what has gathered is looked up together, so that a fleet that
//! comes back at once costs few transactions.

use std::sync::Arc;

use store::devices::{Claimant, Login};
use store::{Error, Store};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

/// Most logins looked up in one transaction.
const BATCH: usize = 256;

type Answer = Result<Option<Login>, LookupError>;

/// A device could not be looked up.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum LookupError {
    /// The database's refusal, of all that were looked up with it.
    #[error(transparent)]
    Store(#[from] Arc<Error>),
    /// The platform stops.
    #[error("nobody answers any more")]
    Stopped,
}

struct Question {
    product_key: String,
    device_name: String,
    client_id: Option<String>,
    answer: oneshot::Sender<Answer>,
}

impl Question {
    fn name(&self) -> Claimant<'_> {
        let Self { product_key, device_name, client_id, .. } = self;
        Claimant { product_key, device_name, client_id: client_id.as_deref() }
    }
}

/// The way to ask. Answers tell of a state no older than the question.
#[derive(Clone)]
pub(crate) struct Logins(mpsc::Sender<Question>);

impl Logins {
    /// Starts looking up. It ends when nobody can ask any more.
    pub(crate) fn start(store: Store) -> Self {
        let (questions, waiting) = mpsc::channel(BATCH);
        tokio::spawn(run(store, waiting));
        Self(questions)
    }

    /// The device of these names, with its token for a client id if one is given.
    pub(crate) async fn find(&self, product_key: &str, device_name: &str, client_id: Option<&str>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let (product_key, device_name) = (product_key.to_owned(), device_name.to_owned());
        let client_id = client_id.map(Into::into);
        let question = Question { product_key, device_name, client_id, answer };
        self.0.send(question).await.map_err(|_| LookupError::Stopped)?;
        answered.await.map_err(|_| LookupError::Stopped)?
    }
}

async fn run(store: Store, mut waiting: mpsc::Receiver<Question>) {
    loop {
        let mut questions = Vec::with_capacity(BATCH);
        if waiting.recv_many(&mut questions, BATCH).await == 0 {
            return;
        }
        // Who has stopped waiting needs no answer.
        questions.retain(|question| !question.answer.is_closed());
        let found = look_up(&store, &questions).await.map_err(Arc::new);
        if let Err(error) = &found {
            error!(%error, logins = questions.len(), "logins cannot be checked");
        }
        answer(questions, found);
    }
}

async fn look_up(store: &Store, questions: &[Question]) -> Result<Vec<Option<Login>>, Error> {
    let names: Vec<_> = questions.iter().map(Question::name).collect();
    let mut tx = store.read().await?;
    let found = store::devices::logins(&mut tx, &names).await?;
    tx.rollback().await?;
    Ok(found)
}

fn answer(questions: Vec<Question>, found: Result<Vec<Option<Login>>, Arc<Error>>) {
    match found {
        Ok(found) => {
            for (question, login) in questions.into_iter().zip(found) {
                let _ = question.answer.send(Ok(login));
            }
        }
        Err(error) => {
            for question in questions {
                let _ = question.answer.send(Err(error.clone().into()));
            }
        }
    }
}
