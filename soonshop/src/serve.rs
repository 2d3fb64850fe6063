//! A process of the shop: its endpoints, its workers, and a stop that finishes the work in progress.

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::middleware::from_fn;
use soonshop_audit_web::account::AccountPages;
use soonshop_audit_web::front::{self, Front};
use soonshop_audit_web::http::Viewer;
use soonshop_audit_web::refusals::PagesOfRefusals;
use soonshop_certificates::plain_text;
use soonshop_command_api::{Commands, OfferedProvider};
use soonshop_domain::{Purpose, clock, context};
use soonshop_event_store::KeyMaker;
use soonshop_identity::Identity;
use soonshop_payments::Provider as _;
use soonshop_projections::Projector;
use soonshop_projections::runner::Readers;
use soonshop_query_api::http::Queries;
use soonshop_service_kit::access::Access;
use soonshop_service_kit::answers;
use soonshop_service_kit::health::Health;
use soonshop_service_kit::hosts::Hosts;
use soonshop_service_kit::listening;
use soonshop_service_kit::rates::{self, Class};
use soonshop_service_kit::security_headers;
use soonshop_service_kit::serve::{self as kit, ServerSettings};
use soonshop_service_kit::work::{Bounds, Share, Work};
use soonshop_workers::eraser;
use soonshop_workers::relay::Published;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::tag::TagBuilder;
use uuid::Uuid;

use crate::accounts::{self, Accounts, OwnAccounts, Providers};
use crate::api_keys::ApiKeys;
use crate::connections::raise_file_limit;
use crate::oauth::{self, ClientsOfAccounts};
use crate::{Role, Shop, checks, docs_page, documentation, metrics, migrate, roles};

/// Mebibytes of `/metrics` that clients have not read yet, in all and of one of them.
const METRICS: Bounds = Bounds { answers: Share { all: 16, each: 4 }, ..Bounds::DEFAULT };

/// How long a stop may take.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// The options of a server.
#[derive(Debug, Clone)]
pub struct Options {
    pub role: Role,
    pub contexts: BTreeSet<String>,
    pub listen: SocketAddr,
}

/// The port of a role, or of a context that is served alone.
pub fn default_port(role: Role, contexts: &BTreeSet<String>) -> u16 {
    let only = contexts.first().filter(|_| contexts.len() == 1);
    let alone = only.and_then(|name| context::named(name)).and_then(|context| context.port);
    alone.unwrap_or(match role {
        Role::All => 8000,
        Role::CommandApi => 8010,
        Role::QueryApi => 8020,
        Role::Projector => 8030,
        Role::Relay => 8040,
        Role::Reactor => 8050,
    })
}

/// A process that is running.
pub struct Running {
    pub address: SocketAddr,
    pub stop: CancellationToken,
    done: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Stops, and waits until everything that was begun is finished.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.done.await?
    }

    /// Waits until it was stopped.
    pub async fn ended(self) -> anyhow::Result<()> {
        self.done.await?
    }
}

/// Starts a process of the shop; it answers when this returns.
pub async fn start(
    shop: Shop,
    options: Options,
    projectors: Vec<Arc<dyn Projector>>,
) -> anyhow::Result<Running> {
    listening::must_be_protected(options.listen, &shop.server_settings)?;
    for plain in shop.config.servers().filter_map(plain_text) {
        tracing::warn!("{plain}");
    }
    let role = options.role;
    migrate::check(&shop).await?;
    migrate::check_read_models(&shop).await?;
    // Before anything here reads the log.
    let register = shop.erasures_database.namespace("erasures")?;
    let erased = eraser::erase_registered(&KeyMaker::new(shop.key_store()?), &register).await?;
    let identity = shop.identity()?;
    if role.has(Role::CommandApi) || role.has(Role::QueryApi) {
        accounts::roles::check_settings(&identity, &shop.config).await?;
    }
    if role.has(Role::CommandApi) {
        accounts::roles::check_providers(&identity, &shop.config).await?;
    }
    if role.writes() {
        erase_accounts(&identity, &erased).await?;
    }
    let store = if role.writes() {
        soonshop_event_store::EventStore::check_owner(&shop.store_database)?;
        Some(shop.event_store()?)
    } else {
        None
    };
    let mut server_settings = server_settings(&shop);
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("{} cannot be listened on: choose another with --listen", options.listen))?;
    let address = listener.local_addr()?;
    if !listening::is_of_this_machine(address) && server_settings.hosts == Hosts::default() {
        tracing::warn!(
            %address,
            "requests are answered under the names of the loopback interface only: name the shop's with --host"
        );
    }
    let stop = CancellationToken::new();
    let published = Published::default();
    let mut followers =
        roles::start(&shop, role, store.as_ref(), &published, projectors, Readers::Now, &stop)?;
    let failed = store.as_ref().map(soonshop_event_store::EventStore::last_failure);
    let health = checks::of(&shop, role, followers.heard.take(), failed)?;
    let mut metrics = metrics::of(&shop, role, store.as_ref(), &published, &health)?;
    let limits = shop.config.rates.limits(&shop.rates, metrics.counted());
    let http = metrics.http();
    let refusals = PagesOfRefusals::new(has_trail(&options), health.clone());
    server_settings.pages = Some(Arc::new(refusals));
    let accounts = Accounts::new(identity, shop.config.factors.clone());
    let access = access(&shop, &options, &accounts)?;
    let router = router(&shop, &options, store.as_ref(), accounts, health, &access, &stop)?;
    // Of its own: monitoring sees what goes on also where all other answers are held by clients that do not read.
    let metrics = answers::bounded(metrics.router(access), &METRICS);
    let router = rates::counted(router.merge(metrics), &limits);
    let ended = stop.clone();
    let done = tokio::spawn(async move {
        // A command that is under way is in the log before its process ends.
        kit::serve(listener, router, http, &server_settings, ended.clone(), DEADLINE).await;
        ended.cancel();
        let all = async { while followers.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DEADLINE, all).await.is_err() {
            tracing::warn!(
                "stopped with followers that had not ended by the deadline; they go on from their checkpoints"
            );
        }
        drop(store);
        Ok(())
    });
    Ok(Running { address, stop, done })
}

