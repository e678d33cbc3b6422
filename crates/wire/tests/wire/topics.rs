//! Topics, permissions and filters: docs/protocol.md 3.

use otaru_wire::topic::{
    GatewayStep, Kind, Topic, filter_device, filter_matches, may_subscribe, valid_filter,
};
use proptest::prelude::*;

const PK: &str = "a1TestPk001";
const DN: &str = "dev001";

#[test]
fn each_kind_has_its_topic() {
    let table = [
        (Kind::Inform, "/ota/device/inform/a1TestPk001/dev001"),
        (Kind::Upgrade, "/ota/device/upgrade/a1TestPk001/dev001"),
        (Kind::FirmwareGet, "/sys/a1TestPk001/dev001/thing/ota/firmware/get"),
        (Kind::FirmwareGetReply, "/sys/a1TestPk001/dev001/thing/ota/firmware/get_reply"),
        (Kind::Request, "/ota/device/request/a1TestPk001/dev001"),
        (Kind::Progress, "/ota/device/progress/a1TestPk001/dev001"),
        (Kind::FileDownload, "/sys/a1TestPk001/dev001/thing/file/download"),
        (Kind::FileDownloadReply, "/sys/a1TestPk001/dev001/thing/file/download_reply"),
        (Kind::ConfigGet, "/sys/a1TestPk001/dev001/thing/config/get"),
        (Kind::ConfigGetReply, "/sys/a1TestPk001/dev001/thing/config/get_reply"),
        (Kind::ConfigPush, "/sys/a1TestPk001/dev001/thing/config/push"),
        (Kind::ConfigPushReply, "/sys/a1TestPk001/dev001/thing/config/push_reply"),
    ];
    assert_eq!(table.map(|(kind, _)| kind), Kind::FIXED);
    for (kind, text) in table {
        let topic = Topic::new(kind, PK, DN);
        assert_eq!(topic.to_string(), text);
        assert_eq!(Topic::parse(text), Some(topic), "{text}");
        let others = [format!("{text}/"), text[1..].to_owned(), text[..text.len() - 1].to_owned()];
        assert!(topic.is_written(text) && !others.iter().any(|other| topic.is_written(other)));
    }
}

#[test]
fn each_request_of_a_gateway_has_its_topic_and_its_answers() {
    let table = [
        (GatewayStep::AddTopology, "/sys/a1TestPk001/dev001/thing/topo/add"),
        (GatewayStep::DeleteTopology, "/sys/a1TestPk001/dev001/thing/topo/delete"),
        (GatewayStep::GetTopology, "/sys/a1TestPk001/dev001/thing/topo/get"),
        (GatewayStep::Register, "/sys/a1TestPk001/dev001/thing/sub/register"),
        (GatewayStep::RegisterByProduct, "/sys/a1TestPk001/dev001/thing/proxy/provisioning/product_register"),
        (GatewayStep::Login, "/ext/session/a1TestPk001/dev001/combine/login"),
        (GatewayStep::BatchLogin, "/ext/session/a1TestPk001/dev001/combine/batch_login"),
        (GatewayStep::Logout, "/ext/session/a1TestPk001/dev001/combine/logout"),
        (GatewayStep::BatchLogout, "/ext/session/a1TestPk001/dev001/combine/batch_logout"),
    ];
    assert_eq!(table.map(|(step, _)| step), GatewayStep::ALL);
    for (step, text) in table {
        let (request, reply) = (Kind::Gateway(step), Kind::GatewayReply(step));
        for (kind, text) in [(request, text.to_owned()), (reply, format!("{text}_reply"))] {
            assert_eq!(Topic::new(kind, PK, DN).to_string(), text);
            assert_eq!(Topic::parse(&text), Some(Topic::new(kind, PK, DN)), "{text}");
        }
        assert!(request.may_publish() && !request.may_subscribe() && !request.is_system_downlink());
        assert!(!reply.may_publish() && reply.may_subscribe() && reply.is_system_downlink());
    }
}

