//! A payment for an order is opened, and the order agrees in the same append. A worker then asks the provider.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use soonshop_domain::ids::{self, GuestId, OrderId};
use soonshop_domain::order::credits::EarlierCredit;
use soonshop_domain::order::{self, Customer, Order};
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

/// An order that was not edited has its first revision.
const REVISION: u32 = 1;

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
const CAPTURE: Privileged =
    Privileged { field: "/capture", needs: Permission::Charge, when: When::Not("at_once") };

impl Input for NewPayment {
    const PRIVILEGED: &'static [Privileged] = &[CAPTURE];
}

pub(super) async fn pay(call: Call, order_id: Uuid, body: NewPayment) -> Result<Response, Problem> {
    let id = call.new_stream();
    let capture = body.capture.unwrap_or(Capture::AtOnce);
    if capture != Capture::AtOnce {
        CAPTURE.must(call.caller(), CAPTURE.field)?;
    }
    let (command, earlier) = match opening(&call, id, order_id, body.amount, capture).await {
        Ok((opening, earlier)) => (Command::Open(opening), earlier),
        Err(problem) => {
            // What is refused today may have been done before: a payment that was opened refuses to be opened.
            let again = Command::Open(nothing(order_id));
            let done = call.unless_done::<Payment>(id, again.clone(), problem).await?;
            return answer::<Payment>(id, again, done);
        }
    };
    let Command::Open(Opening { tender, amount, revision, .. }) = &command else {
        return Err(Problem::internal("a payment is opened"));
    };
    let (payment, tender, amount, revision) = (id, *tender, *amount, *revision);
    let add = order::Command::AddPayment { payment, tender, amount, revision, earlier };
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
    let provider = call.provider.ok_or_else(|| {
        let detail = "nothing can be paid here: the operator has named no provider of payments";
        Problem::conflict("no-payment-provider", detail)
    })?;
    let opening = Opening {
        order_id: OrderId(order_id),
        revision: REVISION,
        // Of an order that an account took over it is the account that pays.
        customer: claimed_by.unwrap_or(placed.customer),
        // Where nothing is left the order says so.
        amount: amount.unwrap_or(Money::new(unpaid.max(1), placed.total.currency)),
        tender: Tender::Provider,
        provider: Some(provider.name.to_owned()),
        capture,
        test: provider.test,
        transaction: ids::derived(id, &["authorization"]),
    };
    Ok((opening, earlier))
}

/// An opening that every payment refuses that was opened.
pub(in crate::contexts) fn nothing(order_id: Uuid) -> Opening {
    Opening {
        order_id: OrderId(order_id),
        revision: REVISION,
        customer: Customer::Guest(GuestId(Uuid::nil())),
        amount: Money::new(1, Currency::GBP),
        tender: Tender::Provider,
        provider: None,
        capture: Capture::AtOnce,
        test: false,
        transaction: Uuid::nil(),
    }
}
