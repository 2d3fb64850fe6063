//! The one binary: ties stores, bus, read models, cache and search to roles, by URL.
//!
//! Start reading at [`Config`], then [`Shop::open`], then [`serve`].

pub mod accounts;
pub mod api_keys;
mod cause;
pub mod checks;
pub mod clock;
pub mod connections;
mod docs_page;
pub mod doctor;
mod documentation;
pub mod erased;
pub mod import;
pub mod mail;
mod metrics;
pub mod migrate;
pub mod oauth;
mod outcome;
pub mod processes;
mod rates;
mod role;
pub mod roles;
pub mod seals;
pub mod seed;
pub mod serve;
pub mod settle;
pub mod stock;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use soonshop_bus::Bus;
use soonshop_cache::{Cache, Rates};
use soonshop_domain::cart_expiry::CART_DAYS;
use soonshop_domain::context;
use soonshop_domain::process::Process;
use soonshop_domain::process_managers::{self, Settings};
use soonshop_event_log::seal::{RECORD_SEALS, SEALS, SealKeys, Seals};
use soonshop_event_log::{Database, DatabaseLocation, EventLog, KeyStore, MasterKeys, private_files, shown};
use soonshop_event_store::{EventStore, KeyMaker};
use soonshop_identity::{Cost, Identity};
use soonshop_payments::{Sandbox, check_address};
use soonshop_projections::Registry;
use soonshop_projections::status::StatusReader;
use soonshop_search::Search;
use soonshop_service_kit::serve::ServerSettings;
use soonshop_service_kit::work::Bounds;

pub use accounts::{FactorSettings, ProviderOptions, SessionSettings};
pub use connections::ConnectionSettings;
pub use mail::{MailSettings, Mailing};
pub use rates::RateOptions;
pub use role::Role;

/// The addresses of all parts. The scheme of a URL names its backend.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// The event store: `postgres://…` or `sqlite://FOLDER`
    #[arg(
        long,
        env = "SOONSHOP_STORE",
        hide_env_values = true,
        default_value = "sqlite://data",
        global = true
    )]
    pub store: String,
    /// The read models: `postgres://…` or `sqlite://FOLDER`. The event store's database unless given
    #[arg(long, env = "SOONSHOP_READ_MODELS", hide_env_values = true, global = true)]
    pub read_models: Option<String>,
    /// The keys of people's data: `postgres://…` or `sqlite://FOLDER`. The event store's database unless given
    #[arg(long, env = "SOONSHOP_KEYS", hide_env_values = true, global = true)]
    pub keys: Option<String>,
    /// The register of erasures: `postgres://…` or `sqlite://FOLDER`. The keys' database unless given
    #[arg(long, env = "SOONSHOP_ERASURES", hide_env_values = true, global = true)]
    pub erasures: Option<String>,
    /// The bus: `in-process:`, `amqp(s)://…` (RabbitMQ) or `nats://…`
    #[arg(long, env = "SOONSHOP_BUS", hide_env_values = true, default_value = "in-process:", global = true)]
    pub bus: String,
    /// The cache: `moka:` or `redis(s)://…`
    #[arg(long, env = "SOONSHOP_CACHE", hide_env_values = true, default_value = "moka:", global = true)]
    pub cache: String,
    /// Search: `tantivy://FOLDER` or `http(s)://…` (Elasticsearch, OpenSearch)
    #[arg(
        long,
        env = "SOONSHOP_SEARCH",
        hide_env_values = true,
        default_value = "tantivy://data/search",
        global = true
    )]
    pub search: String,
    /// The file with the master key, 32 bytes in base64 a line, the newest first
    #[arg(long, env = "SOONSHOP_MASTER_KEY_FILE", default_value = "data/master.key", global = true)]
    pub master_key_file: PathBuf,
    /// The file with the keys that sign the log's seals, PKCS#8 in base64 a line, the newest first
    #[arg(long, env = "SOONSHOP_SEAL_KEY_FILE", default_value = "data/seal.key", global = true)]
    pub seal_key_file: PathBuf,
    /// The file with the operator's token
    #[arg(long, env = "SOONSHOP_OPERATOR_TOKEN_FILE", default_value = "data/operator.token", global = true)]
    pub operator_token_file: PathBuf,
    /// This process's name: no two running at the same time share one. It names its queue on the bus
    #[arg(long, env = "SOONSHOP_NAME", default_value = "soonshop", global = true)]
    pub name: String,
    /// How many days the record of a person's command is kept: as long as it may be repeated
    #[arg(long, env = "SOONSHOP_KEEP_RECORDS_DAYS", default_value_t = KEEP_RECORDS_DAYS, global = true,
          value_parser = clap::value_parser!(u16).range(i64::from(KEEP_RECORDS_DAYS)..))]
    pub keep_records_days: u16,
    /// How many days the record of a process's command is kept: longer than any backup of what processes store
    #[arg(long, env = "SOONSHOP_KEEP_PROCESS_RECORDS_DAYS", default_value_t = KEEP_PROCESS_RECORDS_DAYS, global = true,
          value_parser = clap::value_parser!(u16).range(i64::from(KEEP_RECORDS_DAYS)..))]
    pub keep_process_records_days: u16,
    /// Days within which an erasure must be complete: after that, a generation that no process runs and that the
    /// erasure has not reached is dropped
    #[arg(long, env = "SOONSHOP_ERASE_WITHIN_DAYS", default_value_t = ERASE_WITHIN_DAYS, global = true,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub erase_within_days: u16,
    /// After how many days a confirmed order that was not shipped is cancelled, which gives its stock back; 0: never
    #[arg(long, env = "SOONSHOP_CANCEL_UNSHIPPED_AFTER_DAYS", default_value_t = 0, global = true)]
    pub cancel_unshipped_after_days: u16,
    /// After how many days without a change a cart expires; 0: never
    #[arg(long, env = "SOONSHOP_CART_DAYS", default_value_t = CART_DAYS, global = true)]
    pub cart_days: u16,
    /// The provider of payments: `sandbox:`, which moves no money. Where others reach the shop nothing can be paid unless
    /// one is named; where only this machine does, it is the sandbox
    #[arg(long, env = "SOONSHOP_PAYMENTS", global = true)]
    pub payments: Option<String>,
    #[command(flatten)]
    pub mail: MailSettings,
    #[command(flatten)]
    pub connections: ConnectionSettings,
    #[command(flatten)]
    pub rates: RateOptions,
    #[command(flatten)]
    pub factors: FactorSettings,
    #[command(flatten)]
    pub sign_in: ProviderOptions,
    #[command(flatten)]
    pub sessions: SessionSettings,
    /// The requests that may run and wait at the same time, each in all and of one caller: searches, expensive
    /// queries, exports, and mebibytes of answers that clients have not read
    #[arg(long, env = "SOONSHOP_WORK", default_value_t, value_name = "NAME=ALL/EACH,…", global = true)]
    pub work: Bounds,
}

