//! Sessions that nobody uses end. It is judged wherever a session is looked up or goes on, by the moment of its last use,
//! which is written once a minute at most; a worker writes down what ended so.

use sea_orm::ConnectionTrait as _;
use soonshop_domain::identity::session::EndedBy;
use uuid::Uuid;

use crate::beginning::LASTS;
use crate::sessions::{OF_A_CLIENT, cookie_hash};
use crate::stored::uuid;
use crate::{Cause, Error, Identity, IdleLimits, Roles};

/// How long the use of a session is not written again, in milliseconds. A session may end so much earlier than its limit,
/// and never later: each look at one that is older writes.
const WRITTEN: i64 = 60_000;

/// How many sessions a worker ends at a time.
const AT_A_TIME: u32 = 1_000;

impl Identity {
    /// With other limits than those of a shop where nothing is set.
    #[must_use]
    pub fn with_idle_limits(mut self, idle: IdleLimits) -> Self {
        self.idle = idle;
        self
    }

    /// Writes down that a session is used now, unless that was written a moment ago.
    pub(crate) async fn note_use(&self, session: &str, used_at: i64, now: i64) {
        if now - used_at < WRITTEN {
            return;
        }
        let sql = "UPDATE @sessions SET used_at = $2 WHERE id = $1 AND used_at < $2 AND ended_at IS NULL";
        let values = [session.into(), now.into()];
        if let Err(error) = self.db.connection.execute(self.db.statement(sql, values)).await {
            tracing::warn!(%error, "the use of a session could not be stored: it may end early");
        }
    }

    /// Whether the session whose cookie has this secret ended because nobody used it.
    pub async fn was_idle(&self, secret: &[u8; 32]) -> Result<bool, Error> {
        let now = self.db.now();
        let sql = format!(
            "SELECT a.roles, s.used_at, coalesce(s.ended_at, {now}), s.provider FROM @sessions s JOIN @accounts a ON a.id = s.account \
             WHERE s.cookie_hash = $1 AND s.expires_at > {now} AND s.epoch = a.epoch AND a.disabled_at IS NULL"
        );
        let values = [cookie_hash(secret).into()];
        let Some(row) = self.db.connection.query_one(self.db.statement(&sql, values)).await? else {
            return Ok(false);
        };
        let provider: Option<String> = row.try_get_by_index(3)?;
        let roles = Roles::read(&row.try_get_by_index::<String>(0)?)?;
        let staff = roles.in_session(provider.as_deref()).is_staff();
        Ok(self.idle.are_over(staff, row.try_get_by_index(1)?, row.try_get_by_index(2)?))
    }

    /// Ends the sessions that were not used for too long, with their facts.
    pub(crate) async fn end_idle(&self) -> Result<(), Error> {
        let (staff, customers) = (self.idle.of(true), self.idle.of(false));
        // Who worked here once may be a customer now: of those it is decided when they are read.
        self.end_idle_where("a.staff_since IS NOT NULL", staff.min(customers)).await?;
        // A session that lasts no longer than its limit needs none.
        if customers < LASTS {
            self.end_idle_where("a.staff_since IS NULL", customers).await?;
        }
        Ok(())
    }

    async fn end_idle_where(&self, whose: &str, limit: i64) -> Result<(), Error> {
        let now = self.db.now();
        let sql = format!(
            "SELECT s.id, s.account, s.used_at, a.roles, {now}, s.provider FROM @sessions s JOIN @accounts a ON a.id = s.account \
             WHERE {whose} AND s.ended_at IS NULL AND s.expires_at > {now} AND s.epoch = a.epoch \
             AND a.disabled_at IS NULL AND {OF_A_CLIENT} AND s.used_at <= {now} - $1 ORDER BY s.used_at, s.id LIMIT {AT_A_TIME}"
        );
        for row in self.db.connection.query_all(self.db.statement(&sql, [limit.into()])).await? {
            let (session, account): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let (used_at, roles): (i64, String) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
            let provider: Option<String> = row.try_get_by_index(5)?;
            let staff = Roles::read(&roles)?.in_session(provider.as_deref()).is_staff();
            if self.idle.are_over(staff, used_at, row.try_get_by_index(4)?) {
                self.end_one_idle(uuid(&account)?, uuid(&session)?, used_at).await?;
            }
        }
        Ok(())
    }

    /// Ends a session, unless it was used meanwhile.
    async fn end_one_idle(&self, account: Uuid, session: Uuid, used_at: i64) -> Result<(), Error> {
        let tx = self.begin().await?;
        if self.lock(&tx, account).await?.is_none() {
            return Ok(());
        }
        let sql = "SELECT 1 FROM @sessions WHERE id = $1 AND used_at = $2";
        let values = [session.to_string().into(), used_at.into()];
        if tx.query_one(self.db.statement(sql, values)).await?.is_none() {
            return Ok(());
        }
        let now = self.now(&tx).await?;
        self.end_one(&tx, session, now, &Cause::system(), EndedBy::Idle).await?;
        tx.commit().await?;
        Ok(())
    }
}
