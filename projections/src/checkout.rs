//! The read model `checkouts`: a row for each checkout, with what is paid of it. It holds no contact.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use soonshop_domain::Event;
use soonshop_domain::checkout::{Event as CheckoutEvent, Started};
use soonshop_domain::order::Event as OrderEvent;
use soonshop_event_log::RecordedEvent;

use crate::order::{self, kind};
use crate::projector::{Failure, Projector, Row, TableFor, TableOf, Unit, Wants, id};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "checkouts")]
pub struct Model {
    /// That of the order that it becomes.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    /// `running`, `completed` or `refused`.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// `user` or `guest`.
    #[sea_orm(column_type = "Text")]
    pub customer_kind: String,
    /// The data subject: the user's or guest's id.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// Whose it is: the subject, until an account takes the order over.
    #[sea_orm(column_type = "Text")]
    pub owner: String,
    #[sea_orm(column_type = "Text")]
    pub cart_id: String,
    #[sea_orm(column_type = "Text")]
    pub number: String,
    #[sea_orm(column_type = "Text")]
    pub country: String,
    #[sea_orm(column_type = "Text")]
    pub currency: String,
    pub total: i64,
    /// `at_once` or `later`.
    #[sea_orm(column_type = "Text")]
    pub capture: String,
    /// No money moves.
    pub test: bool,
    /// The stock of all lines is held.
    pub held: bool,
    /// Microseconds since 1970.
    pub hold_until: i64,
    /// Somebody gave it up.
    pub given_up: bool,
    /// As JSON: a list of [`Part`].
    #[sea_orm(column_type = "Text")]
    pub payments: String,
    /// Why it was refused.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason: Option<String>,
    /// The line that could not be had.
    pub refused_line: Option<i64>,
    /// What that line is of.
    #[sea_orm(column_type = "Text", nullable)]
    pub refused_sku: Option<String>,
    pub started_at: i64,
    pub version: i64,
    pub position: i64,
    pub line_count: i64,
    /// The first of its lines, for lists.
    pub first_lines: Json,
    /// What is bought. The last column: SQLite reads a row up to the last column that is asked for.
    pub lines: Json,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Row for Model {
    const GROUP: &'static str = "id";

    fn group(&self) -> String {
        self.id.clone()
    }

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// A payment of a checkout. Amounts are in its currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub payment: Uuid,
    /// What it was opened for.
    pub amount: i64,
    /// What is authorized.
    pub settled: i64,
    pub stopped: bool,
}

impl Model {
    /// Its payments.
    pub fn parts(&self) -> Result<Vec<Part>, Failure> {
        serde_json::from_str(&self.payments)
            .map_err(|error| Failure(format!("the payments of a checkout cannot be read: {error}")))
    }

    fn with(&mut self, change: impl FnOnce(&mut Vec<Part>)) -> Result<(), Failure> {
        let mut parts = self.parts()?;
        change(&mut parts);
        self.payments = serde_json::to_string(&parts)
            .map_err(|error| Failure(format!("the payments of a checkout cannot be written: {error}")))?;
        Ok(())
    }

    fn with_one(&mut self, payment: Uuid, change: impl FnOnce(&mut Part)) -> Result<(), Failure> {
        self.with(|parts| {
            if let Some(part) = parts.iter_mut().find(|part| part.payment == payment) {
                change(part);
            }
        })
    }

    fn change(&mut self, event: &CheckoutEvent) -> Result<(), Failure> {
        use CheckoutEvent as E;
        match event {
            E::CheckoutStarted(_) => Ok(()),
            E::CheckoutHeld {} => {
                self.held = true;
                Ok(())
            }
            E::CheckoutPaymentAdded { payment, amount, .. } => {
                let part = Part { payment: *payment, amount: amount.amount, settled: 0, stopped: false };
                self.with(|parts| parts.push(part))
            }
            E::CheckoutPaymentStopped { payment } => self.with_one(*payment, |part| part.stopped = true),
            E::CheckoutPaymentSettled { payment, amount, .. } => {
                self.with_one(*payment, |part| part.settled = amount.amount)
            }
            E::CheckoutPaymentUnsettled { payment, .. } => self.with_one(*payment, |part| part.settled = 0),
            E::CheckoutGivenUp { .. } => {
                self.given_up = true;
                Ok(())
            }
            E::CheckoutCompleted {} => {
                "completed".clone_into(&mut self.status);
                Ok(())
            }
            E::CheckoutRefused { refusal } => {
                "refused".clone_into(&mut self.status);
                self.reason = Some(refusal.reason.clone());
                self.refused_line = refusal.line.map(i64::from);
                self.refused_sku = refusal.sku.as_ref().map(ToString::to_string);
                Ok(())
            }
        }
    }
}

/// The projection `checkouts`.
pub struct Checkouts;

impl Projector for Checkouts {
    fn name(&self) -> &'static str {
        "checkouts"
    }

    fn version(&self) -> i32 {
        1
    }

    fn shape(&self) -> i32 {
        1
    }

    fn follows(&self) -> &'static [&'static str] {
        &["checkout", "order"]
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        vec![TableFor::<Model>::new()]
    }

    fn indexes(&self) -> &'static [&'static str] {
        &[
            "CREATE INDEX checkouts_by_time ON @checkouts (started_at, id)",
            "CREATE INDEX checkouts_by_subject ON @checkouts (subject, started_at, id)",
            "CREATE INDEX checkouts_by_owner ON @checkouts (owner, started_at, id)",
            "CREATE INDEX checkouts_by_status ON @checkouts (status, started_at, id)",
        ]
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        let claimed = matches!(&event.event, Event::Order(OrderEvent::OrderClaimed { .. }));
        if claimed || matches!(&event.event, Event::Checkout(_)) {
            wants.want::<Model>(id(event));
        }
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        let id = id(event);
        let checkout = match &event.event {
            Event::Checkout(checkout) => checkout,
            // The order has the id of its checkout; most orders had none.
            Event::Order(OrderEvent::OrderClaimed { account, .. }) => {
                let owner = account.to_string();
                unit.change_all(&id, |row: &mut Model| row.owner.clone_from(&owner));
                return Ok(());
            }
            _ => return Ok(()),
        };
        if let CheckoutEvent::CheckoutStarted(started) = checkout {
            let Started { cart, customer, number, country, lines, total, capture, test, hold_until, .. } =
                &**started;
            let all = order::json(lines)?;
            unit.put(Model {
                id,
                status: "running".to_owned(),
                customer_kind: kind(customer),
                subject: customer.subject().to_string(),
                owner: customer.subject().to_string(),
                cart_id: cart.to_string(),
                number: number.clone(),
                country: country.clone(),
                currency: total.currency.to_string(),
                total: total.amount,
                capture: capture.as_ref().to_owned(),
                test: *test,
                held: false,
                hold_until: hold_until.timestamp_micros(),
                given_up: false,
                payments: "[]".to_owned(),
                reason: None,
                refused_line: None,
                refused_sku: None,
                started_at: event.occurred_at.timestamp_micros(),
                version: event.version,
                position: event.position,
                line_count: order::count(lines),
                first_lines: order::first(&all),
                lines: all,
            });
            return Ok(());
        }
        let mut changed = Ok(());
        unit.change(&id, &id, |row: &mut Model| {
            changed = row.change(checkout);
            (row.version, row.position) = (event.version, event.position);
        })?;
        changed
    }
}
