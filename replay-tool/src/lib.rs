//! Rebuilds read models beside live traffic: a new generation is built from the log, verified against the one in use,
//! and takes its place by the update of one row; a rollback is the same step in reverse.
//!
//! Nothing here has side effects outside the read models: this crate cannot append, publish or send commands. On
//! PostgreSQL it uses a role that cannot write the log. Start reading at [`Tool`], then [`rebuild`], then [`swap`].
#![expect(clippy::result_large_err, reason = "a command fails once, and what it says then need not be small")]

pub mod check;
pub mod deploy;
pub mod document;
pub mod exit;
mod fold;
mod folder;
pub mod history;
mod hold;
pub mod listing;
mod naming;
pub mod output;
pub mod parked;
pub mod plan;
pub mod rebuild;
mod record;
mod rows;
pub mod sentences;
pub mod status;
pub mod stop;
pub mod swap;
pub mod verify;
pub mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use soonshop_cache::Cache;
use soonshop_domain::ids;
use soonshop_event_log::database::sqlite_file;
use soonshop_event_log::{Database, DatabaseLocation, EventLog, KeyStore, Lease, Leases, MasterKeys, shown};
use soonshop_migrations::{Namespace, rights};
use soonshop_projections::generation::KnownGeneration;
use soonshop_projections::generation_remover::GenerationRemover;
use soonshop_projections::operations::{self, Operation};
use soonshop_projections::runner::Follower;
use soonshop_projections::runs::{self, Runs};
use soonshop_projections::status::StatusReader;
use soonshop_projections::{Feed, Generation, Projector, Registry};
use soonshop_search::Search;

pub use exit::Failure;
pub use output::Output;
pub use sentences::{Language, Sentence};
pub use stop::Stop;

/// The actor of everything that is done at the command line, while there is no sign-in.
pub const ACTOR: &str = "service:operator";

/// All addresses, the same as the shop's.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    #[arg(
        long,
        env = "SOONSHOP_STORE",
        hide_env_values = true,
        default_value = "sqlite://data",
        global = true
    )]
    pub store: String,
    #[arg(long, env = "SOONSHOP_READ_MODELS", hide_env_values = true, global = true)]
    pub read_models: Option<String>,
    #[arg(long, env = "SOONSHOP_KEYS", hide_env_values = true, global = true)]
    pub keys: Option<String>,
    #[arg(long, env = "SOONSHOP_CACHE", hide_env_values = true, default_value = "moka:", global = true)]
    pub cache: String,
    #[arg(
        long,
        env = "SOONSHOP_SEARCH",
        hide_env_values = true,
        default_value = "tantivy://data/search",
        global = true
    )]
    pub search: String,
    #[arg(long, env = "SOONSHOP_MASTER_KEY_FILE", default_value = "data/master.key", global = true)]
    pub master_key_file: PathBuf,
}

/// Refuses a file with keys that is missing, or cannot be looked at.
fn must_be_there(file: &Path) -> Result<(), Failure> {
    let missing = |error: std::io::Error| {
        let (file, detail) = (file.display().to_string(), error.to_string());
        Failure::Usage(Sentence::NoKeyFile { file, detail })
    };
    std::fs::metadata(file).map(drop).map_err(missing)
}

/// Everything that a command works with.
#[derive(Clone)]
pub struct Tool {
    /// The event store's database.
    pub store: Database,
    pub log: EventLog,
    pub registry: Registry,
    pub runs: Runs,
    pub search: Arc<dyn Search>,
    pub cache: Arc<dyn Cache>,
    /// The projectors of this binary.
    pub projectors: Vec<Arc<dyn Projector>>,
    /// A name that is unique to this process, for leases.
    pub holder: String,
    pub out: Output,
    pub stop: Stop,
}

/// The result of a command: the exit code, and the last line of `--json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub code: u8,
    pub summary: serde_json::Value,
}

impl Ended {
    pub fn done(summary: serde_json::Value) -> Self {
        Self { code: exit::DONE, summary }
    }
}

/// The result of every command.
pub type Outcome = Result<Ended, Failure>;

