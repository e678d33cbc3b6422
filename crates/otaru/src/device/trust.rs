//! Whom the device takes for a platform when it comes with TLS, or for one that its files come from.

use std::path::Path;

use anyhow::{Context as _, ensure};
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// The CAs that a platform's certificate may come from.
#[derive(Clone)]
pub(crate) struct Trust(RootCerts);

impl Trust {
    /// The CAs that the system knows.
    pub(crate) const SYSTEM: Self = Self(RootCerts::PlatformVerifier);

    /// Those of a file, and no others.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let pem =
            std::fs::read(file).with_context(|| format!("the CA in {} cannot be read", file.display()))?;
        let mut found = Vec::new();
        for item in parse_pem(&pem) {
            if let PemItem::Certificate(certificate) =
                item.with_context(|| format!("{} is no PEM", file.display()))?
            {
                native_tls::Certificate::from_der(certificate.der())
                    .with_context(|| format!("what {} holds is no certificate", file.display()))?;
                found.push(certificate);
            }
        }
        ensure!(!found.is_empty(), "{} holds no certificate in PEM", file.display());
        Ok(Self(found.into()))
    }

    /// For files over HTTPS.
    pub(crate) fn for_files(&self) -> TlsConfig {
        TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(self.0.clone()).build()
    }

    /// For MQTT.
    pub(super) fn for_mqtt(&self) -> anyhow::Result<tokio_native_tls::TlsConnector> {
        let mut builder = native_tls::TlsConnector::builder();
        if let RootCerts::Specific(certificates) = &self.0 {
            builder.disable_built_in_roots(true);
            for certificate in certificates.iter() {
                builder.add_root_certificate(native_tls::Certificate::from_der(certificate.der())?);
            }
        }
        Ok(builder.build()?.into())
    }
}
