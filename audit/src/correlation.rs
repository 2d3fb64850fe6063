//! Everything that followed from one request: a tree of events by cause, in log order and not by clocks, with the time
//! that each step took.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::FromQueryResult as _;
use serde::Serialize;
use soonshop_domain::QueryError;
use soonshop_projections::audit::Model;
use soonshop_projections::parked;
use soonshop_projections::source::query_failed;
use soonshop_projections::wait::AtLeast;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::entry::Entry;
use crate::names;
use crate::pending::{self, Pending};
use crate::reader::Reader;

/// The most events of one correlation that are shown.
const MOST: usize = 1_000;

/// A pause longer than this, in microseconds, counts as idle: no process was working.
pub const IDLE: i64 = 10_000_000;

/// How an event is linked to its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// It has no cause: a command began it.
    Root,
    Caused,
    /// Its cause is missing here: it is of another correlation, or not in the read model.
    CauseMissing,
    /// The event named as its cause comes after it in the log, which is impossible.
    CauseLater,
}

/// An event of the tree.
#[derive(Serialize, ToSchema)]
pub struct Node {
    /// How far it is below the root of its branch.
    pub depth: usize,
    pub link: Link,
    /// From the recording of its cause to its own, in microseconds; null where its cause is not here.
    pub latency_micros: Option<i64>,
    /// The part of the latency in which it waited until its handling began. Null where no process or job made it, or
    /// the clocks contradict.
    pub queue_micros: Option<i64>,
    /// The part of the latency in which it was handled.
    pub handle_micros: Option<i64>,
    /// Its decision time is not between the two recordings: the clocks contradict each other.
    pub clocks_contradict: bool,
    /// It is on the path to the last event of its branch.
    pub critical: bool,
    /// The read model generations in which it is parked.
    pub parked: Vec<String>,
    #[serde(flatten)]
    pub event: Entry,
}

/// A tree, each event before the events that it caused; events with the same cause are in log order.
#[derive(Serialize, ToSchema)]
pub struct Tree {
    pub correlation_id: String,
    pub items: Vec<Node>,
    /// Ids of causes that are not here: placeholders are shown for them.
    pub missing: BTreeSet<String>,
    /// Steps that should have followed by now, and have not.
    pub pending: Vec<Pending>,
    pub aggregates: usize,
    /// Events that are parked in some generation.
    pub parked: usize,
    /// From the first recording to the last; the active part leaves out pauses of more than ten seconds.
    pub total_micros: i64,
    pub active_micros: i64,
    /// Whether there are more than 1,000 events; only the first 1,000 are here.
    pub more: bool,
}

/// The tree, and the position at which it was read.
pub async fn find(reader: &Reader, at_least: Option<AtLeast>, id: Uuid) -> Result<(i64, Tree), QueryError> {
    let id = id.to_string();
    let source = reader.source().await?;
    let sql = format!("SELECT * FROM @audit WHERE correlation_id = $1 ORDER BY position LIMIT {}", MOST + 1);
    let (position, rows) = source.rows(at_least, None, &sql, &[id.as_str().into()], "position").await?;
    let mut events = Vec::with_capacity(rows.len().min(MOST));
    for row in rows.iter().take(MOST) {
        events.push(Entry::of(Model::from_query_result(row, "").map_err(query_failed)?)?);
    }
    if events.is_empty() {
        return Err(QueryError::not_found("not-found", "there is nothing of this name"));
    }
    names::add_to(reader, &mut events).await?;
    let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
    let mut parked = parked::among(&reader.registry, &positions).await?;
    let pending = pending::of_events(&source, &events).await?;
    let streams: BTreeSet<_> =
        events.iter().map(|event| (event.aggregate_type.clone(), event.aggregate_id.clone())).collect();
    let (mut items, missing) = tree(events);
    for node in &mut items {
        node.parked = parked.remove(&node.event.position).unwrap_or_default();
    }
    let (total_micros, idle) = spent(&moments(&items));
    let tree = Tree {
        correlation_id: id,
        missing,
        pending,
        aggregates: streams.len(),
        parked: items.iter().filter(|node| !node.parked.is_empty()).count(),
        total_micros,
        active_micros: total_micros - idle,
        more: rows.len() > MOST,
        items,
    };
    Ok((position, tree))
}

/// Every moment at which an event was recorded or its handling began, in microseconds, in order.
pub fn moments(nodes: &[Node]) -> Vec<i64> {
    let mut moments = Vec::with_capacity(nodes.len());
    for node in nodes {
        let recorded = node.event.recorded_at.timestamp_micros();
        moments.push(recorded);
        moments.extend(node.handle_micros.map(|handled| recorded - handled));
    }
    moments.sort_unstable();
    moments.dedup();
    moments
}

