//! Packets of version 5 of an independent codec, made at random and compared with ours.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use otaru_mqtt::{Options, Packet, Properties, Property, RetainHandling as OurRetainHandling, UnsubAck};
use proptest::option::of;
use proptest::prelude::*;
use rmqtt_codec::types::Publish;
use rmqtt_codec::v5::{
    Codec, Connect, ConnectAck, ConnectAckReason, Disconnect, DisconnectReasonCode, LastWill,
    Packet as Theirs, PublishAck, PublishAckReason, PublishProperties, RetainHandling, Subscribe,
    SubscribeAck, SubscribeAckReason, SubscriptionOptions, Unsubscribe, UnsubscribeAck, UnsubscribeAckReason,
    UserProperties,
};
use tokio_util::codec::{Decoder as _, Encoder as _};

use super::{any_id, id, payload, qos, text, their_qos};

/// Any packet that both codecs know.
pub(crate) fn any_packet() -> impl Strategy<Value = Theirs> {
    prop_oneof![
        connect(),
        connack(),
        publish(),
        puback(),
        subscribe(),
        suback(),
        unsubscribe(),
        unsuback(),
        Just(Theirs::PingRequest),
        Just(Theirs::PingResponse),
        disconnect(),
    ]
}

/// The packet as the independent codec writes it.
pub(crate) fn their_bytes(packet: &Theirs) -> Vec<u8> {
    let mut out = BytesMut::new();
    Codec::default().encode(packet.clone(), &mut out).unwrap();
    out.to_vec()
}

/// What the independent codec reads.
pub(crate) fn their_parse(bytes: &[u8]) -> Theirs {
    Codec::default().decode(&mut BytesMut::from(bytes)).unwrap().unwrap().0
}

/// Our packet in the independent codec's terms.
pub(crate) fn to_theirs(packet: &Packet<'_>) -> Theirs {
    match packet {
        Packet::Connect(ours) => {
            let mut theirs = Connect {
                clean_start: ours.clean,
                keep_alive: ours.keep_alive,
                client_id: ours.client_id.into(),
                username: ours.username.map(ByteString::from),
                password: ours.password.map(Bytes::copy_from_slice),
                last_will: ours.will.map(|will| their_will(&will)),
                ..Connect::default()
            };
            connect_properties(&mut theirs, &ours.properties);
            Theirs::Connect(Box::new(theirs))
        }
        Packet::ConnAck { session_present, code, properties } => {
            let reason_code = ConnectAckReason::try_from(*code).unwrap();
            let mut theirs =
                ConnectAck { session_present: *session_present, reason_code, ..ConnectAck::default() };
            connack_properties(&mut theirs, properties);
            Theirs::ConnectAck(Box::new(theirs))
        }
        Packet::Publish(ours) => Theirs::Publish(Box::new(Publish {
            dup: ours.dup,
            retain: ours.retain,
            qos: their_qos(ours.qos),
            topic: ours.topic.into(),
            packet_id: ours.packet_id.map(id),
            payload: Bytes::copy_from_slice(ours.payload),
            properties: Some(publish_properties(&ours.properties)),
        })),
        Packet::PubAck { packet_id, reason, properties } => {
            let (properties, reason_string) = words(properties);
            let reason_code = PublishAckReason::try_from(*reason).unwrap();
            Theirs::PublishAck(PublishAck {
                packet_id: id(*packet_id),
                reason_code,
                properties,
                reason_string,
            })
        }
        Packet::Subscribe(ours) => {
            let mut theirs = Subscribe {
                packet_id: id(ours.packet_id),
                id: None,
                user_properties: vec![],
                topic_filters: ours
                    .filters
                    .iter()
                    .map(|(filter, options)| (filter.into(), their_options(options)))
                    .collect(),
            };
            for property in ours.properties.iter() {
                match property {
                    Property::SubscriptionId(number) => theirs.id = NonZeroU32::new(number.get()),
                    other => theirs.user_properties.push(user(other)),
                }
            }
            Theirs::Subscribe(theirs)
        }
        Packet::SubAck(ours) => {
            let (properties, reason_string) = words(&ours.properties);
            let status = ours.codes.iter().map(|&code| SubscribeAckReason::try_from(code).unwrap()).collect();
            Theirs::SubscribeAck(SubscribeAck {
                packet_id: id(ours.packet_id),
                properties,
                reason_string,
                status,
            })
        }
        Packet::Unsubscribe(ours) => Theirs::Unsubscribe(Unsubscribe {
            packet_id: id(ours.packet_id),
            user_properties: words(&ours.properties).0,
            topic_filters: ours.filters.iter().map(ByteString::from).collect(),
        }),
        Packet::UnsubAck(UnsubAck { packet_id, properties, codes }) => {
            let (properties, reason_string) = words(properties);
            let status = codes.iter().map(|&code| UnsubscribeAckReason::try_from(code).unwrap()).collect();
            Theirs::UnsubscribeAck(UnsubscribeAck {
                packet_id: id(*packet_id),
                properties,
                reason_string,
                status,
            })
        }
        Packet::PingReq => Theirs::PingRequest,
        Packet::PingResp => Theirs::PingResponse,
        Packet::Disconnect { reason, properties } => {
            let mut theirs = Disconnect::new(DisconnectReasonCode::try_from(*reason).unwrap());
            for property in properties.iter() {
                match property {
                    Property::SessionExpiry(seconds) => theirs.session_expiry_interval_secs = Some(seconds),
                    Property::ServerReference(server) => theirs.server_reference = Some(server.into()),
                    Property::ReasonString(reason) => theirs.reason_string = Some(reason.into()),
                    other => theirs.user_properties.push(user(other)),
                }
            }
            Theirs::Disconnect(theirs)
        }
        other => panic!("{other:?} is new to this test"),
    }
}

