//! Parked events over HTTP: those that could not be projected, by cause, and a way to have them tried again.

use std::collections::BTreeMap;

use serde_json::json;
use soonshop_projections::parked::{self, Parked};
use soonshop_service_kit::Problem;

use super::reveal::write_down;
use crate::http::call::Call;
use crate::http::params::{Kind, Param};
use crate::http::read::failed;

/// What the form says: those of one cause in one generation, or one event of it.
pub(super) fn fields() -> Vec<Param> {
    vec![
        Param::new("generation", Kind::Text, "Such as rm_orders_1.").required(),
        Param::new("position", Kind::Number(1, i64::MAX), "One event."),
        Param::new("like", Kind::Number(1, i64::MAX), "All of the cause of this one."),
        Param::new("reason", Kind::Free, "Why, in your own words; it is kept, sealed."),
    ]
}

/// All there are, the commonest cause first.
pub(super) async fn find(call: &Call) -> Result<Vec<(String, Vec<Parked>)>, Problem> {
    let queries = &call.shared.queries;
    let mut causes: BTreeMap<String, Vec<Parked>> = BTreeMap::new();
    for one in parked::find(&queries.registry, &queries.log, None).await.map_err(failed)? {
        causes.entry(one.cause.clone()).or_default().push(one);
    }
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, events)| std::cmp::Reverse(events.len()));
    Ok(causes)
}

/// Has those that are meant tried again; how many they are.
pub(super) async fn retry(call: &Call) -> Result<usize, Problem> {
    let queries = &call.shared.queries;
    let generation = call.form.text("generation").unwrap_or_default();
    let (position, like) = (call.form.number("position"), call.form.number("like"));
    if position.is_none() && like.is_none() {
        return Err(crate::http::params::refused("position", "say which: one position, or all like one"));
    }
    let mut all = parked::find(&queries.registry, &queries.log, None).await.map_err(failed)?;
    all.retain(|one| one.generation == generation);
    // A cause is named by one event of it: a form would change the ends of its lines, and may be too small for it.
    let cause = like.map(|like| all.iter().find(|one| one.position == like).map(|one| one.cause.clone()));
    let meant: Vec<_> = all
        .into_iter()
        .filter(|one| position.is_none_or(|position| position == one.position))
        .filter(|one| cause.as_ref().is_none_or(|cause| cause.as_ref() == Some(&one.cause)))
        .collect();
    let Some(first) = meant.first() else {
        return Err(Problem::not_found("not-found", "nothing of this kind is parked any more"));
    };
    let positions: Vec<i64> = meant.iter().map(|one| one.position).collect();
    // Written down first: whoever asks twice has it tried twice, and what is not written down is not done.
    let reason = call.form.text("reason").map(str::trim).filter(|reason| !reason.is_empty());
    write_down(call, "retry", first.generation.clone(), json!({ "positions": positions }), reason).await?;
    parked::retry(&queries.registry, &first.of, &positions).await.map_err(failed)?;
    Ok(positions.len())
}
