//! Orders and credit notes over HTTP. Both need facts first: which product a SKU is of, its name and its price.
#![expect(clippy::unnecessary_wraps, reason = "all functions of the table have one signature")]

use std::collections::BTreeMap;

use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use soonshop_domain::claim::scope;
use soonshop_domain::ids::{self, GuestId, OrderId, ProductId};
use soonshop_domain::order::credit_note::{self, CreditNote};
use soonshop_domain::order::{
    Command, Contact, Customer, Error, Line, MOST_LINES, Order, Placement, number_of,
};
use soonshop_domain::product::Product;
use soonshop_domain::text::{self, Sku};
use soonshop_domain::user::User;
use soonshop_domain::{Decider, Money};
use soonshop_event_store::{EventStore, ExecuteError};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::action::{executes, prepares};
use crate::http::answer::{answer, refused, rejected, unreadable};
use crate::http::body::{Input, reason};
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::row::Success::{Created, Done};
use crate::http::schema;

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST "/orders"                   "order.place":       Shop,   Required, Created("/orders/{id}"),       "Place an order"                => prepares(place);
        POST "/orders/{id}/cancellation" "order.cancel":      Shop,   Required, Done,                          "Cancel an order"               => executes::<Order, _>(cancel);
        POST "/orders/{id}/shipment"     "order.ship":        Trade,  Required, Done,                          "Say that an order was shipped" => executes::<Order, _>(ship);
        POST "/credit-notes"             "credit_note.issue": Refund, Required, Created("/credit-notes/{id}"), "Give money back"               => prepares(issue);
    }
}

/// How many SKUs are looked up at once.
const LOOK_UPS: usize = 8;

/// How many generated numbers are tried: two taken ones in a row are already very unlikely.
const NUMBERS: u32 = 10;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrder)]
struct NewOrder {
    /// A new guest if it is left out.
    #[schema(value_type = Option<schema::Customer>)]
    customer: Option<Customer>,
    #[schema(min_items = 1, max_items = 1500)]
    lines: Vec<NewLine>,
    #[schema(max_length = 64)]
    country: String,
    #[serde(default)]
    contact: NewContact,
    /// Only with the operator's token; otherwise one is made.
    #[schema(max_length = 64)]
    number: Option<String>,
    /// Only with the operator's token.
    occurred_at: Option<DateTime<Utc>>,
}

/// How to reach the buyer. Kept encrypted, for as long as an invoice must be.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderContact)]
struct NewContact {
    #[schema(max_length = 200)]
    name: Option<String>,
    #[schema(max_length = 254)]
    email: Option<String>,
    #[schema(max_length = 40)]
    phone: Option<String>,
    #[schema(max_length = 500)]
    address: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrderLine)]
struct NewLine {
    #[schema(value_type = String, max_length = 64)]
    sku: Sku,
    #[schema(minimum = 1)]
    quantity: u32,
    /// Of one unit, only with the operator's token; otherwise the product's.
    #[schema(value_type = Option<schema::Money>)]
    price: Option<Money>,
}

impl Input for NewOrder {
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }

    fn privileged(&self) -> Option<String> {
        let number = self.number.as_ref().map(|_| "/number".to_owned());
        let price = || self.lines.iter().position(|line| line.price.is_some());
        number.or_else(|| price().map(|line| format!("/lines/{line}/price")))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCreditNote)]
struct NewCreditNote {
    /// Generated if it is left out.
    #[schema(max_length = 64)]
    number: Option<String>,
    /// The order that it credits, where it is known.
    order_id: Option<Uuid>,
    /// The order's, or a new guest, where it is left out.
    #[schema(value_type = Option<schema::Customer>)]
    customer: Option<Customer>,
    /// The credited lines, with positive quantities and prices.
    #[schema(min_items = 1, max_items = 1500)]
    lines: Vec<NewLine>,
    #[schema(max_length = 64)]
    country: String,
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for NewCreditNote {
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderCancellation)]
struct Cancellation {
    /// A code, such as `broken`: free text would be personal.
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    reason: String,
}

impl Input for Cancellation {}

/// No fields are needed: `{}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderShipment)]
struct Shipment {}

impl Input for Shipment {}

fn cancel(_: Uuid, body: Cancellation) -> Result<Command, Problem> {
    Ok(Command::Cancel { reason: reason(&body.reason)? })
}

fn ship(_: Uuid, Shipment {}: Shipment) -> Result<Command, Problem> {
    Ok(Command::Ship)
}

fn invalid(pointer: impl Into<String>, error: impl std::fmt::Display) -> Problem {
    Problem::invalid("invalid-body", error.to_string()).with_pointer(pointer)
}

async fn place(call: Call, (): (), body: NewOrder) -> Result<Response, Problem> {
    let id = call.new_stream();
    let given = body.number.as_deref().map(|number| text::line(number, 64)).transpose();
    let given = given.map_err(|error| invalid("/number", error))?;
    let number = |attempt| number_of(OrderId(id), attempt);
    match placement(&call.store, id, body).await {
        Ok(placement) => {
            let command = |number| Command::Place(Placement { number, ..placement.clone() });
            numbered::<Order>(&call, id, (given, scope::ORDER_NUMBER), number, command).await
        }
        Err(problem) => call.unless_done::<Order>(id, Command::Place(nothing()), problem).await,
    }
}

