//! Users over HTTP, and in [`person`] the erasure of a person.

mod person;

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use soonshop_domain::Purpose;
use soonshop_domain::user::person::{Command as PersonCommand, Person};
use soonshop_domain::user::{self, Command, User};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::action::{begins, executes, prepares, removes};
use crate::http::body::Input;
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::privileged::{OCCURRED_AT, Privileged};
use crate::http::row::Success::{Created, Done, Removed};

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST   "/users"                "user.register":                Shop,        New,    Optional, Created("/users/{id}"), "Register a user"                => begins::<User, _>(register);
        PUT    "/users/{id}"           "user.change":                  Shop,        Own,    Optional, Done,                   "Replace a user's details"       => executes::<User, _>(change);
        DELETE "/users/{id}"           "user.delete":                  Shop,        Own,    Optional, Removed,                "Delete and erase a user"       => removes(delete);
        POST   "/people/{id}/erasures" "person.request-erasure":       ErasePerson, Person, Optional, Done,                   "Erase a person, user or guest"  => prepares(person::erase);
        POST   "/keys/{id}/erasures"   "person.request-staff-erasure": EraseStaff,  Staff,  Optional, Done,                   "Erase the notes of a key's holder" => prepares(person::erase_staff);
    }
}

/// All fields are optional; a field that is left out becomes empty.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserDetails)]
struct Details {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// No other user has it.
    #[schema(max_length = 254, format = "email")]
    email: Option<String>,
    #[schema(min_length = 1, max_length = 40)]
    phone: Option<String>,
    #[schema(min_length = 1, max_length = 64)]
    country: Option<String>,
    /// Needs the permission `override`.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for Details {
    const PRIVILEGED: &'static [Privileged] = &[OCCURRED_AT];
}

fn details(id: Uuid, body: &Details) -> Result<user::Details, Problem> {
    let Details { name, email, phone, country, occurred_at: _ } = body;
    user::Details::try_new(id, name.as_deref(), email.as_deref(), phone.as_deref(), country.as_deref())
        .map_err(|(pointer, error)| Problem::invalid("invalid-body", error.to_string()).with_pointer(pointer))
}

fn register(id: Uuid, body: Details) -> Result<Command, Problem> {
    Ok(Command::Register { details: details(id, &body)? })
}

fn change(id: Uuid, body: Details) -> Result<Command, Problem> {
    Ok(Command::Change { details: details(id, &body)? })
}

/// Deletes the user and requests the erasure of their account data, in one append.
async fn delete(call: Call, id: Uuid) -> Result<Response, Problem> {
    call.no_staff(id).await?;
    let forget = PersonCommand::RequestErasure { purposes: vec![Purpose::Account] };
    call.execute_with::<User, Person>(id, Command::Delete, forget).await
}
