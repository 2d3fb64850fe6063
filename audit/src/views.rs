//! Named views of the timeline, for everybody who may see the timeline. Their owner can rename and delete them; the
//! address of a view that was renamed leads to it, and that of a deleted one says so.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, QueryResult, SqlErr, TransactionTrait as _};
use serde::Serialize;
use serde_json::{Value, json};
use soonshop_domain::{Actor, QueryError};
use soonshop_event_log::Db;
use soonshop_projections::operations::{self, Operation};
use soonshop_projections::source::query_failed;
use utoipa::ToSchema;

use crate::reader::Reader;
use crate::record::write_down;

/// The most views on a page.
pub const LISTED: usize = 200;

/// The actions of the record of operations that change the address of a view.
const RENAME: &str = "rename-view";
const DELETE: &str = "delete-view";

/// How often a view may have been renamed for its oldest address to lead to it.
const MOST_NAMES: usize = 20;

/// A saved view.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SavedView)]
pub struct Saved {
    /// Its name in its address, `/audit/views/{slug}`.
    #[schema(example = "refunds-today")]
    pub slug: String,
    pub title: String,
    /// The query of the timeline's address.
    pub query: String,
    /// The actor who saved it last, as `kind:id`.
    #[schema(example = "staff:42")]
    pub saved_by: String,
    /// When, in milliseconds since 1970.
    pub saved_at: i64,
}

/// A page of views, by their names in addresses, and the name after which the next page begins.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SavedViews)]
pub struct ViewsPage {
    pub items: Vec<Saved>,
    /// The value for `after`; null on the last page.
    pub next: Option<String>,
}

/// At most `limit` views after this name.
pub async fn page(reader: &Reader, after: Option<&str>, limit: usize) -> Result<ViewsPage, QueryError> {
    let after = after.unwrap_or_default();
    if after.contains('\0') {
        return Err(QueryError::parameter("after", "it is `next` of the previous page").because("value"));
    }
    let mut items = listed(reader, after, limit + 1).await?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|one| one.slug.clone());
    Ok(ViewsPage { items, next })
}

async fn listed(reader: &Reader, after: &str, most: usize) -> Result<Vec<Saved>, QueryError> {
    let db = reader.registry.operations();
    // No name in an address is empty.
    let sql = "SELECT slug, title, query, actor, saved_at FROM @views WHERE slug > $1 ORDER BY slug LIMIT $2";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = db.connection.query_all(db.statement(sql, [after.into(), most.into()])).await;
    let rows = rows.map_err(query_failed)?;
    let read = |row: &QueryResult| {
        Ok(Saved {
            slug: row.try_get_by_index(0)?,
            title: row.try_get_by_index(1)?,
            query: row.try_get_by_index(2)?,
            saved_by: row.try_get_by_index(3)?,
            saved_at: row.try_get_by_index(4)?,
        })
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(query_failed)
}

/// The query of the view with this name, or of the one that had this name before it was renamed.
pub async fn query(reader: &Reader, slug: &str) -> Result<String, QueryError> {
    let db = reader.registry.operations();
    let mut slug = slug.to_owned();
    for _ in 0..MOST_NAMES {
        let statement = db.statement("SELECT query FROM @views WHERE slug = $1", [slug.as_str().into()]);
        if let Some(row) = db.connection.query_one(statement).await.map_err(query_failed)? {
            return row.try_get_by_index(0).map_err(query_failed);
        }
        slug = renamed(db, &slug).await?;
    }
    Err(nothing())
}

fn nothing() -> QueryError {
    QueryError::not_found("not-found", "there is no view of this name")
}

/// The name that a view has now whose name this was; refuses one that was deleted, or never there.
async fn renamed(db: &Db, slug: &str) -> Result<String, QueryError> {
    let sql = format!(
        "SELECT action, detail, actor, at FROM @entries WHERE action IN ('{RENAME}', '{DELETE}') AND subject = $1 \
         ORDER BY position DESC LIMIT 1"
    );
    let row = db.connection.query_one(db.statement(&sql, [slug.into()])).await.map_err(query_failed)?;
    let row = row.ok_or_else(nothing)?;
    let read = || -> Result<(String, String, String, i64), sea_orm::DbErr> {
        Ok((
            row.try_get_by_index(0)?,
            row.try_get_by_index(1)?,
            row.try_get_by_index(2)?,
            row.try_get_by_index(3)?,
        ))
    };
    let (action, detail, actor, at) = read().map_err(query_failed)?;
    if action == DELETE {
        let gone = QueryError::gone(
            "view-deleted",
            "this view was deleted: the views that there are stand in the list",
        );
        return Err(gone.with("deleted_by", actor).with("deleted_at", at));
    }
    let detail: Value = serde_json::from_str(&detail).map_err(QueryError::internal)?;
    Ok(detail["to"].as_str().ok_or_else(nothing)?.to_owned())
}

/// Renames a view, and returns the name in its address. That of another actor only with `mends`.
pub async fn rename(
    reader: &Reader,
    actor: &Actor,
    slug: &str,
    title: &str,
    mends: bool,
) -> Result<String, QueryError> {
    let to = name(title)?;
    let db = reader.registry.operations();
    let tx = db.connection.begin().await.map_err(query_failed)?;
    let sql = "UPDATE @views SET slug = $1, title = $2 WHERE slug = $3 AND (actor = $4 OR $5 = 1)";
    let values =
        [to.as_str().into(), title.into(), slug.into(), actor.to_string().into(), i64::from(mends).into()];
    let changed = tx.execute(db.statement(sql, values)).await;
    let changed = changed.map_err(|error| match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => {
            QueryError::conflict("view-taken", "there is a view with this name: choose another name")
        }
        _ => query_failed(error),
    })?;
    if changed.rows_affected() == 0 {
        return Err(refusal(db, tx, slug).await?);
    }
    record(db, tx, actor, RENAME, slug, json!({ "to": to })).await?;
    Ok(to)
}

