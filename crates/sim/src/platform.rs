//! A platform for one device, as far as the device's side of the protocol needs one.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use wire::Emit;
use wire::block::{BlockHead, CODE_PARAMETER, CODE_UNKNOWN, ErrorHead, crc16, frame_prefix};
use wire::json::RawStr;
use wire::message::{BlockRequest, Digest, Get, GetReply, Inform, Notice, Offer, Progress, Source};
use wire::topic::{Kind, Topic};

use crate::image::{Behaviour, Image};

/// A topic and what is published there.
pub type Message = (String, Vec<u8>);

/// Key of the product that the device belongs to.
pub(crate) const PRODUCT_KEY: &str = "a1Simulated";
/// Name of the device.
pub(crate) const DEVICE_NAME: &str = "device";

/// It brings one image after the other to a device: the next when one is reported as running, or as failed if it is
/// a bad one. A good one that fails is offered again.
#[derive(Clone, Debug)]
pub struct Platform {
    images: Vec<Image>,
    next: usize,
    /// The device was told of the next image.
    told: bool,
    /// The device has reported its version on this connection.
    reported: bool,
    /// What was said when a good image was reported as failed.
    pub failures: Vec<String>,
    /// What was said of the bad ones.
    pub rejections: Vec<String>,
}

impl Platform {
    /// The first image is what the device has; the others are brought to it.
    pub fn new(images: Vec<Image>) -> Self {
        Self { images, next: 1, told: false, reported: false, failures: Vec::new(), rejections: Vec::new() }
    }

    /// The images that were offered so far, with the first.
    pub fn offered(&self) -> &[Image] {
        &self.images[..self.images.len().min(self.next + 1)]
    }

    /// Whether all images were brought to the device.
    pub fn is_done(&self) -> bool {
        self.next >= self.images.len()
    }

    /// One more image, to be brought after all others.
    pub fn add(&mut self, image: Image) {
        self.images.push(image);
    }

    /// The device is there again.
    pub fn connect(&mut self) {
        self.reported = false;
    }

    /// A message of the device; the answers.
    pub fn receive(&mut self, topic: &str, payload: &[u8]) -> Vec<Message> {
        match Topic::parse(topic).map(|topic| topic.kind) {
            Some(Kind::Inform) => self.inform(payload),
            Some(Kind::Progress) => self.progress(payload),
            Some(Kind::FirmwareGet) => self.get(payload),
            Some(Kind::FileDownload) => self.block(payload),
            _ => Vec::new(),
        }
    }

    fn inform(&mut self, payload: &[u8]) -> Vec<Message> {
        let Ok(inform) = Inform::parse(payload) else { return Vec::new() };
        if let Some(image) = self.images.get(self.next)
            && inform.version.eq_str(&image.version)
        {
            self.advance();
        }
        self.reported = true;
        self.notice()
    }

    fn advance(&mut self) {
        self.next += 1;
        self.told = false;
    }

    /// A failure counts if the device was told of the image: it may report one again that was dealt with.
    fn progress(&mut self, payload: &[u8]) -> Vec<Message> {
        let (Ok(progress), Some(image)) = (Progress::parse(payload), self.images.get(self.next)) else {
            return Vec::new();
        };
        if progress.step >= 0 || !self.told {
            return Vec::new();
        }
        let said = format!("{} {}: {}", image.version, progress.step, progress.desc);
        if image.behaviour == Behaviour::Works {
            self.failures.push(said);
        } else {
            self.rejections.push(said);
            self.advance();
        }
        if self.reported { self.notice() } else { Vec::new() }
    }

    fn get(&mut self, payload: &[u8]) -> Vec<Message> {
        let Ok(get) = Get::parse(payload) else { return Vec::new() };
        let reply = self.offer(|offer| GetReply::offer(get.id, offer).ok().map(|reply| text(&reply)));
        self.told = true;
        let reply = reply.flatten().unwrap_or_else(|| text(&GetReply::nothing(get.id)));
        vec![(topic(Kind::FirmwareGetReply), reply.into_bytes())]
    }

    fn notice(&mut self) -> Vec<Message> {
        self.told = true;
        let notice = self.offer(|offer| Notice::new(1, offer).ok().map(|notice| text(&notice))).flatten();
        notice.map(|notice| (topic(Kind::Upgrade), notice.into_bytes())).into_iter().collect()
    }

    fn offer<T>(&self, with: impl FnOnce(Offer<'_>) -> T) -> Option<T> {
        let image = self.images.get(self.next)?;
        let sign = Md5::digest(&image.bytes).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let size = image.bytes.len() as u64;
        let stream_id = self.next as u32;
        Some(with(Offer {
            version: RawStr::plain(&image.version)?,
            module: None,
            sign_method: Digest::Md5,
            is_diff: false,
            ext_data: None,
            digest_sign: None,
            source: Source::Mqtt { stream_id, file_id: 1, size, sign: &sign, md5: Some(&sign) },
        }))
    }

    fn block(&self, payload: &[u8]) -> Vec<Message> {
        let Ok(request) = BlockRequest::parse(payload) else { return Vec::new() };
        let image = self.images.get(self.next).filter(|_| request.stream_id as usize == self.next);
        let frame = match image.map(|image| image.bytes.get(request.offset as usize..)) {
            None => error_frame(&request, CODE_UNKNOWN),
            Some(None | Some([])) => error_frame(&request, CODE_PARAMETER),
            Some(Some(rest)) => {
                let data = &rest[..rest.len().min(request.size as usize)];
                block_frame(&request, data, request.offset as usize + rest.len())
            }
        };
        vec![(topic(Kind::FileDownloadReply), frame)]
    }
}

/// The answer to a request for a block of a file of this length.
pub fn block_frame(request: &BlockRequest<'_>, data: &[u8], file_length: usize) -> Vec<u8> {
    let mut frame = prefix(&BlockHead {
        id: request.id,
        offset: request.offset,
        size: data.len() as u32,
        file_length: file_length as u64,
        file_token: request.file_token,
    });
    frame.extend_from_slice(data);
    frame.extend_from_slice(&crc16(data).to_le_bytes());
    frame
}

/// The answer to a request for a block that is not given.
pub fn error_frame(request: &BlockRequest<'_>, code: u16) -> Vec<u8> {
    prefix(&ErrorHead { id: request.id, code, msg: RawStr::default() })
}

fn prefix(head: &impl Emit) -> Vec<u8> {
    let mut buffer = [0; 512];
    let len = frame_prefix(head, &mut buffer).unwrap_or(0);
    buffer[..len].to_vec()
}

fn text(message: &dyn Emit) -> String {
    let mut text = String::new();
    let _ = message.emit(&mut text);
    text
}

fn topic(kind: Kind) -> String {
    Topic::new(kind, PRODUCT_KEY, DEVICE_NAME).to_string()
}
