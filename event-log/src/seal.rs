//! Seals: signed statements of what the log held. Each covers the positions after the seal before it and names that seal's
//! hash, so that whoever holds one seal holds all history before it.
//!
//! Here is what a seal is, how it is made from rows, and the table that it lies in; [`check()`] reads log and seals and says
//! whether they still agree, [`export()`] writes both into a file for [`check_offline`]. Seals are written by the sealer
//! alone, which is not here. `docs/seals.md` has all of it in enough detail for another verifier.

mod check;
mod export;
mod key;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{Context, SHA256, digest};
use sea_orm::{ConnectionTrait as _, QueryResult, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

pub use check::{Finding, Positions, Report, Tail, Verdict, Wrong, check};
pub use export::{check_offline, export};
pub use key::{PublicKey, SealKey, SealKeys, TrustedKey};

use crate::{Checkpoint, Db, Error, EventLog, StoredEvent};

/// The version of this form of seals.
pub const VERSION: i64 = 1;

/// Events that one seal covers at most.
pub const MOST: usize = 10_000;

/// The name of the follower that seals.
pub const SEALER: &str = "sealer";

/// What the encodings begin with, so that no signature under one of them says anything under another.
const EVENT: &str = "soonshop.event.v1";
const SEAL: &str = "soonshop.seal";
const EXPORT: &str = "soonshop.export.v1";

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(digest(&SHA256, bytes))
    }

    fn from_digest(digest: ring::digest::Digest) -> Self {
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

/// Bytes that are written down in base64.
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
struct Encoding(Vec<u8>);

impl Encoding {
    fn new(domain: &str) -> Self {
        let mut encoding = Self(Vec::with_capacity(1_024));
        encoding.text(domain);
        encoding
    }

    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// Every column of a row in the canonical encoding, its position last.
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

/// A row but for its position, hashed. Its leaf at any position is one step away, which is how a row that stands at
/// another place than it was sealed at is recognised.
#[derive(Clone)]
pub struct Content(Context);

impl Content {
    pub fn of(row: &StoredEvent) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&content(row).0);
        Self(context)
    }

    /// The leaf: the hash of the row, if it stood at that position.
    pub fn at(&self, position: i64) -> Hash {
        let mut context = self.0.clone();
        context.update(&position.to_be_bytes());
        Hash::from_digest(context.finish())
    }
}

/// What a seal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It covers events.
    Events,
    /// It covers none, and names the key that signs from here on.
    KeyChange,
}

impl Kind {
    /// As it is stored and signed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::KeyChange => "key-change",
        }
    }
}

/// A seal. Every field but the last two is signed; the leaves are, by their root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    pub version: i64,
    /// From 1, without gaps.
    pub number: i64,
    pub kind: Kind,
    /// The log's name and id.
    pub log: String,
    pub log_id: Uuid,
    /// The positions that it covers; `last` is one less than `first` where it covers none.
    pub first: i64,
    pub last: i64,
    pub count: i64,
    /// The hash of the leaves, one after the other.
    pub root: Hash,
    /// The hash of the seal before it; zeros in the first.
    pub previous: Hash,
    /// The id of the event at `last`: with it the seal is the sealer's checkpoint.
    pub last_event: Uuid,
    /// Microseconds since 1970 by the database's clock.
    pub sealed_at: i64,
    /// The key that signs it.
    pub key: PublicKey,
    /// In a change of keys the next one; in the first seal of a key the one before it.
    pub other_key: Option<PublicKey>,
    /// Ed25519.
    pub signature: Bytes,
    /// The hash of each row, 32 bytes each, in order: by them a position can be named.
    pub leaves: Bytes,
}

impl Seal {
    /// The next seal over events: `leaves` of the positions that follow, of which the last one holds `last_event`.
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

    /// The seal by which `key`, which signed so far, names the next one.
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

    /// What is signed, and whose hash the next seal names.
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
        // Its length first: no key is not the same as a key of zeros.
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

    /// Where the sealer is that wrote it last.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::at(self.last, self.last_event)
    }
}

/// A row of the table of seals that is no seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    pub number: i64,
    pub reason: String,
}

/// What a row of the table of seals turned out to be.
pub type Found = Result<Seal, Broken>;

/// The id that a log got when it was made: another log of the same name has another one.
pub async fn log_id(log: &EventLog) -> Result<Uuid, Error> {
    let db = log.db();
    let sql = "SELECT CAST(log_id AS TEXT) FROM @head WHERE name = $1";
    let row = db.connection.query_one(db.statement(sql, [log.name().into()])).await?;
    let row = row.ok_or_else(|| Error::Database(format!("the log {} has no head", log.name())))?;
    let id: String = row.try_get_by_index(0)?;
    id.parse().map_err(|_| Error::Database(format!("the id of the log is {id:?}")))
}

/// What is sealed goes on from it only where it holds by itself.
pub fn accept(found: Found, log_id: Uuid) -> Result<Seal, Error> {
    let seal = found.map_err(|broken| Error::Seals(format!("seal {}: {}", broken.number, broken.reason)))?;
    if seal.log_id != log_id {
        return Err(Error::Seals(format!("seal {} is of another log, {}", seal.number, seal.log_id)));
    }
    if !seal.signature_holds() {
        return Err(Error::Seals(format!("the signature of seal {} does not hold", seal.number)));
    }
    Ok(seal)
}

