//! A platform with a task a module, as far as the device's side of the protocol needs one.

use std::fmt::Write as _;

use md5::Digest as _;
use wire::Emit;
use wire::block::{BlockHead, ErrorHead, Frame, crc16, frame_prefix};
use wire::json::RawStr;
use wire::message::{
    BlockRequest, Digest, File, Files, Get, GetReply, Inform, Notice, Offer, Progress, Source,
};
use wire::topic::{Kind, Topic};

use super::{DN, PK};

type Message = (String, Vec<u8>);

/// One upgrade of one module.
#[derive(Clone)]
pub struct Task {
    pub module: String,
    pub version: String,
    pub file: Vec<u8>,
    pub stream: u32,
    /// It is offered over HTTP, at this URL.
    pub url: Option<String>,
    /// In place of `file`, several over HTTP.
    pub files: Vec<Vec<u8>>,
    pub method: Digest,
    /// What the notice says in place of the truth.
    pub sign: Option<String>,
    pub size: Option<u64>,
    /// It ended: nothing is offered any more.
    pub over: bool,
    /// It is not pushed: a device has to ask for it.
    pub pulled: bool,
}

impl Task {
    /// An upgrade of the default module to `2.0`, checked by MD5.
    pub fn new(file: Vec<u8>) -> Self {
        Self {
            module: "default".to_owned(),
            version: "2.0".to_owned(),
            file,
            stream: 12_332,
            url: None,
            files: Vec::new(),
            method: Digest::Md5,
            sign: None,
            size: None,
            over: false,
            pulled: false,
        }
    }

    fn offer<T>(&self, with: impl FnOnce(Offer<'_>) -> T) -> T {
        let sign = self.sign.clone().unwrap_or_else(|| digest_hex(self.method, &self.file));
        let size = self.size.unwrap_or(self.file.len() as u64);
        let md5 = digest_hex(Digest::Md5, &self.file);
        let texts: Vec<_> = self
            .files
            .iter()
            .enumerate()
            .map(|(index, file)| {
                (format!("http://h/{index}"), digest_hex(self.method, file), digest_hex(Digest::Md5, file))
            })
            .collect();
        let files = self.files.iter().zip(&texts).map(|(file, (url, sign, md5))| {
            let url = RawStr::plain(url).unwrap();
            File { size: file.len() as u64, name: url, url, md5: Some(md5), sign }
        });
        let files: Vec<_> = files.collect();
        with(Offer {
            version: RawStr::plain(&self.version).unwrap(),
            module: Some(self.module.as_str()).filter(|module| *module != "default"),
            sign_method: self.method,
            is_diff: false,
            ext_data: None,
            digest_sign: None,
            source: match &self.url {
                _ if !files.is_empty() => Source::Files(Files::List(&files)),
                Some(url) => {
                    Source::Http { url: RawStr::plain(url).unwrap(), size, sign: &sign, md5: Some(&md5) }
                }
                None => {
                    Source::Mqtt { stream_id: self.stream, file_id: 1, size, sign: &sign, md5: Some(&md5) }
                }
            },
        })
    }

    /// What is at this URL.
    pub fn behind(&self, url: &str) -> &[u8] {
        let index = url.rsplit('/').next().and_then(|last| last.parse().ok());
        index.and_then(|index: usize| self.files.get(index)).unwrap_or(&self.file)
    }

    /// The notice of this task.
    pub fn notice(&self) -> Message {
        let payload = self.offer(|offer| text(&Notice::new(1, offer).unwrap()));
        (topic(Kind::Upgrade), payload.into_bytes())
    }
}

/// A report of progress.
#[derive(Clone, Debug)]
pub struct Step {
    pub at: u64,
    pub module: String,
    pub step: i32,
    pub desc: String,
}

pub struct Platform {
    pub tasks: Vec<Task>,
    pub informs: Vec<(String, String)>,
    pub progress: Vec<Step>,
    pub gets: u32,
    /// Bytes of blocks sent.
    pub served: u64,
    /// Answers a block request with an error frame in place of the block.
    #[allow(clippy::type_complexity)]
    pub refuse: Option<Box<dyn FnMut(u32) -> Option<u16>>>,
    /// What block replies say in place of the file's length.
    pub file_length: Option<u64>,
    /// Largest block sent whatever is asked for.
    pub largest: usize,
    /// Leaves the file token out of its answers.
    pub forgets_tokens: bool,
}

impl Platform {
    pub fn new(tasks: Vec<Task>) -> Self {
        Self {
            tasks,
            informs: Vec::new(),
            progress: Vec::new(),
            gets: 0,
            served: 0,
            refuse: None,
            file_length: None,
            largest: usize::MAX,
            forgets_tokens: false,
        }
    }

