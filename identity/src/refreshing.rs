//! Refreshing: each refresh token is used once, and leads to the next.

use sea_orm::{ConnectionTrait as _, QueryResult};
use soonshop_domain::identity::session::EndedBy;

use crate::access_token::{self, Holder, LIFE};
use crate::grant_scope::{self, narrowed};
use crate::keyring::REFRESH;
use crate::refresh_token::RefreshToken;
use crate::sessions::{ActiveSession, CLIENT, Credentials, FactorGiven, StartedSession};
use crate::stored::{moment, uuid};
use crate::{Cause, Error, Identity};

/// How long the token before leads to the same successor, in milliseconds: its answer may have been lost.
const GRACE: i64 = 30_000;

/// A session as far as refreshing needs it.
struct Row {
    generation: i64,
    token_hash: Option<String>,
    previous_hash: Option<String>,
    rotated_at: Option<i64>,
    grace: bool,
    epoch: i64,
    client: String,
    scope: String,
    expires_at: i64,
    ended: bool,
    refresh_key: Option<i32>,
    proved_at: Option<i64>,
    provider: Option<String>,
    used_at: i64,
}

const COLUMNS: &str = "generation, token_hash, previous_hash, rotated_at, grace, epoch, client, scope, expires_at, ended_at, \
                       refresh_key, proved_at, provider, used_at";

impl Row {
    fn read(row: &QueryResult) -> Result<Self, Error> {
        Ok(Self {
            generation: row.try_get_by_index(0)?,
            token_hash: row.try_get_by_index(1)?,
            previous_hash: row.try_get_by_index(2)?,
            rotated_at: row.try_get_by_index(3)?,
            grace: row.try_get_by_index::<i32>(4)? != 0,
            epoch: row.try_get_by_index(5)?,
            client: row.try_get_by_index(6)?,
            scope: row.try_get_by_index(7)?,
            expires_at: row.try_get_by_index(8)?,
            ended: row.try_get_by_index::<Option<i64>>(9)?.is_some(),
            refresh_key: row.try_get_by_index(10)?,
            proved_at: row.try_get_by_index(11)?,
            provider: row.try_get_by_index(12)?,
            used_at: row.try_get_by_index(13)?,
        })
    }

    /// What a token of this session leads to, at that moment, in a process that started then.
    fn judge(&self, token: &RefreshToken, now: i64, started_at: i64) -> Step {
        let (generation, hash) = (token.generation(), Some(token.hash()));
        if generation == self.generation && hash == self.token_hash {
            return Step::Rotate { grace: self.rotated_at.is_none_or(|at| now - at >= GRACE) };
        }
        let before = generation == self.generation - 1 && hash == self.previous_hash && self.grace;
        match self.rotated_at.filter(|at| before && now - at < GRACE) {
            Some(at) if at >= started_at => Step::SameAgain,
            Some(_) => Step::End(EndedBy::Restarted),
            None => Step::End(EndedBy::TokenReused),
        }
    }
}

/// The outcome of a refresh token.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is the token of today. `grace`: it may come again for a moment, which it may not where the rotation before was
    /// not long ago.
    Rotate { grace: bool },
    /// It is the one before, whose answer may have been lost: the same successor.
    SameAgain,
    /// It was used before.
    End(EndedBy),
}

/// Who asks for the next tokens, and for how much.
#[derive(Debug, Clone, Copy)]
pub struct Refresher<'a> {
    /// The client that must hold the session.
    pub client: &'a str,
    /// What the next access token may, of what the session may; `None`: all of it.
    pub scope: Option<&'a str>,
}

impl Refresher<'_> {
    /// The shop itself, which is limited to no scope.
    const SHOP: Self = Self { client: CLIENT, scope: None };
}

impl Identity {
    /// [`refresh_for`](Self::refresh_for) the shop itself.
    pub async fn refresh(&self, sent: &str, cause: &Cause) -> Result<StartedSession, Error> {
        self.refresh_for(Refresher::SHOP, sent, cause).await
    }

