//! Waiting until an answer has seen a position of the log: in the rows, in the search index, or in the log itself.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, QueryResult, Value};
use soonshop_domain::QueryError;
use soonshop_event_log::{EventLog, Leases};
use soonshop_search::Search;
use tokio::time::Instant;

use crate::source::{At, Source, query_failed};
use crate::{runner, sink};

/// The shortest and the longest pause between two looks at a checkpoint: a quarter of the time waited so far, so that
/// a position is seen at most a quarter later than it is reached.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// The position that an answer must have seen.
#[derive(Debug, Clone, Copy)]
pub struct AtLeast {
    /// This position or a later one.
    pub position: i64,
    /// How long to wait for it.
    pub deadline: Instant,
}

/// The source of an answer, which keeps its own checkpoint.
#[derive(Clone, Copy)]
pub enum AnsweredBy<'a> {
    /// The rows of the read model.
    Rows,
    /// Its search index.
    Index(&'a dyn Search),
}

impl AnsweredBy<'_> {
    fn follower(self) -> &'static str {
        match self {
            Self::Rows => runner::ROWS,
            Self::Index(_) => sink::INDEX,
        }
    }
}

/// Waits until a source reaches a position.
pub struct Wait<'a> {
    source: &'a Source,
    at_least: Option<AtLeast>,
    by: AnsweredBy<'a>,
    group: Option<&'a str>,
    began: Instant,
}

impl<'a> Wait<'a> {
    /// `group`: the row that is asked for, if it is a single one.
    pub fn new(
        source: &'a Source,
        at_least: Option<AtLeast>,
        by: AnsweredBy<'a>,
        group: Option<&'a str>,
    ) -> Self {
        Self { source, at_least, by, group, began: Instant::now() }
    }

    /// Returns once the position is reached, or an error that says why it is not.
    pub async fn reach(&mut self) -> Result<(), QueryError> {
        let Some(expected) = self.at_least else { return Ok(()) };
        loop {
            let (rows, parked) = self.source.checkpoint().await?;
            let position = match self.by {
                AnsweredBy::Rows => rows,
                AnsweredBy::Index(search) => self.source.indexed(search).await?,
            };
            if parked && let Some(cause) = self.source.parked(expected.position, self.group).await? {
                return Err(self.behind(expected, position, "stopped", cause));
            }
            if position >= expected.position {
                return Ok(());
            }
            self.pause(position).await?;
        }
    }

    /// Waits a little before the next look, if there is time left.
    async fn pause(&mut self, position: i64) -> Result<(), QueryError> {
        let Some(expected) = self.at_least else { return Ok(()) };
        if Instant::now() >= expected.deadline {
            let (state, reason) = self.why().await?;
            return Err(self.behind(expected, position, state, reason));
        }
        let pause = (self.began.elapsed() / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        tokio::time::sleep_until((Instant::now() + pause).min(expected.deadline)).await;
        Ok(())
    }

    /// Why the position is not reached: the state, and a sentence.
    async fn why(&self) -> Result<(&'static str, String), QueryError> {
        let Source { db, operations, generation, ready } = self.source;
        let sql = "SELECT state, reason FROM @status WHERE follower = $1";
        let statement = db.statement(sql, [self.by.follower().into()]);
        let status = db.connection.query_one(statement).await.map_err(query_failed)?;
        if let Some(row) = status {
            let read = || Ok((row.try_get_by_index::<String>(0)?, row.try_get_by_index::<String>(1)?));
            let (state, reason) = read().map_err(query_failed)?;
            if state == "stopped" {
                return Ok(("stopped", reason));
            }
        }
        if !ready {
            return Ok(("rebuilding", "it is being built".to_owned()));
        }
        let leases = Leases::new(operations.clone(), "");
        let name = format!("{}:{}", generation.namespace(), self.by.follower());
        let reason = match leases.holder(&name).await? {
            Some(_) => "it is on its way",
            None => "no worker projects it now",
        };
        Ok(("behind", reason.to_owned()))
    }

    fn behind(&self, expected: AtLeast, position: i64, state: &str, reason: String) -> QueryError {
        let projection = &self.source.generation.projection;
        let detail =
            format!("{projection} has not seen position {}: it is {state} at {position}", expected.position);
        QueryError::unavailable("read-model-behind", detail, Duration::from_secs(1))
            .with("projection", projection.as_str())
            .with("sink", self.by.follower())
            .with("state", state)
            .with("position", position)
            .with("wanted", expected.position)
            .with("reason", reason)
            .with_read_at(position)
    }
}

impl Source {
    /// Like [`read`](Self::read), once the rows have reached the wanted position. `group` is the row asked for.
    pub async fn rows(
        &self,
        at_least: Option<AtLeast>,
        group: Option<&str>,
        sql: &str,
        values: &[Value],
        order: &str,
    ) -> Result<At<Vec<QueryResult>>, QueryError> {
        let mut wait = Wait::new(self, at_least, AnsweredBy::Rows, group);
        loop {
            wait.reach().await?;
            let answer = self.read(sql, values.to_vec(), order).await?;
            if at_least.is_none_or(|expected| answer.0 >= expected.position) {
                return Ok(answer);
            }
            // Another replica answered, which is behind the one before.
            wait.pause(answer.0).await?;
        }
    }
}

/// The head of the log, once it has reached the wanted position.
pub async fn head(log: &EventLog, at_least: Option<AtLeast>) -> Result<i64, QueryError> {
    loop {
        let position = log.head().await?.position;
        let Some(expected) = at_least.filter(|expected| position < expected.position) else {
            return Ok(position);
        };
        if Instant::now() >= expected.deadline {
            let detail = format!("the log ends at {position}, before position {}", expected.position);
            return Err(QueryError::unavailable("read-model-behind", detail, Duration::from_secs(1))
                .with("projection", "log")
                .with("state", "behind")
                .with("position", position)
                .with("wanted", expected.position)
                .with("reason", "nothing was recorded there yet"));
        }
        tokio::time::sleep_until((Instant::now() + LONGEST_PAUSE).min(expected.deadline)).await;
    }
}
