//! Whose a value is: an exact look-up of what somebody knows already, such as the e-mail address of whoever is calling.
//!
//! The value is sent as a form, so that it is in no address, and is kept nowhere: what is written down is who looked up
//! something, in which columns, and whom they found.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use soonshop_projections::{PersonalColumns, Projector};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;

use super::reveal::{within_the_rate, write_down};
use crate::http::Action;
use crate::http::call::Call;
use crate::http::openapi::Described;
use crate::http::params::{Kind, Param, refused};
use crate::http::read::query_failed;

/// What a look-up is written down as.
const LOOK_UP: &str = "look-up";

/// How many look-ups one caller may make a minute.
const MOST_A_MINUTE: u32 = 20;

/// Who was found.
#[derive(Serialize, ToSchema)]
pub(super) struct Found {
    /// Data subjects by id: `subject:<id>` in a search of the timeline is what happened to one.
    pub(super) subjects: BTreeSet<String>,
}

/// Looks a value up.
pub(super) fn looks_up() -> Action {
    Action::new(Vec::new(), Described::one::<Found>(), look_up).takes(fields())
}

/// What is to be said.
pub(super) fn fields() -> Vec<Param> {
    let about = "An e-mail address, a telephone number or a name, whole: no part of one, and no pattern.";
    vec![Param::new("value", Kind::Text, about).required()]
}

async fn look_up(call: Call) -> Result<Response, Problem> {
    let found = find(&call).await?;
    call.page(0, &found, None)
}

/// Read models with personal columns, by their names.
fn places() -> Vec<(&'static str, &'static PersonalColumns)> {
    let of = |projector: Arc<dyn Projector>| {
        let name = projector.name();
        projector.personal().iter().map(move |columns| (name, columns))
    };
    soonshop_projections::all().into_iter().flat_map(of).collect()
}

/// Everybody whose value it is.
pub(super) async fn find(call: &Call) -> Result<Found, Problem> {
    let value = call.form.text("value").unwrap_or_default();
    if value.contains(['*', '%']) {
        return Err(refused("value", "it is looked up whole, and as it stands: there are no patterns"));
    }
    let _alone = call.shared.looking_up.lock().await;
    if !within_the_rate(call, LOOK_UP, MOST_A_MINUTE).await? {
        let detail = format!("these were {MOST_A_MINUTE} look-ups within a minute: wait");
        return Err(Problem::too_many("too-many-look-ups", detail).with_retry_after(Duration::from_mins(1)));
    }
    let mut subjects = BTreeSet::new();
    let mut columns_found = BTreeSet::new();
    for (projection, PersonalColumns { table, subject, found_by, .. }) in places() {
        let source = call.shared.source(projection, None).await?;
        for column in *found_by {
            // `lower` of SQLite knows the letters of ASCII only: the others are compared here.
            let here = source.is_sqlite() && !value.is_ascii();
            let (what, values) = if here {
                (format!("{column} IS NOT NULL"), Vec::new())
            } else {
                (format!("lower({column}) = lower($1)"), vec![value.into()])
            };
            let sql = format!("SELECT DISTINCT {subject}, {column} FROM @{table} WHERE {what}");
            for row in source.plain(&sql, values).await? {
                let id: Option<String> = row.try_get_by_index(0).map_err(query_failed)?;
                let there: String = row.try_get_by_index(1).map_err(query_failed)?;
                if let Some(id) = id.filter(|_| !here || there.to_lowercase() == value.to_lowercase()) {
                    columns_found.insert(format!("{table}.{column}"));
                    subjects.insert(id);
                }
            }
        }
    }
    let detail = json!({ "found": subjects, "in": columns_found });
    write_down(call, LOOK_UP, "people".to_owned(), detail, None).await?;
    Ok(Found { subjects })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_looked_up_by_columns_that_an_erasure_empties() {
        let places = places();
        assert!(places.iter().any(|(_, columns)| !columns.found_by.is_empty()));
        for (projection, PersonalColumns { columns, found_by, .. }) in places {
            assert!(found_by.iter().all(|column| columns.contains(column)), "{projection}");
        }
    }
}