/// The namespaces of seals, beside the log: of the log, and of the record of operations.
pub const SEALS: &str = "seals";
pub const RECORD_SEALS: &str = "record_seals";

/// A table of seals.
#[derive(Debug, Clone)]
pub struct Seals {
    db: Db,
}

const COLUMNS: &str = "number, version, kind, log, log_id, first_position, last_position, events, root, previous, last_event, \
     sealed_at, signing_key, other_key, signature, leaves";

impl Seals {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The newest one.
    pub async fn last(&self) -> Result<Option<Found>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM @seals ORDER BY number DESC LIMIT 1");
        Ok(self.rows(&sql, []).await?.pop())
    }

    /// The end of what is sealed: the start of the log where nothing is. An error says why it cannot be gone on from.
    pub async fn end(&self, log: &EventLog) -> Result<Checkpoint, Error> {
        let Some(found) = self.last().await? else { return Ok(Checkpoint::start()) };
        let end = accept(found, log_id(log).await?)?.checkpoint();
        end.rows_after(log, SEALER, 1).await?;
        Ok(end)
    }

    /// At most `limit` seals from `number` on, in order.
    pub async fn read(&self, number: i64, limit: i64) -> Result<Vec<Found>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM @seals WHERE number >= $1 ORDER BY number LIMIT $2");
        self.rows(&sql, [number.into(), limit.into()]).await
    }

    /// The changes of keys before `number`.
    async fn key_changes(&self, number: i64) -> Result<Vec<Found>, Error> {
        let sql =
            format!("SELECT {COLUMNS} FROM @seals WHERE kind = 'key-change' AND number < $1 ORDER BY number");
        self.rows(&sql, [number.into()]).await
    }

    /// The number of the seal that covers a position, as the seals say; `None`: none does yet.
    pub async fn over(&self, position: i64) -> Result<Option<i64>, Error> {
        let sql = "SELECT min(number) FROM @seals WHERE first_position <= $1 AND last_position >= $1";
        let row = self.db.connection.query_one(self.db.statement(sql, [position.into()])).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.flatten())
    }

    /// The numbers of the first and the last seal that have to do with these positions, as the seals say.
    async fn numbers(&self, from: i64, to: i64) -> Result<Option<(i64, i64)>, Error> {
        let sql =
            "SELECT min(number), max(number) FROM @seals WHERE last_position >= $1 AND first_position <= $2";
        let row = self.db.connection.query_one(self.db.statement(sql, [from.into(), to.into()])).await?;
        let Some(row) = row else { return Ok(None) };
        let numbers: (Option<i64>, Option<i64>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        Ok(numbers.0.zip(numbers.1))
    }

    /// The last position under a seal, as the seals say.
    async fn sealed_to(&self) -> Result<i64, Error> {
        let sql = "SELECT coalesce(max(last_position), 0) FROM @seals";
        let row = self.db.connection.query_one(self.db.statement(sql, [])).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0))
    }

    async fn rows(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<Found>, Error> {
        let rows = self.db.connection.query_all(self.db.statement(sql, values)).await?;
        rows.iter()
            .map(|row| {
                let number = row.try_get_by_index(0)?;
                Ok(seal(row, number).map_err(|reason| Broken { number, reason }))
            })
            .collect()
    }
}

/// Reads a row; an error says what in it cannot be part of a seal.
fn seal(row: &QueryResult, number: i64) -> Result<Seal, String> {
    fn get<T: sea_orm::TryGetable>(row: &QueryResult, name: &str) -> Result<T, String> {
        row.try_get("", name).map_err(|error| format!("{name}: {error}"))
    }
    fn sized<const N: usize>(name: &str, bytes: Vec<u8>) -> Result<[u8; N], String> {
        bytes.try_into().map_err(|bytes: Vec<u8>| format!("{name} has {} bytes", bytes.len()))
    }
    let id = |name: &str| {
        let text: String = get(row, name)?;
        Uuid::parse_str(&text).map_err(|_| format!("{name} is {text:?}"))
    };
    let version = get(row, "version")?;
    if version != VERSION {
        return Err(format!("its version is {version}, and this release knows {VERSION}"));
    }
    let kind: String = get(row, "kind")?;
    let kind = [Kind::Events, Kind::KeyChange].into_iter().find(|one| one.name() == kind);
    let other_key: Option<Vec<u8>> = get(row, "other_key")?;
    Ok(Seal {
        version,
        number,
        kind: kind.ok_or("its kind is unknown")?,
        log: get(row, "log")?,
        log_id: id("log_id")?,
        first: get(row, "first_position")?,
        last: get(row, "last_position")?,
        count: get(row, "events")?,
        root: Hash(sized("root", get(row, "root")?)?),
        previous: Hash(sized("previous", get(row, "previous")?)?),
        last_event: id("last_event")?,
        sealed_at: get(row, "sealed_at")?,
        key: PublicKey(sized("signing_key", get(row, "signing_key")?)?),
        other_key: other_key.map(|bytes| sized("other_key", bytes)).transpose()?.map(PublicKey),
        signature: Bytes(get(row, "signature")?),
        leaves: Bytes(get(row, "leaves")?),
    })
}
