//! The shared state of the tasks under one lease of a process manager.

use std::sync::Arc;

use sea_orm::{DatabaseTransaction, TransactionTrait as _};
use soonshop_event_log::{Fence, Stopped};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::Reactor;
use super::rows::Rows;

/// An instance that something is to be done for.
pub(super) enum Named {
    /// It has something to send.
    New(String),
    /// The command that it waits with may be tried again.
    Again(String),
}

/// The shared state of the tasks of one lease.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) reactor: Arc<Reactor>,
    /// Held while instances change.
    pub(super) lock: Arc<Mutex<()>>,
    /// Commands that were sent and whose rows are still there: instance and number.
    pub(super) sent: Arc<std::sync::Mutex<Vec<(String, i64)>>>,
    pub(super) names: mpsc::UnboundedSender<Named>,
    /// The checkpoint of the process, under this lease.
    pub(super) fence: Fence,
    pub(super) stop: CancellationToken,
    /// Set once every event that this release can read was read: then send what can be sent now, and wait for nothing.
    pub(super) read: CancellationToken,
}

impl Work {
    pub(super) fn name(&self, named: Named) {
        // An error means that the dispatcher has ended; the next holder of the lease finds its rows again.
        drop(self.names.send(named));
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        self.reactor.rows()
    }

    /// A transaction that changes an instance's state. It begins with the checkpoint's row: a process that lost the
    /// lease changes nothing, and on SQLite the lock is taken before anything is read.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, Stopped> {
        let tx = self.reactor.db.connection.begin().await?;
        self.fence.hold(&tx).await?;
        Ok(tx)
    }
}
