//! What the commands of carts answer, and whose cart is open.

use axum::response::Response;
use soonshop_domain::cart::{CHANNEL, Cart, Command, Error, open_cart};
use soonshop_domain::claim::scope;
use soonshop_domain::order::Customer;
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::{Classified, Purpose};
use soonshop_event_store::{ExecuteError, Executed, Joined};
use soonshop_service_kit::Problem;
use uuid::Uuid;

use crate::http::answer::{answer, unreadable};
use crate::http::call::Call;

/// The answer, where a refusal says more than its sentence.
pub(super) fn answered(
    id: Uuid,
    command: Command,
    done: Result<Executed, ExecuteError<Error>>,
) -> Result<Response, Problem> {
    let more = match &done {
        Err(ExecuteError::Rejected(Error::CartEnded(into))) => Some(*into),
        _ => None,
    };
    let bad_quantity = matches!(&done, Err(ExecuteError::Rejected(Error::BadQuantity)));
    answer::<Cart>(id, command, done).map_err(|problem| match more {
        Some(into) => problem.with("cart", into.to_string()),
        None if bad_quantity => problem.with_pointer("/quantity"),
        None => problem,
    })
}

/// Refuses the append if the erasure of this person's account was requested: what a cart holds would outlive it.
pub(in crate::contexts) fn not_erased<E: Classified>(
    person: Uuid,
    error: fn(person::Error) -> E,
) -> Joined<E> {
    let take_over = person::Command::TakeOver { purpose: Some(Purpose::Account) };
    Joined::new::<Person>(person, take_over, error)
}

/// Attempts the command, and answers.
pub(super) async fn attempted(call: &Call, id: Uuid, command: Command) -> Result<Response, Problem> {
    let done = call.attempt::<Cart>(id, command.clone()).await;
    answered(id, command, done)
}

/// The open cart of somebody, if there is one.
pub(super) async fn open_cart_of(call: &Call, customer: &Customer) -> Result<Option<Uuid>, Problem> {
    let owner = call.store.owner_of(scope::OPEN_CART, &open_cart(CHANNEL, customer)).await;
    let owner = owner.map_err(unreadable)?;
    Ok(owner.as_deref().and_then(|owner| owner.strip_prefix("cart:")?.parse().ok()))
}
