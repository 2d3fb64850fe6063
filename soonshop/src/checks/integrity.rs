//! The check of what was sealed: whatever a check of the seals has found is proved again, or acknowledged.

use soonshop_event_log::EventLog;
use soonshop_projections::Registry;
use soonshop_projections::integrity::{self, RecordProof};
use soonshop_service_kit::health::Fault;

pub(super) async fn ask(log: &EventLog, registry: &Registry) -> Result<(), Fault> {
    let known = async { integrity::read(&RecordProof::new(log, registry)?).await };
    let known = known.await.map_err(|error| error.to_string())?;
    match known.red_ranges() {
        None => Ok(()),
        Some(ranges) => Err(Fault::of(ranges, integrity::FOUND, "integrity")),
    }
}
