//! Users over HTTP, and erasures: of a person (a user or a guest), and of the notes of an API key's holder.

mod book;
mod consents;

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::user::{self, Command, User};
use soonshop_domain::{ActorKind, Purpose};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{ApiKey, Permission};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::action::{begins, prepares, removes};
use crate::http::answer::refused;
use crate::http::body::{Input, refused_field};
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::privileged::{OCCURRED_AT, Privileged};
use crate::http::row::Success::{Created, Done, Removed};
use crate::http::schema;

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST   "/users"                "user.register":                Register,    New,    Optional, Created("/users/{id}"), "Register a user"                => begins::<User, _>(register);
        PUT    "/users/{id}"           "user.change":                  Shop,        Own,    Optional, Done,                   "Replace a user's details"       => prepares(change);
        DELETE "/users/{id}"           "user.delete":                  Shop,        Own,    Optional, Removed,                "Delete and erase a user"       => removes(delete);
        POST   "/users/{id}/addresses" "user.add-address":             Shop,        Own,    Optional, Created("/users/{id}/addresses/{address}"), "Add an address to a user's address book" => prepares(book::add);
        PUT    "/users/{id}/addresses/{address}" "user.change-address": Shop,       Own,    Optional, Done,                   "Replace an address"             => prepares(book::change);
        DELETE "/users/{id}/addresses/{address}" "user.remove-address": Shop,       Own,    Optional, Removed,                "Remove an address"              => removes(book::remove);
        PUT    "/users/{id}/consents/{medium}" "user.set-consent":     Shop,        Own,    Optional, Done,                   "Give or withdraw the consent to advertising by a medium" => prepares(consents::set);
        POST   "/people/{id}/erasures" "person.request-erasure":       ErasePerson, Person, Optional, Done,                   "Erase a person, user or guest"  => prepares(erase_person);
        POST   "/keys/{id}/erasures"   "person.request-staff-erasure": EraseStaff,  Staff,  Optional, Done,                   "Erase the notes of a key's holder" => prepares(erase_staff);
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
        .map_err(refused_field)
}

fn register(id: Uuid, body: Details) -> Result<Command, Problem> {
    Ok(Command::Register { details: details(id, &body)? })
}

/// The address of somebody with an account is what they sign in with: it changes by their own links alone.
async fn change(call: Call, id: Uuid, body: Details) -> Result<Response, Problem> {
    let details = details(id, &body)?;
    if call.access().has_account(id).await? && !call.has_address(id, details.email.as_ref()).await? {
        let detail = "this user has an account, and its address changes only by a link that is mailed to the new one: its \
                      owner asks for it with POST /auth/email; send the address that it has";
        return Err(Problem::conflict("address-of-an-account", detail).with_pointer("/email"));
    }
    call.execute::<User>(id, Command::Change { details }).await
}

/// Deletes the user and requests the erasure of their account data, in one append.
async fn delete(call: Call, id: Uuid) -> Result<Response, Problem> {
    call.by_themselves("deleting a user")?;
    // A role of the shop's own may have `shop` alone.
    if call.caller().actor.kind == ActorKind::Staff {
        call.caller().must_by_role(Permission::ErasePerson, "deleting somebody else")?;
    }
    call.no_staff(id).await?;
    let erasure = person::Command::RequestErasure { purposes: vec![Purpose::Account] };
    call.execute_with::<User, Person>(id, Command::Delete, erasure).await
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PersonErasure)]
struct Erasure {
    /// The purposes to erase: each at most once.
    #[schema(value_type = Vec<schema::Purpose>, min_items = 1, max_items = 2)]
    #[serde(serialize_with = "in_order")]
    purposes: Vec<Purpose>,
}

impl Input for Erasure {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// In whatever order they are named, it is the same erasure.
fn in_order<S: Serializer>(purposes: &[Purpose], serializer: S) -> Result<S::Ok, S::Error> {
    let mut purposes: Vec<&str> = purposes.iter().map(AsRef::as_ref).collect();
    purposes.sort_unstable();
    purposes.serialize(serializer)
}

/// Without the purpose `account` a user stays. With it the user is deleted in the same append: both happen or neither.
async fn erase_person(call: Call, id: Uuid, Erasure { purposes }: Erasure) -> Result<Response, Problem> {
    if purposes.is_empty() {
        return Err(Problem::invalid("invalid-body", "name at least one purpose").with_pointer("/purposes"));
    }
    if let Some(twice) = (1..purposes.len()).find(|index| purposes[..*index].contains(&purposes[*index])) {
        let problem = Problem::invalid("invalid-body", "each purpose is named once");
        return Err(problem.with_pointer(format!("/purposes/{twice}")));
    }
    let account = purposes.contains(&Purpose::Account);
    let erasure = person::Command::RequestErasure { purposes };
    match call.store.load::<User>(id).await.map_err(refused)?.0 {
        User::Active { .. } if account => {
            call.execute_with::<Person, User>(id, erasure, Command::Delete).await
        }
        User::Unknown if !is_known(&call, id).await? => {
            Err(Problem::not_found("person-not-found", "nothing personal is kept under this id"))
        }
        _ => call.execute::<Person>(id, erasure).await,
    }
}

/// The notes of a holder are no longer read by anybody once they are erased.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StaffErasure)]
struct StaffErasure {
    /// The part of the key that is shown, such as `0badcafe`, or the last eight characters of an account's id: it confirms
    /// that this one is meant.
    #[schema(example = "0badcafe")]
    confirm: String,
}

impl Input for StaffErasure {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// Erases what the holder of the key wrote under their own name: notes on events, and reasons in their own words beside
/// commands. What the record of operations needs is encrypted under the operator's key, and stays.
async fn erase_staff(
    call: Call,
    id: Uuid,
    StaffErasure { confirm }: StaffErasure,
) -> Result<Response, Problem> {
    if confirm.trim().trim_start_matches("ssk_") != ApiKey::prefix_of(id) {
        let detail = "the part of the key that is shown confirms the erasure, as `soonshop key list` has it; of an account \
                      the last eight characters of its id";
        return Err(Problem::invalid("invalid-body", detail).with_pointer("/confirm"));
    }
    let erasure = person::Command::RequestErasure { purposes: vec![Purpose::Account] };
    // An account has a user, who is deleted with it; the holder of a key has none.
    match call.store.load::<User>(id).await.map_err(refused)?.0 {
        User::Active { .. } => call.execute_with::<Person, User>(id, erasure, Command::Delete).await,
        User::Unknown | User::Deleted => call.execute::<Person>(id, erasure).await,
    }
}

/// Whether something was ever stored about this person, or their erasure was requested before.
async fn is_known(call: &Call, id: Uuid) -> Result<bool, Problem> {
    Ok(call.is_known(id).await? || call.store.version::<Person>(id).await.map_err(refused)? > 0)
}