impl Config {
    /// The addresses of all servers.
    fn servers(&self) -> impl Iterator<Item = &str> {
        let others = [&self.read_models, &self.keys, &self.erasures].into_iter().flatten();
        [&self.store, &self.bus, &self.cache, &self.search].into_iter().chain(others).map(String::as_str)
    }
}

/// The minimum, and the default.
pub const KEEP_RECORDS_DAYS: u16 = 7;
pub const KEEP_PROCESS_RECORDS_DAYS: u16 = 35;

/// Shorter than the month that article 12(3) of the General Data Protection Regulation gives.
pub const ERASE_WITHIN_DAYS: u16 = 28;

/// Everything a role may need, opened but not yet connected.
#[derive(Clone)]
pub struct Shop {
    pub config: Box<Config>,
    pub store_database: Database,
    pub read_database: Database,
    pub keys_database: Database,
    pub erasures_database: Database,
    pub bus: Arc<dyn Bus>,
    pub cache: Arc<dyn Cache>,
    /// Counts what callers do: in the server of the cache, or in this process.
    pub rates: Arc<dyn Rates>,
    pub search: Arc<dyn Search>,
    /// What becomes of mails to people.
    pub mailing: Mailing,
    /// The clients that may connect.
    pub server_settings: ServerSettings,
    /// A unique name, different also from that of the process before this one.
    pub holder: String,
}

impl Shop {
    /// Checks every address and every forbidden combination before anything connects.
    pub fn open(config: &Config, role: Role) -> anyhow::Result<Self> {
        let place = |url: &Option<String>, fallback: &str| {
            DatabaseLocation::parse(url.as_deref().unwrap_or(fallback))
        };
        let keys_url = config.keys.as_deref().unwrap_or(&config.store);
        let store = DatabaseLocation::parse(&config.store)?;
        let read = place(&config.read_models, &config.store)?;
        let keys = DatabaseLocation::parse(keys_url)?;
        let erasures = place(&config.erasures, keys_url)?;
        let server_settings = config.connections.server_settings(config.rates.proxies())?;
        let mailing = config.mail.mailing(&store)?;
        let bus = soonshop_bus::connect(&config.bus)?;
        let cache = soonshop_cache::connect(&config.cache)?;
        let rates = soonshop_cache::connect_rates(&config.cache)?;
        if let Some(address) = &config.payments {
            check_address(address).with_context(|| shown(address))?;
        }
        let search = soonshop_search::connect(&config.search).with_context(|| shown(&config.search))?;
        if role != Role::All {
            let files = [&store, &read, &keys, &erasures].into_iter().any(DatabaseLocation::is_sqlite);
            for (one_process, what, instead) in [
                (files, "sqlite:", "postgres://…"),
                (bus.backend() == "in-process", "in-process:", "amqp://… or nats://…"),
                (search.backend() == "tantivy", "tantivy:", "http://…"),
            ] {
                if one_process {
                    bail!("{what} works within one process only: use {instead}, or `serve --role all`");
                }
            }
        }
        if config.name.is_empty()
            || !config.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        {
            bail!("--name is made of a-z, 0-9 and -");
        }
        let database = |place: &DatabaseLocation, others: &[&Database]| {
            let same = others.iter().find(|other| other.location() == place);
            same.map_or_else(|| Database::new(place.clone()), |other| (*other).clone())
        };
        let store_database = Database::new(store);
        let read_database = database(&read, &[&store_database]);
        let keys_database = database(&keys, &[&store_database, &read_database]);
        let erasures_database = database(&erasures, &[&store_database, &read_database, &keys_database]);
        let holder = format!("{}-{}", config.name, soonshop_domain::ids::new().simple());
        Ok(Self {
            config: Box::new(config.clone()),
            store_database,
            read_database,
            keys_database,
            erasures_database,
            bus,
            cache,
            rates,
            search,
            mailing,
            server_settings,
            holder,
        })
    }

