//! The shared state of the endpoints.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use soonshop_cache::Cache;
use soonshop_domain::QueryError;
use soonshop_event_log::EventLog;
use soonshop_projections::Registry;
use soonshop_projections::source::Source;
use soonshop_projections::wait::{self, AtLeast};
use soonshop_search::Search;
use soonshop_service_kit::access::Access;
use soonshop_service_kit::endpoint::{self, RequiredPosition};
use soonshop_service_kit::work::Work;

use super::cached::ProductCache;
use super::looks::Looks;

/// The sources of the endpoints.
#[derive(Clone)]
pub struct Queries {
    /// The read models.
    pub registry: Registry,
    /// The log, from which states of the past are folded.
    pub log: EventLog,
    /// The index of products.
    pub search: Arc<dyn Search>,
    /// It may be unavailable at any time.
    pub cache: Arc<dyn Cache>,
    /// Authenticates callers.
    pub access: Access,
    /// Gives turns to what costs something; one for all services of a process.
    pub work: Work,
    /// The contexts that are served.
    pub contexts: BTreeSet<String>,
}

/// The state that all requests of a router share.
pub(crate) struct Shared {
    pub(crate) queries: Queries,
    pub(crate) kept: ProductCache,
    pub(crate) looks: Looks,
}

/// One request.
pub(crate) type Call = endpoint::Call<Shared>;
/// The action of an endpoint.
pub(crate) type Action = endpoint::Action<Shared>;
/// A row of the endpoint table.
pub(crate) type Endpoint = endpoint::Endpoint<Shared>;

impl endpoint::Shared for Shared {
    fn access(&self) -> &Access {
        &self.queries.access
    }

    fn work(&self) -> &Work {
        &self.queries.work
    }

    fn reach(&self, required_position: RequiredPosition) -> BoxFuture<'_, ()> {
        let at_least = AtLeast { position: required_position.position, deadline: required_position.deadline };
        // An error is not returned here: the endpoint reads the log again, and reports it.
        Box::pin(async move { drop(wait::head(&self.queries.log, Some(at_least)).await) })
    }
}

impl Shared {
    pub(crate) fn new(queries: Queries) -> Self {
        Self { kept: ProductCache::new(Arc::clone(&queries.cache)), looks: Looks::default(), queries }
    }

    /// The generation in use; or the one of a cursor, while it exists.
    pub(crate) async fn source(
        &self,
        projection: &str,
        of_cursor: Option<i32>,
    ) -> Result<Source, QueryError> {
        Source::of(&self.queries.registry, projection, of_cursor).await
    }
}

/// The position that the answer must include.
pub(crate) fn at_least(call: &Call) -> Option<AtLeast> {
    call.required_position.map(|required_position| AtLeast {
        position: required_position.position,
        deadline: required_position.deadline,
    })
}
