//! People over HTTP: the erasure of a person, a user or a guest.

use axum::response::Response;
use serde::{Deserialize, Serialize, Serializer};
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Purpose, personal};
use soonshop_event_log::Key;
use soonshop_event_store::EventStore;
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::answer::{refused, unreadable};
use crate::http::body::Input;
use crate::http::call::Call;
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

impl Input for Erasure {}

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

/// Whether a key was ever made for this person, or their erasure was requested before.
async fn is_known(store: &EventStore, id: Uuid) -> Result<bool, Problem> {
    let kids = personal::kids(id).collect();
    let keys = store.keys().store().keys(&kids).await.map_err(unreadable)?;
    Ok(keys.values().any(|key| *key != Key::Missing)
        || store.load::<Person>(id).await.map_err(refused)?.1 > 0)
}