impl Tool {
    /// Checks every address, and that the schemas are those of this release.
    pub async fn open(
        config: &Config,
        projectors: Vec<Arc<dyn Projector>>,
        out: Output,
        stop: Stop,
    ) -> Result<Self, Failure> {
        let place = |url: &Option<String>| DatabaseLocation::parse(url.as_deref().unwrap_or(&config.store));
        // On PostgreSQL all of it is done under a role that cannot write the log.
        let store = Database::under(DatabaseLocation::parse(&config.store)?, rights::REPLAY);
        let same = |place: DatabaseLocation| {
            if *store.location() == place { store.clone() } else { Database::under(place, rights::REPLAY) }
        };
        let (read, keys) = (same(place(&config.read_models)?), same(place(&config.keys)?));
        let address = |detail: String| Failure::Usage(Sentence::BadAddress { detail });
        let search = soonshop_search::connect(&config.search);
        let search = search.map_err(|error| address(format!("{}: {error}", shown(&config.search))))?;
        let cache = soonshop_cache::connect(&config.cache).map_err(|error| address(error.to_string()))?;
        let stands = [(Namespace::Log, &store), (Namespace::Keys, &keys), (Namespace::Operations, &read)];
        for (namespace, database) in stands {
            // A file that is opened comes into being: nothing is left in a folder that is no shop's.
            if let DatabaseLocation::Sqlite(folder) = database.location()
                && !sqlite_file(folder, namespace.name()).is_file()
            {
                let folder = folder.display().to_string();
                return Err(Failure::Usage(Sentence::NoShop { folder }));
            }
        }
        for (namespace, database) in stands {
            let db = database.namespace(namespace.name())?;
            soonshop_migrations::check(namespace, &db.connection).await.map_err(|error| match error {
                soonshop_migrations::Error::Database { source, .. }
                    if source.to_string().contains(rights::REPLAY) =>
                {
                    Failure::Refused(Sentence::NoRole { role: rights::REPLAY })
                }
                soonshop_migrations::Error::Database { source, .. } => source.into(),
                _ => Failure::Refused(Sentence::SchemaUnfit { detail: error.to_string() }),
            })?;
        }
        let log = &store.namespace("log")?.connection;
        if let Some(why) = rights::replay_writes(log).await.map_err(Failure::unexpected)? {
            return Err(Failure::Refused(Sentence::MayWrite { why }));
        }
        must_be_there(&config.master_key_file)?;
        let masters = MasterKeys::read(&config.master_key_file)
            .map_err(|error| Failure::Usage(Sentence::BadMasterKey { detail: error.to_string() }))?;
        let log = EventLog::new(store.namespace("log")?, KeyStore::new(keys.namespace("keys")?, masters));
        let registry = Registry::new(&read)?;
        Ok(Self {
            store,
            log,
            runs: Runs::new(registry.operations().clone()),
            registry,
            search,
            cache,
            projectors,
            holder: format!("{}{}", Self::holder_prefix(std::process::id()), ids::new().simple()),
            out,
            stop,
        })
    }

    /// The prefix of the holder name of a process on this machine.
    fn holder_prefix(pid: u32) -> String {
        format!("replay-tool/{}/{pid}/", runs::host())
    }

