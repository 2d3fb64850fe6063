//! Payments: what was authorized, charged and given back with one provider for one order. A worker asks the provider
//! for each `…Requested`, after it was appended; what the provider says comes as a [`Report`]. Only what is asked for is
//! limited, never what is reported.

mod event;
mod outcome;
mod report;
mod transaction;

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::event::{Capture, Event, EventKind, PATIENCE_SECONDS};
pub use self::outcome::{Outcome, Report};
pub use self::transaction::{Kind, Progress, Transaction};
use crate::checkout;
use crate::ids::{self, OrderId};
use crate::order::{self, Customer};
pub use crate::tender::Tender;
use crate::{Classified, Currency, Decider, ErrorKind, EventInfo as _, Facts, Money};

/// The most transactions of a payment. More are taken only if they give back all that is left.
pub const MOST_TRANSACTIONS: usize = 100;

/// How often a stopped payment asks again for what could not be given back.
pub const MOST_TRIES: usize = 10;

/// What a payment is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub order_id: OrderId,
    pub revision: u32,
    pub customer: Customer,
    pub amount: Money,
    pub tender: Tender,
    pub provider: Option<String>,
    pub capture: Capture,
    pub test: bool,
    /// Its first authorization.
    pub transaction: Uuid,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Open(Opening),
    /// Nothing more is taken; what is open, and what still comes, is given back.
    Stop {
        order_id: OrderId,
    },
    /// A buyer stops the payment of an order, to pay in another way: refused as long as the order has anything of it.
    StopUnpaid {
        order_id: OrderId,
    },
    Request {
        kind: Kind,
        transaction: Uuid,
        amount: Money,
    },
    /// Staff release or refund what a stopped or closed payment holds and its order never had.
    GiveBack {
        kind: Kind,
        transaction: Uuid,
        amount: Money,
    },
    /// What a stopped payment could not give back is asked for once more, also a release that was asked for before the stop.
    TryAgain {
        transaction: Uuid,
    },
    /// Staff have to look at a transaction.
    Note {
        transaction: Uuid,
        code: String,
    },
    Report(Report),
    Close,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("there is no such payment")]
    PaymentNotFound,
    #[error("the payment exists already")]
    PaymentExists,
    #[error("the payment was stopped")]
    PaymentStopped,
    #[error("the payment is closed")]
    PaymentClosed,
    #[error("money is authorized, under way, or charged and not given back")]
    PaymentHoldsMoney,
    #[error("its order counts on this payment: cancel the order, or ask the shop to stop the payment")]
    PaymentAuthorized,
    #[error("the payment is not stopped: its order gives back")]
    PaymentNotStopped,
    #[error("what a provider calls a transaction is 1 to 100 letters, digits, hyphens and underscores")]
    BadReference,
    #[error("a payment with a provider names it")]
    #[strum(serialize = "no-payment-provider")]
    NoProvider,
    #[error("an amount is at least 1 minor unit, in the currency of the order")]
    BadAmount,
    #[error("{left} minor units are left")]
    AmountTooLarge { left: i64 },
    #[error("the transaction is another one")]
    TransactionExists,
    #[error("the payment has no such transaction")]
    UnknownTransaction,
    #[error("a payment has at most 100 transactions: only all that is left can be given back")]
    #[strum(serialize = "too-many-payments")]
    TooManyTransactions,
    #[error(transparent)]
    #[strum(transparent)]
    Order(#[from] order::Error),
    #[error(transparent)]
    #[strum(transparent)]
    Checkout(#[from] checkout::Error),
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::PaymentNotFound | Self::UnknownTransaction => ErrorKind::NotFound,
            Self::PaymentExists
            | Self::PaymentStopped
            | Self::PaymentClosed
            | Self::PaymentHoldsMoney
            | Self::PaymentNotStopped
            | Self::NoProvider
            | Self::TransactionExists
            | Self::PaymentAuthorized
            | Self::TooManyTransactions => ErrorKind::Conflict,
            Self::BadAmount | Self::AmountTooLarge { .. } | Self::BadReference => ErrorKind::Invalid,
            Self::Order(error) => error.kind(),
            Self::Checkout(error) => error.kind(),
        }
    }
}

