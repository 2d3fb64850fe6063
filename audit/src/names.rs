//! The names by which people know things: an order's number, a product's name, the SKU and location of a stock, what
//! an API key is for. They are found for all ids of a page at once.
//!
//! An aggregate's name is in its own events ([`EventInfo::name_paths`](soonshop_domain::EventInfo::name_paths)), so the
//! rows of the trail have it, also those of an export. No name is a personal value: users and guests have none here.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ConnectionTrait as _, QueryResult, Value as SqlValue};
use serde_json::Value;
use soonshop_domain::{QueryError, catalog};
use soonshop_event_log::places;
use soonshop_projections::Registry;
use soonshop_projections::source::{Source, query_failed};

use crate::entry::Entry;
use crate::name::{KEY, Name, Names, given_by, ids_in};
use crate::reader::{ChangesFrom, Reader};

/// Ids per query.
const AT_ONCE: usize = 500;

/// How many names are kept from one list to the next.
const MOST_KEPT: usize = 50_000;

/// The table with the names that an export file states, in the read model of its rows.
pub const TABLE: &str = "CREATE TABLE @names (id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL)";

/// Finds the names of ids.
pub struct Namer {
    registry: Registry,
    /// The rows are those of an export file.
    of_file: bool,
    /// Those that were found already; `None`: there is none.
    known: HashMap<String, Option<Name>>,
}

impl Namer {
    /// Of a shop, or of an export file.
    pub fn new(registry: &Registry, of_file: bool) -> Self {
        Self { registry: registry.clone(), of_file, known: HashMap::new() }
    }

    /// The names of these ids, as far as they have one.
    pub async fn find(&mut self, ids: &BTreeSet<String>) -> Result<Names, QueryError> {
        if self.known.len() > MOST_KEPT {
            self.known.clear();
        }
        let new: Vec<&str> =
            ids.iter().map(String::as_str).filter(|id| !self.known.contains_key(*id)).collect();
        if !new.is_empty() {
            let source = Source::of(&self.registry, "audit", None).await?;
            for chunk in new.chunks(AT_ONCE) {
                let mut found = of_aggregates(&source, chunk).await?;
                found.extend(if self.of_file {
                    of_file(&source, chunk).await?
                } else {
                    self.of_keys(chunk).await?
                });
                self.known.extend(chunk.iter().map(|id| ((*id).to_owned(), found.remove(*id))));
            }
        }
        let known = |id: &String| Some((id.clone(), self.known.get(id)?.clone()?));
        Ok(ids.iter().filter_map(known).collect())
    }

    /// Adds their names to the events of a list.
    pub async fn add_to(&mut self, entries: &mut [Entry]) -> Result<(), QueryError> {
        let ids = entries.iter().flat_map(ids_of).collect();
        let names = self.find(&ids).await?;
        for entry in entries {
            put(&names, entry);
        }
        Ok(())
    }

    /// The names of API keys, by their ids.
    async fn of_keys(&self, ids: &[&str]) -> Result<Names, QueryError> {
        let db = self.registry.operations();
        let sql = format!("SELECT id, name FROM @api_keys WHERE id IN ({})", places(1, ids.len()));
        let statement = db.statement(&sql, ids.iter().map(|id| SqlValue::from(*id)));
        let mut names = Names::new();
        for row in db.connection.query_all(statement).await.map_err(query_failed)? {
            let (id, name) = (text(&row, 0)?, text(&row, 1)?);
            names.insert(id, Name { kind: KEY.to_owned(), name });
        }
        Ok(names)
    }
}

/// Adds their names to the events of one page.
pub async fn add_to(reader: &Reader, entries: &mut [Entry]) -> Result<(), QueryError> {
    reader.namer().add_to(entries).await
}

/// The names of all ids in these texts: none where the database does not answer in time.
pub async fn in_texts<'t>(
    reader: &Reader,
    texts: impl IntoIterator<Item = &'t str>,
) -> Result<Names, QueryError> {
    let ids: BTreeSet<String> = texts.into_iter().flat_map(ids_in).map(str::to_owned).collect();
    if ids.is_empty() {
        return Ok(Names::new());
    }
    Ok(unless_unavailable(reader.namer().find(&ids).await)?.unwrap_or_default())
}

