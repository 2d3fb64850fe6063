//! Checkouts: on the way from a cart to an order. A checkout says what is bought and for how much, has the stock of its lines
//! held for a while, takes payments, and becomes the order of its id, or is refused. Until then it decides what is paid;
//! afterwards the order does.
//!
//! Its state is bounded: 500 lines, and 100 payments, of which ten are living.

mod event;
mod paying;
mod payments;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::event::{Event, EventKind, HOLD_SECONDS, PayWith, Refusal, Started};
use self::payments::Payments;
pub use self::payments::{Part, Settled};
use crate::cart;
use crate::claim::scope;
use crate::ids::CartId;
use crate::order::{self, Contact, Customer, Line};
use crate::payment::Capture;
use crate::tender::Tender;
use crate::user::person;
use crate::{Classified, Currency, Decider, ErrorKind, EventInfo as _, Facts, Hold, Money};

/// The most lines of a checkout.
pub const MOST_LINES: usize = 500;

/// What a checkout is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    pub cart: CartId,
    /// The changes that the cart had when its lines were read.
    pub cart_changes: u32,
    pub channel: String,
    pub customer: Customer,
    /// The name of the order for people; no other order has it.
    pub number: String,
    pub country: String,
    /// Encrypted under the `account` key of the customer.
    pub contact: Contact,
    pub lines: Vec<Line>,
    pub capture: Capture,
    /// No money moves: the provider is one for tests.
    pub test: bool,
    /// The payments that are opened once its stock is held: one of the whole total, or none.
    pub pay: Vec<PayWith>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Start(Box<Opening>),
    /// The stock of all lines is held.
    Held,
    /// A payment is opened for it, in the same append.
    AddPayment {
        payment: Uuid,
        tender: Tender,
        amount: Money,
    },
    /// The payment takes nothing more.
    StopPayment {
        payment: Uuid,
    },
    /// Staff release what the payment holds: refused as long as the checkout counts on it. Changes nothing here.
    ReleasePayment {
        payment: Uuid,
    },
    /// The provider says that so much is authorized.
    Settle {
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    },
    /// What was authorized lapsed.
    Unsettle {
        payment: Uuid,
        transaction: Uuid,
    },
    /// It becomes an order, in the same append.
    Complete,
    /// Somebody gives it up: nothing more is paid for it.
    GiveUp {
        reason: String,
    },
    /// It comes to nothing. All of its payments were stopped before.
    Refuse {
        refusal: Refusal,
    },
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("there is no such checkout")]
    CheckoutNotFound,
    #[error("the checkout exists already")]
    CheckoutExists,
    #[error("the checkout is {0}")]
    #[strum(serialize = "checkout-ended")]
    Ended(Status),
    #[error("the checkout was given up")]
    GivenUp,
    #[error("a checkout has between 1 and 500 lines")]
    BadLines,
    #[error("its stock is not held yet")]
    NotHeld,
    #[error("{left} minor units are not paid")]
    NotPaid { left: i64 },
    #[error("a payment of the checkout has to be stopped first")]
    PaymentsLiving,
    #[error("its checkout is running and counts on this payment: stop it, which releases all of it")]
    PaymentCounted,
    #[error(transparent)]
    #[strum(transparent)]
    Order(#[from] order::Error),
    #[error(transparent)]
    #[strum(transparent)]
    Payment(#[from] order::payments::Error),
    /// Of the cart whose lines are bought.
    #[error(transparent)]
    #[strum(transparent)]
    Cart(#[from] cart::Error),
    /// Of the buyer.
    #[error(transparent)]
    #[strum(transparent)]
    Person(#[from] person::Error),
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::CheckoutNotFound => ErrorKind::NotFound,
            Self::CheckoutExists
            | Self::Ended(_)
            | Self::GivenUp
            | Self::NotHeld
            | Self::NotPaid { .. }
            | Self::PaymentsLiving
            | Self::PaymentCounted => ErrorKind::Conflict,
            Self::BadLines => ErrorKind::Invalid,
            Self::Order(error) => error.kind(),
            Self::Payment(error) => error.kind(),
            Self::Cart(error) => error.kind(),
            Self::Person(error) => error.kind(),
        }
    }
}

/// Where a checkout is on its way.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::Display,
    strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Status {
    /// Not started.
    #[default]
    Unknown,
    Running,
    Completed,
    Refused,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkout {
    pub status: Status,
    /// Absent before it is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Started>,
    /// Its stock is held.
    pub stock_held: bool,
    /// Why somebody gave it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
    #[serde(default, skip_serializing_if = "Payments::is_empty")]
    pub payments: Payments,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

impl Decider for Checkout {
    const STATE_VERSION: u32 = 1;

    /// The order that it becomes has its id, and holds its number.
    const HOLDER: &'static str = <order::Order as cqrs_es::Aggregate>::TYPE;

    const BARE_AMOUNTS: &'static [&'static str] = &["payments.*.amount", "payments.*.settled.amount"];

    fn currency(&self) -> Option<Currency> {
        self.started.as_ref().map(|started| started.total.currency)
    }

    fn note_about(&self, event: &Event, stream: Uuid) -> Option<Uuid> {
        self.started.as_ref().map(|started| started.customer.subject()).or_else(|| event.subject(stream))
    }

    fn decide(&self, command: Command, facts: &Facts) -> Result<Vec<Event>, Error> {
        match command {
            Command::Start(opening) => self.start(*opening, facts.now),
            Command::Held => {
                self.running()?;
                Ok(if self.stock_held { vec![] } else { vec![Event::CheckoutHeld {}] })
            }
            Command::AddPayment { payment, tender, amount } => self.add_payment(payment, tender, amount),
            Command::StopPayment { payment } => self.stop_payment(payment),
            Command::ReleasePayment { payment } => self.release_payment(payment),
            Command::Settle { payment, transaction, amount } => self.settle(payment, transaction, amount),
            Command::Unsettle { payment, transaction } => self.unsettle(payment, transaction),
            Command::Complete => self.complete(),
            Command::GiveUp { reason } => {
                self.running()?;
                let events = vec![Event::CheckoutGivenUp { reason }];
                Ok(if self.given_up.is_some() { vec![] } else { events })
            }
            Command::Refuse { refusal } => self.refuse(refusal),
        }
    }

    fn holds(&self, event: &Event) -> Vec<Hold> {
        match event {
            Event::CheckoutStarted(started) => vec![Hold::number(scope::ORDER_NUMBER, &started.number)],
            Event::CheckoutRefused { .. } => {
                vec![Hold { scope: scope::ORDER_NUMBER, values: Vec::new() }]
            }
            _ => Vec::new(),
        }
    }
}

impl Checkout {
    /// Whether it is neither an order nor refused.
    pub fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    /// What it was started with, while it is neither an order nor refused.
    pub fn running(&self) -> Result<&Started, Error> {
        match (self.status, &self.started) {
            (Status::Running, Some(started)) => Ok(started),
            (Status::Unknown, _) | (_, None) => Err(Error::CheckoutNotFound),
            (status, _) => Err(Error::Ended(status)),
        }
    }

    /// What is neither settled nor can become so by the payments that there are.
    pub fn unpaid(&self) -> i64 {
        self.total_without(self.payments.promised())
    }

    /// The part of its total that no provider has authorized yet, in minor units.
    pub fn left(&self) -> i64 {
        self.total_without(self.payments.settled())
    }

    fn total_without(&self, amount: i64) -> i64 {
        let total = self.started.as_ref().map_or(0, |started| started.total.amount);
        total.saturating_sub(amount).max(0)
    }

    fn start(&self, opening: Opening, now: DateTime<Utc>) -> Result<Vec<Event>, Error> {
        if self.status != Status::Unknown {
            return Err(Error::CheckoutExists);
        }
        if opening.lines.len() > MOST_LINES {
            return Err(Error::BadLines);
        }
        let total = order::total(&opening.lines)?;
        let Opening { cart, channel, customer, number, country, contact, lines, capture, test, pay, .. } =
            opening;
        let hold_until = now + chrono::TimeDelta::seconds(HOLD_SECONDS);
        Ok(vec![Event::CheckoutStarted(Box::new(Started {
            cart,
            channel,
            customer,
            number,
            country,
            contact,
            lines,
            total,
            capture,
            test,
            hold_until,
            // What costs nothing is paid.
            pay: if total.amount > 0 { pay } else { Vec::new() },
        }))])
    }

    fn complete(&self) -> Result<Vec<Event>, Error> {
        if self.status == Status::Completed {
            return Ok(vec![]);
        }
        self.running()?;
        if self.given_up.is_some() {
            return Err(Error::GivenUp);
        }
        if !self.stock_held {
            return Err(Error::NotHeld);
        }
        let left = self.left();
        if left > 0 { Err(Error::NotPaid { left }) } else { Ok(vec![Event::CheckoutCompleted {}]) }
    }

    fn refuse(&self, refusal: Refusal) -> Result<Vec<Event>, Error> {
        if self.status == Status::Refused {
            return Ok(vec![]);
        }
        self.running()?;
        if self.payments.living().next().is_some() {
            return Err(Error::PaymentsLiving);
        }
        Ok(vec![Event::CheckoutRefused { refusal }])
    }

    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::CheckoutStarted(started) => {
                self.status = Status::Running;
                self.started = Some(*started);
            }
            Event::CheckoutHeld {} => self.stock_held = true,
            Event::CheckoutPaymentAdded { payment, tender, amount } => {
                self.payments.added(payment, tender, amount);
            }
            Event::CheckoutPaymentStopped { payment } => self.payments.stopped(payment),
            Event::CheckoutPaymentSettled { payment, transaction, amount } => {
                self.payments.settle(payment, transaction, amount);
            }
            Event::CheckoutPaymentUnsettled { payment, .. } => self.payments.unsettle(payment),
            Event::CheckoutGivenUp { reason } => self.given_up = Some(reason),
            Event::CheckoutCompleted {} => self.status = Status::Completed,
            Event::CheckoutRefused { refusal } => {
                self.status = Status::Refused;
                self.refusal = Some(refusal);
            }
        }
    }
}
