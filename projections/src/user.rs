//! Users, for lists and look-ups. Personal values are in the clear here, and are removed when the person is erased.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use soonshop_domain::user::consent::{Medium, Via, Wording};
use soonshop_domain::user::{self, Entry, person};
use soonshop_domain::{Event, Personal, Purpose};
use soonshop_event_log::RecordedEvent;

use crate::projector::{Failure, PersonalColumns, Projector, Row, TableFor, TableOf, Unit, Wants, id};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    /// `active`, `deleted` or `erased`.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub name: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub email: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub phone: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub country: Option<String>,
    /// The address book, as JSON: a list of [`Booked`]. Null once it was erased.
    #[sea_orm(column_type = "Text", nullable)]
    pub addresses: Option<String>,
    /// What the user agreed to, as JSON: a list of [`Agreed`].
    #[sea_orm(column_type = "Text")]
    pub consents: String,
    /// Microseconds since 1970.
    pub registered_at: i64,
    /// The stream's version.
    pub version: i64,
    /// The position of the event that last changed the row.
    pub position: i64,
}

/// An address of the book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Booked {
    pub id: Uuid,
    pub label: Option<String>,
    pub name: Option<String>,
    pub street: Option<String>,
    pub postal_code: Option<String>,
    pub city: Option<String>,
    pub region: Option<String>,
    pub country: String,
    pub phone: Option<String>,
    pub default_shipping: bool,
    pub default_billing: bool,
}

/// A consent as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreed {
    pub medium: Medium,
    pub given: bool,
    pub wording: Option<String>,
    pub language: Option<String>,
    pub via: Via,
    /// When it was given or withdrawn: microseconds since 1970.
    pub since: i64,
}

impl Booked {
    fn of(id: Uuid, entry: &Entry) -> Self {
        let Entry { at, default_shipping, default_billing } = entry;
        Self {
            id,
            label: text(at.label.as_ref()),
            name: text(Some(&at.name)),
            street: text(Some(&at.street)),
            postal_code: text(at.postal_code.as_ref()),
            city: text(Some(&at.city)),
            region: text(at.region.as_ref()),
            country: at.country.clone(),
            phone: text(at.phone.as_ref()),
            default_shipping: *default_shipping,
            default_billing: *default_billing,
        }
    }
}

/// Reads a list out of its column.
pub fn read_list<T: serde::de::DeserializeOwned>(column: &str) -> Result<Vec<T>, Failure> {
    serde_json::from_str(column).map_err(|error| Failure(format!("a list of a user cannot be read: {error}")))
}

