//! Opening an account with the link of a registration. The intent is written down first; the user is a command, which the
//! log decides; then the account is opened. What a crash leaves is finished later, with the same ids.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, QueryResult};
use soonshop_domain::identity::account::{Event, OpenedBy, PasswordReason};
use soonshop_domain::ids;
use soonshop_domain::user::consent::Wording;
use uuid::Uuid;

use crate::accounts::{NewAccount, opening_facts};
use crate::stored::{moment, uuid};
use crate::{CUSTOMER, Cause, Error, Identity, Password, Purpose, Roles};

/// How long a registration is left to the request that began it, in milliseconds.
const LEFT: i64 = 10_000;

/// What is given with the link.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// The token of the link.
    pub link: &'a str,
    pub name: Option<&'a str>,
    pub password: Password,
    /// The words of a consent to advertising by e-mail; `None`: it was not given.
    pub advertising: Option<Wording>,
    /// The network that it comes from.
    pub network: &'a str,
}

/// A consent to advertising by e-mail that was given with the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    pub words: Wording,
    /// When the link was used.
    pub at: DateTime<Utc>,
}

/// A registration whose mailbox is proven, and whose account is not open yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Proven {
    pub request: Uuid,
    /// The id of the user, if there is none with this address.
    pub user: Uuid,
    pub address: String,
    pub name: Option<String>,
    pub advertising: Option<Agreed>,
    pub(crate) address_hash: String,
}

impl std::fmt::Debug for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proven({})", self.request)
    }
}

const COLUMNS: &str = "id, user_id, address, name, address_hash, wording, wording_language, used_at";

impl Identity {
    /// Uses the link of a registration, once. [`Error::Link`]: it was used, it has expired, another one has followed it,
    /// or the address has an account by now.
    pub async fn use_registration(&self, given: Given<'_>) -> Result<Proven, Error> {
        let request = self.request_of(given.link, Purpose::Register).await?.to_string();
        let usable = format!(
            "FROM @requests WHERE id = $1 AND purpose = 'register' AND linked_at IS NOT NULL AND used_at IS NULL \
             AND expires_at > {now} AND NOT EXISTS (SELECT 1 FROM @accounts a WHERE a.address = requests.address_hash)",
            now = self.db.now()
        );
        // Nothing is hashed for a link that cannot be used.
        let sql = format!("SELECT 1 {usable}");
        let found = self.db.connection.query_one(self.db.statement(&sql, [request.as_str().into()])).await?;
        found.ok_or(Error::Link)?;
        let hash = self.hasher.hash(given.password, given.network).await?;
        let name = self.seal_if(&request, given.name).await?;
        let sql = format!(
            "UPDATE @requests SET used_at = {now}, user_id = $2, password = $3, name = $4, wording = $5, wording_language = $6 \
             WHERE id IN (SELECT id {usable}) AND used_at IS NULL RETURNING {COLUMNS}",
            now = self.db.now()
        );
        let (wording, language) = given.advertising.map(|words| (words.wording, words.language)).unzip();
        let user = ids::new().to_string();
        let values = [request.into(), user.into(), hash.into(), name.into(), wording.into(), language.into()];
        let tx = self.begin().await?;
        let row = tx.query_one(self.db.statement(&sql, values)).await?.ok_or(Error::Link)?;
        tx.commit().await?;
        self.proven(&row).await
    }

    async fn proven(&self, row: &QueryResult) -> Result<Proven, Error> {
        let name: Option<String> = row.try_get_by_index(3)?;
        let wording: Option<String> = row.try_get_by_index(5)?;
        let language: Option<String> = row.try_get_by_index(6)?;
        let words = wording.zip(language).map(|(wording, language)| Wording { wording, language });
        let at = moment(row.try_get_by_index(7)?)?;
        Ok(Proven {
            request: uuid(&row.try_get_by_index::<String>(0)?)?,
            user: uuid(&row.try_get_by_index::<String>(1)?)?,
            address: self.unseal(&row.try_get_by_index::<String>(2)?).await?,
            name: self.unseal_if(name.as_deref()).await?,
            advertising: words.map(|words| Agreed { words, at }),
            address_hash: row.try_get_by_index(4)?,
        })
    }

