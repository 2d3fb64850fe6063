//! Another e-mail address of an account. A link goes to the new address, and once it was used another one to the old, which
//! undoes it. The intent is written down first; the user's address is a command, whose claim decides; then the account has
//! it. What a crash leaves is finished later.

use sea_orm::ConnectionTrait as _;
use soonshop_domain::identity::account::{EndedBy, Event};
use soonshop_domain::ids;
use uuid::Uuid;

use crate::links::NewLink;
use crate::mails::{MailKind, NewMail};
use crate::requests::Asked;
use crate::stored::uuid;
use crate::{ActiveSession, Cause, Error, Identity, Password, Purpose};

/// How long a change is left to the request that began it, in milliseconds.
const LEFT: i64 = 10_000;

/// Somebody who is signed in and wants another address.
#[derive(Debug, Clone)]
pub struct AddressAsked<'a> {
    pub active: &'a ActiveSession,
    pub password: Password,
    /// As it was typed.
    pub typed: &'a str,
    /// The same, cleaned.
    pub address: &'a str,
    /// The tag of the language of the mails.
    pub language: &'a str,
    /// The network that it comes from.
    pub network: &'a str,
}

/// A change whose link was used, and that the log has not decided yet.
#[derive(Clone, PartialEq, Eq)]
pub struct AddressChange {
    pub request: Uuid,
    pub account: Uuid,
    pub purpose: Purpose,
    /// The address that it is to be.
    pub address: String,
    hash: String,
    old: Option<String>,
    language: String,
}

impl std::fmt::Debug for AddressChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AddressChange({}, {})", self.purpose.name(), self.request)
    }
}

const COLUMNS: &str = "id, account, purpose, new_address, new_hash, old_address, language";

impl Identity {
    /// Asks for a link to another address. A wrong password is counted as a failed sign-in, and answered as late.
    pub async fn ask_address(&self, asked: AddressAsked<'_>, cause: &Cause) -> Result<(), Error> {
        let AddressAsked { active, password, typed, address, language, network } = asked;
        let verified = self.verified(active.account, password, network).await?;
        let asked = Asked { purpose: Purpose::Email, typed, address, language, network };
        self.write_request(asked, Some(verified.id), cause).await
    }

    /// The account of a link that takes another address or the old one back, if it can be used now.
    pub async fn address_link(&self, sent: &str, purpose: Purpose) -> Result<Uuid, Error> {
        let request = self.request_of(sent, purpose).await?;
        self.account_of(purpose, request).await
    }

