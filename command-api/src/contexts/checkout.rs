//! Checkouts over HTTP. A checkout is started with the lines of a cart, at their prices of today; the process manager takes it
//! from there. Payments are opened here as those of an order are.

mod awaited;

use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use soonshop_domain::cart::{Cart, Command as OfCart};
use soonshop_domain::checkout::{Checkout, Command, Error, Opening, PayWith, Started};
use soonshop_domain::claim::scope;
use soonshop_domain::ids::{CartId, GuestId, OrderId};
use soonshop_domain::order::{self, Contact, Customer, number_of};
use soonshop_domain::payment::{Capture, Payment};
use soonshop_domain::{Money, Purpose, cart, payment};
use soonshop_event_store::Joined;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Role;
use utoipa::ToSchema;
use uuid::Uuid;

use self::awaited::awaited;
use super::cart::{answered::not_erased, sold_now};
use super::order::NewContact;
use super::order::facts::{self, invalid, numbered};
use super::order::pay::{self, CaptureOf};
use crate::http::action::prepares;
use crate::http::answer::{answer, refused, rejected};
use crate::http::body::Input;
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::headers::invalid_header;
use crate::http::privileged::Privileged;
use crate::http::represented::HEADER;
use crate::http::row::Success::{Accepted, Created, Done};
use crate::http::schema;

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST "/checkouts"                     "checkout.start":   Shop, New, Required, Accepted("/checkouts/{id}"), "Start the checkout of a cart"  => prepares(start);
        POST "/checkouts/{checkout}/payments" "checkout.pay":     Shop, Own, Required, Created("/payments/{id}"),   "Pay for a checkout"            => prepares(opens);
        POST "/checkouts/{id}/end"            "checkout.give-up": Shop, Own, Optional, Done,                        "Give a checkout up"            => prepares(give_up);
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCheckout)]
struct NewCheckout {
    /// The cart: all of its lines but those that are kept for later are bought.
    cart: Uuid,
    #[schema(min_length = 1, max_length = 64)]
    country: String,
    #[serde(default)]
    contact: NewContact,
    /// What the buyer was shown. If it comes to something else by now, nothing is bought.
    #[schema(value_type = Option<schema::Total>)]
    total: Option<Money>,
    /// `at_once`, or `later`: when staff ask for it. `later` needs the permission `charge`.
    #[schema(value_type = Option<CaptureOf>)]
    capture: Option<Capture>,
    /// `{}`: a payment of the whole total is opened once the stock is held. Left out: the buyer opens payments.
    payment: Option<WholePayment>,
}

/// No fields are needed: `{}`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CheckoutWholePayment)]
struct WholePayment {}

