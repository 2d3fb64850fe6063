//! Clients of OAuth: the shop's own programs. The operator makes, lists and removes them; nobody else does.
//!
//! A secret is `ssc_` and base64url of 32 random bytes; a client without one is public.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, QueryResult};
use serde::Serialize;
use soonshop_domain::identity::client::Event;
use soonshop_domain::ids;
use uuid::Uuid;

use crate::facts::Fact;
use crate::passwords::random;
use crate::stored::{moment, uuid};
use crate::{Cause, Error, Identity, token_bytes};

/// How every secret begins.
const PREFIX: &str = "ssc_";

/// A client to register.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// Not a person's.
    pub name: String,
    /// It has no secret.
    pub public: bool,
    /// Where codes may go; none: it acts for itself.
    pub redirects: Vec<String>,
    pub scope: Vec<String>,
}

/// A client that is not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub id: Uuid,
    pub name: String,
    pub public: bool,
    pub redirects: Vec<String>,
    pub scope: Vec<String>,
}

impl Client {
    /// Whether it acts for people, and not for itself.
    pub fn acts_for_people(&self) -> bool {
        !self.redirects.is_empty()
    }
}

/// A client as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedClient {
    pub id: Uuid,
    pub name: String,
    pub public: bool,
    pub redirects: Vec<String>,
    pub scope: Vec<String>,
    pub made_at: DateTime<Utc>,
    pub removed_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, name, secret_hash, redirects, scope";

/// A secret that was made, and its hash.
fn new_secret() -> Result<(String, String), Error> {
    let mut secret = [0; 32];
    random(&mut secret)?;
    Ok((token_bytes::text(PREFIX, &secret), token_bytes::hash(&secret)))
}

/// The hash of a secret that somebody sent; `None`: it has another form.
fn hash_of(sent: &str) -> Option<String> {
    token_bytes::read::<32>(sent, PREFIX).map(|secret| token_bytes::hash(&secret))
}

/// A list as it is stored.
pub(crate) fn stored(list: &[String]) -> Result<String, Error> {
    serde_json::to_string(list).map_err(Error::internal)
}

/// The list that [`stored`] wrote.
pub(crate) fn list(stored: &str) -> Result<Vec<String>, Error> {
    serde_json::from_str(stored).map_err(|_| Error::internal("a stored list of a client cannot be read"))
}

fn read(row: &QueryResult) -> Result<(Client, Option<String>), Error> {
    let hash: Option<String> = row.try_get_by_index(2)?;
    let client = Client {
        id: uuid(&row.try_get_by_index::<String>(0)?)?,
        name: row.try_get_by_index(1)?,
        public: hash.is_none(),
        redirects: list(&row.try_get_by_index::<String>(3)?)?,
        scope: list(&row.try_get_by_index::<String>(4)?)?,
    };
    Ok((client, hash))
}

impl Identity {
    /// Registers a client: its id, and its secret, which is stored nowhere; `None`: it is public.
    pub async fn register_client(
        &self,
        new: NewClient,
        cause: &Cause,
    ) -> Result<(Uuid, Option<String>), Error> {
        let id = ids::new();
        let (secret, hash) = if new.public {
            (None, None)
        } else {
            let (secret, hash) = new_secret()?;
            (Some(secret), Some(hash))
        };
        let tx = self.begin().await?;
        let sql = format!(
            "INSERT INTO @clients (id, name, secret_hash, redirects, scope, made_at) VALUES ($1, $2, $3, $4, $5, {})",
            self.db.now()
        );
        let values = [
            id.to_string().into(),
            new.name.as_str().into(),
            hash.into(),
            stored(&new.redirects)?.into(),
            stored(&new.scope)?.into(),
        ];
        tx.execute(self.db.statement(&sql, values)).await?;
        let NewClient { name, public, redirects, scope } = new;
        let event = Event::ClientRegistered { name, public, redirects, scope };
        self.record_of_client(&tx, id, ("client.register", cause), event).await?;
        tx.commit().await?;
        Ok((id, secret))
    }

    /// Every client, in the order in which they were made, also the removed ones.
    pub async fn clients(&self) -> Result<Vec<ListedClient>, Error> {
        let sql = format!("SELECT {COLUMNS}, made_at, removed_at FROM @clients ORDER BY made_at, id");
        let rows = self.db.connection.query_all(self.db.statement(&sql, [])).await?;
        let listed = rows.iter().map(|row| {
            let (client, _) = read(row)?;
            Ok(ListedClient {
                id: client.id,
                name: client.name,
                public: client.public,
                redirects: client.redirects,
                scope: client.scope,
                made_at: moment(row.try_get_by_index(5)?)?,
                removed_at: row.try_get_by_index::<Option<i64>>(6)?.map(moment).transpose()?,
            })
        });
        listed.collect()
    }

