//! Users: their details, their address book, what they agreed to, and their erasure. Personal values are encrypted under the
//! person's `account` key.

pub mod address;
pub mod consent;
pub mod kept;
#[cfg(test)]
mod kept_tests;
pub mod person;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::address::MOST_ADDRESSES;
use self::consent::{Consent, Medium, Via, Wording};
pub use self::kept::Entry;
use self::kept::{CHANGES_A_DAY, Kept};
use crate::claim::scope;
use crate::{
    Classified, Decider, ErrorKind, EventInfo, Expectation, Facts, Hold, Money, Personal, PersonalValue,
    Purpose, Sensitive, text,
};

/// The details that a user gives; all of them optional (an imported customer has only a number).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Personal<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Personal<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<String>>,
    /// Not personal: it says too little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

impl Details {
    /// Encrypted under `subject`'s account key, once stored.
    pub fn try_new(
        subject: Uuid,
        name: Option<&str>,
        email: Option<&str>,
        phone: Option<&str>,
        country: Option<&str>,
    ) -> Result<Self, (&'static str, text::TextError)> {
        let own = |value| Personal::new(value, subject, Purpose::Account);
        Ok(Self {
            name: name.map(|v| text::line(v, 200)).transpose().map_err(|e| ("/name", e))?.map(own),
            email: email.map(text::email).transpose().map_err(|e| ("/email", e))?.map(own),
            phone: phone.map(|v| text::line(v, 40)).transpose().map_err(|e| ("/phone", e))?.map(own),
            country: country.map(|v| text::line(v, 64)).transpose().map_err(|e| ("/country", e))?,
        })
    }
}

impl Sensitive for Details {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        [&mut self.name, &mut self.email, &mut self.phone]
            .into_iter()
            .filter_map(|field| field.as_mut().map(|value| value as &mut dyn PersonalValue))
            .collect()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Register {
        details: Details,
    },
    Change {
        details: Details,
    },
    /// Changes the address alone: other details that changed meanwhile stay.
    ChangeEmail {
        email: Personal<String>,
    },
    AddAddress {
        address: Uuid,
        entry: Entry,
    },
    /// The address as it is from now on, all of it.
    ChangeAddress {
        address: Uuid,
        entry: Entry,
    },
    RemoveAddress {
        address: Uuid,
    },
    GiveConsent {
        medium: Medium,
        words: Wording,
        via: Via,
    },
    WithdrawConsent {
        medium: Medium,
        via: Via,
    },
    /// Always executed together with [`person::Command::RequestErasure`].
    Delete,
}

#[derive(
    Debug,
    Clone,
    PartialEq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum_discriminants(name(EventKind), derive(strum::IntoStaticStr, strum::VariantArray))]
pub enum Event {
    UserRegistered {
        #[serde(flatten)]
        details: Details,
    },
    /// The details as they are from now on, all of them.
    UserDetailsChanged {
        #[serde(flatten)]
        details: Details,
    },
    AddressAdded {
        /// Its id, by which an order may name it. No other address has it, also when this one is gone.
        address: Uuid,
        #[serde(flatten)]
        entry: Entry,
        /// The day that it counts to.
        day: NaiveDate,
    },
    /// The address as it is from now on, all of it.
    AddressChanged {
        address: Uuid,
        #[serde(flatten)]
        entry: Entry,
        day: NaiveDate,
    },
    AddressRemoved {
        address: Uuid,
    },
    /// The person agreed to advertising by this medium, in these words.
    ConsentGiven {
        medium: Medium,
        #[serde(flatten)]
        words: Wording,
        via: Via,
        day: NaiveDate,
    },
    ConsentWithdrawn {
        medium: Medium,
        via: Via,
    },
    UserDeleted {},
}

impl Sensitive for Event {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        match self {
            Self::UserRegistered { details } | Self::UserDetailsChanged { details } => details.personal(),
            Self::AddressAdded { entry, .. } | Self::AddressChanged { entry, .. } => entry.at.personal(),
            Self::UserDeleted {}
            | Self::AddressRemoved { .. }
            | Self::ConsentGiven { .. }
            | Self::ConsentWithdrawn { .. } => Vec::new(),
        }
    }
}