/// The time from the first moment to the last, and how much of it was idle.
fn spent(moments: &[i64]) -> (i64, i64) {
    let total = moments.last().zip(moments.first()).map_or(0, |(last, first)| last - first);
    (total, moments.windows(2).map(|two| two[1] - two[0]).filter(|step| *step > IDLE).sum())
}

/// The parts of an event's latency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Spans {
    queue: Option<i64>,
    handle: Option<i64>,
    contradict: bool,
}

impl Spans {
    /// A process or a job decides an event when it begins to handle the cause, so that is when it occurred. For any
    /// other actor this is business time, and says nothing about handling.
    fn of(event: &Entry, cause: &Entry) -> Self {
        if !matches!(event.channel.as_deref(), Some("process" | "job")) {
            return Self::default();
        }
        let queue = (event.occurred_at - cause.recorded_at).num_microseconds();
        let handle = (event.recorded_at - event.occurred_at).num_microseconds();
        match (queue, handle) {
            (Some(queue @ 0..), Some(handle @ 0..)) => {
                Self { queue: Some(queue), handle: Some(handle), contradict: false }
            }
            _ => Self { contradict: true, ..Self::default() },
        }
    }
}

/// Events in log order, as a tree.
fn tree(events: Vec<Entry>) -> (Vec<Node>, BTreeSet<String>) {
    let places: HashMap<String, usize> =
        events.iter().enumerate().map(|(place, event)| (event.id.clone(), place)).collect();
    let (mut children, mut roots, mut missing) =
        (BTreeMap::<usize, Vec<usize>>::new(), Vec::new(), BTreeSet::new());
    let (mut links, mut parents) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
    for (place, event) in events.iter().enumerate() {
        let cause = event.causation_id.as_ref();
        let (link, parent) = match (cause, cause.and_then(|cause| places.get(cause)).copied()) {
            (None, _) => (Link::Root, None),
            // A cause always comes before its effects, so no branch can lead back to itself.
            (_, Some(parent)) if parent < place => (Link::Caused, Some(parent)),
            (_, Some(_)) => (Link::CauseLater, None),
            (Some(cause), None) => {
                missing.insert(cause.clone());
                (Link::CauseMissing, None)
            }
        };
        parent.map_or(&mut roots, |parent| children.entry(parent).or_default()).push(place);
        let latency =
            parent.map(|parent| (event.recorded_at - events[parent].recorded_at).num_microseconds());
        let spans = parent.map(|parent| Spans::of(event, &events[parent])).unwrap_or_default();
        links.push((link, latency.flatten(), spans));
        parents.push(parent);
    }
    let critical = critical(&parents);
    let mut waiting: Vec<(usize, usize)> = roots.into_iter().rev().map(|root| (root, 0)).collect();
    let mut order = Vec::with_capacity(events.len());
    while let Some((place, depth)) = waiting.pop() {
        order.push((place, depth));
        waiting.extend(children.remove(&place).into_iter().flatten().rev().map(|child| (child, depth + 1)));
    }
    let mut events: Vec<Option<Entry>> = events.into_iter().map(Some).collect();
    let node = |(place, depth): (usize, usize)| {
        let (link, latency_micros, Spans { queue, handle, contradict }) = links[place];
        events[place].take().map(|event| Node {
            depth,
            link,
            latency_micros,
            queue_micros: queue,
            handle_micros: handle,
            clocks_contradict: contradict,
            critical: critical[place],
            parked: Vec::new(),
            event,
        })
    };
    (order.into_iter().filter_map(node).collect(), missing)
}

/// For each branch with more than one event: the events on the path from its root to its last event, "last" by the log
/// and not by clocks.
fn critical(parents: &[Option<usize>]) -> Vec<bool> {
    let mut lasts = BTreeMap::<usize, usize>::new();
    let mut roots = Vec::with_capacity(parents.len());
    for (place, parent) in parents.iter().enumerate() {
        // A cause comes before its effects, so its root is known by now.
        let root = parent.map_or(place, |parent| roots[parent]);
        roots.push(root);
        lasts.insert(root, place);
    }
    let mut critical = vec![false; parents.len()];
    for (root, last) in lasts.into_iter().filter(|(root, last)| root != last) {
        let mut at = last;
        while at != root {
            critical[at] = true;
            at = parents[at].unwrap_or(root);
        }
        critical[root] = true;
    }
    critical
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_critical_path_of_each_branch_leads_to_its_last_event() {
        //   0 ── 1 ── 4     2 ── 5     6
        //   └─── 3
        let parents = [None, Some(0), None, Some(0), Some(1), Some(2), None];
        assert_eq!(critical(&parents), [true, true, true, false, true, true, false]);
        assert_eq!(critical(&[]), Vec::<bool>::new());
    }

    #[test]
    fn pauses_of_more_than_ten_seconds_are_idle() {
        let second = 1_000_000;
        assert_eq!(spent(&[0, 10 * second, 21 * second, 22 * second]), (22 * second, 11 * second));
        assert_eq!(spent(&[]), (0, 0));
    }
}
