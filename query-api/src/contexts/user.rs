//! Users over HTTP.

use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::clock;
use soonshop_domain::user::User as State;
use soonshop_projections::user::{Agreed, Booked, Model, read_list};
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
    /// The address book, the oldest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Vec<Address>>,
    /// What the user agreed to, by each medium that was ever asked for.
    consents: Vec<Consent>,
    registered_at: DateTime<Utc>,
    version: i64,
    /// The position of the event that last changed it.
    position: i64,
}

/// An address of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = BookedAddress)]
struct Address {
    id: Uuid,
    #[schema(value_type = Option<DescribedText>)]
    label: Option<PersonalText>,
    #[schema(value_type = Option<DescribedText>)]
    name: Option<PersonalText>,
    #[schema(value_type = Option<DescribedText>)]
    street: Option<PersonalText>,
    #[schema(value_type = Option<DescribedText>)]
    postal_code: Option<PersonalText>,
    #[schema(value_type = Option<DescribedText>)]
    city: Option<PersonalText>,
    #[schema(value_type = Option<DescribedText>)]
    region: Option<PersonalText>,
    /// ISO 3166-1, two letters.
    country: String,
    #[schema(value_type = Option<DescribedText>)]
    phone: Option<PersonalText>,
    default_shipping: bool,
    default_billing: bool,
}

impl Address {
    fn of(booked: Booked) -> Self {
        Self {
            id: booked.id,
            label: PersonalText::of(Field::Address, booked.label),
            name: PersonalText::of(Field::Name, booked.name),
            street: PersonalText::of(Field::Address, booked.street),
            postal_code: PersonalText::of(Field::Address, booked.postal_code),
            city: PersonalText::of(Field::Address, booked.city),
            region: PersonalText::of(Field::Address, booked.region),
            country: booked.country,
            phone: PersonalText::of(Field::Phone, booked.phone),
            default_shipping: booked.default_shipping,
            default_billing: booked.default_billing,
        }
    }

    fn personal(&mut self) -> impl Iterator<Item = &mut PersonalText> {
        let Self { label, name, street, postal_code, city, region, phone, .. } = self;
        [label, name, street, postal_code, city, region, phone].into_iter().flatten()
    }
}

/// The consent to advertising by one medium, as it is now. The audit trail has its history.
#[derive(Serialize, ToSchema)]
#[schema(as = PresentConsent)]
struct Consent {
    /// `email`, `phone`, `post` or `sms`.
    medium: String,
    /// False: it was withdrawn.
    given: bool,
    /// The version of the words that the person saw; null where it was withdrawn.
    wording: Option<String>,
    /// The tag of the language in which they were seen.
    language: Option<String>,
    /// Where it was given or withdrawn: `registration`, `account-page`, `api` or `import`.
    via: String,
    /// When.
    since: DateTime<Utc>,
}

impl Consent {
    fn of(agreed: Agreed) -> Self {
        let Agreed { medium, given, wording, language, via, since } = agreed;
        Self {
            medium: medium.as_ref().to_owned(),
            given,
            wording,
            language,
            via: via.as_ref().to_owned(),
            since: clock::from_micros(since),
        }
    }
}

/// A list in a column, which the projector wrote.
fn list<T: serde::de::DeserializeOwned>(column: &str) -> Vec<T> {
    read_list(column).unwrap_or_else(|error| {
        tracing::error!(%error, "a row of the read model users is damaged");
        Vec::new()
    })
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
        shortened: &[("addresses", "NULL")],
        gone: ("user-deleted", "the user was deleted"),
        cached: false,
    };

    fn view(self) -> User {
        let Self {
            id,
            status,
            name,
            email,
            phone,
            country,
            addresses,
            consents,
            registered_at,
            version,
            position,
        } = self;
        let addresses = addresses.map(|book| list(&book).into_iter().map(Address::of).collect());
        User {
            id,
            status,
            name: PersonalText::of(Field::Name, name),
            email: PersonalText::of(Field::Email, email),
            phone: PersonalText::of(Field::Phone, phone),
            country,
            addresses,
            consents: list(&consents).into_iter().map(Consent::of).collect(),
            registered_at: clock::from_micros(registered_at),
            version,
            position,
        }
    }

    fn person(&self) -> Option<Uuid> {
        self.id.parse().ok()
    }

    fn personal(view: &mut User) -> Vec<&mut PersonalText> {
        let details = [&mut view.name, &mut view.email, &mut view.phone].into_iter().flatten();
        let book = view.addresses.iter_mut().flatten().flat_map(Address::personal);
        details.chain(book).collect()
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn is_gone(&self) -> bool {
        self.status != "active"
    }
}
