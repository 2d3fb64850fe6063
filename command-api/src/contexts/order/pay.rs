//! A payment for an order is opened, and the order agrees in the same append. A worker then asks the provider.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use soonshop_domain::ids::{GuestId, OrderId};
use soonshop_domain::order::credits::EarlierCredit;
use soonshop_domain::order::{self, Customer, FIRST_REVISION, Order};
use soonshop_domain::payment::{Capture, Command, Opening, Payment, Tender};
use soonshop_domain::{Currency, Money, payment};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use utoipa::ToSchema;
use uuid::Uuid;

use super::credit_note::earlier_credits;
use crate::http::answer::{answer, refused, rejected};
use crate::http::body::Input;
use crate::http::call::Call;
use crate::http::privileged::{Privileged, When};
use crate::http::schema;
use crate::http::state::OfferedProvider;

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayment)]
pub(super) struct NewPayment {
    /// All that is not paid yet, if it is left out.
    #[schema(value_type = Option<schema::PaymentMoney>)]
    amount: Option<Money>,
    /// `at_once`, or `later`: when staff ask for it. `later` needs the permission `charge`.
    #[schema(value_type = Option<CaptureOf>)]
    capture: Option<Capture>,
}

/// When what was authorized is charged.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", as = PaymentCapture)]
#[expect(dead_code, reason = "it describes the field")]
pub(in crate::contexts) enum CaptureOf {
    AtOnce,
    Later,
}

/// A buyer is charged at once. Only who may charge can open a payment that is charged later.
pub(in crate::contexts) const CAPTURE: Privileged =
    Privileged { field: "/capture", needs: Permission::Charge, when: When::Not("at_once") };

impl Input for NewPayment {
    const PRIVILEGED: &'static [Privileged] = &[CAPTURE];
}

/// When it is charged: at once, unless it says otherwise, which the caller must be allowed to.
pub(in crate::contexts) fn capture(call: &Call, sent: Option<Capture>) -> Result<Capture, Problem> {
    let capture = sent.unwrap_or(Capture::AtOnce);
    if capture != Capture::AtOnce {
        CAPTURE.must(call.caller(), CAPTURE.field)?;
    }
    Ok(capture)
}

/// The provider that new payments are opened with.
pub(in crate::contexts) fn provider(call: &Call) -> Result<OfferedProvider, Problem> {
    let detail = "nothing can be paid here: the operator has named no provider of payments";
    call.provider.ok_or_else(|| Problem::conflict("no-payment-provider", detail))
}

/// A payment at this provider, for an order or for the checkout that may become it.
pub(in crate::contexts) fn at_provider(
    call: &Call,
    id: Uuid,
    order_id: OrderId,
    customer: Customer,
    amount: Money,
    capture: Capture,
) -> Result<Opening, Problem> {
    let provider = provider(call)?;
    Ok(Opening {
        order_id,
        revision: FIRST_REVISION,
        customer,
        amount,
        tender: Tender::Provider,
        provider: Some(provider.name.to_owned()),
        capture,
        test: provider.test,
        transaction: payment::authorization_of(id),
    })
}

pub(super) async fn pay(call: Call, order_id: Uuid, body: NewPayment) -> Result<Response, Problem> {
    let id = call.new_stream();
    let capture = capture(&call, body.capture)?;
    let (opening, earlier) = match opening(&call, id, order_id, body.amount, capture).await {
        Ok(opened) => opened,
        Err(problem) => {
            // What is refused today may have been done before: a payment that was opened refuses to be opened.
            let again = Command::Open(nothing(order_id));
            let done = call.unless_done::<Payment>(id, again.clone(), problem).await?;
            return answer::<Payment>(id, again, done);
        }
    };
    let Opening { tender, amount, revision, .. } = opening;
    let add = order::Command::AddPayment { payment: id, tender, amount, revision, earlier };
    let command = Command::Open(opening);
    let (first, second) = ((id, command.clone()), (order_id, add));
    let done = call.attempt_joined::<Payment, Order>(first, second, payment::Error::Order).await;
    answer::<Payment>(id, command, done)
}

async fn opening(
    call: &Call,
    id: Uuid,
    order_id: Uuid,
    amount: Option<Money>,
    capture: Capture,
) -> Result<(Opening, Vec<EarlierCredit>), Problem> {
    let (order, _) = call.store.load::<Order>(order_id).await.map_err(refused)?;
    let earlier = earlier_credits(&call.store, OrderId(order_id)).await?;
    let (order, _) = order.knowing(&earlier);
    let unpaid = order.unpaid();
    let claimed_by = order.claimed_by.map(Customer::User);
    let placed = order.placed.ok_or_else(|| rejected(&order::Error::OrderNotFound))?;
    // Of an order that an account took over it is the account that pays. Where nothing is left the order says so.
    let customer = claimed_by.unwrap_or(placed.customer);
    let amount = amount.unwrap_or(Money::new(unpaid.max(1), placed.total.currency));
    let opening = at_provider(call, id, OrderId(order_id), customer, amount, capture)?;
    Ok((opening, earlier))
}

/// An opening that every payment refuses that was opened.
pub(in crate::contexts) fn nothing(order_id: Uuid) -> Opening {
    Opening {
        order_id: OrderId(order_id),
        revision: FIRST_REVISION,
        customer: Customer::Guest(GuestId(Uuid::nil())),
        amount: Money::new(1, Currency::GBP),
        tender: Tender::Provider,
        provider: None,
        capture: Capture::AtOnce,
        test: false,
        transaction: Uuid::nil(),
    }
}
