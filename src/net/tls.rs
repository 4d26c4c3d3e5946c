//! TLS settings for servers and clients, with rustls.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode as _, SliceReader, Tag, Tagged as _};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::clock::Timestamp;

/// Why certificates or a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The PEM text of the certificates cannot be read.
    #[error("the certificates are not PEM")]
    Certificates(#[source] PemFault),
    /// The text holds no certificate.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// The PEM text of the key cannot be read, or holds no key.
    #[error("there is no private key in it")]
    Key(#[source] PemFault),
    /// Key and certificate do not match, or are not supported.
    #[error("the certificate cannot be used")]
    Unusable(#[source] rustls::Error),
    /// The root certificates of this machine cannot be read.
    #[error("this machine has no root certificates that could be read")]
    NoRoots(#[source] Option<io::Error>),
}

/// A fault in PEM text, with its line number. The errors of the PEM parser are not passed on,
/// because they contain the line itself, which may be part of a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
#[non_exhaustive]
pub struct PemFault {
    /// The line, counted from 1.
    pub line: usize,
    what: &'static str,
}

impl PemFault {
    /// Finds the line of the fault in `pem`, for which the PEM parser returned `error`.
    fn of(pem: &[u8], error: &pem::Error) -> Self {
        let marker = |line: &[u8]| line.starts_with(b"-----");
        let lines = || (1..).zip(pem.split(|&b| b == b'\n').map(<[u8]>::trim_ascii));
        let first = |of: &dyn Fn(&[u8]) -> bool| lines().find(|(_, line)| of(line));
        let (place, what): (_, &'static str) = match error {
            pem::Error::NoItemsFound => (None, "no such PEM block from here on"),
            pem::Error::MissingSectionEnd { .. } => {
                let last = lines().filter(|(_, line)| line.starts_with(b"-----BEGIN ")).last();
                let dashes =
                    |(_, line): (usize, &[u8])| line.windows(5).filter(|w| w == b"-----").count();
                match last.map_or(0, dashes) {
                    0..=2 => (last, "the END line of this PEM block is missing"),
                    _ => (last, "the line breaks of this PEM block are lost"),
                }
            }
            pem::Error::IllegalSectionStart { .. } => {
                let broken = |line: &[u8]| {
                    let text = line.strip_prefix(b"-----BEGIN ");
                    text.is_some_and(|t| t.strip_suffix(b"-----").is_none_or(|t| t.contains(&b'-')))
                };
                (first(&broken), "the BEGIN line is broken, or line breaks are lost")
            }
            pem::Error::Base64Decode(_) => {
                let of_base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/=".contains(b);
                let broken = |line: &[u8]| !marker(line) && !line.iter().all(of_base64);
                (first(&broken).or(first(&marker)), "the PEM block is not base64")
            }
            _ => (None, "the PEM block cannot be read"),
        };
        PemFault { line: place.map_or(1, |(line, _)| line), what }
    }
}

/// Returns the crypto provider. It is chosen explicitly, so that the process-wide default has no
/// effect.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Returns the settings of a server with the certificates in `chain` (PEM, the server's own first)
/// and the private key `key` (PEM). The server supports TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
///
/// # Errors
/// [`TlsError`] if the certificates or the key cannot be used.
pub fn server(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(chain)?;
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|e| TlsError::Key(PemFault::of(key, &e)))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Returns the settings of a client that trusts the certificate authorities in `roots` (PEM), or
/// those of this machine if `roots` is `None`.
///
/// # Errors
/// [`TlsError`] if the roots cannot be read or hold no certificate.
pub fn client(roots: Option<&[u8]>) -> Result<ClientConfig, TlsError> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(pem) => {
            for certificate in certificates(pem)? {
                store.add(certificate).map_err(TlsError::Unusable)?;
            }
        }
        None => {
            let loaded = rustls_native_certs::load_native_certs();
            // The certificate store of a machine may hold certificates that cannot be parsed; these
            // are skipped.
            store.add_parsable_certificates(loaded.certs);
            if store.is_empty() {
                let first = loaded.errors.into_iter().next();
                return Err(TlsError::NoRoots(first.map(io::Error::other)));
            }
        }
    }
    trusting(store)
}

/// Returns the settings of a client that trusts no certificate. It is meant for a client that does
/// not use TLS.
///
/// # Errors
/// [`TlsError::Unusable`].
pub fn client_without_roots() -> Result<ClientConfig, TlsError> {
    trusting(RootCertStore::empty())
}

fn trusting(store: RootCertStore) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Certificates(PemFault::of(pem, &error)))?;
    if chain.is_empty() { Err(TlsError::NoCertificate) } else { Ok(chain) }
}

/// Returns the last second at which all certificates in `pem` are valid: the earliest `notAfter`
/// (RFC 5280 section 4.1.2.5).
///
/// # Errors
/// [`TlsError`] if `pem` holds no certificate, or one that is not X.509.
pub fn expiry(pem: &[u8]) -> Result<Timestamp, TlsError> {
    let unusable = || {
        TlsError::Unusable(rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding))
    };
    let mut first: Option<Timestamp> = None;
    for certificate in certificates(pem)? {
        let end = not_after(&certificate).map_err(|_| unusable())?;
        first = Some(first.map_or(end, |first| first.min(end)));
    }
    first.ok_or_else(unusable)
}

/// Reads `notAfter`, the end of validity (inclusive) of a certificate.
fn not_after(certificate: &[u8]) -> der::Result<Timestamp> {
    let whole = AnyRef::from_der(certificate)?;
    let mut whole = SliceReader::new(whole.value())?;
    let to_be_signed = AnyRef::decode(&mut whole)?;
    let mut fields = SliceReader::new(to_be_signed.value())?;
    // The version of an X.509 certificate may be left out. The fields before the validity are:
    // version, serial number, algorithm, issuer.
    let skipped = if AnyRef::decode(&mut fields)?.tag().is_context_specific() { 3 } else { 2 };
    for _ in 0..skipped {
        AnyRef::decode(&mut fields)?;
    }
    let validity = AnyRef::decode(&mut fields)?;
    let mut times = SliceReader::new(validity.value())?;
    AnyRef::decode(&mut times)?;
    let end = AnyRef::decode(&mut times)?;
    let since_1970 = match end.tag() {
        Tag::UtcTime => end.decode_as::<UtcTime>()?.to_unix_duration(),
        _ => end.decode_as::<GeneralizedTime>()?.to_unix_duration(),
    };
    Ok(Timestamp::from_unix(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)))
}

/// The certificates of a server, which can be replaced while it runs.
#[derive(Clone, Debug)]
pub struct ReloadableCertificates {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl ReloadableCertificates {
    /// Starts with the certificates of `config`.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        ReloadableCertificates { config: Arc::new(RwLock::new(config)) }
    }

    /// Uses the certificates of `config` for new connections.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}
