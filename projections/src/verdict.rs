//! Whether a follower works: a verdict with a memory, which all views share.
//!
//! A follower that is in trouble stays so until it has really worked: its position has moved past the one at which it
//! was, or nothing is left to do. An attempt that takes its lease and fails again ends nothing. What is remembered is in
//! the table `operations.verdicts`, so that every process tells the same since when.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::ConnectionTrait as _;
use serde::{Deserialize, Serialize};
use soonshop_domain::clock;
use soonshop_event_log::{Db, Error, READ_MODEL};

/// A lag above this many seconds is unhealthy, for a generation in use, the relay and the seals.
pub(crate) const UNHEALTHY: f64 = 60.0;

/// A follower that was late is healthy again below this lag, in seconds.
const HEALTHY_AGAIN: f64 = UNHEALTHY / 2.0;

/// How long the memory of verdicts may take: where its table is kept locked, the verdict of this moment goes without it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A late follower whose position does not change for so long is stalled.
const STALLED_AFTER: TimeDelta = TimeDelta::seconds(15);

/// Why a follower is unhealthy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Trouble {
    #[error("{sink} stopped: {reason}")]
    Stopped { sink: String, reason: String },
    #[error("events parked: {count}")]
    Parked { count: i64 },
    #[error("no worker is running")]
    Unkept,
    #[error("{seconds:.0} s behind")]
    Late { seconds: f64 },
    /// An earlier release wrote it under another name.
    #[serde(alias = "standing")]
    #[error("a worker holds it, but it has not moved from position {position}")]
    Stalled { position: i64 },
    /// Its own error.
    #[error("{detail}")]
    Other { detail: String },
}

impl Trouble {
    /// A lag that is too large.
    pub(crate) fn of_lag(seconds: f64) -> Option<Self> {
        (seconds > UNHEALTHY).then_some(Self::Late { seconds })
    }

    /// The code of the remedy. `holder`: the process that has the lease.
    pub fn remedy(&self, holder: Option<&str>) -> &'static str {
        match self {
            Self::Stopped { reason, .. } if reason.contains("ahead-of-log") => "rebuild",
            Self::Stopped { reason, .. } if reason.contains("newer release") => "release",
            Self::Other { detail } if detail.contains("ahead-of-log") => "cut-off",
            Self::Stopped { .. } | Self::Other { .. } => "stopped",
            Self::Parked { .. } => "parked",
            Self::Unkept => "workers",
            Self::Late { .. } | Self::Stalled { .. } if holder.is_some_and(is_tool) => "held",
            Self::Late { .. } => "late",
            Self::Stalled { .. } => "stalled",
        }
    }
}

/// The tool takes a lease from its worker for a while.
fn is_tool(holder: &str) -> bool {
    holder.starts_with("replay-tool/")
}

/// The trouble of a follower, since when, and the remedy.
#[derive(Debug, Clone, PartialEq)]
pub struct Complaint {
    pub trouble: Trouble,
    pub since: DateTime<Utc>,
    /// The code of the remedy.
    pub remedy: &'static str,
}

/// A follower as it is at this moment.
#[derive(Debug, Clone)]
pub(crate) struct Observed<'a> {
    pub(crate) subject: String,
    pub(crate) position: i64,
    pub(crate) lag_events: i64,
    pub(crate) lag_seconds: f64,
    pub(crate) holder: Option<&'a str>,
    /// Readers use it, or it is switched on: only then has it to get on.
    pub(crate) in_use: bool,
    /// Its trouble now, if it has any.
    pub(crate) trouble: Option<Trouble>,
}

/// The memory of a follower that is in trouble.
#[derive(Debug, Clone, PartialEq)]
struct Remembered {
    since: DateTime<Utc>,
    /// Its position when this was last seen, and when it was first seen there.
    position: i64,
    unmoved_since: DateTime<Utc>,
    trouble: Trouble,
}

/// The verdict on a follower, and what to remember of it; `None`: it is healthy.
fn judge(
    now: DateTime<Utc>,
    seen: &Observed<'_>,
    before: Option<&Remembered>,
) -> Option<(Complaint, Remembered)> {
    let unmoved = before.filter(|before| before.position == seen.position);
    let trouble = match (&seen.trouble, before) {
        (None, None) => return None,
        (None, Some(_)) if !seen.in_use => return None,
        (None, Some(before)) if has_worked(seen, before) => return None,
        // It gets on, and is not well below the threshold yet.
        (None, Some(Remembered { trouble: Trouble::Late { .. }, .. })) if unmoved.is_none() => {
            Trouble::Late { seconds: seen.lag_seconds }
        }
        // A worker has it again, and has not got on yet.
        (None, Some(Remembered { trouble: Trouble::Unkept | Trouble::Late { .. }, .. })) => {
            Trouble::Stalled { position: seen.position }
        }
        (None, Some(before)) => before.trouble.clone(),
        (Some(Trouble::Late { .. }), _)
            if unmoved
                .is_some_and(|before| now.signed_duration_since(before.unmoved_since) >= STALLED_AFTER) =>
        {
            Trouble::Stalled { position: seen.position }
        }
        (Some(trouble), _) => trouble.clone(),
    };
    // The first event that it has not seen has waited for so long.
    let waits = Duration::try_from_secs_f64(seen.lag_seconds).unwrap_or_default();
    let begun = || in_millis(now.checked_sub_signed(TimeDelta::from_std(waits).ok()?)?);
    let since = before.map_or_else(|| begun().unwrap_or(now), |before| before.since);
    let unmoved_since = unmoved.map_or(now, |before| before.unmoved_since);
    let remembered = Remembered { since, position: seen.position, unmoved_since, trouble: trouble.clone() };
    let remedy = trouble.remedy(seen.holder);
    Some((Complaint { trouble, since, remedy }, remembered))
}

