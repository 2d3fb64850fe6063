//! Missing steps: what should have followed an event by its [`Expectation`](soonshop_domain::Expectation), and has not
//! in time.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::Value;
use serde::Serialize;
use soonshop_domain::{QueryError, catalog, clock};
use soonshop_event_log::places;
use soonshop_projections::source::{Source, query_failed};
use utoipa::ToSchema;

use crate::entry::Entry;

/// Streams per query.
const ASKED: usize = 500;

/// A step that is missing.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Pending {
    /// The position of the event that it should follow.
    pub after: i64,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    pub kind: String,
    pub recorded_at: DateTime<Utc>,
    /// The event types of which one was expected.
    pub expected: Vec<String>,
    pub within_seconds: i64,
    /// For how long it has been overdue.
    pub overdue_seconds: i64,
}

impl Pending {
    /// The step that is overdue at `now` if nothing followed this event.
    fn by(now: DateTime<Utc>, position: i64, kind: &str, recorded_at: DateTime<Utc>) -> Option<Self> {
        let expectation = catalog::expected_after(kind)?;
        let overdue = now - recorded_at - TimeDelta::try_seconds(expectation.within_seconds)?;
        (overdue > TimeDelta::zero()).then(|| Self {
            after: position,
            kind: kind.to_owned(),
            recorded_at,
            expected: expectation.one_of.iter().map(|kind| (*kind).to_owned()).collect(),
            within_seconds: expectation.within_seconds,
            overdue_seconds: overdue.num_seconds(),
        })
    }

    fn is_met_by(&self, kind: &str) -> bool {
        self.expected.iter().any(|expected| expected == kind)
    }
}

/// The missing steps of one whole stream.
pub struct OfStream {
    now: DateTime<Utc>,
    pending: Vec<Pending>,
}

impl OfStream {
    /// Before its first event.
    pub fn begin() -> Self {
        Self { now: clock::now(), pending: Vec::new() }
    }

    /// After its next event.
    pub fn follow(&mut self, position: i64, kind: &str, recorded_at: DateTime<Utc>) {
        self.pending.retain(|one| !one.is_met_by(kind));
        self.pending.extend(Pending::by(self.now, position, kind, recorded_at));
    }

    /// After its last one.
    pub fn missing(self) -> Vec<Pending> {
        self.pending
    }
}

/// The missing steps of events from many streams. What follows need not be among the events: another actor may have
/// done it, such as a cancellation.
pub async fn of_events(source: &Source, events: &[Entry]) -> Result<Vec<Pending>, QueryError> {
    let now = clock::now();
    let overdue = |event: &Entry| {
        let pending = Pending::by(now, event.position, &event.kind, event.recorded_at)?;
        Some((event.aggregate_type.clone(), event.aggregate_id.clone(), pending))
    };
    let overdue: Vec<_> = events.iter().filter_map(overdue).collect();
    let expectations = catalog::event_types().iter().filter_map(|event| event.expects.as_ref());
    let kinds: BTreeSet<&str> = expectations.flat_map(|expected| &expected.one_of).copied().collect();
    let mut met = HashSet::new();
    for chunk in overdue.chunks(ASKED) {
        let mut values: Vec<Value> = chunk.iter().map(|(_, id, _)| id.as_str().into()).collect();
        let ids = places(1, values.len());
        values.extend(kinds.iter().map(|kind| Value::from(*kind)));
        let sql = format!(
            "SELECT aggregate_type, aggregate_id, event_type, position FROM @audit \
             WHERE aggregate_id IN ({ids}) AND event_type IN ({})",
            places(chunk.len() + 1, kinds.len())
        );
        let mut later = HashMap::<(String, String), Vec<(String, i64)>>::new();
        for row in source.plain(&sql, values).await? {
            let text = |index| row.try_get_by_index::<String>(index).map_err(query_failed);
            let position: i64 = row.try_get_by_index(3).map_err(query_failed)?;
            later.entry((text(0)?, text(1)?)).or_default().push((text(2)?, position));
        }
        for (kind, id, pending) in chunk {
            let mut came = later.get(&(kind.clone(), id.clone())).into_iter().flatten();
            if came.any(|(kind, position)| *position > pending.after && pending.is_met_by(kind)) {
                met.insert(pending.after);
            }
        }
    }
    Ok(overdue.into_iter().map(|(.., pending)| pending).filter(|one| !met.contains(&one.after)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events that are so many minutes old.
    fn missing(events: &[(&str, i64)]) -> Vec<(i64, i64)> {
        let now = clock::now();
        let at = |minutes: i64| now - TimeDelta::minutes(minutes);
        let mut stream = OfStream::begin();
        for (position, (kind, minutes)) in (1..).zip(events) {
            stream.follow(position, kind, at(*minutes));
        }
        stream.missing().iter().map(|one| (one.after, one.overdue_seconds / 60)).collect()
    }

    #[test]
    fn only_overdue_steps_are_missing() {
        assert_eq!(missing(&[("OrderPlaced", 40)]), [(1, 25)]);
        assert_eq!(missing(&[("OrderPlaced", 14)]), []);
        assert_eq!(missing(&[("OrderPlaced", 40), ("OrderConfirmed", 1)]), [], "it came late");
        assert_eq!(missing(&[("OrderPlaced", 40), ("OrderCancelled", 39)]), [], "it was made unnecessary");
        assert_eq!(missing(&[("OrderPlaced", 40), ("OrderShipped", 39)]), [(1, 25)], "it is something else");
    }

    #[test]
    fn every_erasure_request_expects_its_own_erasure() {
        let again = [("ErasureRequested", 90), ("PersonErased", 89), ("ErasureRequested", 20)];
        assert_eq!(missing(&again), [(3, 5)]);
    }
}