    /// Uses such a link: all sessions end, and where the old address is taken back, the password is void, as somebody
    /// else may know it. `old` is the address that the user has in the log.
    pub async fn use_address_link(
        &self,
        sent: &str,
        purpose: Purpose,
        old: Option<&str>,
        cause: &Cause,
    ) -> Result<AddressChange, Error> {
        let request = self.request_of(sent, purpose).await?;
        let id = self.account_of(purpose, request).await?;
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, id).await?.ok_or(Error::Link)?;
        let now = self.now(&tx).await?;
        self.use_link(&tx, &account, (purpose, request), now).await?;
        let text = request.to_string();
        let sealed = self.seal_if(&text, old).await?;
        let sql = format!("UPDATE @links SET old_address = $2 WHERE id = $1 RETURNING {COLUMNS}");
        let row = tx.query_one(self.db.statement(&sql, [text.into(), sealed.into()])).await?;
        let change = self.change(&row.ok_or(Error::Link)?).await?;
        if purpose == Purpose::Undo {
            let sql = "UPDATE @accounts SET password = NULL, password_generation = password_generation + 1 WHERE id = $1";
            tx.execute(self.db.statement(sql, [id.to_string().into()])).await?;
        }
        let by = cause.by_owner(id, account.roles.is_staff(), None);
        if purpose == Purpose::Undo {
            self.unlink(&tx, &mut account, None, now, &by).await?;
        }
        self.end_all_but(&tx, &mut account, None, now).await?;
        let event = Event::AllSessionsEnded { reason: EndedBy::EmailChanged };
        self.record_of_account(&tx, &mut account, now, ("account.change-address", &by), event).await?;
        tx.commit().await?;
        Ok(change)
    }

    async fn change(&self, row: &sea_orm::QueryResult) -> Result<AddressChange, Error> {
        let (address, hash): (Option<String>, Option<String>) =
            (row.try_get_by_index(3)?, row.try_get_by_index(4)?);
        let (Some(address), Some(hash)) = (address, hash) else {
            return Err(Error::internal("a link that changes an address has none"));
        };
        let old: Option<String> = row.try_get_by_index(5)?;
        Ok(AddressChange {
            request: uuid(&row.try_get_by_index::<String>(0)?)?,
            account: uuid(&row.try_get_by_index::<String>(1)?)?,
            purpose: Purpose::read(&row.try_get_by_index::<String>(2)?)?,
            address: self.unseal(&address).await?,
            hash,
            old: self.unseal_if(old.as_deref()).await?,
            language: row.try_get_by_index(6)?,
        })
    }

    /// The changes that a crash left with a used link.
    pub async fn unfinished_changes(&self, most: u32) -> Result<Vec<AddressChange>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM @links WHERE purpose IN ('email', 'undo') AND used_at < {} - $1 \
             ORDER BY used_at, id LIMIT {most}",
            self.db.now()
        );
        let mut all = Vec::new();
        for row in self.db.connection.query_all(self.db.statement(&sql, [LEFT.into()])).await? {
            all.push(self.change(&row).await?);
        }
        Ok(all)
    }

    /// The account has the address, which its user has at this version. Done twice, it is done once. [`Error::Exists`]:
    /// another account has it.
    pub async fn set_address(
        &self,
        change: &AddressChange,
        user_version: i64,
        cause: &Cause,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        let Some(mut account) = self.lock(&tx, change.account).await? else { return Ok(()) };
        let (id, request) = (change.account.to_string(), change.request.to_string());
        let sql = "DELETE FROM @links WHERE id = $1";
        if tx.execute(self.db.statement(sql, [request.into()])).await?.rows_affected() == 0 {
            return Ok(());
        }
        let sql = "UPDATE @accounts SET address = $2 WHERE id = $1 \
                   AND NOT EXISTS (SELECT 1 FROM @accounts other WHERE other.address = $2 AND other.id <> $1)";
        let values = [id.into(), change.hash.as_str().into()];
        if tx.execute(self.db.statement(sql, values)).await?.rows_affected() == 0 {
            tx.commit().await?;
            return Err(Error::Exists);
        }
        let now = self.now(&tx).await?;
        let by = cause.by_owner(account.id, account.roles.is_staff(), None);
        let event = Event::EmailVerified { user_version };
        self.record_of_account(&tx, &mut account, now, ("account.change-address", &by), event).await?;
        if let (Purpose::Email, Some(old)) = (change.purpose, &change.old) {
            let (request, expires_at) = (ids::new(), now + Purpose::Undo.lasts());
            let language = &change.language;
            let link = NewLink {
                purpose: Purpose::Undo,
                request,
                address: Some(old),
                order: None,
                language,
                expires_at,
            };
            self.make_link(&tx, &account, link, now).await?;
            let mail = NewMail {
                kind: MailKind::Undo,
                request: Some(request),
                account: Some(account.id),
                address: Some(old),
                language,
                expires_at,
                client: None,
            };
            self.write_mail(&tx, mail).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// A change comes to nothing: somebody else has the address.
    pub async fn drop_change(&self, change: &AddressChange) -> Result<(), Error> {
        let sql = "DELETE FROM @links WHERE id = $1";
        let values = [change.request.to_string().into()];
        self.db.connection.execute(self.db.statement(sql, values)).await?;
        Ok(())
    }
}