fn connect_properties(theirs: &mut Connect, properties: &Properties<'_>) {
    for property in properties.iter() {
        match property {
            Property::SessionExpiry(seconds) => theirs.session_expiry_interval_secs = seconds,
            Property::AuthMethod(method) => theirs.auth_method = Some(method.into()),
            Property::AuthData(data) => theirs.auth_data = Some(Bytes::copy_from_slice(data)),
            Property::RequestProblemInfo(wanted) => theirs.request_problem_info = wanted,
            Property::RequestResponseInfo(wanted) => theirs.request_response_info = wanted,
            Property::ReceiveMaximum(count) => theirs.receive_max = Some(count),
            Property::TopicAliasMaximum(alias) => theirs.topic_alias_max = alias,
            Property::MaximumPacketSize(bytes) => theirs.max_packet_size = Some(bytes),
            other => theirs.user_properties.push(user(other)),
        }
    }
}

fn connack_properties(theirs: &mut ConnectAck, properties: &Properties<'_>) {
    for property in properties.iter() {
        match property {
            Property::SessionExpiry(seconds) => theirs.session_expiry_interval_secs = Some(seconds),
            Property::ReceiveMaximum(count) => theirs.receive_max = count,
            Property::MaximumQoS(qos) => theirs.max_qos = their_qos(qos),
            Property::MaximumPacketSize(bytes) => theirs.max_packet_size = Some(bytes.get()),
            Property::AssignedClientId(id) => theirs.assigned_client_id = Some(id.into()),
            Property::TopicAliasMaximum(alias) => theirs.topic_alias_max = alias,
            Property::RetainAvailable(is) => theirs.retain_available = is,
            Property::WildcardAvailable(is) => theirs.wildcard_subscription_available = is,
            Property::SubscriptionIdAvailable(is) => theirs.subscription_identifiers_available = is,
            Property::SharedAvailable(is) => theirs.shared_subscription_available = is,
            Property::ServerKeepAlive(seconds) => theirs.server_keepalive_sec = Some(seconds),
            Property::ResponseInfo(info) => theirs.response_info = Some(info.into()),
            Property::ServerReference(server) => theirs.server_reference = Some(server.into()),
            Property::AuthMethod(method) => theirs.auth_method = Some(method.into()),
            Property::AuthData(data) => theirs.auth_data = Some(Bytes::copy_from_slice(data)),
            Property::ReasonString(reason) => theirs.reason_string = Some(reason.into()),
            other => theirs.user_properties.push(user(other)),
        }
    }
}

