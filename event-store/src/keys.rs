//! Making and erasing keys: only this module can.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ring::hmac;
use ring::rand::SecureRandom as _;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use soonshop_domain::{PersonalValue, Purpose, Sensitive, personal};
use soonshop_event_log::codec::{self, KeyBytes};
use soonshop_event_log::{Db, Error, Key, KeyStore};
use tokio::sync::RwLock;
use uuid::Uuid;

/// Why a personal value could not be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum EncryptError {
    /// The data subject was erased, or is being erased.
    #[error("the person was erased, and nothing new about them is kept")]
    Erased,
    #[error(transparent)]
    Store(#[from] Error),
}

/// The keys with which unique values are hashed, by number.
pub(crate) type ClaimKeys = Vec<(i32, hmac::Key)>;

/// A key store that can also make and erase keys.
#[derive(Clone)]
pub struct KeyMaker {
    store: KeyStore,
    hmac: Arc<RwLock<HashMap<&'static str, Arc<ClaimKeys>>>>,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Keys(error.to_string())
}

impl KeyMaker {
    pub fn new(store: KeyStore) -> Self {
        Self { store, hmac: Arc::default() }
    }

    pub fn store(&self) -> &KeyStore {
        &self.store
    }

    /// Makes missing HMAC keys, and registers in the log which of them unique values use.
    pub async fn prepare(&self, log: &Db) -> Result<(), Error> {
        let db = self.store.db();
        for (id, purpose) in [(1, "claim"), (2, "fingerprint")] {
            if !self.store.hmac_keys(purpose).await?.is_empty() {
                continue;
            }
            let (master, wrapped) = self.fresh(&format!("{purpose}.{id}"))?;
            let sql = "INSERT INTO @hmac_keys (key_id, master, wrapped, use) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (key_id) DO NOTHING";
            let values = [id.into(), master.into(), wrapped.into(), purpose.into()];
            db.connection.execute(db.statement(sql, values)).await.map_err(failed)?;
        }
        let keys = self.store.hmac_keys("claim").await?;
        // Every writer of the log's tables takes its lock first: no append sees half of this, and writers cannot
        // deadlock.
        let tx = log.connection.begin().await?;
        if log.backend() == sea_orm::DatabaseBackend::Postgres {
            tx.execute_unprepared(&log.sql("SELECT 1 FROM @head WHERE name = 'main' FOR UPDATE")).await?;
        }
        for (id, _) in keys {
            let sql = "INSERT INTO @claim_keys (key_id) SELECT $1 WHERE NOT EXISTS \
                       (SELECT 1 FROM @claim_keys WHERE key_id = $1)";
            tx.execute(log.statement(sql, [id.into()])).await?;
        }
        Ok(tx.commit().await?)
    }

    fn fresh(&self, name: &str) -> Result<(String, String), Error> {
        let mut key: KeyBytes = [0; 32];
        ring::rand::SystemRandom::new()
            .fill(&mut key)
            .map_err(|_| failed("no random numbers are available"))?;
        let (id, master) = self.store.masters().current();
        Ok((id.to_owned(), codec::wrap(master, name, &key).map_err(failed)?))
    }

    /// The keys with which unique values are hashed, in order of their numbers.
    pub(crate) async fn claim_keys(&self) -> Result<Arc<ClaimKeys>, Error> {
        self.hmac_keys("claim").await
    }

    async fn hmac_keys(&self, purpose: &'static str) -> Result<Arc<ClaimKeys>, Error> {
        if let Some(keys) = self.hmac.read().await.get(purpose) {
            return Ok(keys.clone());
        }
        let keys = self.store.hmac_keys(purpose).await?;
        if keys.is_empty() {
            return Err(failed(format_args!("there is no {purpose} key: run `soonshop migrate`")));
        }
        let keys = keys.into_iter().map(|(id, key)| (id, hmac::Key::new(hmac::HMAC_SHA256, &key))).collect();
        let keys = Arc::new(keys);
        self.hmac.write().await.insert(purpose, Arc::clone(&keys));
        Ok(keys)
    }

    /// Drops the cached HMAC keys; they are read again when needed.
    pub(crate) async fn forget_hmac(&self) {
        self.hmac.write().await.clear();
    }

