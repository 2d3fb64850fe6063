//! Users, for lists and look-ups. Personal values are in the clear here, and are removed when the person is erased.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use soonshop_domain::user::{self, person};
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
    /// Microseconds since 1970.
    pub registered_at: i64,
    /// The stream's version.
    pub version: i64,
    /// The position of the event that last changed the row.
    pub position: i64,
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
        1
    }

    fn shape(&self) -> i32 {
        1
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
            columns: &["name", "email", "phone"],
            found_by: &["email", "phone", "name"],
        }]
    }
}
