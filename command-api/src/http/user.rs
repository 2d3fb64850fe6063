//! Users over HTTP.

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use soonshop_domain::Purpose;
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::user::{self, Command, User};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::Input;
use super::call::Call;

/// All of it optional; what is left out is not known from then on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserDetails)]
pub(super) struct Details {
    #[schema(max_length = 200)]
    name: Option<String>,
    /// No other user has it.
    #[schema(max_length = 254)]
    email: Option<String>,
    #[schema(max_length = 40)]
    phone: Option<String>,
    #[schema(max_length = 64)]
    country: Option<String>,
    /// Only with the operator's token.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for Details {
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }
}

fn details(id: Uuid, body: &Details) -> Result<user::Details, Problem> {
    let Details { name, email, phone, country, occurred_at: _ } = body;
    user::Details::try_new(id, name.as_deref(), email.as_deref(), phone.as_deref(), country.as_deref())
        .map_err(|(pointer, error)| Problem::invalid("invalid-body", error.to_string()).with_pointer(pointer))
}

pub(super) fn register(id: Uuid, body: Details) -> Result<Command, Problem> {
    Ok(Command::Register { details: details(id, &body)? })
}

pub(super) fn change(id: Uuid, body: Details) -> Result<Command, Problem> {
    Ok(Command::Change { details: details(id, &body)? })
}

/// The account goes, and with it the person's right to be remembered.
pub(super) async fn delete(call: Call, id: Uuid) -> Result<Response, Problem> {
    let forget = person::Command::RequestErasure { purposes: vec![Purpose::Account] };
    call.execute_with::<User, Person>(id, Command::Delete, forget).await
}