    /// The registrations that a crash left with a used link and without an account.
    pub async fn unfinished(&self, most: u32) -> Result<Vec<Proven>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM @requests WHERE used_at < {} - $1 ORDER BY used_at, id LIMIT {most}",
            self.db.now()
        );
        let mut all = Vec::new();
        for row in self.db.connection.query_all(self.db.statement(&sql, [LEFT.into()])).await? {
            all.push(self.proven(&row).await?);
        }
        Ok(all)
    }

    /// Whether this address, of a user of the log, is the one that was proven.
    pub async fn is_proven(&self, registration: &Proven, address: &str) -> Result<bool, Error> {
        Ok(self.address(address).await? == registration.address_hash)
    }

    /// Opens the account of a registration for this user. Done twice, it is done once. [`Error::Exists`]: the user or the
    /// address has an account that something else opened.
    pub async fn open_registered(
        &self,
        registration: &Proven,
        user: Uuid,
        user_version: i64,
        cause: &Cause,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        let request = registration.request.to_string();
        let sql = "DELETE FROM @mails WHERE request = $1";
        tx.execute(self.db.statement(sql, [request.as_str().into()])).await?;
        let sql = "DELETE FROM @requests WHERE id = $1 RETURNING password, provider, issuer, subject, roles, language";
        let row = tx.query_one(self.db.statement(sql, [request.into()])).await?;
        let Some(row) = row else { return Ok(()) };
        let password: Option<String> = row.try_get_by_index(0)?;
        let roles: Option<String> = row.try_get_by_index(4)?;
        let language: String = row.try_get_by_index(5)?;
        let roles = roles.as_deref().map(Roles::read).transpose()?;
        let account = NewAccount {
            id: user,
            address: registration.address_hash.clone(),
            roles: roles.unwrap_or_else(|| Roles::given([CUSTOMER])),
            password,
        };
        let of: Option<(String, String, String)> = match row.try_get_by_index(1)? {
            Some(provider) => Some((provider, row.try_get_by_index(2)?, row.try_get_by_index(3)?)),
            None => None,
        };
        let free = match &of {
            Some((_, issuer, subject)) => !self.is_linked(&tx, issuer, subject).await?,
            None => true,
        };
        let opened = free && self.insert_account(&tx, &account).await?;
        if opened {
            let cause = cause.by_owner(user, account.roles.is_staff(), None);
            match of {
                Some(of) => self.record_opening_by_provider(&tx, &account, of, user_version, &cause).await?,
                None => {
                    let by = OpenedBy::Registration;
                    let events = opening_facts(&account.roles, by, user_version, PasswordReason::Set);
                    self.record_opening(&tx, user, events, &cause).await?;
                }
            }
            let sql = "UPDATE @accounts SET language = $2 WHERE id = $1";
            tx.execute(self.db.statement(sql, [user.to_string().into(), language.into()])).await?;
        }
        // Where it cannot be opened, the request is over all the same.
        tx.commit().await?;
        if opened { Ok(()) } else { Err(Error::Exists) }
    }

    /// The same of an account that a provider opens: it has no password, and is linked. Where the identity is linked at this
    /// moment, it is tried again, and comes to nothing then.
    async fn record_opening_by_provider(
        &self,
        tx: &DatabaseTransaction,
        new: &NewAccount,
        (provider, issuer, subject): (String, String, String),
        user_version: i64,
        cause: &Cause,
    ) -> Result<(), Error> {
        let events = [
            Event::AccountOpened { roles: new.roles.all(), by: OpenedBy::Provider },
            Event::EmailVerified { user_version },
        ];
        self.record_opening(tx, new.id, events, cause).await?;
        let mut account = self.lock(tx, new.id).await?.ok_or(Error::NotFound)?;
        let now = self.now(tx).await?;
        let of = (provider.as_str(), issuer.as_str(), subject.as_str());
        if self.insert_link(tx, &mut account, of, now, cause).await? {
            return Ok(());
        }
        Err(Error::Exists)
    }

    /// A registration comes to nothing: the address belongs to somebody else.
    pub async fn drop_registration(&self, registration: &Proven) -> Result<(), Error> {
        let sql = "DELETE FROM @requests WHERE id = $1";
        let values = [registration.request.to_string().into()];
        self.db.connection.execute(self.db.statement(sql, values)).await?;
        Ok(())
    }
}
