//! Sessions: one function makes them, for every door; others look them up, list them, and end them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::identity::session::{BegunFrom, EndedBy, Event};
use soonshop_domain::{Personal, PersonalValue, Purpose, Sensitive, ids};
use uuid::Uuid;

use crate::access_token::{self, LIFE};
use crate::facts::Fact;
use crate::guess::Guess;
use crate::keyring::REFRESH;
use crate::passwords::random;
use crate::pending_token::PendingHash;
use crate::refresh_token::RefreshToken;
use crate::rule::FRESH_MINUTES;
use crate::store::Account;
use crate::stored::{HOUR, moment, uuid};
use crate::{Cause, Claims, Error, Identity, Roles};

/// The client that the shop itself is: its pages, and programs that sign in with a password.
pub const CLIENT: &str = "soonshop";

/// How long a session lasts at most: of staff a working day.
const LASTS: i64 = 30 * 24 * HOUR;
const LASTS_FOR_STAFF: i64 = 12 * HOUR;
/// How long a second factor that was given counts as fresh.
const FRESH: i64 = FRESH_MINUTES * 60 * 1000;
/// How many sessions an account begins within an hour, and has at a time.
const BEGUN_IN_AN_HOUR: i64 = 30;
const AT_A_TIME: i64 = 20;
/// How many characters of what a device says of itself are kept.
const DEVICE: usize = 200;

/// The kind of credentials that a session is held with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// An access token and a refresh token: a program.
    Tokens,
    /// The secret of a cookie: a browser.
    Cookie,
}

/// The credentials of a session. None of them is stored.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Tokens { access: String, refresh: String },
    Cookie([u8; 32]),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Means")
    }
}

/// A session that was begun, or gone on with.
#[derive(Debug, Clone)]
pub struct StartedSession {
    pub active: ActiveSession,
    pub credentials: Credentials,
    /// How many seconds the access token is valid.
    pub expires_in: i64,
}

/// A session that may be used, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveSession {
    pub account: Uuid,
    pub session: Uuid,
    pub roles: Vec<String>,
    /// Whether the account works for the shop.
    pub staff: bool,
    /// Its latest end.
    pub expires_at: DateTime<Utc>,
    pub factor: FactorGiven,
}

/// When a session gave a second factor last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorGiven {
    /// It has given none.
    Never,
    /// It gave one once, longer ago than counts for what asks for a fresh one.
    Before,
    /// Within the last five minutes.
    Fresh,
}

impl FactorGiven {
    /// By when it was given, as the session has it.
    pub(crate) fn at(proved_at: Option<i64>, now: i64) -> Self {
        match proved_at {
            None => Self::Never,
            Some(at) if now - at < FRESH => Self::Fresh,
            Some(_) => Self::Before,
        }
    }
}

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSession {
    pub id: Uuid,
    pub client: String,
    /// What the device said of itself; `None`: nothing, or it was erased.
    pub device: Option<String>,
    pub began_at: DateTime<Utc>,
    /// The last sign-in or refresh.
    pub used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// An account as it was read before its password was verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VerifiedAccount {
    pub(crate) account: Uuid,
    pub(crate) epoch: i64,
    pub(crate) generation: i64,
}

/// The parts of a new session.
pub(crate) struct NewSession<'a> {
    pub(crate) verified: VerifiedAccount,
    pub(crate) kind: CredentialKind,
    pub(crate) device: Option<&'a str>,
    /// A better hash, and the one that it replaces.
    pub(crate) upgrade: Option<(String, String)>,
    /// The second factor that was typed, and was counted; `None` at the first step.
    pub(crate) guess: Option<(PendingHash, Guess)>,
    pub(crate) cause: &'a Cause,
}

/// The name of a device.
struct Device(Personal<String>);

impl Sensitive for Device {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        vec![&mut self.0]
    }
}

/// The stored hash of a cookie's secret.
fn cookie_hash(secret: &[u8; 32]) -> String {
    STANDARD.encode(digest(&SHA256, secret))
}

