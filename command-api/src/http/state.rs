//! The state that the endpoints share.

use std::collections::BTreeSet;
use std::sync::Arc;

use soonshop_domain::context;
use soonshop_event_store::EventStore;
use soonshop_service_kit::access::Access;
use soonshop_service_kit::work::{Bounds, Work};
use tokio_util::sync::CancellationToken;

/// The provider of payments that new payments are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferedProvider {
    /// As it is stored in payments.
    pub name: &'static str,
    /// No money moves.
    pub test: bool,
}

/// The state that the endpoints share.
#[derive(Clone)]
pub struct Commands {
    pub store: EventStore,
    /// Identifies callers.
    pub access: Access,
    /// The contexts to serve.
    pub contexts: BTreeSet<String>,
    /// `None`: nothing can be paid.
    pub provider: Option<OfferedProvider>,
    /// Gives turns to callers who wait for what becomes of a command.
    pub work: Work,
    /// Nobody waits any longer once it is cancelled.
    pub stop: CancellationToken,
}

impl Commands {
    /// Of all contexts, for the operator by that token and for guests; payments are made with the sandbox.
    pub fn new(store: EventStore, operator_token: Option<Arc<str>>) -> Self {
        Self {
            store,
            access: Access::new(operator_token),
            contexts: context::NAMES.map(str::to_owned).into(),
            provider: Some(OfferedProvider { name: "sandbox", test: true }),
            work: Work::new(&Bounds::DEFAULT),
            stop: CancellationToken::new(),
        }
    }
}
