//! The state that the endpoints share.

use std::collections::BTreeSet;
use std::sync::Arc;

use soonshop_domain::context;
use soonshop_event_store::EventStore;
use soonshop_service_kit::access::Access;

/// The state that the endpoints share.
#[derive(Clone)]
pub struct Commands {
    pub store: EventStore,
    /// Identifies callers.
    pub access: Access,
    /// The contexts to serve.
    pub contexts: BTreeSet<String>,
}

impl Commands {
    /// Of all contexts, for the operator by that token and for guests.
    pub fn new(store: EventStore, operator_token: Option<Arc<str>>) -> Self {
        Self {
            store,
            access: Access::new(operator_token),
            contexts: context::NAMES.map(str::to_owned).into(),
        }
    }
}
