//! The encoding of rows and seals as bytes, hashes and signatures. It never changes: golden files hold it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::StoredEvent;

/// The prefixes of the encodings, so that a signature of one kind is never valid for another.
const EVENT: &str = "soonshop.event.v1";
pub(super) const SEAL: &str = "soonshop.seal";
pub(super) const EXPORT: &str = "soonshop.export.v1";

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(digest(&SHA256, bytes))
    }

    pub(super) fn from_digest(digest: ring::digest::Digest) -> Self {
        let mut hash = Self::default();
        hash.0.copy_from_slice(digest.as_ref());
        hash
    }
}

/// In lower-case hexadecimal.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const BAD: &str = "a hash is 64 hexadecimal digits";
        let mut hash = Self::default();
        if text.len() != 64 || !text.is_ascii() {
            return Err(BAD);
        }
        for (byte, at) in hash.0.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| BAD)?;
        }
        Ok(hash)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Bytes, written as base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// The canonical encoding: a number is 8 bytes, big-endian; a text is its length in bytes as a number, then its UTF-8;
/// ids, hashes and keys are their bytes.
pub(super) struct Encoding(pub(super) Vec<u8>);

impl Encoding {
    pub(super) fn new(domain: &str) -> Self {
        let mut encoding = Self(Vec::with_capacity(1_024));
        encoding.text(domain);
        encoding
    }

    pub(super) fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// All columns of a row in the canonical encoding, the position last.
pub fn encode(row: &StoredEvent) -> Vec<u8> {
    let mut encoding = content(row);
    encoding.number(row.position);
    encoding.0
}

fn content(row: &StoredEvent) -> Encoding {
    let mut encoding = Encoding::new(EVENT);
    encoding.bytes(row.event_id.as_bytes());
    encoding.text(&row.aggregate_type);
    encoding.text(&row.aggregate_id);
    encoding.number(row.sequence);
    encoding.text(&row.event_type);
    encoding.text(&row.event_version);
    encoding.text(&row.payload);
    encoding.text(&row.metadata);
    encoding.number(row.occurred_at.timestamp_micros());
    encoding.number(row.recorded_at.timestamp_micros());
    encoding
}

/// The hash of a row without its position. The leaf at any position is one step from it: this finds a row that was
/// moved from its sealed position.
#[derive(Clone)]
pub struct Content(Context);

impl Content {
    pub fn of(row: &StoredEvent) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&content(row).0);
        Self(context)
    }

    /// The leaf: the hash of the row at this position.
    pub fn at(&self, position: i64) -> Hash {
        let mut context = self.0.clone();
        context.update(&position.to_be_bytes());
        Hash::from_digest(context.finish())
    }
}
