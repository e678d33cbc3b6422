//! What the server counts. The door counts for itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) reports: AtomicU64,
    pub(crate) bad_messages: AtomicU64,
    pub(crate) dropped_reports: AtomicU64,
    pub(crate) failed_reports: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) pushes: AtomicU64,
    pub(crate) unsendable: AtomicU64,
    pub(crate) refused_links: AtomicU64,
    pub(crate) refused_streams: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        Self::add_many(counter, 1);
    }

    pub(crate) fn add_many(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Each counter with its name.
    pub(crate) fn snapshot(&self) -> Vec<(&'static str, u64)> {
        let Self {
            reports,
            bad_messages,
            dropped_reports,
            failed_reports,
            commits,
            pushes,
            unsendable,
            refused_links,
            refused_streams,
        } = self;
        [
            ("reports", reports),
            ("bad_messages", bad_messages),
            ("dropped_reports", dropped_reports),
            ("failed_reports", failed_reports),
            ("commits", commits),
            ("pushes", pushes),
            ("unsendable", unsendable),
            ("refused_links", refused_links),
            ("refused_streams", refused_streams),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
        .to_vec()
    }
}
