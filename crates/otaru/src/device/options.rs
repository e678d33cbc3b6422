use std::path::PathBuf;

use anyhow::{Context as _, ensure};

/// What stands before the address of a platform that the device comes to with TLS.
const TLS: &str = "mqtts://";

/// The port of a platform's door for devices, with TLS and without.
const PORT: u16 = 1883;

/// Who the device is, where its platform is, and how it misbehaves.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Key of the device's product
    #[arg(value_name = "PK")]
    pub product_key: String,
    /// Name of the device
    #[arg(value_name = "DN")]
    pub device_name: String,
    /// Secret of the device
    #[arg(long, value_name = "DS", env = "OTARU_DEVICE_SECRET", hide_env_values = true)]
    pub secret: String,
    /// Address of the platform's door for devices, with mqtts:// before it to come with TLS; port 1883 unless given
    #[arg(long, value_name = "[mqtts://]HOST[:PORT]", default_value = "127.0.0.1:1883")]
    pub host: String,
    /// A file with the CA, in PEM, that the certificates of the platform and of https:// files come from; the system's
    /// CAs unless given
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A module and the version it starts with; once the state folder knows the module, its version counts
    #[arg(long, value_name = "NAME=VERSION", value_parser = module)]
    pub module: Vec<(String, String)>,
    /// A file with these options, and with product-key, device-name, secret-file and a table modules
    /// (docs/device-agent.md); flags go before it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A serial line with a part behind it, such as /dev/ttyUSB0, that takes the images of a module of its own
    /// (docs/mcu-serial.md)
    #[arg(long, value_name = "LINE")]
    pub mcu: Option<PathBuf>,
    /// The module of the part behind the serial line
    #[arg(long, value_name = "NAME", default_value = "MCU", requires = "mcu")]
    pub mcu_module: String,
    /// Speed of the serial line, in baud
    #[arg(long, value_name = "BAUD", default_value_t = 115_200, requires = "mcu")]
    pub mcu_baud: u32,
    /// Install an update with this command of the shell; it finds OTARU_MODULE, OTARU_VERSION, OTARU_PREVIOUS and
    /// OTARU_FILES in its environment (docs/device-agent.md)
    #[arg(long, value_name = "COMMAND")]
    pub install: Option<String>,
    /// Ask this command at the next start whether an update works; if it says no, the one before is installed again
    #[arg(long, value_name = "COMMAND")]
    pub confirm: Option<String>,
    /// Restart the machine with this command after an update; without it only the device starts anew
    #[arg(long, value_name = "COMMAND")]
    pub reboot: Option<String>,
    /// Folder for the flash and the versions [default: otaru-device/PK.DN]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Bytes to ask for at a time, 256 to 131072
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    pub block: u32,
    /// Blocks to ask for at once, at most, 1 to 32
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub window: usize,
    /// Let the first update fail when this much is stored, 0 to 99
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=99))]
    pub fail_at: Option<u8>,
    /// How long to wait for a block before it is asked for again, at most, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub reply_timeout: u32,
    /// Lose this share of the blocks that arrive, 0 to 1; each loss costs up to --reply-timeout
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    pub drop_rate: f64,
    /// Cut the power once when this much is stored, 0 to 99, and resume
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=99))]
    pub reboot_at: Option<u8>,
    /// End after the first finished update: exit code 0 if it succeeded, 4 if it failed, 5 if it was cancelled
    #[arg(long)]
    pub once: bool,
}

impl Options {
    /// A well-behaved device of the platform on this machine.
    pub fn new(product_key: &str, device_name: &str, secret: &str) -> Self {
        Self {
            product_key: product_key.to_owned(),
            device_name: device_name.to_owned(),
            secret: secret.to_owned(),
            host: "127.0.0.1:1883".to_owned(),
            ca: None,
            module: Vec::new(),
            config: None,
            mcu: None,
            install: None,
            confirm: None,
            reboot: None,
            mcu_module: "MCU".to_owned(),
            mcu_baud: 115_200,
            state: None,
            block: 4096,
            window: 2,
            reply_timeout: 10_000,
            fail_at: None,
            drop_rate: 0.0,
            reboot_at: None,
            once: false,
        }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            (0.0..=1.0).contains(&self.drop_rate),
            "--drop-rate is {}: use a number from 0 (lose nothing) to 1 (lose every block)",
            self.drop_rate
        );
        ensure!(
            !self.address().0.contains('/'),
            "--host {}: write HOST, HOST:PORT, or mqtts://HOST:PORT for TLS",
            self.host
        );
        ensure!(
            wire::credentials::valid_device_secret(&self.secret),
            "--secret must be 1 to 64 printable characters without blanks"
        );
        ensure!(
            wire::credentials::valid_module(&self.mcu_module),
            "--mcu-module {}: use 1 to 64 characters of A-Z a-z 0-9 . - _",
            self.mcu_module
        );
        Ok(())
    }

    /// The folder that is the device's flash and memory.
    pub fn state_folder(&self) -> PathBuf {
        let name = format!("{}.{}", self.product_key, self.device_name).replace(':', "_");
        self.state.clone().unwrap_or_else(|| PathBuf::from("otaru-device").join(name))
    }

    /// Host and port of the platform; an IPv6 address is without brackets.
    pub(super) fn address(&self) -> (&str, u16) {
        let place = self.host.strip_prefix(TLS).unwrap_or(&self.host);
        let bare_ipv6 = place.parse::<std::net::Ipv6Addr>().is_ok();
        let parted = place.rsplit_once(':').filter(|_| !bare_ipv6);
        let (host, port) =
            parted.and_then(|(host, port)| Some((host, port.parse().ok()?))).unwrap_or((place, PORT));
        (host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), port)
    }

    /// Whether the device comes with TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        self.host.starts_with(TLS)
    }
}

fn module(text: &str) -> anyhow::Result<(String, String)> {
    let (name, version) = text.split_once('=').context("write NAME=VERSION, for instance MCU=1.0.0")?;
    Ok((name.to_owned(), version.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        let cases = [
            ("example.org", ("example.org", 1883)),
            ("example.org:1884", ("example.org", 1884)),
            ("192.168.1.5", ("192.168.1.5", 1883)),
            ("::1", ("::1", 1883)),
            ("[::1]", ("::1", 1883)),
            ("[::1]:9", ("::1", 9)),
        ];
        for (host, address) in cases {
            for (scheme, is_encrypted) in [("", false), ("mqtts://", true)] {
                let options = Options { host: format!("{scheme}{host}"), ..Options::new("pk", "dn", "ds") };
                assert_eq!((options.address(), options.is_encrypted()), (address, is_encrypted));
                options.check().unwrap();
            }
        }
        for host in ["https://example.org", "mqtts://example.org:1883/", "mqtts://mqtts://example.org"] {
            let options = Options { host: host.to_owned(), ..Options::new("pk", "dn", "ds") };
            assert!(options.check().unwrap_err().to_string().contains("mqtts://HOST:PORT"), "{host}");
        }
    }
}
