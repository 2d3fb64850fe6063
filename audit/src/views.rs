//! Named views of the timeline, for everybody who may see the timeline.

use sea_orm::ConnectionTrait as _;
use soonshop_domain::{Actor, QueryError};
use soonshop_projections::source::query_failed;

use crate::reader::Reader;
use crate::record::write_down;

/// The most views that are listed.
const LISTED: u32 = 200;

/// A saved view.
pub struct Saved {
    pub slug: String,
    pub title: String,
}

/// All views, by name.
pub async fn all(reader: &Reader) -> Result<Vec<Saved>, QueryError> {
    let db = reader.registry.operations();
    let sql = format!("SELECT slug, title FROM @views ORDER BY title, slug LIMIT {LISTED}");
    let rows = db.connection.query_all(db.statement(&sql, [])).await.map_err(query_failed)?;
    let read = |row: &sea_orm::QueryResult| {
        Ok(Saved { slug: row.try_get_by_index(0)?, title: row.try_get_by_index(1)? })
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(query_failed)
}

/// The query of the view with this name.
pub async fn query(reader: &Reader, slug: &str) -> Result<String, QueryError> {
    let db = reader.registry.operations();
    let statement = db.statement("SELECT query FROM @views WHERE slug = $1", [slug.into()]);
    let row = db.connection.query_one(statement).await.map_err(query_failed)?;
    let row = row.ok_or_else(|| QueryError::not_found("not-found", "there is no view of this name"))?;
    row.try_get_by_index(0).map_err(query_failed)
}

/// The name of a view in an address, made from its title.
pub fn name(title: &str) -> Result<String, QueryError> {
    let slug = slug(title);
    if slug.is_empty() {
        return Err(QueryError::parameter("title", "a name needs at least one letter or digit"));
    }
    Ok(slug)
}

/// Saves a view of this query, and returns its name. A view of the same actor is replaced; one of another actor only
/// with `mends`.
pub async fn save(
    reader: &Reader,
    actor: &Actor,
    title: &str,
    query: &str,
    mends: bool,
) -> Result<String, QueryError> {
    let slug = name(title)?;
    let db = reader.registry.operations();
    let there = db.statement("SELECT 1 FROM @views WHERE slug = $1", [slug.as_str().into()]);
    let replaced = db.connection.query_one(there).await.map_err(query_failed)?.is_some();
    // Checked again in the statement: another actor may take the name in between.
    let sql = format!(
        "INSERT INTO @views (slug, title, query, actor, saved_at) VALUES ($1, $2, $3, $4, {}) \
         ON CONFLICT (slug) DO UPDATE SET title = excluded.title, query = excluded.query, actor = excluded.actor, \
         saved_at = excluded.saved_at WHERE views.actor = excluded.actor OR $5 = 1",
        db.now()
    );
    let mends = i64::from(mends);
    let by = actor.to_string();
    let values = [slug.as_str().into(), title.into(), query.into(), by.into(), mends.into()];
    let saved = db.connection.execute(db.statement(&sql, values)).await.map_err(query_failed)?;
    if saved.rows_affected() == 0 {
        let detail = "another user has saved a view with this name: choose another name";
        return Err(QueryError::conflict("view-taken", detail));
    }
    write_down(reader, actor, "save-view", slug.clone(), serde_json::json!({ "replaced": replaced }), None)
        .await?;
    Ok(slug)
}

/// A title in an address: its letters and digits, in any script, with hyphens between.
fn slug(title: &str) -> String {
    let words: Vec<_> = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_title_becomes_part_of_an_address() {
        assert_eq!(slug("Refunds, today!"), "refunds-today");
        assert_eq!(slug("今天的 退款"), "今天的-退款");
        assert_eq!(slug("../<script>"), "script");
        assert_eq!(slug(" !? "), "");
    }
}
