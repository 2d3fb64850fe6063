//! All that followed from one request: a tree of events by their causes, in the order of the log and not of clocks, with
//! the time that each step took.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::response::Response;
use sea_orm::FromQueryResult as _;
use serde::Serialize;
use soonshop_projections::audit::Model;
use soonshop_projections::parked;
use soonshop_service_kit::Problem;
use utoipa::ToSchema;

use super::timeline::Entry;
use crate::http::Action;
use crate::http::call::Call;
use crate::http::openapi::Described;
use crate::http::read::{failed, query_failed};

/// Events of one correlation that are shown.
const MOST: usize = 1_000;

/// How an event hangs on the one that caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Link {
    /// Nothing caused it: a command began it.
    Root,
    Caused,
    /// What caused it is not here: of another correlation, or not in the read model.
    CauseMissing,
    /// What is named as its cause stands after it in the log, and cannot be.
    CauseLater,
}

/// An event of the tree.
#[derive(Serialize, ToSchema)]
pub(super) struct Node {
    /// How far it is below the beginning of its branch.
    pub(super) depth: usize,
    pub(super) link: Link,
    /// From the recording of its cause to its own, in microseconds; null where there is no cause here.
    pub(super) latency_micros: Option<i64>,
    /// The generations of read models in which it is parked.
    pub(super) parked: Vec<String>,
    #[serde(flatten)]
    pub(super) event: Entry,
}

/// A tree, each event before what it caused; events of one cause are in the order of the log.
#[derive(Serialize, ToSchema)]
pub(super) struct Tree {
    pub(super) correlation_id: String,
    pub(super) items: Vec<Node>,
    /// Ids of causes that are not here: placeholders stand for them.
    pub(super) missing: BTreeSet<String>,
    /// Whether there are more than 1,000 events, of which only the first are here.
    pub(super) more: bool,
}

/// The tree of one correlation.
pub(super) fn gathers() -> Action {
    Action::new(Vec::new(), Described::one::<Tree>(), gather)
}

async fn gather(call: Call) -> Result<Response, Problem> {
    let (position, tree) = find(&call).await?;
    call.page(position, &tree, None)
}

/// The tree, and the position that it was read at.
pub(super) async fn find(call: &Call) -> Result<(i64, Tree), Problem> {
    let id = call.id()?.to_string();
    let source = call.shared.source("audit", None).await?;
    let sql = format!("SELECT * FROM @audit WHERE correlation_id = $1 ORDER BY position LIMIT {}", MOST + 1);
    let (position, rows) = source.rows(call, None, &sql, &[id.as_str().into()], "position").await?;
    let mut events = Vec::with_capacity(rows.len().min(MOST));
    for row in rows.iter().take(MOST) {
        events.push(Entry::of(Model::from_query_result(row, "").map_err(query_failed)?)?);
    }
    if events.is_empty() {
        return Err(Problem::not_found("not-found", "there is nothing of this name"));
    }
    let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
    let mut parked = parked::among(&call.shared.queries.registry, &positions).await.map_err(failed)?;
    let (mut items, missing) = tree(events);
    for node in &mut items {
        node.parked = parked.remove(&node.event.position).unwrap_or_default();
    }
    Ok((position, Tree { correlation_id: id, items, missing, more: rows.len() > MOST }))
}

/// Events in the order of the log, as a tree.
fn tree(events: Vec<Entry>) -> (Vec<Node>, BTreeSet<String>) {
    let places: HashMap<String, usize> =
        events.iter().enumerate().map(|(place, event)| (event.id.clone(), place)).collect();
    let (mut children, mut roots, mut missing) =
        (BTreeMap::<usize, Vec<usize>>::new(), Vec::new(), BTreeSet::new());
    let mut links = Vec::with_capacity(events.len());
    for (place, event) in events.iter().enumerate() {
        let cause = event.causation_id.as_ref();
        let (link, parent) = match (cause, cause.and_then(|cause| places.get(cause)).copied()) {
            (None, _) => (Link::Root, None),
            // A cause is always before what it caused, so that no branch comes back to itself.
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
        links.push((link, latency.flatten()));
    }
    let mut waiting: Vec<(usize, usize)> = roots.into_iter().rev().map(|root| (root, 0)).collect();
    let mut order = Vec::with_capacity(events.len());
    while let Some((place, depth)) = waiting.pop() {
        order.push((place, depth));
        waiting.extend(children.remove(&place).into_iter().flatten().rev().map(|child| (child, depth + 1)));
    }
    let mut events: Vec<Option<Entry>> = events.into_iter().map(Some).collect();
    let node = |(place, depth): (usize, usize)| {
        let (link, latency_micros) = links[place];
        events[place].take().map(|event| Node { depth, link, latency_micros, parked: Vec::new(), event })
    };
    (order.into_iter().filter_map(node).collect(), missing)
}
