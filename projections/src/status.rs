//! The status of everything that follows the log: each sink of each generation (its lag, its holder, why it stopped),
//! the relay, the process managers and the seals. All views show the answer of [`StatusReader::read`].

use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, DbErr};
use serde::Serialize;
use soonshop_cache::Cache;
use soonshop_event_log::checkpoint::{RELAY, of_process};
use soonshop_event_log::seal::{RECORD_SEALER, RECORD_SEALS, SEALER, SEALS, Seals};
use soonshop_event_log::{Checkpoint, Error, EventLog, Leases, is_no_table};
use soonshop_search::Search;

pub use crate::follower_status::FollowerStatus;
use crate::follower_status::{follower_status, is_standby, lag, waiting};
use crate::generation::{KnownGeneration, ROWS, is_made_by, namespace};
use crate::integrity::{self, Both, RecordProof};
use crate::processes;
use crate::sink::{CACHE, INDEX};
use crate::verdict::{Complaint, Memory, Observed, Trouble};
use crate::{Projector, Registry};

/// One sink of a generation: its rows, its search index or its cache.
#[derive(Debug, Clone, Serialize)]
pub struct Sink {
    pub name: &'static str,
    /// The last position that it has seen; `None`: it has not started, was lost, or does not answer.
    pub position: Option<i64>,
    /// Events that it has not seen.
    pub lag_events: i64,
    /// How long the first of them has been in the log, in seconds.
    pub lag_seconds: f64,
    /// The process that keeps it up to date now.
    pub holder: Option<String>,
    /// Why it stopped, if it reported that.
    pub stopped: Option<String>,
    /// Why its position is unknown.
    pub unknown: Option<String>,
}

/// A generation and its sinks.
#[derive(Debug, Clone, Serialize)]
pub struct GenerationStatus {
    pub projection: String,
    pub generation: i32,
    pub version: i32,
    pub shape: i32,
    /// `building`, `ready`, `rejected` or `retired`.
    pub state: crate::generation::State,
    pub active: bool,
    /// Readers used it before, and can go back to it.
    pub previous: bool,
    pub verified_by: Option<i64>,
    pub sinks: Vec<Sink>,
    /// Events that the slowest sink has not seen.
    pub lag_events: i64,
    /// How long the first of them has been in the log, in seconds.
    pub lag_seconds: f64,
    /// Events that could not be projected.
    pub parked: i64,
    /// Its complaint; `None`: it is healthy, or it was looked at alone.
    #[serde(skip)]
    pub complaint: Option<Complaint>,
}

impl GenerationStatus {
    /// The name of its schema, file, index and prefix.
    pub fn namespace(&self) -> String {
        namespace(&self.projection, self.generation)
    }

    /// Whether it is what this projector makes.
    pub fn is_made_by(&self, projector: &dyn Projector) -> bool {
        is_made_by(projector, &self.projection, self.version, self.shape)
    }

    /// Whether a worker keeps its rows up to date.
    pub fn is_kept(&self) -> bool {
        self.sinks.iter().any(|sink| sink.name == ROWS && sink.holder.is_some())
    }

    /// The last position that all sinks have seen.
    pub fn position(&self) -> i64 {
        self.sinks.iter().map(|sink| sink.position.unwrap_or(0)).min().unwrap_or(0)
    }

    /// The process that keeps its rows up to date now.
    fn holder(&self) -> Option<&str> {
        self.sinks.iter().find(|sink| sink.name == ROWS).and_then(|sink| sink.holder.as_deref())
    }

    /// Its trouble at this moment.
    fn trouble(&self) -> Option<Trouble> {
        let stopped = self.sinks.iter().find_map(|sink| {
            let reason = sink.stopped.clone()?;
            Some(Trouble::Stopped { sink: sink.name.to_owned(), reason })
        });
        let parked = || (self.parked > 0).then_some(Trouble::Parked { count: self.parked });
        let kept = || (!self.is_kept()).then_some(Trouble::Unkept);
        // How far it is behind is not known then.
        let unknown = || {
            let reason = |sink: &Sink| Some(format!("{}: {}", sink.name, sink.unknown.as_ref()?));
            self.sinks.iter().find_map(reason).map(|detail| Trouble::Other { detail })
        };
        let late = || Trouble::of_lag(self.lag_seconds);
        let in_use = || kept().or_else(unknown).or_else(late);
        stopped.or_else(parked).or_else(|| if self.active { in_use() } else { None })
    }

    pub(crate) fn observed(&self) -> Observed<'_> {
        // The lag of a sink that does not answer says nothing about since when that is so.
        let known = || self.sinks.iter().filter(|sink| sink.unknown.is_none());
        Observed {
            subject: self.namespace(),
            position: self.position(),
            lag_events: known().map(|sink| sink.lag_events).max().unwrap_or(0),
            lag_seconds: known().map(|sink| sink.lag_seconds).fold(0.0, f64::max),
            holder: self.holder(),
            in_use: self.active,
            trouble: self.trouble(),
        }
    }
}

