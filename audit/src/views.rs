//! Views of the timeline that somebody gave a name, for everybody who may see the timeline.

use sea_orm::ConnectionTrait as _;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use url::form_urlencoded;

use super::pages::COMMON;
use super::reveal::write_down;
use super::search::Search;
use super::timeline;
use crate::http::call::Call;
use crate::http::params::{Kind, Param, Params, refused};
use crate::http::read::query_failed;

/// The most that are listed.
const LISTED: u32 = 200;

/// A view.
pub(super) struct Saved {
    pub(super) slug: String,
    pub(super) title: String,
}

/// What is to be said to save one.
pub(super) fn fields() -> Vec<Param> {
    vec![
        Param::new("title", Kind::Text, "Its name.").required(),
        Param::new("query", Kind::Free, "The query of the timeline's address.").required(),
        Param::new(
            "until",
            Kind::Number(1, i64::MAX),
            "Nothing after this position: the view stays as it is.",
        ),
    ]
}

/// All of them, by name.
pub(super) async fn all(call: &Call) -> Result<Vec<Saved>, Problem> {
    let db = call.shared.queries.registry.operations();
    let sql = format!("SELECT slug, title FROM @views ORDER BY title, slug LIMIT {LISTED}");
    let rows = db.connection.query_all(db.statement(&sql, [])).await.map_err(query_failed)?;
    let read = |row: &sea_orm::QueryResult| {
        Ok(Saved { slug: row.try_get_by_index(0)?, title: row.try_get_by_index(1)? })
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(query_failed)
}

/// Where the view of that name leads.
pub(super) async fn query(call: &Call, slug: &str) -> Result<String, Problem> {
    let db = call.shared.queries.registry.operations();
    let statement = db.statement("SELECT query FROM @views WHERE slug = $1", [slug.into()]);
    let row = db.connection.query_one(statement).await.map_err(query_failed)?;
    let row = row.ok_or_else(|| Problem::not_found("not-found", "there is no view of this name"))?;
    row.try_get_by_index(0).map_err(query_failed)
}

/// Saves what the form says, and says under which name. A view of the caller's own is replaced; one of somebody else's
/// only by whoever may mend what is stored.
pub(super) async fn save(call: &Call) -> Result<String, Problem> {
    let title = call.form.text("title").unwrap_or_default();
    let slug = slug(title);
    if slug.is_empty() {
        return Err(refused("title", "it has at least one letter or digit"));
    }
    let query = call.form.text("query").unwrap_or_default();
    let until = call.form.number("until").map(|position| position.saturating_add(1).to_string());
    // Nothing is kept that only says how the page looks or where it begins.
    let passing =
        |name: &str| ["after", "before"].contains(&name) || COMMON.iter().any(|param| param.name == name);
    let pairs = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, value)| !passing(name) && !value.is_empty())
        .chain(until.as_deref().map(|before| ("before".into(), before.into())));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    // A search that the timeline would refuse leads nowhere.
    Search::of(&Params::read(&query, &timeline::params())?)?;
    let db = call.shared.queries.registry.operations();
    let there = db.statement("SELECT 1 FROM @views WHERE slug = $1", [slug.as_str().into()]);
    let replaced = db.connection.query_one(there).await.map_err(query_failed)?.is_some();
    // Looked at again where it is written: somebody may take the name between the two.
    let sql = format!(
        "INSERT INTO @views (slug, title, query, actor, saved_at) VALUES ($1, $2, $3, $4, {}) \
         ON CONFLICT (slug) DO UPDATE SET title = excluded.title, query = excluded.query, actor = excluded.actor, \
         saved_at = excluded.saved_at WHERE views.actor = excluded.actor OR $5 = 1",
        db.now()
    );
    let actor = call.caller().actor.to_string();
    let mends = i64::from(call.may(Permission::Mend));
    let values = [slug.as_str().into(), title.into(), query.into(), actor.into(), mends.into()];
    let saved = db.connection.execute(db.statement(&sql, values)).await.map_err(query_failed)?;
    if saved.rows_affected() == 0 {
        let detail = "somebody else saved a view under this name: choose another";
        return Err(Problem::conflict("view-taken", detail));
    }
    write_down(call, "save-view", slug.clone(), serde_json::json!({ "replaced": replaced }), None).await?;
    Ok(slug)
}

/// What a name is in an address: its letters and digits, in any script, with hyphens between.
fn slug(title: &str) -> String {
    let words: Vec<_> = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_name_becomes_a_part_of_an_address() {
        assert_eq!(slug("Refunds, today!"), "refunds-today");
        assert_eq!(slug("今天的 退款"), "今天的-退款");
        assert_eq!(slug("../<script>"), "script");
        assert_eq!(slug(" !? "), "");
    }
}
