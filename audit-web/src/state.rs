//! The shared state of the pages and endpoints of the audit trail.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use soonshop_audit::file::File;
use soonshop_audit::reader::Reader;
use soonshop_audit::status::Health;
use soonshop_audit::trend::Trends;
use soonshop_cache::Cache;
use soonshop_domain::QueryError;
use soonshop_event_log::EventLog;
use soonshop_projections::Registry;
use soonshop_projections::status::StatusReader;
use soonshop_projections::wait::{self, AtLeast};
use soonshop_search::Search;
use soonshop_service_kit::access::Access;
use soonshop_service_kit::endpoint::RequiredPosition;
use soonshop_service_kit::health::Health as Checks;
use soonshop_service_kit::work::Work;
use soonshop_service_kit::{Problem, endpoint};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::alarm::Alarm;
use crate::head::Head;

/// The sources of the viewer.
#[derive(Clone)]
pub struct Viewer {
    /// The read models, and the record of operations.
    pub registry: Registry,
    /// The histories of aggregates.
    pub log: EventLog,
    /// Reported in the health of the shop.
    pub search: Arc<dyn Search>,
    /// Reported in the health of the shop.
    pub cache: Arc<dyn Cache>,
    /// The checks of this process; an empty one where there are none.
    pub health: Checks,
    /// Authenticates callers.
    pub access: Access,
    /// Gives turns to what costs something; one for all services of a process.
    pub work: Work,
    /// Ends the answers that have no end of their own.
    pub stop: CancellationToken,
}

/// The state that all requests of a router share.
pub(crate) struct Shared {
    pub(crate) reader: Reader,
    /// Reads the health of the shop.
    pub(crate) status_reader: StatusReader,
    pub(crate) health: Checks,
    pub(crate) access: Access,
    pub(crate) work: Work,
    pub(crate) stop: CancellationToken,
    pub(crate) head: Arc<Head>,
    pub(crate) trends: Trends,
    /// When the health of all followers was looked up last, and what was found.
    pub(crate) last_health: Mutex<Option<(Instant, (i64, Health))>>,
    /// Shown on every page while something red is known of the seals.
    pub(crate) alarm: Alarm,
    /// Held during a check of the log, which reads all of it.
    pub(crate) checking: Mutex<()>,
    /// The export that is shown; `None` for a shop.
    pub(crate) file: Option<Arc<File>>,
    /// The paths of the pages that can be opened with GET, not those of forms.
    pub(crate) pages: Vec<&'static str>,
}

/// One request.
pub(crate) type Call = endpoint::Call<Shared>;
/// The action of an endpoint.
pub(crate) type Action = endpoint::Action<Shared>;
/// A row of the endpoint table.
pub(crate) type Endpoint = endpoint::Endpoint<Shared>;

impl endpoint::Shared for Shared {
    fn access(&self) -> &Access {
        &self.access
    }

    fn work(&self) -> &Work {
        &self.work
    }

    fn reach(&self, required_position: RequiredPosition) -> BoxFuture<'_, ()> {
        let at_least = AtLeast { position: required_position.position, deadline: required_position.deadline };
        // An error is not returned here: the endpoint reads the log again, and reports it.
        Box::pin(async move { drop(wait::head(&self.reader.log, Some(at_least)).await) })
    }
}

impl Shared {
    pub(crate) fn new(viewer: Viewer, file: Option<Arc<File>>, pages: Vec<&'static str>) -> Self {
        let Viewer { registry, log, search, cache, health, access, work, stop } = viewer;
        let mut reader = Reader::new(registry.clone(), log.clone());
        if let Some(file) = &file {
            reader.changes = file.changes();
        }
        Self {
            status_reader: StatusReader { log, registry, search, cache },
            head: Arc::new(Head::new(reader.clone())),
            reader,
            health,
            access,
            work,
            stop,
            trends: Trends::default(),
            last_health: Mutex::default(),
            alarm: Alarm::default(),
            checking: Mutex::default(),
            file,
            pages,
        }
    }
}

/// The position that the answer must include.
pub(crate) fn at_least(call: &Call) -> Option<AtLeast> {
    call.required_position.map(|required_position| AtLeast {
        position: required_position.position,
        deadline: required_position.deadline,
    })
}

/// Type and id of an aggregate, from the path.
pub(crate) fn aggregate(call: &Call) -> (&str, &str) {
    (&call.key, call.more_keys.first().map(String::as_str).unwrap_or_default())
}

/// The error for a log or sidecar database that did not answer.
pub(crate) fn failed(error: soonshop_event_log::Error) -> Problem {
    QueryError::from(error).into()
}
