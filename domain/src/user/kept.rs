//! What a user keeps with the shop beside their details: the address book, and what they agreed to.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::address::Address;
use super::consent::{Consent, Medium};
use crate::{PersonalValue, Sensitive};

/// How often a day something is added to a user, changed or agreed to: their stream does not grow faster. What takes
/// something away has no limit, as it follows something that was added.
pub const CHANGES_A_DAY: u32 = 100;

/// An address and what it is for. One address at most is each default: another one is it no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub at: Box<Address>,
    /// Things are sent there unless somebody says otherwise.
    pub default_shipping: bool,
    /// Invoices name it unless somebody says otherwise.
    pub default_billing: bool,
}

/// An address of the book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Booked {
    pub id: Uuid,
    #[serde(flatten)]
    pub at: Address,
}

/// What a user keeps with the shop beside their details.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// In the order in which they were added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Booked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_shipping: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_billing: Option<Uuid>,
    /// The present consents; what was never given has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consents: Vec<Consent>,
    /// The last day on which something was added or changed, and how often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_on: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changes: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Sensitive for Kept {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        self.addresses.iter_mut().flat_map(|booked| booked.at.personal()).collect()
    }
}

impl Kept {
    /// An address with what it is for.
    pub fn address(&self, id: Uuid) -> Option<Entry> {
        let booked = self.addresses.iter().find(|booked| booked.id == id)?;
        Some(Entry {
            at: Box::new(booked.at.clone()),
            default_shipping: self.default_shipping == Some(id),
            default_billing: self.default_billing == Some(id),
        })
    }

    /// The day of a change; `None`: there is no more on this day. A clock that goes back gives no day again.
    pub(super) fn day(&self, now: DateTime<Utc>) -> Option<NaiveDate> {
        let today = now.date_naive();
        match self.changed_on {
            Some(last) if last >= today && self.changes >= CHANGES_A_DAY => None,
            Some(last) => Some(last.max(today)),
            None => Some(today),
        }
    }

    /// The present consent to a medium; `None`: it was never given.
    pub(super) fn consent(&self, medium: Medium) -> Option<&Consent> {
        self.consents.iter().find(|consent| consent.medium == medium)
    }

    pub(super) fn agree(&mut self, new: Consent) {
        self.consents.retain(|consent| consent.medium != new.medium);
        self.consents.push(new);
        self.consents.sort_by_key(|consent| consent.medium);
    }

    pub(super) fn counted(&mut self, day: NaiveDate) {
        self.changes = if self.changed_on == Some(day) { self.changes.saturating_add(1) } else { 1 };
        self.changed_on = Some(day);
    }

    pub(super) fn put(&mut self, id: Uuid, Entry { at, default_shipping, default_billing }: Entry) {
        match self.addresses.iter_mut().find(|booked| booked.id == id) {
            Some(booked) => booked.at = *at,
            None => self.addresses.push(Booked { id, at: *at }),
        }
        for (default, is_it) in
            [(&mut self.default_shipping, default_shipping), (&mut self.default_billing, default_billing)]
        {
            if is_it {
                *default = Some(id);
            } else if *default == Some(id) {
                *default = None;
            }
        }
    }

    pub(super) fn remove(&mut self, id: Uuid) {
        self.addresses.retain(|booked| booked.id != id);
        for default in [&mut self.default_shipping, &mut self.default_billing] {
            *default = default.filter(|default| *default != id);
        }
    }
}