/// The transaction by which a payment that is opened is authorized.
pub fn authorization_of(payment: Uuid) -> Uuid {
    ids::derived(payment, &["authorization"])
}

/// A payment as it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub revision: u32,
    pub customer: Customer,
    pub amount: Money,
    pub tender: Tender,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    pub capture: Capture,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
}

/// What the provider said was done, in the payment's currency. All are signed: it may have done what we would not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    pub authorized: i64,
    pub captured: i64,
    pub released: i64,
    pub lapsed: i64,
    pub refunded: i64,
    /// Of what was captured: after the stop, so that it is none of the order's.
    pub late: i64,
}

impl Sums {
    /// What is authorized and neither captured nor given back.
    pub fn open(&self) -> i64 {
        let gone = self.captured.saturating_add(self.released).saturating_add(self.lapsed);
        self.authorized.saturating_sub(gone)
    }

    /// Whether its order has anything of it: authorized and open, or captured and not paid back.
    fn is_counted_on(&self) -> bool {
        self.open() > 0 || self.captured > self.refunded
    }

    fn of(&mut self, kind: Kind) -> &mut i64 {
        match kind {
            Kind::Authorization => &mut self.authorized,
            Kind::Charge => &mut self.captured,
            Kind::Release => &mut self.released,
            Kind::Refund => &mut self.refunded,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    /// Its order; absent before its first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// Absent also where it was stopped before it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<Opened>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    pub sums: Sums,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub transactions: BTreeMap<Uuid, Transaction>,
}

impl Decider for Payment {
    const STATE_VERSION: u32 = 1;

    const BARE_AMOUNTS: &'static [&'static str] = &["sums.*", "transactions.*.amount"];

    fn currency(&self) -> Option<Currency> {
        self.opened.as_ref().map(|opened| opened.amount.currency)
    }

    fn note_about(&self, event: &Event, stream: Uuid) -> Option<Uuid> {
        self.opened.as_ref().map(|opened| opened.customer.subject()).or_else(|| event.subject(stream))
    }

    fn decide(&self, command: Command, _: &Facts) -> Result<Vec<Event>, Error> {
        match command {
            Command::Open(opening) => self.open(opening),
            Command::StopUnpaid { .. } if !self.stopped && self.sums.is_counted_on() => {
                Err(Error::PaymentAuthorized)
            }
            Command::Stop { order_id } | Command::StopUnpaid { order_id } => self.stop(order_id),
            Command::Request { kind, transaction, amount } => self.request(kind, transaction, amount),
            Command::GiveBack { kind, transaction, amount } => self.give_back(kind, transaction, amount),
            Command::TryAgain { transaction } => self.try_again(transaction),
            Command::Note { transaction, code } => self.note(transaction, code),
            Command::Report(report) => self.report(report),
            Command::Close => self.close(),
        }
    }
}

impl Payment {
    /// Whether it gives back what still comes.
    pub fn gives_back(&self) -> bool {
        self.stopped || self.closed
    }

    /// What was asked for and has not ended.
    fn begun(&self, kinds: &[Kind]) -> i64 {
        let pending = self.transactions.values().filter(|one| one.progress.is_pending());
        pending
            .filter(|one| kinds.contains(&one.kind))
            .fold(0, |sum, one| i64::saturating_add(sum, one.amount))
    }

    /// How much of this kind can still be asked for.
    pub fn left(&self, kind: Kind) -> i64 {
        let left = match kind {
            Kind::Authorization => 0,
            Kind::Charge | Kind::Release => {
                self.sums.open().saturating_sub(self.begun(&[Kind::Charge, Kind::Release]))
            }
            Kind::Refund => self
                .sums
                .captured
                .saturating_sub(self.sums.refunded)
                .saturating_sub(self.begun(&[Kind::Refund])),
        };
        left.max(0)
    }

    /// What it captured after its stop, and has neither given back by itself nor begun to.
    pub fn late_left(&self) -> i64 {
        let back = self.transactions.values().filter(|one| one.kind == Kind::Refund && one.by_itself);
        let back = back
            .filter(|one| one.progress.is_pending() || one.progress.is_done())
            .fold(0, |sum, one| i64::saturating_add(sum, one.amount));
        self.sums.late.saturating_sub(back).min(self.left(Kind::Refund)).max(0)
    }

