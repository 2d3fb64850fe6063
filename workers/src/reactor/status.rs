//! A process manager as a whole: where it starts on a log, whether it may go on from where it is, and the row that says
//! whether it runs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait as _;
use soonshop_domain::process::Process;
use soonshop_event_log::checkpoint::of_process;
use soonshop_event_log::{Checkpoint, Db, Error, EventLog, Leases, Stopped};
use soonshop_event_store::{RecordOwner, purged};
use tokio_util::sync::CancellationToken;

/// The start position of a process manager that has not started yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Before the first event: it reacts to all that ever happened.
    Beginning,
    /// After the last event: it reacts to what happens from now on.
    Head,
}

impl Start {
    /// Where it starts unless the operator names a place; `None`: at the head.
    pub fn of(process: &dyn Process) -> Option<Self> {
        process.starts_at_the_beginning().then_some(Self::Beginning)
    }
}

/// Its current state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It had begun before, and stays at its position.
    Before { position: i64 },
    /// It starts there.
    At { position: i64 },
}

/// Writes the checkpoint of a process that has none yet. By default it starts at the head, which is the beginning
/// of an empty log.
pub async fn begin(log: &EventLog, db: &Db, process: &str, start: Option<Start>) -> Result<Begun, Error> {
    let follower = of_process(process);
    if let Some((at, _)) = Checkpoint::load(db, &db.connection, &follower).await? {
        return Ok(Begun::Before { position: at.position });
    }
    let head = log.head().await?;
    if start.is_none() && head.position > 0 {
        tracing::warn!(
            position = head.position,
            "{follower} is new to this log and starts at its head: `soonshop migrate --start-process \
             {process}=beginning` would have it react to all that is there"
        );
    }
    let at = if start == Some(Start::Beginning) { Checkpoint::start() } else { head };
    // A kill between the two leaves no checkpoint, and it begins once more.
    let sql = format!(
        "INSERT INTO @processes (process, state, since, started_at) VALUES ($1, 'running', {now}, {now}) \
         ON CONFLICT (process) DO UPDATE SET started_at = excluded.started_at",
        now = db.now()
    );
    db.connection.execute(db.statement(&sql, [process.into()])).await?;
    at.begin(db, &db.connection, &follower).await?;
    Ok(Begun::At { position: at.position })
}

/// Whether records of its commands may be purged already: its state was restored from a backup that is older than they
/// are kept. A running process is never too old: nothing younger than its checkpoint is purged. Nor is one that was
/// started after the purged time: it had sent nothing by then.
pub async fn too_old(log: &EventLog, db: &Db, process: &str) -> Result<Option<Stopped>, Error> {
    let follower = of_process(process);
    let Some((at, _)) = Checkpoint::load(db, &db.connection, &follower).await? else { return Ok(None) };
    let Some(purged) = purged(log.db(), RecordOwner::Processes).await? else { return Ok(None) };
    if started_at(db, process).await?.is_some_and(|started| started > purged) {
        return Ok(None);
    }
    let there = log.read(at.position, 1).await?.into_iter().find(|row| Some(row.event_id) == at.event_id);
    let too_old = match (at.event_id, there) {
        // It has read nothing yet, and old records are purged.
        (None, _) => true,
        (Some(_), Some(event)) => event.recorded_at <= purged,
        // Another event is at that position: the process stops for that reason.
        (Some(_), None) => false,
    };
    Ok(too_old.then_some(Stopped::TooOld { follower, position: at.position, purged }))
}

async fn started_at(db: &Db, process: &str) -> Result<Option<DateTime<Utc>>, Error> {
    let sql = "SELECT started_at FROM @processes WHERE process = $1";
    let row = db.connection.query_one(db.statement(sql, [process.into()])).await?;
    let millis: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
    Ok(millis.and_then(DateTime::from_timestamp_millis))
}

/// The processes whose command records must be kept: those that are not off.
pub(crate) async fn running(db: &Db) -> Result<Vec<String>, Error> {
    let sql = "SELECT process FROM @processes WHERE state <> 'off' ORDER BY process";
    let rows = db.connection.query_all(db.statement(sql, [])).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

/// Writes down that it runs, or why it does not.
pub(super) async fn write(db: &Db, process: &str, state: &str, reason: Option<&str>) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO @processes (process, state, reason, since) VALUES ($1, $2, $3, {now}) \
         ON CONFLICT (process) DO UPDATE SET state = excluded.state, reason = excluded.reason, since = excluded.since \
         WHERE processes.state <> excluded.state OR coalesce(processes.reason, '') <> coalesce(excluded.reason, '')",
        now = db.now()
    );
    db.connection.execute(db.statement(&sql, [process.into(), state.into(), reason.into()])).await?;
    Ok(())
}

pub(super) async fn stopped(db: &Db, process: &'static str, reason: String) {
    if let Err(error) = write(db, process, "stopped", Some(&reason)).await {
        tracing::warn!(process, %error, "the reason why the process stopped could not be stored");
    }
}

/// How often to check whether a process that is off here still runs elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(2);

/// Records that a process that had begun is off, once no process runs it any more.
pub(super) async fn switch_off(db: Db, process: &'static str, stop: CancellationToken) {
    let leases = Leases::new(db.clone(), "");
    let off = async || -> Result<bool, Error> {
        if leases.holder(&of_process(process)).await?.is_some() {
            return Ok(false);
        }
        let sql = format!(
            "UPDATE @processes SET state = 'off', reason = NULL, since = {} WHERE process = $1 AND state <> 'off'",
            db.now()
        );
        db.connection.execute(db.statement(&sql, [process.into()])).await?;
        Ok(true)
    };
    while !stop.is_cancelled() {
        match off().await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::warn!(process, %error, "the state `off` could not be stored"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(ELSEWHERE) => {}
        }
    }
}
