//! The shared state of the tasks under one lease of a process manager.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use sea_orm::{DatabaseTransaction, TransactionTrait as _};
use soonshop_event_log::{Fence, Stopped};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::Reactor;
use super::rows::{Row, Rows};

/// An instance that something is to be done for.
pub(super) enum Named {
    /// It has something to send: these rows, if they are known.
    New(String, Option<Vec<Row>>),
    /// The command that it waits with may be tried again.
    Again(String),
}

/// Commands that were sent and whose rows are still there. They are deleted with the next change of instances, or soon.
#[derive(Default)]
pub(super) struct Sent {
    /// The number of the last one of each instance.
    numbers: std::sync::Mutex<HashMap<String, i64>>,
    more: Notify,
}

impl Sent {
    fn numbers(&self) -> std::sync::MutexGuard<'_, HashMap<String, i64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, instance: &str, number: i64) {
        let mut numbers = self.numbers();
        let last = numbers.entry(instance.to_owned()).or_default();
        *last = number.max(*last);
        drop(numbers);
        self.more.notify_one();
    }

    /// The number of the last one of an instance, or 0.
    pub(super) fn last(&self, instance: &str) -> i64 {
        self.numbers().get(instance).copied().unwrap_or_default()
    }

    /// Takes them, to delete their rows.
    pub(super) fn take(&self) -> Vec<(String, i64)> {
        std::mem::take(&mut *self.numbers()).into_iter().collect()
    }

    /// Waits until there are some.
    pub(super) async fn some(&self) {
        self.more.notified().await;
    }
}

/// The shared state of the tasks of one lease.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) reactor: Arc<Reactor>,
    /// Held while instances change.
    pub(super) lock: Arc<Mutex<()>>,
    pub(super) sent: Arc<Sent>,
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