    /// The HMAC that tells a repeated command from another one with the same id.
    pub async fn fingerprint(&self, parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
        let keys = self.hmac_keys("fingerprint").await?;
        let (_, key) = keys.last().ok_or_else(|| failed("there is no fingerprint key"))?;
        let mut context = hmac::Context::with_key(key);
        for part in parts {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        Ok(context.sign().as_ref().to_vec())
    }

    /// Encrypts every new personal value; missing keys are made and committed first.
    pub async fn encrypt<T: Sensitive>(&self, items: &mut [T]) -> Result<(), EncryptError> {
        let mut owners: HashSet<(Uuid, Purpose)> = HashSet::new();
        for value in items.iter_mut().flat_map(Sensitive::personal) {
            owners.extend(value.pending_key());
        }
        if owners.is_empty() {
            return Ok(());
        }
        let keys = self.make(&owners).await?;
        for value in items.iter_mut().flat_map(Sensitive::personal) {
            encrypt_one(value, &keys)?;
        }
        Ok(())
    }

    /// Makes a subject's key if it is missing, so that processes that make no keys can encrypt with it.
    pub async fn ensure(&self, subject: Uuid, purpose: Purpose) -> Result<(), EncryptError> {
        self.make(&HashSet::from([(subject, purpose)])).await.map(drop)
    }

    async fn make(&self, owners: &HashSet<(Uuid, Purpose)>) -> Result<HashMap<String, Key>, EncryptError> {
        let kids: HashSet<String> =
            owners.iter().map(|(subject, purpose)| personal::kid(*subject, *purpose)).collect();
        let found = self.store.keys(&kids).await?;
        let missing: Vec<_> = owners
            .iter()
            .filter(|(subject, purpose)| found.get(&personal::kid(*subject, *purpose)) == Some(&Key::Missing))
            .collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let db = self.store.db();
        for (subject, purpose) in missing {
            let kid = personal::kid(*subject, *purpose);
            let (master, wrapped) = self.fresh(&kid)?;
            // Two processes may make it at once: the first key stays. A barred key is never made.
            let sql = "INSERT INTO @data_keys (kid, subject, purpose, master, wrapped) \
                       SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM @barred WHERE kid = $1) \
                       ON CONFLICT (kid) DO NOTHING";
            let values = [
                kid.into(),
                subject.to_string().into(),
                purpose.as_ref().into(),
                master.into(),
                wrapped.into(),
            ];
            db.connection.execute(db.statement(sql, values)).await.map_err(failed)?;
        }
        Ok(self.store.keys(&kids).await?)
    }

    /// Erases keys: existing ones become tombstones, and new ones are never made for these purposes.
    pub async fn erase(&self, subject: Uuid, purposes: &[Purpose]) -> Result<(), Error> {
        let db = self.store.db();
        for purpose in purposes {
            let kid = personal::kid(subject, *purpose);
            let bar = "INSERT INTO @barred (kid) VALUES ($1) ON CONFLICT (kid) DO NOTHING";
            db.connection.execute(db.statement(bar, [kid.as_str().into()])).await.map_err(failed)?;
            // A tombstone is written even if there was no key, so that none can ever be made.
            let erase = "INSERT INTO @data_keys (kid, subject, purpose, master, wrapped) VALUES ($1, $2, $3, '', NULL) \
                         ON CONFLICT (kid) DO UPDATE SET master = '', wrapped = NULL";
            let values = [kid.as_str().into(), subject.to_string().into(), purpose.as_ref().into()];
            db.connection.execute(db.statement(erase, values)).await.map_err(failed)?;
            self.store.evict(&kid);
        }
        Ok(())
    }
}

fn encrypt_one(value: &mut dyn PersonalValue, keys: &HashMap<String, Key>) -> Result<(), EncryptError> {
    let Some((subject, purpose)) = value.pending_key() else { return Ok(()) };
    let kid = personal::kid(subject, purpose);
    match keys.get(&kid) {
        Some(Key::Living(key)) => {
            let Some(text) = value.plaintext() else { return Ok(()) };
            let jwe = codec::encrypt(&kid, key, &text.map_err(failed)?).map_err(failed)?;
            value.set_jwe(jwe);
            Ok(())
        }
        // A barred key that was never made reads as missing.
        Some(Key::Tombstone | Key::Missing) | None => Err(EncryptError::Erased),
    }
}
