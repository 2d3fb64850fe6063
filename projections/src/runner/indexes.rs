//! Building the indexes of a generation, once there is something to index.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use sea_orm::{ConnectionTrait as _, DatabaseBackend, DbErr};
use soonshop_event_log::{Db, Stopped, quoted};

use super::fold::Fold;
use crate::generation::keyed_later;
use crate::transaction::{Durable, Transaction};

impl Fold<'_> {
    /// Builds the indexes, once there are rows. On PostgreSQL two at a time if a connection is free.
    pub async fn index(&mut self) -> Result<(), Stopped> {
        self.written().await?;
        let tx = Transaction::begin(&self.db, Durable::AtOnce).await?;
        // From here to the end of this transaction no other process can take over the rows.
        self.fence.hold(&tx).await?;
        let projector = &self.follower.projector;
        let keys = keyed_later(&**projector, &self.db).into_iter().map(|table| {
            let keys: Vec<String> = table.keys().iter().map(|key| quoted(key)).collect();
            let (name, keys) = (table.name(), keys.join(", "));
            format!("CREATE UNIQUE INDEX IF NOT EXISTS {name}_pkey ON @{name} ({keys})")
        });
        let others = projector.indexes().iter();
        let others = others.map(|sql| sql.replacen("CREATE INDEX ", "CREATE INDEX IF NOT EXISTS ", 1));
        let left = Mutex::new(keys.chain(others).collect::<VecDeque<_>>());
        let build = async |on: &Transaction| -> Result<(), DbErr> {
            unlimited(&self.db, on).await?;
            while let Some(sql) = next(&left) {
                on.execute_unprepared(&self.db.sql(&sql)).await?;
            }
            Ok(())
        };
        let beside = async {
            let Some(other) = Transaction::beside(&self.db).await? else { return Ok(()) };
            build(&other).await?;
            other.commit().await
        };
        tokio::try_join!(Box::pin(build(&tx)), Box::pin(beside))?;
        if self.db.backend() == DatabaseBackend::Postgres {
            // Until autovacuum analyses the table, about a minute later, the server would not know which index to
            // use.
            tx.execute_unprepared("SET LOCAL default_statistics_target = 20").await?;
            for table in projector.tables() {
                tx.execute_unprepared(&self.db.sql(&format!("ANALYZE @{}", table.name()))).await?;
            }
        }
        tx.commit().await?;
        self.complete_texts().await
    }
}

fn next(left: &Mutex<VecDeque<String>>) -> Option<String> {
    left.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Its statements may run, and wait for locks, without a time limit.
async fn unlimited(db: &Db, on: &Transaction) -> Result<(), DbErr> {
    if db.backend() == DatabaseBackend::Postgres {
        for limit in ["statement_timeout", "idle_in_transaction_session_timeout"] {
            on.execute_unprepared(&format!("SET LOCAL {limit} = 0")).await?;
        }
    }
    Ok(())
}
