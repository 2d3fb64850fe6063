//! Runs: long work on generations. Each is a row that says who does it, how far it is, and what others ask of it; the
//! run reads this row after every chunk.

use sea_orm::{ConnectionTrait as _, QueryResult, Value};
use soonshop_event_log::{Db, Error};

/// A run that gave no sign of life for this long counts as dead, in milliseconds.
pub const SILENCE: i64 = 10_000;

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::AsRefStr, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum State {
    Running,
    Paused,
    Done,
    /// Completed, with differences found.
    Found,
    Refused,
    Failed,
    /// Stopped before the end; it can be continued.
    Interrupted,
    Cancelled,
}

impl State {
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Running | Self::Paused)
    }
}

/// Requests to a run from other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum RunRequest {
    Run,
    Pause,
    Cancel,
}

/// The progress of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    pub from_position: i64,
    pub to_position: i64,
    pub position: i64,
    /// Events that were folded, skipped by type, and parked.
    pub folded: i64,
    pub skipped: i64,
    pub parked: i64,
}

/// A run, as stored in its row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Run {
    pub run: i64,
    pub verb: String,
    pub projection: String,
    pub generation: Option<i32>,
    pub state: State,
    pub actor: String,
    pub host: String,
    pub pid: i64,
    /// Milliseconds since 1970, by the database's clock.
    pub started_at: i64,
    pub ended_at: Option<i64>,
    /// Milliseconds since its last sign of life.
    pub silent_for: i64,
    #[serde(flatten)]
    pub progress: Progress,
    /// The most positions per second.
    pub limit_rate: Option<i64>,
    #[serde(skip)]
    pub expected: RunRequest,
    pub result: Option<serde_json::Value>,
}

impl Run {
    /// It has not ended, but gives no sign of life.
    pub fn is_dead(&self) -> bool {
        !self.state.is_over() && self.silent_for > SILENCE
    }
}

impl Run {
    /// It has not ended, and its process on this machine no longer exists.
    pub fn was_killed_here(&self) -> bool {
        let process = format!("/proc/{}", self.pid);
        !self.state.is_over() && self.host == host() && !std::path::Path::new(&process).exists()
    }
}

/// The data of a run that begins.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    pub verb: &'static str,
    pub projection: &'a str,
    pub generation: Option<i32>,
    pub actor: &'a str,
    pub limit_rate: Option<i64>,
}

/// The name of this machine.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// The runs, in the namespace `operations`.
#[derive(Debug, Clone)]
pub struct Runs {
    db: Db,
}

const COLUMNS: &str = "run, verb, projection, generation, state, actor, host, pid, started_at, ended_at, from_position, \
    to_position, position, folded, skipped, parked, limit_rate, wanted, result";

fn read(row: &QueryResult) -> Result<Run, Error> {
    let text = |index: usize| row.try_get_by_index::<String>(index);
    let unknown =
        |what: &str| Error::Database(format!("a run is {what:?}, which this release does not know"));
    let (state, expected) = (text(4)?, text(17)?);
    let result: Option<String> = row.try_get_by_index(18)?;
    Ok(Run {
        run: row.try_get_by_index(0)?,
        verb: text(1)?,
        projection: text(2)?,
        generation: row.try_get_by_index(3)?,
        state: state.parse().map_err(|_| unknown(&state))?,
        actor: text(5)?,
        host: text(6)?,
        pid: row.try_get_by_index(7)?,
        started_at: row.try_get_by_index(8)?,
        ended_at: row.try_get_by_index(9)?,
        silent_for: row.try_get_by_index(19)?,
        progress: Progress {
            from_position: row.try_get_by_index(10)?,
            to_position: row.try_get_by_index(11)?,
            position: row.try_get_by_index(12)?,
            folded: row.try_get_by_index(13)?,
            skipped: row.try_get_by_index(14)?,
            parked: row.try_get_by_index(15)?,
        },
        limit_rate: row.try_get_by_index(16)?,
        expected: expected.parse().map_err(|_| unknown(&expected))?,
        result: result.map(|text| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))),
    })
}

impl Runs {
    pub fn new(operations: Db) -> Self {
        Self { db: operations }
    }

    /// Records that a run begins; returns its number.
    pub async fn begin(&self, of: &NewRun<'_>) -> Result<i64, Error> {
        let now = self.db.now();
        let sql = format!(
            "INSERT INTO @runs (run, verb, projection, generation, state, actor, host, pid, started_at, beat_at, limit_rate) \
             SELECT coalesce(max(run), 0) + 1, $1, $2, $3, 'running', $4, $5, $6, {now}, {now}, $7 FROM @runs RETURNING run"
        );
        let values: [Value; 7] = [
            of.verb.into(),
            of.projection.into(),
            of.generation.into(),
            of.actor.into(),
            host().into(),
            i64::from(std::process::id()).into(),
            of.limit_rate.into(),
        ];
        // Two runs that begin at once get the same number: the second one tries again.
        let mut tries = 0;
        loop {
            match self.db.connection.query_one(self.db.statement(&sql, values.clone())).await {
                Ok(Some(row)) => return Ok(row.try_get_by_index(0)?),
                Ok(None) => return Err(Error::Database("a run got no number".to_owned())),
                Err(error) if tries > 20 => return Err(error.into()),
                Err(_) => tries += 1,
            }
        }
    }

