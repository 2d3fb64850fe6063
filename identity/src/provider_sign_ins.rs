//! Sign-ins on the way to a provider and back: a row for ten minutes, which is used once.

use sea_orm::ConnectionTrait as _;
use uuid::Uuid;

use crate::provider_secret::ProviderSecret;
use crate::stored::uuid;
use crate::{ActiveSession, Error, Identity, Password};

/// How long one may take.
const LASTS: i64 = 10 * 60 * 1000;
/// How many there are at a time.
const AT_A_TIME: i64 = 10_000;
/// How often an account begins to link a provider within an hour.
const LINKS_IN_AN_HOUR: i64 = 10;

/// Somebody who is signed in and wants to link a provider.
#[derive(Debug)]
pub struct LinkAsked<'a> {
    pub active: &'a ActiveSession,
    pub password: Password,
    /// The network that it comes from.
    pub network: &'a str,
}

/// The account that a provider is to be linked to, as it was when its password was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linking {
    pub account: Uuid,
    pub session: Uuid,
    pub(crate) epoch: i64,
}

/// A sign-in that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnTheWay {
    /// The page to go on to.
    pub next: String,
    /// Set where it is to link a provider, and to sign nobody in.
    pub linking: Option<Linking>,
}

impl Identity {
    /// Writes down that somebody goes to this provider; the secret is for their browser.
    pub async fn leave_for_provider(
        &self,
        (provider, issuer): (&str, &str),
        next: &str,
        link: Option<LinkAsked<'_>>,
    ) -> Result<ProviderSecret, Error> {
        let linking = match link {
            Some(asked) => Some(self.confirmed(asked).await?),
            None => None,
        };
        let now = self.db.now();
        let sql = format!("SELECT count(*) FROM @provider_sign_ins WHERE expires_at > {now}");
        let row = self.db.connection.query_one(self.db.statement(&sql, [])).await?;
        if row.map(|row| row.try_get_by_index::<i64>(0)).transpose()?.unwrap_or(0) >= AT_A_TIME {
            return Err(Error::Busy);
        }
        let secret = ProviderSecret::new()?;
        let sql = format!(
            "INSERT INTO @provider_sign_ins (hash, provider, issuer, next, account, session, epoch, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, {now} + $8)"
        );
        let values = [
            secret.hash().into(),
            provider.into(),
            issuer.into(),
            next.into(),
            linking.map(|linking| linking.account.to_string()).into(),
            linking.map(|linking| linking.session.to_string()).into(),
            linking.map(|linking| linking.epoch).into(),
            LASTS.into(),
        ];
        self.db.connection.execute(self.db.statement(&sql, values)).await?;
        Ok(secret)
    }

    /// The account of somebody who gave their password in this session.
    async fn confirmed(&self, asked: LinkAsked<'_>) -> Result<Linking, Error> {
        let LinkAsked { active, password, network } = asked;
        let (count, _) = self.count(&self.db.connection, &format!("linking:{}", active.account)).await?;
        if count > LINKS_IN_AN_HOUR {
            return Err(Error::TooManySessions);
        }
        let account = self.verified(active.account, password, network).await?;
        Ok(Linking { account: account.id, session: active.session, epoch: account.epoch })
    }

    /// Takes back what was written down for the browser with this secret. [`Error::SignInEnded`]: nothing was, it was used,
    /// it took too long, or it was for another provider.
    pub async fn return_from_provider(
        &self,
        secret: &ProviderSecret,
        (provider, issuer): (&str, &str),
    ) -> Result<OnTheWay, Error> {
        let sql = format!(
            "DELETE FROM @provider_sign_ins WHERE hash = $1 \
             RETURNING provider, issuer, next, account, session, epoch, expires_at - {}",
            self.db.now()
        );
        let tx = self.begin().await?;
        let row = tx.query_one(self.db.statement(&sql, [secret.hash().into()])).await?;
        tx.commit().await?;
        let row = row.ok_or(Error::SignInEnded)?;
        let of: (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let left: i64 = row.try_get_by_index(6)?;
        if left <= 0 || (of.0.as_str(), of.1.as_str()) != (provider, issuer) {
            return Err(Error::SignInEnded);
        }
        let account: Option<String> = row.try_get_by_index(3)?;
        let session: Option<String> = row.try_get_by_index(4)?;
        let epoch: Option<i64> = row.try_get_by_index(5)?;
        let linking = match (account, session, epoch) {
            (Some(account), Some(session), Some(epoch)) => {
                Some(Linking { account: uuid(&account)?, session: uuid(&session)?, epoch })
            }
            _ => None,
        };
        Ok(OnTheWay { next: row.try_get_by_index(2)?, linking })
    }

    /// Somebody came back whom nobody signs in, or whose identity nobody has: it is counted as a failed sign-in.
    pub async fn refuse_provider(&self, account: Option<Uuid>) -> Result<(), Error> {
        self.count_failure(account).await
    }
}
