//! The checks of the shop: one table, whose results `/health/ready`, `/health/audit`,
//! `/metrics`, `soonshop doctor` and the pages show.
//!
//! A check does what the shop does: it reads and writes through the pools that everything uses, it stores and drops an
//! entry of the cache, it searches and writes the index, it sends a message through the queue. The texts of a check and
//! of its remedies are in `texts/locales/*/health.ftl`, under `front-check-` and `remedy-`.

mod bus;
mod certificate;
mod clock;
mod damage;
mod databases;
mod disk;
mod integrity;
mod locked;
mod parked;
mod processes;
mod remedies;
mod workers;
mod written;

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use soonshop_event_log::{Checkpoint, shown};
use soonshop_event_store::LastFailure;
use soonshop_identity::outbox;
use soonshop_migrations::rights;
use soonshop_projections::generation::ROWS;
use soonshop_projections::{Projector, Registry};
use soonshop_service_kit::health::{Fault, Health};
use soonshop_texts::Language;
use soonshop_workers::mails;

pub use self::bus::BusListener;
pub(crate) use self::bus::queue;

use self::databases::{file_is_there, files_can_be_used, writable};
use self::locked::Locks;
use crate::{Role, Shop, migrate};

type Answer = BoxFuture<'static, Result<(), Fault>>;

/// A row of the table.
struct Check {
    name: &'static str,
    /// The process cannot do its work without it.
    needed: bool,
    /// Whether a process of that role asks it.
    asked_by: fn(Role) -> bool,
    /// Its object, without a password.
    object: fn(&Shop) -> String,
    ask: fn(Arc<Asked>) -> Answer,
}