/// Deletes again the accounts and the tokens of guests that a backup brought back of erased people.
async fn erase_accounts(identity: &Identity, erased: &[(Uuid, Purpose)]) -> anyhow::Result<()> {
    let everybody: Vec<Uuid> = erased.iter().map(|(subject, _)| *subject).collect();
    let guests = identity.forget_guests(&everybody).await?;
    if guests > 0 {
        tracing::warn!(
            guests,
            "tokens of guests who were erased came back with a backup, and are deleted again"
        );
    }
    let erased: HashSet<Uuid> = erased
        .iter()
        .filter(|(_, purpose)| *purpose == Purpose::Account)
        .map(|(subject, _)| *subject)
        .collect();
    for account in identity.accounts().await?.into_iter().filter(|account| erased.contains(&account.id)) {
        tracing::warn!(account = %account.id, "the account of somebody erased came back with a backup, and is deleted again");
        identity.erase(account.id).await?;
    }
    Ok(())
}

/// The clients that may connect, with as many connections as files may be open.
fn server_settings(shop: &Shop) -> ServerSettings {
    let files = raise_file_limit();
    let expected = shop.server_settings.limits;
    let limits = expected.within(files);
    tracing::info!(files, connections = limits.connections, "files that may be open, and connections");
    if limits != expected {
        tracing::warn!(
            expected = expected.connections,
            "fewer connections than --max-connections asks for: allow more open files (ulimit -n, LimitNOFILE=)"
        );
    }
    if let Some(complaint) = shop.server_settings.tls.as_ref().and_then(|tls| tls.complaint(clock::now())) {
        tracing::warn!(complaint, "the certificate of this process cannot stay as it is");
    }
    ServerSettings { limits, ..shop.server_settings.clone() }
}

fn router(
    shop: &Shop,
    options: &Options,
    store: Option<&soonshop_event_store::EventStore>,
    accounts: Accounts,
    health: Health,
    access: &Access,
    stop: &CancellationToken,
) -> anyhow::Result<Router> {
    let api = openapi(options.role);
    let trail = has_trail(options);
    let front = Front {
        role: options.role.name(),
        contexts: contexts_of(&api, &options.contexts),
        health: health.clone(),
        access: access.clone(),
        trail,
        documents: documentation::DOCUMENTS,
    };
    let (bounds, work) = (&shop.config.work, Work::new(&shop.config.work));
    let docs = docs_page::router(&api)?.layer(from_fn(security_headers::of_docs));
    let pages = front::router(front).merge(documentation::router()).merge(docs);
    let mut router = health.clone().router(access.clone()).merge(rates::counted_as(pages, Class::Reads));
    if let (true, Some(store)) = (options.role.has(Role::CommandApi), store) {
        let commands = Commands {
            store: store.clone(),
            access: access.clone(),
            contexts: options.contexts.clone(),
            provider: offered(shop, options)?,
            work: work.clone(),
            stop: stop.clone(),
        };
        router = router.merge(soonshop_command_api::router(commands));
        if options.contexts.contains(context::IDENTITY) {
            let issuer = shop.public_address()?;
            router = router.merge(oauth::router(accounts.clone(), access.clone(), issuer.clone()));
            let clients = Arc::new(ClientsOfAccounts::new(accounts.clone(), issuer));
            let (sign_in, public) = (&shop.config.sign_in, shop.config.mail.public_url.as_deref());
            let providers = Providers::new(accounts.clone(), store.clone(), sign_in, public)?;
            let own = OwnAccounts::new(accounts, store.clone());
            let pages = AccountPages {
                own: Arc::new(own.clone()),
                clients,
                providers: Arc::new(providers),
                access: access.clone(),
                work: work.clone(),
            };
            router = router.merge(accounts::router(own, access.clone()));
            router = router.merge(soonshop_audit_web::account::router(pages));
        }
    }
    if options.role.has(Role::QueryApi) {
        let queries = Queries {
            registry: shop.registry()?,
            log: shop.log()?,
            search: Arc::clone(&shop.search),
            cache: Arc::clone(&shop.cache),
            access: access.clone(),
            work: work.clone(),
            contexts: options.contexts.clone(),
        };
        if trail {
            let viewer = Viewer {
                registry: queries.registry.clone(),
                log: queries.log.clone(),
                search: Arc::clone(&shop.search),
                cache: Arc::clone(&shop.cache),
                health,
                access: access.clone(),
                work,
                stop: stop.clone(),
            };
            router = router.merge(soonshop_audit_web::http::router(viewer));
        }
        router = router.merge(soonshop_query_api::http::router(queries));
    }
    Ok(answers::bounded(router, bounds))
}

