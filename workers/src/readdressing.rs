//! From a used link to another address of an account: the user's address is a command, decided in the log by its claim, and
//! then the account has it. Done again after a crash it comes to the same.

use soonshop_domain::user::{self, User};
use soonshop_domain::{ActorKind, Channel, Metadata, Personal, Purpose as KeyPurpose, ids};
use soonshop_event_log::Error;
use soonshop_event_store::{CommandContext, EventStore, ExecuteError};
use soonshop_identity::{AddressChange, Cause, Identity};

use crate::registering::Unfinished;

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
    let command_id = ids::derived(ids::PROCESSES, &[NAME, &request]);
    let fingerprint = store.keys().fingerprint(&[NAME.as_bytes(), request.as_bytes()]).await?;
    let metadata = Metadata {
        correlation_id: cause.correlation,
        command_type: Some("user.change-email".to_owned()),
        actor_kind: Some(ActorKind::Customer),
        actor_id: Some(change.account.to_string()),
        channel: Some(Channel::Process),
        traceparent: cause.traceparent.clone(),
        ..Metadata::default()
    };
    let context = CommandContext { record: true, ..CommandContext::new(command_id, fingerprint, metadata) };
    let email = Personal::new(change.address.clone(), change.account, KeyPurpose::Account);
    let command = user::Command::ChangeEmail { email };
    match store.execute::<User>(change.account, command, context).await {
        Ok(_) => {}
        Err(ExecuteError::Taken { .. } | ExecuteError::Rejected(_) | ExecuteError::RejectedBefore { .. }) => {
            identity.drop_change(change).await?;
            return Ok(Changed::Taken);
        }
        Err(error) => return Err(Unfinished::Log(Error::Unavailable(error.to_string()))),
    }
    let version = store.version::<User>(change.account).await;
    let version = version.map_err(|error| Unfinished::Log(Error::Unavailable(error.to_string())))?;
    match identity.set_address(change, version, cause).await {
        Ok(()) => Ok(Changed::Done),
        Err(soonshop_identity::Error::Exists) => Ok(Changed::Taken),
        Err(error) => Err(error.into()),
    }
}