/// Every check.
const TABLE: [Check; 22] = [
    Check {
        name: "event-store",
        needed: true,
        asked_by: |_| true,
        object: |shop| shown(&shop.config.store),
        ask: |asked| async move { event_store(&asked).await }.boxed(),
    },
    Check {
        name: "read-models",
        needed: true,
        asked_by: |_| true,
        object: |shop| shown(shop.config.read_models.as_deref().unwrap_or(&shop.config.store)),
        ask: |asked| async move { read_models(&asked).await }.boxed(),
    },
    Check {
        name: "keys",
        needed: true,
        asked_by: |_| true,
        object: |shop| shown(shop.config.keys.as_deref().unwrap_or(&shop.config.store)),
        ask: |asked| async move { keys(&asked).await }.boxed(),
    },
    Check {
        name: "schema",
        needed: true,
        asked_by: |_| true,
        object: |shop| shown(&shop.config.store),
        ask: |asked| async move { schema(&asked).await }.boxed(),
    },
    Check {
        name: "operations",
        needed: false,
        asked_by: written::operates,
        object: |shop| shown(shop.config.read_models.as_deref().unwrap_or(&shop.config.store)),
        ask: |asked| async move { written::ask(&asked.shop, asked.role, "operations").await }.boxed(),
    },
    Check {
        name: "seals",
        needed: false,
        asked_by: written::reacts,
        object: |shop| shown(&shop.config.store),
        ask: |asked| async move { written::ask(&asked.shop, asked.role, "seals").await }.boxed(),
    },
    Check {
        name: "accounts",
        needed: false,
        asked_by: Role::writes,
        object: |shop| shown(&shop.config.store),
        ask: |asked| async move { written::ask(&asked.shop, asked.role, "accounts").await }.boxed(),
    },
    Check {
        name: "erasure-register",
        needed: false,
        asked_by: written::reacts,
        object: |shop| {
            let keys = shop.config.keys.as_deref().unwrap_or(&shop.config.store);
            shown(shop.config.erasures.as_deref().unwrap_or(keys))
        },
        ask: |asked| async move { written::ask(&asked.shop, asked.role, "erasure-register").await }.boxed(),
    },
    Check {
        name: "damage",
        needed: false,
        asked_by: |_| true,
        object: |_| "the pages of the databases".to_owned(),
        ask: |asked| {
            async move { damage::ask(&asked.shop, &asked.registry, &asked.projectors).await }.boxed()
        },
    },
    Check {
        name: "workers",
        needed: false,
        asked_by: |role| role.has(Role::QueryApi),
        object: |_| "the workers".to_owned(),
        ask: |asked| async move { workers::ask(&asked.shop).await }.boxed(),
    },
    Check {
        name: "processes",
        needed: false,
        asked_by: |role| role.has(Role::QueryApi) || role.writes(),
        object: |_| "the process managers".to_owned(),
        ask: |asked| async move { processes::ask(&asked.shop).await }.boxed(),
    },
    Check {
        name: "parked",
        needed: false,
        asked_by: |role| role.has(Role::QueryApi) || role.has(Role::Projector),
        object: |shop| shown(shop.config.read_models.as_deref().unwrap_or(&shop.config.store)),
        ask: |asked| async move { parked::ask(&asked.registry).await }.boxed(),
    },
    Check {
        name: "facts",
        needed: false,
        asked_by: Role::writes,
        object: |_| "the facts about accounts".to_owned(),
        ask: |asked| async move { facts(&asked).await }.boxed(),
    },
    Check {
        name: "mails",
        needed: false,
        asked_by: |role| role.has(Role::Reactor),
        object: |shop| shop.config.mail.smtp_url.as_deref().map_or_else(|| "mails".to_owned(), shown),
        ask: |asked| async move { mails(&asked).await }.boxed(),
    },
    Check {
        name: "bus",
        needed: false,
        asked_by: |role| role.has(Role::Projector) || role.has(Role::Relay),
        object: |shop| shown(&shop.config.bus),
        ask: |asked| async move { bus::ask(&asked.shop, asked.heard.as_ref(), &asked.sender).await }.boxed(),
    },
    Check {
        name: "cache",
        needed: false,
        asked_by: |role| role.has(Role::QueryApi) || role.has(Role::Projector),
        object: |shop| shown(&shop.config.cache),
        ask: |asked| async move { cache(&asked).await }.boxed(),
    },
    Check {
        name: "rates",
        needed: false,
        asked_by: |role| role.has(Role::CommandApi) || role.has(Role::QueryApi),
        object: |shop| shown(&shop.config.cache),
        ask: |asked| async move { rates(&asked).await }.boxed(),
    },
    Check {
        name: "search",
        needed: false,
        asked_by: |role| role.has(Role::QueryApi) || role.has(Role::Projector),
        object: |shop| shown(&shop.config.search),
        ask: |asked| async move { search(&asked).await }.boxed(),
    },
    Check {
        name: "disk",
        needed: false,
        asked_by: |_| true,
        object: |_| "the disk".to_owned(),
        ask: |asked| async move { disk::ask(&asked.shop, asked.failed.as_ref()).await }.boxed(),
    },
    Check {
        name: certificate::NAME,
        needed: false,
        asked_by: |_| true,
        object: certificate::object,
        ask: |asked| async move { certificate::ask(&asked.shop) }.boxed(),
    },
    Check {
        name: "clock",
        needed: false,
        asked_by: |_| true,
        object: |_| "the clock of this machine".to_owned(),
        ask: |asked| async move { clock::ask(&asked.shop).await }.boxed(),
    },
    Check {
        name: "integrity",
        needed: false,
        asked_by: |_| true,
        object: |_| "the event log and the record of operations".to_owned(),
        ask: |asked| {
            async move { integrity::ask(&asked.shop.log().map_err(message)?, &asked.registry).await }.boxed()
        },
    },
];

/// Everything that checks use.
struct Asked {
    shop: Shop,
    role: Role,
    registry: Registry,
    projectors: Vec<Arc<dyn Projector>>,
    /// The messages of the bus that this process receives; `None`: it does not listen.
    heard: Option<BusListener>,
    sender: bus::Sender,
    /// Why this process could not write the log last; `None`: it is no process that does.
    failed: Option<LastFailure>,
    locks: Locks,
}

