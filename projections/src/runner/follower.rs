//! The follower of one generation: its rows, and the sinks behind them.

use std::sync::Arc;

use futures::future::BoxFuture;
use sea_orm::ConnectionTrait as _;
use soonshop_event_log::follow::{Work, follow};
use soonshop_event_log::{Error, Lease, Leases, Stopped};
use tokio_util::sync::CancellationToken;

use crate::{Feed, Generation, Projector, Registry};

/// Follows the log for one generation.
pub struct Follower {
    pub projector: Arc<dyn Projector>,
    pub generation: Generation,
    pub registry: Registry,
    pub feed: Feed,
    /// This process's name, which no other process has.
    pub holder: String,
}

impl Follower {
    /// The name of a sink's lease: `rm_orders_3:rows`.
    pub fn name(&self, sink: &str) -> String {
        self.generation.lease(sink)
    }

    /// The leases of generations, held by this process.
    pub fn leases(&self) -> Leases {
        Leases::new(self.registry.operations().clone(), self.holder.clone())
    }

    /// Follows the log under the lease of one sink until it is stopped.
    pub(crate) async fn follow<'a, W: Work + 'a>(
        &'a self,
        sink: &'a str,
        stop: &CancellationToken,
        begin: impl Fn(Lease) -> BoxFuture<'a, Result<W, Stopped>> + Send + Sync,
    ) {
        let report = |reason: String| -> BoxFuture<'a, ()> {
            Box::pin(async move { self.report(sink, "stopped", &reason).await })
        };
        follow(&self.leases(), &self.name(sink), stop, begin, report).await;
    }

    /// Records the follower's state, and why it stopped, for readers that wait for it.
    pub(crate) async fn report(&self, sink: &str, state: &str, reason: &str) {
        let written = async {
            let db = self.generation.db(self.registry.database())?;
            let sql = "INSERT INTO @status (follower, state, reason) VALUES ($1, $2, $3) ON CONFLICT (follower) \
                       DO UPDATE SET state = excluded.state, reason = excluded.reason";
            db.connection.execute(db.statement(sql, [sink.into(), state.into(), reason.into()])).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "the state of a follower could not be stored");
        }
    }
}
