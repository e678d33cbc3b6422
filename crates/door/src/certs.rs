//! Certificates for those who have none: a CA of one's own, and what it signs.
//!
//! RSA with 2048 bits and SHA-256, which the smallest devices know; valid from 2000 on, as clocks of devices
//! may be wrong, and until the last moment that the older of the two forms of a date can tell.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder, X509NameRef};

const KEY_BITS: u32 = 2048;
const FROM: &str = "20000101000000Z";
const UNTIL: &str = "20491231235959Z";

/// Bits of a serial number: positive, and unlike any other.
const SERIAL_BITS: i32 = 127;

/// A name that a server's certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A host's.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let is_label = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let host = text.strip_prefix("*.").unwrap_or(text);
        if text.len() <= 253 && host.split('.').all(is_label) {
            Ok(Self::Dns(text.into()))
        } else {
            Err("write a host name or an address, as otaru.example.com, *.example.com or 192.0.2.7".into())
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Pem {
    /// The certificate.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
}

impl Pem {
    fn of(certificate: &X509, key: &PKey<Private>) -> Result<Self, ErrorStack> {
        Ok(Self { certificate: certificate.to_pem()?, key: key.private_key_to_pem_pkcs8()? })
    }
}

/// The SHA-256 of a certificate, in lower-case hex.
pub fn fingerprint(pem: &[u8]) -> Result<String, ErrorStack> {
    let digest = X509::from_pem(pem)?.digest(MessageDigest::sha256())?;
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A CA of one's own.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    /// A new one.
    pub fn new() -> Result<Self, ErrorStack> {
        let (key, subject) = (new_key()?, named("Otaru CA")?);
        let mut builder = begin(&subject, &subject, &key)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(identifier)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self { certificate: builder.build(), key })
    }

    /// The one that was written as this.
    pub fn from_pem(pem: &Pem) -> Result<Self, ErrorStack> {
        let certificate = X509::from_pem(&pem.certificate)?;
        Ok(Self { certificate, key: PKey::private_key_from_pem_callback(&pem.key, |_| Ok(0))? })
    }

    /// To be kept: devices are given the certificate, and nobody the key.
    pub fn to_pem(&self) -> Result<Pem, ErrorStack> {
        Pem::of(&self.certificate, &self.key)
    }

    /// A certificate for a server of these names; the first one is also its common name.
    pub fn sign_server(&self, names: &[Name]) -> Result<Pem, ErrorStack> {
        let mut alternatives = SubjectAlternativeName::new();
        for name in names {
            // C SDK 3.x compares an address with the names of hosts only; one with colons cannot be any.
            if !matches!(name, Name::Ip(IpAddr::V6(_))) {
                alternatives.dns(&name.to_string());
            }
            if let Name::Ip(address) = name {
                alternatives.ip(&address.to_string());
            }
        }
        let common = names.first().map(ToString::to_string).unwrap_or_default();
        self.sign(&common, ExtendedKeyUsage::new().server_auth(), Some(&alternatives))
    }

    /// A certificate for a device; what it is called says nothing to the platform.
    pub fn sign_device(&self, common: &str) -> Result<Pem, ErrorStack> {
        self.sign(common, ExtendedKeyUsage::new().client_auth(), None)
    }

    fn sign(
        &self,
        common: &str,
        purpose: &ExtendedKeyUsage,
        alternatives: Option<&SubjectAlternativeName>,
    ) -> Result<Pem, ErrorStack> {
        let (key, subject) = (new_key()?, named(common)?);
        let mut builder = begin(&subject, self.certificate.subject_name(), &key)?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        let usage = KeyUsage::new().critical().digital_signature().key_encipherment().build()?;
        builder.append_extension(usage)?;
        builder.append_extension(purpose.build()?)?;
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let mut extensions = vec![
            SubjectKeyIdentifier::new().build(&context)?,
            AuthorityKeyIdentifier::new().keyid(true).build(&context)?,
        ];
        if let Some(alternatives) = alternatives {
            extensions.push(alternatives.build(&context)?);
        }
        for extension in extensions {
            builder.append_extension(extension)?;
        }
        builder.sign(&self.key, MessageDigest::sha256())?;
        Pem::of(&builder.build(), &key)
    }
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_rsa(Rsa::generate(KEY_BITS)?)
}

/// A common name is at most 64 characters long.
fn named(common: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("O", "Otaru")?;
    name.append_entry_by_text("CN", &common[..common.floor_char_boundary(64)])?;
    Ok(name.build())
}

fn begin(
    subject: &X509NameRef,
    issuer: &X509NameRef,
    key: &PKey<Private>,
) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(SERIAL_BITS, MsbOption::MAYBE_ZERO, false)?;
    let serial: Asn1Integer = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    let (from, until) = (Asn1Time::from_str_x509(FROM)?, Asn1Time::from_str_x509(UNTIL)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts_and_addresses() {
        for name in ["localhost", "otaru.example.com", "*.example.com", "192.0.2.7", "2001:db8::1"] {
            assert_eq!(name.parse::<Name>().unwrap().to_string(), name);
        }
        for name in ["", "a b", "http://x", "x:1883", ".x", "x..y", "a_b", "*", &"x".repeat(64), "é"] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }

    #[test]
    fn what_a_ca_signs_is_its_own_and_lasts() {
        let made = Authority::new().unwrap();
        let authority = Authority::from_pem(&made.to_pem().unwrap()).unwrap();
        let names = ["otaru.example", "192.0.2.7", "2001:db8::1"].map(|name| name.parse().unwrap());
        let pem = authority.sign_server(&names).unwrap();
        let own = X509::from_pem(&pem.certificate).unwrap();
        assert!(own.verify(&made.certificate.public_key().unwrap()).unwrap());
        let text = String::from_utf8(own.to_text().unwrap()).unwrap();
        for part in [
            "DNS:otaru.example, DNS:192.0.2.7, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:1\n",
            "Not Before: Jan  1 00:00:00 2000 GMT",
            "Not After : Dec 31 23:59:59 2049 GMT",
            "Digital Signature, Key Encipherment",
            "sha256WithRSAEncryption",
            "Public-Key: (2048 bit)",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