#[test]
fn a_filter_speaks_of_one_device_or_of_none() {
    for (filter, device) in [
        ("/ota/device/upgrade/a1TestPk001/dev001", Some((PK, DN))),
        ("/ota/device/inform/a1TestPk001/dev001", Some((PK, DN))),
        ("/sys/a1TestPk001/dev001/#", Some((PK, DN))),
        ("/ota/device/+/a1TestPk001/dev001", Some((PK, DN))),
        ("/a1TestPk001/dev001/user/+", Some((PK, DN))),
        ("/sys/a1TestPk001/+/thing/#", None),
        ("/sys/+/dev001/#", None),
        ("/a1TestPk001/dev001/#", None),
        ("#", None),
        ("/sys/a1TestPk001", None),
        ("", None),
    ] {
        assert_eq!(filter_device(filter), device, "{filter}");
    }
}

#[test]
fn who_may_do_what() {
    let table = [
        (Kind::Inform, true, false),
        (Kind::Upgrade, false, true),
        (Kind::FirmwareGet, true, false),
        (Kind::FirmwareGetReply, false, true),
        (Kind::Request, true, true),
        (Kind::Progress, true, false),
        (Kind::FileDownload, true, false),
        (Kind::FileDownloadReply, false, true),
        (Kind::ConfigGet, true, false),
        (Kind::ConfigGetReply, false, true),
        (Kind::ConfigPush, false, true),
        (Kind::ConfigPushReply, true, true),
        (Kind::Post, true, false),
        (Kind::LogConfigGet, true, false),
        (Kind::Shadow, true, false),
        (Kind::Time, true, false),
        (Kind::User, true, true),
        (Kind::Unserved, true, true),
    ];
    for (kind, publish, subscribe) in table {
        assert_eq!((kind.may_publish(), kind.may_subscribe()), (publish, subscribe), "{kind:?}");
        let others = [Kind::ConfigPushReply, Kind::User, Kind::Unserved];
        assert_eq!(kind.is_system_downlink(), subscribe && !others.contains(&kind), "{kind:?}");
    }
}

#[test]
fn other_topics_of_a_device_are_told_apart() {
    let user = Topic::parse("/a1TestPk001/dev001/user/a/b").unwrap();
    assert_eq!((user.kind, user.rest()), (Kind::User, "a/b"));
    for (kind, text) in [
        (Kind::Post, "/sys/a1TestPk001/dev001/thing/deviceinfo/update"),
        (Kind::Post, "/sys/a1TestPk001/dev001/thing/deviceinfo/delete"),
        (Kind::Post, "/sys/a1TestPk001/dev001/thing/event/property/post"),
        (Kind::Post, "/sys/a1TestPk001/dev001/thing/event/property/batch/post"),
        (Kind::Post, "/sys/a1TestPk001/dev001/thing/event/lamp:broken/post"),
        (Kind::Post, "/sys/a1TestPk001/dev001/thing/log/post"),
        (Kind::Post, "/sys/a1TestPk001/dev001/thing/property/desired/get"),
        (Kind::Unserved, "/sys/a1TestPk001/dev001/thing/event/property/post_reply"),
        (Kind::Unserved, "/sys/a1TestPk001/dev001/thing/event"),
        (Kind::Unserved, "/sys/a1TestPk001/dev001/event/x/post"),
        (Kind::LogConfigGet, "/sys/a1TestPk001/dev001/thing/config/log/get"),
        (Kind::Time, "/ext/ntp/a1TestPk001/dev001/request"),
        (Kind::Unserved, "/ext/ntp/a1TestPk001/dev001/response"),
        (Kind::Shadow, "/shadow/update/a1TestPk001/dev001"),
        (Kind::Unserved, "/shadow/get/a1TestPk001/dev001"),
        (Kind::Unserved, "/sys/a1TestPk001/dev001/thing/ota/firmware/get2"),
        (Kind::Unserved, "/sys/a1TestPk001/dev001/rrpc/request/1"),
        (Kind::Unserved, "/ext/session/a1TestPk001/dev001/combine/other"),
        (Kind::Unserved, "/ext/session/a1TestPk001/dev001/thing/topo/add"),
        (Kind::Unserved, "/sys/a1TestPk001/dev001/combine/login"),
        (Kind::Unserved, "/sys/a1TestPk001/dev001/thing/topo/add_reply_reply"),
        (Kind::Unserved, "/ota/device/other/a1TestPk001/dev001"),
    ] {
        let topic = Topic::parse(text).unwrap();
        assert_eq!((topic.kind, topic.rest()), (kind, text));
        assert!(topic.belongs_to(PK, DN) && !topic.belongs_to(PK, "dev002") && !topic.belongs_to("pk", DN));
    }
}

