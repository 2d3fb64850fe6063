//! The keys of this namespace, wrapped by the master key: of hashed addresses, of refresh tokens, of links,
//! and of guests' tokens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ring::hmac;
use sea_orm::ConnectionTrait as _;
use soonshop_event_log::codec::{self, KeyBytes};
use soonshop_event_log::{Db, MasterKeys};
use tokio::sync::RwLock;
use tokio::time::Instant;

use crate::Error;
use crate::passwords::random;

/// The purpose of a key. The names are stored.
pub(crate) const ADDRESS: &str = "address";
pub(crate) const REFRESH: &str = "refresh";
pub(crate) const LINK: &str = "link";
pub(crate) const GUEST: &str = "guest";

/// How long an unknown number is taken for one that does not exist.
const KNOWN: Duration = Duration::from_secs(10);

type Keys = BTreeMap<(String, i32), hmac::Key>;

/// The keys that were read, and when.
type LastRead = Option<(Instant, Arc<Keys>)>;

/// The keys, read when they are needed first.
#[derive(Clone)]
pub(crate) struct Keyring {
    db: Db,
    masters: MasterKeys,
    read: Arc<RwLock<LastRead>>,
}

/// The name that a key is wrapped under.
fn name(purpose: &str, number: i32) -> String {
    format!("identity.{purpose}.{number}")
}

impl Keyring {
    pub(crate) fn new(db: Db, masters: MasterKeys) -> Self {
        Self { db, masters, read: Arc::default() }
    }

    /// Makes the first key of each purpose, where there is none.
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        for purpose in [ADDRESS, REFRESH, LINK, GUEST] {
            let mut key: KeyBytes = [0; 32];
            random(&mut key)?;
            let (master, wrapping) = self.masters.current();
            let wrapped = codec::wrap(wrapping, &name(purpose, 1), &key).map_err(Error::internal)?;
            let sql = "INSERT INTO @keys (use, number, master, wrapped) SELECT $1, 1, $2, $3 \
                       WHERE NOT EXISTS (SELECT 1 FROM @keys WHERE use = $1) ON CONFLICT DO NOTHING";
            let values = [purpose.into(), master.into(), wrapped.into()];
            self.db.connection.execute(self.db.statement(sql, values)).await?;
        }
        Ok(())
    }

    async fn load(&self) -> Result<Arc<Keys>, Error> {
        let sql = "SELECT use, number, master, wrapped FROM @keys";
        let mut keys = Keys::new();
        for row in self.db.connection.query_all(self.db.statement(sql, [])).await? {
            let (purpose, number): (String, i32) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let (master, wrapped): (String, String) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
            let key = self.masters.unwrap(&master, &name(&purpose, number), &wrapped)?;
            keys.insert((purpose, number), hmac::Key::new(hmac::HMAC_SHA256, &key));
        }
        let keys = Arc::new(keys);
        *self.read.write().await = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }

    /// The key of this number; `None`: there is none.
    pub(crate) async fn get(&self, purpose: &str, number: i32) -> Result<Option<hmac::Key>, Error> {
        let held = self.read.read().await.clone();
        if let Some((at, keys)) = held {
            let found = keys.get(&(purpose.to_owned(), number)).cloned();
            if found.is_some() || at.elapsed() < KNOWN {
                return Ok(found);
            }
        }
        Ok(self.load().await?.get(&(purpose.to_owned(), number)).cloned())
    }

    /// The newest key.
    pub(crate) async fn newest(&self, purpose: &str) -> Result<(i32, hmac::Key), Error> {
        let held = self.read.read().await.clone().map(|(_, keys)| keys).filter(|keys| !keys.is_empty());
        let keys = match held {
            Some(keys) => keys,
            None => self.load().await?,
        };
        let newest = keys.iter().rev().find(|((own, _), _)| own == purpose);
        let found = newest.map(|((_, number), key)| (*number, key.clone()));
        found.ok_or_else(|| Error::internal(format!("there is no {purpose} key: run `soonshop migrate`")))
    }
}