    /// Another access token, and the refresh token that follows this one. A token that was used before ends its session:
    /// either its holder or somebody else has stolen it. The scope of the answer is that of the access token; the session keeps
    /// its own.
    pub async fn refresh_for(
        &self,
        refresher: Refresher<'_>,
        sent: &str,
        cause: &Cause,
    ) -> Result<StartedSession, Error> {
        let token = RefreshToken::parse(sent).ok_or(Error::Token)?;
        let key = self.keyring.get(REFRESH, token.key()).await?;
        let key = key.filter(|key| token.is_made_with(key)).ok_or(Error::Token)?;
        let (started_at, signer) = (self.started_at().await?, self.signer().await?);
        let session = token.session().to_string();
        let sql = "SELECT account FROM @sessions WHERE id = $1";
        let row = self.db.connection.query_one(self.db.statement(sql, [session.as_str().into()])).await?;
        let owner = uuid(&row.ok_or(Error::Token)?.try_get_by_index::<String>(0)?)?;
        let tx = self.begin().await?;
        let account = self.lock(&tx, owner).await?.ok_or(Error::Token)?;
        let now = self.now(&tx).await?;
        let sql = format!("SELECT {COLUMNS} FROM @sessions WHERE id = $1");
        let row = tx.query_one(self.db.statement(&sql, [session.as_str().into()])).await?;
        let row = Row::read(&row.ok_or(Error::Token)?)?;
        let over = row.ended || row.expires_at <= now || row.epoch != account.epoch || account.disabled;
        if over || row.refresh_key != Some(token.key()) {
            return Err(Error::Token);
        }
        // Before anything is used up: another client's token, or a wider scope, changes nothing.
        if row.client != refresher.client {
            return Err(Error::Token);
        }
        let scope = grant_scope::text(&narrowed(refresher.scope, &grant_scope::names(&row.scope))?);
        let roles = account.roles.in_session(row.provider.as_deref());
        let staff = roles.is_staff();
        let next = token.next(&key).ok_or(Error::Token)?;
        let step = match row.judge(&token, now, started_at) {
            Step::Rotate { .. } | Step::SameAgain if self.idle.are_over(staff, row.used_at, now) => {
                Step::End(EndedBy::Idle)
            }
            step => step,
        };
        match step {
            Step::Rotate { grace } => {
                let sql = "UPDATE @sessions SET generation = generation + 1, previous_hash = token_hash, token_hash = $3, \
                           rotated_at = $4, grace = $5, used_at = $4 WHERE id = $1 AND generation = $2 AND ended_at IS NULL";
                let values = [
                    session.into(),
                    row.generation.into(),
                    next.hash().into(),
                    now.into(),
                    i32::from(grace).into(),
                ];
                if tx.execute(self.db.statement(sql, values)).await?.rows_affected() != 1 {
                    return Err(Error::Token);
                }
            }
            Step::SameAgain => {}
            Step::End(reason) => {
                let cause = cause.by_owner(owner, staff, Some(token.session()));
                self.end_one(&tx, token.session(), now, &cause, reason).await?;
                tx.commit().await?;
                return Err(if reason == EndedBy::Idle { Error::Idle } else { Error::Token });
            }
        }
        let permissions = self.permitted(&tx, &roles).await?;
        tx.commit().await?;
        let of = Holder::Session { account: owner, session: token.session() };
        let at = now.div_euclid(1000);
        let access = access_token::sign((signer.kid, &signer.pair), of, &row.client, &scope, at)?;
        let active = ActiveSession {
            account: owner,
            session: token.session(),
            roles: roles.all(),
            permissions,
            staff,
            expires_at: moment(row.expires_at)?,
            factor: FactorGiven::at(row.proved_at, now),
            client: row.client,
            scope,
        };
        Ok(StartedSession {
            active,
            credentials: Credentials::Tokens { access, refresh: next.text() },
            expires_in: LIFE,
            device_token: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use ring::hmac;
    use uuid::Uuid;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[1; 32])
    }

    fn row(
        current: &RefreshToken,
        previous: Option<&RefreshToken>,
        rotated_at: Option<i64>,
        grace: bool,
    ) -> Row {
        Row {
            generation: current.generation(),
            token_hash: Some(current.hash()),
            previous_hash: previous.map(RefreshToken::hash),
            rotated_at,
            grace,
            epoch: 1,
            client: String::new(),
            scope: String::new(),
            expires_at: i64::MAX,
            ended: false,
            refresh_key: Some(1),
            proved_at: None,
            provider: None,
            used_at: NOW,
        }
    }

    #[test]
    fn the_token_before_comes_again_once_in_a_while_and_never_over_a_start() {
        let first = RefreshToken::first(1, &key(), Uuid::nil()).unwrap();
        let second = first.next(&key()).unwrap();
        let third = second.next(&key()).unwrap();
        let new = row(&first, None, None, false);
        assert_eq!(new.judge(&first, NOW, 0), Step::Rotate { grace: true });
        let reused = Step::End(EndedBy::TokenReused);
        assert_eq!(new.judge(&second, NOW, 0), reused, "one that was never given out");
        let rotated = row(&second, Some(&first), Some(NOW), true);
        for (after, expected) in
            [(0, Step::SameAgain), (GRACE - 1, Step::SameAgain), (GRACE, Step::End(EndedBy::TokenReused))]
        {
            assert_eq!(rotated.judge(&first, NOW + after, NOW), expected, "{after}");
        }
        // I04.
        assert_eq!(rotated.judge(&first, NOW + 1, NOW + 1), Step::End(EndedBy::Restarted));
        // I05: two rotations at once.
        assert_eq!(rotated.judge(&second, NOW + 1, 0), Step::Rotate { grace: false });
        assert_eq!(rotated.judge(&second, NOW + GRACE, 0), Step::Rotate { grace: true });
        let quick = row(&third, Some(&second), Some(NOW + 1), false);
        assert_eq!(quick.judge(&second, NOW + 2, 0), reused);
        assert_eq!(quick.judge(&first, NOW + 2, 0), reused);
    }
}