    /// Gives a client another secret, which is stored nowhere. The one before counts no more. [`Error::NotFound`]: there is no
    /// such client, or it is public.
    pub async fn change_client_secret(&self, id: Uuid, cause: &Cause) -> Result<String, Error> {
        let (secret, hash) = new_secret()?;
        let tx = self.begin().await?;
        let sql = "UPDATE @clients SET secret_hash = $2, secret = secret + 1 \
                   WHERE id = $1 AND removed_at IS NULL AND secret_hash IS NOT NULL RETURNING secret";
        let values = [id.to_string().into(), hash.into()];
        let row = tx.query_one(self.db.statement(sql, values)).await?.ok_or(Error::NotFound)?;
        let event = Event::ClientSecretChanged { secret: row.try_get_by_index(0)? };
        self.record_of_client(&tx, id, ("client.change-secret", cause), event).await?;
        tx.commit().await?;
        Ok(secret)
    }

    /// Refuses a client from now on, and all that it holds. False: it is removed already.
    pub async fn remove_client(&self, id: Uuid, reason: &str, cause: &Cause) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let sql = format!(
            "UPDATE @clients SET removed_at = {} WHERE id = $1 AND removed_at IS NULL",
            self.db.now()
        );
        if tx.execute(self.db.statement(&sql, [id.to_string().into()])).await?.rows_affected() == 0 {
            let sql = "SELECT id FROM @clients WHERE id = $1";
            let known = tx.query_one(self.db.statement(sql, [id.to_string().into()])).await?;
            return if known.is_some() { Ok(false) } else { Err(Error::NotFound) };
        }
        let event = Event::ClientRemoved { reason: reason.to_owned() };
        self.record_of_client(&tx, id, ("client.remove", cause), event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The next fact of a client, whose row this transaction has written, and so locked.
    async fn record_of_client(
        &self,
        tx: &DatabaseTransaction,
        id: Uuid,
        (command, cause): (&'static str, &Cause),
        event: Event,
    ) -> Result<(), Error> {
        let sql = "UPDATE @clients SET number = number + 1 WHERE id = $1 RETURNING number";
        let row = tx.query_one(self.db.statement(sql, [id.to_string().into()])).await?;
        let number = row.ok_or(Error::NotFound)?.try_get_by_index(0)?;
        let at = self.now(tx).await?;
        self.record(tx, Fact { stream: id, number, at, command, cause }, event).await
    }

    async fn client_row(&self, id: &str) -> Result<Option<(Client, Option<String>)>, Error> {
        // In one spelling only.
        if Uuid::try_parse(id).is_ok_and(|parsed| parsed.to_string() == id) {
            let sql = format!("SELECT {COLUMNS} FROM @clients WHERE id = $1 AND removed_at IS NULL");
            let row = self.db.connection.query_one(self.db.statement(&sql, [id.into()])).await?;
            return row.as_ref().map(read).transpose();
        }
        Ok(None)
    }

    /// The client of that id, as it was sent; `None`: there is none, or it is removed.
    pub async fn client(&self, id: &str) -> Result<Option<Client>, Error> {
        Ok(self.client_row(id).await?.map(|(client, _)| client))
    }

    /// The client that says so with this secret; one without a secret is public. [`Error::Client`]: whatever is wrong.
    pub async fn authenticate_client(&self, id: &str, secret: Option<&str>) -> Result<Client, Error> {
        let (client, hash) = self.client_row(id).await?.ok_or(Error::Client)?;
        let right = match (hash, secret) {
            (None, None) => true,
            (Some(hash), Some(secret)) => hash_of(secret).is_some_and(|sent| sent == hash),
            _ => false,
        };
        if right { Ok(client) } else { Err(Error::Client) }
    }

    /// What a client may, read now; `None`: it is removed. Queries may read no more than this of it.
    pub async fn scope_of_client(&self, id: Uuid) -> Result<Option<Vec<String>>, Error> {
        let sql = "SELECT scope FROM @clients WHERE id = $1 AND removed_at IS NULL";
        let row = self.db.connection.query_one(self.db.statement(sql, [id.to_string().into()])).await?;
        row.map(|row| list(&row.try_get_by_index::<String>(0)?)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_one_form_and_its_hash_is_not_the_secret() {
        let (secret, hash) = new_secret().unwrap();
        assert_eq!(hash_of(&secret).as_ref(), Some(&hash));
        assert!(!secret.contains(&hash));
        for bad in [
            "",
            PREFIX,
            &secret[4..],
            &secret.replace("ssc_", "ssa_"),
            &format!("{secret}="),
            &secret[..secret.len() - 1],
            &format!("{PREFIX}{}", "A".repeat(10_000)),
        ] {
            assert_eq!(hash_of(bad), None, "{bad:.60}");
        }
    }
}
