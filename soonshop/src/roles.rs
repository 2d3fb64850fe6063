//! The work of a process: one role, or all of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use soonshop_event_log::cloud_event;
use soonshop_event_store::EventStore;
use soonshop_projections::runner::{Follower, Readers};
use soonshop_projections::{Feed, Generation, Projector};
use soonshop_workers::eraser::Eraser;
use soonshop_workers::facts::Facts;
use soonshop_workers::mails::Mails;
use soonshop_workers::payments::{self, Payments};
use soonshop_workers::purger::{Purger, Retention};
use soonshop_workers::questions::{self, Questions};
use soonshop_workers::reactor;
use soonshop_workers::relay::{Published, Relay};
use soonshop_workers::sealer::{self, Sealer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Shop;
use crate::checks::{BusListener, queue};
use crate::erased::overdue;
pub use crate::role::Role;

/// The workers beside the endpoints. All of them end with `stop`.
pub struct Followers {
    pub tasks: JoinSet<()>,
    /// Where this process's followers get their events.
    pub feed: Feed,
    /// The messages of the bus, in a process that listens to it.
    pub heard: Option<BusListener>,
}

/// Starts the workers that the role runs beside its endpoints.
pub fn start(
    shop: &Shop,
    role: Role,
    store: Option<&EventStore>,
    published: &Published,
    projectors: Vec<Arc<dyn Projector>>,
    readers: Readers,
    stop: &CancellationToken,
) -> anyhow::Result<Followers> {
    let log = shop.log()?;
    let feed = Feed::new(log.clone());
    let process = shop.store_database.namespace("process")?;
    let mut tasks = JoinSet::new();
    if role.has(Role::Relay) {
        // Without an appender in this process the watch never changes: the relay then polls the log.
        let appended = store.map_or_else(|| tokio::sync::watch::channel(0).1, EventStore::appended);
        let relay = Relay {
            log,
            process: process.clone(),
            bus: Arc::clone(&shop.bus),
            appended,
            holder: shop.holder.clone(),
            published: published.clone(),
        };
        tasks.spawn(relay.run(stop.clone()));
    }
    if let (true, Some(store)) = (role.has(Role::Reactor), store) {
        let (store, holder) = (store.clone(), shop.holder.clone());
        tasks.spawn(reactor::run(store.clone(), process.clone(), shop.processes(), holder, stop.clone()));
        let retention = Retention {
            persons: shop.config.keep_records_days,
            processes: shop.config.keep_process_records_days,
        };
        let purger =
            Purger { store: store.clone(), process: process.clone(), retention, holder: shop.holder.clone() };
        tasks.spawn(purger.run(stop.clone()));
        let register = shop.erasures_database.namespace("erasures")?;
        let identity = shop.identity()?;
        let facts = Facts {
            store: store.clone(),
            process: process.clone(),
            outbox: shop.store_database.namespace("identity")?,
            identity: identity.clone(),
            holder: shop.holder.clone(),
        };
        tasks.spawn(facts.run(stop.clone()));
        shop.mailing.announce();
        let mails = Mails {
            store: store.clone(),
            process: process.clone(),
            identity: identity.clone(),
            mailer: shop.mailing.mailer.clone(),
            holder: shop.holder.clone(),
        };
        tasks.spawn(mails.run(stop.clone()));
        let payments = Payments {
            store: store.clone(),
            process: process.clone(),
            questions: Questions { db: shop.store_database.namespace("payments")?, first: questions::FIRST },
            providers: vec![Arc::new(shop.sandbox()?)],
            limit: payments::LIMIT,
            holder: shop.holder.clone(),
        };
        tasks.spawn(payments.run(stop.clone()));
        let eraser = Eraser {
            store: store.clone(),
            process: process.clone(),
            register,
            identity,
            holder: shop.holder.clone(),
        };
        tasks.spawn(eraser.run(stop.clone()));
        // Nothing signals a new entry of the record: that sealer polls.
        let unheard = tokio::sync::watch::channel(0).1;
        for (name, log, seals, appended) in [
            (sealer::NAME, shop.log()?, shop.seals()?, store.appended()),
            (sealer::OF_RECORD, shop.record()?, shop.record_seals()?, unheard),
        ] {
            let (process, holder) = (process.clone(), shop.holder.clone());
            let sealer = Sealer { name, log, seals, process, keys: shop.seal_keys()?, appended, holder };
            tasks.spawn(sealer.run(stop.clone()));
        }
    }
    let caches = role.has(Role::QueryApi) && !shop.cache.shared();
    if role.has(Role::Projector) || caches {
        tasks.spawn(feed.clone().watch_head(stop.clone()));
        tasks.spawn(project(shop.clone(), role, feed.clone(), projectors, readers, stop.clone()));
    }
    let heard = role.has(Role::Projector).then(|| BusListener::new(queue(shop)));
    if let Some(heard) = &heard {
        tasks.spawn(listen(shop.clone(), feed.clone(), heard.clone(), readers, stop.clone()));
        tasks.spawn(overdue::run(shop.clone(), stop.clone()));
    }
    Ok(Followers { tasks, feed, heard })
}

/// Passes messages of the bus to the feed. Without the bus the feed polls the log more often.
async fn listen(shop: Shop, feed: Feed, heard: BusListener, readers: Readers, stop: CancellationToken) {
    let mut subscription = loop {
        match shop.bus.subscribe(heard.queue()).await {
            Ok(subscription) => break subscription,
            Err(error) => {
                tracing::error!(%error, "the bus cannot be subscribed to");
                heard.note(Some(error));
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_secs(5)) => {}
                }
            }
        }
    };
    // Rows that nobody reads yet are made of whole pages of the log: messages are only taken from the queue.
    let live = readers == Readers::Now;
    feed.set_bus(live);
    loop {
        let messages = tokio::select! {
            () = stop.cancelled() => return,
            messages = subscription.next(500) => messages,
        };
        let messages = match messages {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(%error, "the bus is down; the log is asked instead");
                heard.note(Some(error));
                feed.set_bus(false);
                continue;
            }
        };
        heard.note(None);
        feed.set_bus(live);
        for message in messages.into_iter().filter(|_| live) {
            if heard.is_check(&message) {
                continue;
            }
            let Some(received) = cloud_event::decode(&message.body) else {
                tracing::warn!(id = message.id, "a message that is not an event of ours was passed over");
                continue;
            };
            let offered = match received.event {
                Some(event) => feed.offer(event, received.previous).await,
                None => Ok(()),
            };
            if let Err(error) = offered {
                tracing::debug!(%error, "an event from the bus could not be used; the log has it");
            }
            feed.wake(received.position);
        }
        if let Err(error) = subscription.acknowledge().await {
            tracing::debug!(%error, "messages were not acknowledged, and come again");
        }
    }
}

