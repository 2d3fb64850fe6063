//! Related aggregates: those that an aggregate refers to and those that refer to it, such as an order's
//! credit notes and stock, and the process managers that work on it.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::QueryResult;
use serde::Serialize;
use soonshop_domain::{QueryError, TYPES, process_managers};
use soonshop_projections::processes::{self, Key};
use soonshop_projections::source::{Source, query_failed};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::filter::Filter;
use crate::name::Names;
use crate::names::unless_unavailable;
use crate::reader::{ChangesFrom, Reader};
use crate::search::Search;

/// The most events of others that are looked at, the newest first.
const MOST_EVENTS: i64 = 300;

/// The most aggregates of one type that are named.
pub const MOST_OF_A_TYPE: usize = 10;

/// An aggregate that another one has to do with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RelatedAggregate)]
pub struct Related {
    #[serde(rename = "type")]
    #[schema(example = "credit_note")]
    pub kind: String,
    pub id: String,
    /// Its name; left out where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A process manager's instance that works on an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RelatedProcess {
    #[schema(example = "fulfilment")]
    pub process: String,
    pub instance: String,
    /// The step that it is at; null where its state cannot be read.
    pub step: Option<String>,
    pub stuck: bool,
}

/// Everything that is related to an aggregate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Relations {
    /// At most ten of a type.
    pub aggregates: Vec<Related>,
    /// Whether there are more of some type than are here.
    pub more: bool,
    pub processes: Vec<RelatedProcess>,
}

impl Relations {
    pub fn is_empty(&self) -> bool {
        self.aggregates.is_empty() && self.processes.is_empty()
    }
}

/// The aggregates and process instances that belong to this one. `referred` are the names of those whose ids it holds.
pub async fn of(
    reader: &Reader,
    (kind, id): (&str, &str),
    referred: &Names,
) -> Result<Relations, QueryError> {
    let referring = unless_unavailable(referring(reader, kind, id).await)?.unwrap_or_default();
    let named: BTreeSet<String> = referring.iter().map(|(_, id)| id.clone()).collect();
    let names = unless_unavailable(reader.namer().find(&named).await)?.unwrap_or_default();
    let refers_to = referred.iter().filter(|(_, name)| TYPES.contains(&name.kind.as_str()));
    let refers_to = refers_to.map(|(id, name)| (name.kind.clone(), id.clone()));
    let mut by_type: BTreeMap<String, Vec<Related>> = BTreeMap::new();
    let mut seen = BTreeSet::from([(kind.to_owned(), id.to_owned())]);
    let mut relations = Relations::default();
    // Those that refer to it come first: it is rather their page that somebody looks for.
    for (kind, id) in referring.into_iter().chain(refers_to) {
        if !seen.insert((kind.clone(), id.clone())) {
            continue;
        }
        let of_type = by_type.entry(kind.clone()).or_default();
        if of_type.len() == MOST_OF_A_TYPE {
            relations.more = true;
            continue;
        }
        let name = names.get(&id).or_else(|| referred.get(&id)).map(|name| name.name.clone());
        of_type.push(Related { kind, id, name });
    }
    let mut aggregates: Vec<Related> = by_type.into_values().flatten().collect();
    let place =
        |kind: &str| TYPES.iter().position(|known| *known == kind).map_or(0, |place| TYPES.len() - place);
    aggregates.sort_by_key(|one| place(&one.kind));
    relations.aggregates = aggregates;
    relations.processes = processes_of(reader, kind, id).await?;
    Ok(relations)
}

/// Aggregates with events that refer to it, those with the newest first: by its id in a field, or as the person that
/// they are about.
async fn referring(reader: &Reader, kind: &str, id: &str) -> Result<Vec<(String, String)>, QueryError> {
    let source = reader.source().await?;
    let mut found = by(&source, Search::of(&Filter::from(format!("\"{id}\"").as_str()))?).await?;
    found.extend(by(&source, Search::only("subject = ?", id)).await?);
    found.retain(|one| *one != (kind.to_owned(), id.to_owned()));
    Ok(found)
}

/// The aggregates of the newest events that a search finds.
async fn by(source: &Source, mut search: Search) -> Result<Vec<(String, String)>, QueryError> {
    search.ascends = false;
    search.locate(source).await?;
    let (mut found, mut seen): (Vec<(String, String)>, i64) = (Vec::new(), 0);
    for piece in search.pieces() {
        let (filter, values) = piece.filter();
        let sql = format!(
            "SELECT aggregate_type, aggregate_id, max(position), count(*) FROM (SELECT aggregate_type, aggregate_id, \
             position FROM @audit {filter} ORDER BY position DESC LIMIT {}) found \
             GROUP BY aggregate_type, aggregate_id ORDER BY 3 DESC",
            MOST_EVENTS - seen
        );
        for row in source.plain(&sql, values).await? {
            let read = |row: &QueryResult| {
                Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index::<i64>(3)?))
            };
            let (kind, id, count) = read(&row).map_err(query_failed)?;
            seen += count;
            found.push((kind, id));
        }
        if seen >= MOST_EVENTS {
            break;
        }
    }
    Ok(found)
}

/// The instances of process managers that are about it.
async fn processes_of(reader: &Reader, kind: &str, id: &str) -> Result<Vec<RelatedProcess>, QueryError> {
    let Ok(uuid) = Uuid::try_parse(id) else { return Ok(Vec::new()) };
    if reader.changes != ChangesFrom::Log {
        return Ok(Vec::new());
    }
    let of_it = process_managers::names().into_iter().filter(|name| {
        process_managers::find(name).is_some_and(|process| process.subject(id) == Some((kind, uuid)))
    });
    let mut all = Vec::new();
    for process in of_it {
        let db = reader.log.db().beside("process")?;
        let key = Key { process: process.to_owned(), instance: id.to_owned() };
        if let Some(one) = processes::show(&db, &key).await? {
            let (step, stuck) = (one.step, one.stuck);
            all.push(RelatedProcess { process: one.process, instance: one.instance, step, stuck });
        }
    }
    Ok(all)
}
