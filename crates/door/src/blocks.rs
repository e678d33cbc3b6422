//! The block path (docs/protocol.md 6): requests wait as requests, one block is read at a time.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use mqtt::{Publish, Version, publish_header};
use wire::block::{self, BlockHead, ErrorHead, MAX_FRAME_OVERHEAD, frame_prefix};
use wire::json::RawStr;
use wire::message::{BlockRequest, Id};
use wire::topic::MAX_TOPIC;

use crate::outbox::ReadyBlock;
use crate::{Blob, BoxFuture, DeviceId, Session, StreamRefusal};

/// Streams whose right a session remembers, and one more for each sub-device; the oldest is asked for anew.
const MAX_GRANTS: usize = 8;

/// Requests of each sub-device that may wait, beside those of any session.
const SUB_DEVICE_REQUESTS: usize = 2;

/// A block request, out of its packet.
#[derive(Debug)]
pub(crate) struct Request {
    /// Who asked: the session's device, or a sub-device.
    pub(crate) who: Arc<Session>,
    id: Box<str>,
    file_token: Option<Box<str>>,
    pub(crate) stream_id: u32,
    file_id: u32,
    size: u32,
    offset: u32,
}

impl Request {
    pub(crate) fn new(who: &Arc<Session>, request: BlockRequest<'_>) -> Self {
        Self {
            who: who.clone(),
            id: request.id.raw().into(),
            file_token: request.file_token.map(|token| token.raw().into()),
            stream_id: request.stream_id,
            file_id: request.file_id,
            size: request.size,
            offset: request.offset,
        }
    }
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) request: Request,
    pub(crate) result: Result<Data, Refused>,
}

/// The bytes asked for.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) bytes: Bytes,
    file_length: u64,
}

/// Why there is no block; each has its error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Stream(StreamRefusal),
    BeyondEnd,
    ReadFailed,
}

impl Refused {
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Stream(StreamRefusal::NotFound) => block::CODE_UNKNOWN,
            Self::Stream(StreamRefusal::Ended) => block::CODE_TASK_OVER,
            Self::BeyondEnd => block::CODE_PARAMETER,
            Self::Stream(StreamRefusal::Unavailable) | Self::ReadFailed => block::CODE_READ_FAILED,
        }
    }
}

type Opening = BoxFuture<'static, Result<Arc<dyn Blob>, StreamRefusal>>;

/// Device, stream and file.
type Grant = (DeviceId, u32, u32);

enum Work {
    Idle,
    Opening(Request, Opening),
    Reading(Reading),
}

struct Reading {
    request: Request,
    length: usize,
    file_length: u64,
    bytes: BoxFuture<'static, io::Result<Bytes>>,
}

/// The block requests of one session, answered in their order.
pub(crate) struct Blocks {
    waiting: VecDeque<Request>,
    grants: HashMap<Grant, Arc<dyn Blob>>,
    /// The grants in the order they were given.
    given: VecDeque<Grant>,
    work: Work,
    limit: usize,
}

impl Blocks {
    pub(crate) fn new(limit: usize) -> Self {
        let (waiting, grants, given) = Default::default();
        Self { waiting, grants, given, work: Work::Idle, limit }
    }

    /// Lets a request wait; gives it back when too many do in a session that carries this many sub-devices.
    pub(crate) fn ask(&mut self, request: Request, carried: usize) -> Result<(), Request> {
        if self.waiting.len() >= self.limit + carried * SUB_DEVICE_REQUESTS {
            return Err(request);
        }
        self.waiting.push_back(request);
        Ok(())
    }

    /// Forgets the right to a stream. A request for it that is being worked on begins anew, and so do
    /// those whose answers were made in vain.
    pub(crate) fn revoke(&mut self, stream_id: u32, answered: Vec<Request>) {
        self.forget(|(_, stream, _)| *stream == stream_id);
        match std::mem::replace(&mut self.work, Work::Idle) {
            Work::Opening(request, _) | Work::Reading(Reading { request, .. })
                if request.stream_id == stream_id =>
            {
                self.waiting.push_front(request);
            }
            other => self.work = other,
        }
        for request in answered.into_iter().rev() {
            self.waiting.push_front(request);
        }
    }