impl EventInfo for Event {
    fn subject(&self, stream: Uuid) -> Option<Uuid> {
        match self {
            Self::UserRegistered { .. }
            | Self::UserDetailsChanged { .. }
            | Self::UserDeleted {}
            | Self::AddressAdded { .. }
            | Self::AddressChanged { .. }
            | Self::AddressRemoved { .. }
            | Self::ConsentGiven { .. }
            | Self::ConsentWithdrawn { .. } => Some(stream),
        }
    }

    fn amount(&self) -> Option<Money> {
        None
    }

    fn amount_path(_: EventKind) -> Option<&'static str> {
        None
    }

    fn name_paths(_: EventKind) -> &'static [&'static str] {
        &[]
    }

    fn is_refusal(_: EventKind) -> bool {
        false
    }

    fn expects(_: EventKind) -> Option<Expectation<EventKind>> {
        None
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("there is no such user")]
    UserNotFound,
    #[error("the user was deleted")]
    UserDeleted,
    #[error("the user exists already")]
    UserExists,
    #[error("the user has no address of this id")]
    AddressNotFound,
    #[error("a user has at most {MOST_ADDRESSES} addresses: remove one")]
    TooManyAddresses,
    #[error("a user's addresses and consents change at most {CHANGES_A_DAY} times a day: try again tomorrow")]
    TooManyChanges,
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UserNotFound | Self::AddressNotFound => ErrorKind::NotFound,
            Self::UserDeleted => ErrorKind::Gone,
            Self::UserExists | Self::TooManyAddresses | Self::TooManyChanges => ErrorKind::Conflict,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and nearly all are active")]
pub enum User {
    /// Not registered yet.
    #[default]
    Unknown,
    Active {
        #[serde(flatten)]
        details: Details,
        #[serde(flatten)]
        kept: Kept,
    },
    Deleted,
}

/// What an active user's addresses and consents become.
fn keep(kept: &Kept, command: Command, facts: &Facts) -> Result<Vec<Event>, Error> {
    let day = || kept.day(facts.now).ok_or(Error::TooManyChanges);
    Ok(match command {
        Command::AddAddress { address, .. } if kept.address(address).is_some() => vec![],
        Command::AddAddress { .. } if kept.addresses.len() >= MOST_ADDRESSES => {
            return Err(Error::TooManyAddresses);
        }
        Command::AddAddress { address, entry } => {
            vec![Event::AddressAdded { address, entry, day: day()? }]
        }
        Command::ChangeAddress { address, entry } => match kept.address(address) {
            None => return Err(Error::AddressNotFound),
            Some(old) if old == entry => vec![],
            Some(_) => vec![Event::AddressChanged { address, entry, day: day()? }],
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
            vec![Event::ConsentGiven { medium, words, via, day: day()? }]
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

impl Decider for User {
    const STATE_VERSION: u32 = 2;

    fn decide(&self, command: Command, facts: &Facts) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (Self::Unknown, Command::Register { details }) => Ok(vec![Event::UserRegistered { details }]),
            (Self::Unknown, _) => Err(Error::UserNotFound),
            (Self::Active { .. }, Command::Register { .. }) => Err(Error::UserExists),
            (Self::Active { details: old, .. }, Command::Change { details }) if *old == details => Ok(vec![]),
            (Self::Active { .. }, Command::Change { details }) => {
                Ok(vec![Event::UserDetailsChanged { details }])
            }
            (Self::Active { details: old, .. }, Command::ChangeEmail { email }) => {
                let details = Details { email: Some(email), ..old.clone() };
                Ok(vec![Event::UserDetailsChanged { details }])
            }
            (Self::Active { .. }, Command::Delete) => Ok(vec![Event::UserDeleted {}]),
            (Self::Active { kept, .. }, command) => keep(kept, command, facts),
            (Self::Deleted, Command::Delete) => Ok(vec![]),
            (Self::Deleted, _) => Err(Error::UserDeleted),
        }
    }

    fn holds(&self, event: &Event) -> Vec<Hold> {
        match event {
            Event::UserRegistered { details } | Event::UserDetailsChanged { details } => {
                let email =
                    details.email.as_ref().and_then(Personal::get).map(|email| text::email_key(email));
                vec![Hold { scope: scope::EMAIL, values: email.into_iter().collect() }]
            }
            Event::UserDeleted {} => vec![Hold { scope: scope::EMAIL, values: Vec::new() }],
            // They have their address as before.
            Event::AddressAdded { .. }
            | Event::AddressChanged { .. }
            | Event::AddressRemoved { .. }
            | Event::ConsentGiven { .. }
            | Event::ConsentWithdrawn { .. } => Vec::new(),
        }
    }
}

impl User {
    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::UserRegistered { details } => *self = Self::Active { details, kept: Kept::default() },
            Event::UserDeleted {} => *self = Self::Deleted,
            event => {
                if let Self::Active { details, kept } = self {
                    change(details, kept, event);
                }
            }
        }
    }
}

