//! Sign-ins on devices that are not known: the account's owner is told by mail. The mail goes to the address that the user
//! has in the log, which the worker looks up.

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
    /// Whether a sign-in that begins now, on a device that is new to the account or not, is unusual: the first one of all is
    /// not. The owner is told of one that is, unless there were too many such mails.
    pub(crate) async fn notice(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        is_new: bool,
        (language, now): (&str, i64),
    ) -> Result<bool, Error> {
        let id = account.id.to_string();
        let sql = "UPDATE @accounts SET signed_in_at = $2 WHERE id = $1 AND signed_in_at IS NULL";
        let values = [id.as_str().into(), now.into()];
        let is_first = tx.execute(self.db.statement(sql, values)).await?.rows_affected() == 1;
        if !is_new || is_first {
            return Ok(false);
        }
        let kind = MailKind::SignIn;
        if self.may_mail(tx, kind.name(), &[format!("mailed:{}:account:{id}", kind.name())], now).await? {
            let mail = NewMail {
                kind,
                request: None,
                account: Some(account.id),
                address: None,
                language,
                expires_at: now + TOLD_WITHIN,
            };
            self.write_mail(tx, mail).await?;
        }
        Ok(true)
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
