//! The address of this platform as devices see it.

use std::net::IpAddr;

/// Whether an address leads whoever uses it to their own machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let host = host(url);
    let is_local = |ip: IpAddr| ip.to_canonical().is_loopback() || ip.is_unspecified();
    host.parse().map_or_else(|_| host == "localhost" || host.ends_with(".localhost"), is_local)
}

/// The host of `scheme://host:port/path`, without the brackets of an IPv6 address.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => authority.split(':').next(),
    };
    host.unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_and_of_others() {
        for (url, is_own) in [
            ("http://127.0.0.1:1883", true),
            ("http://127.9.9.9", true),
            ("http://0.0.0.0:1883", true),
            ("https://[::1]:443/x", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://LocalHost:1883", true),
            ("http://a.localhost", true),
            ("http://otaru.example:1883", false),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://[2001:db8::1]:1883", false),
        ] {
            assert_eq!(is_loopback(url), is_own, "{url}");
        }
    }
}
