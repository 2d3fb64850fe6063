//! The payments of a checkout: what each was opened for, and what its provider authorized.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Money;
use crate::tender::Tender;

/// A payment, as far as its checkout knows it. Amounts are in the checkout's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub tender: Tender,
    /// What it was opened for.
    pub amount: i64,
    /// What its provider authorized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
    /// It takes nothing more, and gives back what still comes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

impl Part {
    /// Whether it may still be authorized.
    pub fn is_open(&self) -> bool {
        !self.stopped && self.settled.is_none()
    }
}

/// What a provider authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    pub transaction: Uuid,
    pub amount: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Payments(pub(super) BTreeMap<Uuid, Part>);

impl Payments {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Uuid, &Part)> {
        self.0.iter()
    }

    pub(super) fn living(&self) -> impl Iterator<Item = &Part> {
        self.0.values().filter(|part| !part.stopped)
    }

    fn sum(&self, of: impl Fn(&Part) -> i64) -> i64 {
        self.living().fold(0, |sum, part| i64::saturating_add(sum, of(part)))
    }

    /// What living payments were authorized for.
    pub(super) fn settled(&self) -> i64 {
        self.sum(|part| part.settled.map_or(0, |settled| settled.amount))
    }

    /// What living payments are, or may still be authorized for.
    pub(super) fn promised(&self) -> i64 {
        self.sum(|part| part.settled.map_or(part.amount, |settled| settled.amount))
    }

    pub(super) fn added(&mut self, payment: Uuid, tender: Tender, amount: Money) {
        self.0.insert(payment, Part { tender, amount: amount.amount, settled: None, stopped: false });
    }

    fn with(&mut self, payment: Uuid, change: impl FnOnce(&mut Part)) {
        if let Some(part) = self.0.get_mut(&payment) {
            change(part);
        }
    }

    pub(super) fn stopped(&mut self, payment: Uuid) {
        self.with(payment, |part| part.stopped = true);
    }

    pub(super) fn settle(&mut self, payment: Uuid, transaction: Uuid, amount: Money) {
        self.with(payment, |part| part.settled = Some(Settled { transaction, amount: amount.amount }));
    }

    pub(super) fn unsettle(&mut self, payment: Uuid) {
        self.with(payment, |part| part.settled = None);
    }
}
