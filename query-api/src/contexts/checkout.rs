//! Checkouts over HTTP: queries.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use soonshop_domain::checkout::Checkout as State;
use soonshop_domain::clock;
use soonshop_projections::checkout::{Model, Part};
use soonshop_service_kit::endpoint::params::{Kind, Sort};
use soonshop_service_kit::rates::Class::Reads;
use utoipa::ToSchema;
use uuid::Uuid;

use super::order::all_lines;
use crate::driver::entity::reads;
use crate::driver::list::lists;
use crate::driver::shapes::{Customer, Line, Money};
use crate::driver::shown::{Filter, ReadModel, Shown};
use crate::driver::state::{Call, Endpoint};

/// Its rows of the table.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("/checkouts", "checkout.list", Reads, "List checkouts", lists::<Model>()),
        Endpoint::new("/checkouts/{id}", "checkout.read", Reads, "A checkout", reads::<Model>()),
    ]
}

const STATUSES: &[&str] = &["running", "completed", "refused"];

/// From a cart to an order. The order has its id.
#[derive(Serialize, ToSchema)]
pub(crate) struct Checkout {
    id: String,
    /// `running`, `completed` (there is an order) or `refused`.
    status: String,
    /// Where it is: `holding` its stock, `paying`, `ending` (it was given up), `completed` or `refused`.
    step: String,
    customer: Customer,
    cart_id: String,
    /// What is bought, as it was when the checkout began. In lists the first ten at most.
    #[schema(value_type = Vec<Line>)]
    lines: Value,
    /// How many lines it has.
    line_count: i64,
    /// Where all lines are, if they are not all here.
    #[serde(skip_serializing_if = "Option::is_none")]
    all_lines: Option<String>,
    /// The number of the order that it becomes.
    number: String,
    country: String,
    total: Money,
    /// What is authorized.
    settled: Money,
    /// What neither is authorized nor can be by the payments that there are.
    unpaid: Money,
    payments: Vec<Payment>,
    /// `at_once` or `later`: when what was authorized is charged.
    capture: String,
    /// No money moves: the provider is one for tests.
    test: bool,
    /// Until then its stock is held for it.
    hold_until: DateTime<Utc>,
    /// Why it was refused, as a code.
    reason: Option<String>,
    /// The number of its line that could not be had.
    refused_line: Option<i64>,
    /// What that line is of.
    refused_sku: Option<String>,
    started_at: DateTime<Utc>,
    version: i64,
    /// The position of the event that last changed it.
    position: i64,
}

/// One of its payments.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckoutPayment)]
struct Payment {
    id: Uuid,
    /// What it was opened for.
    amount: Money,
    /// What is authorized.
    settled: Money,
    /// It takes nothing more.
    stopped: bool,
}

impl Shown for Model {
    type View = Checkout;
    type State = State;

    const MODEL: ReadModel = ReadModel {
        projection: "checkouts",
        stream: Call::id,
        own: Some("owner = ?"),
        params: &[],
        filters: &[
            Filter::new("status", Kind::OneOf(STATUSES), "status = ?", "Of this status."),
            Filter::new("customer", Kind::Id, "subject = ?", "A user's or guest's id."),
            Filter::new(
                "started_from",
                Kind::Time,
                "started_at >= ?",
                "Business time, including this moment.",
            ),
            Filter::new("started_to", Kind::Time, "started_at < ?", "Business time, excluding this moment."),
        ],
        together: None,
        sorts: &[
            Sort { name: "-started", column: "started_at" },
            Sort { name: "started", column: "started_at" },
        ],
        changing: &[],
        shortened: &[("lines", "first_lines")],
        gone: ("not-found", "there is nothing of this name"),
        cached: false,
    };

    fn view(self) -> Checkout {
        let parts = self.parts().unwrap_or_default();
        let money = |amount| Money { amount, currency: self.currency.clone() };
        let sum = |of: fn(&Part) -> i64| {
            parts.iter().filter(|part| !part.stopped).fold(0, |sum, part| i64::saturating_add(sum, of(part)))
        };
        let promised = sum(|part| if part.settled > 0 { part.settled } else { part.amount });
        let step = match (self.status.as_str(), self.held) {
            ("running", _) if self.given_up => "ending",
            ("running", false) => "holding",
            ("running", true) => "paying",
            (ended, _) => ended,
        };
        Checkout {
            step: step.to_owned(),
            customer: Customer::of(&self.customer_kind, self.subject.clone()),
            total: money(self.total),
            settled: money(sum(|part| part.settled)),
            unpaid: money(self.total.saturating_sub(promised).max(0)),
            payments: parts
                .iter()
                .map(|part| Payment {
                    id: part.payment,
                    amount: money(part.amount),
                    settled: money(part.settled),
                    stopped: part.stopped,
                })
                .collect(),
            all_lines: all_lines("/checkouts", &self.id, &self.lines, self.line_count),
            line_count: self.line_count,
            lines: self.lines,
            hold_until: clock::from_micros(self.hold_until),
            started_at: clock::from_micros(self.started_at),
            id: self.id,
            status: self.status,
            cart_id: self.cart_id,
            number: self.number,
            country: self.country,
            capture: self.capture,
            test: self.test,
            reason: self.reason,
            refused_line: self.refused_line,
            refused_sku: self.refused_sku,
            version: self.version,
            position: self.position,
        }
    }

    fn version(&self) -> i64 {
        self.version
    }
}