/// The result, or nothing where the database did not answer in time: what it would add is left out.
pub(crate) fn unless_unavailable<T>(found: Result<T, QueryError>) -> Result<Option<T>, QueryError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.retry_after().is_some() => {
            tracing::warn!(%error, "names cannot be looked up at the moment");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Reader {
    /// Finds names for one answer.
    pub fn namer(&self) -> Namer {
        Namer::new(&self.registry, self.changes != ChangesFrom::Log)
    }
}

/// Every id that an event shows.
fn ids_of(entry: &Entry) -> BTreeSet<String> {
    let mut ids = BTreeSet::from([entry.aggregate_id.clone()]);
    let mut add = |text: &str| ids.extend(ids_in(text).map(str::to_owned));
    add(&entry.summary.to_string());
    for change in entry.changes.fields() {
        add(&change.path);
        for side in [&change.before, &change.after].into_iter().flatten() {
            match side.value() {
                Value::String(text) => add(text),
                Value::Array(_) | Value::Object(_) => add(&side.value().to_string()),
                _ => {}
            }
        }
    }
    let actor = entry.actor.as_ref().and_then(|who| who.id.as_deref());
    for id in actor.into_iter().chain(entry.on_behalf_of.as_deref()) {
        add(id);
    }
    ids
}

/// Fills the names into an event. Names that a file states for it stay.
fn put(names: &Names, entry: &mut Entry) {
    let mut ids = ids_of(entry);
    ids.remove(&entry.aggregate_id);
    entry.name = names.get(&entry.aggregate_id).map(|own| own.name.clone());
    if let Some(who) = &mut entry.actor {
        let own = who.id.as_ref().and_then(|id| names.get(id));
        who.name = own.map(|key| key.name.clone());
        if let Some(id) = &who.id {
            ids.remove(id);
        }
    }
    entry.names = ids.into_iter().filter_map(|id| names.get(&id).cloned().map(|name| (id, name))).collect();
}

pub(crate) fn text(row: &QueryResult, index: usize) -> Result<String, QueryError> {
    row.try_get_by_index(index).map_err(query_failed)
}

/// Names of aggregates, each from the last of its events that gives one.
async fn of_aggregates(source: &Source, ids: &[&str]) -> Result<Names, QueryError> {
    let naming = catalog::event_types().iter().filter(|event| !event.name_paths.is_empty());
    let naming: Vec<String> = naming.map(|event| format!("'{}'", event.name)).collect();
    let expected: Vec<String> = (1..=ids.len()).map(|number| format!("(${number})")).collect();
    // For each id one step in the index of its stream, however long that is.
    let sql = format!(
        "WITH wanted(id) AS (VALUES {}) SELECT n.aggregate_type, n.aggregate_id, n.event_type, n.summary FROM @audit n \
         WHERE n.position IN (SELECT (SELECT a.position FROM @audit a WHERE a.aggregate_id = w.id \
         AND a.event_type IN ({}) ORDER BY a.position DESC LIMIT 1) FROM wanted w)",
        expected.join(", "),
        naming.join(", ")
    );
    let mut names = Names::new();
    for row in source.plain(&sql, ids.iter().map(|id| SqlValue::from(*id)).collect()).await? {
        let summary: Value = serde_json::from_str(&text(&row, 3)?).map_err(QueryError::internal)?;
        if let Some(name) = given_by(&text(&row, 2)?, &summary) {
            names.insert(text(&row, 1)?, Name { kind: text(&row, 0)?, name });
        }
    }
    Ok(names)
}

/// The names that an export file states.
async fn of_file(source: &Source, ids: &[&str]) -> Result<Names, QueryError> {
    let sql = format!("SELECT id, kind, name FROM @names WHERE id IN ({})", places(1, ids.len()));
    let mut names = Names::new();
    for row in source.plain(&sql, ids.iter().map(|id| SqlValue::from(*id)).collect()).await? {
        names.insert(text(&row, 0)?, Name { kind: text(&row, 1)?, name: text(&row, 2)? });
    }
    Ok(names)
}

/// The names that a row of an export file states, by id.
pub fn stated_by(entry: &Entry) -> Names {
    let mut names = entry.names.clone();
    if let Some(name) = &entry.name {
        let own = Name { kind: entry.aggregate_type.clone(), name: name.clone() };
        names.insert(entry.aggregate_id.clone(), own);
    }
    let who = entry.actor.as_ref().and_then(|who| Some((who.id.clone()?, who.name.clone()?)));
    names.extend(who.map(|(id, name)| (id, Name { kind: KEY.to_owned(), name })));
    names
}
