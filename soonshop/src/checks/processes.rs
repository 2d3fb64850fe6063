//! The check of process managers: no command was refused that has to be done.

use soonshop_projections::processes::failures;
use soonshop_service_kit::health::Fault;

use crate::Shop;

/// How many instances the fault names.
const NAMED: u64 = 3;

pub(super) async fn ask(shop: &Shop) -> Result<(), Fault> {
    let db = shop.store_database.namespace("process").map_err(|error| error.to_string())?;
    let found = failures(&db, NAMED).await.map_err(|error| error.to_string())?;
    let Some(one) = found.first.first() else { return Ok(()) };
    let objects: Vec<_> = found.first.iter().map(|one| one.key().to_string()).collect();
    let command = one.failed.as_ref().map(|failed| {
        let words = [failed.purpose.as_deref(), failed.key.as_deref()];
        let words: Vec<_> = words.into_iter().flatten().collect();
        format!("`{}` was refused: {}", words.join(" "), failed.slug)
    });
    let reason = format!(
        "commands that were refused and have to be done: {}, the first of them {}",
        found.count,
        command.unwrap_or_default()
    );
    Err(Fault { object: Some(objects.join(", ")), ..reason.into() })
}
