//! Erasures that are not complete, and who has still to deal with them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use sea_orm::Value;
use soonshop_domain::user::person;
use soonshop_domain::{Event, Purpose};
use soonshop_event_log::{Checkpoint, Db, Leases};
use soonshop_projections::runner::ROWS;
use soonshop_projections::sink::{CACHE, INDEX};
use soonshop_workers::eraser;
use uuid::Uuid;

use super::stores::{generations, projector_of, query, tables};
use crate::Shop;

/// A follower that an event of erasure has not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncompleteErasure {
    pub person: Uuid,
    /// Of the event.
    pub position: i64,
    /// `rm_orders_2:rows`, `rm_products_1:index`, `eraser`.
    pub sink: String,
    /// The holder of its lease; `None`: nothing runs it.
    pub kept_by: Option<String>,
}

impl fmt::Display for IncompleteErasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { person, position, sink, kept_by } = self;
        write!(f, "{sink} has not dealt with the erasure of {person} at position {position}, and ")?;
        match kept_by {
            Some(holder) => write!(f, "{holder} is at it"),
            None => write!(f, "no process runs it"),
        }
    }
}

/// Every erasure event, of one person or of all; and the purposes whose erasure is not confirmed, with the position of
/// the request.
pub(super) async fn asked(
    shop: &Shop,
    person: Option<Uuid>,
) -> anyhow::Result<(Vec<(Uuid, i64)>, BTreeMap<(Uuid, Purpose), i64>)> {
    let log = shop.store_database.namespace("log")?;
    let mut sql = "SELECT aggregate_id, position, CAST(payload AS TEXT) FROM @events \
                   WHERE aggregate_type = 'person'"
        .to_owned();
    if person.is_some() {
        sql.push_str(" AND aggregate_id = $1");
    }
    sql.push_str(" ORDER BY position");
    let person = person.map(|person| Value::from(person.to_string()));
    let (mut events, mut open) = (Vec::new(), BTreeMap::new());
    for row in query(&log, &sql, person).await? {
        let (person, payload): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(2)?);
        let (person, position): (Uuid, i64) = (person.parse()?, row.try_get_by_index(1)?);
        events.push((person, position));
        match Event::decode("person", &payload) {
            Some(Ok(Event::Person(person::Event::ErasureRequested { purposes }))) => {
                open.extend(purposes.into_iter().map(|purpose| ((person, purpose), position)));
            }
            Some(Ok(Event::Person(person::Event::PersonErased { purposes }))) => {
                open.retain(|(who, purpose), _| *who != person || !purposes.contains(purpose));
            }
            _ => {}
        }
    }
    Ok((events, open))
}

/// The requests of one person, or of all, that are not complete: not confirmed, or not recorded by every sink of every
/// existing generation.
pub async fn incomplete(shop: &Shop, person: Option<Uuid>) -> anyhow::Result<Vec<IncompleteErasure>> {
    let (events, open) = asked(shop, person).await?;
    let mut missing = Vec::new();
    if events.is_empty() {
        return Ok(missing);
    }
    let mut note = |sink: &str, kept_by: Option<&String>, left: &mut dyn Iterator<Item = (Uuid, i64)>| {
        let sink = sink.to_owned();
        let one = |(person, position)| IncompleteErasure {
            person,
            position,
            sink: sink.clone(),
            kept_by: kept_by.cloned(),
        };
        missing.extend(left.map(one));
    };
    let process = Leases::new(shop.store_database.namespace("process")?, "");
    let unconfirmed: BTreeSet<(Uuid, i64)> = open.iter().map(|((subject, _), at)| (*subject, *at)).collect();
    note(eraser::NAME, process.holder(eraser::NAME).await?.as_ref(), &mut unconfirmed.into_iter());
    let leases = Leases::new(shop.registry()?.operations().clone(), "");
    for namespace in generations(shop).await? {
        let db = shop.read_database.namespace(&namespace)?;
        let name = format!("{namespace}:{ROWS}");
        let recorded = recorded(&db).await?;
        let holder = leases.holder(&name).await?;
        note(&name, holder.as_ref(), &mut events.iter().copied().filter(|one| !recorded.contains(one)));
        if !projector_of(&namespace).is_some_and(|projector| projector.searchable()) {
            continue;
        }
        // They hold nothing of anybody: what they have passed, they are clean of.
        let mut sinks = vec![(INDEX, shop.search.checkpoint(&namespace).await?)];
        if shop.cache.shared() {
            sinks.push((CACHE, shop.cache.checkpoint(&namespace).await?));
        }
        for (sink, checkpoint) in sinks {
            let name = format!("{namespace}:{sink}");
            let at =
                checkpoint.map(|text| text.parse::<Checkpoint>()).transpose()?.map_or(0, |at| at.position);
            let holder = leases.holder(&name).await?;
            note(&name, holder.as_ref(), &mut events.iter().copied().filter(|(_, position)| *position > at));
        }
    }
    Ok(missing)
}

/// The erasures that a generation recorded; empty for one of a release that kept no record.
pub(super) async fn recorded(db: &Db) -> anyhow::Result<HashSet<(Uuid, i64)>> {
    if !tables(db).await?.iter().any(|table| table.name == "erased") {
        return Ok(HashSet::new());
    }
    let rows = query(db, "SELECT subject, position FROM @erased", []).await?;
    let mut recorded = HashSet::with_capacity(rows.len());
    for row in rows {
        recorded.insert((row.try_get_by_index::<String>(0)?.parse()?, row.try_get_by_index(1)?));
    }
    Ok(recorded)
}
