//! Sign-ins on devices that are not known: the account's owner is told by mail.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};

use crate::mails::MailKind;
use crate::store::Account;
use crate::{Error, Identity};

impl Identity {
    /// Whether a sign-in that begins now, on a device that is new to the account or not, is unusual: the first one of all is
    /// not. The owner is told of one that is.
    pub(crate) async fn notice(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        is_new: bool,
        now: i64,
    ) -> Result<bool, Error> {
        let sql = "UPDATE @accounts SET signed_in_at = $2 WHERE id = $1 AND signed_in_at IS NULL";
        let values = [account.id.to_string().into(), now.into()];
        let is_first = tx.execute(self.db.statement(sql, values)).await?.rows_affected() == 1;
        if !is_new || is_first {
            return Ok(false);
        }
        self.tell(tx, account, MailKind::SignIn, now).await?;
        Ok(true)
    }
}
