//! Users over HTTP.

use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::clock;
use soonshop_domain::user::User as State;
use soonshop_projections::user::Model;
use soonshop_service_kit::access::personal_access::Field;
use soonshop_service_kit::endpoint::params::{Kind, Sort};
use soonshop_service_kit::rates::Class::LookUps;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::driver::entity::reads;
use crate::driver::list::lists;
use crate::driver::personal::{DescribedText, PersonalText};
use crate::driver::shown::{Filter, ReadModel, Shown};
use crate::driver::state::{Call, Endpoint};

/// The endpoints.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("/users", "user.list", LookUps, "List users", lists::<Model>()),
        Endpoint::new("/users/{id}", "user.read", LookUps, "A user", reads::<Model>()),
    ]
}

#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    id: String,
    /// `active`; in lists also `deleted` or `erased`.
    status: String,
    #[schema(value_type = Option<DescribedText>)]
    name: Option<PersonalText>,
    #[schema(value_type = Option<DescribedText>)]
    email: Option<PersonalText>,
    #[schema(value_type = Option<DescribedText>)]
    phone: Option<PersonalText>,
    country: Option<String>,
    registered_at: DateTime<Utc>,
    version: i64,
    /// The position of the event that last changed it.
    position: i64,
}

impl Shown for Model {
    type View = User;
    type State = State;

    const MODEL: ReadModel = ReadModel {
        projection: "users",
        stream: Call::id,
        own: Some("id = ?"),
        params: &[],
        filters: &[
            Filter::new(
                "status",
                Kind::OneOf(&["active", "deleted", "erased"]),
                "status = ?",
                "`active` by default.",
            )
            .or("active"),
            Filter::new("country", Kind::Text, "country = ?", "The exact value."),
        ],
        together: None,
        sorts: &[
            Sort { name: "-registered", column: "registered_at" },
            Sort { name: "registered", column: "registered_at" },
        ],
        changing: &[],
        shortened: &[],
        gone: ("user-deleted", "the user was deleted"),
        cached: false,
    };

    fn view(self) -> User {
        let Self { id, status, name, email, phone, country, registered_at, version, position } = self;
        User {
            id,
            status,
            name: PersonalText::of(Field::Name, name),
            email: PersonalText::of(Field::Email, email),
            phone: PersonalText::of(Field::Phone, phone),
            country,
            registered_at: clock::from_micros(registered_at),
            version,
            position,
        }
    }

    fn person(&self) -> Option<Uuid> {
        self.id.parse().ok()
    }

    fn personal(view: &mut User) -> Vec<&mut PersonalText> {
        [&mut view.name, &mut view.email, &mut view.phone].into_iter().flatten().collect()
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn is_gone(&self) -> bool {
        self.status != "active"
    }
}
