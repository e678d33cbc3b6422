//! A file that comes over HTTP (docs/protocol.md 7).

use std::io::{self, Read as _};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::TlsConfig;

use super::trust::Trust;

/// Time for connecting, and for the first byte of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes a second that a server has to send on the whole.
const SLOWEST: u64 = 1024;

/// Bytes of an error page that are told.
const TOLD: u64 = 200;

/// A part of a file, of a fetch that is under way.
pub(crate) enum Piece {
    Data { offset: u32, data: Vec<u8> },
    Failed { why: String },
}

/// A fetch under way; dropping it ends it.
pub(crate) struct Fetch {
    pub(crate) id: u32,
    pieces: Receiver<Piece>,
}

impl Fetch {
    /// Begins to fetch `len` bytes from `offset` to the end of the file, in pieces of `block` bytes.
    pub(crate) fn start(id: u32, url: &str, offset: u32, len: u32, block: u32, trust: &Trust) -> Self {
        let (sender, pieces) = channel(1);
        let (url, tls) = (url.to_owned(), trust.for_files());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = fetch(&url, tls, offset, len, block, &sender) {
                // Nobody waits for it any more if it cannot be sent.
                let _ = sender.blocking_send(Piece::Failed { why: format!("{error:#}") });
            }
        });
        Self { id, pieces }
    }

    /// The next piece; never resolves after the last one. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Piece {
        match self.pieces.recv().await {
            Some(piece) => piece,
            None => std::future::pending().await,
        }
    }
}

/// The next piece of the fetch under way; never resolves if there is none.
pub(crate) async fn next_piece(fetch: &mut Option<Fetch>) -> Piece {
    match fetch {
        Some(fetch) => fetch.next().await,
        None => std::future::pending().await,
    }
}

fn fetch(
    url: &str,
    tls: TlsConfig,
    offset: u32,
    len: u32,
    block: u32,
    pieces: &Sender<Piece>,
) -> anyhow::Result<()> {
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_recv_body(Some(
            PATIENCE + Duration::from_secs((u64::from(offset) + u64::from(len)) / SLOWEST),
        ))
        .build()
        .into();
    let end = offset.checked_add(len).context("the file is too large")?;
    let mut request = agent.get(url);
    if offset > 0 {
        request = request.header("Range", format!("bytes={offset}-"));
    }
    let mut response = request.call()?;
    let status = response.status();
    // A server without ranges sends all of the file.
    let skipped = if status == StatusCode::OK { offset } else { 0 };
    if status != StatusCode::OK && (status != StatusCode::PARTIAL_CONTENT || offset == 0) {
        let mut text = String::new();
        let _ = response.body_mut().as_reader().take(TOLD).read_to_string(&mut text);
        ensure!(!status.is_success(), "the server answers {status} instead of {}", StatusCode::OK);
        anyhow::bail!("the server answers {status}: {}", text.trim());
    }
    let mut body = response.body_mut().as_reader();
    let stopped = || format!("the server stopped before byte {end}");
    io::copy(&mut body.by_ref().take(skipped.into()), &mut io::sink()).with_context(stopped)?;
    let mut offset = offset;
    while offset < end {
        let mut data = vec![0; block.min(end - offset) as usize];
        body.read_exact(&mut data).with_context(stopped)?;
        let next = offset + data.len() as u32;
        if pieces.blocking_send(Piece::Data { offset, data }).is_err() {
            return Ok(());
        }
        offset = next;
    }
    Ok(())
}
