//! Where answers come from: one generation of a read model, and how far it has got.
//!
//! The registry's row is read once per request, and everything in the answer comes from the generation that it names.
//! Rows and checkpoint come out of one statement, and so from one snapshot, on a read replica as well.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait as _, DatabaseBackend, DbErr, QueryResult, RuntimeErr, TransactionTrait as _, Value,
};
use soonshop_event_log::{Checkpoint, Db, Error, Leases, is_no_table};
use soonshop_projections::{Generation, Registry, runner, sink, texts};
use soonshop_search::Search;
use soonshop_service_kit::Problem;
use soonshop_service_kit::headers::EVENT_POSITION;
use tokio::time::Instant;

use super::Shared;
use super::call::{Call, Wanted, position_header};

/// Pauses between looks at a checkpoint that is not there yet: they grow from the one to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// How long the search server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a query of read models may take.
pub(super) const LONGEST_QUERY: Duration = Duration::from_secs(10);

/// The column of the checkpoint beside the rows, and the one that tells a row from none.
const CHECKPOINT: &str = "checkpoint_";
const HERE: &str = "here_";
/// The column that says whether events are parked.
const PARKED: &str = "parked_";

/// The database did not answer as it should.
pub(super) fn failed(error: Error) -> Problem {
    match error {
        Error::Unavailable(reason) => {
            tracing::warn!(reason, "a database did not answer a query");
            let detail = "a database cannot be used just now: ask again";
            Problem::unavailable("database-unavailable", detail, Duration::from_secs(1))
        }
        Error::Keys(_) | Error::KeyStoreLost { .. } => {
            tracing::warn!(%error, "the key store did not open what a query needs");
            let detail = "the key store cannot be used just now, and nothing personal is read without it";
            Problem::unavailable("key-store-unavailable", detail, Duration::from_secs(1))
        }
        other => Problem::internal(other),
    }
}

/// Like [`failed`]; tables that are not there are those of a shop that was never migrated, or of a generation that was
/// retired just now.
pub(super) fn query_failed(error: DbErr) -> Problem {
    if is_no_table(&error) { missing("its tables are not there") } else { failed(error.into()) }
}

fn too_long() -> Problem {
    let detail = "the search took too long and was given up: narrow it, by a time or a type";
    Problem::unavailable("timed-out", detail, Duration::from_secs(1))
}

/// What the database says is wrong, as PostgreSQL's five signs.
fn code(error: &DbErr) -> Option<String> {
    let (DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

fn missing(reason: &str) -> Problem {
    let detail = format!("there is no such read model: {reason}; run `soonshop migrate`");
    Problem::unavailable("read-model-missing", detail, Duration::from_secs(5))
}

/// One generation of a read model.
#[derive(Clone)]
pub(super) struct Source {
    db: Db,
    pub(super) generation: Generation,
    ready: bool,
}

/// Rows of a snapshot, and the position that they stand at.
pub(super) type At<T> = (i64, T);

impl Shared {
    /// The generation that readers go by; or the one of a cursor, while it lives.
    pub(super) async fn source(
        &self,
        projection: &'static str,
        of_cursor: Option<i32>,
    ) -> Result<Source, Problem> {
        Source::of(&self.queries.registry, projection, of_cursor).await
    }
}

impl Source {
    pub(super) async fn of(
        registry: &Registry,
        projection: &'static str,
        of_cursor: Option<i32>,
    ) -> Result<Self, Problem> {
        let sql = "SELECT g.generation, g.version, g.shape, g.state, CAST(a.generation AS INTEGER) FROM @active a \
                   JOIN @generations g ON g.projection = a.projection AND (g.generation = a.generation OR g.generation = $2) \
                   WHERE a.projection = $1";
        let operations = registry.operations();
        let statement = operations.statement(sql, [projection.into(), of_cursor.into()]);
        let rows = operations.connection.query_all(statement).await.map_err(query_failed)?;
        for row in rows {
            let read = || -> Result<(Generation, String, i32), DbErr> {
                let generation = Generation {
                    projection: projection.to_owned(),
                    number: row.try_get_by_index(0)?,
                    version: row.try_get_by_index(1)?,
                    shape: row.try_get_by_index(2)?,
                };
                Ok((generation, row.try_get_by_index(3)?, row.try_get_by_index(4)?))
            };
            let (generation, state, active) = read().map_err(query_failed)?;
            if generation.number != of_cursor.unwrap_or(active) {
                continue;
            }
            let lives = state == "ready" || generation.number == active && state == "building";
            if !lives && of_cursor.is_some() {
                break;
            }
            let shape =
                soonshop_projections::all().iter().find(|p| p.name() == projection).map(|p| p.shape());
            if !lives || shape != Some(generation.shape) {
                return Err(missing("the one in use is not for this release"));
            }
            let db = generation.db(registry.database()).map_err(failed)?;
            return Ok(Self { db, generation, ready: state == "ready" });
        }
        Err(match of_cursor {
            Some(_) => Problem::gone(
                "cursor-expired",
                "the read model of this cursor is gone: begin anew, without `after`",
            ),
            None => missing("nobody made it"),
        })
    }
}

/// What answers, and keeps a checkpoint of its own.
#[derive(Clone, Copy)]
pub(super) enum Sink<'a> {
    Rows,
    Index(&'a dyn Search),
}

impl Sink<'_> {
    fn follower(self) -> &'static str {
        match self {
            Self::Rows => runner::ROWS,
            Self::Index(_) => sink::INDEX,
        }
    }
}

