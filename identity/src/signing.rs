//! The keys that sign access tokens. Each is published for a while before it signs, and after it signs no more, so that
//! nobody meets a token whose key is not known yet, or not any more.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::signature::Ed25519KeyPair;
use sea_orm::ConnectionTrait as _;
use soonshop_event_log::codec::KeyBytes;
use soonshop_event_log::{Db, MasterKeys};
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::Error;
use crate::access_token::{LIFE, SKEW};
use crate::stored::{milliseconds, uuid};

/// How long it is published after it signed last.
pub(crate) const AFTER: i64 = (LIFE + SKEW) * 1000;
/// How long keys that were read are used without another look.
const FRESH: Duration = Duration::from_secs(30);
/// A process that read the keys longer ago signs nothing.
const STALE: Duration = Duration::from_secs(60);

/// A key that verifies, with its times in milliseconds since 1970.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) kid: Uuid,
    pub(crate) public: [u8; 32],
    pub(crate) signs_until: Option<i64>,
}

/// The keys as they were read at a moment.
pub(crate) struct Read<T> {
    at: Instant,
    /// The database's clock at that moment.
    now: i64,
    pub(crate) keys: T,
}

impl<T> Read<T> {
    pub(crate) fn now(&self) -> i64 {
        self.now + milliseconds(self.at.elapsed())
    }
}

/// A key that signs now.
pub(crate) struct Signer {
    pub(crate) kid: Uuid,
    pub(crate) pair: Ed25519KeyPair,
}

type Held<T> = Arc<Mutex<Option<Arc<Read<T>>>>>;

/// The signing keys, as this process read them last.
#[derive(Clone)]
pub(crate) struct Signing {
    db: Db,
    pub(crate) masters: MasterKeys,
    published: Held<Vec<Published>>,
    signer: Held<Arc<Signer>>,
}

impl Signing {
    pub(crate) fn new(db: Db, masters: MasterKeys) -> Self {
        Self { db, masters, published: Held::default(), signer: Held::default() }
    }

    pub(crate) async fn published(&self) -> Result<Arc<Read<Vec<Published>>>, Error> {
        let mut held = self.published.lock().await;
        if let Some(read) = held.as_ref().filter(|read| read.at.elapsed() < FRESH && !read.keys.is_empty()) {
            return Ok(Arc::clone(read));
        }
        match self.read_published().await {
            Ok(read) => {
                let read = Arc::new(read);
                *held = Some(Arc::clone(&read));
                Ok(read)
            }
            // To verify with keys that were known is right for as long as their tokens live.
            Err(error) => held.clone().ok_or(error),
        }
    }

    async fn read_published(&self) -> Result<Read<Vec<Published>>, Error> {
        let at = Instant::now();
        let now = self.db.now();
        let sql = format!(
            "SELECT kid, public_key, signs_until, {now} FROM @signing_keys \
             WHERE signs_until IS NULL OR signs_until + $1 > {now} ORDER BY made_at, kid"
        );
        let rows = self.db.connection.query_all(self.db.statement(&sql, [AFTER.into()])).await?;
        let (mut keys, mut clock) = (Vec::new(), 0);
        for row in rows {
            let public: String = row.try_get_by_index(1)?;
            let public = BASE64.decode(public).ok().and_then(|public| public.try_into().ok());
            keys.push(Published {
                kid: uuid(&row.try_get_by_index::<String>(0)?)?,
                public: public.ok_or_else(|| Error::internal("a stored public key cannot be read"))?,
                signs_until: row.try_get_by_index(2)?,
            });
            clock = row.try_get_by_index(3)?;
        }
        Ok(Read { at, now: clock, keys })
    }

    /// The public key of that id, while it is published.
    pub(crate) async fn public(&self, kid: Uuid) -> Result<Option<[u8; 32]>, Error> {
        let read = self.published().await?;
        let now = read.now();
        let active = |key: &&Published| key.signs_until.is_none_or(|until| now < until + AFTER);
        Ok(read.keys.iter().filter(active).find(|key| key.kid == kid).map(|key| key.public))
    }

    /// The key that signs just now.
    pub(crate) async fn signer(&self) -> Result<Arc<Signer>, Error> {
        let mut held = self.signer.lock().await;
        if let Some(read) = held.as_ref().filter(|read| read.at.elapsed() < FRESH) {
            return Ok(Arc::clone(&read.keys));
        }
        match self.read_signer().await {
            Ok(read) => {
                let signer = Arc::clone(&read.keys);
                *held = Some(Arc::new(read));
                Ok(signer)
            }
            Err(error) => {
                let known = held.as_ref().filter(|read| read.at.elapsed() < STALE);
                tracing::warn!(%error, usable = known.is_some(), "the signing keys cannot be read");
                known.map(|read| Arc::clone(&read.keys)).ok_or(Error::NoSigningKey)
            }
        }
    }

    async fn read_signer(&self) -> Result<Read<Arc<Signer>>, Error> {
        let at = Instant::now();
        let now = self.db.now();
        let sql = format!(
            "SELECT kid, master, private_key, {now} FROM @signing_keys WHERE private_key IS NOT NULL \
             AND signs_from <= {now} AND (signs_until IS NULL OR signs_until > {now}) ORDER BY signs_from DESC, kid DESC LIMIT 1"
        );
        let row = self.db.connection.query_one(self.db.statement(&sql, [])).await?;
        let row = row.ok_or(Error::NoSigningKey)?;
        let kid = uuid(&row.try_get_by_index::<String>(0)?)?;
        let (master, wrapped): (String, String) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let seed = self.masters.unwrap(&master, &name(kid), &wrapped)?;
        let pair = pair(&seed)?;
        Ok(Read { at, now: row.try_get_by_index(3)?, keys: Arc::new(Signer { kid, pair }) })
    }

    /// Reads them again the next time: this process changed them.
    pub(crate) async fn clear(&self) {
        *self.published.lock().await = None;
        *self.signer.lock().await = None;
    }
}

/// The name that a private key is wrapped under.
pub(crate) fn name(kid: Uuid) -> String {
    format!("identity.signing.{kid}")
}

pub(crate) fn pair(seed: &KeyBytes) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Error::internal("a signing key cannot be used"))
}