    /// Drops what a sub-device has asked for, and its rights.
    pub(crate) fn dismiss(&mut self, device: DeviceId) {
        self.forget(|(of, ..)| *of == device);
        self.waiting.retain(|request| request.who.device != device);
        if self.next().is_some_and(|request| request.who.device == device) {
            self.work = Work::Idle;
        }
    }

    fn forget(&mut self, which: impl Fn(&Grant) -> bool) {
        self.grants.retain(|grant, _| !which(grant));
        self.given.retain(|grant| !which(grant));
    }

    /// The request that is answered next.
    pub(crate) fn next(&self) -> Option<&Request> {
        match &self.work {
            Work::Opening(request, _) | Work::Reading(Reading { request, .. }) => Some(request),
            Work::Idle => self.waiting.front(),
        }
    }

    /// The next answer. No new block is read while it would not fit into `room` bytes; `open` settles
    /// the right to a stream. The session carries `carried` sub-devices.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        carried: usize,
        open: impl Fn(&Arc<Session>, u32, u32) -> Opening,
    ) -> Poll<Answer> {
        loop {
            let next = match std::mem::replace(&mut self.work, Work::Idle) {
                Work::Idle => match self.waiting.pop_front_if(|request| request.size as usize <= room) {
                    Some(request) => self.begin(request, &open),
                    None => return Poll::Pending,
                },
                Work::Opening(request, mut opening) => match opening.as_mut().poll(cx) {
                    Poll::Ready(Ok(blob)) => self.opened(request, blob, carried),
                    Poll::Ready(Err(refusal)) => Err(request.refused(Refused::Stream(refusal))),
                    Poll::Pending => {
                        self.work = Work::Opening(request, opening);
                        return Poll::Pending;
                    }
                },
                Work::Reading(mut reading) => match reading.bytes.as_mut().poll(cx) {
                    Poll::Ready(read) => return Poll::Ready(reading.done(read)),
                    Poll::Pending => {
                        self.work = Work::Reading(reading);
                        return Poll::Pending;
                    }
                },
            };
            match next {
                Ok(work) => self.work = work,
                Err(answer) => return Poll::Ready(answer),
            }
        }
    }

    fn begin(
        &mut self,
        request: Request,
        open: impl Fn(&Arc<Session>, u32, u32) -> Opening,
    ) -> Result<Work, Answer> {
        match self.grants.get(&request.grant()) {
            Some(blob) => read(request, &**blob),
            None => {
                let opening = open(&request.who, request.stream_id, request.file_id);
                Ok(Work::Opening(request, opening))
            }
        }
    }

    fn opened(&mut self, request: Request, blob: Arc<dyn Blob>, carried: usize) -> Result<Work, Answer> {
        let most = MAX_GRANTS + carried;
        while self.given.len() >= most
            && let Some(oldest) = self.given.pop_front()
        {
            self.grants.remove(&oldest);
        }
        let grant = request.grant();
        let work = read(request, &*blob);
        self.given.push_back(grant);
        self.grants.insert(grant, blob);
        work
    }
}

fn read(request: Request, blob: &dyn Blob) -> Result<Work, Answer> {
    let file_length = blob.len();
    let offset = u64::from(request.offset);
    if offset >= file_length {
        return Err(request.refused(Refused::BeyondEnd));
    }
    let length = u64::from(request.size).min(file_length - offset) as usize;
    Ok(Work::Reading(Reading { bytes: blob.read(offset, length), request, length, file_length }))
}

impl Reading {
    fn done(self, read: io::Result<Bytes>) -> Answer {
        let Self { request, length, file_length, .. } = self;
        match read {
            Ok(bytes) if bytes.len() == length => Answer { request, result: Ok(Data { bytes, file_length }) },
            _ => request.refused(Refused::ReadFailed),
        }
    }
}

impl Request {
    fn grant(&self) -> Grant {
        (self.who.device, self.stream_id, self.file_id)
    }

