//! From a used link to an open account: the user is a command, decided in the log by its claim on the address, and then the
//! account is opened. Done again after a crash it comes to the same.

use soonshop_domain::claim::scope;
use soonshop_domain::user::consent::{Medium, Via};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Actor, ActorKind, Channel, Metadata, Personal, ids, text};
use soonshop_event_log::Error;
use soonshop_event_store::{CommandContext, EventStore, ExecuteError};
use soonshop_identity::{Agreed, Cause, Identity, Proven};
use uuid::Uuid;

/// The first part of the ids of its commands.
const NAME: &str = "registration";

/// The same of the command with a consent.
const AGREEING: &str = "registration-consent";

/// What a registration came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// The account of this user is open.
    Open(Uuid),
    /// Somebody else has the address, or has opened the account meanwhile.
    Taken,
}

/// Why it could not be finished now. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// The log, or its keys.
    #[error(transparent)]
    Log(#[from] Error),
    /// The tables of accounts.
    #[error(transparent)]
    Identity(#[from] soonshop_identity::Error),
}

pub(crate) fn unavailable(error: impl std::fmt::Display) -> Unfinished {
    Unfinished::Log(Error::Unavailable(error.to_string()))
}

/// Makes the user, if nobody has the address, and opens the account.
pub async fn finish(
    store: &EventStore,
    identity: &Identity,
    registration: &Proven,
    cause: &Cause,
) -> Result<Finished, Unfinished> {
    let key = text::email_key(&registration.address);
    let user = match store.owner_of(scope::EMAIL, &key).await.map_err(unavailable)? {
        Some(owner) => user_in(&owner),
        None => registered(store, registration, cause).await?,
    };
    let Some(user) = user else {
        identity.drop_registration(registration).await?;
        return Ok(Finished::Taken);
    };
    // Claims are held in whatever case: what only looks like the address is not the same mailbox.
    let stored = address_of(store, user).await?;
    let proven = match stored {
        Some(stored) => identity.is_proven(registration, &stored).await?,
        None => false,
    };
    if !proven {
        identity.drop_registration(registration).await?;
        return Ok(Finished::Taken);
    }
    let version = store.version::<User>(user).await.map_err(unavailable)?;
    agree(store, user, registration, cause).await?;
    match identity.open_registered(registration, user, version, cause).await {
        Ok(()) => Ok(Finished::Open(user)),
        Err(soonshop_identity::Error::Exists) => Ok(Finished::Taken),
        Err(error) => Err(error.into()),
    }
}

/// The id in `user:<id>`.
fn user_in(owner: &str) -> Option<Uuid> {
    owner.strip_prefix("user:").and_then(|id| Uuid::try_parse(id).ok())
}

/// The user whom the command makes, or who was quicker. `None`: no user has the address, and this one cannot be made.
async fn registered(
    store: &EventStore,
    registration: &Proven,
    cause: &Cause,
) -> Result<Option<Uuid>, Unfinished> {
    let (id, request) = (registration.user, registration.request.to_string());
    let (name, email) = (registration.name.as_deref(), Some(registration.address.as_str()));
    // Both were looked at before they were written down.
    let Ok(details) = user::Details::try_new(id, name, email, None, None) else { return Ok(None) };
    let context = context(store, (NAME, &request), "user.register", id, cause).await?;
    match store.execute::<User>(id, user::Command::Register { details }, context).await {
        Ok(_) => Ok(Some(id)),
        Err(ExecuteError::Taken { owner, .. }) => Ok(user_in(&owner)),
        Err(ExecuteError::Rejected(_) | ExecuteError::RejectedBefore { .. }) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

/// Writes the consent that was given with the link into the user's stream, at the time of then. Without a mailbox that is proven
/// nobody comes here.
async fn agree(
    store: &EventStore,
    user: Uuid,
    registration: &Proven,
    cause: &Cause,
) -> Result<(), Unfinished> {
    let Some(Agreed { words, at }) = registration.advertising.clone() else { return Ok(()) };
    let request = registration.request.to_string();
    let mut context = context(store, (AGREEING, &request), "user.set-consent", user, cause).await?;
    context.occurred_at = at;
    let command = user::Command::GiveConsent { medium: Medium::Email, words, via: Via::Registration };
    match store.execute::<User>(user, command, context).await {
        // Who was deleted meanwhile, or has changed too much today, has not agreed to anything.
        Ok(_) | Err(ExecuteError::Rejected(_) | ExecuteError::RejectedBefore { .. }) => Ok(()),
        Err(error) => Err(unavailable(error)),
    }
}

/// The context of the command that a customer's request leads to, which is done once, whoever does it again. `request`: the
/// first part of the command's id, and the request's own.
pub(crate) async fn context(
    store: &EventStore,
    request: (&str, &str),
    command_type: &str,
    customer: Uuid,
    cause: &Cause,
) -> Result<CommandContext, Unfinished> {
    let (name, request) = request;
    let command_id = ids::derived(ids::PROCESSES, &[name, request]);
    let fingerprint = store.keys().fingerprint(&[name.as_bytes(), request.as_bytes()]).await?;
    let metadata = Metadata {
        correlation_id: cause.correlation,
        command_type: Some(command_type.to_owned()),
        actor_kind: Some(ActorKind::Customer),
        actor_id: Some(customer.to_string()),
        channel: Some(Channel::Process),
        traceparent: cause.traceparent.clone(),
        session_id: cause.session,
        ..Metadata::default()
    };
    Ok(CommandContext { record: true, ..CommandContext::new(command_id, fingerprint, metadata) })
}

/// What the log knows of a user, in clear.
#[derive(Default)]
pub struct Person {
    pub name: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
}

/// The details that a user has in the log; none where there is no such user, or where they were erased.
pub async fn person_of(store: &EventStore, user: Uuid) -> Result<Person, Unfinished> {
    let (state, _) = store.load::<User>(user).await.map_err(unavailable)?;
    let User::Active { mut details, .. } = state else { return Ok(Person::default()) };
    store.keys().store().decrypt(&mut [&mut details]).await?;
    let clear = |value: &Option<Personal<String>>| value.as_ref().and_then(Personal::get).cloned();
    Ok(Person { name: clear(&details.name), email: clear(&details.email), phone: clear(&details.phone) })
}

/// The address that a user has in the log, in clear. `None`: there is none, or it was erased.
pub async fn address_of(store: &EventStore, user: Uuid) -> Result<Option<String>, Unfinished> {
    Ok(person_of(store, user).await?.email)
}

/// The registration itself, as the cause of what a worker does for it.
pub(crate) fn later() -> Cause {
    Cause::of(Actor::system(NAME))
}
