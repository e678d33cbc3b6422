//! Devices come and go.

use crate::decide::{Decider, Outbound};
use crate::event::EventKind;
use crate::rows::{Epoch, Id, Ms, Session, Timer};

impl Decider<'_> {
    pub(crate) fn connected(&mut self, device: Id, epoch: Epoch) {
        if !self.rows.devices.get(&device).is_some_and(|d| d.enabled) {
            self.out.outbound.push(Outbound::Close { device });
            self.out.dropped += 1;
            return;
        }
        let old = self.rows.sessions.get(&device).map(|s| s.epoch);
        if old.is_some_and(|old| old >= epoch) {
            self.out.dropped += 1;
            return;
        }
        if let Some(old) = old {
            self.disconnected(device, old, self.now);
        }
        let now = self.now;
        self.put_session(Session { device_id: device, epoch, connected_at: now });
        let mut first = false;
        if let Some(row) = self.device_mut(device) {
            first = row.first_online_at.is_none();
            row.first_online_at.get_or_insert(now);
            row.last_online_at = Some(now);
        }
        self.device_event(device, EventKind::DeviceConnected { first });
        self.forget_take_overs(device);
        for task in self.unfinished(device) {
            self.resume_clock(task);
        }
        if self.unfinished(device).iter().any(|task| self.awaits_push(*task, epoch)) {
            self.wait_for_report(device);
        }
    }

    /// Gives the device its product's grace to report before it is pushed to all the same.
    pub(crate) fn wait_for_report(&mut self, device: Id) {
        let Some(grace) = self.product_of(device).map(|p| p.grace_ms) else { return };
        let Some(since) = self.rows.sessions.get(&device).map(|s| s.connected_at) else { return };
        self.set_timer(Timer::Grace(device), (since + grace).max(self.now));
    }

    /// A connection ended, at a time that may be earlier than now if the platform stood still.
    pub(crate) fn disconnected(&mut self, device: Id, epoch: Epoch, at: Ms) {
        let Some(session) = self.rows.sessions.get(&device).filter(|s| s.epoch == epoch) else {
            self.out.dropped += 1;
            return;
        };
        // That the platform was up may have been noted last before the device came.
        let at = at.max(session.connected_at);
        self.end_session(device, epoch);
        if let Some(row) = self.device_mut(device) {
            row.last_offline_at = Some(at);
        }
        self.clear_timer(Timer::Grace(device));
        for task in self.unfinished(device) {
            self.let_go(task, at);
        }
        self.device_event(device, EventKind::DeviceDisconnected);
    }

    /// Frees the place in the queue and the download slot of a task whose device has gone, and stops
    /// its clock.
    fn let_go(&mut self, task: Id, at: Ms) {
        self.stop_clock(task, at);
        let Some(row) = self.rows.tasks.get(&task) else { return };
        if row.ready_at.is_none() && row.slot_until.is_none() {
            return;
        }
        self.free_slot(task);
        if let Some(row) = self.task_mut(task) {
            row.ready_at = None;
        }
    }

    pub(crate) fn grace_over(&mut self, device: Id) {
        let Some(grace) = self.product_of(device).map(|p| p.grace_ms) else { return };
        let Some(session) = self.rows.sessions.get(&device) else { return };
        let (epoch, over) = (session.epoch, session.connected_at + grace);
        if over > self.now {
            self.set_timer(Timer::Grace(device), over);
            return;
        }
        for task in self.unfinished(device) {
            if self.awaits_push(task, epoch) {
                self.make_ready(task);
            }
        }
    }
}
