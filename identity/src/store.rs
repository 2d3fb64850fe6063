//! The tables of accounts, and what every change of them begins with.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, TransactionTrait as _};
use soonshop_event_log::{Db, KeyStore};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

use crate::keyring::{ADDRESS, Keyring};
use crate::new_guests::NewGuests;
use crate::passwords::{Cost, Hasher};
use crate::signing::Signing;
use crate::stored::{milliseconds, uuid};
use crate::verified::VerifiedTokens;
use crate::{Error, IdleLimits, RelyingParty, Roles};

/// Accounts and their sessions.
#[derive(Clone)]
pub struct Identity {
    pub(crate) db: Db,
    /// People's keys: those of their devices' names.
    pub(crate) people: KeyStore,
    pub(crate) keyring: Keyring,
    pub(crate) hasher: Hasher,
    pub(crate) signing: Signing,
    pub(crate) verified: VerifiedTokens,
    pub(crate) idle: IdleLimits,
    pub(crate) new_guests: Arc<NewGuests>,
    /// `None`: there are no passkeys.
    pub(crate) relying_party: Option<Arc<RelyingParty>>,
    began: Instant,
    started_at: Arc<OnceCell<i64>>,
}

/// An account as it is stored, locked until the transaction ends.
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) roles: Roles,
    pub(crate) disabled: bool,
    pub(crate) epoch: i64,
    pub(crate) password: Option<String>,
    pub(crate) generation: i64,
    pub(crate) number: i64,
    /// The tag of the language of its mails: that of the last sign-in.
    pub(crate) language: String,
}

pub(crate) const ACCOUNT: &str =
    "id, roles, disabled_at, epoch, password, password_generation, number, language";

impl Account {
    pub(crate) fn read(row: &QueryResult) -> Result<Self, Error> {
        Ok(Self {
            id: uuid(&row.try_get_by_index::<String>(0)?)?,
            roles: Roles::read(&row.try_get_by_index::<String>(1)?)?,
            disabled: row.try_get_by_index::<Option<i64>>(2)?.is_some(),
            epoch: row.try_get_by_index(3)?,
            password: row.try_get_by_index(4)?,
            generation: row.try_get_by_index(5)?,
            number: row.try_get_by_index(6)?,
            language: row.try_get_by_index(7)?,
        })
    }
}

impl Identity {
    /// `db` is the namespace `identity`, `people` has the keys of people's data. Nothing is connected yet.
    pub fn new(db: Db, people: KeyStore, cost: Cost) -> Self {
        let masters = people.masters().clone();
        Self {
            keyring: Keyring::new(db.clone(), masters.clone()),
            hasher: Hasher::new(cost),
            signing: Signing::new(db.clone(), masters),
            verified: VerifiedTokens::default(),
            idle: IdleLimits::default(),
            new_guests: Arc::default(),
            relying_party: None,
            db,
            people,
            began: Instant::now(),
            started_at: Arc::default(),
        }
    }

    /// Begins a change. What is committed stays, also where the server is told to be quick.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, Error> {
        let tx = self.db.connection.begin().await?;
        if !self.db.is_sqlite() {
            tx.execute_unprepared("SET LOCAL synchronous_commit TO on").await?;
        }
        Ok(tx)
    }

    /// Milliseconds since 1970 by the database's clock.
    pub(crate) async fn now(&self, on: &impl ConnectionTrait) -> Result<i64, Error> {
        let row = on.query_one(self.db.statement(&format!("SELECT {}", self.db.now()), [])).await?;
        let row = row.ok_or_else(|| Error::internal("the database gave no time"))?;
        Ok(row.try_get_by_index(0)?)
    }

    /// When this process started, by the database's clock.
    pub(crate) async fn started_at(&self) -> Result<i64, Error> {
        let started = self.started_at.get_or_try_init(|| async {
            let now = self.now(&self.db.connection).await?;
            Ok::<_, Error>(now - milliseconds(self.began.elapsed()))
        });
        started.await.copied()
    }

    /// Locks an account for the transaction, which nothing else may have begun with: on SQLite the first statement of
    /// one that changes something has to write.
    pub(crate) async fn lock(&self, tx: &DatabaseTransaction, id: Uuid) -> Result<Option<Account>, Error> {
        let id = id.to_string();
        let lock = if self.db.is_sqlite() {
            let sql = "UPDATE @accounts SET number = number WHERE id = $1";
            tx.execute(self.db.statement(sql, [id.as_str().into()])).await?;
            ""
        } else {
            " FOR UPDATE"
        };
        let sql = format!("SELECT {ACCOUNT} FROM @accounts WHERE id = $1{lock}");
        let row = tx.query_one(self.db.statement(&sql, [id.into()])).await?;
        row.as_ref().map(Account::read).transpose()
    }

    /// The stored form of an e-mail address: an HMAC of it in NFC, with the letters of ASCII in lower case. Other letters
    /// have no case here: what looks alike is not the same mailbox.
    pub(crate) async fn address(&self, typed: &str) -> Result<String, Error> {
        // Nor is a letter one of ASCII that only looks like it, such as the sign of kelvin, of which NFC makes a K.
        let imitates = typed.chars().any(|one| !one.is_ascii() && one.nfc().all(|nfc| nfc.is_ascii()));
        let address: String = if imitates { typed.trim().to_owned() } else { typed.trim().nfc().collect() };
        let (_, key) = self.keyring.newest(ADDRESS).await?;
        Ok(STANDARD.encode(hmac::sign(&key, address.to_ascii_lowercase().as_bytes())))
    }
}