#[test]
fn what_is_no_topic_of_a_device() {
    for text in [
        "",
        "/",
        "//",
        "a",
        "ota/device/inform/pk/dev001",
        "/ota/device/inform/a1TestPk001",
        "/ota/device/inform/a1TestPk001/",
        "/ota/device/inform/a1TestPk001/dev001/x",
        "/ota/device/inform/a1_x/dev001",
        "/ota/device/inform//dev001",
        "/ota/device/inform/a1TestPk001/dev/1",
        "/ota/device/inform/+/dev001",
        "/ota/device/+/a1TestPk001/dev001",
        "/sys/a1TestPk001/dev001",
        "/sys/a1TestPk001/#",
        "/a1TestPk001/dev001/other",
        "/a1TestPk001/dev001/user",
        "/a1TestPk001/dev001/user/\0",
        "/ext/register",
        "/ext/auth/identity/response",
        "$SYS/broker",
        "/shadow/a1TestPk001/dev001",
    ] {
        assert_eq!(Topic::parse(text), None, "{text:?}");
    }
    assert_eq!(Topic::parse(&format!("/a1TestPk001/dev001/user/{}", "x".repeat(104))), None);
    assert!(Topic::parse(&format!("/a1TestPk001/dev001/user/{}", "x".repeat(103))).is_some());
}

#[test]
fn filters_match_by_the_rules_of_mqtt() {
    for (filter, topic, matches) in [
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", false),
        ("a/b", "a", false),
        ("a/+", "a/b", true),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("a/+", "a/b/c", false),
        ("+/b", "a/b", true),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/#", "b", false),
        ("#", "a/b", true),
        ("+/+", "/a", true),
        ("/+", "/a", true),
        ("+", "/a", false),
        ("#", "$SYS/a", false),
        ("+/a", "$SYS/a", false),
        ("$SYS/#", "$SYS/a", true),
        ("a/+/c", "a//c", true),
    ] {
        assert_eq!(filter_matches(filter, topic), matches, "{filter} {topic}");
    }
    for filter in ["a", "/", "+", "#", "a/#", "+/b/#", "a//b"] {
        assert!(valid_filter(filter), "{filter}");
    }
    for filter in ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a\0", &"a".repeat(129)] {
        assert!(!valid_filter(filter), "{filter:?}");
    }
}

#[test]
fn what_the_sdks_subscribe_to_is_granted() {
    for filter in [
        "/sys/a1TestPk001/dev001/thing/file/download_reply",
        "/ota/device/request/a1TestPk001/dev001",
        "/ota/device/upgrade/a1TestPk001/dev001",
        "/sys/a1TestPk001/dev001/thing/config/get_reply",
        "/sys/a1TestPk001/dev001/thing/config/push",
        "/sys/a1TestPk001/dev001/thing/event/+/post_reply",
        "/sys/a1TestPk001/dev001/thing/service/property/set",
        "/sys/a1TestPk001/dev001/thing/config/push_reply",
        "/shadow/get/a1TestPk001/dev001",
        "/ext/ntp/a1TestPk001/dev001/response",
        "/ext/ntp/a1TestPk001/dev001/+",
        "/sys/a1TestPk001/dev001/thing/topo/add_reply",
        "/ext/session/a1TestPk001/dev001/combine/login_reply",
        "/sys/a1TestPk001/dev001/rrpc/request/+",
        "/a1TestPk001/dev001/user/#",
        "/a1TestPk001/dev001/user/get",
        "/ota/device/+/a1TestPk001/dev001",
        "/ota/device/upgrade/a1TestPk001/dev001/#",
        "/sys/a1TestPk001/dev001/#",
        "/shadow/+/a1TestPk001/dev001",
    ] {
        assert!(may_subscribe(filter, PK, DN), "{filter}");
    }
}