    /// How often something of this kind failed.
    pub fn failures(&self, kind: Kind) -> usize {
        let failed = |one: &&Transaction| one.kind == kind && one.progress == Progress::Failed;
        self.transactions.values().filter(failed).count()
    }

    /// Whether it was opened for more than it charged, and nothing is left that it could charge.
    pub fn is_spent(&self) -> bool {
        let Some(opened) = &self.opened else { return false };
        let is_authorized = self.authorization().is_some_and(|(_, one)| one.progress.is_done());
        let has_begun = self.begun(&[Kind::Charge, Kind::Release]) > 0;
        let at_once = opened.capture == Capture::AtOnce && self.sums.captured > 0;
        let is_all = self.sums.captured >= opened.amount.amount && self.sums.open() <= 0;
        is_authorized && !has_begun && !is_all && (at_once || self.sums.open() <= 0)
    }

    /// The authorization that charges and releases are of: the one that succeeded, or else the last one.
    pub fn authorization(&self) -> Option<(Uuid, &Transaction)> {
        let all = || self.transactions.iter().filter(|(_, one)| one.kind == Kind::Authorization);
        let done = all().find(|(_, one)| one.progress.is_done());
        done.or_else(|| all().next_back()).map(|(id, one)| (*id, one))
    }

    fn opened(&self) -> Result<(OrderId, &Opened), Error> {
        match (self.order_id, &self.opened) {
            (Some(order_id), Some(opened)) => Ok((order_id, opened)),
            _ => Err(Error::PaymentNotFound),
        }
    }

    fn open(&self, opening: Opening) -> Result<Vec<Event>, Error> {
        if self.opened.is_some() {
            return Err(Error::PaymentExists);
        }
        if self.stopped {
            return Err(Error::PaymentStopped);
        }
        let Opening { order_id, revision, customer, amount, tender, provider, capture, test, transaction } =
            opening;
        if amount.amount < 1 {
            return Err(Error::BadAmount);
        }
        if tender == Tender::Provider && provider.is_none() {
            return Err(Error::NoProvider);
        }
        Ok(vec![
            Event::PaymentOpened { order_id, revision, customer, amount, tender, provider, capture, test },
            Event::AuthorizationRequested { order_id, transaction, amount },
        ])
    }

    fn stop(&self, order_id: OrderId) -> Result<Vec<Event>, Error> {
        if self.order_id.is_some_and(|own| own != order_id) {
            return Err(Error::PaymentNotFound);
        }
        if self.stopped {
            return Ok(vec![]);
        }
        let mut events = vec![Event::PaymentStopRequested { order_id }];
        let (left, authorization) = (self.left(Kind::Release), self.authorization());
        if let (true, Some((transaction, _)), Some(currency)) = (left > 0, authorization, self.currency()) {
            events.push(self.given_back(order_id, Kind::Release, transaction, Money::new(left, currency)));
        }
        Ok(events)
    }

    /// What a stopped payment asks for by itself, because of a transaction.
    fn given_back(&self, order_id: OrderId, kind: Kind, because: Uuid, amount: Money) -> Event {
        let mut transaction = ids::derived(because, &[kind.as_ref()]);
        while self.transactions.contains_key(&transaction) {
            transaction = ids::derived(transaction, &["again"]);
        }
        if kind == Kind::Refund {
            Event::RefundRequested { order_id, transaction, amount, by_itself: true }
        } else {
            Event::ReleaseRequested { order_id, transaction, amount, by_itself: true }
        }
    }

