//! What a session gets: everything, until it says otherwise (docs/protocol.md 3.2).

use mqtt::{QoS, SUBACK_FAILURE, Version, reason};
use wire::topic::{Kind, Topic, filter_matches, may_subscribe, valid_filter};

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

    /// Takes the filters of a SUBSCRIBE and gives their SUBACK codes.
    pub(crate) fn subscribe<'f>(
        &mut self,
        session: &Session,
        version: Version,
        filters: impl Iterator<Item = (&'f str, QoS)> + Clone,
    ) -> Vec<u8> {
        let codes: Vec<u8> = filters
            .clone()
            .map(|(filter, wanted)| match self.grant(session, filter, wanted) {
                Ok(granted) => granted.level(),
                Err(refused) => refused.code(version),
            })
            .collect();
        let granted = filters.zip(&codes).filter(|&(_, &code)| code < SUBACK_FAILURE);
        self.update(session, granted.map(|((filter, _), _)| filter));
        codes
    }

    /// Takes the filters of an UNSUBSCRIBE, whether or not they were subscribed, and gives the codes that
    /// MQTT 5 has for them.
    pub(crate) fn unsubscribe<'f>(
        &mut self,
        session: &Session,
        filters: impl Iterator<Item = &'f str> + Clone,
    ) -> Vec<u8> {
        let codes = filters.clone().map(|filter| self.end(session, filter)).collect();
        self.update(session, filters);
        codes
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
                .any(|(kind, delivery)| delivery.is_some() && filter_matches(filter, &topic(kind, session)))
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

    /// Settles the system topics that these filters match anew: the best QoS of those subscriptions
    /// that are left, or nothing if none is.
    fn update<'f>(&mut self, session: &Session, filters: impl Iterator<Item = &'f str> + Clone) {
        for (kind, delivery) in Kind::DOWNLINKS.into_iter().zip(&mut self.delivery) {
            let topic = topic(kind, session);
            if filters.clone().any(|filter| filter_matches(filter, &topic)) {
                let matching = self.filters.iter().filter(|(known, _)| filter_matches(known, &topic));
                *delivery = matching.map(|&(_, qos)| qos).max();
            }
        }
    }
}

fn topic(kind: Kind, session: &Session) -> String {
    Topic::new(kind, &session.product_key, &session.device_name).to_string()
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
        subscriptions.subscribe(&Session::of_test(), Version::V311, [(filter, qos)].into_iter())[0]
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
        let unsubscribe = |subscriptions: &mut Subscriptions| {
            subscriptions.unsubscribe(&Session::of_test(), [NOTICE, "/pk/dev1/user/a"].into_iter())
        };
        // The system topic is as good as subscribed.
        assert_eq!(unsubscribe(&mut subscriptions), [reason::SUCCESS, reason::NO_SUBSCRIPTION]);
        assert_eq!(unsubscribe(&mut subscriptions), [reason::NO_SUBSCRIPTION; 2]);
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
        subscriptions.unsubscribe(&Session::of_test(), [reply].into_iter());
        assert_eq!(subscriptions.delivery(Kind::FileDownloadReply), Some(QoS::AtLeastOnce));
        subscriptions.unsubscribe(&Session::of_test(), ["/sys/pk/dev1/#"].into_iter());
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
        subscriptions.unsubscribe(&Session::of_test(), ["/sys/pk/dev1/thing/event/+/post_reply"].into_iter());
        assert_eq!(subscriptions.delivery_on(reply), None);
        assert_eq!(subscriptions.delivery_on("/shadow/get/pk/dev1"), Some(QoS::AtMostOnce));
        subscribe(&mut subscriptions, reply, QoS::AtMostOnce);
        assert_eq!(subscriptions.delivery_on(reply), Some(QoS::AtMostOnce));
        let many: Vec<String> = (0..1_000).map(|n| format!("/pk/dev1/user/{n}")).collect();
        subscriptions.unsubscribe(&Session::of_test(), many.iter().map(String::as_str));
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
            let filters = [(filter, QoS::AtMostOnce)].into_iter();
            assert_eq!(
                subscriptions.subscribe(&Session::of_test(), Version::V5, filters),
                [code],
                "{filter}"
            );
        }
        assert_eq!(subscribe(&mut subscriptions, "/pk/dev1/user/0", QoS::AtLeastOnce), 1);
    }
}
