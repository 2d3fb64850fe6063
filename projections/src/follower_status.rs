//! How far a follower of the log is behind its head.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseBackend};
use serde::Serialize;
use soonshop_event_log::{Checkpoint, Error, EventLog, Leases};

use crate::verdict::{Complaint, Memory, Observed, Trouble};

/// The status of a follower of the whole log: the relay, whose lag is the events that the bus has not confirmed; or
/// the sealer, whose lag is the events that no seal covers.
#[derive(Debug, Clone, Serialize)]
pub struct FollowerStatus {
    /// `None`: it has never started, or cannot be read.
    pub position: Option<i64>,
    pub lag_events: i64,
    /// How long the first of them has been in the log, in seconds.
    pub lag_seconds: f64,
    /// The process that does its work now.
    pub holder: Option<String>,
    /// Why it is unhealthy; `None`: it is healthy.
    pub complaint: Option<String>,
    /// Since when.
    pub unhealthy_since: Option<DateTime<Utc>>,
    /// The code of the remedy.
    pub remedy: Option<&'static str>,
    /// The same as the complaint, as data.
    #[serde(skip)]
    pub trouble: Option<Trouble>,
}

impl FollowerStatus {
    /// One that is in this trouble at the moment, or in none.
    pub(crate) fn new(
        position: Option<i64>,
        (lag_events, lag_seconds): (i64, f64),
        trouble: Option<Trouble>,
    ) -> Self {
        let complaint = trouble.as_ref().map(ToString::to_string);
        Self {
            position,
            lag_events,
            lag_seconds,
            holder: None,
            complaint,
            unhealthy_since: None,
            remedy: None,
            trouble,
        }
    }

    /// Replaces what is wrong at the moment.
    pub(crate) fn set_trouble(&mut self, trouble: Option<Trouble>) {
        self.complaint = trouble.as_ref().map(ToString::to_string);
        self.trouble = trouble;
    }

    /// Looks up which process holds its lease, and why its worker stopped, if it did.
    pub(crate) async fn look_up_holder(&mut self, leases: &Leases, lease: &str) -> Result<(), Error> {
        let asked = async { Ok((leases.holder(lease).await?, leases.stop_note(lease).await?)) };
        match asked.await {
            Ok((holder, note)) => {
                self.holder = holder;
                let is_known = matches!(self.trouble, Some(Trouble::Other { .. }));
                if let Some(note) = note.filter(|note| note.is_retried && !is_known) {
                    self.set_trouble(Some(Trouble::Other { detail: note.reason }));
                }
            }
            // As with its checkpoint.
            Err(error @ (Error::Database(_) | Error::Damaged(_))) => {
                let found = self.trouble.take();
                self.set_trouble(found.or_else(|| Some(Trouble::Other { detail: error.to_string() })));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Judges it by what is remembered of it, and by whether a process does its work.
    pub(crate) fn judge(&mut self, memory: &mut Memory, subject: &str, in_use: bool) {
        if self.holder.is_none() && matches!(self.trouble, Some(Trouble::Late { .. })) {
            self.trouble = Some(Trouble::Unkept);
        }
        let found = memory.judge(&Observed {
            subject: subject.to_owned(),
            position: self.position.unwrap_or(0),
            lag_events: self.lag_events,
            lag_seconds: self.lag_seconds,
            holder: self.holder.as_deref(),
            in_use,
            trouble: self.trouble.take(),
        });
        (self.unhealthy_since, self.remedy, self.trouble) = match found {
            Some(Complaint { trouble, since, remedy }) => (Some(since), Some(remedy), Some(trouble)),
            None => (None, None, None),
        };
        self.complaint = self.trouble.as_ref().map(ToString::to_string);
    }
}

/// The status of a follower whose checkpoint is `at`.
pub(crate) async fn follower_status(
    log: &EventLog,
    at: Result<Option<Checkpoint>, Error>,
) -> Result<FollowerStatus, Error> {
    let stopped = |position, error: Error| {
        FollowerStatus::new(position, (0, 0.0), Some(Trouble::Other { detail: error.to_string() }))
    };
    let position = match at {
        Ok(at) => at.map(|at| at.position),
        Err(error @ Error::AheadOfLog { position, .. }) => return Ok(stopped(Some(position), error)),
        // An error of this follower alone is reported as its complaint; a database that is down fails the whole
        // request.
        Err(error @ (Error::Database(_) | Error::Damaged(_) | Error::Seals(_))) => {
            return Ok(stopped(None, error));
        }
        Err(error) => return Err(error),
    };
    let (lag_events, lag_seconds) = lag(log, position, log.head().await?.position).await?;
    Ok(FollowerStatus::new(position, (lag_events, lag_seconds), Trouble::of_lag(lag_seconds)))
}

/// How far `position` is behind the head, in events and in seconds.
pub(crate) async fn lag(log: &EventLog, position: Option<i64>, head: i64) -> Result<(i64, f64), Error> {
    let seen = position.unwrap_or(0);
    let seconds = if seen < head { waiting(log, seen + 1).await? } else { 0.0 };
    Ok(((head - seen).max(0), seconds))
}

/// How long the event at that position has been in the log, in seconds.
pub(crate) async fn waiting(log: &EventLog, position: i64) -> Result<f64, Error> {
    let event = log.read(position, 1).await?.into_iter().next();
    let now = soonshop_domain::clock::now();
    let age = |recorded: DateTime<Utc>| (now - recorded).to_std().unwrap_or_default().as_secs_f64();
    Ok(event.map_or(0.0, |event| age(event.recorded_at)))
}

/// Whether the log is read from a standby of PostgreSQL, which may lag behind.
pub(crate) async fn is_standby(log: &EventLog) -> Result<bool, Error> {
    let db = log.db();
    if db.backend() != DatabaseBackend::Postgres {
        return Ok(false);
    }
    let row = db.connection.query_one(db.statement("SELECT pg_is_in_recovery()", [])).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(false))
}
