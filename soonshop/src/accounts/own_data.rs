//! What people keep with the shop beside their account, changed on the pages of the account: commands of the user, decided in
//! the log.

use std::time::Duration;

use async_trait::async_trait;
use soonshop_domain::user::address::Address;
use soonshop_domain::user::consent::{Medium, Via, Wording};
use soonshop_domain::user::kept::{Entry, Kept};
use soonshop_domain::user::{Command, Details, Error, Event, User};
use soonshop_domain::{Channel, Classified as _, ErrorKind, Metadata, Personal, ids};
use soonshop_event_store::{CommandContext, ExecuteError};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{
    AddressTyped, ConsentChange, DetailsWanted, OwnAddress, OwnConsents, OwnData,
};
use soonshop_service_kit::problem::Kind;
use uuid::Uuid;

use super::own::OwnAccounts;
use crate::cause::chain;

/// How many events of a user are looked through for their consents, the newest.
const HISTORY: i64 = 1_000;

/// How often a change is decided again that another one was quicker than.
const TRIES: usize = 3;

/// A user as the log has them, in clear.
struct Known {
    account: Uuid,
    version: i64,
    details: Details,
    kept: Kept,
}

/// The log or the keys cannot be used, or the user is gone.
fn problem(error: ExecuteError<Error>) -> Problem {
    match error {
        ExecuteError::Rejected(error) => {
            let kind = match error.kind() {
                ErrorKind::Invalid => Kind::Invalid,
                ErrorKind::NotFound => Kind::NotFound,
                ErrorKind::Gone => Kind::Gone,
                ErrorKind::Conflict => Kind::Conflict,
            };
            Problem::new(kind, error.as_ref().to_owned(), error.to_string())
        }
        ExecuteError::Erased => {
            Problem::gone("person-erased", "the person was erased, and nothing new about them is kept")
        }
        ExecuteError::Fault(reason) => Problem::internal(reason),
        other => {
            tracing::warn!(error = chain(&other), "a change of somebody's own data was not done");
            let detail = "this cannot be changed just now";
            Problem::unavailable("event-store-unavailable", detail, Duration::from_secs(1))
        }
    }
}

