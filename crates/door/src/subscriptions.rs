//! What a session gets: everything, until it says otherwise (docs/protocol.md 3.2).

use mqtt::{QoS, SUBACK_FAILURE, Version, reason};
use wire::topic::{Kind, filter_matches, may_subscribe, valid_filter};

use crate::Session;

/// Filters remembered for one session; more are refused.
const MAX_FILTERS: usize = 64;

/// A session's subscriptions, and what follows from them for each system topic.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    filters: Vec<(Box<str>, QoS)>,
    /// By the order of [`Kind::DOWNLINKS`]: the QoS to deliver with, `None` after UNSUBSCRIBE.
    delivery: [Option<QoS>; Kind::DOWNLINKS.len()],
    /// Filters that were unsubscribed: what else they match is not sent.
    ended: Vec<Box<str>>,
}

impl Default for Subscriptions {
    fn default() -> Self {
        let delivery = [Some(QoS::AtMostOnce); Kind::DOWNLINKS.len()];
        Self { filters: Vec::new(), delivery, ended: Vec::new() }
    }
}

impl Subscriptions {
    /// The QoS that messages of this kind are sent with; `None`: they are not sent.
    pub(crate) fn delivery(&self, kind: Kind) -> Option<QoS> {
        let at = Kind::DOWNLINKS.iter().position(|&downlink| downlink == kind)?;
        self.delivery[at]
    }

    /// The same for a message on a topic that is not of a kind with one topic.
    pub(crate) fn delivery_on(&self, topic: &str) -> Option<QoS> {
        let matching = self.filters.iter().filter(|(known, _)| filter_matches(known, topic));
        let has_ended = || self.ended.iter().any(|filter| filter_matches(filter, topic));
        matching.map(|&(_, qos)| qos).max().or_else(|| (!has_ended()).then_some(QoS::AtMostOnce))
    }

    /// Takes a filter of a SUBSCRIBE and gives its SUBACK code.
    pub(crate) fn subscribe(&mut self, session: &Session, version: Version, filter: &str, wanted: QoS) -> u8 {
        match self.grant(session, filter, wanted) {
            Ok(granted) => {
                self.update(session, filter);
                granted.level()
            }
            Err(refused) => refused.code(version),
        }
    }

    /// Takes a filter of an UNSUBSCRIBE, whether or not it was subscribed, and gives the code that MQTT 5 has
    /// for it.
    pub(crate) fn unsubscribe(&mut self, session: &Session, filter: &str) -> u8 {
        let code = self.end(session, filter);
        self.update(session, filter);
        code
    }

    fn end(&mut self, session: &Session, filter: &str) -> u8 {
        let before = self.filters.len();
        self.filters.retain(|(known, _)| **known != *filter);
        if self.ended.len() < MAX_FILTERS
            && valid_filter(filter)
            && !self.ended.iter().any(|f| **f == *filter)
        {
            self.ended.push(filter.into());
        }
        let ends_delivery = || {
            Kind::DOWNLINKS
                .into_iter()
                .zip(&self.delivery)
                .any(|(kind, delivery)| delivery.is_some() && filter_matches(filter, &session.topic(kind)))
        };
        let existed = self.filters.len() < before || ends_delivery();
        if existed { reason::SUCCESS } else { reason::NO_SUBSCRIPTION }
    }

    fn grant(&mut self, session: &Session, filter: &str, wanted: QoS) -> Result<QoS, Refused> {
        if filter.starts_with("$share/") {
            return Err(Refused::Shared);
        }
        if !valid_filter(filter) {
            return Err(Refused::Malformed);
        }
        if !may_subscribe(filter, &session.product_key, &session.device_name) {
            return Err(Refused::Foreign);
        }
        let granted = wanted.min(QoS::AtLeastOnce);
        match self.filters.iter().position(|(known, _)| **known == *filter) {
            Some(at) => self.filters[at].1 = granted,
            None if self.filters.len() < MAX_FILTERS => self.filters.push((filter.into(), granted)),
            None => return Err(Refused::TooMany),
        }
        Ok(granted)
    }

    /// Settles the system topics that this filter matches anew: the best QoS of those subscriptions
    /// that are left, or nothing if none is.
    fn update(&mut self, session: &Session, filter: &str) {
        for (kind, delivery) in Kind::DOWNLINKS.into_iter().zip(&mut self.delivery) {
            let topic = session.topic(kind);
            if filter_matches(filter, &topic) {
                let matching = self.filters.iter().filter(|(known, _)| filter_matches(known, &topic));
                *delivery = matching.map(|&(_, qos)| qos).max();
            }
        }
    }
}

/// Why a filter is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// It is no filter.
    Malformed,
    /// It could match more than the device's own topics, or names one that only devices publish.
    Foreign,
    /// It shares messages with other devices.
    Shared,
    /// The session has too many.
    TooMany,
}

