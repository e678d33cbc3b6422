//! The certificate that devices are shown: read from files, and again when these change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use door::{Certificate, Tls};
use otaru::settings;
use tokio::time::sleep;
use tracing::{info, warn};

/// Where certificates are in a data folder, unless settings say otherwise.
pub(crate) const FOLDER: &str = "tls";
/// The server's certificate there.
pub(crate) const CERTIFICATE: &str = "server.pem";
/// Its key.
pub(crate) const KEY: &str = "server-key.pem";

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// The files of a certificate and its key, and of the CAs of devices' own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    /// Whether settings name them, so that they have to be there.
    is_set: bool,
}

/// What is in them.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl TlsFiles {
    /// Those that are set, or those that the data folder has or may get.
    pub(crate) fn of(data: &Path, settings: &settings::Tls) -> anyhow::Result<Self> {
        let settings::Tls { tls_certificate, tls_key, tls_client_ca } = settings;
        let folder = data.join(FOLDER);
        let (certificate, key, is_set) = match (tls_certificate, tls_key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone(), true),
            (None, None) => (folder.join(CERTIFICATE), folder.join(KEY), false),
            _ => bail!("tls-certificate and tls-key belong together: set both, or neither"),
        };
        Ok(Self { certificate, key, client_ca: tls_client_ca.clone(), is_set })
    }

    /// Reads the certificate to begin with; the data folder need not have one yet.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Certificate>> {
        if !self.is_set && !self.certificate.exists() {
            if self.client_ca.is_some() {
                bail!("tls-client-ca needs a certificate of the platform's own: `otaru certs new` makes one");
            }
            return Ok(None);
        }
        let certificate = self.parse(&self.content()?)?;
        self.tell(&certificate, "TLS: devices are shown this certificate");
        Ok(Some(certificate))
    }

    /// Shows every new certificate that the files hold, until it is dropped. One that is no good is told of,
    /// and the one before it stays.
    pub(crate) async fn watch(self, tls: Tls) {
        let mut seen = self.content().map_err(|error| format!("{error:#}"));
        loop {
            sleep(LOOK).await;
            let now = self.content().map_err(|error| format!("{error:#}"));
            if now == seen {
                continue;
            }
            if let Err(why) =
                now.as_ref().map_err(String::clone).and_then(|content| self.renew(&tls, content))
            {
                warn!(%why, "TLS: the changed certificate is no good; devices are shown the one before it, if there was one");
            }
            seen = now;
        }
    }

    fn renew(&self, tls: &Tls, content: &Content) -> Result<(), String> {
        let certificate = self.parse(content).map_err(|error| format!("{error:#}"))?;
        tls.show(&certificate).map_err(|error| error.to_string())?;
        self.tell(&certificate, "TLS: devices are shown a new certificate from now on");
        Ok(())
    }

    fn content(&self) -> anyhow::Result<Content> {
        let read =
            |file: &Path| std::fs::read(file).with_context(|| format!("cannot read {}", file.display()));
        Ok(Content {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            client_ca: self.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn parse(&self, content: &Content) -> anyhow::Result<Certificate> {
        let certificate = Certificate::from_pem(&content.certificate, &content.key).with_context(|| {
            format!("cannot use {} with {}", self.certificate.display(), self.key.display())
        })?;
        match (&content.client_ca, &self.client_ca) {
            (Some(ca), Some(file)) => {
                certificate.trusting(ca).with_context(|| format!("cannot use {}", file.display()))
            }
            _ => Ok(certificate),
        }
    }

    fn tell(&self, certificate: &Certificate, what: &str) {
        info!(file = %self.certificate.display(), expires = certificate.expires_text(), "{what}");
        if !certificate.is_rsa() {
            warn!("TLS: the certificate's key is not RSA: devices of the C SDKs cannot connect with TLS");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::certs;

    #[tokio::test(start_paused = true)]
    async fn the_first_certificate_is_taken_up_while_devices_are_served() {
        let data = tempfile::tempdir().unwrap();
        let unset = settings::Tls { tls_certificate: None, tls_key: None, tls_client_ca: None };
        let files = TlsFiles::of(data.path(), &unset).unwrap();
        assert!(files.read().unwrap().is_none());
        let tls = Tls::new(None).unwrap();
        let watch = tokio::spawn(files.watch(tls.clone()));
        sleep(LOOK * 2).await;
        assert_eq!(tls.expires(), None);
        certs::make(&data.path().join(FOLDER), &["localhost".parse().unwrap()], false).unwrap();
        sleep(LOOK * 2).await;
        assert!(tls.expires().is_some());
        watch.abort();
    }
}
