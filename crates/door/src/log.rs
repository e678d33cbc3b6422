//! Lines about connections turned away, so few that a flood of them harms neither disk nor reader.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::turned::Turned;

/// Lines in each [`SPAN`].
const MAX_LINES: u64 = 20;

const SPAN: Duration = Duration::from_secs(1);

static PROCESS: LazyLock<Log> = LazyLock::new(Log::default);

/// Writes at most [`MAX_LINES`] lines a second, and one that says how many were left out. Clones are
/// the same log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Budget>>);

impl Log {
    /// The one log of all doors of this process.
    pub(crate) fn of_process() -> Self {
        PROCESS.clone()
    }

    /// Logs a connection that was turned away, or counts it as left out.
    pub(crate) fn turned_away(&self, peer: SocketAddr, Turned { why, who }: &Turned<'_>) {
        self.line(|| {
            let (product, device, mqtt) = (who.product_key, who.device_name, who.mqtt());
            tracing::info!(%peer, product, device, mqtt, "a connection was refused: {why}");
        });
    }

    /// The same of one whose request over HTTP was refused with this code.
    pub(crate) fn refused_request(&self, peer: SocketAddr, code: i32, why: &str) {
        self.line(|| tracing::info!(%peer, code, "an HTTP request was refused: {why}"));
    }

    fn line(&self, write: impl FnOnce()) {
        let line = self.budget().line(Instant::now());
        say_left_out(line.left_out_before);
        if line.is_granted {
            write();
        }
        if let Some(span) = line.settle {
            let log = self.clone();
            tokio::spawn(async move {
                sleep_until(span + SPAN).await;
                let left_out = log.budget().settle(span);
                say_left_out(left_out);
            });
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say_left_out(count: u64) {
    if count > 0 {
        tracing::info!(
            count,
            "further connections were refused: more than {MAX_LINES} in a second are not written one by one"
        );
    }
}

/// What was written in the running second.
#[derive(Debug, Default)]
struct Budget {
    /// Its first moment.
    span: Option<Instant>,
    lines: u64,
    left_out: u64,
}

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    is_granted: bool,
    /// Lines left out earlier and not told yet; 0 = none.
    left_out_before: u64,
    /// The first line left out of a second: this is to be settled when it is over.
    settle: Option<Instant>,
}

impl Budget {
    fn line(&mut self, now: Instant) -> Line {
        let mut left_out_before = 0;
        let span = match self.span {
            Some(span) if now < span + SPAN => span,
            _ => {
                left_out_before = self.left_out;
                *self = Self { span: Some(now), ..Self::default() };
                now
            }
        };
        let is_granted = self.lines < MAX_LINES;
        if is_granted {
            self.lines += 1;
        } else {
            self.left_out += 1;
        }
        let settle = (self.left_out == 1 && !is_granted).then_some(span);
        Line { is_granted, left_out_before, settle }
    }

    /// The lines left out of a second that is over, unless they were told already.
    fn settle(&mut self, span: Instant) -> u64 {
        if self.span == Some(span) { std::mem::take(&mut self.left_out) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `n` first lines of a second.
    fn lines(budget: &mut Budget, now: Instant, n: u64) -> Vec<Line> {
        (0..n).map(|_| budget.line(now)).collect()
    }

    #[test]
    fn a_second_has_20_lines_and_one_settlement() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let lines = lines(&mut budget, start, 1000);
        assert_eq!(lines.iter().filter(|line| line.is_granted).count(), 20);
        assert!(lines[..20].iter().all(|line| line.is_granted && line.settle.is_none()));
        assert_eq!(lines[20].settle, Some(start));
        assert!(lines[21..].iter().all(|line| line.settle.is_none()));
        assert_eq!((budget.settle(start), budget.settle(start)), (980, 0));
    }

    #[test]
    fn the_next_second_has_lines_again_and_tells_what_was_not_settled() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        lines(&mut budget, start, 25);
        let next = start + SPAN;
        assert!(!budget.line(next - Duration::from_millis(1)).is_granted);
        assert_eq!(budget.line(next), Line { is_granted: true, left_out_before: 6, settle: None });
        assert_eq!(budget.settle(start), 0);
        assert_eq!(lines(&mut budget, next, 20)[19].settle, Some(next));
    }

    #[test]
    fn what_was_settled_is_not_told_again() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        lines(&mut budget, start, 25);
        assert_eq!(budget.settle(start), 5);
        assert_eq!(budget.line(start + SPAN).left_out_before, 0);
    }
}