fn publish_properties(properties: &Properties<'_>) -> PublishProperties {
    let mut theirs = PublishProperties::default();
    for property in properties.iter() {
        match property {
            Property::TopicAlias(alias) => theirs.topic_alias = Some(alias),
            Property::CorrelationData(data) => theirs.correlation_data = Some(Bytes::copy_from_slice(data)),
            Property::MessageExpiry(seconds) => theirs.message_expiry_interval = NonZeroU32::new(seconds),
            Property::ContentType(kind) => theirs.content_type = Some(kind.into()),
            Property::PayloadIsText(is) => theirs.is_utf8_payload = is,
            Property::ResponseTopic(topic) => theirs.response_topic = Some(topic.into()),
            Property::SubscriptionId(number) => theirs.subscription_ids.extend(NonZeroU32::new(number.get())),
            other => theirs.user_properties.push(user(other)),
        }
    }
    theirs
}

fn their_will(ours: &otaru_mqtt::Will<'_>) -> LastWill {
    let mut theirs = LastWill {
        qos: their_qos(ours.qos),
        retain: ours.retain,
        topic: ours.topic.into(),
        message: Bytes::copy_from_slice(ours.message),
        will_delay_interval_sec: None,
        correlation_data: None,
        message_expiry_interval: None,
        content_type: None,
        user_properties: vec![],
        is_utf8_payload: None,
        response_topic: None,
    };
    for property in ours.properties.iter() {
        match property {
            Property::WillDelay(seconds) => theirs.will_delay_interval_sec = Some(seconds),
            Property::CorrelationData(data) => theirs.correlation_data = Some(Bytes::copy_from_slice(data)),
            Property::MessageExpiry(seconds) => theirs.message_expiry_interval = NonZeroU32::new(seconds),
            Property::ContentType(kind) => theirs.content_type = Some(kind.into()),
            Property::PayloadIsText(is) => theirs.is_utf8_payload = Some(is),
            Property::ResponseTopic(topic) => theirs.response_topic = Some(topic.into()),
            other => theirs.user_properties.push(user(other)),
        }
    }
    theirs
}

/// What an answer says in words.
fn words(properties: &Properties<'_>) -> (UserProperties, Option<ByteString>) {
    let (mut users, mut reason) = (vec![], None);
    for property in properties.iter() {
        match property {
            Property::ReasonString(words) => reason = Some(words.into()),
            other => users.push(user(other)),
        }
    }
    (users, reason)
}

fn user(property: Property<'_>) -> (ByteString, ByteString) {
    match property {
        Property::User((name, value)) => (name.into(), value.into()),
        other => panic!("{other:?} does not belong here"),
    }
}

fn their_options(ours: Options) -> SubscriptionOptions {
    SubscriptionOptions {
        qos: their_qos(ours.qos),
        no_local: ours.no_local,
        retain_as_published: ours.retain_as_published,
        retain_handling: match ours.retain_handling {
            OurRetainHandling::Send => RetainHandling::AtSubscribe,
            OurRetainHandling::SendIfNew => RetainHandling::AtSubscribeNew,
            OurRetainHandling::Omit => RetainHandling::NoAtSubscribe,
        },
    }
}

fn connect() -> impl Strategy<Value = Theirs> {
    let login = (of(text("\\PC{0,30}")), of(payload(0..40)));
    let limits = (of(any::<NonZeroU16>()), of(any::<NonZeroU32>()), any::<u16>(), any::<u32>());
    let wishes = (any::<bool>(), any::<bool>(), auth(), users());
    (any::<bool>(), any::<u16>(), of(will()), text("\\PC{1,200}"), login, limits, wishes).prop_map(
        |(clean_start, keep_alive, last_will, client_id, (username, password), limits, wishes)| {
            let (receive_max, max_packet_size, topic_alias_max, session_expiry_interval_secs) = limits;
            let (request_problem_info, request_response_info, (auth_method, auth_data), user_properties) =
                wishes;
            Theirs::Connect(Box::new(Connect {
                clean_start,
                keep_alive,
                session_expiry_interval_secs,
                auth_method,
                auth_data,
                request_problem_info,
                request_response_info,
                receive_max,
                topic_alias_max,
                user_properties,
                max_packet_size,
                last_will,
                client_id,
                username,
                password,
                cert: None,
            }))
        },
    )
}