/// The end of the log.
#[derive(Debug, Clone, Serialize)]
pub struct Head {
    /// The last position; 0: nothing was ever appended.
    pub position: i64,
    /// How long the last event has been in the log.
    pub age_seconds: Option<f64>,
}

/// The status of the whole shop, read at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct ShopStatus {
    pub append: Head,
    pub relay: FollowerStatus,
    /// Every process manager that has started.
    pub processes: Vec<processes::Status>,
    pub seals: FollowerStatus,
    /// The seals of the record of operations, whose entries are counted.
    pub record_seals: FollowerStatus,
    /// Every live generation.
    pub generations: Vec<GenerationStatus>,
    /// The findings of the checks of the seals.
    pub integrity: Both,
}

impl ShopStatus {
    /// The verdict on all that follows the log, and on what was sealed. Every view shows this one; those that also ask
    /// the checks of a process say so.
    pub fn healthy(&self) -> bool {
        [&self.relay, &self.seals, &self.record_seals].iter().all(|one| one.complaint.is_none())
            && self.processes.iter().all(|one| one.progress.complaint.is_none())
            && self.generations.iter().all(|one| one.complaint.is_none())
            && self.integrity.is_well()
    }

    /// Events that could not be projected, of all generations.
    pub fn parked(&self) -> i64 {
        self.generations.iter().map(|one| one.parked).sum()
    }
}

/// Reads the status of the shop from its stores.
#[derive(Clone)]
pub struct StatusReader {
    pub log: EventLog,
    pub registry: Registry,
    pub search: Arc<dyn Search>,
    pub cache: Arc<dyn Cache>,
}

impl StatusReader {
    /// The head of the log, and the status of everything that follows it.
    pub async fn read(&self, projectors: &[Arc<dyn Projector>]) -> Result<ShopStatus, Error> {
        let head = self.log.head().await?.position;
        let age_seconds = if head > 0 { Some(waiting(&self.log, head).await?) } else { None };
        let mut generations = Vec::new();
        for known in self.registry.all(None).await? {
            if known.state.lives() {
                let projector = projectors.iter().find(|p| p.name() == known.generation.projection);
                let searchable = projector.is_some_and(|projector| projector.searchable());
                generations.push(self.generation(&known, searchable, head).await?);
            }
        }
        let mut status = ShopStatus {
            append: Head { position: head, age_seconds },
            relay: follower_status(&self.log, self.relay().await).await?,
            processes: processes::statuses(&self.log).await?,
            seals: self.sealed(&self.log, SEALS).await?,
            record_seals: self.sealed(&self.record(), RECORD_SEALS).await?,
            generations,
            integrity: integrity::read(&self.record_proof()?).await?,
        };
        let leases = Leases::new(self.log.db().beside("process")?, "");
        status.relay.look_up_holder(&leases, RELAY).await?;
        status.seals.look_up_holder(&leases, SEALER).await?;
        status.record_seals.look_up_holder(&leases, RECORD_SEALER).await?;
        self.judge(&mut status).await;
        Ok(status)
    }

    /// Adds the verdict on each follower: what is wrong now, and what is remembered of it.
    async fn judge(&self, status: &mut ShopStatus) {
        let db = self.registry.operations();
        let mut memory = Memory::load(db).await;
        status.relay.judge(&mut memory, RELAY, true);
        for one in &mut status.processes {
            let on = one.state != "off";
            one.progress.judge(&mut memory, &of_process(&one.name), on);
        }
        status.seals.judge(&mut memory, SEALS, true);
        status.record_seals.judge(&mut memory, RECORD_SEALS, true);
        let mut alive = Vec::with_capacity(status.generations.len());
        for one in &mut status.generations {
            alive.push(one.namespace());
            one.complaint = memory.judge(&one.observed());
        }
        memory.store(db, &alive).await;
    }

    /// The last position that the bus confirmed. Also checks that the log is the one that the relay published.
    async fn relay(&self) -> Result<Option<Checkpoint>, Error> {
        let process = self.log.db().beside("process")?;
        let loaded = Checkpoint::load(&process, &process.connection, RELAY).await?;
        let at = loaded.map(|(checkpoint, _)| checkpoint);
        if let Some(at) = &at {
            at.rows_after(&self.log, RELAY, 1).await?;
        }
        Ok(at)
    }

    /// The record of operations, as a log: in this form it is sealed.
    pub fn record(&self) -> EventLog {
        EventLog::of_record(self.registry.operations().clone(), self.log.keys().clone())
    }

