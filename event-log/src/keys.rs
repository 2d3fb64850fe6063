//! The key store, as far as reading needs it: decrypting values, and encrypting with keys that exist. Only
//! `event-store` makes and erases keys.
//!
//! Only a tombstone counts as erased. A key store that does not answer, or that belongs to another log, stops the
//! reader; it erases no person.

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use moka::sync::Cache;
use sea_orm::{ConnectionTrait as _, Value};
use soonshop_domain::{PersonalValue, Sensitive};

use crate::codec::{self, KeyBytes};
use crate::private_files::{self, Unusable};
use crate::{Db, Error, places};

/// How long a process may use a key after reading it: an erasure waits for longer than this before it is complete.
pub const KEY_LIFETIME: Duration = Duration::from_secs(5);

/// The keys that encrypt all other keys. The first one encrypts new keys; the others still decrypt old ones.
#[derive(Clone)]
pub struct MasterKeys(Arc<Vec<(String, KeyBytes)>>);

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

impl MasterKeys {
    /// One key a line, the newest first: 32 bytes in base64.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let bytes = BASE64.decode(line).ok().and_then(|bytes| KeyBytes::try_from(bytes).ok());
            let key = bytes.ok_or_else(|| Error::MasterKey("each line is 32 bytes in base64".into()))?;
            keys.push((fingerprint(&key), key));
        }
        if keys.is_empty() {
            return Err(Error::MasterKey("there is none".into()));
        }
        Ok(Self(Arc::new(keys)))
    }

    /// Reads the file; refuses one that others can read.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            Error::MasterKey(format!(
                "{}: {error}; for a new shop `soonshop migrate` makes one, a shop that has data needs its own back, from a backup",
                file.display()
            ))
        };
        let mut opened = private_files::open_secret(file).map_err(|why| match why {
            Unusable::Exposed(why) => Error::MasterKey(why),
            Unusable::Unopened(error) => failed(error),
        })?;
        let mut text = String::new();
        opened.read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text)
    }

    /// Makes the file with a new key, readable by its owner only; an existing file stays.
    pub fn create(file: &Path) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::MasterKey(format!("{}: {error}", file.display()));
        if let Some(folder) = file.parent() {
            private_files::make_folder(folder).map_err(failed)?;
        }
        match private_files::open_new(file) {
            Ok(mut open) => {
                let key = codec::random::<32>().map_err(|error| Error::MasterKey(error.to_string()))?;
                writeln!(open, "{}", BASE64.encode(key)).and_then(|()| open.sync_all()).map_err(failed)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    pub fn current(&self) -> (&str, &KeyBytes) {
        let (id, key) = &self.0[0];
        (id, key)
    }

    /// The key that this master key wraps under that name.
    pub fn unwrap(&self, master: &str, name: &str, wrapped: &str) -> Result<KeyBytes, Error> {
        let key = self.0.iter().find(|(id, _)| id == master);
        let (_, key) = key.ok_or_else(|| Error::Keys(format!("locked: it needs the master key {master}")))?;
        codec::unwrap(key, name, wrapped).map_err(|error| Error::Keys(format!("the key {name}: {error}")))
    }
}

/// The start of a key's SHA-256: its name, which reveals nothing about the key.
pub fn fingerprint(key: &KeyBytes) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, key);
    digest.as_ref()[..8].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A key as the store has it.
#[derive(Clone, PartialEq, Eq)]
pub enum Key {
    Living(Arc<KeyBytes>),
    /// It was erased.
    Tombstone,
    /// The key was never made, or the store was lost.
    Missing,
}

/// A store of keys.
#[derive(Clone)]
pub struct KeyStore {
    db: Db,
    masters: MasterKeys,
    cache: Cache<String, Key>,
}

impl KeyStore {
    pub fn new(db: Db, masters: MasterKeys) -> Self {
        let cache = Cache::builder().max_capacity(50_000).time_to_live(KEY_LIFETIME).build();
        Self { db, masters, cache }
    }

    pub fn db(&self) -> &Db {
        &self.db
    }

    pub fn masters(&self) -> &MasterKeys {
        &self.masters
    }

    /// Drops this key from the cache of this process.
    pub fn evict(&self, kid: &str) {
        self.cache.invalidate(kid);
    }

    /// Loads all keys of a page at once.
    pub async fn keys(&self, kids: &HashSet<String>) -> Result<HashMap<String, Key>, Error> {
        let mut found = HashMap::with_capacity(kids.len());
        let mut unknown: Vec<&String> = Vec::new();
        for kid in kids {
            match self.cache.get(kid) {
                Some(key) => drop(found.insert(kid.clone(), key)),
                None => unknown.push(kid),
            }
        }
        for chunk in unknown.chunks(500) {
            let places = places(1, chunk.len());
            let sql = format!("SELECT kid, master, wrapped FROM @data_keys WHERE kid IN ({places})");
            let values = chunk.iter().map(|kid| Value::from(kid.as_str()));
            let rows =
                self.db.connection.query_all(self.db.statement(&sql, values)).await.map_err(keys_error)?;
            for row in rows {
                let kid: String = row.try_get_by_index(0).map_err(keys_error)?;
                let master: String = row.try_get_by_index(1).map_err(keys_error)?;
                let wrapped: Option<String> = row.try_get_by_index(2).map_err(keys_error)?;
                let key = match wrapped {
                    None => Key::Tombstone,
                    Some(wrapped) => Key::Living(Arc::new(self.masters.unwrap(&master, &kid, &wrapped)?)),
                };
                self.cache.insert(kid.clone(), key.clone());
                found.insert(kid, key);
            }
        }
        for kid in unknown {
            // Not cached: the key may be made at any moment.
            found.entry(kid.clone()).or_insert(Key::Missing);
        }
        Ok(found)
    }

