//! Two clients with one identity: each one's connection ends the other's. A device whose own connections follow each
//! other is none of them.

use crate::decide::Decider;
use crate::event::EventKind;
use crate::rows::{Id, Ms, Timer};

/// So many take-overs within [`WINDOW_MS`] are no accident.
const TOO_MANY: usize = 5;

const WINDOW_MS: Ms = 300_000;

/// How long a connection has to stay until the device is trusted again.
const QUIET_MS: Ms = 60_000;

impl Decider<'_> {
    /// Whether two clients seem to use a device's identity. Nothing is pushed meanwhile.
    pub(crate) fn is_shared(&self, device: Id) -> bool {
        self.rows.devices.get(&device).is_some_and(|d| d.shared_since().is_some())
    }

    /// A connection was ended by another client.
    pub(crate) fn ousted(&mut self, device: Id) {
        let now = self.now;
        if self.is_shared(device) {
            return;
        }
        if !self.rows.devices.contains_key(&device) {
            self.out.dropped += 1;
            return;
        }
        let Some(row) = self.device_mut(device) else { return };
        let rivalry = row.rivalry.get_or_insert_default();
        rivalry.take_overs.retain(|at| *at > now - WINDOW_MS);
        rivalry.take_overs.push(now);
        if rivalry.take_overs.len() < TOO_MANY {
            return;
        }
        let first = rivalry.take_overs[0];
        rivalry.shared_since = Some(first);
        let take_overs = u32::try_from(rivalry.take_overs.len()).unwrap_or(u32::MAX);
        self.set_timer(Timer::Quiet(device), now + QUIET_MS);
        self.device_event(device, EventKind::IdentityShared { take_overs, seconds: (now - first) / 1_000 });
    }

    /// Take-overs that are too long ago to mean anything are not kept.
    pub(crate) fn forget_take_overs(&mut self, device: Id) {
        let old = self.now - WINDOW_MS;
        let known = self.rows.devices.get(&device).and_then(|d| d.rivalry.as_ref());
        let meaningless =
            known.is_some_and(|r| r.shared_since.is_none() && r.take_overs.iter().all(|at| *at <= old));
        if meaningless && let Some(row) = self.device_mut(device) {
            row.rivalry = None;
        }
    }

    /// Pushes what is due once no connection has come for a while.
    pub(crate) fn quiet(&mut self, device: Id) {
        if !self.is_shared(device) {
            return;
        }
        let last = self.rows.devices.get(&device).and_then(|d| d.last_online_at).unwrap_or(self.now);
        if last + QUIET_MS > self.now {
            self.set_timer(Timer::Quiet(device), last + QUIET_MS);
            return;
        }
        if let Some(row) = self.device_mut(device) {
            row.rivalry = None;
        }
        self.device_event(device, EventKind::IdentitySettled);
        for task in self.unfinished(device) {
            self.offer_when_due(task);
        }
    }
}
