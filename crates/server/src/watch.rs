//! What goes up and down of a device that somebody watches: the last messages, made readable.
//!
//! Nothing is kept of the others, and of this one not for long: its ring begins with the first viewer and ends some
//! minutes after the last one has left.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use door::{Passing, Session, Way};
use rollout::{Id, Ms};
use serde_json::Value;
use tokio::sync::broadcast;
use wire::block::{Frame, FrameError};

use crate::core::Core;
use crate::orders::find_device;
use crate::{OrderError, Server};

/// Messages kept of a device.
const KEPT: usize = 200;
/// Devices watched at once.
const MOST: usize = 16;
/// Words of 64 bits.
const MARKS: usize = 16;
/// Bytes of a topic that are kept.
const LONGEST_TOPIC: usize = 256;
/// Bytes of a payload that are kept as they came.
const LONGEST: usize = 4_096;
/// How long messages are kept after the last viewer has left.
const LINGER_MS: Ms = 5 * 60_000;

/// A message of a watched device.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its place among all that were watched since the start; later ones have higher numbers.
    pub number: i64,
    /// When it passed.
    pub at: Ms,
    /// From the device or to it.
    pub way: Way,
    /// The topic.
    pub topic: String,
    /// Bytes of the payload.
    pub length: usize,
    /// The payload, as far as it is shown.
    pub content: Content,
}

/// A payload made readable.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// JSON text, without what would let the reader do what only the device may.
    Json(String),
    /// An answer to a request for a block: a head, and unless it is an error, data and their CRC.
    Frame {
        /// The head's JSON text.
        head: String,
        /// Whether the CRC is that of the data.
        crc_ok: Option<bool>,
    },
    /// Something else: text, cut if it is long.
    Text {
        /// Its beginning; of what is no text the bytes, as `ff 00`.
        text: String,
        /// Whether there is more.
        cut: bool,
    },
}

/// All devices that are watched.
#[derive(Default)]
pub(crate) struct Watches {
    /// A bit for each watched device: all that sessions of others look at, but for the few that share one.
    marks: [AtomicU64; MARKS],
    rings: Mutex<BTreeMap<Id, Ring>>,
    last: AtomicI64,
}

struct Ring {
    messages: VecDeque<Arc<Message>>,
    live: broadcast::Sender<Arc<Message>>,
    viewers: usize,
    /// Counts the times it was left, so that who waits for its end knows whether somebody came back.
    left: u64,
}

/// One who watches a device.
pub struct Watching {
    /// What passed before and is still known, the oldest first.
    pub before: Vec<Arc<Message>>,
    /// What passes.
    pub live: broadcast::Receiver<Arc<Message>>,
    _seat: Seat,
}

/// Leaves when it is dropped.
struct Seat {
    core: Arc<Core>,
    device: Id,
}

/// What is known, and what comes.
type Entered = (Vec<Arc<Message>>, broadcast::Receiver<Arc<Message>>);

/// The word and the bit of a device.
fn mark(device: Id) -> (usize, u64) {
    let device = device.unsigned_abs();
    ((device / 64) as usize % MARKS, 1 << (device % 64))
}

impl Watches {
    /// Whether anybody watches a device.
    pub(crate) fn has(&self, device: Id) -> bool {
        let (word, bit) = mark(device);
        self.marks[word].load(Ordering::Relaxed) & bit != 0 && self.rings().contains_key(&device)
    }

    fn set_marks(&self, rings: &BTreeMap<Id, Ring>) {
        let mut marks = [0; MARKS];
        for (word, bit) in rings.keys().map(|device| mark(*device)) {
            marks[word] |= bit;
        }
        for (mark, bits) in self.marks.iter().zip(marks) {
            mark.store(bits, Ordering::Relaxed);
        }
    }

    /// Keeps a message of a watched device, and shows it.
    pub(crate) fn show(&self, session: &Session, passing: &Passing<'_>, at: Ms) {
        let content = content(passing.payload);
        let mut rings = self.rings();
        let Some(ring) = rings.get_mut(&session.device) else { return };
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let Passing { way, topic, payload } = *passing;
        let topic = topic[..topic.floor_char_boundary(LONGEST_TOPIC)].to_owned();
        let length = payload.len();
        let message = Arc::new(Message { number, at, way, topic, length, content });
        if ring.messages.len() == KEPT {
            ring.messages.pop_front();
        }
        ring.messages.push_back(Arc::clone(&message));
        // Between two viewers nobody listens.
        let _ = ring.live.send(message);
    }

