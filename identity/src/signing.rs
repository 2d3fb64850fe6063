//! The keys that sign access tokens. Each is published for a while before it signs, and after it signs no more, so that
//! nobody meets a token whose key is not known yet, or not any more.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sea_orm::ConnectionTrait as _;
use serde::Serialize;
use soonshop_domain::identity::signing_key::{Event, RetiredBy};
use soonshop_domain::ids;
use soonshop_event_log::codec::{self, KeyBytes};
use soonshop_event_log::{Db, MasterKeys};
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::access_token::{LIFE, SKEW};
use crate::passwords::random;
use crate::store::{milliseconds, moment, uuid};
use crate::{Cause, Error, Identity};

/// How long a key is published before it signs; the first one signs at once.
const AHEAD: i64 = 5 * 60 * 1000;
/// How long it is published after it signed last.
const AFTER: i64 = (LIFE + SKEW) * 1000;
/// How long it signs.
const SIGNS: i64 = 30 * 24 * 60 * 60 * 1000;
/// How long keys that were read are used without another look.
const FRESH: Duration = Duration::from_secs(30);
/// Who read the keys longer ago signs nothing.
const STALE: Duration = Duration::from_secs(60);

/// A key that verifies, with its times in milliseconds since 1970.
#[derive(Debug, Clone)]
struct Published {
    kid: Uuid,
    public: [u8; 32],
    signs_until: Option<i64>,
}

/// What was read at a moment.
struct Read<T> {
    at: Instant,
    /// The database's clock at that moment.
    now: i64,
    keys: T,
}

impl<T> Read<T> {
    fn now(&self) -> i64 {
        self.now + milliseconds(self.at.elapsed())
    }
}

/// A key that signs now.
pub(crate) struct Signer {
    pub(crate) kid: Uuid,
    pub(crate) pair: Ed25519KeyPair,
}

/// A key as RFC 7517 and RFC 8037 have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    pub kty: &'static str,
    pub crv: &'static str,
    pub alg: &'static str,
    #[serde(rename = "use")]
    pub usage: &'static str,
    pub kid: String,
    pub x: String,
}

type Held<T> = Arc<Mutex<Option<Arc<Read<T>>>>>;

/// The signing keys, as this process read them last.
#[derive(Clone)]
pub(crate) struct Signing {
    db: Db,
    masters: MasterKeys,
    published: Held<Vec<Published>>,
    signer: Held<Arc<Signer>>,
}

impl Signing {
    pub(crate) fn new(db: Db, masters: MasterKeys) -> Self {
        Self { db, masters, published: Held::default(), signer: Held::default() }
    }

    async fn published(&self) -> Result<Arc<Read<Vec<Published>>>, Error> {
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
        let living = |key: &&Published| key.signs_until.is_none_or(|until| now < until + AFTER);
        Ok(read.keys.iter().filter(living).find(|key| key.kid == kid).map(|key| key.public))
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
    async fn forget(&self) {
        *self.published.lock().await = None;
        *self.signer.lock().await = None;
    }
}

/// The name that a private key is wrapped under.
fn name(kid: Uuid) -> String {
    format!("identity.signing.{kid}")
}

fn pair(seed: &KeyBytes) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Error::internal("a signing key cannot be used"))
}

impl Identity {
    /// The keys of today, for whoever verifies tokens: also those that sign soon, and that signed lately.
    pub async fn jwks(&self) -> Result<Vec<Jwk>, Error> {
        let read = self.signing.published().await?;
        let now = read.now();
        let living = read.keys.iter().filter(|key| key.signs_until.is_none_or(|until| now < until + AFTER));
        Ok(living
            .map(|key| Jwk {
                kty: "OKP",
                crv: "Ed25519",
                alg: "EdDSA",
                usage: "sig",
                kid: key.kid.to_string(),
                x: BASE64.encode(key.public),
            })
            .collect())
    }

    /// Makes a key that signs at once, if there is none that signs or will.
    pub(crate) async fn make_first_key(&self, cause: &Cause) -> Result<(), Error> {
        self.make_key(cause, None).await.map(drop)
    }

