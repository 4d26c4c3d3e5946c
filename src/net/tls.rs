//! TLS by rustls: certificates in, roots of trust out.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Certificates or a key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The PEM text of the certificates cannot be read.
    #[error("the certificates are not PEM")]
    Certificates(#[source] rustls::pki_types::pem::Error),
    /// There is none in it.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// The PEM text of the key cannot be read, or there is none in it.
    #[error("there is no private key in it")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// Key and certificate do not fit, or are of a kind that is not supported.
    #[error("the certificate cannot be used")]
    Unusable(#[source] rustls::Error),
    /// This machine's own roots cannot be read.
    #[error("this machine has no root certificates that could be read")]
    NoRoots(#[source] Option<io::Error>),
}

/// The provider of the ciphers; named, so that another one in the same program changes nothing.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The settings of a server that shows the certificates `chain` (PEM, its own first) and holds
/// `key` (PEM). It speaks TLS 1.2 and 1.3, and HTTP/2 or HTTP/1.1.
///
/// # Errors
/// [`TlsError`].
pub fn server(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The settings of a client that trusts the authorities in `roots` (PEM), or without it those of
/// this machine.
///
/// # Errors
/// [`TlsError`].
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
            // A machine's store holds oddities that no client wants; the good ones count.
            store.add_parsable_certificates(loaded.certs);
            if store.is_empty() {
                let first = loaded.errors.into_iter().next();
                return Err(TlsError::NoRoots(first.map(io::Error::other)));
            }
        }
    }
    trusting(store)
}

/// The settings of a client that trusts nobody, for one that speaks no TLS.
///
/// # Errors
/// [`TlsError::Unusable`].
pub fn distrustful() -> Result<ClientConfig, TlsError> {
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
        .map_err(TlsError::Certificates)?;
    if chain.is_empty() { Err(TlsError::NoCertificate) } else { Ok(chain) }
}

/// The certificates that a server shows, to be replaced while it runs.
#[derive(Clone, Debug)]
pub struct Shown {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Shown {
    /// Shows what `config` holds.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Shown { config: Arc::new(RwLock::new(config)) }
    }

    /// Shows something else to every connection from now on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}
