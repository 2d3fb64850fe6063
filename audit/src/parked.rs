//! Parked events, which could not be projected, by cause, and a way to retry them.

use std::collections::BTreeMap;

use serde_json::json;
use soonshop_domain::{Actor, QueryError};
use soonshop_projections::parked::{self, Parked};

use crate::name::{Names, ids_in};
use crate::names::unless_unavailable;
use crate::reader::Reader;
use crate::record::write_down;

/// Which events to retry: those of one cause in one generation, or one event of it.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// Such as `rm_orders_1`.
    pub generation: &'a str,
    /// Only this event.
    pub position: Option<i64>,
    /// All with the same cause as this event.
    pub like: Option<i64>,
}

/// All parked events, the most frequent cause first.
pub async fn find(reader: &Reader) -> Result<Vec<(String, Vec<Parked>)>, QueryError> {
    let mut causes: BTreeMap<String, Vec<Parked>> = BTreeMap::new();
    for one in parked::find(&reader.registry, &reader.log, None).await? {
        causes.entry(one.cause.clone()).or_default().push(one);
    }
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, events)| std::cmp::Reverse(events.len()));
    Ok(causes)
}

/// Names by id: of the aggregates of these events, and of the rows that wait for them.
pub async fn names(reader: &Reader, causes: &[(String, Vec<Parked>)]) -> Result<Names, QueryError> {
    let events = causes.iter().flat_map(|(_, events)| events);
    let texts = events.flat_map(|one| one.rows.iter().chain([&one.stream]));
    let ids = texts.flat_map(|text| ids_in(text)).map(str::to_owned).collect();
    Ok(unless_unavailable(reader.namer().find(&ids).await)?.unwrap_or_default())
}

/// Requests a retry of these events; returns how many they are.
pub async fn retry(
    reader: &Reader,
    actor: &Actor,
    selection: Selection<'_>,
    reason: Option<&str>,
) -> Result<usize, QueryError> {
    let Selection { generation, position, like } = selection;
    if position.is_none() && like.is_none() {
        return Err(QueryError::parameter(
            "position",
            "give one position, or `like` for all with the same cause",
        )
        .because("missing"));
    }
    let mut all = parked::find(&reader.registry, &reader.log, None).await?;
    all.retain(|one| one.generation == generation);
    // A form names a cause by one event of it: a form would change the line breaks of a text, and limits its length.
    let cause = like.map(|like| all.iter().find(|one| one.position == like).map(|one| one.cause.clone()));
    let chosen: Vec<_> = all
        .into_iter()
        .filter(|one| position.is_none_or(|position| position == one.position))
        .filter(|one| cause.as_ref().is_none_or(|cause| cause.as_ref() == Some(&one.cause)))
        .collect();
    let Some(first) = chosen.first() else {
        return Err(QueryError::not_found("not-found", "no such event is parked any more"));
    };
    let positions: Vec<i64> = chosen.iter().map(|one| one.position).collect();
    // Recorded first, so that nothing is retried without a record; two requests retry twice.
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    write_down(reader, actor, "retry", first.generation.clone(), json!({ "positions": positions }), reason)
        .await?;
    parked::retry(&reader.registry, &first.of, &positions).await?;
    Ok(positions.len())
}
