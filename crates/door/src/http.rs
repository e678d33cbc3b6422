//! HTTP at the devices' door: files, whole or one range of them (docs/protocol.md 7), registration (2.9), and the
//! way into WebSocket.
//!
//! What is not understood is refused with a sentence that says why; an answer always has its
//! `Content-Length` unless it can have no body, and is never chunked, compressed or redirected. A connection
//! ends with the first refusal.

pub(crate) mod answer;
pub(crate) mod form;
pub(crate) mod head;
pub(crate) mod range;
mod register;
mod request;
mod send;

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::time::Instant;

use crate::counters::count;
use crate::parting;
use crate::serve::{Channel, Door, Transport};
use crate::turned::Why;
use crate::websocket::{self, WebSocket};
use crate::{FileRefusal, Platform};
use answer::*;
use head::Head;
use request::{Request, Unread};
use send::{Receiver, write_all};

/// A connection that goes on with MQTT, and when its CONNECT has to be whole.
pub(crate) type Upgraded<S> = (WebSocket<S>, Instant);

/// Serves HTTP requests on a connection until it ends or becomes a WebSocket; the first one must be whole
/// by `deadline`.
pub(crate) async fn serve<P: Platform, S: Transport>(
    door: &Door<P>,
    mut line: S,
    peer: SocketAddr,
    channel: Channel,
    mut deadline: Instant,
) -> Option<Upgraded<S>> {
    let mut input = BytesMut::new();
    let mut is_first = true;
    loop {
        let Request { head, body } = match request::read(&mut line, &mut input, deadline).await {
            Ok(request) => request,
            Err(unread) => {
                if is_first && matches!(unread, Unread::Late) {
                    door.turn_stranger_away(peer, None, Why::LateHead(door.config.connect_timeout));
                }
                if let Some(refusal) = door.refusal(&unread) {
                    door.log.refused_request(peer, refusal.status.0.into(), &unread.to_string());
                    parting::answer(line, refusal.last_words().as_bytes()).await;
                }
                return None;
            }
        };
        is_first = false;
        count(&door.counters.http_requests);
        let answer = match websocket::asked(&head) {
            Some(Ok(welcome)) => {
                count(&door.counters.websockets);
                let welcomed = write_all(&mut line, welcome.as_bytes(), door.config.write_timeout).await;
                return welcomed.ok().map(|()| (WebSocket::new(line, input), deadline));
            }
            Some(Err(refusal)) => {
                count(&door.counters.http_bad_upgrade);
                refusal
            }
            None if register::is_asked(&head) => door.register_by_form(&body, peer, channel).await,
            None => door.answer(&head).await,
        };
        if let Some(sentence) = answer.refusal() {
            door.log.refused_request(peer, answer.status.0.into(), sentence);
        }
        let goes_on = head.goes_on && !answer.is_last;
        if let Err(error) = door.send(&mut line, &answer, &head, goes_on).await {
            tracing::debug!(%error, "an HTTP connection broke off");
            return None;
        }
        if !goes_on {
            parting::wait(line).await;
            return None;
        }
        deadline = Instant::now() + door.config.connect_timeout;
    }
}

impl<P: Platform> Door<P> {
    async fn answer(&self, head: &Head) -> Answer {
        if !matches!(&*head.method, "GET" | "HEAD") {
            count(&self.counters.http_bad_method);
            let text = "files are fetched with GET, HEAD tells of them, and devices register with POST at /auth/register/device";
            return Answer::refuse(METHOD_NOT_ALLOWED, text).with("Allow", "GET, HEAD");
        }
        let answer = match self.platform.open_file(&head.target).await {
            Ok(blob) => Answer::file(blob, head),
            Err(FileRefusal::Forbidden(reason)) => Answer::refuse(FORBIDDEN, &reason),
            Err(FileRefusal::NotFound) => Answer::refuse(
                NOT_FOUND,
                "there is no file at this address; a device finds the address of its file in the notice of its upgrade",
            ),
            Err(FileRefusal::Unavailable) => {
                Answer::refuse(UNAVAILABLE, "the file cannot be served at present; try again")
            }
        };
        match answer.status {
            FORBIDDEN => count(&self.counters.http_forbidden),
            NOT_FOUND => count(&self.counters.http_not_found),
            RANGE_NOT_SATISFIABLE => count(&self.counters.http_bad_range),
            UNAVAILABLE => count(&self.counters.http_failed),
            _ => {}
        }
        answer
    }

    /// What to say to who sent no request, if that is of use.
    fn refusal(&self, unread: &Unread) -> Option<Answer> {
        let answer = match unread {
            Unread::Ended | Unread::Late => return None,
            Unread::Bad(bad) => Answer::refuse(bad.status(), &unread.to_string()),
            Unread::LongBody(_) => Answer::refuse(CONTENT_TOO_LARGE, &unread.to_string()),
        };
        count(&self.counters.http_requests);
        count(&self.counters.http_bad_request);
        Some(answer)
    }

    async fn send<S: Transport>(
        &self,
        line: &mut S,
        answer: &Answer,
        asked: &Head,
        goes_on: bool,
    ) -> io::Result<()> {
        let (patience, counters) = (self.config.write_timeout, &*self.counters);
        let mut receiver = Receiver { line, patience, counters };
        let sent = receiver.send(answer, goes_on, asked.method == "HEAD").await;
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            count(&self.counters.write_timeout);
        }
        sent
    }
}
