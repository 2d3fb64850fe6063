//! Tokens of clients: those that act for themselves, and what a client may know of its own tokens and do with them.

use sea_orm::ConnectionTrait as _;
use soonshop_domain::identity::session::EndedBy;
use uuid::Uuid;

use crate::access_token::{self, Holder, LIFE, looks_like_one};
use crate::keyring::REFRESH;
use crate::refresh_token::RefreshToken;
use crate::stored::uuid;
use crate::{Cause, Client, Error, Identity, grant_scope};

/// What is known of a token that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenState {
    /// It is an access token; otherwise one to refresh with.
    pub is_access: bool,
    /// The account, or the client that acts for itself.
    pub subject: Uuid,
    pub scope: String,
    /// Seconds since 1970; of a token to refresh with there is none.
    pub issued_at: Option<i64>,
    pub expires_at: i64,
}

/// What came of revoking a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// Its session has ended.
    Ended,
    /// It is none of this client's, or its session had ended.
    Nothing,
    /// It is of a client that acts for itself, and ends with its row alone.
    NotAlone,
}

impl Identity {
    /// An access token of a client that acts for itself, valid for so many seconds. There is no session.
    pub async fn token_of_client(&self, client: Uuid, scope: &[String]) -> Result<(String, i64), Error> {
        let signer = self.signer().await?;
        let now = self.now(&self.db.connection).await?.div_euclid(1000);
        let key = (signer.kid, &signer.pair);
        let scope = grant_scope::text(scope);
        let token = access_token::sign(key, Holder::Client(client), &client.to_string(), &scope, now)?;
        Ok((token, LIFE))
    }

    /// What there is to know of a token of this client that may be used now; `None`: there is none.
    pub async fn introspect(&self, client: &Client, token: &str) -> Result<Option<TokenState>, Error> {
        if looks_like_one(token) {
            self.access_state(client, token).await
        } else {
            self.refresh_state(client, token).await
        }
    }

    async fn access_state(&self, client: &Client, token: &str) -> Result<Option<TokenState>, Error> {
        let own = client.id.to_string();
        let claims = self.claims(token).await?.filter(|claims| claims.client == own);
        let Some(claims) = claims else { return Ok(None) };
        let now = self.now(&self.db.connection).await?.div_euclid(1000);
        let lives = match claims.holder {
            Holder::Session { account, session } => {
                let active = self.active(session).await?;
                active.is_some_and(|active| active.account == account && active.client == own)
            }
            Holder::Client(_) => true,
        };
        Ok((lives && claims.expires_at > now).then(|| TokenState {
            is_access: true,
            subject: claims.holder.subject(),
            scope: claims.scope,
            issued_at: Some(claims.issued_at),
            expires_at: claims.expires_at,
        }))
    }

    async fn refresh_state(&self, client: &Client, token: &str) -> Result<Option<TokenState>, Error> {
        let Some(token) = self.own_refresh_token(token).await? else { return Ok(None) };
        let own = client.id.to_string();
        let active = self.active(token.session()).await?.filter(|active| active.client == own);
        let Some(active) = active else { return Ok(None) };
        let sql = "SELECT token_hash FROM @sessions WHERE id = $1 AND generation = $2";
        let values = [token.session().to_string().into(), token.generation().into()];
        let row = self.db.connection.query_one(self.db.statement(sql, values)).await?;
        let hash: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
        Ok((hash == Some(token.hash())).then(|| TokenState {
            is_access: false,
            subject: active.account,
            scope: active.scope,
            issued_at: None,
            expires_at: active.expires_at.timestamp(),
        }))
    }

    /// A refresh token that this shop made.
    async fn own_refresh_token(&self, sent: &str) -> Result<Option<RefreshToken>, Error> {
        let Some(token) = RefreshToken::parse(sent) else { return Ok(None) };
        let key = self.keyring.get(REFRESH, token.key()).await?;
        Ok(key.filter(|key| token.is_made_with(key)).map(|_| token))
    }

    /// Ends the session of a token of this client, whichever of its tokens that is.
    pub async fn revoke(&self, client: &Client, token: &str, cause: &Cause) -> Result<Revoked, Error> {
        let session = if looks_like_one(token) {
            let own = client.id.to_string();
            match self.claims(token).await?.filter(|claims| claims.client == own).map(|claims| claims.holder)
            {
                Some(Holder::Session { session, .. }) => session,
                Some(Holder::Client(_)) => return Ok(Revoked::NotAlone),
                None => return Ok(Revoked::Nothing),
            }
        } else {
            match self.own_refresh_token(token).await? {
                Some(token) => token.session(),
                None => return Ok(Revoked::Nothing),
            }
        };
        let sql = "SELECT account FROM @sessions WHERE id = $1 AND client = $2";
        let values = [session.to_string().into(), client.id.to_string().into()];
        let row = self.db.connection.query_one(self.db.statement(sql, values)).await?;
        let Some(row) = row else { return Ok(Revoked::Nothing) };
        let account = uuid(&row.try_get_by_index::<String>(0)?)?;
        let ended = self.end_session(account, session, EndedBy::SignedOut, cause).await?;
        Ok(if ended { Revoked::Ended } else { Revoked::Nothing })
    }
}