impl Refused {
    fn code(self, version: Version) -> u8 {
        match (version, self) {
            (Version::V5, Self::Malformed) => reason::TOPIC_FILTER,
            (Version::V5, Self::Foreign) => reason::NOT_AUTHORISED,
            (Version::V5, Self::Shared) => reason::SHARED_SUBSCRIPTION,
            (Version::V5, Self::TooMany) => reason::IMPLEMENTATION,
            _ => SUBACK_FAILURE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribe(subscriptions: &mut Subscriptions, filter: &str, qos: QoS) -> u8 {
        subscriptions.subscribe(&Session::of_test(), Version::V311, filter, qos)
    }

    fn unsubscribe(subscriptions: &mut Subscriptions, filter: &str) -> u8 {
        subscriptions.unsubscribe(&Session::of_test(), filter)
    }

    const NOTICE: &str = "/ota/device/upgrade/pk/dev1";

    #[test]
    fn everything_is_delivered_at_qos_0_unasked() {
        let subscriptions = Subscriptions::default();
        for kind in Kind::DOWNLINKS {
            assert_eq!(subscriptions.delivery(kind), Some(QoS::AtMostOnce));
        }
        assert_eq!(subscriptions.delivery(Kind::Inform), None);
    }

    #[test]
    fn the_granted_qos_counts_and_is_at_most_1() {
        let mut subscriptions = Subscriptions::default();
        assert_eq!(subscribe(&mut subscriptions, NOTICE, QoS::ExactlyOnce), 1);
        assert_eq!(subscriptions.delivery(Kind::Upgrade), Some(QoS::AtLeastOnce));
        assert_eq!(subscriptions.delivery(Kind::Request), Some(QoS::AtMostOnce));
        assert_eq!(subscribe(&mut subscriptions, NOTICE, QoS::AtMostOnce), 0);
        assert_eq!(subscriptions.delivery(Kind::Upgrade), Some(QoS::AtMostOnce));
    }

    #[test]
    fn unsubscribing_ends_delivery_until_the_next_subscribe() {
        let mut subscriptions = Subscriptions::default();
        let end = |subscriptions: &mut Subscriptions| {
            [NOTICE, "/pk/dev1/user/a"].map(|filter| unsubscribe(subscriptions, filter))
        };
        // The system topic is as good as subscribed.
        assert_eq!(end(&mut subscriptions), [reason::SUCCESS, reason::NO_SUBSCRIPTION]);
        assert_eq!(end(&mut subscriptions), [reason::NO_SUBSCRIPTION; 2]);
        assert_eq!(subscriptions.delivery(Kind::Upgrade), None);
        assert_eq!(subscriptions.delivery(Kind::FileDownloadReply), Some(QoS::AtMostOnce));
        subscribe(&mut subscriptions, NOTICE, QoS::AtLeastOnce);
        assert_eq!(subscriptions.delivery(Kind::Upgrade), Some(QoS::AtLeastOnce));
    }

    #[test]
    fn a_wildcard_left_over_still_delivers() {
        let mut subscriptions = Subscriptions::default();
        let reply = "/sys/pk/dev1/thing/file/download_reply";
        subscribe(&mut subscriptions, "/sys/pk/dev1/#", QoS::AtLeastOnce);
        subscribe(&mut subscriptions, reply, QoS::AtMostOnce);
        unsubscribe(&mut subscriptions, reply);
        assert_eq!(subscriptions.delivery(Kind::FileDownloadReply), Some(QoS::AtLeastOnce));
        unsubscribe(&mut subscriptions, "/sys/pk/dev1/#");
        assert_eq!(subscriptions.delivery(Kind::FileDownloadReply), None);
        assert_eq!(subscriptions.delivery(Kind::Upgrade), Some(QoS::AtMostOnce));
    }

    #[test]
    fn answers_on_other_topics_come_unasked_too() {
        let mut subscriptions = Subscriptions::default();
        let reply = "/sys/pk/dev1/thing/event/alarm/post_reply";
        assert_eq!(subscriptions.delivery_on(reply), Some(QoS::AtMostOnce));
        subscribe(&mut subscriptions, "/sys/pk/dev1/thing/event/+/post_reply", QoS::AtLeastOnce);
        assert_eq!(subscriptions.delivery_on(reply), Some(QoS::AtLeastOnce));
        unsubscribe(&mut subscriptions, "/sys/pk/dev1/thing/event/+/post_reply");
        assert_eq!(subscriptions.delivery_on(reply), None);
        assert_eq!(subscriptions.delivery_on("/shadow/get/pk/dev1"), Some(QoS::AtMostOnce));
        subscribe(&mut subscriptions, reply, QoS::AtMostOnce);
        assert_eq!(subscriptions.delivery_on(reply), Some(QoS::AtMostOnce));
        for n in 0..1_000 {
            unsubscribe(&mut subscriptions, &format!("/pk/dev1/user/{n}"));
        }
        assert!(subscriptions.ended.len() <= MAX_FILTERS);
    }

    #[test]
    fn foreign_and_surplus_filters_are_refused() {
        let mut subscriptions = Subscriptions::default();
        for filter in
            ["#", "/sys/#", "/ota/device/upgrade/pk/dev2", "/ota/device/+/pk/+", "/ota/device/inform/pk/dev1"]
        {
            assert_eq!(subscribe(&mut subscriptions, filter, QoS::AtMostOnce), 0x80, "{filter}");
        }
        for number in 0..MAX_FILTERS {
            assert_eq!(subscribe(&mut subscriptions, &format!("/pk/dev1/user/{number}"), QoS::AtMostOnce), 0);
        }
        assert_eq!(subscribe(&mut subscriptions, "/pk/dev1/user/more", QoS::AtMostOnce), 0x80);
        for (filter, code) in [
            ("/pk/dev1/user/more", reason::IMPLEMENTATION),
            ("/sys/#", reason::NOT_AUTHORISED),
            ("/pk/#/user", reason::TOPIC_FILTER),
            ("$share/all//pk/dev1/user/0", reason::SHARED_SUBSCRIPTION),
        ] {
            let told = subscriptions.subscribe(&Session::of_test(), Version::V5, filter, QoS::AtMostOnce);
            assert_eq!(told, code, "{filter}");
        }
        assert_eq!(subscribe(&mut subscriptions, "/pk/dev1/user/0", QoS::AtLeastOnce), 1);
    }
}