impl Input for NewCheckout {
    const PRIVILEGED: &'static [Privileged] = &[pay::CAPTURE];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCheckoutPayment)]
struct NewPayment {
    /// All that is not paid yet, if it is left out.
    #[schema(value_type = Option<schema::PaymentMoney>)]
    amount: Option<Money>,
}

impl Input for NewPayment {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// No fields are needed: `{}`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CheckoutEnd)]
struct Nothing {}

impl Input for Nothing {
    const PRIVILEGED: &'static [Privileged] = &[];
}

async fn start(call: Call, (): (), body: NewCheckout) -> Result<Response, Problem> {
    let id = call.new_stream();
    let capture = pay::capture(&call, body.capture)?;
    let opening = match opened(&call, body, capture).await {
        Ok(opening) => opening,
        Err(problem) => {
            // What is refused today may have been done before: a checkout that was started refuses to be started.
            let again = Command::Start(Box::new(nothing()));
            let done = call.unless_done::<Checkout>(id, again.clone(), problem).await?;
            return awaited(&call, id, answer::<Checkout>(id, again, done)?, true).await;
        }
    };
    let (cart, changes, owner) = (opening.cart.0, opening.cart_changes, opening.customer.subject());
    let command = |number| Command::Start(Box::new(Opening { number, ..opening.clone() }));
    let others = || {
        let begin = OfCart::BeginCheckout { checkout: OrderId(id), changes };
        vec![Joined::new::<Cart>(cart, begin, Error::Cart), not_erased(owner, Error::Person)]
    };
    let generated = |attempt| number_of(OrderId(id), attempt);
    let execute = |number| call.attempt_all::<Checkout>((id, command(number)), others);
    let done = numbered(None, scope::ORDER_NUMBER, generated, execute).await;
    let repeats = done.as_ref().is_ok_and(|done| done.repeated);
    awaited(&call, id, answer::<Checkout>(id, command(String::new()), done)?, repeats).await
}

/// What the checkout is started with, but for its number.
async fn opened(call: &Call, body: NewCheckout, capture: Capture) -> Result<Opening, Problem> {
    let NewCheckout { cart: cart_id, country, contact, total, payment, .. } = body;
    call.own("cart", cart_id).await.map_err(|problem| problem.with_pointer("/cart"))?;
    let (cart, _) = call.store.load::<Cart>(cart_id).await.map_err(refused)?;
    let of_cart = |error: cart::Error| rejected(&error).with_pointer("/cart");
    let owned = cart.owned.clone().ok_or(cart::Error::CartNotFound).map_err(of_cart)?;
    let country = facts::country(&country)?;
    let NewContact { name, email, phone, address } = &contact;
    let contact = Contact::under(
        (owned.customer.subject(), Purpose::Account),
        name.as_deref(),
        email.as_deref(),
        phone.as_deref(),
        address.as_deref(),
    )
    .map_err(|(pointer, error)| invalid(pointer, error))?;
    cart.may_check_out().map_err(of_cart)?;
    let cart_changes = cart.changes;
    let wanted = cart.lines.into_iter().filter(|line| !line.saved).collect();
    let lines = sold_now(call, owned.currency, wanted).await?;
    let sum = order::total(&lines).map_err(|error| rejected(&error).with_pointer("/cart"))?;
    if total.is_some_and(|shown| shown != sum) {
        let detail = "the cart comes to another total by now: look at it again, and confirm what it says";
        return Err(Problem::conflict("total-changed", detail)
            .with_pointer("/total")
            .with("total", json!(sum)));
    }
    // What costs nothing needs no provider.
    let provider = if sum.amount > 0 { Some(pay::provider(call)?) } else { None };
    Ok(Opening {
        cart: CartId(cart_id),
        cart_changes,
        channel: owned.channel,
        customer: owned.customer,
        number: String::new(),
        country,
        contact,
        lines,
        capture,
        test: provider.is_some_and(|provider| provider.test),
        pay: payment.and(provider).into_iter().map(|one| PayWith { provider: one.name.to_owned() }).collect(),
    })
}

/// For a checkout that is there already, which is refused before any of this is looked at.
fn nothing() -> Opening {
    Opening {
        cart: CartId(Uuid::nil()),
        cart_changes: 0,
        channel: String::new(),
        customer: Customer::Guest(GuestId(Uuid::nil())),
        number: String::new(),
        country: String::new(),
        contact: Contact::default(),
        lines: Vec::new(),
        capture: Capture::AtOnce,
        test: false,
        pay: Vec::new(),
    }
}

async fn opens(call: Call, checkout: Uuid, body: NewPayment) -> Result<Response, Problem> {
    let id = call.new_stream();
    let opening = match opening(&call, id, checkout, body.amount).await {
        Ok(opening) => opening,
        Err(problem) => {
            // As it is for a checkout: a payment that was opened refuses to be opened.
            let again = payment::Command::Open(pay::nothing(checkout));
            let done = call.unless_done::<Payment>(id, again.clone(), problem).await?;
            return answer::<Payment>(id, again, done);
        }
    };
    let add = Command::AddPayment { payment: id, tender: opening.tender, amount: opening.amount };
    let command = payment::Command::Open(opening);
    let (first, second) = ((id, command.clone()), (checkout, add));
    let done = call.attempt_joined::<Payment, Checkout>(first, second, payment::Error::Checkout).await;
    answer::<Payment>(id, command, done)
}

async fn opening(
    call: &Call,
    id: Uuid,
    checkout_id: Uuid,
    amount: Option<Money>,
) -> Result<payment::Opening, Problem> {
    let (checkout, _) = call.store.load::<Checkout>(checkout_id).await.map_err(refused)?;
    let unpaid = checkout.unpaid();
    let Started { customer, total, capture, test, .. } =
        checkout.started.ok_or_else(|| rejected(&Error::CheckoutNotFound))?;
    // 1 where nothing is left: the checkout refuses it as `payment-pending`.
    let amount = amount.unwrap_or(Money::new(unpaid.max(1), total.currency));
    let opening = pay::at_provider(call, id, OrderId(checkout_id), customer, amount, capture)?;
    if opening.test != test && total.amount > 0 {
        let detail = "since it was started the shop went from test to real payments, or back: give it up, and start another";
        return Err(Problem::conflict("provider-changed", detail));
    }
    Ok(opening)
}

async fn give_up(call: Call, id: Uuid, Nothing {}: Nothing) -> Result<Response, Problem> {
    let by_buyer = is_by_its_buyer(&call, id).await?;
    if !by_buyer && !call.has_reason() && !call.was_done().await? {
        let detail = "who ends the checkout of a buyer says why with X-Reason, or names that buyer with X-On-Behalf-Of if \
                      they ask for it";
        return Err(Problem::invalid("reason-required", detail).with("header", "X-Reason"));
    }
    let reason = if by_buyer { "given-up" } else { "ended-by-shop" };
    call.execute::<Checkout>(id, Command::GiveUp { reason: reason.to_owned() }).await
}

/// Whether the buyer asks for it: with their own token, on their own machine, or through a storefront, which names them or
/// says nothing else.
async fn is_by_its_buyer(call: &Call, id: Uuid) -> Result<bool, Problem> {
    let role = call.caller().role;
    match call.represented_id() {
        Some(named) => {
            let (checkout, _) = call.store.load::<Checkout>(id).await.map_err(refused)?;
            // One that is not there is refused by the command.
            if checkout.started.is_none_or(|started| started.customer.subject() == named) {
                return Ok(true);
            }
            let detail = "X-On-Behalf-Of names somebody else than the buyer of this checkout: name the buyer, or leave it out";
            Err(invalid_header(HEADER, detail))
        }
        None => Ok(role == Role::Guest || (role == Role::Service && !call.has_reason())),
    }
}
