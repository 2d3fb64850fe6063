//! Why a certificate, a key or the name of one is refused.

use std::io;

use chrono::{DateTime, SecondsFormat, Utc};
use rustls::pki_types::pem;

/// Why TLS cannot be spoken with these files, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// The file of a certificate is no PEM.
    #[error("{0}: {1}: give the certificate, and those that lead to its issuer, as PEM")]
    Certificate(String, pem::Error),
    /// The file of a certificate has none.
    #[error("{0} holds no certificate: give it, and those that lead to its issuer, as PEM")]
    NoCertificate(String),
    /// The certificate is damaged.
    #[error("{0} holds a certificate that cannot be read: {1}")]
    Damaged(String, String),
    /// The file of a key has none.
    #[error("{0}: {1}: give the certificate's private key as PEM")]
    Key(String, pem::Error),
    /// Others can read the key.
    #[error("{0}")]
    Readable(String),
    /// The file cannot be read.
    #[error("{0}: {1}")]
    File(String, io::Error),
    /// The key is that of another certificate.
    #[error("{0} and {1} do not belong together: give a certificate and its own private key")]
    Apart(String, String),
    /// TLS cannot be spoken with them.
    #[error("the certificate {0} and its key cannot be used: {1}")]
    Unusable(String, rustls::Error),
    /// Its time is over.
    #[error("the certificate {0} ended on {ended}: renew it", ended = date(*.1))]
    Ended(String, DateTime<Utc>),
    /// Its time has not come.
    #[error("the certificate {0} is valid from {begins} on: use it from then on, or set this machine's clock", begins = date(*.1))]
    NotYet(String, DateTime<Utc>),
    /// The file of an authority has no certificate.
    #[error("{0} holds no certificate: give that of the authority that issues the server's, as PEM")]
    NoAuthority(String),
    /// The certificate of an authority cannot be used as one.
    #[error("{0} holds a certificate that is no authority's: {1}")]
    Authority(String, rustls::Error),
    /// A certificate without its key, or a key without its certificate.
    #[error("{0} and {1} are given together, or neither is")]
    Alone(&'static str, &'static str),
    /// A parameter of an address without a file, or with two.
    #[error("{0} names one file: {0}=/path/to/file.pem")]
    Parameter(&'static str),
    /// The address asks for no TLS.
    #[error("{0} are for a server that speaks TLS: {1}")]
    WithoutTls(&'static str, &'static str),
}

impl Invalid {
    /// The reason why a server cannot be reached for it.
    pub fn of_server(&self) -> String {
        format!("TLS with this server: {self}")
    }
}

/// As dates are written everywhere: RFC 3339, in whole seconds.
pub fn date(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
