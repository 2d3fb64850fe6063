//! The check of parked events: every event is in every read model.

use soonshop_projections::{Registry, parked};
use soonshop_service_kit::health::Fault;

pub(super) async fn ask(registry: &Registry) -> Result<(), Fault> {
    let parked = parked::counts(registry).await.map_err(|error| error.to_string())?;
    let Some(worst) = parked.iter().max_by_key(|one| one.events) else { return Ok(()) };
    let objects: Vec<_> = parked.iter().map(|one| one.generation.as_str()).collect();
    let reason = format!(
        "events parked in {}: {}, the first of them at position {}",
        worst.generation, worst.events, worst.first
    );
    Err(Fault { object: Some(objects.join(", ")), ..reason.into() })
}