/// The search server did not answer.
fn search_failed(error: soonshop_search::Error) -> Problem {
    if matches!(error, soonshop_search::Error::Cursor) {
        return super::params::refused(
            "after",
            "it is not a cursor of this query: take it from the answer before",
        );
    }
    tracing::warn!(%error, "the search did not answer");
    let detail = "search cannot be used just now; lists and look-ups can";
    Problem::unavailable("search-unavailable", detail, Duration::from_secs(1))
}

/// An answer of the search server, which may not take for ever.
pub(super) async fn timely<T>(
    asking: impl Future<Output = Result<T, soonshop_search::Error>>,
) -> Result<T, Problem> {
    let slow =
        |_| Err(soonshop_search::Error::Unreachable { backend: "search", reason: "it is slow".to_owned() });
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(slow).map_err(search_failed)
}

impl Source {
    /// How far a sink has got, and whether events are parked.
    async fn standing(&self, sink: Sink<'_>) -> Result<(i64, bool), Problem> {
        let sql = "SELECT position, EXISTS (SELECT 1 FROM @parked) FROM @checkpoints WHERE follower = $1";
        let statement = self.db.statement(sql, [runner::ROWS.into()]);
        let row = self.db.connection.query_one(statement).await.map_err(query_failed)?;
        let row = row.ok_or_else(|| missing("it has no checkpoint"))?;
        let position = match sink {
            Sink::Rows => row.try_get_by_index(0).map_err(query_failed)?,
            Sink::Index(search) => self.indexed(search).await?,
        };
        Ok((position, row.try_get_by_index(1).map_err(query_failed)?))
    }

    /// How far the search index has got, as it says itself; 0 while there is none.
    pub(super) async fn indexed(&self, search: &dyn Search) -> Result<i64, Problem> {
        let written = timely(search.checkpoint(&self.generation.namespace())).await?;
        let checkpoint = written.map(|text| text.parse::<Checkpoint>()).transpose().map_err(failed)?;
        Ok(checkpoint.map_or(0, |checkpoint| checkpoint.position))
    }

