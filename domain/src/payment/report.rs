//! What a provider says about a transaction: in a signed report, or as its answer. Reports repeat, come late and in any
//! order; each has one effect. Which of its effects are its order's is said here as well.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, Event, Kind, Outcome, Payment, Progress, Report};
use crate::ids::OrderId;
use crate::{Money, checkout, order, reasons};

/// The code that a provider gave, as it may be stored for ever.
fn code(given: String) -> String {
    if reasons::check(&given).is_ok() { given } else { "other".to_owned() }
}

/// Whether what a provider calls something may be stored for ever and shown.
fn is_reference(given: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=100).contains(&given.len()) && given.bytes().all(is_plain)
}

impl Payment {
    pub(super) fn report(&self, report: Report) -> Result<Vec<Event>, Error> {
        let (order_id, opened) = self.opened()?;
        let Report { transaction, kind, outcome, unasked } = report;
        if let Outcome::Succeeded { amount, .. } | Outcome::Lapsed { amount } = &outcome
            && (amount.currency != opened.amount.currency || amount.amount < 0)
        {
            return Err(Error::BadAmount);
        }
        if let Outcome::Succeeded { reference, .. } | Outcome::ActionRequired { reference } = &outcome
            && reference.as_deref().is_some_and(|given| !is_reference(given))
        {
            return Err(Error::BadReference);
        }
        let progress = match self.transactions.get(&transaction) {
            Some(one) if one.kind == kind => one.progress,
            None if unasked && kind != Kind::Authorization => Progress::Requested,
            Some(_) | None => return Err(Error::UnknownTransaction),
        };
        let is_new = !self.transactions.contains_key(&transaction);
        Ok(match outcome {
            Outcome::Succeeded { .. } if progress.is_done() => vec![],
            Outcome::Succeeded { amount, reference, until } => {
                let succeeded =
                    Succeeded { order_id, transaction, amount, reference, until, unasked: is_new };
                self.succeeded(kind, succeeded)
            }
            Outcome::Failed { .. } if progress.is_done() => self.noted(order_id, transaction),
            // What nobody asked for, and was not done, is nothing.
            _ if is_new => vec![],
            Outcome::Lapsed { amount } if progress == Progress::Succeeded && kind == Kind::Authorization => {
                vec![Event::AuthorizationLapsed { order_id, transaction, amount }]
            }
            Outcome::Lapsed { .. } if progress.is_pending() => {
                failed(order_id, kind, transaction, "lapsed".to_owned())
            }
            Outcome::Failed { code: given } if progress.is_pending() => {
                failed(order_id, kind, transaction, code(given))
            }
            // Only an authorization needs the buyer.
            Outcome::ActionRequired { reference }
                if progress.is_pending()
                    && progress != Progress::ActionRequired
                    && kind == Kind::Authorization =>
            {
                vec![Event::AuthorizationActionRequired { order_id, transaction, reference }]
            }
            Outcome::Declined { code: given }
                if progress.is_pending() && progress != Progress::Declined && kind == Kind::Authorization =>
            {
                vec![Event::AuthorizationDeclined { order_id, transaction, code: code(given) }]
            }
            Outcome::Declined { code: given } if progress.is_pending() && kind != Kind::Authorization => {
                failed(order_id, kind, transaction, code(given))
            }
            Outcome::Unknown if progress == Progress::Requested => unknown(order_id, kind, transaction),
            Outcome::Lapsed { .. }
            | Outcome::Failed { .. }
            | Outcome::ActionRequired { .. }
            | Outcome::Declined { .. }
            | Outcome::Unknown => vec![],
        })
    }

    /// Books the amount; where the payment was stopped, it goes back in the same append.
    fn succeeded(&self, kind: Kind, done: Succeeded) -> Vec<Event> {
        let Succeeded { order_id, transaction, amount, reference, until, unasked } = done;
        let event = match kind {
            Kind::Authorization => {
                let reference = reference.unwrap_or_default();
                Event::AuthorizationSucceeded { order_id, transaction, reference, amount, until }
            }
            Kind::Charge => Event::ChargeSucceeded { order_id, transaction, amount, reference, unasked },
            Kind::Release => Event::ReleaseSucceeded { order_id, transaction, amount, reference, unasked },
            Kind::Refund => Event::RefundSucceeded { order_id, transaction, amount, reference, unasked },
        };
        let mut events = vec![event];
        let back = match kind {
            Kind::Authorization => Kind::Release,
            Kind::Charge => Kind::Refund,
            Kind::Release | Kind::Refund => return events,
        };
        if self.gives_back() {
            let mut after = self.clone();
            after.evolve(events[0].clone());
            let left = amount.amount.min(after.left(back));
            if left > 0 {
                let left = Money { amount: left, ..amount };
                events.push(after.given_back(order_id, back, transaction, left));
            }
        }
        events
    }

