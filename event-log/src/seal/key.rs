//! The keys that sign seals: Ed25519 (RFC 8032), each known by its fingerprint.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::encoding::{Bytes, EXPORT, Encoding, Hash};
use crate::{Error, private_files};

/// The public half of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The first 16 bytes of its SHA-256 as pairs of hexadecimal digits: `9c:41:…`.
    pub fn fingerprint(&self) -> String {
        let pairs: Vec<String> = Hash::of(&self.0).0[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        pairs.join(":")
    }

    /// Whether this key signed the manifest of an export, given as text without the signature.
    pub fn signed_manifest(&self, text: &str, signature: &Bytes) -> bool {
        self.verifies(&of_manifest(text), &signature.0)
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// The signed bytes of an export's manifest: the prefix makes sure that the signature is not valid for a log.
fn of_manifest(text: &str) -> Vec<u8> {
    let mut encoding = Encoding::new(EXPORT);
    encoding.text(text);
    encoding.0
}

/// In base64.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

impl FromStr for PublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("a public key is 32 bytes in base64")
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The key that the person who checks has from another source, by its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey(String);

impl TrustedKey {
    pub fn fingerprint(&self) -> &str {
        &self.0
    }
}

impl From<PublicKey> for TrustedKey {
    fn from(key: PublicKey) -> Self {
        Self(key.fingerprint())
    }
}

/// Reads a public key in base64, or a fingerprint.
impl FromStr for TrustedKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(key) = text.parse::<PublicKey>() {
            return Ok(key.into());
        }
        let pairs: Vec<&str> = text.split(':').collect();
        let hexadecimal = |pair: &&str| pair.len() == 2 && pair.chars().all(|c| c.is_ascii_hexdigit());
        if pairs.len() == 16 && pairs.iter().all(hexadecimal) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err("it is neither a public key (32 bytes in base64) nor a fingerprint (16 bytes, such as 9c:41:…)")
    }
}

/// A key that can sign.
pub struct SealKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SealKey {
    /// Reads PKCS#8.
    fn from_pkcs8(bytes: &[u8]) -> Result<Self, Error> {
        // Other programs leave out the public half.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes);
        let pair =
            pair.map_err(|error| Error::SealKey(format!("it is no Ed25519 key in PKCS#8: {error}")))?;
        let public = pair.public_key().as_ref().try_into();
        let public = public.map_err(|_| Error::SealKey("its public half has another length".to_owned()))?;
        Ok(Self { pair, public: PublicKey(public) })
    }

    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs the manifest of an export.
    pub fn sign_manifest(&self, text: &str) -> Bytes {
        Bytes(self.sign(&of_manifest(text)))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// The keys of a sealer. The first one signs; the others continue the chain that they signed before.
#[derive(Clone)]
pub struct SealKeys(Arc<Vec<SealKey>>);

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.publics()).finish()
    }
}

impl SealKeys {
    /// One key a line, the newest first: PKCS#8 in base64.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let bytes = BASE64.decode(line);
            let bytes =
                bytes.map_err(|_| Error::SealKey("each line is a key in PKCS#8, in base64".to_owned()))?;
            keys.push(SealKey::from_pkcs8(&bytes)?);
        }
        if keys.is_empty() {
            return Err(Error::SealKey("there is none".to_owned()));
        }
        Ok(Self(Arc::new(keys)))
    }

    /// Reads the file. If others could read it, they cannot any more.
    pub fn read(file: &Path) -> Result<Self, Error> {
        private_files::narrow(file);
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::SealKey(format!("{}: {error}; for a new shop `soonshop migrate` makes one, a shop that has seals needs its own back, from a backup", file.display()))
        })?;
        Self::parse(&text)
    }

    /// Makes the file with a new key, readable by its owner only; an existing file stays.
    pub fn create(file: &Path) -> Result<(), Error> {
        if let Some(folder) = file.parent() {
            private_files::make_folder(folder).map_err(|error| failed(file, &error))?;
        }
        match write_new(file, &new_line()?) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome.map_err(|error| failed(file, &error)),
        }
    }

    /// Adds a new key at the top of the file. It signs as soon as a sealer starts with it.
    pub fn renew(file: &Path) -> Result<Self, Error> {
        Self::read(file)?;
        let old = std::fs::read_to_string(file).map_err(|error| failed(file, &error))?;
        // Written beside the file and then renamed: no reader sees half a file, and the old keys are never lost.
        let beside = file.with_extension("new");
        let text = format!("{}{old}", new_line()?);
        write_new(&beside, &text)
            .and_then(|()| std::fs::rename(&beside, file))
            .map_err(|error| failed(&beside, &error))?;
        Self::parse(&text)
    }

    /// The key that signs.
    pub fn current(&self) -> &SealKey {
        &self.0[0]
    }

    /// The key with this public half.
    pub fn of(&self, public: PublicKey) -> Option<&SealKey> {
        self.0.iter().find(|key| key.public == public)
    }

    /// The public halves, the newest first.
    pub fn publics(&self) -> impl Iterator<Item = PublicKey> {
        self.0.iter().map(|key| key.public)
    }
}

fn failed(file: &Path, error: &std::io::Error) -> Error {
    Error::SealKey(format!("{}: {error}", file.display()))
}

fn new_line() -> Result<String, Error> {
    let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let pair = pair.map_err(|_| Error::SealKey("no random numbers are available".to_owned()))?;
    Ok(BASE64.encode(pair) + "\n")
}

/// Writes a new file that only its owner may read.
fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let mut open = private_files::open_new(file)?;
    open.write_all(text.as_bytes())?;
    open.sync_all()
}