/// Deletes a view. That of another actor only with `mends`.
pub async fn delete(reader: &Reader, actor: &Actor, slug: &str, mends: bool) -> Result<(), QueryError> {
    let db = reader.registry.operations();
    let tx = db.connection.begin().await.map_err(query_failed)?;
    let sql = "DELETE FROM @views WHERE slug = $1 AND (actor = $2 OR $3 = 1)";
    let values = [slug.into(), actor.to_string().into(), i64::from(mends).into()];
    let deleted = tx.execute(db.statement(sql, values)).await.map_err(query_failed)?;
    if deleted.rows_affected() == 0 {
        return Err(refusal(db, tx, slug).await?);
    }
    record(db, tx, actor, DELETE, slug, json!({})).await
}

/// Records a change of a view in its transaction, and ends that.
async fn record(
    db: &Db,
    tx: DatabaseTransaction,
    actor: &Actor,
    action: &'static str,
    slug: &str,
    detail: Value,
) -> Result<(), QueryError> {
    let done = Operation { actor: actor.to_string(), action, subject: slug.to_owned(), detail, note: None };
    operations::record(db, &tx, &done).await?;
    tx.commit().await.map_err(query_failed)
}

/// Why a view was not changed: it is another actor's, or it is not there. The transaction ends first: nobody holds a
/// connection while waiting for another one.
async fn refusal(db: &Db, tx: DatabaseTransaction, slug: &str) -> Result<QueryError, QueryError> {
    tx.rollback().await.map_err(query_failed)?;
    let there = db.statement("SELECT 1 FROM @views WHERE slug = $1", [slug.into()]);
    if db.connection.query_one(there).await.map_err(query_failed)?.is_some() {
        let detail = "another user has saved this view: only they, ops and admin can rename and delete it";
        return Ok(QueryError::forbidden("not-your-view", detail));
    }
    Ok(renamed(db, slug).await.err().unwrap_or_else(nothing))
}

/// The name of a view in an address, made from its title.
pub fn name(title: &str) -> Result<String, QueryError> {
    let slug = slug(title);
    if slug.is_empty() {
        return Err(
            QueryError::parameter("title", "a name needs at least one letter or digit").because("empty-name")
        );
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
