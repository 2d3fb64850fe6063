//! How read models stand: each sink of each generation, how far it is behind, who keeps it, and why it stands still. One
//! truth for everyone who shows it.

use std::sync::Arc;

use chrono::Utc;
use sea_orm::ConnectionTrait as _;
use serde::Serialize;
use soonshop_cache::Cache;
use soonshop_event_log::{Checkpoint, Error, EventLog, Leases};
use soonshop_search::Search;

use crate::generation::Known;
use crate::runner::ROWS;
use crate::sink::{CACHE, INDEX};
use crate::{Projector, Registry};

/// A generation in use that is further behind than this, in seconds, is not as it should be.
const UNHEALTHY: f64 = 60.0;

/// One sink of a generation: its rows, its search index or its cache.
#[derive(Debug, Clone, Serialize)]
pub struct Sink {
    pub name: &'static str,
    /// The last position that it has seen; `None`: it has never begun, was lost, or cannot be asked.
    pub position: Option<i64>,
    /// The process that keeps it up to date just now.
    pub holder: Option<String>,
    /// Why it stands still, where it said so.
    pub stopped: Option<String>,
}

/// A generation and its sinks.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    pub projection: String,
    pub generation: i32,
    pub version: i32,
    pub shape: i32,
    /// `building`, `ready`, `rejected` or `retired`.
    pub state: crate::generation::State,
    pub active: bool,
    pub previous: bool,
    pub verified_by: Option<i64>,
    pub sinks: Vec<Sink>,
    /// Events that the slowest sink has not seen.
    pub lag_events: i64,
    /// For how long the first of them has been in the log, in seconds.
    pub lag_seconds: f64,
    /// Events that could not be projected.
    pub parked: i64,
}

impl Standing {
    /// Somebody keeps its rows up to date.
    pub fn is_kept(&self) -> bool {
        self.sinks.iter().any(|sink| sink.name == ROWS && sink.holder.is_some())
    }

    /// The last position that all sinks have seen.
    pub fn position(&self) -> i64 {
        self.sinks.iter().map(|sink| sink.position.unwrap_or(0)).min().unwrap_or(0)
    }

    /// Why it is not as it should be; `None`: it is.
    pub fn complaint(&self) -> Option<String> {
        let stopped = self
            .sinks
            .iter()
            .find_map(|sink| sink.stopped.as_ref().map(|reason| format!("{} stopped: {reason}", sink.name)));
        let kept = || (!self.is_kept()).then(|| "nobody keeps it alive".to_owned());
        let late = || (self.lag_seconds > UNHEALTHY).then(|| format!("{:.0} s behind", self.lag_seconds));
        let parked = || (self.parked > 0).then(|| format!("events parked: {}", self.parked));
        stopped.or_else(parked).or_else(|| if self.active { kept().or_else(late) } else { None })
    }
}

/// What is looked at.
#[derive(Clone)]
pub struct Looked {
    pub log: EventLog,
    pub registry: Registry,
    pub search: Arc<dyn Search>,
    pub cache: Arc<dyn Cache>,
}

impl Looked {
    /// The head of the log, and every generation that is not gone.
    pub async fn all(&self, projectors: &[Arc<dyn Projector>]) -> Result<(i64, Vec<Standing>), Error> {
        let head = self.log.head().await?.position;
        let mut all = Vec::new();
        for known in self.registry.all(None).await? {
            if known.state.lives() {
                let projector = projectors.iter().find(|p| p.name() == known.generation.projection);
                let searchable = projector.is_some_and(|projector| projector.searchable());
                all.push(self.one(&known, searchable, head).await?);
            }
        }
        Ok((head, all))
    }

    /// One generation.
    pub async fn one(&self, known: &Known, searchable: bool, head: i64) -> Result<Standing, Error> {
        let generation = &known.generation;
        let name = generation.namespace();
        let db = generation.db(self.registry.database())?;
        let leases = Leases::new(self.registry.operations().clone(), "");
        let mut sinks = Vec::new();
        let rows = Checkpoint::load(&db, &db.connection, ROWS).await?;
        let mut positions = vec![(ROWS, rows.map(|(at, _)| at.position))];
        if searchable {
            positions.push((INDEX, position(self.search.checkpoint(&name).await)));
        }
        // A cache of each process alone is nobody else's business.
        if searchable && self.cache.shared() {
            positions.push((CACHE, position(self.cache.checkpoint(&name).await)));
        }
        for (sink, position) in positions {
            let sql = "SELECT reason FROM @status WHERE follower = $1 AND state = 'stopped'";
            let stopped = db.connection.query_one(db.statement(sql, [sink.into()])).await?;
            sinks.push(Sink {
                name: sink,
                position,
                holder: leases.holder(&format!("{name}:{sink}")).await?,
                stopped: stopped.map(|row| row.try_get_by_index(0)).transpose()?,
            });
        }
        let parked = db.connection.query_one(db.statement("SELECT count(*) FROM @parked", [])).await?;
        let least = sinks.iter().map(|sink| sink.position.unwrap_or(0)).min().unwrap_or(0);
        Ok(Standing {
            projection: generation.projection.clone(),
            generation: generation.number,
            version: generation.version,
            shape: generation.shape,
            state: known.state,
            active: known.active,
            previous: known.previous,
            verified_by: known.verified_by,
            sinks,
            lag_events: (head - least).max(0),
            lag_seconds: if least < head { self.waiting(least + 1).await? } else { 0.0 },
            parked: parked.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0),
        })
    }

    /// For how long the event at that position has been there, in seconds.
    async fn waiting(&self, position: i64) -> Result<f64, Error> {
        let event = self.log.read(position, 1).await?.into_iter().next();
        let now = soonshop_domain::clock::now();
        let age =
            |recorded: chrono::DateTime<Utc>| (now - recorded).to_std().unwrap_or_default().as_secs_f64();
        Ok(event.map_or(0.0, |event| age(event.recorded_at)))
    }
}

fn position<E>(checkpoint: Result<Option<String>, E>) -> Option<i64> {
    let text = checkpoint.ok().flatten()?;
    text.parse::<Checkpoint>().ok().map(|at| at.position)
}
