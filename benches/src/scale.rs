//! How much of everything.

use std::time::Duration;

/// A full run, or the smallest that proves that each measurement works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) rounds: usize,
    pub(crate) sizes: &'static [u32],
    pub(crate) in_flight: &'static [usize],
    pub(crate) connections: usize,
    /// Server time per cell of the block table.
    pub(crate) work: Duration,
    /// Bytes of the files fetched over HTTP, and how many fetch each at once.
    pub(crate) downloads: &'static [(u64, usize)],
    /// Sessions held idle, and logins.
    pub(crate) sessions: usize,
    /// Sessions over TLS held idle.
    pub(crate) tls_sessions: usize,
    /// Devices that report.
    pub(crate) reporters: usize,
    pub(crate) report_rounds: usize,
    pub(crate) report_length: Duration,
    pub(crate) storm: usize,
    pub(crate) storm_within: Duration,
    pub(crate) storm_downloads: usize,
    /// Devices of the fleets that a job is made for.
    pub(crate) fleets: &'static [usize],
    /// Devices among them that report, and as many that come to be upgraded.
    pub(crate) visitors: usize,
    pub(crate) visit_within: Duration,
    /// Sub-devices of one gateway.
    pub(crate) subs: usize,
    /// Devices that the console shows, and tasks of its job: a power of ten.
    pub(crate) console_devices: usize,
    pub(crate) console_tasks: usize,
    /// Pages that are live, and for how long.
    pub(crate) live_pages: usize,
    pub(crate) live_seconds: u64,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        sizes: &[512, 4 * 1024, 32 * 1024, 128 * 1024],
        in_flight: &[1, 4, 16],
        connections: 50,
        work: Duration::from_millis(700),
        downloads: &[(16_000_000, 1), (16_000_000, 16), (1_000_000_000, 1), (1_000_000_000, 4)],
        sessions: 10_000,
        tls_sessions: 4_000,
        reporters: 5_000,
        report_rounds: 3,
        report_length: Duration::from_secs(5),
        storm: 19_500,
        storm_within: Duration::from_secs(10),
        storm_downloads: 2_000,
        fleets: &[10_000, 100_000, 1_000_000],
        visitors: 500,
        visit_within: Duration::from_secs(5),
        subs: 2_000,
        console_devices: 1_000_000,
        console_tasks: 100_000,
        live_pages: 100,
        live_seconds: 20,
    };

    pub(crate) const SMALLEST: Self = Self {
        rounds: 1,
        sizes: &[512, 128 * 1024],
        in_flight: &[1, 16],
        connections: 8,
        work: Duration::from_millis(50),
        downloads: &[(16_000_000, 2), (64_000_000, 1)],
        sessions: 200,
        tls_sessions: 200,
        reporters: 100,
        report_rounds: 1,
        report_length: Duration::from_millis(500),
        storm: 2_000,
        storm_within: Duration::from_secs(2),
        storm_downloads: 200,
        fleets: &[1_000],
        visitors: 50,
        visit_within: Duration::from_secs(1),
        subs: 120,
        console_devices: 1_000,
        console_tasks: 100,
        live_pages: 5,
        live_seconds: 2,
    };
}
