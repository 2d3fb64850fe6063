//! TLS, where the process ends it itself instead of a proxy before it: versions 1.2 and 1.3.
//!
//! The files of certificate and key are looked at again every two seconds, by what is in them. A new pair is shown to
//! those who connect from then on; connections that there are go on. One that cannot be used is not taken.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use soonshop_certificates::{Pair, ValidityState};
use soonshop_domain::clock;
use tokio_rustls::TlsAcceptor;

pub use soonshop_certificates::{Invalid as InvalidTls, date};

/// How often the files are looked at.
const AGAIN: Duration = Duration::from_secs(2);

/// The certificate of a process, and its key.
#[derive(Clone)]
pub struct Tls(Arc<Shown>);

/// The certificate that is shown to those who connect.
struct Shown {
    certificate: PathBuf,
    key: PathBuf,
    now: ArcSwap<Current>,
    /// Why the files are not taken as they are now.
    refused: Mutex<Option<String>>,
}

/// A pair, and what is agreed on with it. Sessions are resumed under the certificate that they were begun with only.
struct Current {
    pair: Pair,
    config: Arc<ServerConfig>,
    /// For a connection that is only told that there is no room: it speaks HTTP/1.1, and is never resumed.
    of_refusals: Arc<ServerConfig>,
}

impl Current {
    fn of(pair: Pair) -> Result<Self, InvalidTls> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidTls::Unusable(pair.file().to_owned(), error))?;
        let shown = Arc::new(SingleCertAndKey::from(pair.certified()));
        let mut config = config.with_no_client_auth().with_cert_resolver(shown);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut of_refusals = config.clone();
        of_refusals.alpn_protocols = vec![b"http/1.1".to_vec()];
        of_refusals.session_storage = Arc::new(NoServerSessionStorage {});
        of_refusals.send_tls13_tickets = 0;
        Ok(Self { pair, config: Arc::new(config), of_refusals: Arc::new(of_refusals) })
    }
}

impl Tls {
    /// Reads both files, as PEM. The key's must be readable by its owner only.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, InvalidTls> {
        let now = Current::of(Pair::read(certificate, key)?)?;
        Ok(Self(Arc::new(Shown {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            now: ArcSwap::from_pointee(now),
            refused: Mutex::default(),
        })))
    }

    /// For one connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.now.load().config))
    }

    /// For one connection that is refused.
    pub(super) fn acceptor_of_refusals(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.now.load().of_refusals))
    }

    /// Looks at the files again and again.
    pub(super) async fn keep_reading(self) {
        let mut ticks = tokio::time::interval(AGAIN);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tls = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || tls.read_again(clock::now())).await {
                tracing::error!(%error, "the files of the certificate could not be looked at");
            }
        }
    }

    /// Takes the pair that the files have now, if it is another one that can be used.
    pub fn read_again(&self, now: DateTime<Utc>) {
        let shown = &self.0;
        let read = Pair::read(&shown.certificate, &shown.key);
        let unchanged = read.as_ref().is_ok_and(|read| *read == shown.now.load().pair);
        // The one in use may have ended.
        let taken = read.and_then(|read| {
            if unchanged {
                return Ok(None);
            }
            read.must_be_valid(now)?;
            Current::of(read).map(Some)
        });
        let mut refused = shown.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match taken {
            Ok(new) => {
                *refused = None;
                if let Some(new) = new {
                    let ends = date(new.pair.validity().ends);
                    tracing::info!(file = new.pair.file(), ends, "a new certificate is shown");
                    shown.now.store(Arc::new(new));
                }
            }
            Err(why) => {
                let why = why.to_string();
                if refused.as_ref() != Some(&why) {
                    tracing::warn!(%why, "the certificate before it stays in use");
                    *refused = Some(why);
                }
            }
        }
    }

    /// The file of the certificate.
    pub fn file(&self) -> String {
        self.0.certificate.display().to_string()
    }

    /// When the certificate that is shown ends.
    pub fn ends(&self) -> DateTime<Utc> {
        self.0.now.load().pair.validity().ends
    }

    /// The fault of the certificate that is shown at that time, or of the one that should take its place.
    pub fn complaint(&self, now: DateTime<Utc>) -> Option<String> {
        let validity = self.0.now.load().pair.validity();
        let (begins, ends) = (date(validity.begins), date(validity.ends));
        let own = match validity.at(now) {
            ValidityState::Valid => of_chain(&self.0.now.load().pair, now),
            ValidityState::NotYet => Some(format!("the certificate in use is valid from {begins} on")),
            ValidityState::EndsSoon => Some(format!("the certificate in use ends on {ends}, soon")),
            ValidityState::Ended => Some(format!("the certificate in use ended on {ends}")),
        };
        let refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = refused.map(|why| format!("the new one is not taken: {why}"));
        let all: Vec<String> = own.into_iter().chain(refused).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// The fault of the certificates that lead to its issuer, while it is valid itself.
fn of_chain(pair: &Pair, now: DateTime<Utc>) -> Option<String> {
    let chain = pair.validity_of_chain();
    let ends = date(chain.ends);
    match chain.at(now) {
        ValidityState::Valid => None,
        ValidityState::NotYet => Some("a certificate that leads to its issuer is not valid yet".to_owned()),
        ValidityState::EndsSoon => {
            Some(format!("a certificate that leads to its issuer ends on {ends}, soon"))
        }
        ValidityState::Ended => Some(format!("a certificate that leads to its issuer ended on {ends}")),
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