    /// Where people and programs reach the shop, without the `/` at its end, if it is known.
    pub(crate) fn public_address(&self) -> anyhow::Result<Option<Arc<str>>> {
        let address = self.config.mail.public_address(self.store_database.location())?;
        Ok(address.map(Arc::from))
    }

    pub fn key_store(&self) -> anyhow::Result<KeyStore> {
        let masters = MasterKeys::read(&self.config.master_key_file)?;
        Ok(KeyStore::new(self.keys_database.namespace("keys")?, masters))
    }

    /// Accounts and their sessions, as a process sees them that starts now.
    pub fn identity(&self) -> anyhow::Result<Identity> {
        let identity =
            Identity::new(self.store_database.namespace("identity")?, self.key_store()?, Cost::default());
        let relying_party = accounts::relying_party(self.public_address()?.as_deref());
        Ok(identity.with_idle_limits(self.config.sessions.limits()).with_passkeys(relying_party))
    }

    pub fn log(&self) -> anyhow::Result<EventLog> {
        Ok(EventLog::new(self.store_database.namespace("log")?, self.key_store()?))
    }

    /// The provider of payments that moves no money.
    pub fn sandbox(&self) -> anyhow::Result<Sandbox> {
        Ok(Sandbox::new(self.store_database.namespace("payments")?))
    }

    /// The write side. On SQLite no other process may have it open.
    pub fn event_store(&self) -> anyhow::Result<EventStore> {
        Ok(EventStore::open(&self.store_database, KeyMaker::new(self.key_store()?))?)
    }

    pub fn registry(&self) -> anyhow::Result<Registry> {
        Ok(Registry::new(&self.read_database)?)
    }

    /// Every process manager, as it is set here.
    pub fn processes(&self) -> Vec<Arc<dyn Process>> {
        process_managers::all(&Settings {
            cancel_unshipped_after_days: self.config.cancel_unshipped_after_days,
            cart_days: self.config.cart_days,
        })
    }

    /// The sources of the health of everything.
    pub fn status_reader(&self) -> anyhow::Result<StatusReader> {
        let (search, cache) = (Arc::clone(&self.search), Arc::clone(&self.cache));
        Ok(StatusReader { log: self.log()?, registry: self.registry()?, search, cache })
    }

    pub fn seal_keys(&self) -> anyhow::Result<SealKeys> {
        Ok(SealKeys::read(&self.config.seal_key_file)?)
    }

    pub fn seals(&self) -> anyhow::Result<Seals> {
        Ok(Seals::new(self.store_database.namespace(SEALS)?))
    }

    /// The record of operations, as the log that it is sealed as.
    pub fn record(&self) -> anyhow::Result<EventLog> {
        Ok(EventLog::of_record(self.read_database.namespace("operations")?, self.key_store()?))
    }

    pub fn record_seals(&self) -> anyhow::Result<Seals> {
        Ok(Seals::new(self.store_database.namespace(RECORD_SEALS)?))
    }

    /// The operator's token, as `migrate` wrote it.
    pub fn operator_token(&self) -> anyhow::Result<Arc<str>> {
        let file = &self.config.operator_token_file;
        private_files::narrow(file);
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{}: `soonshop migrate` writes it", file.display()))?;
        Ok(text.trim().into())
    }
}

/// Reads `order,payment`: the contexts to serve.
pub fn contexts(list: Option<&str>) -> anyhow::Result<BTreeSet<String>> {
    let Some(list) = list else { return Ok(context::NAMES.map(str::to_owned).into()) };
    let expected: BTreeSet<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
    match expected.iter().find(|name| context::named(name).is_none()) {
        Some(unknown) => bail!("there is no context {unknown:?}: {}", context::NAMES.join(", ")),
        None => Ok(expected),
    }
}