    /// Makes a key: the first, or one that follows this newest one. False: another process was first.
    async fn make_key(&self, cause: &Cause, newest: Option<Uuid>) -> Result<bool, Error> {
        let (kid, mut seed) = (ids::new(), [0; 32]);
        random(&mut seed)?;
        let public = BASE64.encode(pair(&seed)?.public_key());
        let (master, wrapping) = self.signing.masters.current();
        let wrapped = codec::wrap(wrapping, &name(kid), &seed).map_err(Error::internal)?;
        let ahead = if newest.is_some() { AHEAD } else { 0 };
        let tx = self.begin().await?;
        // The first statement writes, so that on SQLite nobody comes between.
        if let Some(newest) = newest {
            let sql = format!(
                "UPDATE @signing_keys SET signs_until = {} + $2 WHERE kid = $1 AND signs_until IS NULL",
                self.db.now()
            );
            let values = [newest.to_string().into(), ahead.into()];
            if tx.execute(self.db.statement(&sql, values)).await?.rows_affected() == 0 {
                return Ok(false);
            }
        }
        let sql = format!(
            "INSERT INTO @signing_keys (kid, public_key, master, private_key, made_at, signs_from) \
             SELECT $1, $2, $3, $4, {now}, {now} + $5 \
             WHERE NOT EXISTS (SELECT 1 FROM @signing_keys WHERE signs_until IS NULL) RETURNING made_at, signs_from",
            now = self.db.now()
        );
        let values = [kid.to_string().into(), public.into(), master.into(), wrapped.into(), ahead.into()];
        let Some(row) = tx.query_one(self.db.statement(&sql, values)).await? else { return Ok(false) };
        let (made_at, signs_from): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if let Some(newest) = newest {
            let sql = "UPDATE @signing_keys SET signs_until = $2 WHERE kid = $1";
            tx.execute(self.db.statement(sql, [newest.to_string().into(), signs_from.into()])).await?;
        }
        let event = Event::SigningKeyMade { kid: kid.to_string(), signs_from: moment(signs_from)? };
        self.record_of_key(&tx, (kid, 1), made_at, cause, event).await?;
        tx.commit().await?;
        self.signing.forget().await;
        Ok(true)
    }

    /// Makes the key that follows the one that signs: by its age, or at once.
    async fn rotate_if(&self, cause: &Cause, age: i64) -> Result<bool, Error> {
        let sql = format!(
            "SELECT kid FROM @signing_keys WHERE signs_until IS NULL AND signs_from + $1 <= {}",
            self.db.now()
        );
        let row = self.db.connection.query_one(self.db.statement(&sql, [age.into()])).await?;
        let Some(row) = row else { return Ok(false) };
        let newest = uuid(&row.try_get_by_index::<String>(0)?)?;
        self.make_key(cause, Some(newest)).await
    }

    /// Makes another key, which signs after it was published for five minutes. False: one is on its way already.
    pub async fn rotate(&self, cause: &Cause) -> Result<bool, Error> {
        self.rotate_if(cause, 0).await
    }

    /// Makes a key where one is due, and takes the private keys of those that sign no more. To be called by one process
    /// at a time.
    pub(crate) async fn tend_keys(&self) -> Result<(), Error> {
        let cause = Cause::system();
        self.make_first_key(&cause).await?;
        self.rotate_if(&cause, SIGNS).await?;
        let now = self.db.now();
        let sql = format!(
            "SELECT kid FROM @signing_keys WHERE signs_until <= {now} AND retired_at IS NULL ORDER BY signs_until"
        );
        for row in self.db.connection.query_all(self.db.statement(&sql, [])).await? {
            let kid = uuid(&row.try_get_by_index::<String>(0)?)?;
            let tx = self.begin().await?;
            let sql = format!(
                "UPDATE @signing_keys SET retired_at = {now}, private_key = NULL \
                 WHERE kid = $1 AND retired_at IS NULL RETURNING retired_at"
            );
            let row = tx.query_one(self.db.statement(&sql, [kid.to_string().into()])).await?;
            let Some(row) = row else { continue };
            let event = Event::SigningKeyRetired { kid: kid.to_string(), reason: RetiredBy::Rotated };
            self.record_of_key(&tx, (kid, 2), row.try_get_by_index(0)?, &cause, event).await?;
            tx.commit().await?;
            self.signing.forget().await;
        }
        Ok(())
    }
}
