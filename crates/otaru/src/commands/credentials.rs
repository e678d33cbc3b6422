//! Connection values, ready to paste.

use std::net::SocketAddr;

use api::dto::{Credentials, Login, Status};
use wire::credentials::PskIdentity;

use super::Format;
use crate::client::Client;
use crate::output::{self, facts, out};
use crate::serve::reachable;

/// The time in a pre-shared key's identity, as the C Link SDK has it.
const PSK_TIMESTAMP: &str = "2524608000000";

/// A device's first report.
const REPORT: &str = r#"{"id":"1","params":{"version":"1.0.0"}}"#;

/// Prints a device's connection values, for each sign method.
pub(super) fn print(found: &Credentials, format: Format, client: &Client) -> anyhow::Result<()> {
    if format.json {
        return output::json(&found.logins);
    }
    let status: Status = client.get("/status")?;
    show(found, door(&status, &client.url).as_ref());
    Ok(())
}

/// Prints connection values for the platform's door for devices.
pub(crate) fn show(found: &Credentials, door: Option<&(String, u16)>) {
    let (host, port) = door.cloned().unwrap_or_else(|| ("HOST".into(), 1883));
    facts(&[
        ("ProductKey", found.product_key.clone()),
        ("DeviceName", found.device_name.clone()),
        ("DeviceSecret", found.device_secret.clone()),
    ]);
    for login in &found.logins {
        out!("");
        out!(
            "MQTTX, {} (MQTT version 5.0 or 3.1.1; with TLS once there is a certificate)",
            login.sign_method
        );
        facts(&[
            ("  Host", format!("mqtt://{host}")),
            ("  Port", port.to_string()),
            ("  Client ID", login.client_id.clone()),
            ("  Username", login.username.clone()),
            ("  Password", login.password.clone()),
        ]);
    }
    pre_shared_key(found);
    let Some(login) = found.logins.last() else { return };
    out!("");
    let (pk, dn) = (&found.product_key, &found.device_name);
    let options = options(login, &host, port);
    let report = format!("-q 1 -t '/ota/device/inform/{pk}/{dn}' -m '{REPORT}'");
    out!("mosquitto clients, {}", login.sign_method);
    out!("  report a version:           mosquitto_pub {options} {report}");
    out!("  … and wait for the notice:  mosquitto_rr {options} {report} -e '/ota/device/upgrade/{pk}/{dn}'");
}

fn pre_shared_key(Credentials { product_key, device_name, device_secret, .. }: &Credentials) {
    let identity = format!("{device_name}|hmacsha256|{product_key}&{device_name}|{PSK_TIMESTAMP}");
    let Some(parsed) = PskIdentity::parse(&identity) else { return };
    let key = parsed.key(device_secret.as_bytes());
    out!("");
    out!("TLS 1.2 with a pre-shared key, as the C Link SDK makes it");
    facts(&[("  Identity", identity), ("  Key", String::from_utf8_lossy(&key).into_owned())]);
}

fn options(login: &Login, host: &str, port: u16) -> String {
    let Login { client_id, username, password, .. } = login;
    format!("-V mqttv311 -h {host} -p {port} -i '{client_id}' -u '{username}' -P {password}")
}

/// Where devices find the platform. One that listens everywhere is where operators find it.
fn door(status: &Status, url: &str) -> Option<(String, u16)> {
    let address: SocketAddr = status.device_addresses.first()?.parse().ok()?;
    if !address.ip().is_unspecified() {
        return Some((address.ip().to_string(), address.port()));
    }
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    let host = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(host, _)| host);
    let host = if host.is_empty() { reachable(address).ip().to_string() } else { host.to_string() };
    Some((host, address.port()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn devices_find_the_platform_where_it_listens_or_where_operators_do() {
        let status = |address: &str| Status {
            version: String::new(),
            device_addresses: vec![address.into()],
            sessions: 0,
            counters: BTreeMap::new(),
        };
        let host = |address: &str, url: &str| door(&status(address), url);
        assert_eq!(host("10.0.0.7:1884", "http://127.0.0.1:8080"), Some(("10.0.0.7".into(), 1884)));
        assert_eq!(host("0.0.0.0:1883", "http://127.0.0.1:8080"), Some(("127.0.0.1".into(), 1883)));
        assert_eq!(host("0.0.0.0:1883", "http://otaru.example/"), Some(("otaru.example".into(), 1883)));
        assert_eq!(host("[::]:1883", "http://[::1]:8080"), Some(("[::1]".into(), 1883)));
        assert_eq!(host("[::]:1883", "http://[::1]"), Some(("[::1]".into(), 1883)));
        assert_eq!(host("nothing", "http://otaru.example"), None);
    }
}
