//! The shared state of the pages and endpoints of the audit trail.

use std::sync::Arc;

use soonshop_audit::file::File;
use soonshop_audit::reader::Reader;
use soonshop_audit::trend::Trends;
use soonshop_cache::Cache;
use soonshop_domain::QueryError;
use soonshop_event_log::EventLog;
use soonshop_projections::Registry;
use soonshop_projections::status::StatusReader;
use soonshop_projections::wait::AtLeast;
use soonshop_search::Search;
use soonshop_service_kit::access::Access;
use soonshop_service_kit::health::Health;
use soonshop_service_kit::{Problem, endpoint};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::head::Head;

/// How many exports one process makes at a time: each reads much, and is on the disk until it was downloaded.
pub(crate) const EXPORTS: usize = 4;

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
    pub health: Health,
    /// Authenticates callers.
    pub access: Access,
    /// Ends the answers that have no end of their own.
    pub stop: CancellationToken,
}

/// The state that all requests of a router share.
pub(crate) struct Shared {
    pub(crate) reader: Reader,
    /// Reads the health of the shop.
    pub(crate) status_reader: StatusReader,
    pub(crate) health: Health,
    pub(crate) access: Access,
    pub(crate) stop: CancellationToken,
    pub(crate) head: Arc<Head>,
    pub(crate) trends: Trends,
    /// Held during a check of the log, which reads all of it.
    pub(crate) checking: Mutex<()>,
    /// A permit is held while an export is made.
    pub(crate) exporting: Semaphore,
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
}

impl Shared {
    pub(crate) fn new(viewer: Viewer, file: Option<Arc<File>>, pages: Vec<&'static str>) -> Self {
        let Viewer { registry, log, search, cache, health, access, stop } = viewer;
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
            stop,
            trends: Trends::default(),
            checking: Mutex::default(),
            exporting: Semaphore::new(EXPORTS),
            file,
            pages,
        }
    }
}

/// The position that the answer must include.
pub(crate) fn at_least(call: &Call) -> Option<AtLeast> {
    call.wanted.map(|wanted| AtLeast { position: wanted.position, deadline: wanted.deadline })
}

/// Type and id of an aggregate, from the path.
pub(crate) fn aggregate(call: &Call) -> (&str, &str) {
    (&call.key, call.more_keys.first().map(String::as_str).unwrap_or_default())
}

/// The error for a log or sidecar database that did not answer.
pub(crate) fn failed(error: soonshop_event_log::Error) -> Problem {
    QueryError::from(error).into()
}