    /// The record of operations with its seals, by which its entries count.
    pub fn record_proof(&self) -> Result<RecordProof, Error> {
        RecordProof::new(&self.log, &self.registry)
    }

    async fn sealed(&self, log: &EventLog, seals: &str) -> Result<FollowerStatus, Error> {
        let seals = Seals::new(self.log.db().beside(seals)?);
        follower_status(log, seals.end(log).await.map(Some)).await
    }

    /// The status of one generation.
    pub async fn generation(
        &self,
        known: &KnownGeneration,
        searchable: bool,
        head: i64,
    ) -> Result<GenerationStatus, Error> {
        let generation = &known.generation;
        let name = generation.namespace();
        let db = generation.db(self.registry.database())?;
        let leases = Leases::new(self.registry.operations().clone(), "");
        let mut sinks = Vec::new();
        // A generation that is being made or removed now, or that was damaged, must not fail the whole answer.
        let kept =
            if_tables_exist(db.connection.query_one(db.statement("SELECT 1 FROM @checkpoints", [])).await)?;
        let rows = match kept {
            Some(_) => Checkpoint::load(&db, &db.connection, ROWS).await,
            None => Ok(None),
        };
        let rows = match rows {
            Err(error @ (Error::Database(_) | Error::Damaged(_))) => Err(error.to_string()),
            rows => Ok(rows?.map(|(at, _)| at)),
        };
        let ahead = ahead(&self.log, &name, rows.as_ref().ok()).await?;
        // A standby has not seen all yet.
        let ahead = if ahead.is_some() && is_standby(&self.log).await? { None } else { ahead };
        let previous = known.previous && ahead.is_none();
        let rows = rows.map(|at| at.map(|at| at.position));
        let mut positions = vec![(ROWS, rows)];
        if searchable {
            positions.push((INDEX, position(self.search.checkpoint(&name).await)));
        }
        // A cache that lives inside one process is not shown.
        if searchable && self.cache.shared() {
            positions.push((CACHE, position(self.cache.checkpoint(&name).await)));
        }
        for (sink, asked) in positions {
            let (position, mut unknown) = match asked {
                Ok(position) => (position, None),
                Err(reason) => (None, Some(reason)),
            };
            let sql = "SELECT reason FROM @status WHERE follower = $1 AND state = 'stopped'";
            let stopped = if_tables_exist(db.connection.query_one(db.statement(sql, [sink.into()])).await)?;
            if stopped.is_none() {
                unknown = Some("its tables are not there".to_owned());
            }
            let stopped = stopped.flatten().map(|row| row.try_get_by_index(0)).transpose()?;
            // Its worker may not run, or may not have noticed yet.
            let stopped = stopped.or_else(|| ahead.clone().filter(|_| sink == ROWS && known.active));
            let (lag_events, lag_seconds) = lag(&self.log, position, head).await?;
            sinks.push(Sink {
                name: sink,
                position,
                lag_events,
                lag_seconds,
                holder: leases.holder(&format!("{name}:{sink}")).await?,
                stopped,
                unknown,
            });
        }
        let parked =
            if_tables_exist(db.connection.query_one(db.statement("SELECT count(*) FROM @parked", [])).await)?
                .flatten();
        Ok(GenerationStatus {
            projection: generation.projection.clone(),
            generation: generation.number,
            version: generation.version,
            shape: generation.shape,
            state: known.state,
            active: known.active,
            previous,
            verified_by: known.verified_by,
            lag_events: sinks.iter().map(|sink| sink.lag_events).max().unwrap_or(0),
            lag_seconds: sinks.iter().map(|sink| sink.lag_seconds).fold(0.0, f64::max),
            sinks,
            parked: parked.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0),
            complaint: None,
        })
    }
}

/// That the rows have seen a history that the log no longer has, in words.
async fn ahead(log: &EventLog, name: &str, at: Option<&Option<Checkpoint>>) -> Result<Option<String>, Error> {
    let Some(Some(at)) = at else { return Ok(None) };
    match at.rows_after(log, name, 1).await {
        Err(error @ Error::AheadOfLog { .. }) => Ok(Some(error.to_string())),
        other => other.map(|_| None),
    }
}

/// The result of a query of a generation's tables; `None`: the tables do not exist.
fn if_tables_exist<T>(asked: Result<T, DbErr>) -> Result<Option<T>, Error> {
    match asked {
        Ok(given) => Ok(Some(given)),
        Err(error) if is_no_table(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The position of a sink's own checkpoint; an error says why the sink did not answer.
fn position<E: std::fmt::Display>(checkpoint: Result<Option<String>, E>) -> Result<Option<i64>, String> {
    let text = checkpoint.map_err(|error| error.to_string())?;
    Ok(text.and_then(|text| text.parse::<Checkpoint>().ok()).map(|at| at.position))
}
