//! Certificates for TLS.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use door::certs::{Authority, Name, Pem};

use crate::cli::Connection;
use crate::output::{facts, out};
use crate::tls::{CERTIFICATE, FOLDER, KEY};

/// The certificate that devices trust.
pub(crate) const CA: &str = "ca.pem";
const CA_KEY: &str = "ca-key.pem";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a certificate for the platform, and a CA that signs it unless the folder has one
    New(New),
    /// Make a certificate for a device, signed by the same CA, to be bound to it with `device certificate`
    Device(Device),
}

/// Which device.
#[derive(Args)]
pub(crate) struct Device {
    /// What to call it; the files are named after it
    #[arg(value_name = "NAME", value_parser = file_name)]
    name: String,
    /// The folder of the CA, and of the files [default: tls in the data folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn file_name(text: &str) -> Result<String, &'static str> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let valid = (1..=64).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with('.');
    if valid { Ok(text.into()) } else { Err("write 1 to 64 letters, digits and -_.") }
}

/// What a new certificate is for.
#[derive(Args)]
pub(crate) struct New {
    /// A host name or address by which devices connect; may be given several times
    #[arg(long = "name", value_name = "NAME", required = true, value_delimiter = ',')]
    names: Vec<Name>,
    /// Where the files are kept [default: tls in the data folder, where `otaru serve` finds them]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Put the new certificate in the place of the one that is there, signed by the same CA
    #[arg(long)]
    replace: bool,
}

/// Carries a command out.
pub(crate) fn run(command: Command, connection: &Connection) -> anyhow::Result<()> {
    let folder = |dir: Option<PathBuf>| dir.unwrap_or_else(|| connection.data.data.join(FOLDER));
    match command {
        Command::New(New { names, dir, replace }) => {
            let folder = folder(dir);
            let had_ca = folder.join(CA).exists();
            make(&folder, &names, replace)?;
            introduce(&folder, &names, had_ca);
        }
        Command::Device(Device { name, dir }) => {
            let folder = folder(dir);
            let (file, key) = (format!("device-{name}.pem"), format!("device-{name}-key.pem"));
            if folder.join(&file).exists() {
                bail!("{} exists: move it away, or choose another name", folder.join(&file).display());
            }
            make_folder(&folder)?;
            let made = authority(&folder)?.sign_device(&name).context("cannot make the certificate")?;
            write(&folder, &made, &file, &key)?;
            out!("{file} and {key} are in {}, valid from 2000 to 2049.", folder.display());
            out!("Its CA is the setting tls-client-ca, and the device is told by:");
            out!("  otaru device certificate PK DN --set {}", folder.join(&file).display());
        }
    }
    Ok(())
}

/// Makes the files of a certificate in a folder.
pub(crate) fn make(folder: &Path, names: &[Name], replace: bool) -> anyhow::Result<()> {
    let server = folder.join(CERTIFICATE);
    if server.exists() && !replace {
        bail!("{} exists: --replace puts another in its place, signed by the same CA", server.display());
    }
    make_folder(folder)?;
    let authority = authority(folder)?;
    let made = authority.sign_server(names).context("cannot make the certificate")?;
    write(folder, &made, CERTIFICATE, KEY)
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// The CA of a folder, made if there is none and never was.
fn authority(folder: &Path) -> anyhow::Result<Authority> {
    let (certificate, key) = (folder.join(CA), folder.join(CA_KEY));
    let lost = match (certificate.exists(), key.exists()) {
        (true, false) => Some(&key),
        (false, true) => Some(&certificate),
        (false, false) if folder.join(CERTIFICATE).exists() => Some(&certificate),
        _ => None,
    };
    if let Some(lost) = lost {
        bail!(
            "{} is missing: bring it back, for devices trust what it has signed; to begin anew with another CA, \
             which every device must be given, move {} away",
            lost.display(),
            folder.display()
        );
    }
    if !certificate.exists() {
        let authority = Authority::new().context("cannot make the CA")?;
        write(folder, &authority.to_pem()?, CA, CA_KEY)?;
        return Ok(authority);
    }
    let read = |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let pem = Pem { certificate: read(&certificate)?, key: read(&key)? };
    Authority::from_pem(&pem)
        .with_context(|| format!("{} and {} are no CA", certificate.display(), key.display()))
}

/// Writes both whole: a platform may be reading what they replace.
fn write(folder: &Path, pem: &Pem, certificate: &str, key: &str) -> anyhow::Result<()> {
    put(&folder.join(key), &pem.key, |new| store::private_file(&new))?;
    put(&folder.join(certificate), &pem.certificate, fs::File::create_new)
}

fn put(file: &Path, bytes: &[u8], create: impl Fn(PathBuf) -> io::Result<fs::File>) -> anyhow::Result<()> {
    let new = file.with_extension("new");
    let written = || {
        // Left over from one that broke off.
        let _ = fs::remove_file(&new);
        let mut writer = create(new.clone())?;
        writer.write_all(bytes)?;
        writer.sync_all()?;
        fs::rename(&new, file)
    };
    written().with_context(|| format!("cannot write {}", file.display()))
}

fn introduce(folder: &Path, names: &[Name], had_ca: bool) {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    out!("A certificate for {}, valid from 2000 to 2049, is in {}.", names.join(", "), folder.display());
    let ca = if had_ca {
        "the CA as before: devices that have it need nothing"
    } else {
        "the CA: give it to devices"
    };
    facts(&[
        (CA, ca.into()),
        (CA_KEY, "signs further certificates: keep it, and show it to nobody".into()),
        (CERTIFICATE, "what devices are shown; --tls-certificate names it elsewhere".into()),
        (KEY, "its key; --tls-key names it elsewhere".into()),
    ]);
    out!("");
    out!("`otaru serve` takes both from the folder tls of its data folder, and takes up new ones by itself.");
    out!("Devices connect to the same port as without TLS, with securemode=2:");
    facts(&[
        (
            "C Link SDK 4.x",
            "cred.option = AIOT_SYSDEP_NETWORK_CRED_SVRCERT_CA, cred.x509_server_cert = its text".into(),
        ),
        ("C SDK 3.x", "its text as iotx_ca_crt, when the firmware is built".into()),
        ("Python", "config_mqtt(..., secure=\"TLS\", cadata=its text)".into()),
        ("Node.js", "brokerUrl mqtts://HOST:1883, and the variable NODE_EXTRA_CA_CERTS names it".into()),
        ("mosquitto", format!("--cafile {}", folder.join(CA).display())),
    ]);
}