/// The checks of a process. Nothing is asked yet.
pub fn of(
    shop: &Shop,
    role: Role,
    heard: Option<BusListener>,
    failed: Option<LastFailure>,
) -> anyhow::Result<Health> {
    let asked = Arc::new(Asked {
        registry: shop.registry()?,
        projectors: soonshop_projections::all(),
        shop: shop.clone(),
        role,
        heard,
        sender: bus::Sender::default(),
        failed,
        locks: Locks::default(),
    });
    let locks = Arc::clone(&asked);
    let kept = move || {
        let asked = Arc::clone(&locks);
        async move { asked.locks.find(&asked.shop).await }.boxed()
    };
    let rows = TABLE.iter().filter(|check| (check.asked_by)(role));
    let rows = rows.filter(|check| check.name != certificate::NAME || certificate::is_asked(shop));
    Ok(rows.fold(Health::new().cured_by(cure).explained_by(kept), |health, check| {
        let (asked, object) = (Arc::clone(&asked), (check.object)(shop));
        let ask = move || {
            let asked = (check.ask)(Arc::clone(&asked));
            asked.map(|found| found.map_err(remedies::with_remedy)).boxed()
        };
        health.add(check.name, Some(object), Some(check.name), check.needed, ask)
    }))
}

/// The remedy, in English, as commands and JSON have it.
pub(crate) fn cure(code: &str) -> Option<&'static str> {
    Language::English.find(&format!("page-remedy-{code}"))
}

async fn event_store(asked: &Asked) -> Result<(), Fault> {
    let shop = &asked.shop;
    for namespace in ["log", "process"] {
        files_can_be_used(&shop.store_database, namespace)?;
    }
    shop.log().map_err(message)?.head().await.map_err(|error| error.to_string())?;
    written::ask(&asked.shop, asked.role, "event-store").await?;
    if asked.role.writes() {
        databases::head_is_free(&shop.store_database).await?;
    }
    Ok(())
}

async fn read_models(asked: &Asked) -> Result<(), Fault> {
    let database = &asked.shop.read_database;
    files_can_be_used(database, "operations")?;
    for projector in &asked.projectors {
        let name = projector.name();
        let active = asked.registry.active(name).await.map_err(|error| error.to_string())?;
        let Some(active) = active else {
            return Err(Fault::of(name, "there is no such read model", "migrate"));
        };
        let namespace = active.namespace();
        if active.shape != projector.shape() {
            let reason = "another release made it, and this one cannot read it";
            return Err(Fault::of(namespace, reason, "rebuild"));
        }
        if !asked.role.has(Role::QueryApi) && !asked.role.has(Role::Projector) {
            continue;
        }
        files_can_be_used(database, &namespace)?;
        let db = active.db(database).map_err(|error| error.to_string())?;
        let there = Checkpoint::load(&db, &db.connection, ROWS).await;
        let there = there.map_err(|error| {
            let fault = Fault { object: Some(namespace.clone()), ..error.to_string().into() };
            databases::of_model(fault, &error)
        })?;
        if there.is_none() {
            return Err(Fault::of(namespace, "its checkpoint is not there", "rebuild"));
        }
        for table in projector.tables() {
            databases::readable(&db, &*table).await?;
        }
        if asked.role.has(Role::Projector) {
            writable(database, &namespace, "checkpoints").await?;
        }
    }
    Ok(())
}

async fn keys(asked: &Asked) -> Result<(), Fault> {
    files_can_be_used(&asked.shop.keys_database, "keys")?;
    let store = asked.shop.key_store().map_err(message)?;
    if !asked.role.writes() && !asked.role.has(Role::QueryApi) {
        let db = asked.shop.keys_database.namespace("keys").map_err(|error| error.to_string())?;
        let read = db.try_read("data_keys", &["kid".to_owned()], &["kid".to_owned()]).await;
        return read.map_err(|error| error.to_string().into());
    }
    let found = store.hmac_keys("claim").await.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err(Fault::of("keys.hmac_keys", "there is no key", "migrate"));
    }
    written::ask(&asked.shop, asked.role, "keys").await
}

