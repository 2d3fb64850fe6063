//! The read model `payments`: a row for each payment, with what its provider said was done.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use soonshop_domain::order::Event as OrderEvent;
use soonshop_domain::payment::Event as PaymentEvent;
use soonshop_domain::{Event, Money};
use soonshop_event_log::RecordedEvent;

use crate::order::kind;
use crate::projector::{Failure, Projector, Row, TableFor, TableOf, Unit, Wants, id};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "payments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    #[sea_orm(column_type = "Text")]
    pub order_id: String,
    /// `user` or `guest`.
    #[sea_orm(column_type = "Text")]
    pub customer_kind: String,
    /// The data subject: the user's or guest's id.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// Who sees it: the buyer, or the account that took the order over.
    #[sea_orm(column_type = "Text")]
    pub owner: String,
    #[sea_orm(column_type = "Text")]
    pub tender: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub provider: Option<String>,
    /// `at_once` or `later`.
    #[sea_orm(column_type = "Text")]
    pub capture: String,
    /// No money moves.
    pub test: bool,
    /// How far its authorization is.
    #[sea_orm(column_type = "Text")]
    pub authorization: String,
    /// Why the last of what was asked for was declined or failed, or why staff have to look at it.
    #[sea_orm(column_type = "Text", nullable)]
    pub code: Option<String>,
    pub stopped: bool,
    pub closed: bool,
    #[sea_orm(column_type = "Text")]
    pub currency: String,
    /// What it was opened for.
    pub amount: i64,
    pub authorized: i64,
    pub captured: i64,
    pub released: i64,
    pub lapsed: i64,
    pub refunded: i64,
    /// Microseconds since 1970.
    pub opened_at: i64,
    pub version: i64,
    pub position: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Row for Model {
    /// An order that is claimed changes all of its payments.
    const GROUP: &'static str = "order_id";

    fn group(&self) -> String {
        self.order_id.clone()
    }

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// The projection `payments`.
pub struct Payments;

fn add(to: &mut i64, amount: &Money) {
    *to = to.saturating_add(amount.amount);
}

/// What an event changes in the row of its payment.
fn change(row: &mut Model, event: &PaymentEvent) {
    use PaymentEvent as E;
    let authorization = match event {
        E::PaymentStopRequested { .. } => {
            row.stopped = true;
            return;
        }
        E::PaymentClosed { .. } => {
            row.closed = true;
            return;
        }
        E::ChargeSucceeded { amount, .. } => {
            row.code = None;
            return add(&mut row.captured, amount);
        }
        E::ReleaseSucceeded { amount, .. } => {
            row.code = None;
            return add(&mut row.released, amount);
        }
        E::RefundSucceeded { amount, .. } => {
            row.code = None;
            return add(&mut row.refunded, amount);
        }
        // Of what is noted, staff have to look at it.
        E::ChargeFailed { code, .. }
        | E::ReleaseFailed { code, .. }
        | E::RefundFailed { code, .. }
        | E::PaymentNoted { code, .. } => {
            row.code = Some(code.clone());
            return;
        }
        E::AuthorizationSucceeded { amount, .. } => {
            add(&mut row.authorized, amount);
            row.code = None;
            "succeeded"
        }
        E::AuthorizationLapsed { amount, .. } => {
            add(&mut row.lapsed, amount);
            "lapsed"
        }
        E::AuthorizationRequested { .. } => "requested",
        E::AuthorizationActionRequired { .. } => "action_required",
        E::AuthorizationUnknown { .. } => "unknown",
        E::AuthorizationDeclined { code, .. } => {
            row.code = Some(code.clone());
            "declined"
        }
        E::AuthorizationFailed { code, .. } => {
            row.code = Some(code.clone());
            "failed"
        }
        E::PaymentOpened { .. }
        | E::ChargeRequested { .. }
        | E::ChargeUnknown { .. }
        | E::ReleaseRequested { .. }
        | E::ReleaseUnknown { .. }
        | E::RefundRequested { .. }
        | E::RefundUnknown { .. } => return,
    };
    authorization.clone_into(&mut row.authorization);
}

impl Projector for Payments {
    fn name(&self) -> &'static str {
        "payments"
    }

    fn version(&self) -> i32 {
        1
    }

    fn shape(&self) -> i32 {
        1
    }

    fn follows(&self) -> &'static [&'static str] {
        &["payment", "order"]
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        vec![TableFor::<Model>::new()]
    }

    fn indexes(&self) -> &'static [&'static str] {
        &[
            "CREATE INDEX payments_by_order ON @payments (order_id, opened_at, id)",
            "CREATE INDEX payments_by_time ON @payments (opened_at, id)",
            "CREATE INDEX payments_by_subject ON @payments (subject, opened_at, id)",
            "CREATE INDEX payments_by_owner ON @payments (owner, opened_at, id)",
        ]
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        match &event.event {
            Event::Payment(payment) => wants.want::<Model>(payment.order_id().to_string()),
            Event::Order(OrderEvent::OrderClaimed { .. }) => wants.want::<Model>(id(event)),
            _ => {}
        }
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        let id = id(event);
        let payment = match &event.event {
            Event::Payment(payment) => payment,
            Event::Order(OrderEvent::OrderClaimed { account, .. }) => {
                let owner = account.to_string();
                unit.change_all(&id, |row: &mut Model| row.owner.clone_from(&owner));
                return Ok(());
            }
            _ => return Ok(()),
        };
        let order = payment.order_id().to_string();
        if let PaymentEvent::PaymentOpened {
            order_id,
            revision: _,
            customer,
            amount,
            tender,
            provider,
            capture,
            test,
        } = payment
        {
            unit.put(Model {
                id,
                order_id: order_id.to_string(),
                customer_kind: kind(customer),
                subject: customer.subject().to_string(),
                owner: customer.subject().to_string(),
                tender: tender.as_ref().to_owned(),
                provider: provider.clone(),
                capture: capture.as_ref().to_owned(),
                test: *test,
                authorization: "requested".to_owned(),
                code: None,
                stopped: false,
                closed: false,
                currency: amount.currency.to_string(),
                amount: amount.amount,
                authorized: 0,
                captured: 0,
                released: 0,
                lapsed: 0,
                refunded: 0,
                opened_at: event.occurred_at.timestamp_micros(),
                version: event.version,
                position: event.position,
            });
            return Ok(());
        }
        // A stop before the opening bars it: there is no payment then.
        if unit.find::<Model>(&order, &id).is_none() {
            return Ok(());
        }
        unit.change(&order, &id, |row: &mut Model| {
            change(row, payment);
            (row.version, row.position) = (event.version, event.position);
        })
    }
}