    /// Records the progress of a run; returns the request to it, and its rate limit.
    pub async fn beat(
        &self,
        run: i64,
        generation: Option<i32>,
        state: State,
        at: &Progress,
    ) -> Result<(RunRequest, Option<i64>), Error> {
        let sql = format!(
            "UPDATE @runs SET beat_at = {}, state = $2, from_position = $3, to_position = $4, position = $5, folded = $6, \
             skipped = $7, parked = $8, generation = $9 WHERE run = $1 RETURNING wanted, limit_rate",
            self.db.now()
        );
        let values: [Value; 9] = [
            run.into(),
            state.as_ref().into(),
            at.from_position.into(),
            at.to_position.into(),
            at.position.into(),
            at.folded.into(),
            at.skipped.into(),
            at.parked.into(),
            generation.into(),
        ];
        let row = self.db.connection.query_one(self.db.statement(&sql, values)).await?;
        let row = row.ok_or_else(|| Error::Database(format!("run {run} is gone")))?;
        let expected: String = row.try_get_by_index(0)?;
        let expected =
            expected.parse().map_err(|_| Error::Database(format!("run {run} is to {expected:?}")))?;
        Ok((expected, row.try_get_by_index(1)?))
    }

    /// Gives a sign of life without progress; returns the request to it.
    pub async fn sign(&self, run: i64) -> Result<RunRequest, Error> {
        let sql = format!("UPDATE @runs SET beat_at = {} WHERE run = $1 RETURNING wanted", self.db.now());
        let row = self.db.connection.query_one(self.db.statement(&sql, [run.into()])).await?;
        let row = row.ok_or_else(|| Error::Database(format!("run {run} is gone")))?;
        let expected: String = row.try_get_by_index(0)?;
        expected.parse().map_err(|_| Error::Database(format!("run {run} is to {expected:?}")))
    }

    /// Records how it ended.
    pub async fn end(&self, run: i64, state: State, result: Option<&serde_json::Value>) -> Result<(), Error> {
        let sql = format!(
            "UPDATE @runs SET state = $2, ended_at = {0}, beat_at = {0}, result = $3, wanted = 'run' WHERE run = $1",
            self.db.now()
        );
        let values: [Value; 3] = [run.into(), state.as_ref().into(), result.map(ToString::to_string).into()];
        self.db.connection.execute(self.db.statement(&sql, values)).await?;
        Ok(())
    }

    /// Asks something of a run. False: the run is over.
    pub async fn want(&self, run: i64, expected: RunRequest) -> Result<bool, Error> {
        let sql = "UPDATE @runs SET wanted = $2 WHERE run = $1 AND state IN ('running', 'paused')";
        let values = [run.into(), expected.as_ref().into()];
        Ok(self.db.connection.execute(self.db.statement(sql, values)).await?.rows_affected() == 1)
    }

    /// Sets a run's limit, in positions per second. False: the run is over.
    pub async fn throttle(&self, run: i64, limit: Option<i64>) -> Result<bool, Error> {
        let sql = "UPDATE @runs SET limit_rate = $2 WHERE run = $1 AND state IN ('running', 'paused')";
        Ok(self
            .db
            .connection
            .execute(self.db.statement(sql, [run.into(), limit.into()]))
            .await?
            .rows_affected()
            == 1)
    }

    async fn select(&self, which: &str, values: Vec<Value>) -> Result<Vec<Run>, Error> {
        let sql = format!("SELECT {COLUMNS}, {} - beat_at FROM @runs {which}", self.db.now());
        let rows = self.db.connection.query_all(self.db.statement(&sql, values)).await?;
        rows.iter().map(read).collect()
    }

    pub async fn get(&self, run: i64) -> Result<Option<Run>, Error> {
        Ok(self.select("WHERE run = $1", vec![run.into()]).await?.pop())
    }

    /// The last runs, the newest first; of one projection, or of all.
    pub async fn last(&self, projection: Option<&str>, most: u32) -> Result<Vec<Run>, Error> {
        let most = i64::from(most);
        match projection {
            Some(name) => {
                let which = "WHERE projection = $1 ORDER BY run DESC LIMIT $2";
                self.select(which, vec![name.into(), most.into()]).await
            }
            None => self.select("ORDER BY run DESC LIMIT $1", vec![most.into()]).await,
        }
    }

    /// Runs that have neither ended nor died.
    pub async fn alive(&self) -> Result<Vec<Run>, Error> {
        let runs = self.select("WHERE state IN ('running', 'paused') ORDER BY run", Vec::new()).await?;
        Ok(runs.into_iter().filter(|run| !run.is_dead()).collect())
    }
}
