//! What a device published, as the rules want it.

use door::Session;
use rollout::{Ask, DEFAULT_MODULE, Input};
use wire::message::{Error, Get, Inform, OldRequest, Progress};
use wire::topic::Kind;

/// Reads a publish. `None` is a topic nothing here listens to.
pub(crate) fn read(session: &Session, kind: Kind, payload: &[u8]) -> Result<Option<Input>, Error> {
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
