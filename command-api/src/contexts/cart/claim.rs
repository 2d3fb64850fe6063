//! An account takes over the cart that a guest filled: it becomes the account's open cart, or is merged into the one that
//! is open already.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use soonshop_domain::cart::{Cart, Command, Error, Line, Note, Status};
use soonshop_domain::claim::scope;
use soonshop_domain::ids::{CartId, GuestId, UserId};
use soonshop_domain::order::Customer;
use soonshop_domain::{Personal, PersonalValue, Purpose, Sensitive};
use soonshop_event_store::{ExecuteError, Joined};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::order::facts::guest_of;
use super::answered::{answered, attempted, not_erased, open_cart_of};
use crate::http::answer::{refused, unreadable};
use crate::http::body::Input;
use crate::http::call::Call;
use crate::http::privileged::Privileged;

/// How often a cart is read again that was changed before it could be taken over.
const ATTEMPTS: usize = 10;

/// What shows that the caller may take the cart over.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CartClaim)]
pub(super) struct Claim {
    /// The token of the guest whose cart it is: the answer to their first command had it in its header `Guest-Token`.
    #[schema(example = "ssg_…")]
    guest_token: String,
}

impl Input for Claim {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// The lines of a cart, with their notes.
struct Lines(Vec<Line>);

impl Sensitive for Lines {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        let notes = self.0.iter_mut().filter_map(|line| line.note.as_mut());
        notes.map(|note| note as &mut dyn PersonalValue).collect()
    }
}

/// The answer names the cart that goes on. Carts are read, and then changed in one append that refuses them if they are not
/// as they were read: so a line is taken once, however often this is sent and wherever it is killed.
pub(super) async fn claim(call: Call, id: Uuid, body: Claim) -> Result<Response, Problem> {
    let user = UserId(call.caller().claims_for()?);
    let guest = guest_of(&call, &body.guest_token).await?;
    for attempt in 1.. {
        let (cart, _) = call.store.load::<Cart>(id).await.map_err(refused)?;
        let (was_open, whose) =
            (cart.status == Status::Open, cart.owned.as_ref().map(|owned| owned.customer));
        if let (Status::Merged, Some(into), Some(Customer::Guest(owner))) = (cart.status, cart.into, whose)
            && owner == guest
            && is_of(&call, into, user).await?
        {
            // It was merged before.
            return attempted(&call, into.0, Command::Stay).await;
        }
        let into = open_cart_of(&call, &Customer::User(user)).await?.filter(|open| *open != id);
        let (goes_on, command, done) = match into {
            Some(into) if was_open => merge(&call, (id, cart), CartId(into), user, guest).await?,
            _ => become_theirs(&call, (id, cart), user, guest).await?,
        };
        let again = match &done {
            Err(ExecuteError::Rejected(Error::CartChanged | Error::CartEnded(_) | Error::CartExpired)) => {
                true
            }
            Err(ExecuteError::Taken { scope, .. }) => scope == scope::OPEN_CART,
            _ => false,
        };
        if !again || !was_open || attempt >= ATTEMPTS {
            return answered(goes_on, command, done);
        }
    }
    Err(Problem::internal("the loop has an end"))
}

/// Whether this user has the cart.
async fn is_of(call: &Call, cart: CartId, user: UserId) -> Result<bool, Problem> {
    let (cart, _) = call.store.load::<Cart>(cart.0).await.map_err(refused)?;
    Ok(cart.owned.is_some_and(|owned| owned.customer == Customer::User(user)))
}

type Attempted = (Uuid, Command, Result<soonshop_event_store::Executed, ExecuteError<Error>>);

/// The lines with their notes encrypted for the user. An erased note is gone.
async fn for_user(call: &Call, lines: Vec<Line>, user: UserId) -> Result<Vec<Line>, Problem> {
    let mut lines = Lines(lines);
    let damaged = call.store.keys().store().decrypt(&mut [&mut lines]).await.map_err(unreadable)?;
    if let Some((_, reason)) = damaged.into_iter().next() {
        // Not passed over: the note would be lost.
        return Err(Problem::internal(reason));
    }
    let mut lines = lines.0;
    for line in &mut lines {
        let text = line.note.take().and_then(|note| note.get().cloned());
        line.note = text.map(|text| Personal::new(text, user.0, Purpose::Account));
    }
    Ok(lines)
}

async fn become_theirs(
    call: &Call,
    (id, cart): (Uuid, Cart),
    user: UserId,
    guest: GuestId,
) -> Result<Attempted, Problem> {
    let lines = for_user(call, cart.lines, user).await?;
    let note = |line: Line| Some(Note { line: line.line, note: line.note? });
    let notes = lines.into_iter().filter_map(note).collect();
    let command = Command::Claim { user, guest, notes, changes: cart.changes };
    // In one append with what the streams of both say: who is being erased takes nothing over, and hands nothing over.
    let others = || [user.0, guest.0].map(|person| not_erased(person, Error::Person)).into();
    let done = call.attempt_all::<Cart>((id, command.clone()), others).await;
    Ok((id, command, done))
}

async fn merge(
    call: &Call,
    (id, cart): (Uuid, Cart),
    into: CartId,
    user: UserId,
    guest: GuestId,
) -> Result<Attempted, Problem> {
    let lines = for_user(call, cart.lines, user).await?;
    let command = Command::Take { from: CartId(id), lines };
    let merge = Command::MergeInto { into, owner: user, guest, changes: cart.changes };
    let others = || {
        let merged = Joined::new::<Cart>(id, merge.clone(), |error| error);
        std::iter::once(merged)
            .chain([user.0, guest.0].map(|person| not_erased(person, Error::Person)))
            .collect()
    };
    let done = call.attempt_all::<Cart>((into.0, command.clone()), others).await;
    Ok((into.0, command, done))
}