/// Runs every generation whose version this release has; checks now and then for new ones, and for retired or rejected
/// ones.
async fn project(
    shop: Shop,
    role: Role,
    feed: Feed,
    projectors: Vec<Arc<dyn Projector>>,
    readers: Readers,
    stop: CancellationToken,
) {
    let mut started: HashMap<String, CancellationToken> = HashMap::new();
    let mut tasks = JoinSet::new();
    while !stop.is_cancelled() {
        let (mut active, mut all) = (HashSet::new(), true);
        for projector in &projectors {
            let generations = async { anyhow::Ok(shop.registry()?.projected_by(&**projector).await?) }.await;
            let generations = match generations {
                Ok(generations) => generations,
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the registry of generations cannot be read"
                    );
                    all = false;
                    continue;
                }
            };
            active.extend(generations.iter().map(Generation::namespace));
            for generation in generations {
                if started.contains_key(&generation.namespace()) {
                    continue;
                }
                let Ok(registry) = shop.registry() else { continue };
                let stop = stop.child_token();
                started.insert(generation.namespace(), stop.clone());
                let follower = Arc::new(Follower {
                    projector: Arc::clone(projector),
                    generation,
                    registry,
                    feed: feed.clone(),
                    holder: shop.holder.clone(),
                });
                if role.has(Role::Projector) {
                    let (rows, stop) = (Arc::clone(&follower), stop.clone());
                    tasks.spawn(async move { rows.keep_rows(readers, stop).await });
                }
                if projector.searchable() && role.has(Role::Projector) {
                    let (index, search, stop) =
                        (Arc::clone(&follower), Arc::clone(&shop.search), stop.clone());
                    tasks.spawn(async move { index.keep_index(search, stop).await });
                }
                let here =
                    if shop.cache.shared() { role.has(Role::Projector) } else { role.has(Role::QueryApi) };
                if projector.searchable() && here {
                    let (sink, cache, stop) = (Arc::clone(&follower), Arc::clone(&shop.cache), stop.clone());
                    tasks.spawn(async move { sink.keep_cache(cache, stop).await });
                }
            }
        }
        if all {
            for (_, followers) in started.extract_if(|name, _| !active.contains(name)) {
                followers.cancel();
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}