fn will() -> impl Strategy<Value = LastWill> {
    let message = (qos(), any::<bool>(), text("[a-z/é]{1,60}"), payload(0..100));
    let hints = (of(any::<u32>()), of(any::<NonZeroU32>()), of(any::<bool>()));
    let answer = (of(payload(0..20)), of(text("[a-z/é]{1,20}")), of(text("\\PC{0,20}")), users());
    (message, hints, answer).prop_map(
        |(
            (qos, retain, topic, message),
            (will_delay_interval_sec, message_expiry_interval, is_utf8_payload),
            (correlation_data, response_topic, content_type, user_properties),
        )| LastWill {
            qos,
            retain,
            topic,
            message,
            will_delay_interval_sec,
            correlation_data,
            message_expiry_interval,
            content_type,
            user_properties,
            is_utf8_payload,
            response_topic,
        },
    )
}

fn connack() -> impl Strategy<Value = Theirs> {
    let code = prop::sample::select(vec![0u8, 128, 129, 130, 132, 133, 134, 135, 140, 149, 154, 155, 159]);
    let limits = (
        of(any::<u32>()),
        any::<NonZeroU16>(),
        qos(),
        of(any::<NonZeroU32>()),
        any::<u16>(),
        of(any::<u16>()),
    );
    let offers = any::<(bool, bool, bool, bool)>();
    let words = (of(text("\\PC{0,9}")), of(text("\\PC{0,9}")), of(text("\\PC{0,9}")), auth(), reason());
    (any::<bool>(), code, limits, offers, words, users()).prop_map(
        |(session_present, code, limits, offers, words, user_properties)| {
            let (session_expiry_interval_secs, receive_max, max_qos, size, topic_alias_max, keep) = limits;
            let (
                assigned_client_id,
                response_info,
                server_reference,
                (auth_method, auth_data),
                reason_string,
            ) = words;
            Theirs::ConnectAck(Box::new(ConnectAck {
                session_present,
                reason_code: ConnectAckReason::try_from(code).unwrap(),
                session_expiry_interval_secs,
                receive_max,
                max_qos,
                max_packet_size: size.map(NonZeroU32::get),
                assigned_client_id,
                topic_alias_max,
                retain_available: offers.0,
                wildcard_subscription_available: offers.1,
                subscription_identifiers_available: offers.2,
                shared_subscription_available: offers.3,
                server_keepalive_sec: keep,
                response_info,
                server_reference,
                auth_method,
                auth_data,
                reason_string,
                user_properties,
            }))
        },
    )
}

fn publish() -> impl Strategy<Value = Theirs> {
    let payload = prop_oneof![payload(0..20), payload(100..160), payload(16_300..16_400)];
    let message = (any::<bool>(), any::<bool>(), qos(), any_id(), text("[a-z/é]{0,60}"), payload);
    (message, hints()).prop_map(|((dup, retain, qos, packet_id, topic, payload), mut properties)| {
        let acknowledged = u8::from(qos) > 0;
        if topic.is_empty() && properties.topic_alias.is_none() {
            properties.topic_alias = Some(packet_id);
        }
        Theirs::Publish(Box::new(Publish {
            dup: dup && acknowledged,
            retain,
            qos,
            topic,
            packet_id: acknowledged.then_some(packet_id),
            payload,
            properties: Some(properties),
        }))
    })
}

fn hints() -> impl Strategy<Value = PublishProperties> {
    let numbers = (of(any_id()), of(any::<NonZeroU32>()), prop::collection::vec(subscription_id(), 0..3));
    let texts = (of(payload(0..20)), of(text("\\PC{0,20}")), of(text("[a-z/é]{1,20}")), users());
    (numbers, texts, any::<bool>()).prop_map(
        |(
            (topic_alias, message_expiry_interval, subscription_ids),
            (correlation_data, content_type, response_topic, user_properties),
            is_utf8_payload,
        )| PublishProperties {
            topic_alias,
            correlation_data,
            message_expiry_interval,
            content_type,
            user_properties,
            is_utf8_payload,
            response_topic,
            subscription_ids,
        },
    )
}

