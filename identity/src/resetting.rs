//! A forgotten password: the link that was mailed sets another one. It ends all sessions, and signs nobody in.

use sea_orm::DatabaseTransaction;
use soonshop_domain::identity::account::PasswordReason;

use crate::{Cause, Error, Identity, Password, Purpose};

impl Identity {
    /// Sets a password with the link that was mailed for it. The same refusal whatever is wrong with the link.
    pub async fn reset_by_link(
        &self,
        sent: &str,
        new: Password,
        network: &str,
        cause: &Cause,
    ) -> Result<(), Error> {
        let request = self.request_of(sent, Purpose::Reset).await?;
        // Nothing is hashed for a link that cannot be used.
        let owner = self.account_of(Purpose::Reset, request).await?;
        let hash = self.hasher.hash(new, network).await?;
        let tx: DatabaseTransaction = self.begin().await?;
        let account = self.lock(&tx, owner).await?.ok_or(Error::Link)?;
        let now = self.now(&tx).await?;
        self.use_link(&tx, &account, (Purpose::Reset, request), now).await?;
        self.prove_network(&tx, owner, network, now).await?;
        let cause = cause.by_owner(owner, account.roles.is_staff(), None);
        self.replace(tx, account, hash, (PasswordReason::Reset, None), &cause).await
    }
}