async fn issue(call: Call, (): (), body: NewCreditNote) -> Result<Response, Problem> {
    let id = call.new_stream();
    let given = body.number.as_deref().map(|number| text::line(number, 64)).transpose();
    let given = given.map_err(|error| invalid("/number", error))?;
    let number = |attempt| number_of(OrderId(id), attempt).replacen('S', "C", 1);
    let order_id = body.order_id.map(OrderId);
    let issue = |number, Placement { customer, lines, country, .. }| credit_note::Command::Issue {
        number,
        order_id,
        customer,
        lines,
        country,
    };
    match credit(&call.store, id, body).await {
        Ok(credited) => {
            let command = |number| issue(number, credited.clone());
            numbered::<CreditNote>(&call, id, (given, scope::CREDIT_NOTE_NUMBER), number, command).await
        }
        Err(problem) => call.unless_done::<CreditNote>(id, issue(String::new(), nothing()), problem).await,
    }
}

/// With the given number, or the first free generated one.
async fn numbered<A: Decider>(
    call: &Call,
    id: Uuid,
    (given, scope): (Option<String>, &str),
    made: impl Fn(u32) -> String,
    command: impl Fn(String) -> A::Command,
) -> Result<Response, Problem> {
    let mut attempt = 0;
    loop {
        let command = command(given.clone().unwrap_or_else(|| made(attempt)));
        match call.attempt::<A>(id, command.clone()).await {
            Err(ExecuteError::Taken { scope: taken, .. })
                if taken == scope && given.is_none() && attempt < NUMBERS =>
            {
                attempt += 1;
            }
            done => return answer::<A>(id, command, done),
        }
    }
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

async fn placement(store: &EventStore, id: Uuid, body: NewOrder) -> Result<Placement, Problem> {
    let NewOrder { customer, lines, country, contact, .. } = body;
    let customer = buyer(store, id, customer).await?;
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
        country: text::line(&country, 64).map_err(|error| invalid("/country", error))?,
        lines: sold(store, lines).await?,
    })
}

/// A credit note has the fields of an order, except the contact details.
async fn credit(store: &EventStore, id: Uuid, body: NewCreditNote) -> Result<Placement, Problem> {
    let NewCreditNote { order_id, customer, lines, country, .. } = body;
    let mut known = customer;
    if let Some(order) = order_id {
        let (order, _) = store.load::<Order>(order).await.map_err(refused)?;
        let placed = order.placed.ok_or_else(|| {
            Problem::invalid("unknown-order", "there is no order of this id").with_pointer("/order_id")
        })?;
        known = known.or(Some(placed.customer));
    }
    Ok(Placement {
        customer: buyer(store, id, known).await?,
        country: text::line(&country, 64).map_err(|error| invalid("/country", error))?,
        lines: sold(store, lines).await?,
        ..nothing()
    })
}

/// A user must exist; a guest begins to exist by buying.
async fn buyer(store: &EventStore, id: Uuid, named: Option<Customer>) -> Result<Customer, Problem> {
    match named {
        None => Ok(Customer::Guest(GuestId(ids::derived(id, &["guest"])))),
        Some(Customer::User(user)) => match store.load::<User>(user.0).await.map_err(refused)?.0 {
            User::Active { .. } => Ok(Customer::User(user)),
            User::Unknown | User::Deleted => {
                let detail = "there is no user of this id, or none any more";
                Err(Problem::invalid("unknown-customer", detail).with_pointer("/customer/user"))
            }
        },
        Some(guest) => Ok(guest),
    }
}

/// The facts about a SKU that an order needs.
#[derive(Clone)]
enum SkuFacts {
    Unknown,
    NotSold,
    Sold { product_id: ProductId, name: String, price: Option<Money> },
}

/// The lines with the current names and prices.
async fn sold(store: &EventStore, lines: Vec<NewLine>) -> Result<Vec<Line>, Problem> {
    if lines.len() > MOST_LINES {
        return Err(rejected(&Error::BadLines));
    }
    let skus: std::collections::BTreeSet<Sku> = lines.iter().map(|line| line.sku.clone()).collect();
    let look_ups = skus.into_iter().map(|sku| look_up(store.clone(), sku));
    let goods: BTreeMap<Sku, SkuFacts> =
        futures::stream::iter(look_ups).buffer_unordered(LOOK_UPS).try_collect().await?;
    let mut sold = Vec::with_capacity(lines.len());
    for (index, NewLine { sku, quantity, price: own }) in lines.into_iter().enumerate() {
        let at = |problem: Problem| problem.with_pointer(format!("/lines/{index}/sku"));
        let (product_id, name, price) = match goods.get(&sku).cloned().unwrap_or(SkuFacts::Unknown) {
            SkuFacts::Unknown => return Err(at(Problem::invalid("unknown-sku", "no product has this SKU"))),
            SkuFacts::NotSold => return Err(at(Problem::invalid("sku-not-sold", "the product was deleted"))),
            SkuFacts::Sold { product_id, name, price } => (product_id, name, own.or(price)),
        };
        let price = price.ok_or_else(|| at(Problem::invalid("sku-without-price", "it has no price yet")))?;
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        sold.push(Line { number, sku, product_id, name, quantity, price });
    }
    Ok(sold)
}

/// The claim of a SKU names the product.
async fn look_up(store: EventStore, sku: Sku) -> Result<(Sku, SkuFacts), Problem> {
    let owner = store.owner_of(scope::SKU, sku.as_str()).await.map_err(unreadable)?;
    let product = owner.as_deref().and_then(|owner| owner.strip_prefix("product:")?.parse().ok());
    let Some(id) = product else { return Ok((sku, SkuFacts::Unknown)) };
    let (product, _) = store.load::<Product>(id).await.map_err(refused)?;
    let good = match (product.variant(&sku), &product) {
        (Some(variant), Product::Listed { details, .. }) => {
            SkuFacts::Sold { product_id: ProductId(id), name: details.name.clone(), price: variant.price }
        }
        (_, Product::Deleted) => SkuFacts::NotSold,
        _ => SkuFacts::Unknown,
    };
    Ok((sku, good))
}
