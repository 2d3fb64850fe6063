//! The certificate of a process, and its key.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ring::digest::{Context, SHA256};
use rustls::crypto::ring as provider;
use rustls::sign::CertifiedKey;

use crate::files::{chain, key, named, read, read_private};
use crate::{Invalid, Validity, ValidityState};

/// PEM of a certificate, with those that lead to its issuer, and of its private key.
pub(crate) type OwnPem = (Vec<u8>, Vec<u8>);

/// A certificate with those that lead to its issuer, and its private key.
#[derive(Clone)]
pub struct Pair {
    certified: Arc<CertifiedKey>,
    validity: Validity,
    /// The time in which those that lead to its issuer are valid, too.
    of_chain: Validity,
    /// The name of the certificate's file.
    file: String,
    /// Tells it from another one.
    digest: [u8; 32],
}

impl Pair {
    /// Reads both files, as PEM. The key's must be readable by its owner only, and the key the certificate's.
    pub fn read(certificate: &Path, private_key: &Path) -> Result<Self, Invalid> {
        Self::read_with_pem(certificate, private_key).map(|(pair, _)| pair)
    }

    /// The same, with the PEM that it was made of: of the certificate, and of the key. Each file is read once, so that
    /// what was looked at is what is used.
    pub(crate) fn read_with_pem(certificate: &Path, private_key: &Path) -> Result<(Self, OwnPem), Invalid> {
        let key_bytes = read_private(private_key)?;
        let bytes = read(certificate)?;
        let chain = chain(certificate, &bytes)?;
        let file = named(certificate);
        let damaged = |why| Invalid::Damaged(file.clone(), why);
        let validity = Validity::of(&chain[..1]).map_err(damaged)?;
        let of_chain = Validity::of(&chain).map_err(damaged)?;
        let key = key(private_key, &key_bytes)?;
        let certified = CertifiedKey::from_der(chain, key, &provider::default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Invalid::Apart(file.clone(), named(private_key)),
            error => Invalid::Unusable(file.clone(), error),
        })?;
        let mut context = Context::new(&SHA256);
        for part in [&bytes, &key_bytes] {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Ok((Self { certified: Arc::new(certified), validity, of_chain, file, digest }, (bytes, key_bytes)))
    }

    /// As rustls uses it.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// The time in which it is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The time in which it and those that lead to its issuer are valid. One that is old may do no harm: clients often
    /// know another way.
    pub fn validity_of_chain(&self) -> Validity {
        self.of_chain
    }

    /// The name of the certificate's file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Refuses a certificate that is not valid at that time.
    pub fn must_be_valid(&self, now: DateTime<Utc>) -> Result<(), Invalid> {
        match self.validity.at(now) {
            ValidityState::Ended => Err(Invalid::Ended(self.file.clone(), self.validity.ends)),
            ValidityState::NotYet => Err(Invalid::NotYet(self.file.clone(), self.validity.begins)),
            ValidityState::Valid | ValidityState::EndsSoon => Ok(()),
        }
    }
}

/// The same bytes.
impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("file", &self.file)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;

    /// A folder with copies of the tests' certificates and keys, whose modes are right wherever they come from.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tls")).unwrap() {
            let entry = entry.unwrap();
            let copy = folder.path().join(entry.file_name());
            std::fs::copy(entry.path(), &copy).unwrap();
            std::fs::set_permissions(copy, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        folder
    }

    #[test]
    fn a_certificate_is_read_with_its_key_and_its_time() {
        let folder = folder();
        let file = |name: &str| folder.path().join(name);
        let valid = Pair::read(&file("valid.pem"), &file("server.key")).unwrap();
        assert_eq!(crate::invalid::date(valid.validity().ends), "2100-01-01T00:00:00Z");
        let now = "2026-11-29T00:00:00Z".parse().unwrap();
        valid.must_be_valid(now).unwrap();
        let expired = Pair::read(&file("expired.pem"), &file("server.key")).unwrap();
        assert!(valid != expired && valid == valid.clone());
        let message = expired.must_be_valid(now).unwrap_err().to_string();
        assert!(message.contains("expired.pem ended on 2020-12-31T23:59:59Z: renew it"), "{message}");
        let message = valid.must_be_valid("2018-01-01T00:00:00Z".parse().unwrap()).unwrap_err().to_string();
        assert!(message.contains("valid from 2019-01-01T00:00:00Z"), "{message}");
    }

    #[test]
    fn a_pair_that_cannot_be_used_is_refused_with_the_name_of_the_file() {
        let folder = folder();
        let put = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            file
        };
        let file = |name: &str| folder.path().join(name);
        let (certificate, key) = (file("valid.pem"), file("server.key"));
        let text = std::fs::read_to_string(&certificate).unwrap();
        let half = put("half.pem", &text[..text.len() / 2]);
        let body = text.lines().nth(1).unwrap();
        let damaged = put("damaged.pem", &text.replace(body, &body.chars().rev().collect::<String>()));
        let refused = |certificate: &PathBuf, key: &PathBuf, words: &[&str]| {
            let message = Pair::read(certificate, key).unwrap_err().to_string();
            assert!(words.iter().all(|words| message.contains(words)), "{message}");
        };
        refused(&put("empty.pem", ""), &key, &["empty.pem", "holds no certificate"]);
        refused(&half, &key, &["half.pem"]);
        refused(&damaged, &key, &["damaged.pem"]);
        refused(&certificate, &put("empty.key", ""), &["empty.key", "private key as PEM"]);
        let large = put("large.pem", &" ".repeat((1 << 20) + 1));
        refused(&large, &key, &["large.pem", "larger than 1 MiB"]);
        refused(&folder.path().to_owned(), &key, &["no regular file"]);
        let inline = PathBuf::from("-----BEGIN PRIVATE KEY-----\nhush");
        let message = Pair::read(&certificate, &inline).unwrap_err().to_string();
        assert!(message.contains("in place of the name of a file") && !message.contains("hush"), "{message}");
        refused(&file("missing.pem"), &key, &["missing.pem", "No such file"]);
        refused(&certificate, &file("missing.key"), &["missing.key", "No such file"]);
        refused(&certificate, &file("client.key"), &["valid.pem", "client.key", "do not belong together"]);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        refused(&certificate, &key, &["server.key", "chmod 600"]);
    }
}
