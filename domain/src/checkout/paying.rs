//! How a checkout takes its payments.

use uuid::Uuid;

use super::payments::Part;
use super::{Checkout, Error, Event};
use crate::Money;
use crate::order::payments::{Error as Unfit, MOST_LIVING, MOST_PAYMENTS};
use crate::tender::Tender;

impl Checkout {
    fn part(&self, payment: Uuid) -> Result<&Part, Error> {
        self.payments.0.get(&payment).ok_or(Error::Payment(Unfit::UnknownPayment))
    }

    pub(super) fn add_payment(
        &self,
        payment: Uuid,
        tender: Tender,
        amount: Money,
    ) -> Result<Vec<Event>, Error> {
        if let Ok(part) = self.part(payment) {
            let same = (part.tender, part.amount) == (tender, amount.amount);
            return if same { Ok(vec![]) } else { Err(Unfit::PaymentExists.into()) };
        }
        let total = self.running()?.total;
        if self.given_up.is_some() {
            return Err(Error::GivenUp);
        }
        let left = self.unpaid();
        if left == 0 {
            return Err(Unfit::PaymentPending.into());
        }
        if amount.amount < 1 || amount.currency != total.currency {
            return Err(Unfit::BadAmount.into());
        }
        if amount.amount > left {
            return Err(Unfit::AmountTooLarge { left }.into());
        }
        if self.payments.living().count() >= MOST_LIVING || self.payments.0.len() >= MOST_PAYMENTS {
            return Err(Unfit::TooManyPayments.into());
        }
        Ok(vec![Event::CheckoutPaymentAdded { payment, tender, amount }])
    }

    /// None is stopped once there is an order: that decides then.
    pub(super) fn stop_payment(&self, payment: Uuid) -> Result<Vec<Event>, Error> {
        let part = self.part(payment)?;
        if part.stopped {
            return Ok(vec![]);
        }
        self.running()?;
        Ok(vec![Event::CheckoutPaymentStopped { payment }])
    }

    pub(super) fn release_payment(&self, payment: Uuid) -> Result<Vec<Event>, Error> {
        let part = self.part(payment)?;
        if self.is_running() && !part.stopped { Err(Error::PaymentCounted) } else { Ok(vec![]) }
    }

    /// What is reported is not limited. A payment that is stopped settles nothing.
    pub(super) fn settle(
        &self,
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    ) -> Result<Vec<Event>, Error> {
        let part = self.part(payment)?;
        let same = part.settled.is_some_and(|settled| settled.transaction == transaction);
        if part.stopped || same {
            return Ok(vec![]);
        }
        self.running()?;
        Ok(vec![Event::CheckoutPaymentSettled { payment, transaction, amount }])
    }

    pub(super) fn unsettle(&self, payment: Uuid, transaction: Uuid) -> Result<Vec<Event>, Error> {
        let part = self.part(payment)?;
        // Of one that is stopped it counts no longer.
        if part.stopped || part.settled.is_none_or(|settled| settled.transaction != transaction) {
            return Ok(vec![]);
        }
        self.running()?;
        Ok(vec![Event::CheckoutPaymentUnsettled { payment, transaction }])
    }
}
