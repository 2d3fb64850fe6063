//! How far a follower of the log is behind its head.

use chrono::Utc;
use serde::Serialize;
use soonshop_event_log::{Checkpoint, Error, EventLog};

/// A lag above this many seconds is unhealthy, for a generation in use, the relay and the seals.
pub(crate) const UNHEALTHY: f64 = 60.0;

fn late(seconds: f64) -> Option<String> {
    (seconds > UNHEALTHY).then(|| format!("{seconds:.0} s behind"))
}

/// The status of a follower of the whole log: the relay, whose lag is the events that the bus has not confirmed; or
/// the sealer, whose lag is the events that no seal covers.
#[derive(Debug, Clone, Serialize)]
pub struct FollowerStatus {
    /// `None`: it has never started, or cannot be read.
    pub position: Option<i64>,
    pub lag_events: i64,
    /// How long the first of them has been in the log, in seconds.
    pub lag_seconds: f64,
    /// Why it is unhealthy; `None`: it is healthy.
    pub complaint: Option<String>,
}

/// The status of a follower whose checkpoint is `at`.
pub(crate) async fn follower_status(
    log: &EventLog,
    at: Result<Option<Checkpoint>, Error>,
) -> Result<FollowerStatus, Error> {
    let stopped = |position, error: Error| {
        let complaint = Some(error.to_string());
        FollowerStatus { position, lag_events: 0, lag_seconds: 0.0, complaint }
    };
    let position = match at {
        Ok(at) => at.map(|at| at.position),
        Err(error @ Error::AheadOfLog { position, .. }) => return Ok(stopped(Some(position), error)),
        // An error of this follower alone is reported as its complaint; a database that is down fails the whole
        // request.
        Err(error @ (Error::Database(_) | Error::Seals(_))) => return Ok(stopped(None, error)),
        Err(error) => return Err(error),
    };
    let (lag_events, lag_seconds) = lag(log, position, log.head().await?.position).await?;
    Ok(FollowerStatus { position, lag_events, lag_seconds, complaint: late(lag_seconds) })
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
    let age = |recorded: chrono::DateTime<Utc>| (now - recorded).to_std().unwrap_or_default().as_secs_f64();
    Ok(event.map_or(0.0, |event| age(event.recorded_at)))
}
