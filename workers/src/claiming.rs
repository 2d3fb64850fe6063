//! From a mailed link to an order that is an account's: the order decides in the log, once.

use soonshop_domain::ids::UserId;
use soonshop_domain::order::{self, ClaimedBy, Contact, Customer, Order};
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::{Personal, PersonalValue, Sensitive};
use soonshop_event_store::{EventStore, ExecuteError};
use soonshop_identity::{Cause, ClaimLink};
use uuid::Uuid;

use crate::registering::{Unfinished, context, unavailable};

/// The first part of the ids of its commands.
const NAME: &str = "claim";

/// What a claim came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// The order is the account's.
    Done,
    /// Another account has it.
    Taken,
    /// The account is being erased.
    Erased,
}

/// The address of an order, to be decrypted.
struct Address(Personal<String>);

impl Sensitive for Address {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        vec![&mut self.0]
    }
}

/// The address that a guest placed an order with which nobody has claimed. `None`: there is no such order, or no address.
pub async fn claimable_address(store: &EventStore, id: Uuid) -> Result<Option<String>, Unfinished> {
    let (order, _) = store.load::<Order>(id).await.map_err(unavailable)?;
    let Some(placed) = order.placed.filter(|_| order.claimed_by.is_none()) else { return Ok(None) };
    let (Customer::Guest(_), Contact { email: Some(email), .. }) = (placed.customer, placed.contact) else {
        return Ok(None);
    };
    let mut address = Address(email);
    store.keys().store().decrypt(&mut [&mut address]).await?;
    Ok(address.0.get().cloned())
}

/// Claims the order of a link for the account that it was mailed for.
pub async fn claim(
    store: &EventStore,
    (link, account): (ClaimLink, Uuid),
    cause: &Cause,
) -> Result<Claimed, Unfinished> {
    let (order, _) = store.load::<Order>(link.order).await.map_err(unavailable)?;
    let Some(Customer::Guest(guest)) = order.placed.map(|placed| placed.customer) else {
        return Ok(Claimed::Taken);
    };
    let request = link.request.to_string();
    let context = context(store, (NAME, &request), "order.claim", account, cause).await?;
    let command = order::Command::Claim { account: UserId(account), by: ClaimedBy::Link, guest };
    let (first, second) = ((link.order, command), (account, person::Command::TakeOver { purpose: None }));
    let refusal = order::Error::Person;
    match Box::pin(store.execute_joined::<Order, Person>(first, second, context, refusal)).await {
        Ok(_) => Ok(Claimed::Done),
        Err(ExecuteError::Rejected(order::Error::Person(_))) => Ok(Claimed::Erased),
        Err(ExecuteError::RejectedBefore { slug, .. }) if slug == person::Error::PersonErased.as_ref() => {
            Ok(Claimed::Erased)
        }
        Err(ExecuteError::Rejected(_) | ExecuteError::RejectedBefore { .. }) => Ok(Claimed::Taken),
        Err(error) => Err(unavailable(error)),
    }
}
