//! Making keys that sign, one after the other, and publishing them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::signature::KeyPair as _;
use sea_orm::ConnectionTrait as _;
use serde::Serialize;
use soonshop_domain::identity::signing_key::{Event, RetiredBy};
use soonshop_domain::ids;
use soonshop_event_log::codec;
use uuid::Uuid;

use crate::passwords::random;
use crate::signing::{AFTER, Signer, name, pair};
use crate::stored::{moment, uuid};
use crate::{Cause, Error, Identity};

/// How long a key is published before it signs; the first one signs at once.
const AHEAD: i64 = 5 * 60 * 1000;
/// How long it signs.
const SIGNS: i64 = 30 * 24 * 60 * 60 * 1000;

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

impl Identity {
    /// Makes the keys that must exist once. Done twice, it changes nothing.
    pub async fn prepare(&self) -> Result<(), Error> {
        self.keyring.prepare().await
    }

    /// The key that signs just now. The first one is made when the first session begins.
    pub(crate) async fn signer(&self) -> Result<Arc<Signer>, Error> {
        match self.signing.signer().await {
            Err(Error::NoSigningKey) => {
                self.make_key(&Cause::system(), None).await?;
                self.signing.signer().await
            }
            found => found,
        }
    }

    /// The keys of today, for whoever verifies tokens: also those that sign soon, and that signed lately.
    pub async fn jwks(&self) -> Result<Vec<Jwk>, Error> {
        let read = self.signing.published().await?;
        let now = read.now();
        let active = read.keys.iter().filter(|key| key.signs_until.is_none_or(|until| now < until + AFTER));
        Ok(active
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

    /// Makes a key: the first, or one that follows this newest one. False: another process was first.
    async fn make_key(&self, cause: &Cause, newest: Option<Uuid>) -> Result<bool, Error> {
        let (kid, mut seed) = (ids::new(), [0; 32]);
        random(&mut seed)?;
        let public = BASE64.encode(pair(&seed)?.public_key());
        let (master, wrapping) = self.signing.masters.current();
        let wrapped = codec::wrap(wrapping, &name(kid), &seed).map_err(Error::internal)?;
        let ahead = if newest.is_some() { AHEAD } else { 0 };
        let tx = self.begin().await?;
        // One at a time. On SQLite the first statement writes, which does the same.
        if !self.db.is_sqlite() {
            tx.execute_unprepared(&self.db.sql("LOCK TABLE @signing_keys IN EXCLUSIVE MODE")).await?;
        }
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
        self.signing.clear().await;
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
            self.signing.clear().await;
        }
        Ok(())
    }
}