    fn noted(&self, order_id: OrderId, transaction: Uuid) -> Vec<Event> {
        let known = self.transactions.get(&transaction);
        if known.is_none_or(|one| one.noted) {
            return vec![];
        }
        let code = "failed-after-success".to_owned();
        vec![Event::PaymentNoted { order_id, code, transaction: Some(transaction) }]
    }

    /// What the checkout has to say in the same append, as long as it is no order, where these events were decided on this
    /// state of the payment `payment`.
    pub fn of_checkout(&self, payment: Uuid, events: &[Event]) -> Option<checkout::Command> {
        events.iter().find_map(|event| match event {
            Event::PaymentOpened { amount, tender, .. } => {
                Some(checkout::Command::AddPayment { payment, tender: *tender, amount: *amount })
            }
            Event::PaymentStopRequested { .. } => Some(checkout::Command::StopPayment { payment }),
            Event::AuthorizationSucceeded { transaction, amount, .. } if !self.gives_back() => {
                Some(checkout::Command::Settle { payment, transaction: *transaction, amount: *amount })
            }
            Event::AuthorizationLapsed { transaction, .. } => {
                Some(checkout::Command::Unsettle { payment, transaction: *transaction })
            }
            _ => None,
        })
    }

    /// What the order has to say in the same append, where these events were decided on this state of the payment
    /// `payment`. What a stopped payment moves by itself is none of its order's.
    pub fn of_order(&self, payment: Uuid, events: &[Event]) -> Option<order::Command> {
        let asked_by_order =
            |transaction: &Uuid| self.transactions.get(transaction).is_none_or(|one| !one.by_itself);
        events.iter().find_map(|event| match event {
            Event::PaymentOpened { amount, revision, tender, .. } => Some(order::Command::AddPayment {
                payment,
                amount: *amount,
                revision: *revision,
                tender: *tender,
                earlier: Vec::new(),
            }),
            Event::PaymentStopRequested { .. } => Some(order::Command::StopPayment { payment }),
            Event::ChargeRequested { transaction, amount, .. } => {
                Some(order::Command::BeginCharge { payment, transaction: *transaction, amount: *amount })
            }
            Event::ChargeSucceeded { transaction, amount, .. } if !self.gives_back() => {
                Some(order::Command::EndCharge { payment, transaction: *transaction, amount: *amount })
            }
            Event::ChargeFailed { transaction, .. } => {
                let nothing = Money::new(0, self.opened.as_ref()?.amount.currency);
                Some(order::Command::EndCharge { payment, transaction: *transaction, amount: nothing })
            }
            Event::RefundRequested { transaction, amount, by_itself: false, .. } => {
                Some(order::Command::BeginRepayment { payment, transaction: *transaction, amount: *amount })
            }
            Event::RefundSucceeded { transaction, amount, .. } if asked_by_order(transaction) => {
                Some(order::Command::EndRepayment { payment, transaction: *transaction, amount: *amount })
            }
            Event::RefundFailed { transaction, .. } if asked_by_order(transaction) => {
                let nothing = Money::new(0, self.opened.as_ref()?.amount.currency);
                Some(order::Command::EndRepayment { payment, transaction: *transaction, amount: nothing })
            }
            _ => None,
        })
    }
}

/// A transaction that succeeded.
struct Succeeded {
    order_id: OrderId,
    transaction: Uuid,
    amount: Money,
    reference: Option<String>,
    until: Option<DateTime<Utc>>,
    unasked: bool,
}

fn failed(order_id: OrderId, kind: Kind, transaction: Uuid, code: String) -> Vec<Event> {
    vec![match kind {
        Kind::Authorization => Event::AuthorizationFailed { order_id, transaction, code },
        Kind::Charge => Event::ChargeFailed { order_id, transaction, code },
        Kind::Release => Event::ReleaseFailed { order_id, transaction, code },
        Kind::Refund => Event::RefundFailed { order_id, transaction, code },
    }]
}

fn unknown(order_id: OrderId, kind: Kind, transaction: Uuid) -> Vec<Event> {
    vec![match kind {
        Kind::Authorization => Event::AuthorizationUnknown { order_id, transaction },
        Kind::Charge => Event::ChargeUnknown { order_id, transaction },
        Kind::Release => Event::ReleaseUnknown { order_id, transaction },
        Kind::Refund => Event::RefundUnknown { order_id, transaction },
    }]
}
