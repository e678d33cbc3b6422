//! What the server counts. The door counts for itself.

use std::sync::atomic::{AtomicU64, Ordering};

use wire::topic::Kind;

door::counters! {
    pub(crate), "Counts since start.";
    /// Version reports.
    inform_messages,
    /// Progress reports.
    progress_messages,
    /// Questions for an update.
    get_messages,
    /// Questions for an update, in the old way.
    request_messages,
    /// Questions for remote configurations, and answers to their pushes.
    configuration_messages,
    /// Requests of gateways about their sub-devices.
    gateway_messages,
    /// Messages on topics that nothing here listens to.
    other_messages,
    /// Messages that cannot be read; acknowledged and dropped.
    bad_messages,
    /// Reports from ended connections or on too many modules; dropped.
    dropped_reports,
    /// Reports, arrivals and departures that the database did not take; not acknowledged.
    failed_reports,
    /// Events written.
    events,
    /// Tasks made.
    tasks_created,
    /// Notices handed to connections of devices.
    pushes,
    /// Pushes of remote configurations handed to connections of devices.
    configuration_pushes,
    /// Offers that could not be written as a message.
    unsendable,
    /// Devices found to be used by two clients.
    shared_identities,
    /// File addresses that are not, or no longer, good.
    refused_links,
    /// Streams that are not the device's, or have ended.
    refused_streams,
}

impl Counters {
    /// The counter for messages on a topic.
    pub(crate) fn of(&self, kind: Kind) -> &AtomicU64 {
        match kind {
            Kind::Inform => &self.inform_messages,
            Kind::Progress => &self.progress_messages,
            Kind::FirmwareGet => &self.get_messages,
            Kind::Request => &self.request_messages,
            Kind::ConfigGet | Kind::ConfigPushReply => &self.configuration_messages,
            Kind::Gateway(_) => &self.gateway_messages,
            _ => &self.other_messages,
        }
    }

    pub(crate) fn add(counter: &AtomicU64) {
        Self::add_many(counter, 1);
    }

    pub(crate) fn add_many(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}
