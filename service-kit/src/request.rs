//! The request that is being answered.

use uuid::Uuid;

use crate::trace::TraceParent;

/// The ids of a request. An extractor; also available to all code in the request's own task.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext {
    /// New for every request.
    pub request_id: Uuid,
    /// From the client, or the request's own id: everything caused by the request shares it.
    pub correlation_id: Uuid,
    pub trace: TraceParent,
}

tokio::task_local! {
    pub(crate) static CONTEXT: RequestContext;
}

impl RequestContext {
    /// The request that this task is answering.
    pub fn current() -> Option<Self> {
        CONTEXT.try_with(|context| *context).ok()
    }
}