    fn request(&self, kind: Kind, transaction: Uuid, amount: Money) -> Result<Vec<Event>, Error> {
        let (order_id, opened) = self.opened()?;
        if let Some(there) = self.transactions.get(&transaction) {
            let same = (there.kind, there.amount) == (kind, amount.amount) && !there.by_itself;
            return if same { Ok(vec![]) } else { Err(Error::TransactionExists) };
        }
        if self.closed {
            return Err(Error::PaymentClosed);
        }
        if self.stopped && kind != Kind::Refund {
            return Err(Error::PaymentStopped);
        }
        if amount.amount < 1 || amount.currency != opened.amount.currency {
            return Err(Error::BadAmount);
        }
        let left = self.left(kind);
        if amount.amount > left {
            return Err(Error::AmountTooLarge { left });
        }
        let gives_all_back = kind != Kind::Charge && amount.amount == left;
        if self.transactions.len() >= MOST_TRANSACTIONS && !gives_all_back {
            return Err(Error::TooManyTransactions);
        }
        Ok(vec![match kind {
            // A payment has the authorization that it was opened with.
            Kind::Authorization => return Err(Error::AmountTooLarge { left: 0 }),
            Kind::Charge => Event::ChargeRequested { order_id, transaction, amount },
            Kind::Release => Event::ReleaseRequested { order_id, transaction, amount, by_itself: false },
            Kind::Refund => Event::RefundRequested { order_id, transaction, amount, by_itself: false },
        }])
    }

    fn give_back(&self, kind: Kind, transaction: Uuid, amount: Money) -> Result<Vec<Event>, Error> {
        let (order_id, opened) = self.opened()?;
        if let Some(there) = self.transactions.get(&transaction) {
            let same = (there.kind, there.amount) == (kind, amount.amount) && there.by_itself;
            return if same { Ok(vec![]) } else { Err(Error::TransactionExists) };
        }
        if !self.gives_back() {
            return Err(Error::PaymentNotStopped);
        }
        if amount.amount < 1 || amount.currency != opened.amount.currency {
            return Err(Error::BadAmount);
        }
        let left = match kind {
            Kind::Release => self.left(kind),
            Kind::Refund => self.late_left(),
            Kind::Authorization | Kind::Charge => return Err(Error::PaymentStopped),
        };
        if amount.amount > left {
            return Err(Error::AmountTooLarge { left });
        }
        if self.transactions.len() >= MOST_TRANSACTIONS && amount.amount < left {
            return Err(Error::TooManyTransactions);
        }
        Ok(vec![if kind == Kind::Refund {
            Event::RefundRequested { order_id, transaction, amount, by_itself: true }
        } else {
            Event::ReleaseRequested { order_id, transaction, amount, by_itself: true }
        }])
    }

    /// Once for each transaction.
    fn note(&self, transaction: Uuid, code: String) -> Result<Vec<Event>, Error> {
        let (order_id, _) = self.opened()?;
        let one = self.transactions.get(&transaction).ok_or(Error::UnknownTransaction)?;
        let noted = Event::PaymentNoted { order_id, code, transaction: Some(transaction) };
        Ok(if one.noted { vec![] } else { vec![noted] })
    }

    fn try_again(&self, transaction: Uuid) -> Result<Vec<Event>, Error> {
        let (order_id, opened) = self.opened()?;
        let failed = self.transactions.get(&transaction).ok_or(Error::UnknownTransaction)?;
        let tries = self.transactions.values().filter(|one| one.by_itself && one.kind == failed.kind).count();
        // Of what was captured, that alone which came after the stop: the rest is the order's.
        let left = if failed.kind == Kind::Refund { self.late_left() } else { self.left(failed.kind) };
        let amount = failed.amount.min(left);
        let again = ids::derived(transaction, &["again"]);
        let goes_back = failed.by_itself || (failed.kind == Kind::Release && self.gives_back());
        let is_due = goes_back && failed.progress == Progress::Failed && amount > 0;
        if !is_due || tries >= MOST_TRIES || self.transactions.contains_key(&again) {
            return Ok(vec![]);
        }
        let amount = Money::new(amount, opened.amount.currency);
        Ok(vec![if failed.kind == Kind::Refund {
            Event::RefundRequested { order_id, transaction: again, amount, by_itself: true }
        } else {
            Event::ReleaseRequested { order_id, transaction: again, amount, by_itself: true }
        }])
    }

    fn close(&self) -> Result<Vec<Event>, Error> {
        let (order_id, _) = self.opened()?;
        if self.closed {
            return Ok(vec![]);
        }
        let pending = self.transactions.values().any(|one| one.progress.is_pending());
        if pending || self.sums.open() != 0 || self.sums.captured != self.sums.refunded {
            return Err(Error::PaymentHoldsMoney);
        }
        Ok(vec![Event::PaymentClosed { order_id }])
    }