/// Whether this process serves the audit trail.
fn has_trail(options: &Options) -> bool {
    options.role.has(Role::QueryApi) && options.contexts.contains(soonshop_audit_web::http::CONTEXT)
}

/// The provider of payments that new payments are made with. One that moves no money takes no order of others unless it is
/// named.
fn offered(shop: &Shop, options: &Options) -> anyhow::Result<Option<OfferedProvider>> {
    if shop.config.payments.is_none() && !is_alone(shop, options) {
        return Ok(None);
    }
    let sandbox = shop.sandbox()?;
    Ok(Some(OfferedProvider { name: sandbox.name(), test: sandbox.is_test() }))
}

/// Whether nobody else reaches the shop: with a name of its own, or behind a proxy, it is there for others.
fn is_alone(shop: &Shop, options: &Options) -> bool {
    let server_settings = &shop.server_settings;
    listening::is_of_this_machine(options.listen)
        && server_settings.proxies.is_empty()
        && server_settings.hosts == Hosts::default()
}

/// Identifies callers by their keys, and the operator by the token. A process that takes commands needs the token's
/// file; for one that only answers queries it is optional.
fn access(shop: &Shop, options: &Options, accounts: &Accounts) -> anyhow::Result<Access> {
    let there = options.role.has(Role::CommandApi) || shop.config.operator_token_file.exists();
    let operator = there.then(|| shop.operator_token()).transpose()?;
    let access = Access::new(operator).with_keys(Arc::new(ApiKeys::new(&shop.read_database)?));
    let access = access.with_people(Arc::new(accounts.clone()));
    let access = access.with_refund_limits(&shop.config.factors.step_up_refund);
    Ok(if is_alone(shop, options) { access } else { access.reached_by_others() })
}

/// The API's description of a role. A path of both sides has the operations of both.
pub fn openapi(role: Role) -> OpenApi {
    let mut api = OpenApi::default();
    if role.has(Role::CommandApi) {
        api = merged(merged(soonshop_command_api::openapi(), accounts::openapi()), oauth::openapi());
    }
    if role.has(Role::QueryApi) {
        let queries = merged(soonshop_query_api::http::openapi(), soonshop_audit_web::http::openapi());
        api = if role == Role::All { merged(api, queries) } else { queries };
    }
    "SoonShop".clone_into(&mut api.info.title);
    let contexts = context::CONTEXTS.iter().filter(|context| has_operations(&api, context.name));
    let tags =
        contexts.map(|context| TagBuilder::new().name(context.name).description(Some(context.about)).build());
    api.tags = Some(tags.collect());
    api
}

fn merged(mut one: OpenApi, other: OpenApi) -> OpenApi {
    one.merge(other);
    one
}

/// Those of the contexts that the description has operations of, in the order in which they are listed everywhere.
fn contexts_of(api: &OpenApi, served: &BTreeSet<String>) -> Vec<&'static str> {
    let names = context::NAMES.into_iter();
    names.filter(|name| served.contains(*name) && has_operations(api, name)).collect()
}

fn has_operations(api: &OpenApi, tag: &str) -> bool {
    let tagged = |path: &PathItem| {
        let all = [&path.get, &path.put, &path.post, &path.delete, &path.patch];
        all.into_iter().flatten().any(|one| one.tags.iter().flatten().any(|own| own == tag))
    };
    api.paths.paths.values().any(tagged)
}

/// [`openapi`] of everything as a file, `docs/openapi.json`: the same text for the same endpoints.
pub fn openapi_file() -> anyhow::Result<String> {
    Ok(openapi(Role::All).to_pretty_json()? + "\n")
}
