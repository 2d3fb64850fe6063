//! The alarm that is shown on every page while tampering was found that is neither proved again nor acknowledged.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use soonshop_projections::integrity;
use soonshop_projections::status::StatusReader;

/// How long a page waits for it. A database that does not answer is for the page itself to report.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where tampering was found, when it was looked up last.
#[derive(Default)]
pub(crate) struct Alarm {
    last: Mutex<Option<String>>,
}

impl Alarm {
    /// Looks it up again. Without an answer, an alarm stays.
    pub(crate) async fn look(&self, reader: &StatusReader) {
        let found = async { integrity::read(&reader.record_proof()?).await };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(Ok(known)) => *self.last.lock().unwrap_or_else(PoisonError::into_inner) = known.red_ranges(),
            Ok(Err(error)) => tracing::warn!(%error, "whether there is an alarm could not be looked up"),
            Err(_) => tracing::warn!("whether there is an alarm could not be looked up in time"),
        }
    }

    /// Where tampering was found: `log 323880; record 7…9`.
    pub(crate) fn ranges(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