fn refused((pointer, error): (&'static str, soonshop_domain::text::TextError)) -> Problem {
    Problem::invalid("invalid-body", error.to_string()).with_pointer(pointer)
}

fn clear(value: Option<&Personal<String>>) -> Option<String> {
    value.and_then(Personal::get).cloned()
}

fn entry(account: Uuid, wanted: AddressTyped<'_>) -> Result<Entry, Problem> {
    let AddressTyped { typed, default_shipping, default_billing } = wanted;
    let at = Box::new(Address::try_new(account, typed).map_err(refused)?);
    Ok(Entry { at, default_shipping, default_billing })
}

impl OwnAccounts {
    /// The owner of a session as the log knows them.
    async fn known(&self, session: Uuid) -> Result<Known, Problem> {
        let (active, _) = self.accounts.owner(session).await?;
        let (user, version) = self.store.load::<User>(active.account).await.map_err(problem)?;
        let User::Active { mut details, mut kept } = user else {
            return Err(problem(ExecuteError::Rejected(Error::UserNotFound)));
        };
        let keys = self.store.keys().store();
        keys.decrypt(&mut [&mut details]).await.map_err(|error| problem(error.into()))?;
        keys.decrypt(&mut [&mut kept]).await.map_err(|error| problem(error.into()))?;
        Ok(Known { account: active.account, version, details, kept })
    }

    /// Gives a command as the owner of the session, on the pages of their account.
    async fn execute(
        &self,
        session: Uuid,
        name: &str,
        (command, expected): (impl FnOnce(Uuid) -> Result<Command, Problem>, Option<i64>),
    ) -> Result<Result<(), ExecuteError<Error>>, Problem> {
        let (active, cause) = self.accounts.owner(session).await?;
        let metadata = Metadata {
            correlation_id: cause.correlation,
            command_type: Some(format!("user.{name}")),
            actor_kind: Some(cause.actor.kind),
            actor_id: Some(cause.actor.id),
            channel: Some(Channel::Storefront),
            traceparent: cause.traceparent,
            session_id: Some(session),
            ..Metadata::default()
        };
        let context = CommandContext::new(ids::new(), name.as_bytes().to_vec(), metadata);
        let context = CommandContext { expected, ..context };
        let command = command(active.account)?;
        Ok(self.store.execute::<User>(active.account, command, context).await.map(drop))
    }

    async fn done(
        &self,
        session: Uuid,
        name: &str,
        command: impl FnOnce(Uuid) -> Result<Command, Problem>,
    ) -> Result<(), Problem> {
        self.execute(session, name, (command, None)).await?.map_err(problem)
    }
}

#[async_trait]
impl OwnData for OwnAccounts {
    async fn change_details(&self, session: Uuid, wanted: DetailsWanted<'_>) -> Result<(), Problem> {
        let mut tries = 0;
        loop {
            let Known { account, version, details: old, .. } = self.known(session).await?;
            let email = clear(old.email.as_ref());
            let details = Details::try_new(
                account,
                wanted.name,
                email.as_deref(),
                wanted.phone,
                old.country.as_deref(),
            );
            let details = details.map_err(refused)?;
            // The address is not changed here: where it is another one meanwhile, this is decided again.
            let command = |_| Ok(Command::Change { details });
            match self.execute(session, "change", (command, Some(version))).await? {
                Err(ExecuteError::Stale { .. }) if tries < TRIES => tries += 1,
                done => return done.map_err(problem),
            }
        }
    }

    async fn addresses(&self, session: Uuid) -> Result<Vec<OwnAddress>, Problem> {
        let kept = self.known(session).await?.kept;
        let own = kept.addresses.iter().map(|booked| OwnAddress {
            id: booked.id,
            label: clear(booked.at.label.as_ref()),
            name: clear(Some(&booked.at.name)),
            street: clear(Some(&booked.at.street)),
            postal_code: clear(booked.at.postal_code.as_ref()),
            city: clear(Some(&booked.at.city)),
            region: clear(booked.at.region.as_ref()),
            country: booked.at.country.clone(),
            phone: clear(booked.at.phone.as_ref()),
            default_shipping: kept.default_shipping == Some(booked.id),
            default_billing: kept.default_billing == Some(booked.id),
        });
        Ok(own.collect())
    }

    async fn add_address(&self, session: Uuid, form: Uuid, wanted: AddressTyped<'_>) -> Result<(), Problem> {
        let add = |account: Uuid| {
            // Nobody else's form leads to this id.
            let (account_id, form) = (account.to_string(), form.to_string());
            let address = ids::stream_of(ids::derived(ids::COMMANDS, &[&account_id, "address", &form]));
            Ok(Command::AddAddress { address, entry: entry(account, wanted)? })
        };
        self.done(session, "add-address", add).await
    }

    async fn change_address(&self, session: Uuid, id: Uuid, wanted: AddressTyped<'_>) -> Result<(), Problem> {
        let change = |account| Ok(Command::ChangeAddress { address: id, entry: entry(account, wanted)? });
        self.done(session, "change-address", change).await
    }

    async fn remove_address(&self, session: Uuid, id: Uuid) -> Result<(), Problem> {
        let removed =
            self.execute(session, "remove-address", (|_| Ok(Command::RemoveAddress { address: id }), None));
        match removed.await? {
            Err(ExecuteError::Rejected(Error::AddressNotFound)) => Ok(()),
            done => done.map_err(problem),
        }
    }

    async fn consents(&self, session: Uuid) -> Result<OwnConsents, Problem> {
        let Known { account, version, kept, .. } = self.known(session).await?;
        let given = kept.consents.iter().filter(|consent| consent.given.is_some());
        let given = given.map(|consent| consent.medium).collect();
        let rows = self.store.log().stream("user", &account.to_string(), version - HISTORY, HISTORY).await;
        let mut history = Vec::new();
        for row in rows.map_err(|error| problem(error.into()))? {
            let at = row.occurred_at;
            match serde_json::from_str(&row.payload).map_err(Problem::internal)? {
                Event::ConsentGiven { medium, words, via, .. } => {
                    history.push(ConsentChange { medium, given: Some(words), via, at });
                }
                Event::ConsentWithdrawn { medium, via } => {
                    history.push(ConsentChange { medium, given: None, via, at });
                }
                _ => {}
            }
        }
        history.reverse();
        Ok(OwnConsents { given, history })
    }

    async fn set_consent(
        &self,
        session: Uuid,
        medium: Medium,
        words: Option<Wording>,
    ) -> Result<(), Problem> {
        let via = Via::AccountPage;
        let command = match words {
            Some(words) => Command::GiveConsent { medium, words, via },
            None => Command::WithdrawConsent { medium, via },
        };
        self.done(session, "set-consent", |_| Ok(command)).await
    }
}
