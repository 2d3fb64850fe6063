//! TLS, where the process ends it itself instead of a proxy before it: versions 1.2 and 1.3.
//!
//! The files of certificate and key are looked at again every two seconds, by what is in them. A new pair is shown to
//! those who connect from then on; connections that there are go on. One that cannot be used is not taken.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, SecondsFormat, Utc};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use soonshop_certificates::{Pair, Standing};
use soonshop_domain::clock;
use tokio_rustls::TlsAcceptor;

pub use soonshop_certificates::Invalid as InvalidTls;

/// How often the files are looked at.
const AGAIN: Duration = Duration::from_secs(2);

/// The certificate of a process, and its key.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

/// What is shown to those who connect.
struct Shown {
    certificate: PathBuf,
    key: PathBuf,
    pair: ArcSwap<Pair>,
    /// Why the files are not taken as they are now.
    refused: Mutex<Option<String>>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair.load().certified())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads both files, as PEM. The key's must be readable by its owner only.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, InvalidTls> {
        let shown = Arc::new(Shown {
            pair: ArcSwap::from_pointee(Pair::read(certificate, key)?),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            refused: Mutex::default(),
        });
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidTls::Unusable(certificate.display().to_string(), error))?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Shown>::clone(&shown);
        let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), shown })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
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
        let shown = &self.shown;
        let read = Pair::read(&shown.certificate, &shown.key);
        let unchanged = read.as_ref().is_ok_and(|read| *read == **shown.pair.load());
        let read =
            if unchanged { read } else { read.and_then(|read| read.must_be_valid(now).map(|()| read)) };
        let mut refused = shown.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(read) => {
                *refused = None;
                if !unchanged {
                    tracing::info!(
                        file = read.file(),
                        ends = date(read.validity().ends),
                        "a new certificate is shown"
                    );
                    shown.pair.store(Arc::new(read));
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
        self.shown.certificate.display().to_string()
    }

    /// When the certificate that is shown ends.
    pub fn ends(&self) -> DateTime<Utc> {
        self.shown.pair.load().validity().ends
    }

    /// What is wrong with the certificate that is shown at that time, or with the one that should take its place.
    pub fn complaint(&self, now: DateTime<Utc>) -> Option<String> {
        let validity = self.shown.pair.load().validity();
        let (begins, ends) = (date(validity.begins), date(validity.ends));
        let standing = match validity.at(now) {
            Standing::Valid => None,
            Standing::NotYet => Some(format!("the certificate in use is valid from {begins} on")),
            Standing::EndsSoon => Some(format!("the certificate in use ends on {ends}, soon")),
            Standing::Ended => Some(format!("the certificate in use ended on {ends}")),
        };
        let refused = self.shown.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = refused.map(|why| format!("the new one is not taken: {why}"));
        let all: Vec<String> = standing.into_iter().chain(refused).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn date(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
