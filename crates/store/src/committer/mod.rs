//! What the committer needs: the rows of a batch, the writing of its changes, the clock, what is due.

mod apply;
mod chunks;
mod clock;
mod load;
mod timers;

pub use apply::{append_events, apply, connections, offered_until};
#[cfg(test)]
pub(crate) use chunks::chunk;
pub(crate) use chunks::tasks_in;
pub use chunks::{Chunk, Unworked, enrol_chunk, ready_tasks, release_chunk, task_chunk};
pub use clock::{Times, now, reserve_streams, return_streams, times};
pub(crate) use load::load_counts;
pub use load::{Keys, MAX_SLOTS, load, slots_used, surroundings};
pub use timers::{claim_timers, next_timer_at, timer_at};
