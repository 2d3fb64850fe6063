//! What the endpoints work with.

use std::collections::BTreeSet;
use std::sync::Arc;

use soonshop_cache::Cache;
use soonshop_domain::QueryError;
use soonshop_event_log::EventLog;
use soonshop_projections::Registry;
use soonshop_projections::source::Source;
use soonshop_projections::wait::AtLeast;
use soonshop_search::Search;
use soonshop_service_kit::access::Access;
use soonshop_service_kit::endpoint;

use super::cached::Kept;

/// What the endpoints work with.
#[derive(Clone)]
pub struct Queries {
    /// The read models.
    pub registry: Registry,
    /// What a state of the past is folded from.
    pub log: EventLog,
    /// The index of products.
    pub search: Arc<dyn Search>,
    /// May be gone at any time.
    pub cache: Arc<dyn Cache>,
    /// Tells callers apart.
    pub access: Access,
    /// The contexts whose endpoints are there.
    pub contexts: BTreeSet<String>,
}

/// What all requests of a router share.
pub(crate) struct Shared {
    pub(crate) queries: Queries,
    pub(crate) kept: Kept,
}

/// One request.
pub(crate) type Call = endpoint::Call<Shared>;
/// What a row of the table does.
pub(crate) type Action = endpoint::Action<Shared>;
/// A row of the table.
pub(crate) type Endpoint = endpoint::Endpoint<Shared>;

impl endpoint::Shared for Shared {
    fn access(&self) -> &Access {
        &self.queries.access
    }
}

impl Shared {
    pub(crate) fn new(queries: Queries) -> Self {
        Self { kept: Kept::new(Arc::clone(&queries.cache)), queries }
    }

    /// The generation that readers go by; or the one of a cursor, while it lives.
    pub(crate) async fn source(
        &self,
        projection: &str,
        of_cursor: Option<i32>,
    ) -> Result<Source, QueryError> {
        Source::of(&self.queries.registry, projection, of_cursor).await
    }
}

/// What the answer must have seen.
pub(crate) fn at_least(call: &Call) -> Option<AtLeast> {
    call.wanted.map(|wanted| AtLeast { position: wanted.position, deadline: wanted.deadline })
}
