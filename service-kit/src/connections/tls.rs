//! TLS, where the process ends it itself instead of a proxy before it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use soonshop_private_files as private_files;
use tokio_rustls::TlsAcceptor;

/// The certificate of a process, and its key.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

/// Why TLS cannot be spoken with these files.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTls {
    #[error("{0}: {1}: give the certificate, and those that lead to its issuer, as PEM")]
    Certificate(String, rustls::pki_types::pem::Error),
    #[error("{0} holds no certificate: give it, and those that lead to its issuer, as PEM")]
    NoCertificate(String),
    #[error("{0}: {1}: give the certificate's private key as PEM")]
    Key(String, rustls::pki_types::pem::Error),
    #[error("{0}")]
    Readable(String),
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("certificate and key cannot be used: {0}")]
    Unusable(rustls::Error),
}

impl Tls {
    /// Reads both files, as PEM. The key's must be readable by its owner only.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, InvalidTls> {
        let named = |path: &Path| path.display().to_string();
        let key_read = read_key(key)?;
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| InvalidTls::Certificate(named(certificate), error))?;
        if chain.is_empty() {
            return Err(InvalidTls::NoCertificate(named(certificate)));
        }
        let key =
            PrivateKeyDer::from_pem_slice(&key_read).map_err(|error| InvalidTls::Key(named(key), error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(InvalidTls::Unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// What the file holds, if only its owner can read it. Opened once, so that what was looked at is what is read.
fn read_key(path: &Path) -> Result<Vec<u8>, InvalidTls> {
    let failed = |error| InvalidTls::File(path.display().to_string(), error);
    let mut file = File::open(path).map_err(failed)?;
    if let Some(why) = private_files::exposed(path, &file).map_err(failed)? {
        return Err(InvalidTls::Readable(why));
    }
    let mut read = Vec::new();
    file.read_to_end(&mut read).map_err(failed)?;
    Ok(read)
}