    pub fn receive(&mut self, now: u64, topic: &str, payload: &[u8]) -> Vec<Message> {
        let topic = Topic::parse(topic).unwrap();
        assert!(topic.belongs_to(PK, DN) && topic.kind.may_publish());
        match topic.kind {
            Kind::Inform => self.inform(payload),
            Kind::Progress => self.progress(now, payload),
            Kind::FirmwareGet => self.get(payload),
            Kind::FileDownload => self.block(payload),
            kind => panic!("a device never publishes {kind:?}"),
        }
    }

    fn inform(&mut self, payload: &[u8]) -> Vec<Message> {
        let inform = Inform::parse(payload).unwrap();
        let (module, version) = (inform.module.unwrap_or("default"), inform.version.to_string());
        self.informs.push((module.to_owned(), version.clone()));
        let Some(task) = self.tasks.iter_mut().find(|task| task.module == module && !task.over) else {
            return Vec::new();
        };
        task.over = task.version == version;
        if task.over || task.pulled { Vec::new() } else { vec![task.notice()] }
    }

    fn progress(&mut self, now: u64, payload: &[u8]) -> Vec<Message> {
        let progress = Progress::parse(payload).unwrap();
        let module = progress.module.unwrap_or("default").to_owned();
        if progress.step < 0 {
            self.tasks.iter_mut().filter(|task| task.module == module).for_each(|task| task.over = true);
        }
        self.progress.push(Step { at: now, module, step: progress.step, desc: progress.desc.to_string() });
        Vec::new()
    }

    fn get(&mut self, payload: &[u8]) -> Vec<Message> {
        self.gets += 1;
        let get = Get::parse(payload).unwrap();
        let module = get.module.unwrap_or("default");
        let task = self.tasks.iter().find(|task| task.module == module && !task.over);
        let reply = match task {
            Some(task) => task.offer(|offer| text(&GetReply::offer(get.id, offer).unwrap())),
            None => text(&GetReply::nothing(get.id)),
        };
        vec![(topic(Kind::FirmwareGetReply), reply.into_bytes())]
    }

    fn block(&mut self, payload: &[u8]) -> Vec<Message> {
        let Ok(request) = BlockRequest::parse(payload) else { return Vec::new() };
        let refusal = self.refuse.as_mut().and_then(|refuse| refuse(request.offset));
        let task = self.tasks.iter().find(|task| task.stream == request.stream_id);
        let frame = match (refusal, task) {
            (Some(code), _) => error(&request, code),
            (None, None) => error(&request, 404),
            (None, Some(task)) => self.frame(task, &request),
        };
        if let Ok(Frame::Block { data, .. }) = Frame::parse(&frame) {
            self.served += data.len() as u64;
        }
        vec![(topic(Kind::FileDownloadReply), frame)]
    }

    fn frame(&self, task: &Task, request: &BlockRequest<'_>) -> Vec<u8> {
        let Some(rest) = task.file.get(request.offset as usize..) else { return error(request, 460) };
        let data = &rest[..rest.len().min(request.size as usize).min(self.largest)];
        let head = BlockHead {
            id: request.id,
            offset: request.offset,
            size: data.len() as u32,
            file_length: self.file_length.unwrap_or(task.file.len() as u64),
            file_token: request.file_token.filter(|_| !self.forgets_tokens),
        };
        let mut frame = prefix(&head);
        frame.extend_from_slice(data);
        frame.extend_from_slice(&crc16(data).to_le_bytes());
        frame
    }
}

fn error(request: &BlockRequest<'_>, code: u16) -> Vec<u8> {
    let msg = RawStr::plain("as the test wants it").unwrap();
    prefix(&ErrorHead { id: request.id, code, msg })
}

fn prefix(head: &impl Emit) -> Vec<u8> {
    let mut buffer = [0; 512];
    let len = frame_prefix(head, &mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn text(message: &dyn Emit) -> String {
    let mut text = String::new();
    message.emit(&mut text).unwrap();
    text
}

fn topic(kind: Kind) -> String {
    Topic::new(kind, PK, DN).to_string()
}

fn digest_hex(method: Digest, data: &[u8]) -> String {
    let digest = match method {
        Digest::Md5 => md5::Md5::digest(data).to_vec(),
        Digest::Sha256 => sha2::Sha256::digest(data).to_vec(),
    };
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