fn puback() -> impl Strategy<Value = Theirs> {
    let code = prop::sample::select(vec![0u8, 0, 16, 128, 131, 135, 144, 145, 151, 153]);
    (any_id(), code, users(), reason()).prop_map(|(packet_id, code, properties, reason_string)| {
        let reason_code = PublishAckReason::try_from(code).unwrap();
        Theirs::PublishAck(PublishAck { packet_id, reason_code, properties, reason_string })
    })
}

fn subscribe() -> impl Strategy<Value = Theirs> {
    let options = (qos(), any::<bool>(), any::<bool>(), 0u8..3).prop_map(
        |(qos, no_local, retain_as_published, handling)| SubscriptionOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling: RetainHandling::try_from(handling).unwrap(),
        },
    );
    let filters = prop::collection::vec((text("[a-z/+#é]{1,40}"), options), 1..9);
    (any_id(), of(subscription_id()), users(), filters).prop_map(
        |(packet_id, id, user_properties, topic_filters)| {
            Theirs::Subscribe(Subscribe { packet_id, id, user_properties, topic_filters })
        },
    )
}

fn suback() -> impl Strategy<Value = Theirs> {
    let code = prop::sample::select(vec![0u8, 1, 2, 128, 131, 135, 143, 145, 151, 158, 161, 162]);
    let status = code.prop_map(|code| SubscribeAckReason::try_from(code).unwrap());
    (any_id(), users(), reason(), prop::collection::vec(status, 1..9)).prop_map(
        |(packet_id, properties, reason_string, status)| {
            Theirs::SubscribeAck(SubscribeAck { packet_id, properties, reason_string, status })
        },
    )
}

fn unsubscribe() -> impl Strategy<Value = Theirs> {
    (any_id(), users(), prop::collection::vec(text("[a-z/+#é]{1,40}"), 1..9)).prop_map(
        |(packet_id, user_properties, topic_filters)| {
            Theirs::Unsubscribe(Unsubscribe { packet_id, user_properties, topic_filters })
        },
    )
}

fn unsuback() -> impl Strategy<Value = Theirs> {
    let code = prop::sample::select(vec![0u8, 17, 128, 131, 135, 143, 145]);
    let status = code.prop_map(|code| UnsubscribeAckReason::try_from(code).unwrap());
    (any_id(), users(), reason(), prop::collection::vec(status, 1..9)).prop_map(
        |(packet_id, properties, reason_string, status)| {
            Theirs::UnsubscribeAck(UnsubscribeAck { packet_id, properties, reason_string, status })
        },
    )
}

fn disconnect() -> impl Strategy<Value = Theirs> {
    let code = prop::sample::select(
        [0u8, 4, 128, 129, 130, 131, 135, 137, 139, 140].into_iter().chain(141..=162).collect::<Vec<_>>(),
    );
    // Two of these numbers say something in other packets only.
    let code = code.prop_filter("no reason to disconnect", |code| ![145, 146].contains(code));
    (code, of(any::<u32>()), of(text("\\PC{0,20}")), reason(), users()).prop_map(
        |(code, session_expiry_interval_secs, server_reference, reason_string, user_properties)| {
            Theirs::Disconnect(Disconnect {
                reason_code: DisconnectReasonCode::try_from(code).unwrap(),
                session_expiry_interval_secs,
                server_reference,
                reason_string,
                user_properties,
            })
        },
    )
}

fn auth() -> impl Strategy<Value = (Option<ByteString>, Option<Bytes>)> {
    of((text("\\PC{0,20}"), of(payload(0..20))))
        .prop_map(|auth| auth.map_or((None, None), |(method, data)| (Some(method), data)))
}

fn users() -> impl Strategy<Value = UserProperties> {
    prop::collection::vec((text("\\PC{0,10}"), text("\\PC{0,10}")), 0..3)
}

fn reason() -> impl Strategy<Value = Option<ByteString>> {
    of(text("\\PC{0,20}"))
}

fn subscription_id() -> impl Strategy<Value = NonZeroU32> {
    prop_oneof![1u32..300, 1u32..=268_435_455].prop_map(|id| NonZeroU32::new(id).unwrap())
}