    /// The HMAC keys of one use (`claim`, `fingerprint`), by number.
    pub async fn hmac_keys(&self, purpose: &str) -> Result<Vec<(i32, KeyBytes)>, Error> {
        let sql = "SELECT key_id, master, wrapped FROM @hmac_keys WHERE use = $1 ORDER BY key_id";
        let rows = self
            .db
            .connection
            .query_all(self.db.statement(sql, [purpose.into()]))
            .await
            .map_err(keys_error)?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            let id: i32 = row.try_get_by_index(0).map_err(keys_error)?;
            let master: String = row.try_get_by_index(1).map_err(keys_error)?;
            let wrapped: String = row.try_get_by_index(2).map_err(keys_error)?;
            keys.push((id, self.masters.unwrap(&master, &format!("{purpose}.{id}"), &wrapped)?));
        }
        Ok(keys)
    }

    /// Encrypts a new personal value with its key, which must exist: a process that only reads the log makes no keys.
    pub async fn encrypt(&self, value: &mut dyn PersonalValue) -> Result<(), Error> {
        let Some((subject, purpose)) = value.pending_key() else { return Ok(()) };
        let kid = soonshop_domain::personal::kid(subject, purpose);
        let Some(Key::Living(key)) = self.keys(&HashSet::from([kid.clone()])).await?.remove(&kid) else {
            return Err(Error::Keys(format!(
                "there is no key {kid}: `soonshop migrate` makes it, unless it was erased"
            )));
        };
        let Some(text) = value.plaintext() else { return Ok(()) };
        let text = text.map_err(|error| Error::Keys(error.to_string()))?;
        value.set_jwe(codec::encrypt(&kid, &key, &text).map_err(|error| Error::Keys(error.to_string()))?);
        Ok(())
    }

    /// Decrypts every personal value of every item. Returns the index of each item with a damaged value, and the
    /// reason: a value without key or tombstone, or one that does not decrypt.
    pub async fn decrypt<T: Sensitive>(&self, items: &mut [&mut T]) -> Result<Vec<(usize, String)>, Error> {
        let mut kids = HashSet::new();
        let mut damaged = Vec::new();
        for (index, item) in items.iter_mut().enumerate() {
            for value in item.personal() {
                match value.jwe().map(codec::kid_of) {
                    Some(Ok(kid)) => drop(kids.insert(kid)),
                    Some(Err(error)) => damaged.push((index, error.to_string())),
                    None => {}
                }
            }
        }
        let keys = if kids.is_empty() { HashMap::new() } else { self.keys(&kids).await? };
        for (index, item) in items.iter_mut().enumerate() {
            for value in item.personal() {
                if let Err(reason) = decrypt_one(value, &keys) {
                    damaged.push((index, reason));
                }
            }
        }
        damaged.sort_by_key(|(index, _)| *index);
        damaged.dedup_by_key(|(index, _)| *index);
        Ok(damaged)
    }
}

fn decrypt_one(value: &mut dyn PersonalValue, keys: &HashMap<String, Key>) -> Result<(), String> {
    let Some(jwe) = value.jwe().map(str::to_owned) else { return Ok(()) };
    let Ok(kid) = codec::kid_of(&jwe) else { return Ok(()) };
    match keys.get(&kid) {
        Some(Key::Living(key)) => {
            let text = codec::decrypt(&jwe, key).map_err(|error| format!("a value under {kid}: {error}"))?;
            value.open(&text).map_err(|error| format!("a value under {kid}: {error}"))
        }
        Some(Key::Tombstone) => {
            value.erase();
            Ok(())
        }
        Some(Key::Missing) | None => {
            Err(format!("a value under {kid}: there is neither a key nor a tombstone"))
        }
    }
}

fn keys_error(error: sea_orm::DbErr) -> Error {
    Error::Keys(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_master_key_of_a_file_encrypts_new_keys_and_each_decrypts_its_own() {
        let line = |byte: u8| BASE64.encode([byte; 32]);
        let keys = MasterKeys::parse(&format!("\n {} \n\n{}\n", line(0), line(1))).unwrap();
        // The start of the SHA-256 of 32 zero bytes.
        assert_eq!(keys.current(), ("66687aadf862bd77", &[0; 32]));
        let wrapped = codec::wrap(&[1; 32], "k.account", &[5; 32]).unwrap();
        assert_eq!(keys.unwrap(&fingerprint(&[1; 32]), "k.account", &wrapped).unwrap(), [5; 32]);
        let locked = keys.unwrap(&fingerprint(&[2; 32]), "k.account", &wrapped).unwrap_err().to_string();
        assert!(locked.contains("locked"), "{locked}");
        assert!(keys.unwrap(&fingerprint(&[0; 32]), "k.account", &wrapped).is_err(), "of another master key");
    }

    #[test]
    fn a_file_of_master_keys_has_a_key_of_32_bytes_on_each_line() {
        let (short, long) = (BASE64.encode([0; 31]), BASE64.encode([0; 33]));
        let good = BASE64.encode([0; 32]);
        for bad in ["", "\n \n", &short, &long, "not base64", &format!("{good}\n{short}")] {
            assert!(matches!(MasterKeys::parse(bad), Err(Error::MasterKey(_))), "{bad:?}");
        }
    }
}
