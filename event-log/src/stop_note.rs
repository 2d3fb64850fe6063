//! Why a worker stopped: kept beside its lease, where every process can look it up, until the worker works again.

use sea_orm::ConnectionTrait as _;

use crate::{Error, Leases};

/// A worker that tries again writes its note at least this often, in milliseconds; an older one is of a process that is
/// gone.
const FRESH: i64 = 60_000;

/// Why a worker stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopNote {
    pub reason: String,
    /// A process tries to do the work again and again.
    pub is_retried: bool,
}

impl Leases {
    /// Keeps why the worker of this lease stopped, unless another process does the work by now. The lease is of the
    /// namespace `process`.
    pub async fn note_stopped(&self, name: &str, reason: &str) -> Result<(), Error> {
        let db = self.db();
        let now = db.now();
        let sql = format!(
            "UPDATE @leases SET stopped = $2, stopped_at = {now} \
             WHERE name = $1 AND (holder = $3 OR expires_at < {now})"
        );
        let values = [name.into(), reason.into(), self.holder_name().into()];
        db.connection.execute(db.statement(&sql, values)).await?;
        Ok(())
    }

    /// The worker of this lease works.
    pub async fn note_works(&self, name: &str) -> Result<(), Error> {
        let db = self.db();
        let sql =
            "UPDATE @leases SET stopped = NULL, stopped_at = NULL WHERE name = $1 AND stopped IS NOT NULL";
        db.connection.execute(db.statement(sql, [name.into()])).await?;
        Ok(())
    }

    /// Why the worker of this lease stopped; `None`: it works, as far as is known.
    pub async fn stop_note(&self, name: &str) -> Result<Option<StopNote>, Error> {
        let db = self.db();
        let sql = format!("SELECT stopped, stopped_at > {} - {FRESH} FROM @leases WHERE name = $1", db.now());
        let Some(row) = db.connection.query_one(db.statement(&sql, [name.into()])).await? else {
            return Ok(None);
        };
        let Some(reason) = row.try_get_by_index::<Option<String>>(0)? else { return Ok(None) };
        let is_fresh: Option<bool> = row.try_get_by_index(1)?;
        let is_retried = is_fresh.unwrap_or(false) || self.holder(name).await?.is_some();
        Ok(Some(StopNote { reason, is_retried }))
    }
}
