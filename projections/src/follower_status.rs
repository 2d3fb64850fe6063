//! How far something that follows the log is behind its head.

use chrono::Utc;
use serde::Serialize;
use soonshop_event_log::{Checkpoint, Error, EventLog};

/// What is further behind than this, in seconds, is not as it should be: a generation in use, the relay, the seals.
pub(crate) const UNHEALTHY: f64 = 60.0;

fn late(seconds: f64) -> Option<String> {
    (seconds > UNHEALTHY).then(|| format!("{seconds:.0} s behind"))
}

/// What follows the whole log: the relay, whose lag is what the bus has not confirmed; and the seals, whose lag is what
/// no signature holds yet.
#[derive(Debug, Clone, Serialize)]
pub struct FollowerStatus {
    /// `None`: it has never begun, or cannot be asked.
    pub position: Option<i64>,
    pub lag_events: i64,
    /// For how long the first of them has been in the log, in seconds.
    pub lag_seconds: f64,
    /// Why it is not as it should be.
    pub complaint: Option<String>,
}

/// How what has got to `at` follows the log.
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
        // What another role may not read, or what does not hold, is said; what is away is away for all of it.
        Err(error @ (Error::Database(_) | Error::Seals(_))) => return Ok(stopped(None, error)),
        Err(error) => return Err(error),
    };
    let (lag_events, lag_seconds) = lag(log, position, log.head().await?.position).await?;
    Ok(FollowerStatus { position, lag_events, lag_seconds, complaint: late(lag_seconds) })
}

/// How far somebody who is at `position` is behind the head, in events and in seconds.
pub(crate) async fn lag(log: &EventLog, position: Option<i64>, head: i64) -> Result<(i64, f64), Error> {
    let seen = position.unwrap_or(0);
    let seconds = if seen < head { waiting(log, seen + 1).await? } else { 0.0 };
    Ok(((head - seen).max(0), seconds))
}

/// For how long the event at that position has been there, in seconds.
pub(crate) async fn waiting(log: &EventLog, position: i64) -> Result<f64, Error> {
    let event = log.read(position, 1).await?.into_iter().next();
    let now = soonshop_domain::clock::now();
    let age = |recorded: chrono::DateTime<Utc>| (now - recorded).to_std().unwrap_or_default().as_secs_f64();
    Ok(event.map_or(0.0, |event| age(event.recorded_at)))
}
