//! What a user keeps with the shop beside their details: the address book, and what they agreed to.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::address::{Address, MOST_ADDRESSES};
use super::consent::{Consent, Medium};
use super::{Command, Error, Event};
use crate::{Facts, PersonalValue, Sensitive};

/// How often a day something is added to a user, changed or agreed to: their stream does not grow faster. What takes
/// something away has no limit, as it follows something that was added.
pub const CHANGES_A_DAY: u32 = 100;

/// An address and what it is for. One address at most is each default: another one is it no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub at: Address,
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
            at: booked.at.clone(),
            default_shipping: self.default_shipping == Some(id),
            default_billing: self.default_billing == Some(id),
        })
    }

    /// The day of a change, if there may be one more. A clock that goes back gives no day again.
    fn day(&self, now: DateTime<Utc>) -> Result<NaiveDate, Error> {
        let today = now.date_naive();
        match self.changed_on {
            Some(last) if last >= today && self.changes >= CHANGES_A_DAY => Err(Error::TooManyChanges),
            Some(last) => Ok(last.max(today)),
            None => Ok(today),
        }
    }

    /// The present consent to a medium; `None`: it was never given.
    fn consent(&self, medium: Medium) -> Option<&Consent> {
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
            Some(booked) => booked.at = at,
            None => self.addresses.push(Booked { id, at }),
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

/// What an active user's addresses and consents become.
pub(super) fn keep(kept: &Kept, command: Command, facts: &Facts) -> Result<Vec<Event>, Error> {
    Ok(match command {
        Command::AddAddress { address, .. } if kept.address(address).is_some() => vec![],
        Command::AddAddress { .. } if kept.addresses.len() >= MOST_ADDRESSES => {
            return Err(Error::TooManyAddresses);
        }
        Command::AddAddress { address, entry } => {
            vec![Event::AddressAdded { address, entry, day: kept.day(facts.now)? }]
        }
        Command::ChangeAddress { address, entry } => match kept.address(address) {
            None => return Err(Error::AddressNotFound),
            Some(old) if old == entry => vec![],
            Some(_) => vec![Event::AddressChanged { address, entry, day: kept.day(facts.now)? }],
        },
        Command::RemoveAddress { address } => {
            kept.address(address).ok_or(Error::AddressNotFound)?;
            vec![Event::AddressRemoved { address }]
        }
        Command::GiveConsent { medium, words, via } => {
            let given = kept.consent(medium).and_then(|consent| consent.given.as_ref());
            if given == Some(&words) {
                return Ok(vec![]);
            }
            vec![Event::ConsentGiven { medium, words, via, day: kept.day(facts.now)? }]
        }
        Command::WithdrawConsent { medium, via } => {
            let is_given = kept.consent(medium).is_some_and(|consent| consent.given.is_some());
            if is_given { vec![Event::ConsentWithdrawn { medium, via }] } else { vec![] }
        }
        // The others are decided before.
        Command::Register { .. } | Command::Change { .. } | Command::ChangeEmail { .. } | Command::Delete => {
            vec![]
        }
    })
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::super::address::Typed;
    use super::super::consent::{Via, Wording};
    use super::super::{Details, User};
    use super::*;

    const DAY: &str = "2026-01-02T03:04:05Z";

    fn entry(city: &str, default_shipping: bool, default_billing: bool) -> Entry {
        let typed = Typed { name: "Ada", street: "1 High Street", city, country: "GB", ..Typed::default() };
        Entry { at: Address::try_new(Uuid::nil(), typed).unwrap(), default_shipping, default_billing }
    }

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn added(number: u128, entry: Entry) -> Event {
        Event::AddressAdded { address: id(number), entry, day: day("2026-01-02") }
    }

    fn given(words: &str) -> Event {
        let words = Wording::try_new(words, "en").unwrap();
        Event::ConsentGiven { medium: Medium::Email, words, via: Via::Api, day: day("2026-01-02") }
    }

    fn give(words: &str) -> Command {
        let words = Wording::try_new(words, "en").unwrap();
        Command::GiveConsent { medium: Medium::Email, words, via: Via::Api }
    }

    fn withdraw(medium: Medium) -> Command {
        Command::WithdrawConsent { medium, via: Via::AccountPage }
    }

    fn on(now: &str, events: Vec<Event>) -> cqrs_es::test::AggregateTestExecutor<User> {
        let registered = Event::UserRegistered { details: Details::default() };
        let facts = Facts { now: now.parse().unwrap() };
        TestFramework::<User>::with(facts).given([vec![registered], events].concat())
    }

    fn state(events: Vec<Event>) -> Kept {
        let mut user = User::default();
        user.evolve(Event::UserRegistered { details: Details::default() });
        events.into_iter().for_each(|event| user.evolve(event));
        let User::Active { kept, .. } = user else { panic!("no active user") };
        kept
    }

    #[test]
    fn an_address_is_added_changed_and_removed_and_what_is_done_already_makes_no_event() {
        let add = |number, city| Command::AddAddress { address: id(number), entry: entry(city, true, false) };
        let change = |city| Command::ChangeAddress { address: id(1), entry: entry(city, true, false) };
        let here = || vec![added(1, entry("London", true, false))];
        on(DAY, vec![]).when(add(1, "London")).then_expect_events(here());
        on(DAY, here()).when(add(1, "London")).then_expect_events(vec![]);
        on(DAY, here()).when(change("London")).then_expect_events(vec![]);
        on(DAY, here()).when(change("Paris")).then_expect_events(vec![Event::AddressChanged {
            address: id(1),
            entry: entry("Paris", true, false),
            day: day("2026-01-02"),
        }]);
        on(DAY, here())
            .when(Command::RemoveAddress { address: id(1) })
            .then_expect_events(vec![Event::AddressRemoved { address: id(1) }]);
        on(DAY, vec![]).when(change("Paris")).then_expect_error(Error::AddressNotFound);
        on(DAY, here())
            .when(Command::RemoveAddress { address: id(2) })
            .then_expect_error(Error::AddressNotFound);
        for command in [add(1, "London"), give("v1"), withdraw(Medium::Email)] {
            let facts = Facts { now: DAY.parse().unwrap() };
            TestFramework::<User>::with(facts.clone())
                .given(vec![])
                .when(command.clone())
                .then_expect_error(Error::UserNotFound);
            on(DAY, vec![Event::UserDeleted {}]).when(command).then_expect_error(Error::UserDeleted);
        }
    }

    #[test]
    fn one_address_at_most_is_each_default() {
        let kept = state(vec![added(1, entry("London", true, true)), added(2, entry("Paris", true, false))]);
        assert_eq!((kept.default_shipping, kept.default_billing), (Some(id(2)), Some(id(1))));
        let at = kept.address(id(1)).unwrap();
        assert!(!at.default_shipping && at.default_billing);
        let mut taken = kept.clone();
        taken.put(id(2), entry("Paris", false, false));
        assert_eq!((taken.default_shipping, taken.default_billing), (None, Some(id(1))));
        let mut removed = kept;
        removed.remove(id(1));
        assert_eq!((removed.default_shipping, removed.default_billing), (Some(id(2)), None));
        assert_eq!(removed.addresses.len(), 1);
    }

    #[test]
    fn a_user_has_fifty_addresses_and_a_hundred_changes_a_day_and_can_always_take_away() {
        let full: Vec<Event> = (1..=50).map(|number| added(number, entry("London", false, false))).collect();
        let add = || Command::AddAddress { address: id(51), entry: entry("Paris", false, false) };
        on(DAY, full.clone()).when(add()).then_expect_error(Error::TooManyAddresses);
        let busy: Vec<Event> = full.iter().chain(&full).take(99).cloned().collect();
        let one_less = [busy.clone(), vec![Event::AddressRemoved { address: id(1) }]].concat();
        on(DAY, one_less).when(add()).then_expect_events(vec![added(51, entry("Paris", false, false))]);
        let all = [busy, vec![given("v1"), Event::AddressRemoved { address: id(1) }]].concat();
        on(DAY, all.clone()).when(add()).then_expect_error(Error::TooManyChanges);
        on(DAY, all.clone()).when(give("v2")).then_expect_error(Error::TooManyChanges);
        // A clock that went back gives no day again.
        on("2026-01-01T23:59:59Z", all.clone()).when(give("v2")).then_expect_error(Error::TooManyChanges);
        on(DAY, all.clone()).when(give("v1")).then_expect_events(vec![]);
        on(DAY, all.clone()).when(withdraw(Medium::Email)).then_expect_events(vec![
            Event::ConsentWithdrawn { medium: Medium::Email, via: Via::AccountPage },
        ]);
        on(DAY, all.clone())
            .when(Command::RemoveAddress { address: id(2) })
            .then_expect_events(vec![Event::AddressRemoved { address: id(2) }]);
        let words = Wording::try_new("v2", "en").unwrap();
        on("2026-01-03T00:00:00Z", all).when(give("v2")).then_expect_events(vec![Event::ConsentGiven {
            medium: Medium::Email,
            words,
            via: Via::Api,
            day: day("2026-01-03"),
        }]);
    }

    #[test]
    fn a_consent_is_to_one_medium_in_the_words_that_were_seen_and_is_withdrawn_once() {
        on(DAY, vec![given("v1")]).when(give("v1")).then_expect_events(vec![]);
        on(DAY, vec![given("v1")]).when(give("v2")).then_expect_events(vec![given("v2")]);
        on(DAY, vec![given("v1")]).when(withdraw(Medium::Sms)).then_expect_events(vec![]);
        let gone = Event::ConsentWithdrawn { medium: Medium::Email, via: Via::AccountPage };
        on(DAY, vec![given("v1"), gone.clone()]).when(withdraw(Medium::Email)).then_expect_events(vec![]);
        on(DAY, vec![given("v1"), gone.clone()]).when(give("v1")).then_expect_events(vec![given("v1")]);
        let kept = state(vec![given("v1"), gone]);
        assert_eq!(kept.consents, [Consent { medium: Medium::Email, given: None, via: Via::AccountPage }]);
    }

    #[test]
    fn other_details_leave_addresses_and_consents_as_they_are() {
        let changed = Event::UserDetailsChanged {
            details: Details { country: Some("France".into()), ..Details::default() },
        };
        let before = vec![added(1, entry("London", true, false)), given("v1")];
        assert_eq!(state(before.clone()), state([before, vec![changed]].concat()));
    }
}