    /// Why what is wanted will not come by itself: its row waits for an event that failed; or, where no one row is
    /// asked for, it is that event.
    async fn parked(&self, wanted: i64, group: Option<&str>) -> Result<Option<String>, Problem> {
        let sql = "SELECT position, rows, cause FROM @parked WHERE position <= $1 ORDER BY position";
        let statement = self.db.statement(sql, [wanted.into()]);
        let parked = self.db.connection.query_all(statement).await.map_err(query_failed)?;
        for row in parked {
            let read = || Ok((row.try_get_by_index::<i64>(0)?, row.try_get_by_index::<String>(1)?));
            let (position, names) = read().map_err(query_failed)?;
            let names: Vec<String> = serde_json::from_str(&names).unwrap_or_default();
            let waits = group.map_or(position == wanted, |group| names.iter().any(|name| name == group));
            if waits {
                return Ok(Some(format!(
                    "the event at position {position} could not be projected, and is parked"
                )));
            }
        }
        Ok(None)
    }

    /// Whether a row, as it was read, waits for an event that is parked: it changes once that one is tried again, and
    /// no event tells of it.
    pub(super) async fn waits(&self, row: &QueryResult, group: &str) -> Result<bool, Problem> {
        let any: bool = row.try_get("", PARKED).map_err(query_failed)?;
        Ok(any && self.parked(i64::MAX, Some(group)).await?.is_some())
    }

    /// Why the sink is not where it is wanted: the state, and a sentence.
    async fn why(&self, shared: &Shared, sink: Sink<'_>) -> Result<(&'static str, String), Problem> {
        let sql = "SELECT state, reason FROM @status WHERE follower = $1";
        let statement = self.db.statement(sql, [sink.follower().into()]);
        let status = self.db.connection.query_one(statement).await.map_err(query_failed)?;
        if let Some(row) = status {
            let read = || Ok((row.try_get_by_index::<String>(0)?, row.try_get_by_index::<String>(1)?));
            let (state, reason) = read().map_err(query_failed)?;
            if state == "stopped" {
                return Ok(("stopped", reason));
            }
        }
        if !self.ready {
            return Ok(("rebuilding", "it is being built".to_owned()));
        }
        let leases = Leases::new(shared.queries.registry.operations().clone(), "");
        let name = format!("{}:{}", self.generation.namespace(), sink.follower());
        let reason = match leases.holder(&name).await.map_err(failed)? {
            Some(_) => "it is on its way",
            None => "nobody projects it just now",
        };
        Ok(("behind", reason.to_owned()))
    }

    fn behind(&self, sink: Sink<'_>, wanted: Wanted, position: i64, state: &str, reason: String) -> Problem {
        let projection = &self.generation.projection;
        let detail =
            format!("{projection} has not seen position {}: it is {state} at {position}", wanted.position);
        Problem::unavailable("read-model-behind", detail, Duration::from_secs(1))
            .with("projection", projection.as_str())
            .with("sink", sink.follower())
            .with("state", state)
            .with("position", position)
            .with("wanted", wanted.position)
            .with("reason", reason)
            .with_header(EVENT_POSITION, position_header(position))
    }

    /// The rows of `sql` in that order (of its columns), and the checkpoint that they stand at.
    pub(super) async fn read(
        &self,
        sql: &str,
        values: Vec<Value>,
        order: &str,
    ) -> Result<At<Vec<QueryResult>>, Problem> {
        let sql = format!(
            "SELECT * FROM (SELECT position AS {CHECKPOINT}, EXISTS (SELECT 1 FROM @parked) AS {PARKED} \
             FROM @checkpoints WHERE follower = '{}') c LEFT JOIN (SELECT 1 AS {HERE}, q.* FROM ({sql}) q) r ON 1 = 1 ORDER BY {order}",
            runner::ROWS
        );
        let rows = self.timely(&sql, values).await?;
        let first = rows.first().ok_or_else(|| missing("it has no checkpoint"))?;
        let position = first.try_get("", CHECKPOINT).map_err(query_failed)?;
        let here: Option<i32> = first.try_get("", HERE).map_err(query_failed)?;
        Ok((position, if here.is_some() { rows } else { Vec::new() }))
    }