    /// Whether a holder was a process of this machine that has ended.
    fn is_gone(holder: &str) -> bool {
        let pid = holder.rsplit('/').nth(1).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| {
            holder.starts_with(&Self::holder_prefix(pid))
                && !std::path::Path::new(&format!("/proc/{pid}")).exists()
        })
    }

    /// The projector with this name.
    pub fn projector(&self, name: &str) -> Result<Arc<dyn Projector>, Failure> {
        let found = self.projectors.iter().find(|projector| projector.name() == name);
        found.cloned().ok_or_else(|| {
            let names: Vec<_> = self.projectors.iter().map(|projector| projector.name()).collect();
            Failure::Usage(Sentence::NoReadModel { name: name.to_owned(), known: names.join(", ") })
        })
    }

    /// An existing generation; `None`: the active one.
    pub async fn known(&self, projection: &str, number: Option<i32>) -> Result<KnownGeneration, Failure> {
        let all = self.registry.all(Some(projection)).await?;
        let found = match number {
            Some(number) => all.into_iter().find(|known| known.generation.number == number),
            None => all.into_iter().find(|known| known.active),
        };
        found.ok_or_else(|| {
            let projection = projection.to_owned();
            Failure::Usage(match number {
                Some(number) => Sentence::NoGeneration { projection, number },
                None => Sentence::NoneInUse { projection },
            })
        })
    }

    /// The newest generation that is not active, and could be.
    pub async fn candidate(&self, projection: &str, number: Option<i32>) -> Result<KnownGeneration, Failure> {
        if number.is_some() {
            return self.known(projection, number).await;
        }
        let all = self.registry.all(Some(projection)).await?;
        all.into_iter()
            .rev()
            // Generations older than the one in use were left by readers, or never good enough.
            .take_while(|known| !known.active)
            .find(|known| known.state.lives() && !known.previous)
            .ok_or_else(|| Failure::Refused(Sentence::NoCandidate { projection: projection.to_owned() }))
    }

    /// The follower that keeps a generation up to date in this process.
    pub fn follower(&self, projector: &Arc<dyn Projector>, generation: &Generation) -> Follower {
        Follower {
            projector: Arc::clone(projector),
            generation: generation.clone(),
            registry: self.registry.clone(),
            feed: Feed::new(self.log.clone()),
            holder: self.holder.clone(),
        }
    }

    pub fn leases(&self) -> Leases {
        Leases::new(self.registry.operations().clone(), self.holder.clone())
    }

    pub(crate) fn generation_remover(&self) -> GenerationRemover {
        GenerationRemover {
            registry: self.registry.clone(),
            search: Arc::clone(&self.search),
            cache: Arc::clone(&self.cache),
            holder: self.holder.clone(),
        }
    }

    pub fn status_reader(&self) -> StatusReader {
        StatusReader {
            log: self.log.clone(),
            registry: self.registry.clone(),
            search: Arc::clone(&self.search),
            cache: Arc::clone(&self.cache),
        }
    }

    /// The lease for changing the generations of a projection; only one run can hold it.
    async fn generation_lease(&self, projection: &str) -> Result<Lease, Failure> {
        let what = format!("replay:{projection}");
        match self.leases().acquire(&what).await? {
            Ok(lease) => Ok(lease),
            Err(holder) => {
                let run =
                    self.runs.last(Some(projection), 20).await?.into_iter().find(|run| !run.state.is_over());
                if Self::is_gone(&holder) {
                    // That run was killed on this machine: do not wait until its lease expires.
                    if let Some(run) = run.filter(soonshop_projections::runs::Run::was_killed_here) {
                        self.runs.end(run.run, runs::State::Interrupted, None).await?;
                    }
                    return Ok(self.leases().take(&what).await?);
                }
                let run = run.and_then(|run| serde_json::to_value(run).ok());
                Err(Failure::Held { what: Some(projection.to_owned()), holder, run })
            }
        }
    }

    /// Runs `work` while it holds the lease for changing the generations of a projection; aborts it if the lease is
    /// lost, or at a second request to stop.
    pub(crate) async fn under_generation_lease<T>(
        &self,
        projection: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let lease = self.generation_lease(projection).await?;
        let leases = self.leases();
        let outcome = tokio::select! {
            outcome = work => outcome,
            lost = leases.keep(&lease) => Err(lost.into()),
            () = self.stop.now() => Err(self.stop.failure()),
        };
        if let Err(error) = leases.release(&lease).await {
            tracing::warn!(%error, lease = lease.name, "the lease was not given back, and expires");
        }
        outcome
    }

    /// The record of an operation on a generation.
    pub(crate) async fn done(
        &self,
        action: &'static str,
        generation: &Generation,
        detail: serde_json::Value,
        reason: Option<&str>,
    ) -> Result<Operation, Failure> {
        let note = match reason {
            Some(text) => Some(operations::note(self.log.keys(), text).await?),
            None => None,
        };
        Ok(Operation { actor: ACTOR.to_owned(), action, subject: generation.namespace(), detail, note })
    }
}
