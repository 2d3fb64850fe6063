//! Erasures over HTTP: of a person (a user or a guest), and of the notes of an API key's holder.

use axum::response::Response;
use serde::{Deserialize, Serialize, Serializer};
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Purpose, personal};
use soonshop_event_log::Key;
use soonshop_event_store::EventStore;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::ApiKey;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::answer::{refused, unreadable};
use crate::http::body::Input;
use crate::http::call::Call;
use crate::http::privileged::Privileged;
use crate::http::schema;

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PersonErasure)]
pub(super) struct Erasure {
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
pub(super) async fn erase(call: Call, id: Uuid, Erasure { purposes }: Erasure) -> Result<Response, Problem> {
    if purposes.is_empty() {
        return Err(Problem::invalid("invalid-body", "name at least one purpose").with_pointer("/purposes"));
    }
    if let Some(twice) = (1..purposes.len()).find(|index| purposes[..*index].contains(&purposes[*index])) {
        let problem = Problem::invalid("invalid-body", "each purpose is named once");
        return Err(problem.with_pointer(format!("/purposes/{twice}")));
    }
    let account = purposes.contains(&Purpose::Account);
    let forget = person::Command::RequestErasure { purposes };
    match call.store.load::<User>(id).await.map_err(refused)?.0 {
        User::Active { .. } if account => {
            call.execute_with::<Person, User>(id, forget, user::Command::Delete).await
        }
        User::Unknown if !is_known(&call.store, id).await? => {
            Err(Problem::not_found("person-not-found", "nothing personal is kept under this id"))
        }
        _ => call.execute::<Person>(id, forget).await,
    }
}

/// The notes of a holder are no longer read by anybody once they are erased.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StaffErasure)]
pub(super) struct StaffErasure {
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
pub(super) async fn erase_staff(
    call: Call,
    id: Uuid,
    StaffErasure { confirm }: StaffErasure,
) -> Result<Response, Problem> {
    if confirm.trim().trim_start_matches("ssk_") != ApiKey::prefix_of(id) {
        let detail = "the part of the key that is shown confirms the erasure, as `soonshop key list` has it; of an account \
                      the last eight characters of its id";
        return Err(Problem::invalid("invalid-body", detail).with_pointer("/confirm"));
    }
    let forget = person::Command::RequestErasure { purposes: vec![Purpose::Account] };
    // An account has a user, who is deleted with it; the holder of a key has none.
    match call.store.load::<User>(id).await.map_err(refused)?.0 {
        User::Active { .. } => call.execute_with::<Person, User>(id, forget, user::Command::Delete).await,
        User::Unknown | User::Deleted => call.execute::<Person>(id, forget).await,
    }
}

/// Whether a key was ever made for this person, or their erasure was requested before.
async fn is_known(store: &EventStore, id: Uuid) -> Result<bool, Problem> {
    let kids = personal::kids(id).collect();
    let keys = store.keys().store().keys(&kids).await.map_err(unreadable)?;
    Ok(keys.values().any(|key| *key != Key::Missing)
        || store.load::<Person>(id).await.map_err(refused)?.1 > 0)
}