impl Identity {
    /// Begins a session: whatever the door, the account is locked, and must be what it was when its password was
    /// verified. One with a second factor begins none without it: [`Error::SecondFactor`].
    pub(crate) async fn begin_session(&self, new: NewSession<'_>) -> Result<StartedSession, Error> {
        let NewSession { verified, kind, device, upgrade, guess, cause } = new;
        let device = self.sealed(verified.account, device).await;
        // Read first: they belong to other rows, and without them nothing begins.
        let signer = self.signer().await?;
        let (number, key) = self.keyring.newest(REFRESH).await?;
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, verified.account).await?.ok_or(Error::SignIn)?;
        if account.disabled || (account.epoch, account.generation) != (verified.epoch, verified.generation) {
            return Err(Error::SignIn);
        }
        if let Some((better, old)) = upgrade {
            let sql = "UPDATE @accounts SET password = $2 WHERE id = $1 AND password = $3";
            let values = [account.id.to_string().into(), better.into(), old.into()];
            tx.execute(self.db.statement(sql, values)).await?;
        }
        let now = self.now(&tx).await?;
        let staff = account.roles.is_staff();
        let session = ids::new();
        let by = cause.by_owner(account.id, staff, Some(session));
        let mut factors = vec!["password".to_owned()];
        match guess {
            None if self.has_factor(&tx, account.id).await? => {
                let pending = self.wait_for_factor(&tx, &account, now).await?;
                tx.commit().await?;
                return Err(Error::SecondFactor(pending));
            }
            None => {}
            Some((pending, guess)) => {
                if !self.waits(&tx, &pending, account.id, now).await? {
                    return Err(Error::SignInEnded);
                }
                let Some(given) = self.take(&tx, &mut account, &guess, now, &by).await? else {
                    // It waits on, unless this was the last code that is compared.
                    tx.commit().await?;
                    return Err(Error::WrongCode);
                };
                self.end_waiting(&tx, &pending).await?;
                factors.push(given.to_owned());
            }
        }
        let proved_at = (factors.len() > 1).then_some(now);
        self.make_room(&tx, &account, now, cause).await?;
        let expires_at = now + if staff { LASTS_FOR_STAFF } else { LASTS };
        let (credentials, cookie, token) = match kind {
            CredentialKind::Cookie => {
                let mut secret = [0; 32];
                random(&mut secret)?;
                (Credentials::Cookie(secret), Some(cookie_hash(&secret)), None)
            }
            CredentialKind::Tokens => {
                let token = RefreshToken::first(number, &key, session)?;
                let of = (account.id, session);
                let access =
                    access_token::sign((signer.kid, &signer.pair), of, CLIENT, "", now.div_euclid(1000))?;
                (Credentials::Tokens { access, refresh: token.text() }, None, Some(token.hash()))
            }
        };
        let sql = "INSERT INTO @sessions (id, account, epoch, client, device, cookie_hash, generation, refresh_key, token_hash, \
                   began_at, used_at, expires_at, proved_at) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $9, $10, $11)";
        let values = [
            session.to_string().into(),
            account.id.to_string().into(),
            account.epoch.into(),
            CLIENT.into(),
            device.into(),
            cookie.into(),
            number.into(),
            token.into(),
            now.into(),
            expires_at.into(),
            proved_at.into(),
        ];
        tx.execute(self.db.statement(sql, values)).await?;
        let expires_at = moment(expires_at)?;
        let event = Event::SessionStarted {
            account: account.id,
            client: CLIENT.to_owned(),
            factors,
            from: BegunFrom::SignIn,
            unusual: false,
            expires_at,
        };
        let fact = Fact { stream: session, number: 1, at: now, command: "session.start", cause: &by };
        self.record(&tx, fact, event).await?;
        tx.commit().await?;
        let factor = FactorGiven::at(proved_at, now);
        let roles = account.roles.all();
        let active = ActiveSession { account: account.id, session, roles, staff, expires_at, factor };
        Ok(StartedSession { active, credentials, expires_in: LIFE })
    }

    /// Refuses an account that begins sessions without end, and ends the oldest where it has too many.
    async fn make_room(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        now: i64,
        cause: &Cause,
    ) -> Result<(), Error> {
        let id = account.id.to_string();
        let sql = "SELECT count(*) FROM @sessions WHERE account = $1 AND began_at > $2";
        let row = tx.query_one(self.db.statement(sql, [id.as_str().into(), (now - HOUR).into()])).await?;
        if row.map(|row| row.try_get_by_index::<i64>(0)).transpose()?.unwrap_or(0) >= BEGUN_IN_AN_HOUR {
            return Err(Error::TooManySessions);
        }
        let sql = format!(
            "SELECT id FROM @sessions WHERE account = $1 AND epoch = $2 AND ended_at IS NULL AND expires_at > $3 \
             ORDER BY began_at DESC, id DESC LIMIT 100 OFFSET {}",
            AT_A_TIME - 1
        );
        let values = [id.into(), account.epoch.into(), now.into()];
        for row in tx.query_all(self.db.statement(&sql, values)).await? {
            let old = uuid(&row.try_get_by_index::<String>(0)?)?;
            self.end_one(tx, old, now, cause, EndedBy::TooMany).await?;
        }
        Ok(())
    }

    /// Ends a session that has not ended, with its fact. False: it had.
    pub(crate) async fn end_one(
        &self,
        tx: &DatabaseTransaction,
        session: Uuid,
        now: i64,
        cause: &Cause,
        reason: EndedBy,
    ) -> Result<bool, Error> {
        let sql = "UPDATE @sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL";
        let values = [session.to_string().into(), now.into()];
        if tx.execute(self.db.statement(sql, values)).await?.rows_affected() == 0 {
            return Ok(false);
        }
        self.record_end(tx, session, now, cause, reason).await?;
        Ok(true)
    }

    /// What the device says of itself, sealed with the key of the account; `None` where there is no such key.
    async fn sealed(&self, account: Uuid, device: Option<&str>) -> Option<String> {
        let text: String = device?.chars().filter(|letter| !letter.is_control()).take(DEVICE).collect();
        let mut value = Personal::new(text, account, Purpose::Account);
        if let Err(error) = self.people.encrypt(&mut value).await {
            tracing::info!(%error, "what a device says of itself is not kept");
            return None;
        }
        value.jwe().map(str::to_owned)
    }

    /// What an access token says, if it is one of this shop's and valid now. Whether its session is active is asked of
    /// [`active`](Self::active).
    pub async fn claims(&self, token: &str) -> Result<Option<Claims>, Error> {
        let now = soonshop_domain::clock::now().timestamp();
        // Nothing is looked up for what cannot be a token.
        let mut kid = None;
        let first = access_token::read(
            token,
            |asked| {
                kid = Some(asked);
                None
            },
            now,
        );
        debug_assert!(first.is_none(), "no key was given");
        let Some(kid) = kid else { return Ok(None) };
        let Some(public) = self.signing.public(kid).await? else { return Ok(None) };
        Ok(access_token::read(token, |_| Some(public), now))
    }

    /// The session of that id, if it may be used; read now.
    pub async fn active(&self, session: Uuid) -> Result<Option<ActiveSession>, Error> {
        self.living_where("id", session.to_string()).await
    }

    /// The session whose cookie has this secret, if it may be used; read now.
    pub async fn living_by_cookie(&self, secret: &[u8; 32]) -> Result<Option<ActiveSession>, Error> {
        self.living_where("cookie_hash", cookie_hash(secret)).await
    }

    async fn living_where(&self, column: &str, value: String) -> Result<Option<ActiveSession>, Error> {
        let now = self.db.now();
        let sql = format!(
            "SELECT s.id, s.account, a.roles, s.expires_at, s.proved_at, {now} FROM @sessions s JOIN @accounts a ON a.id = s.account \
             WHERE s.{column} = $1 AND s.ended_at IS NULL AND s.expires_at > {now} AND s.epoch = a.epoch \
             AND a.disabled_at IS NULL"
        );
        let row = self.db.connection.query_one(self.db.statement(&sql, [value.into()])).await?;
        let Some(row) = row else { return Ok(None) };
        let roles = Roles::read(&row.try_get_by_index::<String>(2)?)?;
        Ok(Some(ActiveSession {
            session: uuid(&row.try_get_by_index::<String>(0)?)?,
            account: uuid(&row.try_get_by_index::<String>(1)?)?,
            staff: roles.is_staff(),
            roles: roles.all(),
            expires_at: moment(row.try_get_by_index(3)?)?,
            factor: FactorGiven::at(row.try_get_by_index(4)?, row.try_get_by_index(5)?),
        }))
    }

    /// The sessions of an account that may be used, the newest first.
    pub async fn sessions(&self, account: Uuid) -> Result<Vec<ListedSession>, Error> {
        let now = self.db.now();
        let sql = format!(
            "SELECT s.id, s.client, s.device, s.began_at, s.used_at, s.expires_at FROM @sessions s \
             JOIN @accounts a ON a.id = s.account WHERE s.account = $1 AND s.ended_at IS NULL AND s.expires_at > {now} \
             AND s.epoch = a.epoch AND a.disabled_at IS NULL ORDER BY s.began_at DESC, s.id DESC"
        );
        let mut all = Vec::new();
        for row in self.db.connection.query_all(self.db.statement(&sql, [account.to_string().into()])).await?
        {
            let device: Option<String> = row.try_get_by_index(2)?;
            all.push(ListedSession {
                id: uuid(&row.try_get_by_index::<String>(0)?)?,
                client: row.try_get_by_index(1)?,
                device: self.opened(device).await?,
                began_at: moment(row.try_get_by_index(3)?)?,
                used_at: moment(row.try_get_by_index(4)?)?,
                expires_at: moment(row.try_get_by_index(5)?)?,
            });
        }
        Ok(all)
    }

    async fn opened(&self, jwe: Option<String>) -> Result<Option<String>, Error> {
        let Some(jwe) = jwe else { return Ok(None) };
        let value: Personal<String> = serde_json::from_value(jwe.into()).map_err(Error::internal)?;
        let mut device = Device(value);
        let damaged = self.people.decrypt(&mut [&mut device]).await?;
        if let Some((_, reason)) = damaged.first() {
            tracing::warn!(reason, "what a device said of itself cannot be read");
        }
        Ok(device.0.get().cloned())
    }

    /// Ends one session of an account. False: it has none of that id.
    pub async fn end_session(
        &self,
        account: Uuid,
        session: Uuid,
        reason: EndedBy,
        cause: &Cause,
    ) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let Some(locked) = self.lock(&tx, account).await? else { return Ok(false) };
        let sql = "SELECT 1 FROM @sessions WHERE id = $1 AND account = $2 AND epoch = $3 AND ended_at IS NULL AND expires_at > $4";
        let now = self.now(&tx).await?;
        let values =
            [session.to_string().into(), account.to_string().into(), locked.epoch.into(), now.into()];
        if tx.query_one(self.db.statement(sql, values)).await?.is_none() {
            return Ok(false);
        }
        self.end_one(&tx, session, now, cause, reason).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends the session whose cookie has this secret, if there is one.
    pub async fn end_by_cookie(&self, secret: &[u8; 32], cause: &Cause) -> Result<Option<Uuid>, Error> {
        let Some(active) = self.living_by_cookie(secret).await? else { return Ok(None) };
        let cause = cause.by_owner(active.account, active.staff, Some(active.session));
        let ended = self.end_session(active.account, active.session, EndedBy::SignedOut, &cause).await?;
        Ok(ended.then_some(active.session))
    }
}
