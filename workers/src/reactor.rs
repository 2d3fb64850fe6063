//! Runs process managers: each follows the log by itself, with a checkpoint, a lease, instances and timeouts of its own.
//! What an instance wants to do is stored in the transaction of the checkpoint, and sent in order, one command at a time
//! per instance, until it is done or refused.
//!
//! Command ids come from the input, so sending twice is doing once. A process that is killed anywhere goes on from its
//! rows. The protocol between the tasks: the reader ([`following`]) and the clock ([`clock`]) write rows and name the
//! instance; a worker per named instance sends its rows ([`sending`]); changes of instances are serialized by one lock.
//! What they write is in [`rows`], and what is shown of a process as a whole in [`status`].

mod clock;
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

/// Runs every process of the list that is switched on, each by itself: one that stops stops no other.
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
    /// Runs the process until it is told to stop.
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