/// What an event makes of an active user.
fn change(details: &mut Details, kept: &mut Kept, event: Event) {
    match event {
        Event::UserRegistered { .. } | Event::UserDeleted {} => {}
        Event::UserDetailsChanged { details: new } => *details = new,
        Event::AddressAdded { address, entry, day } | Event::AddressChanged { address, entry, day } => {
            kept.put(address, entry);
            kept.counted(day);
        }
        Event::AddressRemoved { address } => kept.remove(address),
        Event::ConsentGiven { medium, words, via, day } => {
            kept.agree(Consent { medium, given: Some(words), via });
            kept.counted(day);
        }
        Event::ConsentWithdrawn { medium, via } => {
            kept.agree(Consent { medium, given: None, via });
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::address::Address;
    use super::*;
    use crate::golden::{Sample, encrypted};

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            let details = |suffix: &str| Details {
                name: Some(encrypted(Purpose::Account, &format!("bmFtZQ{suffix}"))),
                email: Some(encrypted(Purpose::Account, &format!("ZW1haWw{suffix}"))),
                phone: Some(encrypted(Purpose::Account, &format!("cGhvbmU{suffix}"))),
                country: Some("United Kingdom".to_owned()),
            };
            match kind {
                EventKind::UserRegistered => Self::UserRegistered { details: details("1") },
                EventKind::UserDetailsChanged => Self::UserDetailsChanged { details: details("2") },
                EventKind::UserDeleted => Self::UserDeleted {},
                EventKind::AddressAdded => Self::AddressAdded {
                    address: address(),
                    entry: entry("3"),
                    day: "2026-01-02".parse().unwrap(),
                },
                EventKind::AddressChanged => Self::AddressChanged {
                    address: address(),
                    entry: entry("4"),
                    day: "2026-01-02".parse().unwrap(),
                },
                EventKind::AddressRemoved => Self::AddressRemoved { address: address() },
                EventKind::ConsentGiven => Self::ConsentGiven {
                    medium: Medium::Email,
                    words: Wording::try_new("2026-01", "zh-CN").unwrap(),
                    via: Via::AccountPage,
                    day: "2026-01-02".parse().unwrap(),
                },
                EventKind::ConsentWithdrawn => {
                    Self::ConsentWithdrawn { medium: Medium::Email, via: Via::AccountPage }
                }
            }
        }
    }

    fn address() -> Uuid {
        Uuid::from_u128(0x0199_aabb_0000_7000_8000_0000_0000_000d)
    }

    fn entry(suffix: &str) -> Entry {
        let own = |text: &str| encrypted(Purpose::Account, &format!("{text}{suffix}"));
        let at = Address {
            label: Some(own("bGFiZWw")),
            name: own("bmFtZQ"),
            street: own("c3RyZWV0"),
            postal_code: Some(own("cG9zdA")),
            city: own("Y2l0eQ"),
            region: Some(own("cmVnaW9u")),
            country: "GB".to_owned(),
            phone: Some(own("cGhvbmU")),
        };
        Entry { at: Box::new(at), default_shipping: true, default_billing: false }
    }

    impl Sample for person::Event {
        fn sample(kind: person::EventKind) -> Self {
            let purposes = vec![Purpose::Account, Purpose::Invoice];
            match kind {
                person::EventKind::ErasureRequested => Self::ErasureRequested { purposes },
                person::EventKind::PersonErased => Self::PersonErased { purposes },
            }
        }
    }

    fn facts() -> Facts {
        Facts { now: crate::clock::now() }
    }

    fn ada(name: &str) -> Details {
        Details {
            name: Some(Personal::new(name.to_owned(), Uuid::nil(), Purpose::Account)),
            ..Details::default()
        }
    }

    #[test]
    fn a_new_user_is_registered_once() {
        let given = TestFramework::<User>::with(facts());
        given
            .given_no_previous_events()
            .when(Command::Register { details: ada("Ada") })
            .then_expect_events(vec![Event::UserRegistered { details: ada("Ada") }]);
        TestFramework::<User>::with(facts())
            .given(vec![Event::UserRegistered { details: ada("Ada") }])
            .when(Command::Register { details: ada("Bob") })
            .then_expect_error(Error::UserExists);
    }

    #[test]
    fn only_a_registered_user_changes_and_equal_details_change_nothing() {
        let registered = || Event::UserRegistered { details: ada("Ada") };
        let change = |name| Command::Change { details: ada(name) };
        let given = |events| TestFramework::<User>::with(facts()).given(events);
        given(vec![registered()]).when(change("Ada")).then_expect_events(vec![]);
        given(vec![registered()])
            .when(change("Bob"))
            .then_expect_events(vec![Event::UserDetailsChanged { details: ada("Bob") }]);
        given(vec![registered()]).when(Command::Delete).then_expect_events(vec![Event::UserDeleted {}]);
        for command in [change("Bob"), Command::Delete] {
            given(vec![]).when(command).then_expect_error(Error::UserNotFound);
        }
        for command in [change("Bob"), Command::Register { details: ada("Ada") }] {
            given(vec![registered(), Event::UserDeleted {}])
                .when(command)
                .then_expect_error(Error::UserDeleted);
        }
    }

    #[test]
    fn a_changed_address_leaves_the_other_details_as_they_are() {
        let own = |text: &str| Personal::new(text.to_owned(), Uuid::nil(), Purpose::Account);
        let with = |email: Personal<String>| Details { email: Some(email), ..ada("Ada") };
        let change = || Command::ChangeEmail { email: own("new@example.org") };
        TestFramework::<User>::with(facts())
            .given(vec![Event::UserRegistered { details: with(own("old@example.org")) }])
            .when(change())
            .then_expect_events(vec![Event::UserDetailsChanged { details: with(own("new@example.org")) }]);
        TestFramework::<User>::with(facts())
            .given(vec![])
            .when(change())
            .then_expect_error(Error::UserNotFound);
    }

    #[test]
    fn a_user_holds_the_address_that_they_have_now() {
        let with =
            |email: Option<&str>| Details::try_new(Uuid::nil(), Some("Ada"), email, None, None).unwrap();
        for event in [
            Event::UserRegistered { details: with(Some("Ada@Example.ORG")) },
            Event::UserDetailsChanged { details: with(Some("Ada@Example.ORG")) },
        ] {
            let held = vec![Hold::one(scope::EMAIL, "ada@example.org")];
            assert_eq!(User::default().holds(&event), held, "{event:?}");
        }
        let without = Event::UserDetailsChanged { details: with(None) };
        assert_eq!(User::default().holds(&without), [Hold { scope: scope::EMAIL, values: vec![] }]);
    }

    #[test]
    fn details_are_encrypted_under_the_users_account_key_and_a_refused_one_names_its_field() {
        let ada = Uuid::from_u128(1);
        let details =
            Details::try_new(ada, Some(" Ada "), Some("ada@example.org"), Some("123"), Some(" France "))
                .unwrap();
        assert_eq!(details.country.as_deref(), Some("France"));
        assert_eq!(details.name.as_ref().and_then(Personal::get).map(String::as_str), Some("Ada"));
        let mut event = Event::UserRegistered { details };
        let owners: Vec<_> = event.personal().into_iter().map(|value| value.pending_key()).collect();
        assert_eq!(owners, [Some((ada, Purpose::Account)); 3]);
        assert_eq!(Event::UserDeleted {}.personal().len(), 0);
        let long = "x".repeat(201);
        for (field, [name, email, phone, country]) in [
            ("/name", [Some(long.as_str()), None, None, None]),
            ("/email", [None, Some("nobody"), None, None]),
            ("/phone", [None, None, Some(&long[..41]), None]),
            ("/country", [None, None, None, Some(&long[..65])]),
        ] {
            let refused = Details::try_new(ada, name, email, phone, country).unwrap_err();
            assert_eq!(refused.0, field);
        }
        let most = Details::try_new(ada, Some(&long[..200]), None, Some(&long[..40]), Some(&long[..64]));
        assert!(most.is_ok());
    }

    #[test]
    fn deleting_twice_is_deleting_once() {
        TestFramework::<User>::with(facts())
            .given(vec![Event::UserRegistered { details: ada("Ada") }, Event::UserDeleted {}])
            .when(Command::Delete)
            .then_expect_events(vec![]);
    }

    #[test]
    fn a_deleted_user_holds_no_address() {
        assert_eq!(
            User::Deleted.holds(&Event::UserDeleted {}),
            [Hold { scope: scope::EMAIL, values: vec![] }]
        );
    }

    #[test]
    fn an_erasure_is_confirmed_only_if_it_was_requested() {
        use person::{Command, Error, Event, Person};
        let purposes = vec![Purpose::Account];
        TestFramework::<Person>::with(facts())
            .given_no_previous_events()
            .when(Command::ConfirmErasure { purposes: purposes.clone() })
            .then_expect_error(Error::ErasureNotRequested);
        // Of two purposes one is not enough.
        TestFramework::<Person>::with(facts())
            .given(vec![Event::ErasureRequested { purposes: purposes.clone() }])
            .when(Command::ConfirmErasure { purposes: vec![Purpose::Account, Purpose::Invoice] })
            .then_expect_error(Error::ErasureNotRequested);
        TestFramework::<Person>::with(facts())
            .given(vec![Event::ErasureRequested { purposes: purposes.clone() }])
            .when(Command::RequestErasure { purposes })
            .then_expect_events(vec![]);
    }

    #[test]
    fn who_is_being_erased_takes_nothing_over_of_that_purpose() {
        use person::{Command, Error, Event, Person};
        let given = |events| TestFramework::<Person>::with(facts()).given(events);
        let take = |purpose| Command::TakeOver { purpose };
        given(vec![]).when(take(None)).then_expect_events(vec![]);
        let invoice = Event::ErasureRequested { purposes: vec![Purpose::Invoice] };
        given(vec![invoice]).when(take(Some(Purpose::Account))).then_expect_events(vec![]);
        for purpose in [Purpose::Account, Purpose::Invoice] {
            let requested = Event::ErasureRequested { purposes: vec![purpose] };
            let erased = Event::PersonErased { purposes: vec![purpose] };
            for events in [vec![requested.clone()], vec![requested.clone(), erased]] {
                for asked in [None, Some(purpose)] {
                    given(events.clone()).when(take(asked)).then_expect_error(Error::PersonErased);
                }
            }
        }
    }

    #[test]
    fn a_purpose_named_twice_is_erased_once() {
        use person::{Command, Event, Person};
        let (once, twice) = (vec![Purpose::Account], vec![Purpose::Account, Purpose::Account]);
        TestFramework::<Person>::with(facts())
            .given_no_previous_events()
            .when(Command::RequestErasure { purposes: twice.clone() })
            .then_expect_events(vec![Event::ErasureRequested { purposes: once.clone() }]);
        let requested = Event::ErasureRequested { purposes: once.clone() };
        TestFramework::<Person>::with(facts())
            .given(vec![requested.clone()])
            .when(Command::ConfirmErasure { purposes: twice })
            .then_expect_events(vec![Event::PersonErased { purposes: once.clone() }]);
        TestFramework::<Person>::with(facts())
            .given(vec![requested, Event::PersonErased { purposes: once.clone() }])
            .when(Command::ConfirmErasure { purposes: once })
            .then_expect_events(vec![]);
    }
}
