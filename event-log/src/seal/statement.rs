//! A seal: a signed statement of what the log held, made from rows.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::encoding::{Bytes, Encoding, Hash, SEAL};
use super::key::{PublicKey, SealKey};
use crate::Checkpoint;

/// The version of this format of seals.
pub const VERSION: i64 = 1;

/// The most events that one seal covers.
pub const MOST: usize = 10_000;

/// The purpose of a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It covers events.
    Events,
    /// It covers no events, and names the key that signs from here on.
    KeyChange,
}

impl Kind {
    /// The name, as stored and signed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::KeyChange => "key-change",
        }
    }
}

/// A seal. Every field but the last two is signed directly; the leaves are signed through their root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    pub version: i64,
    /// From 1, without gaps.
    pub number: i64,
    pub kind: Kind,
    /// The log's name and id.
    pub log: String,
    pub log_id: Uuid,
    /// The covered positions; `last` is one less than `first` if it covers none.
    pub first: i64,
    pub last: i64,
    pub count: i64,
    /// The hash of the leaves, one after the other.
    pub root: Hash,
    /// The hash of the seal before it; zeros in the first seal.
    pub previous: Hash,
    /// The id of the event at `last`: with it the seal is the sealer's checkpoint.
    pub last_event: Uuid,
    /// Microseconds since 1970 by the database's clock.
    pub sealed_at: i64,
    /// The key that signs it.
    pub key: PublicKey,
    /// In a change of keys the next key; in the first seal of a key the key before it.
    pub other_key: Option<PublicKey>,
    /// Ed25519.
    pub signature: Bytes,
    /// The hash of each row, 32 bytes each, in order: they show which position was changed.
    pub leaves: Bytes,
}

impl Seal {
    /// The next seal over events: `leaves` of the next positions, of which the last has the event `last_event`.
    pub fn over(
        previous: Option<&Self>,
        (log, log_id): (&str, Uuid),
        leaves: &[Hash],
        last_event: Uuid,
        sealed_at: i64,
        key: &SealKey,
    ) -> Self {
        let leaves = leaves.iter().flat_map(|leaf| leaf.0).collect::<Vec<u8>>();
        let count = i64::try_from(leaves.len() / 32).unwrap_or(i64::MAX);
        let before = previous.filter(|seal| seal.kind == Kind::KeyChange).map(|seal| seal.key);
        Self::sign(previous, (log, log_id), Kind::Events, (leaves, count), last_event, sealed_at, before, key)
    }

    /// The seal by which `key`, the signer so far, names the next key.
    pub fn change_of_keys(previous: &Self, next: PublicKey, sealed_at: i64, key: &SealKey) -> Self {
        let last_event = previous.last_event;
        Self::sign(
            Some(previous),
            (&previous.log, previous.log_id),
            Kind::KeyChange,
            (Vec::new(), 0),
            last_event,
            sealed_at,
            Some(next),
            key,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "what a seal holds, in one place")]
    fn sign(
        previous: Option<&Self>,
        (log, log_id): (&str, Uuid),
        kind: Kind,
        (leaves, count): (Vec<u8>, i64),
        last_event: Uuid,
        sealed_at: i64,
        other_key: Option<PublicKey>,
        key: &SealKey,
    ) -> Self {
        let first = previous.map_or(1, |seal| seal.last + 1);
        let mut seal = Self {
            version: VERSION,
            number: previous.map_or(1, |seal| seal.number + 1),
            kind,
            log: log.to_owned(),
            log_id,
            first,
            last: first + count - 1,
            count,
            root: Hash::of(&leaves),
            previous: previous.map_or_else(Hash::default, Self::hash),
            last_event,
            sealed_at,
            key: key.public(),
            other_key,
            signature: Bytes(Vec::new()),
            leaves: Bytes(leaves),
        };
        seal.signature = Bytes(key.sign(&seal.encode()));
        seal
    }

    /// The signed bytes, whose hash the next seal contains.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoding = Encoding::new(SEAL);
        encoding.number(self.version);
        encoding.number(self.number);
        encoding.text(self.kind.name());
        encoding.text(&self.log);
        encoding.bytes(self.log_id.as_bytes());
        encoding.number(self.first);
        encoding.number(self.last);
        encoding.number(self.count);
        encoding.bytes(&self.root.0);
        encoding.bytes(&self.previous.0);
        encoding.bytes(self.last_event.as_bytes());
        encoding.number(self.sealed_at);
        encoding.bytes(&self.key.0);
        // The length first, so that no key differs from a key of zeros.
        encoding.number(self.other_key.map_or(0, |_| 32));
        encoding.bytes(self.other_key.as_ref().map_or(&[], |key| &key.0));
        encoding.0
    }

    /// The seal's published hash.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.encode())
    }

    pub fn signature_holds(&self) -> bool {
        self.key.verifies(&self.encode(), &self.signature.0)
    }

    /// The leaf of a position that it covers.
    pub fn leaf(&self, position: i64) -> Option<Hash> {
        let at = usize::try_from(position.checked_sub(self.first)?).ok()?.checked_mul(32)?;
        let bytes = self.leaves.0.get(at..at.checked_add(32)?)?;
        bytes.try_into().ok().map(Hash)
    }

    /// The checkpoint of the sealer that wrote it last.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::at(self.last, self.last_event)
    }
}
