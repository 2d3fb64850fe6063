//! A generation that no process runs never learns of an erasure. At the request's deadline it is dropped as a whole,
//! and the record of operations says why. The active generation is never dropped: then a projector has to be started,
//! and `doctor` says so from the start.

use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use serde_json::json;
use soonshop_domain::clock;
use soonshop_event_log::Leases;
use soonshop_projections::Generation;
use soonshop_projections::generation::{KnownGeneration, State, named};
use soonshop_projections::generation_remover::GenerationRemover;
use soonshop_projections::operations::Operation;
use soonshop_projections::runner::ROWS;
use tokio_util::sync::CancellationToken;

use super::incomplete::{asked, recorded};
use super::stores::generations;
use crate::Shop;

/// The pause between two checks.
const PAUSE: Duration = Duration::from_mins(10);

/// The process that drops it.
const ACTOR: &str = "system:eraser";

/// Drops overdue generations again and again, until `stop`.
pub async fn run(shop: Shop, stop: CancellationToken) {
    let within = TimeDelta::days(shop.config.erase_within_days.into());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            dropped = drop_overdue(&shop, within) => match dropped {
                Ok(dropped) if dropped.is_empty() => {}
                Ok(dropped) => tracing::warn!(generations = dropped.join(", "), "dropped: no process ran them, and an erasure was overdue"),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "overdue generations could not be checked"),
            },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Drops every generation that no process runs, that is not active, and that has not recorded an erasure event older
/// than `within`. Returns their names.
pub async fn drop_overdue(shop: &Shop, within: TimeDelta) -> anyhow::Result<Vec<String>> {
    let mut dropped = Vec::new();
    let due = clock::now().checked_sub_signed(within).context("the deadline is too far away")?;
    let due = shop.log()?.position_at(due).await?;
    let (events, _) = asked(shop, None).await?;
    let due: Vec<_> = events.into_iter().filter(|(_, position)| *position <= due).collect();
    if due.is_empty() {
        return Ok(dropped);
    }
    let registry = shop.registry()?;
    let leases = Leases::new(registry.operations().clone(), shop.holder.clone());
    for namespace in generations(shop).await? {
        let recorded = recorded(&shop.read_database.namespace(&namespace)?).await?;
        let Some((person, position)) = due.iter().find(|one| !recorded.contains(one)) else { continue };
        if leases.holder(&format!("{namespace}:{ROWS}")).await?.is_some() {
            continue;
        }
        let Some((projection, number)) = named(&namespace) else { continue };
        // Only one process at a time may change the list of generations: skip one that another run is making.
        let Ok(lease) = leases.acquire(&format!("replay:{projection}")).await? else { continue };
        let known = registry.get(projection, number).await?;
        let projection = projection.to_owned();
        // (The maker of a generation that a killed process left behind is unknown.)
        let unknown = Generation { projection, number, version: 0, shape: 0 };
        let generation = known.as_ref().map_or(unknown, |known| known.generation.clone());
        let ending = GenerationRemover {
            registry: registry.clone(),
            search: shop.search.clone(),
            cache: shop.cache.clone(),
            holder: shop.holder.clone(),
        };
        match known {
            Some(known) if is_ours(&known) => {}
            Some(known) if known.active => {
                tracing::error!(generation = namespace, %person, "an erasure is overdue in an active generation, and no process runs it");
            }
            // Left behind by a killed process, or half removed.
            None => ending.remove(&generation).await?,
            Some(known) if known.state == State::Retired => ending.remove(&generation).await?,
            Some(known) => {
                let done = Operation {
                    actor: ACTOR.to_owned(),
                    action: "retire",
                    subject: namespace.clone(),
                    detail: json!({ "generation": generation.number, "erasure_of": person, "asked_at_position": position }),
                    note: None,
                };
                ending.retire(&known.generation, &done).await?;
            }
        }
        leases.release(&lease).await?;
        if !registry.is_there(&generation).await? {
            dropped.push(namespace);
        }
    }
    Ok(dropped)
}

/// A projector of this release makes it, and will have it in a moment, where it does not keep it yet.
fn is_ours(known: &KnownGeneration) -> bool {
    let projectors = soonshop_projections::all();
    known.state.lives() && projectors.iter().any(|projector| known.generation.is_made_by(&**projector))
}
