//! What a device published, as the rules want it.

use door::{Downlink, Session};
use rollout::{Ask, DEFAULT_MODULE, Input};
use wire::message::{Error, Get, Inform, OldRequest, Progress, RequestError};
use wire::topic::Kind;

use crate::downlink;

/// A publish that changes nothing.
pub(crate) struct Unread {
    pub(crate) error: Error,
    /// For a device that waits for one.
    pub(crate) answer: Option<Downlink>,
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self { error, answer: None }
    }
}

impl From<RequestError<'_>> for Unread {
    fn from(error: RequestError<'_>) -> Self {
        match error {
            RequestError::Unreadable(error) => error.into(),
            RequestError::Parameter { id, error } => Self { error, answer: Some(downlink::refused(id)) },
        }
    }
}

/// Reads a publish. `None` is a topic nothing here listens to.
pub(crate) fn read(session: &Session, kind: Kind, payload: &[u8]) -> Result<Option<Input>, Unread> {
    let (device, epoch) = (session.device, session.epoch);
    Ok(Some(match kind {
        Kind::Inform => {
            let Inform { version, module, .. } = Inform::parse(payload)?;
            Input::Reported { device, epoch, module: name(module), version: version.to_string() }
        }
        Kind::Progress => {
            let Progress { step, desc, module, .. } = Progress::parse(payload)?;
            Input::Progressed { device, epoch, module: name(module), step, desc: desc.to_string() }
        }
        Kind::FirmwareGet => {
            let Get { id, module } = Get::parse(payload)?;
            let ask = Ask::Get { id: id.raw().into() };
            Input::Asked { device, epoch, module: name(module), ask }
        }
        Kind::Request => {
            OldRequest::parse(payload)?;
            Input::Asked { device, epoch, module: name(None), ask: Ask::OldRequest }
        }
        _ => return Ok(None),
    }))
}

fn name(module: Option<&str>) -> String {
    module.unwrap_or(DEFAULT_MODULE).to_owned()
}
