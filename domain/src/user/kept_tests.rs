//! What is decided of addresses and consents.

use chrono::NaiveDate;
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::address::{Address, Typed};
use super::consent::{Consent, Medium, Via, Wording};
use super::kept::{Entry, Kept};
use super::{Command, Details, Error, Event, User};
use crate::Facts;

const DAY: &str = "2026-01-02T03:04:05Z";

fn entry(city: &str, default_shipping: bool, default_billing: bool) -> Entry {
    let typed = Typed { name: "Ada", street: "1 High Street", city, country: "GB", ..Typed::default() };
    let at = Box::new(Address::try_new(Uuid::nil(), typed).unwrap());
    Entry { at, default_shipping, default_billing }
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
    for event in events {
        user.evolve(event);
    }
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
    on(DAY, here()).when(Command::RemoveAddress { address: id(2) }).then_expect_error(Error::AddressNotFound);
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
    on(DAY, all.clone())
        .when(withdraw(Medium::Email))
        .then_expect_events(vec![Event::ConsentWithdrawn { medium: Medium::Email, via: Via::AccountPage }]);
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
