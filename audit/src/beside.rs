//! Work that computes, on a thread of its own: the threads that answer requests go on meanwhile.

use soonshop_domain::QueryError;
use tracing::Span;

/// Runs it beside, in the span of the request. How much runs at the same time is bounded by the turns of requests; how
/// long it takes, by the work itself.
pub(crate) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await.map_err(QueryError::internal)?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On one thread: work in its place would wait for ever.
    #[tokio::test]
    async fn the_thread_that_asks_goes_on_meanwhile() {
        let (send, receive) = std::sync::mpsc::channel();
        let working = beside(move || receive.recv().map_err(QueryError::internal));
        let (worked, sent) = tokio::join!(working, async { send.send(7) });
        assert_eq!((worked.unwrap(), sent), (7, Ok(())));
    }
}
