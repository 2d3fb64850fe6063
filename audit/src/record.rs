//! Personal values in the clear, for a reason that is written down before anything is shown; and how it is written down
//! that somebody saw, took along or looked up something.

use axum::response::Response;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::{Value, json};
use soonshop_projections::operations::{self, Done};
use soonshop_service_kit::Problem;

use super::redactor::Sight;
use super::trail::{self, Trail};
use crate::http::Action;
use crate::http::call::Call;
use crate::http::openapi::Described;
use crate::http::params::{Kind, Param, refused};
use crate::http::read::{failed, query_failed};

/// The shortest reason, in characters: a single letter is none.
const SHORTEST: usize = 3;

/// Shows an aggregate's personal values to whoever says why.
pub(super) fn reveals() -> Action {
    Action::new(trail::params(), Described::one::<Trail>(), reveal).takes(fields())
}

/// What is to be said.
pub(super) fn fields() -> Vec<Param> {
    vec![Param::new("reason", Kind::Free, "Why, in your own words; it is kept, sealed.").required()]
}

async fn reveal(call: Call) -> Result<Response, Problem> {
    let (head, trail) = find(&call).await?;
    call.page(head, &trail, None)
}

/// The trail with what is personal; by now it is written down.
pub(super) async fn find(call: &Call) -> Result<(i64, Trail), Problem> {
    let reason = call.form.text("reason").unwrap_or_default().trim();
    if reason.chars().count() < SHORTEST {
        return Err(refused("reason", "say why, in at least three characters"));
    }
    let (head, trail) = trail::find(call, Sight::Revealed).await?;
    let subject = format!("{}/{}", trail.kind, trail.id);
    // Both versions that are compared are shown.
    let detail = json!({ "version": trail.version, "compared": trail.diff.from });
    write_down(call, "reveal", subject, detail, Some(reason)).await?;
    Ok((head, trail))
}

/// Adds a line to the record of operations. `detail` holds nothing personal; the reason is sealed.
pub(super) async fn write_down(
    call: &Call,
    action: &'static str,
    subject: String,
    detail: Value,
    reason: Option<&str>,
) -> Result<(), Problem> {
    let note = match reason {
        Some(reason) => Some(operations::note(call.shared.queries.log.keys(), reason).await.map_err(failed)?),
        None => None,
    };
    add(call, &Done { actor: call.caller().actor.to_string(), action, subject, detail, note }).await
}

/// Adds a line, whole as it is, to the record of operations.
pub(super) async fn add(call: &Call, done: &Done) -> Result<(), Problem> {
    let db = call.shared.queries.registry.operations();
    let written = async {
        let tx = db.connection.begin().await?;
        operations::record(db, &tx, done).await?;
        tx.commit().await?;
        Ok(())
    };
    written.await.map_err(failed)
}

/// Whether the caller did less than `most` of that within the last minute, counted by the record that each is written
/// to, and so in all processes together.
pub(super) async fn within_the_rate(call: &Call, action: &'static str, most: u32) -> Result<bool, Problem> {
    let db = call.shared.queries.registry.operations();
    let sql = format!(
        "SELECT count(*) FROM @entries WHERE action = $1 AND actor = $2 AND at > {} - 60000",
        db.now()
    );
    let values = [action.into(), call.caller().actor.to_string().into()];
    let row = db.connection.query_one(db.statement(&sql, values)).await.map_err(query_failed)?;
    let made: i64 = row.map(|row| row.try_get_by_index(0)).transpose().map_err(query_failed)?.unwrap_or(0);
    Ok(made < i64::from(most))
}
