//! The device asks what there is for it.

use crate::decide::{Ask, Decider, Outbound};
use crate::event::EventKind;
use crate::rows::{Epoch, Id};

impl Decider<'_> {
    pub(crate) fn asked(&mut self, device: Id, epoch: Epoch, module: &str, ask: Ask) {
        if !self.hears(device, epoch) {
            return;
        }
        let task = self.active_task(device, module).filter(|task| self.may_download(*task));
        if let Some(task) = task {
            let first = self.rows.tasks.get(&task).is_some_and(|t| t.told_epoch != epoch);
            self.told(task, epoch);
            if first {
                self.task_event(task, EventKind::TaskAnswered);
            }
        }
        let offer = task.and_then(|task| self.offer(task));
        if offer.is_some() || matches!(ask, Ask::Get { .. }) {
            self.out.outbound.push(Outbound::Answer { to: (device, epoch), ask, offer });
        }
    }

    /// Whether a task's turn has come, and it has a download slot or one is free, with bytes for it in the
    /// budgets: who asks otherwise is told that there is nothing, and may ask again.
    fn may_download(&self, task: Id) -> bool {
        if !self.may_tell(task) || self.rows.closed_until(task, self.now).is_some() {
            return false;
        }
        let Some(row) = self.rows.tasks.get(&task) else { return false };
        let holds_slot = row.slot_until.is_some_and(|until| until > self.now);
        let free = || self.rows.slots_used < self.limits.downloads && self.offers_left(row.job_id) > 0;
        holds_slot || free()
    }
}
