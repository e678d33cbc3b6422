//! What the door counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// One counter as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Its name.
    pub name: &'static str,
    /// What it counts: its documentation.
    pub help: &'static str,
    /// How often that was.
    pub value: u64,
}

/// Defines `Counters`: what is counted, each with the sentence that explains it to operators.
#[macro_export]
macro_rules! counters {
    ($vis:vis, $title:literal; $($(#[doc = $doc:literal])+ $name:ident,)+) => {
        #[doc = $title]
        #[derive(Debug, Default)]
        $vis struct Counters {
            $($(#[doc = $doc])+ $vis $name: ::std::sync::atomic::AtomicU64,)+
        }

        impl Counters {
            /// All counters, in a fixed order. Each is read for itself: the set is no snapshot of
            /// one moment.
            $vis fn all(&self) -> impl Iterator<Item = $crate::Count> + use<> {
                [$($crate::Count {
                    name: stringify!($name),
                    help: concat!($($doc),+).trim_ascii(),
                    value: self.$name.load(::std::sync::atomic::Ordering::Relaxed),
                },)+].into_iter()
            }

            /// All counters by name.
            $vis fn snapshot(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                self.all().map(|count| (count.name, count.value))
            }
        }
    };
}

counters! {
    pub, "What happened at the door since the process started, by reason.";
    /// TCP connections accepted.
    connections,
    /// Connections whose first byte is neither MQTT's nor HTTP's.
    unknown_protocol,
    /// Connections that did not finish their CONNECT, HTTP request's head, TLS handshake or PROXY header in time.
    connect_timeout,
    /// Connections of listed balancers without the PROXY header they owe.
    bad_proxy_header,
    /// Connections beyond those that one address may have.
    address_limit,
    /// CONNECTs that are no MQTT, or whose client id or user name cannot be read, and registrations in a form that
    /// cannot be.
    malformed_connect,
    /// CONNECTs of an MQTT version that is not served.
    bad_version,
    /// CONNECTs with a wrong password.
    bad_password,
    /// CONNECTs of unknown or disabled devices.
    unknown_device,
    /// CONNECTs dropped because the platform could not tell, or not in time.
    connect_unavailable,
    /// CONNECTs whose refusal was delayed because of failed ones before them.
    throttled,
    /// CONNECTs that failed and were closed without an answer, as too many delayed refusals wait already.
    throttle_full,
    /// Connections that ended while they waited for a delayed refusal.
    throttle_left,
    /// TLS handshakes done.
    tls_handshakes,
    /// Of these, the short ones of devices that were here before.
    tls_resumed,
    /// Connections that ended within their TLS handshake.
    tls_failed,
    /// Registrations of devices that got a secret or a token.
    registrations,
    /// Registrations refused: not signed rightly, not allowed, or not encrypted.
    refused_registration,
    /// Sessions begun.
    sessions,
    /// Sessions ended by a newer one of the same device.
    take_over,
    /// Sessions ended by silence.
    keepalive_timeout,
    /// Connections ended because the peer did not read.
    write_timeout,
    /// Sessions ended by a malformed or misplaced packet.
    malformed_packet,
    /// Connections ended by a packet that is too large.
    too_large,
    /// Sessions ended by a QoS 2 PUBLISH.
    qos2_publish,
    /// Sessions ended by a retained PUBLISH, which MQTT 5 may not send here.
    retained_publish,
    /// Sessions ended by more unacknowledged PUBLISHes than MQTT 5's CONNACK allows.
    receive_maximum_exceeded,
    /// PUBLISHes to another device's topic, or to one that devices may not publish; dropped.
    forbidden_publish,
    /// PUBLISHes to what is no device's topic; dropped.
    unknown_topic,
    /// PUBLISHes to the device's own custom topics; dropped.
    custom_topic,
    /// PUBLISHes to system topics that have no answer here; dropped.
    unserved_topic,
    /// PUBLISHes of properties, events, tags, logs and shadows, and questions for the time; answered, and not kept.
    unkept,
    /// PUBLISHes to such topics that cannot be read; dropped.
    bad_unkept,
    /// Filters refused in SUBSCRIBEs.
    refused_subscribe,
    /// Messages handed to the platform.
    uplinks,
    /// Messages that the platform could not take.
    uplink_unavailable,
    /// Messages queued for devices, blocks apart.
    downlinks,
    /// Messages and blocks not sent because the device unsubscribed their topic.
    unsubscribed,
    /// Messages and answers not sent because they are longer than the device's Maximum Packet Size.
    oversize_downlink,
    /// Blocks made for devices.
    blocks,
    /// File bytes in blocks made for devices.
    block_bytes,
    /// Block requests that cannot be read; dropped.
    bad_block_request,
    /// Block requests with a parameter missing, out of range or beyond the end of the file; error 460.
    block_out_of_range,
    /// Block requests whose block is longer than the device's Maximum Packet Size; error 460.
    block_oversize,
    /// Block requests for streams that are not the device's or do not exist; error 404.
    foreign_stream,
    /// Block requests for streams of cancelled or finished tasks; error 403.
    ended_stream,
    /// Block requests beyond those that may wait; error 429.
    block_too_many,
    /// Blocks that could not be read; error 500.
    block_read_failed,
    /// HTTP requests.
    http_requests,
    /// HTTP requests that are malformed, too long or ambiguous.
    http_bad_request,
    /// HTTP requests to become a WebSocket that cannot.
    http_bad_upgrade,
    /// HTTP connections that became WebSockets.
    websockets,
    /// HTTP requests refused with 403.
    http_forbidden,
    /// HTTP requests refused with 404.
    http_not_found,
    /// HTTP requests refused with 405.
    http_bad_method,
    /// HTTP requests refused with 416.
    http_bad_range,
    /// HTTP requests refused with 503, or broken off because the file could not be read.
    http_failed,
    /// File bytes sent over HTTP.
    http_bytes,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Counts several.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
