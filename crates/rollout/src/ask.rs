//! The device asks what there is for it.

use crate::decide::{Ask, Decider, Outbound};
use crate::event::EventKind;
use crate::rows::{Epoch, Id};

impl Decider<'_> {
    pub(crate) fn asked(&mut self, device: Id, epoch: Epoch, module: &str, ask: Ask) {
        if !self.is_present(device, epoch) {
            self.out.dropped += 1;
            return;
        }
        let task = self.active_task(device, module);
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
}
