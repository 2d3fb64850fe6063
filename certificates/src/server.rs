//! TLS with a server, as its address asks for it: `?ca=FILE` is whom to trust, `?cert=FILE&key=FILE` who one is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustls::crypto::ring;
use rustls::pki_types::UnixTime;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use crate::files::{certificates, named, read};
use crate::invalid::date;
use crate::{Invalid, Pair, ValidityState};

/// The files that the address of a server names. They are read anew for each connection, so that renewed ones are
/// taken up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerTls {
    ca: Option<PathBuf>,
    own: Option<(PathBuf, PathBuf)>,
}

/// The contents of the files, as PEM that can be used.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The certificates of the authorities that are trusted.
    pub ca: Option<Vec<u8>>,
    /// The client's certificate, with those that lead to its issuer, and its private key.
    pub own: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem")
    }
}

impl ServerTls {
    /// Takes the files out of an address: they are no business of the server or its client library.
    pub fn take(url: &mut Url) -> Result<Self, Invalid> {
        let ca = take_file(url, "ca")?;
        let own = (take_file(url, "cert")?, take_file(url, "key")?);
        Self::new(ca, own, ["cert", "key"])
    }

    /// The same for an adapter: sees that the files can be used. With `instead`, the address asks for no TLS and may
    /// name none: it says what to give instead.
    pub fn take_usable(url: &mut Url, instead: Option<&'static str>) -> Result<Self, Invalid> {
        let tls = Self::take(url)?;
        if let (true, Some(instead)) = (tls.is_given(), instead) {
            return Err(Invalid::WithoutTls("ca, cert and key", instead));
        }
        tls.check()?;
        Ok(tls)
    }

    /// These files; `names` are those of the parameters that give the client's.
    pub fn new(
        ca: Option<PathBuf>,
        own: (Option<PathBuf>, Option<PathBuf>),
        names: [&'static str; 2],
    ) -> Result<Self, Invalid> {
        let own = match own {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(Invalid::Alone(names[0], names[1])),
        };
        Ok(Self { ca, own })
    }

    /// Whether the address names any file. If so, nothing may be sent without TLS.
    pub fn is_given(&self) -> bool {
        self.ca.is_some() || self.own.is_some()
    }

    /// The file of the authorities.
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The files of the client's certificate and its key.
    pub fn own(&self) -> Option<(&Path, &Path)> {
        self.own.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()))
    }

    /// The fault of the client's certificate, if its time is over or ends soon. Other faults are found by
    /// [`read`](Self::read).
    pub fn complaint(&self, now: DateTime<Utc>) -> Option<String> {
        let (certificate, key) = self.own()?;
        let pair = Pair::read(certificate, key).ok()?;
        let ends = date(pair.validity().ends);
        let file = pair.file();
        match pair.validity().at(now) {
            ValidityState::EndsSoon => {
                Some(format!("the certificate {file} for servers ends on {ends}, soon"))
            }
            ValidityState::Ended => Some(format!("the certificate {file} for servers ended on {ends}")),
            ValidityState::NotYet | ValidityState::Valid => None,
        }
    }

    /// Reads the files only to see that they can be used, before anything connects. A certificate that has ended may be
    /// renewed by then.
    pub fn check(&self) -> Result<(), Invalid> {
        self.ca().map(authorities).transpose()?;
        self.own().map(|(certificate, key)| Pair::read(certificate, key)).transpose()?;
        Ok(())
    }

    /// Reads the files, for a connection that is made now.
    pub fn read(&self) -> Result<Pem, Invalid> {
        let ca = self.ca().map(authorities).transpose()?.map(|(bytes, _)| bytes);
        let own = match self.own() {
            Some((certificate, key)) => {
                let (pair, pem) = Pair::read_with_pem(certificate, key)?;
                pair.must_be_valid(now())?;
                Some(pem)
            }
            None => None,
        };
        Ok(Pem { ca, own })
    }

    /// Reads the files, as rustls uses them, for a connection that is made now. Nobody is trusted but the authorities of
    /// the address; `None`: it names none.
    pub fn config(&self) -> Result<Option<ClientConfig>, Invalid> {
        let Some(file) = self.ca() else { return Ok(None) };
        let (_, roots) = authorities(file)?;
        let unusable = |error| Invalid::Unusable(named(file), error);
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(unusable)?;
        let config = config.with_root_certificates(roots);
        let Some((certificate, key)) = self.own() else { return Ok(Some(config.with_no_client_auth())) };
        let pair = Pair::read(certificate, key)?;
        pair.must_be_valid(now())?;
        let own = Arc::new(SingleCertAndKey::from(pair.certified()));
        Ok(Some(config.with_client_cert_resolver(own)))
    }
}