#[test]
fn what_reaches_beyond_the_device_or_is_uplink_only_is_refused() {
    for filter in [
        "#",
        "+",
        "/#",
        "/+",
        "+/#",
        "/+/#",
        "/sys/#",
        "/sys/a1TestPk001/#",
        "/sys/a1TestPk001/+/thing/#",
        "/sys/+/dev001/#",
        "/ota/#",
        "/ota/device/#",
        "/ota/device/upgrade/#",
        "/ota/device/upgrade/a1TestPk001/+",
        "/ota/device/upgrade/+/dev001",
        "/ota/+/upgrade/a1TestPk001/dev001",
        "/+/a1TestPk001/dev001/#",
        "/a1TestPk001/dev001/+/x",
        "/a1TestPk001/dev001/#",
        "/sys/a1TestPk001/dev002/#",
        "/ext/session/#",
        "/ext/+/a1TestPk001/dev001/#",
        "/ext/ntp/a1TestPk001/+/response",
        "/ext/ntp/#",
        "/shadow/#",
        "/shadow/get/#",
        "/ext/#",
        "/ota/device/upgrade/a1TestPk001/dev002",
        "/a1TestPk001/dev002/user/#",
        "/sys/a1TestPk001/dev001",
        "",
        "/ota/device/inform/a1TestPk001/dev001",
        "/sys/a1TestPk001/dev001/thing/file/download",
        "/sys/a1TestPk001/dev001#",
    ] {
        assert!(!may_subscribe(filter, PK, DN), "{filter}");
    }
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("sys"),
        Just("ota"),
        Just("device"),
        Just("ext"),
        Just("session"),
        Just("shadow"),
        Just("user"),
        Just("thing"),
        Just(PK),
        Just(PK),
        Just(DN),
        Just(DN),
        Just("dev002"),
        Just("upgrade"),
        Just("file"),
        Just("download_reply"),
        Just("+"),
        Just(""),
        Just("a")
    ]
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn parse_and_display_are_inverse(levels in prop::collection::vec(level(), 0..9), any in any::<String>()) {
        for text in [levels.join("/"), any] {
            if let Some(topic) = Topic::parse(&text) {
                prop_assert_eq!(topic.to_string(), text);
            }
        }
    }

    /// No filter that one device is granted ever takes in a topic of another device.
    #[test]
    fn granted_filters_stay_with_the_device(
        topic in foreign_topic(),
        plus in prop::collection::vec(prop::bool::weighted(0.3), 9),
        cut in 1..9_usize,
        hash in any::<bool>(),
    ) {
        let levels = topic.split('/').zip(plus).map(|(level, plus)| if plus { "+" } else { level });
        let mut filter: Vec<&str> = if hash { levels.take(cut).collect() } else { levels.collect() };
        if hash {
            filter.push("#");
        }
        let filter = filter.join("/");
        prop_assert!(filter_matches(&filter, &topic), "{} {}", filter, topic);
        prop_assert!(!may_subscribe(&filter, PK, DN), "{} {}", filter, topic);
    }
}

fn foreign_topic() -> impl Strategy<Value = String> {
    let names =
        prop_oneof![Just((PK, "dev002")), Just(("otherPk", DN)), Just((DN, PK)), Just(("sys", "user"))];
    (names, 0..8_usize).prop_map(|((pk, dn), form)| {
        let topic = match form {
            0 => format!("/sys/{pk}/{dn}/thing/file/download_reply"),
            1 => format!("/sys/{pk}/{dn}/{PK}/{DN}/user"),
            2 => format!("/ota/device/upgrade/{pk}/{dn}"),
            3 => format!("/ext/session/{pk}/{dn}/combine/login_reply"),
            4 => format!("/shadow/get/{pk}/{dn}"),
            5 => format!("/{pk}/{dn}/user/{PK}/{DN}"),
            6 => format!("/ota/device/{PK}/{pk}/{dn}"),
            _ => format!("/shadow/{PK}/{pk}/{dn}"),
        };
        assert!(!Topic::parse(&topic).unwrap().belongs_to(PK, DN));
        topic
    })
}
