//! The payments of an order: what they charged, what was paid back, and what of both is under way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Classified, ErrorKind, Money};

/// The most payments of an order, over all time.
pub const MOST_PAYMENTS: usize = 100;

/// The most payments at once that may still charge something.
pub const MOST_LIVING: usize = 10;

/// The most charges, and the most repayments, that have begun and not ended.
pub const MOST_BEGUN: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("the order has no such payment")]
    #[strum(serialize = "payment-not-found")]
    UnknownPayment,
    #[error("payments that are under way reach what is owed: stop one of them, or wait for it")]
    PaymentPending,
    #[error("the payment was stopped")]
    PaymentStopped,
    #[error("the order has another payment of this id")]
    PaymentExists,
    #[error("the transaction is another one")]
    TransactionExists,
    #[error("a charge of the payment has begun, and nobody knows yet what it came to")]
    ChargeBegun,
    #[error("an order has at most 100 payments, 10 of them living, and 20 charges or repayments at once")]
    TooManyPayments,
    #[error("an amount is at least 1 minor unit, in the currency of the order")]
    BadAmount,
    #[error("{left} minor units are left")]
    AmountTooLarge { left: i64 },
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownPayment => ErrorKind::NotFound,
            Self::PaymentPending
            | Self::PaymentStopped
            | Self::PaymentExists
            | Self::TransactionExists
            | Self::ChargeBegun
            | Self::TooManyPayments => ErrorKind::Conflict,
            Self::BadAmount | Self::AmountTooLarge { .. } => ErrorKind::Invalid,
        }
    }
}

/// A payment, as far as its order knows it. Amounts are in the order's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it was opened for.
    pub amount: i64,
    pub charged: i64,
    /// Of what it charged.
    #[serde(default)]
    pub repaid: i64,
    /// It takes nothing more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

/// A charge or a repayment that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    pub payment: Uuid,
    pub amount: i64,
}

/// The payments of an order. Amounts are in its currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payments {
    /// All charges that ended.
    pub charged: i64,
    /// All repayments that ended.
    pub repaid: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub all: BTreeMap<Uuid, Part>,
    /// By their transactions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub charges: BTreeMap<Uuid, Begun>,
    /// By their transactions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repayments: BTreeMap<Uuid, Begun>,
}

pub(super) fn sum(begun: &BTreeMap<Uuid, Begun>) -> i64 {
    begun.values().fold(0, |sum, one| sum.saturating_add(one.amount))
}

impl Payments {
    /// Whether there never was one.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What was charged, less what was paid back.
    pub fn paid(&self) -> i64 {
        self.charged.saturating_sub(self.repaid)
    }

    /// What a payment charged for the order and has not paid back.
    pub(super) fn kept(&self, payment: Uuid) -> i64 {
        self.all.get(&payment).map_or(0, |part| part.charged.saturating_sub(part.repaid).max(0))
    }

    /// Those that may still charge something.
    pub(super) fn living(&self) -> impl Iterator<Item = &Part> {
        self.all.values().filter(|part| !part.stopped && part.charged < part.amount)
    }

    /// What living payments may still charge.
    pub(super) fn promised(&self) -> i64 {
        self.living().fold(0, |sum, part| sum.saturating_add(part.amount.saturating_sub(part.charged)))
    }

    pub(super) fn added(&mut self, payment: Uuid, amount: Money) {
        self.all.insert(payment, Part { amount: amount.amount, charged: 0, repaid: 0, stopped: false });
    }

    pub(super) fn stopped(&mut self, payment: Uuid) {
        if let Some(part) = self.all.get_mut(&payment) {
            part.stopped = true;
        }
    }

    pub(super) fn charge_begun(&mut self, payment: Uuid, transaction: Uuid, amount: Money) {
        self.charges.insert(transaction, Begun { payment, amount: amount.amount });
    }

    pub(super) fn charge_ended(&mut self, payment: Uuid, transaction: Uuid, amount: Money) {
        self.charges.remove(&transaction);
        self.charged = self.charged.saturating_add(amount.amount);
        if let Some(part) = self.all.get_mut(&payment) {
            part.charged = part.charged.saturating_add(amount.amount);
        }
    }

    pub(super) fn repayment_begun(&mut self, payment: Uuid, transaction: Uuid, amount: Money) {
        self.repayments.insert(transaction, Begun { payment, amount: amount.amount });
    }

    pub(super) fn repayment_ended(&mut self, payment: Uuid, transaction: Uuid, amount: Money) {
        self.repayments.remove(&transaction);
        self.repaid = self.repaid.saturating_add(amount.amount);
        if let Some(part) = self.all.get_mut(&payment) {
            part.repaid = part.repaid.saturating_add(amount.amount);
        }
    }
}