/// As it is stored.
fn in_millis(moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(moment.timestamp_millis())
}

/// Whether a follower that was in trouble, and does not look so now, has done something since.
fn has_worked(seen: &Observed<'_>, before: &Remembered) -> bool {
    match before.trouble {
        // None is parked any more.
        Trouble::Parked { .. } => true,
        Trouble::Late { .. } => {
            seen.lag_events == 0 || seen.lag_seconds < HEALTHY_AGAIN && seen.position > before.position
        }
        _ => seen.lag_events == 0 || seen.position > before.position,
    }
}

/// The verdicts of all followers, as they were remembered when a look began.
pub(crate) struct Memory {
    now: DateTime<Utc>,
    before: HashMap<String, Remembered>,
    /// The changes: `None` is removed.
    changed: Vec<(String, Option<Remembered>)>,
}

impl Memory {
    /// Without a database that answers, nothing is remembered, and the trouble of this moment is reported all the same.
    pub(crate) async fn load(db: &Db) -> Self {
        let before = in_time(load(db)).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "since when followers are unhealthy could not be looked up");
            HashMap::new()
        });
        let now = clock::now();
        Self { now: in_millis(now).unwrap_or(now), before, changed: Vec::new() }
    }

    /// The verdict on a follower.
    pub(crate) fn judge(&mut self, seen: &Observed<'_>) -> Option<Complaint> {
        let before = self.before.get(&seen.subject);
        let (complaint, after) = judge(self.now, seen, before).unzip();
        let same = match (before, &after) {
            (Some(before), Some(after)) => {
                before.position == after.position
                    && std::mem::discriminant(&before.trouble) == std::mem::discriminant(&after.trouble)
            }
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.changed.push((seen.subject.clone(), after));
        }
        complaint
    }

    /// Writes down what changed, for the next look of any process; `alive` are the generations that there are.
    pub(crate) async fn store(mut self, db: &Db, alive: &[String]) {
        let is_gone = |name: &&String| name.starts_with(READ_MODEL) && !alive.contains(name);
        let gone: Vec<_> = self.before.keys().filter(is_gone).cloned().collect();
        self.changed.extend(gone.into_iter().map(|name| (name, None)));
        let written = async {
            for (subject, after) in &self.changed {
                write(db, subject, self.before.get(subject), after.as_ref()).await?;
            }
            Ok(())
        };
        if let Err(error) = in_time(written).await {
            tracing::warn!(%error, "since when followers are unhealthy could not be stored");
        }
    }
}

async fn in_time<T>(done: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = || Error::Unavailable(format!("no answer within {} second", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, done).await.unwrap_or_else(|_| Err(late()))
}

async fn load(db: &Db) -> Result<HashMap<String, Remembered>, Error> {
    let sql = "SELECT subject, since, position, stood, trouble FROM @verdicts";
    let mut all = HashMap::new();
    for row in db.connection.query_all(db.statement(sql, [])).await? {
        let moment = |index| {
            let millis: i64 = row.try_get_by_index(index)?;
            Ok::<_, Error>(DateTime::from_timestamp_millis(millis).unwrap_or_default())
        };
        let trouble: String = row.try_get_by_index(4)?;
        // A kind that a newer release wrote is not known here: the follower is judged anew.
        if let Ok(trouble) = serde_json::from_str(&trouble) {
            let (since, position, unmoved_since) = (moment(1)?, row.try_get_by_index(2)?, moment(3)?);
            all.insert(row.try_get_by_index(0)?, Remembered { since, position, unmoved_since, trouble });
        }
    }
    Ok(all)
}

async fn write(
    db: &Db,
    subject: &str,
    before: Option<&Remembered>,
    after: Option<&Remembered>,
) -> Result<(), Error> {
    let Some(Remembered { since, position, unmoved_since, trouble }) = after else {
        let Some(before) = before else { return Ok(()) };
        // Only what this look has seen: another process may have written what it saw meanwhile.
        let sql = "DELETE FROM @verdicts WHERE subject = $1 AND position = $2 AND since = $3 AND stood = $4";
        let stored =
            [before.position, before.since.timestamp_millis(), before.unmoved_since.timestamp_millis()];
        let values = std::iter::once(subject.into()).chain(stored.map(Into::into));
        db.connection.execute(db.statement(sql, values)).await?;
        return Ok(());
    };
    // Two that see it at once: the earlier time stays.
    let sql = "INSERT INTO @verdicts (subject, since, position, stood, trouble) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (subject) DO UPDATE SET position = excluded.position, stood = excluded.stood, \
               trouble = excluded.trouble";
    let trouble = serde_json::to_string(trouble).map_err(|error| Error::Database(error.to_string()))?;
    let values = [
        subject.into(),
        since.timestamp_millis().into(),
        (*position).into(),
        unmoved_since.timestamp_millis().into(),
        trouble.into(),
    ];
    db.connection.execute(db.statement(sql, values)).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
