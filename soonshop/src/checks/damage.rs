//! The check of damaged pages: what a query could not read for that, and cannot be read now.

use std::sync::Arc;

use soonshop_event_log::{Database, READ_MODEL};
use soonshop_projections::{Projector, Registry};
use soonshop_service_kit::health::Fault;

use crate::Shop;

pub(super) async fn ask(
    shop: &Shop,
    registry: &Registry,
    projectors: &[Arc<dyn Projector>],
) -> Result<(), Fault> {
    let mut databases: Vec<&Database> = Vec::new();
    for database in [&shop.store_database, &shop.read_database, &shop.keys_database, &shop.erasures_database]
    {
        if databases.iter().all(|other| other.location() != database.location()) {
            databases.push(database);
        }
    }
    for database in databases {
        for (namespace, error) in database.damage().await {
            if !namespace.starts_with(READ_MODEL) {
                return Err(Fault::of(namespace, error.to_string(), "damaged"));
            }
            if is_read(registry, projectors, &namespace).await? {
                return Err(Fault::of(namespace, error.to_string(), "damaged-model"));
            }
            // It was rebuilt: readers use another generation.
            database.forget_damage(&namespace);
        }
    }
    Ok(())
}

/// Whether readers use the generation of this name.
async fn is_read(
    registry: &Registry,
    projectors: &[Arc<dyn Projector>],
    namespace: &str,
) -> Result<bool, Fault> {
    for projector in projectors {
        let active = registry.active(projector.name()).await.map_err(|error| error.to_string())?;
        if active.is_some_and(|active| active.namespace() == namespace) {
            return Ok(true);
        }
    }
    Ok(false)
}