    fn rings(&self) -> MutexGuard<'_, BTreeMap<Id, Ring>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, device: Id) -> Option<Entered> {
        let mut rings = self.rings();
        if !rings.contains_key(&device) && rings.len() == MOST {
            return None;
        }
        let ring = rings.entry(device).or_insert_with(|| Ring {
            messages: VecDeque::new(),
            live: broadcast::channel(KEPT).0,
            viewers: 0,
            left: 0,
        });
        ring.viewers += 1;
        let entered = (ring.messages.iter().cloned().collect(), ring.live.subscribe());
        self.set_marks(&rings);
        Some(entered)
    }

    /// Leaves a ring; if nobody is left in it, gives what [`Self::end`] wants to know.
    fn leave(&self, device: Id) -> Option<u64> {
        let mut rings = self.rings();
        let ring = rings.get_mut(&device)?;
        ring.viewers -= 1;
        ring.left += 1;
        (ring.viewers == 0).then_some(ring.left)
    }

    /// Ends a ring in which nobody has been since.
    fn end(&self, device: Id, left: u64) {
        let mut rings = self.rings();
        if rings.get(&device).is_some_and(|ring| ring.viewers == 0 && ring.left == left) {
            rings.remove(&device);
            self.set_marks(&rings);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(left) = self.core.watches.leave(self.device) else { return };
        let (core, clock, device) = (Arc::downgrade(&self.core), self.core.clock.clone(), self.device);
        let linger = async move {
            clock.reach(clock.now() + LINGER_MS).await;
            if let Some(core) = core.upgrade() {
                core.watches.end(device, left);
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(linger)),
            Err(_) => self.core.watches.end(self.device, left),
        }
    }
}

impl Server {
    /// Watches what goes up and down of a device, from its first viewer on.
    pub async fn watch_device(&self, product_key: &str, name: &str) -> Result<Watching, OrderError> {
        let device = find_device(&mut self.read().await?, product_key, name).await?.device.id;
        let Some((before, live)) = self.core.watches.enter(device) else {
            let text = format!(
                "{MOST} devices are watched already, which is the most at once; one that nobody looks at any more is free again after 5 minutes"
            );
            return Err(OrderError::conflict("tooManyWatched", text).with("most", MOST));
        };
        Ok(Watching { before, live, _seat: Seat { core: Arc::clone(&self.core), device } })
    }
}

fn content(payload: &[u8]) -> Content {
    if payload.len() <= LONGEST
        && let Some(json) = readable(payload)
    {
        return Content::Json(json);
    }
    frame(payload).unwrap_or_else(|| text(payload))
}

fn readable(json: &[u8]) -> Option<String> {
    let mut value = serde_json::from_slice(json).ok()?;
    conceal(&mut value);
    Some(value.to_string())
}

fn frame(payload: &[u8]) -> Option<Content> {
    let crc_ok = match Frame::parse(payload) {
        Ok(Frame::Block { .. }) => Some(true),
        Err(FrameError::Crc { .. }) => Some(false),
        Ok(Frame::Error { .. }) => None,
        Err(_) => return None,
    };
    let (length, rest) = payload.split_first_chunk()?;
    let head = rest.get(..usize::from(u16::from_be_bytes(*length)).min(LONGEST))?;
    Some(Content::Frame { head: readable(head)?, crc_ok })
}

fn text(payload: &[u8]) -> Content {
    let begin = &payload[..payload.len().min(LONGEST)];
    let shown = String::from_utf8_lossy(begin);
    let mut text = concealed(&shown);
    // A text may be cut within a letter; what cannot be one is told by its bytes, unless it holds what is concealed.
    let is_text = str::from_utf8(begin).map_or_else(|error| error.error_len().is_none(), |_| true);
    if !is_text && text == shown {
        text = begin.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    }
    Content::Text { text, cut: payload.len() > LONGEST }
}

