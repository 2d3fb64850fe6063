//! Orders over HTTP, and in [`credit_note`] the money that goes back. An order needs facts first: which product a SKU is
//! of, its name and its price.
#![expect(clippy::unnecessary_wraps, reason = "all functions of the table have one signature")]

mod credit_note;
pub(super) mod facts;
pub(super) mod pay;

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use soonshop_domain::claim::scope;
use soonshop_domain::ids::{GuestId, OrderId, UserId};
use soonshop_domain::order::{self, ClaimedBy, Command, Contact, Customer, Order, Placement, number_of};
use soonshop_domain::user::person::{self, Person};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use self::facts::{NewLine, buyer, guest_of, invalid, number, numbered, sold};
use crate::http::action::{executes, prepares};
use crate::http::answer::answer;
use crate::http::body::{Input, reason, reason_schema};
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::privileged::{OCCURRED_AT, Privileged};
use crate::http::row::Success::{Created, Done};
use crate::http::schema;

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST "/orders"                   "order.place":       Shop,   New, Required, Created("/orders/{id}"),       "Place an order"                => prepares(place);
        POST "/orders/{id}/cancellation" "order.cancel":      Shop,   Own, Required, Done,                          "Cancel an order"               => executes::<Order, _>(cancel);
        POST "/orders/{id}/shipment"     "order.ship":        Stock,  Own, Required, Done,                          "Say that an order was shipped" => executes::<Order, _>(ship);
        POST "/orders/{id}/claim"        "order.claim":       Shop,   Guests, Optional, Done,                       "Claim an order of a guest"     => prepares(claim);
        POST "/orders/{order}/payments"  "order.pay":         Shop,   Own, Required, Created("/payments/{id}"),     "Pay for an order"              => prepares(pay::pay);
        POST "/credit-notes"             "credit_note.issue": Refund, New, Required, Created("/credit-notes/{id}"), "Give money back"               => credit_note::issues();
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrder)]
struct NewOrder {
    /// If it is left out: the customer who is signed in, the guest whose token is sent, or a new guest.
    #[schema(value_type = Option<schema::Customer>)]
    customer: Option<Customer>,
    /// With the names of their products they have at most 256 KiB: 1,500 lines fit where the names are short.
    #[schema(min_items = 1, max_items = 1500)]
    lines: Vec<NewLine>,
    #[schema(min_length = 1, max_length = 64)]
    country: String,
    #[serde(default)]
    contact: NewContact,
    /// Needs the permission `override`; otherwise one is made.
    #[schema(min_length = 1, max_length = 64)]
    number: Option<String>,
    /// Needs the permission `override`.
    occurred_at: Option<DateTime<Utc>>,
}

/// How to reach the buyer. Kept encrypted, for as long as an invoice must be.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderContact)]
pub(super) struct NewContact {
    #[schema(min_length = 1, max_length = 200)]
    pub(super) name: Option<String>,
    #[schema(max_length = 254, format = "email")]
    pub(super) email: Option<String>,
    #[schema(min_length = 1, max_length = 40)]
    pub(super) phone: Option<String>,
    #[schema(max_length = 500)]
    pub(super) address: Option<String>,
}

impl Input for NewOrder {
    const PRIVILEGED: &'static [Privileged] =
        &[Privileged::sent("/number"), Privileged::sent("/lines/*/price"), OCCURRED_AT];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderCancellation)]
struct Cancellation {
    #[schema(schema_with = reason_schema)]
    reason: String,
}

impl Input for Cancellation {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// What shows that the caller may claim the order.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderClaim)]
struct Claim {
    /// The token of the guest whose order it is: the answer to their first command had it in its header `Guest-Token`.
    #[schema(example = "ssg_…")]
    guest_token: String,
}

impl Input for Claim {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// No fields are needed: `{}`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderShipment)]
struct Shipment {}

impl Input for Shipment {
    const PRIVILEGED: &'static [Privileged] = &[];
}

fn cancel(_: Uuid, body: Cancellation) -> Result<Command, Problem> {
    Ok(Command::Cancel { reason: reason(&body.reason)? })
}

fn ship(_: Uuid, Shipment {}: Shipment) -> Result<Command, Problem> {
    Ok(Command::Ship)
}

/// The account of a customer takes over what a guest began: it is the account's alone from then on.
async fn claim(call: Call, id: Uuid, body: Claim) -> Result<Response, Problem> {
    let account = call.caller().claims_for()?;
    let (account, guest) = (UserId(account), guest_of(&call, &body.guest_token).await?);
    let command = Command::Claim { account, by: ClaimedBy::Token, guest };
    // In one append with what the person's stream says: who is being erased takes nothing over.
    let (first, second) = ((id, command.clone()), (account.0, person::Command::TakeOver { purpose: None }));
    let done = call.attempt_joined::<Order, Person>(first, second, order::Error::Person).await;
    answer::<Order>(id, command, done)
}

async fn place(call: Call, (): (), body: NewOrder) -> Result<Response, Problem> {
    let id = call.new_stream();
    let given = number(body.number.as_deref())?;
    let placement = match placement(&call, id, body).await {
        Ok(placement) => placement,
        Err(problem) => {
            let again = Command::Place(nothing());
            let done = call.unless_done::<Order>(id, again.clone(), problem).await?;
            return answer::<Order>(id, again, done);
        }
    };
    let command = |number| Command::Place(Placement { number, ..placement.clone() });
    let generated = |attempt| number_of(OrderId(id), attempt);
    let execute = |number| call.attempt::<Order>(id, command(number));
    let done = numbered(given.as_deref(), scope::ORDER_NUMBER, generated, execute).await;
    answer::<Order>(id, command(String::new()), done)
}

/// An empty placement, for a command that the order refuses in any case.
fn nothing() -> Placement {
    Placement {
        number: String::new(),
        customer: Customer::Guest(GuestId(Uuid::nil())),
        lines: Vec::new(),
        country: String::new(),
        contact: Contact::default(),
    }
}

async fn placement(call: &Call, id: Uuid, body: NewOrder) -> Result<Placement, Problem> {
    let NewOrder { customer, lines, country, contact, .. } = body;
    let customer = buyer(call, id, customer).await?;
    let NewContact { name, email, phone, address } = &contact;
    let contact = Contact::try_new(
        customer.subject(),
        name.as_deref(),
        email.as_deref(),
        phone.as_deref(),
        address.as_deref(),
    );
    Ok(Placement {
        number: String::new(),
        customer,
        contact: contact.map_err(|(pointer, error)| invalid(pointer, error))?,
        country: facts::country(&country)?,
        lines: sold(&call.store, lines).await?,
    })
}
