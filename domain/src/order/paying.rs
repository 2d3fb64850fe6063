//! The money of an order: what is owed, and what may be charged and paid back. Each charge and each repayment begins here,
//! in the append in which the payment asks for it, so that two at once never take or give too much.

use uuid::Uuid;

use super::payments::{Begun, Error, MOST_BEGUN, MOST_LIVING, MOST_PAYMENTS, sum};
use super::{Event, Order, Status};
use crate::tender::Tender;
use crate::{Money, order};

/// Whether an amount that is asked for is one, and no more than is left.
fn fits(amount: Money, in_currency: Money, left: i64) -> Result<(), Error> {
    if amount.amount < 1 || amount.currency != in_currency.currency {
        return Err(Error::BadAmount);
    }
    if amount.amount > left { Err(Error::AmountTooLarge { left: left.max(0) }) } else { Ok(()) }
}

/// The same one again changes nothing; another one under its name is refused.
fn again(begun: Begun, payment: Uuid, amount: Money) -> Result<Vec<Event>, order::Error> {
    let same = begun == Begun { payment, amount: amount.amount };
    if same { Ok(vec![]) } else { Err(Error::TransactionExists.into()) }
}

impl Order {
    /// What the customer owes for it in all, whatever was paid: nothing once it is refused or cancelled.
    pub fn owed(&self) -> i64 {
        match &self.placed {
            Some(placed) if self.is_charged() => placed.total.amount.saturating_sub(self.credits.amount),
            _ => 0,
        }
    }

    /// What can still be charged, beside what has begun.
    pub fn chargeable(&self) -> i64 {
        let begun = sum(&self.payments.charges).saturating_sub(sum(&self.payments.repayments));
        self.owed().saturating_sub(self.payments.paid()).saturating_sub(begun).max(0)
    }

    /// What was paid and is not owed, beside what is being paid back.
    pub fn repayable(&self) -> i64 {
        let paid = self.payments.paid().saturating_sub(sum(&self.payments.repayments));
        paid.saturating_sub(self.owed()).max(0)
    }

    /// What of that can be paid back of one payment: no more than it charged for the order.
    pub fn repayable_of(&self, payment: Uuid) -> i64 {
        let begun = self.payments.repayments.values().filter(|begun| begun.payment == payment);
        let begun = begun.fold(0, |sum, one| i64::saturating_add(sum, one.amount));
        self.repayable().min(self.payments.kept(payment).saturating_sub(begun)).max(0)
    }

    /// For how much another payment can be opened.
    pub fn unpaid(&self) -> i64 {
        let promised = self.payments.promised();
        self.owed().saturating_sub(self.payments.paid()).saturating_sub(promised).max(0)
    }

    pub(super) fn stop_payment(&self, payment: Uuid) -> Result<Vec<Event>, order::Error> {
        let part = self.payments.all.get(&payment).ok_or(Error::UnknownPayment)?;
        if part.stopped {
            return Ok(vec![]);
        }
        if self.payments.charges.values().any(|begun| begun.payment == payment) {
            return Err(Error::ChargeBegun.into());
        }
        Ok(vec![Event::OrderPaymentStopped { payment }])
    }

    /// A provider may report any amount. A failed charge that the order does not know as begun leads to no event.
    pub(super) fn end_charge(&self, payment: Uuid, transaction: Uuid, amount: Money) -> Vec<Event> {
        let is_something = amount.amount != 0 || self.payments.charges.contains_key(&transaction);
        is_something.then_some(Event::OrderChargeEnded { payment, transaction, amount }).into_iter().collect()
    }

    /// It counts up to what the order charged of that payment and has not paid back: the rest was none of its money.
    pub(super) fn end_repayment(&self, payment: Uuid, transaction: Uuid, amount: Money) -> Vec<Event> {
        let has_begun = self.payments.repayments.contains_key(&transaction);
        let counts = amount.amount.min(self.payments.kept(payment));
        let (amount, is_something) = (Money { amount: counts, ..amount }, has_begun || counts != 0);
        let ended = Event::OrderRepaymentEnded { payment, transaction, amount };
        is_something.then_some(ended).into_iter().collect()
    }

    fn total(&self) -> Result<Money, order::Error> {
        self.placed.as_ref().map(|placed| placed.total).ok_or(order::Error::OrderNotFound)
    }

    pub(super) fn add_payment(
        &self,
        payment: Uuid,
        tender: Tender,
        amount: Money,
        revision: u32,
    ) -> Result<Vec<Event>, order::Error> {
        if let Some(part) = self.payments.all.get(&payment) {
            return if part.amount == amount.amount { Ok(vec![]) } else { Err(Error::PaymentExists.into()) };
        }
        // What left without a payment was paid in another way, as every order was before there were payments.
        let paid_otherwise = self.status == Status::Shipped && self.payments.all.is_empty();
        if !self.is_charged() || paid_otherwise {
            return Err(order::Error::WrongOrderState(self.status));
        }
        let (living, left) = (self.payments.living().count(), self.unpaid());
        if left == 0 && self.payments.promised() > 0 {
            return Err(Error::PaymentPending.into());
        }
        fits(amount, self.total()?, left)?;
        if living >= MOST_LIVING || self.payments.all.len() >= MOST_PAYMENTS {
            return Err(Error::TooManyPayments.into());
        }
        Ok(vec![Event::OrderPaymentAdded { payment, tender, amount, revision }])
    }

    pub(super) fn begin_charge(
        &self,
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    ) -> Result<Vec<Event>, order::Error> {
        if let Some(begun) = self.payments.charges.get(&transaction) {
            return again(*begun, payment, amount);
        }
        if !self.is_charged() {
            return Err(order::Error::WrongOrderState(self.status));
        }
        let part = self.payments.all.get(&payment).ok_or(Error::UnknownPayment)?;
        if part.stopped {
            return Err(Error::PaymentStopped.into());
        }
        fits(amount, self.total()?, self.chargeable())?;
        if self.payments.charges.len() >= MOST_BEGUN {
            return Err(Error::TooManyPayments.into());
        }
        Ok(vec![Event::OrderChargeBegun { payment, transaction, amount }])
    }

    pub(super) fn begin_repayment(
        &self,
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    ) -> Result<Vec<Event>, order::Error> {
        if let Some(begun) = self.payments.repayments.get(&transaction) {
            return again(*begun, payment, amount);
        }
        if !self.payments.all.contains_key(&payment) {
            return Err(Error::UnknownPayment.into());
        }
        fits(amount, self.total()?, self.repayable_of(payment))?;
        if self.payments.repayments.len() >= MOST_BEGUN {
            return Err(Error::TooManyPayments.into());
        }
        Ok(vec![Event::OrderRepaymentBegun { payment, transaction, amount }])
    }
}

#[cfg(test)]
#[path = "paying_tests.rs"]
mod tests;
