//! The write side of a log: opening and closing it.

use std::sync::Arc;

use soonshop_event_log::{Database, DatabaseLocation, EventLog};

use crate::aggregate_cache::AggregateCache;
use crate::appender::Appender;
use crate::keys::KeyMaker;
use crate::purge::{Purge, Purged};
use crate::{AppendError, postgres, sqlite};

/// The write side of a log.
#[derive(Clone)]
pub struct EventStore {
    pub(crate) appender: Appender,
    pub(crate) log: EventLog,
    pub(crate) keys: KeyMaker,
    pub(crate) states: AggregateCache,
    /// Ends when the last store is dropped.
    pub(crate) writer: Arc<tokio::task::JoinHandle<()>>,
    pub(crate) metrics: crate::metrics::Appends,
}

impl EventStore {
    /// Opens the store in `database`. It does not connect yet.
    pub fn open(database: &Database, keys: KeyMaker) -> Result<Self, soonshop_event_log::Error> {
        let backend: Box<dyn crate::appender::Backend> = match database.location() {
            DatabaseLocation::Postgres(url) => Box::new(postgres::Postgres::new(url)?),
            DatabaseLocation::Sqlite(folder) => Box::new(sqlite::Sqlite::new(folder)),
        };
        let metrics = crate::metrics::Appends::default();
        let (appender, writer) = Appender::start(backend, metrics.clone());
        let log = EventLog::new(database.namespace("log")?, keys.store().clone());
        Ok(Self {
            appender,
            log,
            keys,
            states: AggregateCache::new(20_000),
            writer: Arc::new(writer),
            metrics,
        })
    }

    /// The counters of appends since the process started.
    pub fn metrics(&self) -> &crate::metrics::Appends {
        &self.metrics
    }

    /// Succeeds if this process may write the log: a SQLite log has one owner.
    pub fn check_owner(database: &Database) -> Result<(), AppendError> {
        match database.location() {
            DatabaseLocation::Postgres(_) => Ok(()),
            DatabaseLocation::Sqlite(folder) => match sqlite::own(folder) {
                Ok(_) => Ok(()),
                Err(crate::appender::BatchError::Owned(reason)) => Err(AppendError::Owned(reason)),
                Err(_) => Err(AppendError::Unavailable(format!("{} cannot be locked", folder.display()))),
            },
        }
    }

    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// Why this process could not write the log last.
    pub fn last_failure(&self) -> crate::LastFailure {
        self.appender.failed()
    }

    /// The last position that this process appended; it changes with every append.
    pub fn appended(&self) -> tokio::sync::watch::Receiver<i64> {
        self.appender.appended()
    }

    /// One step of a purge: a transaction that takes the log's lock first, and deletes so few records that appends
    /// hardly wait.
    pub async fn purge(&self, purge: Purge) -> Result<Purged, AppendError> {
        self.appender.purge(purge).await
    }

    pub fn keys(&self) -> &KeyMaker {
        &self.keys
    }

    /// The entry to the log for events that are decided elsewhere.
    pub fn appender(&self) -> &Appender {
        &self.appender
    }

    /// Ends the appender if this is the store's last clone: its connection is closed, and another process can own a
    /// SQLite log.
    pub async fn close(self) {
        let Self { appender, writer, .. } = self;
        drop(appender);
        if let Some(writer) = Arc::into_inner(writer)
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the appender ended badly");
        }
    }

    /// True once the appender has ended; this never happens while a store is in use.
    pub fn is_stopped(&self) -> bool {
        self.writer.is_finished()
    }
}