fn stored<T: Serialize>(list: &[T]) -> Result<String, Failure> {
    serde_json::to_string(list)
        .map_err(|error| Failure(format!("a list of a user cannot be written: {error}")))
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Row for Model {
    const GROUP: &'static str = "id";

    fn group(&self) -> String {
        self.id.clone()
    }

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// Puts an address into its place, or at the end. What is a default from now on is the only one.
fn put(book: &mut Vec<Booked>, new: Booked) {
    for booked in book.iter_mut() {
        booked.default_shipping &= !new.default_shipping;
        booked.default_billing &= !new.default_billing;
    }
    match book.iter_mut().find(|booked| booked.id == new.id) {
        Some(old) => *old = new,
        None => book.push(new),
    }
}

fn change_book(
    event: &RecordedEvent,
    unit: &mut Unit,
    change: impl FnOnce(&mut Vec<Booked>),
) -> Result<(), Failure> {
    let id = id(event);
    let column = unit.find::<Model>(&id, &id).and_then(|row| row.addresses.clone());
    let mut book = read_list(column.as_deref().unwrap_or("[]"))?;
    change(&mut book);
    let book = stored(&book)?;
    unit.change(&id, &id, |row: &mut Model| {
        row.addresses = Some(book);
        (row.version, row.position) = (event.version, event.position);
    })
}

/// `words`: those of a consent that is given.
fn agree(
    event: &RecordedEvent,
    unit: &mut Unit,
    (medium, via): (Medium, Via),
    words: Option<&Wording>,
) -> Result<(), Failure> {
    let id = id(event);
    let column = unit.find::<Model>(&id, &id).map(|row| row.consents.clone());
    let mut consents: Vec<Agreed> = read_list(column.as_deref().unwrap_or("[]"))?;
    consents.retain(|agreed| agreed.medium != medium);
    consents.push(Agreed {
        medium,
        given: words.is_some(),
        wording: words.map(|words| words.wording.clone()),
        language: words.map(|words| words.language.clone()),
        via,
        since: event.occurred_at.timestamp_micros(),
    });
    consents.sort_by_key(|agreed| agreed.medium);
    let consents = stored(&consents)?;
    unit.change(&id, &id, |row: &mut Model| {
        row.consents = consents;
        (row.version, row.position) = (event.version, event.position);
    })
}

/// The projection `users`.
pub struct Users;

fn text(value: Option<&Personal<String>>) -> Option<String> {
    value.and_then(Personal::get).cloned()
}

impl Projector for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn version(&self) -> i32 {
        2
    }

    fn shape(&self) -> i32 {
        2
    }

    fn follows(&self) -> &'static [&'static str] {
        &["user", "person"]
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        vec![TableFor::<Model>::new()]
    }

    fn indexes(&self) -> &'static [&'static str] {
        &[
            "CREATE INDEX users_by_status ON @users (status, registered_at, id)",
            "CREATE INDEX users_by_country ON @users (country, registered_at, id)",
        ]
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        wants.want::<Model>(id(event));
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        let id = id(event);
        let (version, position) = (event.version, event.position);
        match &event.event {
            Event::User(user::Event::UserRegistered { details }) => unit.put(Model {
                id,
                status: "active".to_owned(),
                name: text(details.name.as_ref()),
                email: text(details.email.as_ref()),
                phone: text(details.phone.as_ref()),
                country: details.country.clone(),
                addresses: Some("[]".to_owned()),
                consents: "[]".to_owned(),
                registered_at: event.occurred_at.timestamp_micros(),
                version,
                position,
            }),
            Event::User(user::Event::UserDetailsChanged { details }) => {
                unit.change(&id, &id, |row: &mut Model| {
                    row.name = text(details.name.as_ref());
                    row.email = text(details.email.as_ref());
                    row.phone = text(details.phone.as_ref());
                    row.country.clone_from(&details.country);
                    (row.version, row.position) = (version, position);
                })?;
            }
            Event::User(user::Event::UserDeleted {}) => unit.change(&id, &id, |row: &mut Model| {
                "deleted".clone_into(&mut row.status);
                (row.version, row.position) = (version, position);
            })?,
            Event::User(
                user::Event::AddressAdded { address, entry, .. }
                | user::Event::AddressChanged { address, entry, .. },
            ) => {
                change_book(event, unit, |book| put(book, Booked::of(*address, entry)))?;
            }
            Event::User(user::Event::AddressRemoved { address }) => {
                change_book(event, unit, |book| book.retain(|booked| booked.id != *address))?;
            }
            Event::User(user::Event::ConsentGiven { medium, words, via, .. }) => {
                agree(event, unit, (*medium, *via), Some(words))?;
            }
            Event::User(user::Event::ConsentWithdrawn { medium, via }) => {
                agree(event, unit, (*medium, *via), None)?;
            }
            // The personal columns were cleaned just before this. A guest has no row.
            Event::Person(person::Event::PersonErased { purposes })
                if purposes.contains(&Purpose::Account) && unit.find::<Model>(&id, &id).is_some() =>
            {
                unit.change(&id, &id, |row: &mut Model| {
                    "erased".clone_into(&mut row.status);
                    row.position = position;
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn personal(&self) -> &'static [PersonalColumns] {
        &[PersonalColumns {
            table: "users",
            subject: "id",
            purpose: Purpose::Account,
            columns: &["name", "email", "phone", "addresses"],
            found_by: &["email", "phone", "name"],
        }]
    }
}
