//! What the owner of an account is told by mail: a sign-in on a device that is not known, changes of what somebody signs in
//! with, and clients that may act for them. The mail goes to the address that the user has in the log, which the worker looks up.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use uuid::Uuid;

use crate::mails::{MailKind, NewMail};
use crate::store::Account;
use crate::stored::{HOUR, uuid};
use crate::{Error, Identity};

/// How long such a mail is worth sending.
const TOLD_WITHIN: i64 = 24 * HOUR;

/// A mail whose address is not known yet, and whose account has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unaddressed {
    pub id: Uuid,
    pub account: Uuid,
}

impl Identity {
    /// Tells the owner of an account that is locked, in the language of their last sign-in, unless there were too many mails
    /// of this kind.
    pub(crate) async fn tell(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        kind: MailKind,
        now: i64,
    ) -> Result<(), Error> {
        self.tell_of(tx, account, (kind, None), now).await
    }

    /// Tells them that they let this client act for them.
    pub(crate) async fn tell_of_client(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        client: Uuid,
        now: i64,
    ) -> Result<(), Error> {
        self.tell_of(tx, account, (MailKind::ClientAllowed, Some(client)), now).await
    }

    async fn tell_of(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        (kind, client): (MailKind, Option<Uuid>),
        now: i64,
    ) -> Result<(), Error> {
        let counted = format!("mailed:{}:account:{}", kind.name(), account.id);
        if !self.may_mail(tx, kind.name(), &[counted], now).await? {
            return Ok(());
        }
        let mail = NewMail {
            kind,
            request: None,
            account: Some(account.id),
            address: None,
            language: &account.language,
            expires_at: now + TOLD_WITHIN,
            client,
        };
        self.write_mail(tx, mail).await
    }

    /// The language of the mails to an account, from now on; an empty one changes nothing.
    pub(crate) async fn set_language(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        language: &str,
    ) -> Result<(), Error> {
        if !language.is_empty() && account.language != language {
            let sql = "UPDATE @accounts SET language = $2 WHERE id = $1";
            tx.execute(self.db.statement(sql, [account.id.to_string().into(), language.into()])).await?;
            language.clone_into(&mut account.language);
        }
        Ok(())
    }

    /// The mails that need an address, the oldest first, and at most so many.
    pub async fn unaddressed(&self, most: u32) -> Result<Vec<Unaddressed>, Error> {
        let sql = format!(
            "SELECT id, account FROM @mails WHERE address = '' AND account IS NOT NULL ORDER BY due_at, id LIMIT {most}"
        );
        let mut all = Vec::new();
        for row in self.db.connection.query_all(self.db.statement(&sql, [])).await? {
            let (id, account): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            all.push(Unaddressed { id: uuid(&id)?, account: uuid(&account)? });
        }
        Ok(all)
    }

    /// Gives a mail the address that the user has in the log. Where that is not the account's, it is not sent.
    pub async fn give_address(&self, mail: &Unaddressed, stored: Option<&str>) -> Result<(), Error> {
        let id = mail.id.to_string();
        if let Some(stored) = stored {
            let (sealed, hash) = (self.seal(&id, stored).await?, self.address(stored).await?);
            let sql = "UPDATE @mails SET address = $2 WHERE id = $1 AND EXISTS \
                       (SELECT 1 FROM @accounts WHERE id = $3 AND address = $4)";
            let values = [id.as_str().into(), sealed.into(), mail.account.to_string().into(), hash.into()];
            if self.db.connection.execute(self.db.statement(sql, values)).await?.rows_affected() == 1 {
                return Ok(());
            }
        }
        let sql = "DELETE FROM @mails WHERE id = $1 AND address = ''";
        self.db.connection.execute(self.db.statement(sql, [id.into()])).await?;
        Ok(())
    }
}
