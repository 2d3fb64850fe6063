//! Finds whom a value belongs to: an exact match for something that a caller knows, such as their e-mail address.
//!
//! The value is sent in a form, so that it is in no address, and is stored nowhere. The record of operations says who
//! looked somebody up, in which columns, and who was found.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use soonshop_domain::{Actor, QueryError};
use soonshop_projections::source::{Source, query_failed};
use soonshop_projections::{PersonalColumns, Projector};
use utoipa::ToSchema;

use crate::reader::Reader;
use crate::record::write_down;

/// The action in the record of operations.
const LOOK_UP: &str = "look-up";

/// The data subjects that were found.
#[derive(Serialize, ToSchema)]
pub struct LookUpResult {
    /// Data subjects by id: search the timeline for `subject:<id>` to see what happened to one.
    pub subjects: BTreeSet<String>,
}

/// Read models with personal columns, by name.
fn places() -> Vec<(&'static str, &'static PersonalColumns)> {
    let of = |projector: Arc<dyn Projector>| {
        let name = projector.name();
        projector.personal().iter().map(move |columns| (name, columns))
    };
    soonshop_projections::all().into_iter().flat_map(of).collect()
}

/// Every data subject with this value.
pub async fn find(reader: &Reader, actor: &Actor, value: &str) -> Result<LookUpResult, QueryError> {
    if value.contains(['*', '%']) {
        let detail = "give the whole value: patterns are not supported";
        return Err(QueryError::parameter("value", detail).because("pattern"));
    }
    let mut subjects = BTreeSet::new();
    let mut columns_found = BTreeSet::new();
    for (projection, PersonalColumns { table, subject, found_by, .. }) in places() {
        let source = Source::of(&reader.registry, projection, None).await?;
        for column in *found_by {
            // `lower` of SQLite only knows ASCII letters: other texts are compared here.
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
    write_down(reader, actor, LOOK_UP, "people".to_owned(), detail, None).await?;
    Ok(LookUpResult { subjects })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_uses_the_columns_that_an_erasure_empties() {
        let places = places();
        assert!(places.iter().any(|(_, columns)| !columns.found_by.is_empty()));
        for (projection, PersonalColumns { columns, found_by, .. }) in places {
            assert!(found_by.iter().all(|column| columns.contains(column)), "{projection}");
        }
    }
}