/// What opens something: whoever reads it could fetch the file, or pass for the device.
const SECRETS: [&str; 6] = ["devicesecret", "productsecret", "password", "secret", "token", "sessionkey"];
const CONCEALED: &str = "…";

fn conceal(value: &mut Value) {
    match value {
        Value::Object(members) => {
            // The signature of a sub-device stays good.
            let is_signed = members.contains_key("clientId") || members.contains_key("random");
            for (name, value) in members {
                let is_secret = SECRETS.contains(&&*name.to_ascii_lowercase());
                if is_secret || is_signed && name == "sign" {
                    *value = CONCEALED.into();
                } else {
                    conceal(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(conceal),
        Value::String(text) if text.contains("://") => *text = without_signature(text),
        _ => {}
    }
}

/// An address without what makes it good: the last part of its path, and its query.
fn without_signature(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    match path.rsplit_once('/') {
        Some((start, last)) if !start.ends_with('/') && !last.is_empty() => format!("{start}/{CONCEALED}"),
        _ => path.to_owned(),
    }
}

/// Text that is no JSON may still be the half of some: nothing of it is shown from the first name of a secret on.
fn concealed(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let first = SECRETS.iter().chain(&["://", "clientid"]).filter_map(|name| lower.find(name)).min();
    match first {
        Some(at) => format!("{}{CONCEALED}", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;
    use wire::block::{BlockHead, MAX_FRAME_OVERHEAD, crc16, frame_prefix};

    use super::*;

    #[test]
    fn what_opens_something_is_not_shown() {
        let notice = json!({"data": {"url": "http://h:1883/ota/tsk_1/99-5ecret.bin", "sign": "ab", "size": 3,
            "more": [{"DeviceSecret": "5ecret"}, {"files": [{"fileUrl": "https://h/f?Signature=5ecret"}]}]}});
        let Content::Json(shown) = content(notice.to_string().as_bytes()) else { panic!("no JSON") };
        assert!(!shown.contains("5ecret"), "{shown}");
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((&shown["data"]["sign"], &shown["data"]["size"]), (&"ab".into(), &3.into()));
        assert_eq!(shown["data"]["url"], "http://h:1883/ota/tsk_1/…");
        for half in [r#"{"a":1,"deviceSecret":"5ecret"#, r#"{"url":"http://h/5ecret"#] {
            assert!(!format!("{:?}", content(half.as_bytes())).contains("5ecret"), "{half}");
        }
    }

    #[test]
    fn a_block_is_told_of_without_its_bytes() {
        let data = vec![7; 10_000];
        let head = BlockHead {
            id: Default::default(),
            offset: 512,
            size: 10_000,
            file_length: 70_000,
            file_token: None,
        };
        let mut prefix = [0; MAX_FRAME_OVERHEAD];
        let length = frame_prefix(&head, &mut prefix).unwrap();
        let mut frame = [&prefix[..length], &data, &crc16(&data).to_le_bytes()].concat();
        let Content::Frame { head, crc_ok: Some(true) } = content(&frame) else { panic!("no block") };
        let head: Value = serde_json::from_str(&head).unwrap();
        assert_eq!((&head["data"]["bOffset"], &head["data"]["bSize"]), (&512.into(), &10_000.into()));
        *frame.last_mut().unwrap() ^= 1;
        assert!(matches!(content(&frame), Content::Frame { crc_ok: Some(false), .. }));
    }

    #[test]
    fn whatever_is_sent_costs_little() {
        for payload in [&b""[..], b"\xff\x00\x01", &[b'x'; 300_000], "灯".repeat(5_000).as_bytes()] {
            let Content::Text { text, cut } = content(payload) else { panic!("{payload:?}") };
            assert!(text.len() <= 3 * LONGEST && cut == (payload.len() > LONGEST));
        }
        let shown = |payload: &[u8]| match content(payload) {
            Content::Text { text, .. } => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(shown(b"\xff\x00\x01"), "ff 00 01");
        assert!(!shown(b"\xff \"deviceSecret\":\"0123\"").contains("30 31 32 33"));
        assert!(shown("灯".repeat(5_000).as_bytes()).starts_with("灯灯"), "a letter was cut");
        let long = format!("[{}1]", "1,".repeat(LONGEST));
        assert!(matches!(content(long.as_bytes()), Content::Text { cut: true, .. }));
    }
}
