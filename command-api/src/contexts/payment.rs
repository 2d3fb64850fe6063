//! Payments over HTTP: what staff do with the money of an order, and the stop with which a buyer takes another card. What
//! is charged and paid back is asked for through the order, in the same append. `POST /orders/{order}/payments` opens one.
#![expect(clippy::unnecessary_wraps, reason = "all functions of the table have one signature")]

use axum::response::Response;
use serde::{Deserialize, Serialize};
use soonshop_domain::Money;
use soonshop_domain::checkout::{self, Checkout};
use soonshop_domain::ids::OrderId;
use soonshop_domain::order::{self, Order};
use soonshop_domain::payment::{self, Command, Kind, Payment};
use soonshop_event_store::{ExecuteError, Executed};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::action::{executes, prepares};
use crate::http::answer::{answer, refused, rejected};
use crate::http::body::Input;
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::privileged::Privileged;
use crate::http::row::Success::Done;
use crate::http::schema;

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST "/payments/{id}/stop"     "payment.stop":    Shop,   Own, Required, Done, "Stop a payment"              => prepares(stop);
        POST "/payments/{id}/charges"  "payment.charge":  Charge, Own, Required, Done, "Charge what is authorized"   => prepares(charge);
        POST "/payments/{id}/releases" "payment.release": Charge, Own, Required, Done, "Release what is authorized"  => prepares(release);
        POST "/payments/{id}/refunds"  "payment.refund":  Refund, Own, Required, Done, "Pay back what was charged"   => prepares(refund);
        POST "/payments/{id}/closure"  "payment.close":   Charge, Own, Required, Done, "Close a payment"             => executes::<Payment, _>(close);
    }
}

/// No fields are needed: `{}`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PaymentStop)]
struct Nothing {}

impl Input for Nothing {
    const PRIVILEGED: &'static [Privileged] = &[];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PaymentAmount)]
struct Part {
    /// At least 1 minor unit, in the currency of the order.
    #[schema(value_type = schema::PaymentMoney)]
    amount: Money,
}

impl Input for Part {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// A payment that is there, and its order.
async fn found(call: &Call, id: Uuid) -> Result<(Payment, OrderId), Problem> {
    let (payment, _) = call.store.load::<Payment>(id).await.map_err(refused)?;
    let order_id = payment.order_id.ok_or_else(|| rejected(&payment::Error::PaymentNotFound))?;
    Ok((payment, order_id))
}

/// Has the payment and its order decide, in one append. A transaction that the payment has already is the payment's alone:
/// its order forgets those that ended.
async fn requested(
    call: &Call,
    id: Uuid,
    (payment, order_id): (Payment, OrderId),
    (command, of_order): (Command, order::Command),
) -> Result<Response, Problem> {
    match &command {
        Command::Request { transaction, .. } if payment.transactions.contains_key(transaction) => {
            call.execute::<Payment>(id, command).await
        }
        _ => joined(call, id, command, (order_id, of_order)).await,
    }
}

/// Has the payment and its order decide, in one append.
async fn joined(
    call: &Call,
    id: Uuid,
    command: Command,
    (order_id, of_order): (OrderId, order::Command),
) -> Result<Response, Problem> {
    let (first, second) = ((id, command.clone()), (order_id.0, of_order));
    let done = call.attempt_joined::<Payment, Order>(first, second, payment::Error::Order).await;
    answer::<Payment>(id, command, done)
}

async fn stop(call: Call, id: Uuid, Nothing {}: Nothing) -> Result<Response, Problem> {
    let (payment, order_id) = found(&call, id).await?;
    let command = Command::Stop { order_id };
    // An order knows no payment that was stopped before its checkout became it.
    if payment.stopped {
        return call.execute::<Payment>(id, command).await;
    }
    if !is_placed(&call, order_id).await? {
        let of_checkout = checkout::Command::StopPayment { payment: id };
        let done = with_checkout(&call, id, command.clone(), (order_id, of_checkout)).await;
        if !matches!(done, Err(ExecuteError::Rejected(payment::Error::Checkout(COMPLETED)))) {
            return answer::<Payment>(id, command, done);
        }
        // It has become an order meanwhile, which decides.
    }
    // What is authorized for an order is its money: a buyer cancels the order instead.
    let staff = call.caller().may(Permission::Charge);
    let command = if staff { command } else { Command::StopUnpaid { order_id } };
    let of_order = order::Command::StopPayment { payment: id };
    joined(&call, id, command, (order_id, of_order)).await
}

/// A checkout that became an order.
const COMPLETED: checkout::Error = checkout::Error::Ended(checkout::Status::Completed);

async fn is_placed(call: &Call, order_id: OrderId) -> Result<bool, Problem> {
    let (order, _) = call.store.load::<Order>(order_id.0).await.map_err(refused)?;
    Ok(order.placed.is_some())
}

/// Has the payment and its checkout decide, in one append.
async fn with_checkout(
    call: &Call,
    id: Uuid,
    command: Command,
    (order_id, of_checkout): (OrderId, checkout::Command),
) -> Result<Executed, ExecuteError<payment::Error>> {
    let (first, second) = ((id, command), (order_id.0, of_checkout));
    call.attempt_joined::<Payment, Checkout>(first, second, payment::Error::Checkout).await
}

async fn charge(call: Call, id: Uuid, Part { amount }: Part) -> Result<Response, Problem> {
    let (found, transaction) = (found(&call, id).await?, call.new_stream());
    let request = Command::Request { kind: Kind::Charge, transaction, amount };
    let of_order = order::Command::BeginCharge { payment: id, transaction, amount };
    requested(&call, id, found, (request, of_order)).await
}

async fn release(call: Call, id: Uuid, Part { amount }: Part) -> Result<Response, Problem> {
    let (kind, transaction) = (Kind::Release, call.new_stream());
    let (payment, order_id) = found(&call, id).await?;
    let command = if payment.gives_back() {
        Command::GiveBack { kind, transaction, amount }
    } else {
        Command::Request { kind, transaction, amount }
    };
    if is_placed(&call, order_id).await? {
        return call.execute::<Payment>(id, command).await;
    }
    let of_checkout = checkout::Command::ReleasePayment { payment: id };
    let done = with_checkout(&call, id, command.clone(), (order_id, of_checkout)).await;
    answer::<Payment>(id, command, done)
}

async fn refund(call: Call, id: Uuid, Part { amount }: Part) -> Result<Response, Problem> {
    let ((payment, order_id), transaction) = (found(&call, id).await?, call.new_stream());
    call.may_refund(amount)?;
    // What came after the stop was never the order's: it goes back without it.
    if payment.late_left() > 0 && amount.amount <= payment.late_left() {
        let command = Command::GiveBack { kind: Kind::Refund, transaction, amount };
        return call.execute::<Payment>(id, command).await;
    }
    let request = Command::Request { kind: Kind::Refund, transaction, amount };
    let of_order = order::Command::BeginRepayment { payment: id, transaction, amount };
    requested(&call, id, (payment, order_id), (request, of_order)).await
}

fn close(_: Uuid, Nothing {}: Nothing) -> Result<Command, Problem> {
    Ok(Command::Close)
}
