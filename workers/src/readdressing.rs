//! From a used link to another address of an account: the user's address is a command, decided in the log by its claim, and
//! then the account has it. Done again after a crash it comes to the same.

use soonshop_domain::user::{self, User};
use soonshop_domain::{Personal, Purpose as KeyPurpose};
use soonshop_event_store::{EventStore, ExecuteError};
use soonshop_identity::{AddressChange, Cause, Identity};

use crate::registering::{Unfinished, context, unavailable};

/// The first part of the ids of its commands.
const NAME: &str = "address";

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// The account has the address.
    Done,
    /// Somebody else has it, or there is no such user any more.
    Taken,
}

/// Gives the user the address, and then the account.
pub async fn finish(
    store: &EventStore,
    identity: &Identity,
    change: &AddressChange,
    cause: &Cause,
) -> Result<Changed, Unfinished> {
    let request = change.request.to_string();
    let context = context(store, (NAME, &request), "user.change-email", change.account, cause).await?;
    let email = Personal::new(change.address.clone(), change.account, KeyPurpose::Account);
    let command = user::Command::ChangeEmail { email };
    match store.execute::<User>(change.account, command, context).await {
        Ok(_) => {}
        Err(ExecuteError::Taken { .. } | ExecuteError::Rejected(_) | ExecuteError::RejectedBefore { .. }) => {
            identity.drop_change(change).await?;
            return Ok(Changed::Taken);
        }
        Err(error) => return Err(unavailable(error)),
    }
    let version = store.version::<User>(change.account).await.map_err(unavailable)?;
    match identity.set_address(change, version, cause).await {
        Ok(()) => Ok(Changed::Done),
        Err(soonshop_identity::Error::Exists) => Ok(Changed::Taken),
        Err(error) => Err(error.into()),
    }
}
