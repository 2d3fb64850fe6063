//! Runs process managers: each follows the log with a checkpoint, a lease, instances and timeouts of its own. The
//! commands of an instance are stored in the transaction of the checkpoint, and sent in order, one at a time per
//! instance, until each is done or refused.
//!
//! Command ids are derived from the input, so sending a command twice does it once. A process that is killed anywhere
//! continues from its rows. The protocol between the tasks: the reader (`following.rs`) and the clock (`clock.rs`) write
//! rows (`changes.rs`) and name the instance; a worker per named instance sends its rows (`sending.rs`), which it is
//! given if they are all that the instance has, and reads otherwise; rows that were sent are deleted with the next
//! change. One lock serializes changes of instances. The rows are in `rows.rs`, and the status of a process in
//! `status.rs`.

mod changes;
mod clock;
mod completing;
mod following;
mod rows;
mod sending;
pub mod status;
mod work;

use std::sync::Arc;

use futures::future::BoxFuture;
use soonshop_domain::process::Process;
use soonshop_event_log::checkpoint::of_process;
use soonshop_event_log::{Db, Lease, Leases, Stopped};
use soonshop_event_store::EventStore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use rows::Rows;

pub use status::{Begun, Start, begin, too_old};

/// One process manager at work.
pub struct Reactor {
    pub store: EventStore,
    /// The namespace `process`.
    pub db: Db,
    pub process: Arc<dyn Process>,
    pub holder: String,
}

/// Runs every process of the list that is on. Each runs independently: one that stops does not stop others.
pub async fn run(
    store: EventStore,
    db: Db,
    processes: Vec<Arc<dyn Process>>,
    holder: String,
    stop: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    for process in processes {
        if process.is_on() {
            let reactor = Reactor { store: store.clone(), db: db.clone(), process, holder: holder.clone() };
            tasks.spawn(reactor.run(stop.clone()));
        } else {
            tasks.spawn(status::switch_off(db.clone(), process.name(), stop.clone()));
        }
    }
    while tasks.join_next().await.is_some() {}
}

impl Reactor {
    /// Runs the process until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.db.clone(), self.holder.clone());
        let (db, name) = (self.db.clone(), self.process.name());
        let reactor = Arc::new(self);
        let follow =
            |lease: Lease| -> BoxFuture<'_, Result<(), Stopped>> { Box::pin(reactor.follow(lease, &stop)) };
        let report = |reason: String| -> BoxFuture<'_, ()> { Box::pin(status::stopped(&db, name, reason)) };
        leases.hold(&of_process(name), &stop, follow, report).await;
    }

    /// The name of its checkpoint and its lease.
    fn follower(&self) -> String {
        of_process(self.process.name())
    }

    fn rows(&self) -> Rows<'_> {
        Rows { db: &self.db, process: self.process.name() }
    }
}
