//! Streams of the platform, read line by line and taken up again where they broke off.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::de::DeserializeOwned;

use super::{AGAIN, RESTART, pause};
use crate::client::{Client, Unreachable};
use crate::output::note;

/// What a platform says every so often so that nobody takes it for gone; all else it says is for people.
const STILL_HERE: &str = "still here";
/// A platform says something every 15 seconds; who is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(45);

/// Gives every message of a stream, from after the one with the id `last` on, for as long as `on` wants them.
pub(super) fn follow<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    mut last: Option<String>,
    mut on: impl FnMut(T) -> bool,
) -> anyhow::Result<()> {
    let mut heard = Instant::now();
    loop {
        match client.stream(path, last.as_deref()) {
            Ok(body) => {
                let mut message = Message::default();
                for line in lines(body) {
                    heard = Instant::now();
                    if !line.is_empty() {
                        message.take(&line);
                        continue;
                    }
                    let Message { id, data, comment } = std::mem::take(&mut message);
                    last = id.or(last);
                    if !data.is_empty() && !on(read(&data)?) {
                        return Ok(());
                    }
                    if let Some(words) = comment.filter(|words| words != STILL_HERE) {
                        note(format_args!("{words}"));
                    }
                }
            }
            Err(error) if error.is::<Unreachable>() && heard.elapsed() < RESTART => {}
            Err(error) => return Err(error),
        }
        pause(AGAIN);
    }
}

#[derive(Default)]
struct Message {
    id: Option<String>,
    data: String,
    comment: Option<String>,
}

impl Message {
    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "data" => self.data.push_str(value),
            "" => self.comment = Some(value.to_owned()),
            _ => {}
        }
    }
}

fn read<T: DeserializeOwned>(data: &str) -> anyhow::Result<T> {
    serde_json::from_str(data)
        .context("the platform's message is not what this program expects; are both of one version?")
}

/// The lines of a stream until it ends, breaks off or falls silent. Read in a thread of its own, which is the only
/// way to wait for them no longer than that.
fn lines(body: impl std::io::Read + Send + 'static) -> impl Iterator<Item = String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(body).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    std::iter::from_fn(move || lines.recv_timeout(SILENCE).ok())
}