    /// Like [`read`](Self::read), once the rows have got to where the call wants them. `group` is the row asked for.
    pub(super) async fn rows(
        &self,
        call: &Call,
        group: Option<&str>,
        sql: &str,
        values: &[Value],
        order: &str,
    ) -> Result<At<Vec<QueryResult>>, Problem> {
        let mut wait = Wait::new(self, call, Sink::Rows, group);
        loop {
            wait.reach().await?;
            let answer = self.read(sql, values.to_vec(), order).await?;
            if call.wanted.is_none_or(|wanted| answer.0 >= wanted.position) {
                return Ok(answer);
            }
            // Another replica, which is behind the one that was asked before.
            wait.pause(answer.0).await?;
        }
    }

    /// How far its rows have got.
    pub(super) async fn position(&self) -> Result<i64, Problem> {
        Ok(self.standing(Sink::Rows).await?.0)
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.db.backend() == DatabaseBackend::Sqlite
    }

    /// The rows of `sql` as they are now.
    pub(super) async fn plain(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, Problem> {
        self.timely(sql, values).await
    }

    /// No longer than [`LONGEST_QUERY`]: the server itself gives up then, so that nobody can keep it busy.
    async fn timely(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, Problem> {
        let statement = self.db.statement(sql, values);
        let reading = async {
            if self.db.backend() != DatabaseBackend::Postgres {
                return self.db.connection.query_all(statement).await;
            }
            let tx = self.db.connection.begin().await?;
            let limit = format!("SET LOCAL statement_timeout = {}", LONGEST_QUERY.as_millis());
            tx.execute_unprepared(&limit).await?;
            let rows = tx.query_all(statement).await?;
            tx.commit().await?;
            Ok(rows)
        };
        let rows = tokio::time::timeout(LONGEST_QUERY + Duration::from_secs(1), reading).await;
        match rows {
            Ok(Err(error)) if code(&error).as_deref() == Some("57014") => Err(too_long()),
            Ok(rows) => rows.map_err(query_failed),
            Err(_) => Err(too_long()),
        }
    }

    /// SQL that names the blocks of positions whose rows have lines of text, and whether so many texts are in those.
    pub(super) fn blocks_with(&self, texts: usize) -> String {
        texts::blocks_with(&self.db, texts)
    }

    /// Text in the order of its bytes, whatever the database's language.
    pub(super) fn bytewise(&self) -> &'static str {
        match self.db.backend() {
            sea_orm::DatabaseBackend::Postgres => " COLLATE \"C\"",
            _ => "",
        }
    }
}

/// The waiting for a sink to get to where a call wants it.
pub(super) struct Wait<'a> {
    source: &'a Source,
    call: &'a Call,
    sink: Sink<'a>,
    group: Option<&'a str>,
    pause: Duration,
}

impl<'a> Wait<'a> {
    pub(super) fn new(source: &'a Source, call: &'a Call, sink: Sink<'a>, group: Option<&'a str>) -> Self {
        Self { source, call, sink, group, pause: FIRST_PAUSE }
    }

    /// Ends once the sink is there, or says why it is not.
    pub(super) async fn reach(&mut self) -> Result<(), Problem> {
        let Some(wanted) = self.call.wanted else { return Ok(()) };
        loop {
            let (position, parked) = self.source.standing(self.sink).await?;
            if parked && let Some(cause) = self.source.parked(wanted.position, self.group).await? {
                return Err(self.source.behind(self.sink, wanted, position, "stopped", cause));
            }
            if position >= wanted.position {
                return Ok(());
            }
            self.pause(position).await?;
        }
    }

    /// Waits a little before the next look, as long as there is time.
    async fn pause(&mut self, position: i64) -> Result<(), Problem> {
        let Some(wanted) = self.call.wanted else { return Ok(()) };
        if Instant::now() >= wanted.deadline {
            let (state, reason) = self.source.why(&self.call.shared, self.sink).await?;
            return Err(self.source.behind(self.sink, wanted, position, state, reason));
        }
        tokio::time::sleep_until((Instant::now() + self.pause).min(wanted.deadline)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}