    pub(crate) fn evolve(&mut self, event: Event) {
        self.order_id = Some(event.order_id());
        match event {
            Event::PaymentOpened { revision, customer, amount, tender, provider, capture, test, .. } => {
                self.opened = Some(Opened { revision, customer, amount, tender, provider, capture, test });
            }
            Event::PaymentStopRequested { .. } => self.stopped = true,
            Event::PaymentClosed { .. } => self.closed = true,
            Event::AuthorizationRequested { transaction, amount, .. } => {
                self.begin(Kind::Authorization, transaction, amount, false);
            }
            Event::ChargeRequested { transaction, amount, .. } => {
                self.begin(Kind::Charge, transaction, amount, false);
            }
            Event::ReleaseRequested { transaction, amount, by_itself, .. } => {
                self.begin(Kind::Release, transaction, amount, by_itself);
            }
            Event::RefundRequested { transaction, amount, by_itself, .. } => {
                self.begin(Kind::Refund, transaction, amount, by_itself);
            }
            Event::AuthorizationSucceeded { transaction, amount, reference, .. } => {
                self.book(Kind::Authorization, transaction, amount, Some(reference));
            }
            Event::ChargeSucceeded { transaction, amount, reference, .. } => {
                if self.gives_back() {
                    self.sums.late = self.sums.late.saturating_add(amount.amount);
                }
                self.book(Kind::Charge, transaction, amount, reference);
            }
            Event::ReleaseSucceeded { transaction, amount, reference, .. } => {
                self.book(Kind::Release, transaction, amount, reference);
            }
            Event::RefundSucceeded { transaction, amount, reference, .. } => {
                self.book(Kind::Refund, transaction, amount, reference);
            }
            Event::AuthorizationActionRequired { transaction, reference, .. } => {
                self.goes_on(transaction, Progress::ActionRequired);
                if let Some(one) = self.transactions.get_mut(&transaction) {
                    one.reference = reference.or(one.reference.take());
                }
            }
            Event::AuthorizationDeclined { transaction, .. } => {
                self.goes_on(transaction, Progress::Declined);
            }
            Event::AuthorizationLapsed { transaction, amount, .. } => {
                self.sums.lapsed = self.sums.lapsed.saturating_add(amount.amount);
                self.goes_on(transaction, Progress::Lapsed);
            }
            Event::AuthorizationUnknown { transaction, .. }
            | Event::ChargeUnknown { transaction, .. }
            | Event::ReleaseUnknown { transaction, .. }
            | Event::RefundUnknown { transaction, .. } => self.goes_on(transaction, Progress::Unknown),
            Event::AuthorizationFailed { transaction, .. }
            | Event::ChargeFailed { transaction, .. }
            | Event::ReleaseFailed { transaction, .. }
            | Event::RefundFailed { transaction, .. } => self.goes_on(transaction, Progress::Failed),
            Event::PaymentNoted { transaction, .. } => {
                let noted = transaction.and_then(|transaction| self.transactions.get_mut(&transaction));
                if let Some(one) = noted {
                    one.noted = true;
                }
            }
        }
    }

    fn begin(&mut self, kind: Kind, transaction: Uuid, amount: Money, by_itself: bool) {
        let (amount, progress) = (amount.amount, Progress::Requested);
        let one = Transaction { kind, amount, progress, reference: None, by_itself, noted: false };
        self.transactions.insert(transaction, one);
    }

    fn book(&mut self, kind: Kind, transaction: Uuid, amount: Money, reference: Option<String>) {
        let sum = self.sums.of(kind);
        *sum = sum.saturating_add(amount.amount);
        let before = self.transactions.remove(&transaction);
        let (by_itself, noted) = before.as_ref().map_or((false, false), |one| (one.by_itself, one.noted));
        let reference = reference.or(before.and_then(|one| one.reference));
        let (amount, progress) = (amount.amount, Progress::Succeeded);
        let one = Transaction { kind, amount, progress, reference, by_itself, noted };
        self.transactions.insert(transaction, one);
    }

    fn goes_on(&mut self, transaction: Uuid, progress: Progress) {
        if let Some(one) = self.transactions.get_mut(&transaction) {
            one.progress = progress;
        }
    }
}
