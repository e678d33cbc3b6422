//! A line with a topic and a line with a filter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::topic::{MAX_TOPIC, Topic, filter_matches, may_subscribe, valid_filter};

const PRODUCT: &str = "a1TestPk001";
const DEVICE: &str = "dev001";

fuzz_target!(|text: &str| {
    let (topic, filter) = text.split_once('\n').unwrap_or((text, text));
    let read = Topic::parse(topic);
    if let Some(read) = read {
        assert_eq!(read.to_string(), topic);
        assert!(topic.len() <= MAX_TOPIC && !topic.contains(['\0', '+', '#']));
    }
    if may_subscribe(filter, PRODUCT, DEVICE) {
        assert!(valid_filter(filter));
        if let Some(read) = read.filter(|_| filter_matches(filter, topic)) {
            assert!(read.belongs_to(PRODUCT, DEVICE), "{filter} lets a device hear {topic}");
        }
    }
});