    fn refused(self, refused: Refused) -> Answer {
        Answer { request: self, result: Err(refused) }
    }

    #[cfg(test)]
    pub(crate) fn of_stream(stream_id: u32) -> Self {
        Self {
            who: Session::of_test(),
            id: "".into(),
            file_token: None,
            stream_id,
            file_id: 1,
            size: 1,
            offset: 0,
        }
    }
}

impl Answer {
    /// The answer as a PUBLISH in parts; `publish` says all but the payload. `None` only if the topic
    /// is none.
    pub(crate) fn frame(self, publish: &Publish<'_>, version: Version) -> Option<ReadyBlock> {
        let Self { request, result } = self;
        match result {
            Ok(data) => request.block_frame(data, publish, version),
            Err(refused) => {
                let code = refused.code();
                request.error_frame(code, message(code), publish, version)
            }
        }
    }
}

impl ReadyBlock {
    /// An error frame in place of a block that is longer than the device's Maximum Packet Size.
    pub(crate) fn too_long(self, most: u32, publish: &Publish<'_>, version: Version) -> Option<Self> {
        let msg = format!("the block would make a packet of {} bytes, this device takes {most}", self.len());
        self.request.error_frame(block::CODE_PARAMETER, &msg, publish, version)
    }
}

impl Request {
    fn error_frame(
        self,
        code: u16,
        msg: &str,
        publish: &Publish<'_>,
        version: Version,
    ) -> Option<ReadyBlock> {
        let id = Id::from_raw(&self.id).unwrap_or_default();
        let head = with_header(publish, version, &frame_of(id, code, msg), 0)?;
        Some(ReadyBlock { request: self, head, data: Bytes::new(), crc: None, packet_id: publish.packet_id })
    }

    fn block_frame(self, data: Data, publish: &Publish<'_>, version: Version) -> Option<ReadyBlock> {
        let file_token = self.file_token.as_deref().and_then(|token| RawStr::from_raw(token).ok());
        let head = BlockHead {
            id: Id::from_raw(&self.id).unwrap_or_default(),
            offset: self.offset,
            size: u32::try_from(data.bytes.len()).ok()?,
            file_length: data.file_length,
            file_token,
        };
        let mut prefix = [0; MAX_FRAME_OVERHEAD];
        let length = frame_prefix(&head, &mut prefix).ok()?;
        let crc = block::crc16(&data.bytes).to_le_bytes();
        let head = with_header(publish, version, &prefix[..length], data.bytes.len() + crc.len())?;
        let (data, packet_id) = (data.bytes, publish.packet_id);
        Some(ReadyBlock { request: self, head, data, crc: Some(crc), packet_id })
    }
}

/// An error frame for a request with this id.
pub(crate) fn error_frame(id: Id<'_>, code: u16) -> Vec<u8> {
    frame_of(id, code, message(code))
}

fn frame_of(id: Id<'_>, code: u16, msg: &str) -> Vec<u8> {
    let head = ErrorHead { id, code, msg: RawStr::plain(msg).unwrap_or_default() };
    let mut frame = vec![0; MAX_FRAME_OVERHEAD];
    let length = frame_prefix(&head, &mut frame).unwrap_or(0);
    frame.truncate(length);
    frame
}

/// MQTT header and frame prefix, with `following` more payload bytes to come.
fn with_header(publish: &Publish<'_>, version: Version, prefix: &[u8], following: usize) -> Option<Vec<u8>> {
    let mut header = [0; MAX_TOPIC + 8];
    let length = publish_header(publish, prefix.len() + following, version, &mut header).ok()?;
    Some([&header[..length], prefix].concat())
}

fn message(code: u16) -> &'static str {
    match code {
        block::CODE_UNKNOWN => "no such stream or file",
        block::CODE_NO_SESSION => "the sub-device is not logged in",
        block::CODE_TASK_OVER => "the task is cancelled or finished",
        block::CODE_PARAMETER => "parameter missing or out of range",
        block::CODE_TOO_MANY => "too many requests are waiting",
        _ => "the file cannot be read",
    }
}
