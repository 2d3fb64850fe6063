//! Payments over HTTP: queries.

use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::clock;
use soonshop_domain::payment::Payment as State;
use soonshop_projections::payment::Model;
use soonshop_service_kit::endpoint::params::{Kind, Sort};
use soonshop_service_kit::rates::Class::Reads;
use utoipa::ToSchema;

use crate::driver::entity::reads;
use crate::driver::list::lists;
use crate::driver::shapes::{Customer, Money};
use crate::driver::shown::{Filter, ReadModel, Shown};
use crate::driver::state::{Call, Endpoint};

/// Its rows of the table.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("/payments", "payment.list", Reads, "List payments", lists::<Model>()),
        Endpoint::new("/payments/{id}", "payment.read", Reads, "A payment", reads::<Model>()),
    ]
}

/// A payment of an order: `authorized = captured + released + lapsed + open`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Payment {
    id: String,
    /// The order that is paid for.
    order_id: String,
    customer: Customer,
    /// `provider`.
    tender: String,
    provider: Option<String>,
    /// `at_once` or `later`: when what was authorized is charged.
    capture: String,
    /// No money moves: the provider is one for tests.
    test: bool,
    /// `requested`, `action_required`, `declined`, `unknown`, `succeeded`, `lapsed` or `failed`.
    authorization: String,
    /// Why the last of what was asked for was declined or failed, or why staff have to look at the payment.
    code: Option<String>,
    /// It takes nothing more, and gives back what still comes.
    stopped: bool,
    closed: bool,
    /// What it was opened for.
    amount: Money,
    authorized: Money,
    captured: Money,
    released: Money,
    lapsed: Money,
    /// Of what was captured.
    refunded: Money,
    /// What is authorized, and neither captured nor given back.
    open: Money,
    opened_at: DateTime<Utc>,
    version: i64,
    /// The position of the event that last changed it.
    position: i64,
}

impl Shown for Model {
    type View = Payment;
    type State = State;

    const MODEL: ReadModel = ReadModel {
        projection: "payments",
        stream: Call::id,
        own: Some("owner = ?"),
        params: &[],
        filters: &[
            Filter::new("order", Kind::Id, "order_id = ?", "The order that is paid for."),
            Filter::new("customer", Kind::Id, "subject = ?", "A user's or guest's id."),
            Filter::new("opened_from", Kind::Time, "opened_at >= ?", "Business time, including this moment."),
            Filter::new("opened_to", Kind::Time, "opened_at < ?", "Business time, excluding this moment."),
        ],
        together: None,
        sorts: &[Sort { name: "-opened", column: "opened_at" }, Sort { name: "opened", column: "opened_at" }],
        changing: &[],
        shortened: &[],
        gone: ("not-found", "there is nothing of this name"),
        cached: false,
    };

    fn view(self) -> Payment {
        let money = |amount| Money { amount, currency: self.currency.clone() };
        let gone = self.captured.saturating_add(self.released).saturating_add(self.lapsed);
        Payment {
            amount: money(self.amount),
            authorized: money(self.authorized),
            captured: money(self.captured),
            released: money(self.released),
            lapsed: money(self.lapsed),
            refunded: money(self.refunded),
            open: money(self.authorized.saturating_sub(gone)),
            customer: Customer::of(&self.customer_kind, self.subject),
            id: self.id,
            order_id: self.order_id,
            tender: self.tender,
            provider: self.provider,
            capture: self.capture,
            test: self.test,
            authorization: self.authorization,
            code: self.code,
            stopped: self.stopped,
            closed: self.closed,
            opened_at: clock::from_micros(self.opened_at),
            version: self.version,
            position: self.position,
        }
    }

    fn version(&self) -> i64 {
        self.version
    }
}
