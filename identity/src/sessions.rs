//! Sessions: how they are looked up, listed, and ended.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::identity::session::EndedBy;
use soonshop_domain::{Personal, PersonalValue, Purpose, Sensitive};
use uuid::Uuid;

use crate::access_token;
use crate::own_roles::permitted;
use crate::rule::FRESH_MINUTES;
use crate::stored::{moment, uuid};
use crate::{Cause, Claims, Error, Identity, Roles, token_bytes};

/// The client that the shop itself is: its pages, and programs that sign in with a password.
pub const CLIENT: &str = "soonshop";

/// How long a second factor that was given counts as fresh.
const FRESH: i64 = FRESH_MINUTES * 60 * 1000;
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
    /// The token by which the device is known from now on; `None`: the session goes on, and nobody signed in.
    pub device_token: Option<String>,
}

/// A session that may be used, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveSession {
    pub account: Uuid,
    pub session: Uuid,
    pub roles: Vec<String>,
    /// What those of them permit that the shop defined.
    pub permissions: Vec<String>,
    /// Whether the account works for the shop.
    pub staff: bool,
    /// Its latest end.
    pub expires_at: DateTime<Utc>,
    pub factor: FactorGiven,
    /// Who holds it: [`CLIENT`], or the id of a client of OAuth.
    pub client: String,
    /// What a client of OAuth may; empty for the shop itself, which is not limited so.
    pub scope: String,
}

impl ActiveSession {
    /// Whether the shop itself holds it, so that it may change the account.
    pub fn is_own(&self) -> bool {
        self.client == CLIENT
    }
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
    /// The name of a client of OAuth.
    pub client_name: Option<String>,
    /// What the device said of itself; `None`: nothing, or it was erased.
    pub device: Option<String>,
    pub began_at: DateTime<Utc>,
    /// To about a minute.
    pub used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// That the client of a session `s` is not removed: no session of one that is lives on.
pub(crate) const OF_A_CLIENT: &str = "(s.client = 'soonshop' OR EXISTS \
                           (SELECT 1 FROM @clients c WHERE c.id = s.client AND c.removed_at IS NULL))";

/// The name of a device.
struct Device(Personal<String>);

impl Sensitive for Device {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        vec![&mut self.0]
    }
}

/// The stored hash of a cookie's secret.
pub(crate) fn cookie_hash(secret: &[u8; 32]) -> String {
    token_bytes::hash(secret)
}

impl Identity {
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
    pub(crate) async fn sealed(&self, account: Uuid, device: Option<&str>) -> Option<String> {
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
        let Some(kid) = access_token::kid(token) else { return Ok(None) };
        // Also of a token that was verified before: a key that is not published any more signs nothing.
        let Some(public) = self.signing.public(kid).await? else { return Ok(None) };
        let claims = self.verified.claims(token, || access_token::read(token, |_| Some(public)));
        Ok(claims.filter(|claims| claims.are_timely(now)))
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
        let (now, defined) = (self.db.now(), self.defined_roles_in_one());
        let sql = format!(
            "SELECT s.id, s.account, a.roles, s.expires_at, s.proved_at, {now}, s.client, s.scope, {defined}, s.provider, s.used_at FROM @sessions s JOIN @accounts a ON a.id = s.account \
             WHERE s.{column} = $1 AND s.ended_at IS NULL AND s.expires_at > {now} AND s.epoch = a.epoch \
             AND a.disabled_at IS NULL AND {OF_A_CLIENT}"
        );
        let row = self.db.connection.query_one(self.db.statement(&sql, [value.into()])).await?;
        let Some(row) = row else { return Ok(None) };
        let provider: Option<String> = row.try_get_by_index(9)?;
        let roles = Roles::read(&row.try_get_by_index::<String>(2)?)?.in_session(provider.as_deref());
        let (now, used_at): (i64, i64) = (row.try_get_by_index(5)?, row.try_get_by_index(10)?);
        if self.idle.are_over(roles.is_staff(), used_at, now) {
            return Ok(None);
        }
        let session: String = row.try_get_by_index(0)?;
        self.note_use(&session, used_at, now).await;
        Ok(Some(ActiveSession {
            session: uuid(&session)?,
            account: uuid(&row.try_get_by_index::<String>(1)?)?,
            staff: roles.is_staff(),
            permissions: permitted(row.try_get_by_index::<Option<String>>(8)?.as_deref(), &roles),
            roles: roles.all(),
            expires_at: moment(row.try_get_by_index(3)?)?,
            client: row.try_get_by_index(6)?,
            scope: row.try_get_by_index(7)?,
            factor: FactorGiven::at(row.try_get_by_index(4)?, now),
        }))
    }

    /// The sessions of an account that may be used, the newest first.
    pub async fn sessions(&self, account: Uuid) -> Result<Vec<ListedSession>, Error> {
        let now = self.db.now();
        let sql = format!(
            "SELECT s.id, s.client, s.device, s.began_at, s.used_at, s.expires_at, k.name, a.roles, {now}, s.provider FROM @sessions s \
             JOIN @accounts a ON a.id = s.account LEFT JOIN @clients k ON k.id = s.client WHERE s.account = $1 AND s.ended_at IS NULL AND s.expires_at > {now} \
             AND s.epoch = a.epoch AND a.disabled_at IS NULL AND {OF_A_CLIENT} ORDER BY s.began_at DESC, s.id DESC"
        );
        let mut all = Vec::new();
        for row in self.db.connection.query_all(self.db.statement(&sql, [account.to_string().into()])).await?
        {
            let provider: Option<String> = row.try_get_by_index(9)?;
            let roles = Roles::read(&row.try_get_by_index::<String>(7)?)?.in_session(provider.as_deref());
            let used_at: i64 = row.try_get_by_index(4)?;
            if self.idle.are_over(roles.is_staff(), used_at, row.try_get_by_index(8)?) {
                continue;
            }
            let device: Option<String> = row.try_get_by_index(2)?;
            all.push(ListedSession {
                id: uuid(&row.try_get_by_index::<String>(0)?)?,
                client: row.try_get_by_index(1)?,
                client_name: row.try_get_by_index(6)?,
                device: self.opened(device).await?,
                began_at: moment(row.try_get_by_index(3)?)?,
                used_at: moment(used_at)?,
                expires_at: moment(row.try_get_by_index(5)?)?,
            });
        }
        Ok(all)
    }

    /// Opens what was sealed with the key of the account; `None`: there is nothing, or it was erased.
    pub(crate) async fn opened(&self, jwe: Option<String>) -> Result<Option<String>, Error> {
        let Some(jwe) = jwe else { return Ok(None) };
        let value: Personal<String> = serde_json::from_value(jwe.into()).map_err(Error::internal)?;
        let mut device = Device(value);
        let damaged = self.people.decrypt(&mut [&mut device]).await?;
        if let Some((_, reason)) = damaged.first() {
            tracing::warn!(reason, "the name of a device or of a passkey cannot be read");
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
        if reason == EndedBy::Revoked {
            self.forget_device_of(&tx, account, session, cause.session).await?;
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
