//! The check of what was sealed: whatever a check of the seals has found is proved again, or acknowledged.

use soonshop_projections::{Registry, integrity};
use soonshop_service_kit::health::Fault;

pub(super) async fn ask(registry: &Registry) -> Result<(), Fault> {
    let known = integrity::read(registry.operations()).await.map_err(|error| error.to_string())?;
    match known.red_ranges() {
        None => Ok(()),
        Some(ranges) => Err(Fault::of(ranges, integrity::FOUND, "integrity")),
    }
}
