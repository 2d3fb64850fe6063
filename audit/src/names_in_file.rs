//! What a text names in an export file: its rows state the names of aggregates and of the holders of API keys. A shop has
//! read models for this; a file has its rows alone.

use std::collections::BTreeMap;

use sea_orm::Value as SqlValue;
use serde_json::Value;
use soonshop_domain::{QueryError, catalog};
use soonshop_projections::source::Source;

use crate::name::{BETWEEN, KEY, given_by};
use crate::names::text;

/// The most things that are found by a name.
const MOST: usize = 20;

/// The things with a name in a file, by their ids.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InFile {
    /// Types of aggregates.
    pub(crate) aggregates: BTreeMap<String, String>,
    /// Aggregates that have such a SKU, and another name: their types.
    pub(crate) by_sku: BTreeMap<String, String>,
    /// The names of API keys, by their holders, as `kind:id`.
    pub(crate) keys: BTreeMap<String, String>,
}

/// Whether this name, or its first part, is the text, in capitals or not.
fn is_called(name: &str, typed: &str) -> bool {
    let (name, typed) = (name.to_lowercase(), typed.to_lowercase());
    name == typed || name.split_once(BETWEEN).is_some_and(|(first, _)| first == typed)
}

/// Everything that this text names, in the rows of a file.
pub(crate) async fn find(source: &Source, typed: &str) -> Result<InFile, QueryError> {
    let mut found = InFile::default();
    for row in source.plain("SELECT id, kind, name FROM @names ORDER BY id", Vec::new()).await? {
        let (id, kind, name) = (text(&row, 0)?, text(&row, 1)?, text(&row, 2)?);
        if !is_called(&name, typed) {
            continue;
        }
        if kind != KEY {
            found.aggregates.insert(id, kind);
        } else if let Some(actor) = actor(source, &id).await? {
            found.keys.insert(actor, name);
        }
    }
    if found.aggregates.is_empty() {
        found.aggregates = by_events(source, typed).await?;
    }
    found.by_sku = by_sku(source, typed).await?;
    found.by_sku.retain(|id, _| !found.aggregates.contains_key(id));
    for all in [&mut found.aggregates, &mut found.by_sku, &mut found.keys] {
        while all.len() > MOST {
            all.pop_last();
        }
    }
    Ok(found)
}

/// The holder of a key, as `kind:id`, from something that they did.
async fn actor(source: &Source, id: &str) -> Result<Option<String>, QueryError> {
    let sql = "SELECT actor_kind FROM @audit WHERE actor_id = $1 AND actor_kind IS NOT NULL LIMIT 1";
    let rows = source.plain(sql, vec![id.into()]).await?;
    rows.first().map(|row| Ok(format!("{}:{id}", text(row, 0)?))).transpose()
}

/// The aggregates that an event gives this name. Files of earlier releases state no names beside their rows.
async fn by_events(source: &Source, typed: &str) -> Result<BTreeMap<String, String>, QueryError> {
    let naming = catalog::event_types().iter().filter(|event| !event.name_paths.is_empty());
    let naming: Vec<String> = naming.map(|event| format!("'{}'", event.name)).collect();
    let sql = format!(
        "SELECT aggregate_type, aggregate_id, event_type, summary FROM @audit WHERE event_type IN ({})",
        naming.join(", ")
    );
    let mut found = BTreeMap::new();
    for row in source.plain(&sql, Vec::new()).await? {
        let summary: Value = serde_json::from_str(&text(&row, 3)?).map_err(QueryError::internal)?;
        if given_by(&text(&row, 2)?, &summary).is_some_and(|name| is_called(&name, typed)) {
            found.insert(text(&row, 1)?, text(&row, 0)?);
        }
    }
    Ok(found)
}

/// The aggregates with an event that has this SKU, of the types that people know by SKUs.
async fn by_sku(source: &Source, typed: &str) -> Result<BTreeMap<String, String>, QueryError> {
    let projectors = soonshop_projections::all();
    let columns = projectors.iter().flat_map(|projector| projector.names());
    let mut types: Vec<_> = columns.filter(|one| one.kind == "sku").map(|one| one.aggregate_type).collect();
    types.sort_unstable();
    types.dedup();
    let types: Vec<String> = types.iter().map(|name| format!("'{name}'")).collect();
    // A SKU is in capitals unless an earlier release stored it; its field is `sku`, or ends so.
    let field = |sku: String| SqlValue::from(format!("sku\":{}", Value::from(sku)));
    let values = vec![field(typed.to_uppercase()), field(typed.to_owned())];
    let sql = format!(
        "SELECT DISTINCT aggregate_id, aggregate_type FROM @audit WHERE aggregate_type IN ({}) \
         AND (instr(summary, $1) > 0 OR instr(summary, $2) > 0) ORDER BY aggregate_id",
        types.join(", ")
    );
    let rows = source.plain(&sql, values).await?;
    rows.iter().map(|row| Ok((text(row, 0)?, text(row, 1)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::is_called;

    #[test]
    fn a_name_is_found_by_the_whole_of_it_or_its_first_part_in_capitals_or_not() {
        for (name, typed) in [
            ("S-4711", "s-4711"),
            ("Čaj", "čAJ"),
            ("MUG-01 · main", "mug-01"),
            ("MUG-01 · main", "MUG-01 · main"),
        ] {
            assert!(is_called(name, typed), "{name} {typed}");
        }
        for (name, typed) in
            [("S-4711", "4711"), ("MUG-01 · main", "main"), ("MUG-01 · main", "MUG"), ("Mug", "")]
        {
            assert!(!is_called(name, typed), "{name} {typed}");
        }
    }
}