/// The time by which rustls judges the certificates of the other side.
fn now() -> DateTime<Utc> {
    let seconds = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn authorities(file: &Path) -> Result<(Vec<u8>, RootCertStore), Invalid> {
    let bytes = read(file)?;
    let all = certificates(&bytes).map_err(|error| Invalid::Certificate(named(file), error))?;
    if all.is_empty() {
        return Err(Invalid::NoAuthority(named(file)));
    }
    let mut roots = RootCertStore::empty();
    for certificate in all {
        roots.add(certificate).map_err(|error| Invalid::Authority(named(file), error))?;
    }
    Ok((bytes, roots))
}

/// Takes the file of that name out of an address.
fn take_file(url: &mut Url, name: &'static str) -> Result<Option<PathBuf>, Invalid> {
    let (ours, others): (Vec<_>, Vec<_>) = url.query_pairs().into_owned().partition(|(key, _)| key == name);
    if ours.is_empty() {
        return Ok(None);
    }
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
    match ours.as_slice() {
        [(_, file)] if !file.is_empty() => Ok(Some(PathBuf::from(file))),
        _ => Err(Invalid::Parameter(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<(ServerTls, String), String> {
        let mut url = Url::parse(text).unwrap();
        let tls = ServerTls::take(&mut url).map_err(|error| error.to_string())?;
        Ok((tls, url.to_string()))
    }

    #[test]
    fn the_files_of_an_address_are_not_sent_on() {
        let (tls, rest) = taken("amqps://u:p@h/v?heartbeat=5&ca=/a%20b.pem&cert=c.pem&key=k.pem").unwrap();
        assert_eq!(rest, "amqps://u:p@h/v?heartbeat=5");
        let own = Some((PathBuf::from("c.pem"), PathBuf::from("k.pem")));
        assert_eq!(tls, ServerTls { ca: Some("/a b.pem".into()), own });
        assert!(tls.is_given());
        let (none, rest) = taken("https://h/?prefix=x").unwrap();
        assert_eq!((none.is_given(), rest.as_str()), (false, "https://h/?prefix=x"));
        none.check().unwrap();
    }

    #[test]
    fn half_a_pair_an_empty_name_and_one_given_twice_are_refused() {
        for (bad, words) in [
            ("rediss://h?cert=c.pem", "cert and key are given together"),
            ("rediss://h?key=c.pem", "cert and key are given together"),
            ("rediss://h?ca=", "ca names one file"),
            ("rediss://h?ca=a.pem&ca=b.pem", "ca names one file"),
        ] {
            assert!(taken(bad).unwrap_err().contains(words), "{bad}");
        }
    }

    #[test]
    fn a_file_that_is_no_authoritys_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let tls = ServerTls { ca: Some(file.clone()), own: None };
        assert!(tls.check().unwrap_err().to_string().contains("ca.pem: No such file"));
        std::fs::write(&file, "nothing").unwrap();
        assert!(tls.check().unwrap_err().to_string().contains("ca.pem holds no certificate"));
        let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tls/authority.pem");
        std::fs::copy(authority, &file).unwrap();
        tls.check().unwrap();
        assert!(tls.read().unwrap().ca.is_some());
        assert!(tls.config().unwrap().is_some());
    }

    #[test]
    fn a_certificate_of_a_client_that_has_ended_is_named_before_the_server_refuses_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tls"));
        let own = ["client-expired.pem", "client.key", "authority.pem"].map(|name| {
            let copy = folder.path().join(name);
            std::fs::copy(data.join(name), &copy).unwrap();
            std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            copy
        });
        let [certificate, key, ca] = own;
        let tls = ServerTls { ca: Some(ca), own: Some((certificate, key)) };
        tls.check().unwrap();
        for message in [tls.read().unwrap_err(), tls.config().unwrap_err()] {
            assert!(
                message.to_string().contains("client-expired.pem ended on 2020-12-31T23:59:59Z"),
                "{message}"
            );
        }
        for (at, words) in [
            ("2020-12-01T00:00:00Z", None),
            ("2020-12-24T00:00:00Z", Some("ends on 2020-12-31T23:59:59Z, soon")),
            ("2021-01-01T00:00:00Z", Some("ended on 2020-12-31T23:59:59Z")),
        ] {
            let message = tls.complaint(at.parse().unwrap());
            assert_eq!(message.is_some(), words.is_some(), "{message:?}");
            assert!(message.unwrap_or_default().contains(words.unwrap_or_default()));
        }
    }
}