async fn schema(asked: &Asked) -> Result<(), Fault> {
    for (namespace, database) in migrate::homes(&asked.shop) {
        file_is_there(database, namespace.name())?;
        let db = database.namespace(namespace.name()).map_err(|error| error.to_string())?;
        if let Err(error) = soonshop_migrations::check(namespace, &db.connection).await {
            let remedy = match error {
                soonshop_migrations::Error::Newer { .. } => Some("release"),
                soonshop_migrations::Error::Pending { .. } => Some("migrate"),
                soonshop_migrations::Error::Database { .. } => None,
            };
            let (object, reason) = (Some(namespace.name().to_owned()), crate::cause::chain(&error));
            return Err(Fault { object, reason, remedy });
        }
        let missing = rights::missing(namespace, &db.connection, &parts(asked.role)).await;
        if let Some((object, reason)) = missing.map_err(|error| crate::cause::chain(&error))? {
            return Err(Fault { object: Some(object), ..reason.into() });
        }
        let missing = soonshop_migrations::indexes::missing(namespace, &db.connection).await;
        let missing = missing.map_err(|error| crate::cause::chain(&error))?;
        if let Some(index) = missing.first() {
            return Err(Fault::of(index.object(), index.reason(), "reindex"));
        }
    }
    Ok(())
}

/// The parts of the shop that a process of this role does, by the names of their roles in PostgreSQL.
fn parts(role: Role) -> Vec<&'static str> {
    let all = [
        (role.writes(), rights::COMMAND),
        (role.has(Role::Projector), rights::PROJECTOR),
        (role.has(Role::QueryApi), rights::QUERY),
    ];
    all.into_iter().filter(|(has, _)| *has).map(|(_, part)| part).collect()
}

/// Whether the log took every fact about accounts.
async fn facts(asked: &Asked) -> Result<(), Fault> {
    let identity = asked.shop.store_database.namespace("identity").map_err(|error| error.to_string())?;
    match outbox::refused(&identity).await.map_err(|error| error.to_string())? {
        0 => Ok(()),
        refused => Err(format!("facts that the log did not take: {refused}").into()),
    }
}

/// Whether mails to people can be sent.
async fn mails(asked: &Asked) -> Result<(), Fault> {
    let identity = asked.shop.store_database.namespace("identity").map_err(|error| error.to_string())?;
    match mails::fault(&identity, asked.shop.mailing.mailer.is_some())
        .await
        .map_err(|error| error.to_string())?
    {
        None => Ok(()),
        Some(reason) => Err(reason.into()),
    }
}

async fn cache(asked: &Asked) -> Result<(), Fault> {
    Ok(asked.shop.cache.examine().await.map_err(|error| error.to_string())?)
}

/// Whether the rates of callers are counted for all processes together, where they should be.
async fn rates(asked: &Asked) -> Result<(), Fault> {
    Ok(asked.shop.rates.examine().await.map_err(|error| error.to_string())?)
}

async fn search(asked: &Asked) -> Result<(), Fault> {
    let search = &asked.shop.search;
    search.ping().await.map_err(|error| error.to_string())?;
    for projector in asked.projectors.iter().filter(|projector| projector.searchable()) {
        let active = asked.registry.active(projector.name()).await.map_err(|error| error.to_string())?;
        // The check of the read models reports that there is none.
        let Some(active) = active else { continue };
        let index = active.namespace();
        search.examine(&index).await.map_err(|error| match error {
            soonshop_search::Error::NoIndex(_) => Fault::of(&index, error.to_string(), "index-missing"),
            error => Fault { object: Some(format!("index {index}")), ..error.to_string().into() },
        })?;
    }
    Ok(())
}

fn message(error: anyhow::Error) -> Fault {
    format!("{error:#}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_and_every_remedy_has_its_texts_in_both_languages() {
        let codes = TABLE.iter().map(|check| check.name).chain(remedies::CODES);
        for language in Language::ALL {
            for code in codes.clone() {
                assert!(language.find(&format!("page-remedy-{code}")).is_some(), "{language:?} {code}");
            }
            for check in &TABLE {
                let name = format!("page-front-check-{}", check.name);
                assert!(language.find(&name).is_some(), "{language:?} {name}");
            }
        }
    }
}
