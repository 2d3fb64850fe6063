//! Search index and cache: behind the rows, with their own checkpoints, and never blocking others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use soonshop_cache::{Cache, Entry};
use soonshop_domain::product::Event as ProductEvent;
use soonshop_projections::product::Products;
use soonshop_projections::{Feed, Generation};
use soonshop_search::{Change, Error, Page, Query, Search, TooLarge};

use crate::fixture::{Running, Shop, Writer, address, on_both, until};
use crate::history::{described, product, repriced, uuid};
use crate::unreliable::UnreliableProjector;

on_both!(
    the_index_follows_the_rows_and_is_never_ahead_of_them,
    an_index_that_was_lost_is_built_again_from_the_start,
    an_index_that_is_lost_while_it_is_kept_is_noticed,
    a_search_that_is_down_stops_no_other_sink_and_catches_up,
    parked_events_reach_the_sinks_when_they_are_projected,
    a_document_that_is_too_large_is_parked_by_name_until_it_fits,
    moka_drops_exactly_the_changed_entries,
    redis_drops_exactly_the_changed_entries,
    redis_that_was_lost_or_restored_is_noticed,
);

/// A search that can be switched off, or take no document with a long name.
struct Faulty {
    inner: Arc<dyn Search>,
    down: AtomicBool,
    small: AtomicBool,
}

/// A longer name is too large for the small search.
const LONGEST_NAME: usize = 40;

impl Faulty {
    fn check(&self) -> Result<(), Error> {
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::Unreachable { backend: "down", reason: "it was taken away".to_owned() });
        }
        Ok(())
    }
}

#[async_trait]
impl Search for Faulty {
    fn backend(&self) -> &'static str {
        "down"
    }
    async fn ping(&self) -> Result<(), Error> {
        self.check()
    }
    async fn create(&self, index: &str) -> Result<(), Error> {
        self.check()?;
        self.inner.create(index).await
    }
    async fn remove(&self, index: &str) -> Result<(), Error> {
        self.check()?;
        self.inner.remove(index).await
    }
    async fn checkpoint(&self, index: &str) -> Result<Option<String>, Error> {
        self.check()?;
        self.inner.checkpoint(index).await
    }
    async fn apply(&self, index: &str, changes: &[Change], checkpoint: &str) -> Result<Vec<TooLarge>, Error> {
        self.check()?;
        let mut too_large = Vec::new();
        let mut taken = Vec::new();
        for change in changes {
            match change {
                Change::Put(document)
                    if self.small.load(Ordering::Relaxed) && document.name.len() > LONGEST_NAME =>
                {
                    let (id, version) = (document.id.clone(), document.version);
                    let reason = format!("{id} is too large");
                    too_large.push(TooLarge { id: id.clone(), version, reason });
                    taken.push(Change::Delete { id, version });
                }
                change => taken.push(change.clone()),
            }
        }
        if too_large.is_empty() {
            return self.inner.apply(index, &taken, checkpoint).await;
        }
        // The checkpoint stays until they are noted.
        let before = self.inner.checkpoint(index).await?;
        let before = before.unwrap_or_else(|| soonshop_event_log::Checkpoint::start().to_string());
        self.inner.apply(index, &taken, &before).await?;
        Ok(too_large)
    }
    async fn refresh(&self, index: &str) -> Result<(), Error> {
        self.check()?;
        self.inner.refresh(index).await
    }
    async fn search(&self, index: &str, query: &Query) -> Result<Page, Error> {
        self.check()?;
        self.inner.search(index, query).await
    }
    async fn suggest(&self, index: &str, prefix: &str, most: usize) -> Result<Vec<String>, Error> {
        self.check()?;
        self.inner.suggest(index, prefix, most).await
    }
}

fn tantivy(shop: &Shop) -> Arc<Faulty> {
    let url = format!("tantivy://{}", shop.folder().join("search").display());
    let inner = soonshop_search::connect(&url).unwrap();
    Arc::new(Faulty { inner, down: AtomicBool::new(false), small: AtomicBool::new(false) })
}

fn keep_index(running: &mut Running, shop: &Shop, generation: &Generation, search: &Arc<Faulty>) {
    let follower = running.follower(shop, Arc::new(Products), generation);
    let (search, stop): (Arc<dyn Search>, _) = (search.clone(), running.stop.clone());
    running.tasks.spawn(async move { follower.keep_index(search, stop).await });
}

fn keep_cache(running: &mut Running, shop: &Shop, generation: &Generation, cache: &Arc<dyn Cache>) {
    let follower = running.follower(shop, Arc::new(Products), generation);
    let (cache, stop) = (Arc::clone(cache), running.stop.clone());
    running.tasks.spawn(async move { follower.keep_cache(cache, stop).await });
}

async fn products(writer: &mut Writer, from: u128, count: u128) -> i64 {
    let mut last = 0;
    for n in from..from + count {
        last = writer.write(uuid(n), product(&format!("MUG-{n}"), 100)).await;
    }
    last
}

async fn found(search: &Faulty, index: &str) -> u64 {
    let query = Query { limit: 100, ..Query::default() };
    drop(search.inner.refresh(index).await);
    search.inner.search(index, &query).await.map_or(0, |page| page.total)
}

/// Waits until the index has the checkpoint of the rows, at `position`.
async fn indexed(shop: &Shop, generation: &Generation, search: &Faulty, position: i64) {
    shop.reach(generation, position).await;
    let rows = shop.checkpoint(generation).await.to_string();
    let index = generation.namespace();
    until("the index is where the rows are", async || {
        search.inner.checkpoint(&index).await.unwrap().as_ref() == Some(&rows)
    })
    .await;
}

async fn the_index_follows_the_rows_and_is_never_ahead_of_them(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let (generation, search) = (shop.generation(&Products).await, tantivy(&shop));
    let index = generation.namespace();
    let mut sink = Running::new(Feed::new(shop.log()));
    keep_index(&mut sink, &shop, &generation, &search);
    products(&mut writer, 1, 5).await;
    until("the index is made", async || shop.status(&generation, "index").await.0 == "running").await;
    // No follower keeps the rows yet.
    assert_eq!(found(&search, &index).await, 0);
    let rows = shop.start(Arc::new(Products), &generation);
    indexed(&shop, &generation, &search, 5).await;
    assert_eq!(found(&search, &index).await, 5);
    let last = writer.write(uuid(1), ProductEvent::ProductDeleted {}).await;
    indexed(&shop, &generation, &search, last).await;
    assert_eq!(found(&search, &index).await, 4);
    sink.stop().await;
    rows.stop().await;
}

async fn an_index_that_was_lost_is_built_again_from_the_start(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let (generation, search) = (shop.generation(&Products).await, tantivy(&shop));
    let last = products(&mut writer, 1, 7).await;
    let mut running = shop.start(Arc::new(Products), &generation);
    keep_index(&mut running, &shop, &generation, &search);
    indexed(&shop, &generation, &search, last).await;
    running.stop().await;
    search.inner.remove(&generation.namespace()).await.unwrap();
    let mut running = shop.start(Arc::new(Products), &generation);
    keep_index(&mut running, &shop, &generation, &search);
    indexed(&shop, &generation, &search, last).await;
    assert_eq!(found(&search, &generation.namespace()).await, 7);
    running.stop().await;
}

async fn an_index_that_is_lost_while_it_is_kept_is_noticed(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let (generation, search) = (shop.generation(&Products).await, tantivy(&shop));
    let last = products(&mut writer, 1, 7).await;
    let mut running = shop.start(Arc::new(Products), &generation);
    keep_index(&mut running, &shop, &generation, &search);
    indexed(&shop, &generation, &search, last).await;
    // Nothing happens in the shop; and the replacement is empty.
    search.inner.remove(&generation.namespace()).await.unwrap();
    search.inner.create(&generation.namespace()).await.unwrap();
    until("it is built again", async || found(&search, &generation.namespace()).await == 7).await;
    running.stop().await;
}

async fn a_search_that_is_down_stops_no_other_sink_and_catches_up(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let (generation, search) = (shop.generation(&Products).await, tantivy(&shop));
    search.down.store(true, Ordering::Relaxed);
    let mut running = shop.start(Arc::new(Products), &generation);
    keep_index(&mut running, &shop, &generation, &search);
    let last = products(&mut writer, 1, 6).await;
    shop.reach(&generation, last).await;
    until("it says why", async || shop.status(&generation, "index").await.1.contains("taken away")).await;
    // It is recorded a moment after the first rows.
    until("the rows go on", async || shop.status(&generation, "rows").await.0 == "running").await;
    search.down.store(false, Ordering::Relaxed);
    indexed(&shop, &generation, &search, last).await;
    search.down.store(true, Ordering::Relaxed);
    let last = products(&mut writer, 7, 6).await;
    shop.reach(&generation, last).await;
    search.down.store(false, Ordering::Relaxed);
    indexed(&shop, &generation, &search, last).await;
    assert_eq!(found(&search, &generation.namespace()).await, 12);
    until("it says so", async || shop.status(&generation, "index").await.0 == "running").await;
    running.stop().await;
}

async fn parked_events_reach_the_sinks_when_they_are_projected(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let (generation, search) = (shop.generation(&Products).await, tantivy(&shop));
    let (space, cache) = (generation.namespace(), soonshop_cache::connect("moka:").unwrap());
    let unreliable = UnreliableProjector::new(Products, [1, 3]);
    let mut running = Running::new(Feed::new(shop.log()));
    running.keep_rows(&shop, unreliable.clone(), &generation);
    keep_index(&mut running, &shop, &generation, &search);
    keep_cache(&mut running, &shop, &generation, &cache);
    products(&mut writer, 1, 2).await;
    let last = writer.write(uuid(2), repriced("MUG-2", 300)).await;
    indexed(&shop, &generation, &search, last).await;
    assert_eq!(found(&search, &space).await, 1);
    let rows = shop.checkpoint(&generation).await.to_string();
    until("the cache follows", async || cache.checkpoint(&space).await.unwrap().as_ref() == Some(&rows))
        .await;
    let old = || Entry { value: "old".into(), position: last };
    let key = uuid(2).to_string();
    unreliable.cure();
    shop.ask_to_retry(&generation).await;
    until("nothing is parked", async || shop.parked(&generation).await.is_empty()).await;
    until("the document is there", async || found(&search, &space).await == 2).await;
    // A reader that saw the rows before the retry, at the same checkpoint, comes too late.
    until("an old entry is refused", async || !cache.put(&space, &key, old()).await.unwrap()).await;
    assert_eq!(cache.get(&space, &key).await.unwrap(), None);
    running.stop().await;
}

async fn a_document_that_is_too_large_is_parked_by_name_until_it_fits(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let (generation, search) = (shop.generation(&Products).await, tantivy(&shop));
    let index = generation.namespace();
    search.small.store(true, Ordering::Relaxed);
    products(&mut writer, 1, 3).await;
    let named = |name: &str| ProductEvent::ProductDetailsChanged { details: described(name) };
    let large = writer.write(uuid(2), named(&"Long ".repeat(20))).await;
    let last = products(&mut writer, 4, 2).await;
    let mut running = shop.start(Arc::new(Products), &generation);
    keep_index(&mut running, &shop, &generation, &search);
    indexed(&shop, &generation, &search, last).await;
    assert_eq!(found(&search, &index).await, 4, "the others are found");
    assert_eq!(shop.parked(&generation).await, [large]);
    let parked = soonshop_projections::parked::find(&shop.registry(), &shop.log(), None).await.unwrap();
    let id = uuid(2).to_string();
    assert_eq!(
        (parked[0].rows.clone(), parked[0].cause.clone(), parked[0].event_type.as_str()),
        (vec![format!("index/{id}")], format!("{id} is too large"), "ProductDetailsChanged")
    );

    // No event waits for it: another change of the same product is projected, and parked in its place.
    let larger = writer.write(uuid(2), named(&"Longer ".repeat(20))).await;
    indexed(&shop, &generation, &search, larger).await;
    assert_eq!(shop.parked(&generation).await, [larger]);
    assert_eq!(found(&search, &index).await, 4);

    // A worker that starts again knows what is parked. The product is made to fit.
    running.stop().await;
    let mut running = shop.start(Arc::new(Products), &generation);
    keep_index(&mut running, &shop, &generation, &search);
    let small = writer.write(uuid(2), named("Short")).await;
    indexed(&shop, &generation, &search, small).await;
    assert_eq!(found(&search, &index).await, 5);
    assert_eq!(shop.parked(&generation).await, [0; 0]);

    // The server is made to take it, and somebody asks to try again.
    let again = writer.write(uuid(3), named(&"Long ".repeat(20))).await;
    indexed(&shop, &generation, &search, again).await;
    assert_eq!((shop.parked(&generation).await, found(&search, &index).await), (vec![again], 4));
    search.small.store(false, Ordering::Relaxed);
    shop.ask_to_retry(&generation).await;
    until("it is found", async || found(&search, &index).await == 5).await;
    assert_eq!(shop.parked(&generation).await, [0; 0]);
    running.stop().await;
}

async fn moka_drops_exactly_the_changed_entries(shop: Shop) {
    drops_exactly_the_changed_entries(shop, soonshop_cache::connect("moka:").unwrap()).await;
}

fn redis() -> Arc<dyn Cache> {
    redis_of(&soonshop_domain::ids::new().simple().to_string())
}

/// A Redis cache like that of another process.
fn redis_of(prefix: &str) -> Arc<dyn Cache> {
    soonshop_cache::connect(&format!("{}?prefix=test-{prefix}:", address("REDIS_URL"))).unwrap()
}

async fn redis_drops_exactly_the_changed_entries(shop: Shop) {
    drops_exactly_the_changed_entries(shop, redis()).await;
}

async fn drops_exactly_the_changed_entries(shop: Shop, cache: Arc<dyn Cache>) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Products).await;
    let space = generation.namespace();
    let last = products(&mut writer, 1, 3).await;
    let mut running = shop.start(Arc::new(Products), &generation);
    shop.reach(&generation, last).await;
    let head = shop.checkpoint(&generation).await.to_string();
    keep_cache(&mut running, &shop, &generation, &cache);
    until("it begins at the head", async || cache.checkpoint(&space).await.unwrap().as_ref() == Some(&head))
        .await;
    let key = |n: u128| uuid(n).to_string();
    for n in [1, 2] {
        let entry = Entry { value: "a row".into(), position: last };
        assert!(cache.put(&space, &key(n), entry).await.unwrap(), "nothing was invalidated yet");
    }
    let changed = writer.write(uuid(1), repriced("MUG-1", 5)).await;
    until("what changed is gone", async || cache.get(&space, &key(1)).await.unwrap().is_none()).await;
    assert!(cache.get(&space, &key(2)).await.unwrap().is_some(), "the rest is not");
    let old = Entry { value: "old".into(), position: last };
    assert!(!cache.put(&space, &key(1), old).await.unwrap(), "a slow reader cannot put it back");
    let new = Entry { value: "new".into(), position: changed };
    assert!(cache.put(&space, &key(1), new).await.unwrap());
    running.stop().await;
}

async fn redis_that_was_lost_or_restored_is_noticed(shop: Shop) {
    let prefix = soonshop_domain::ids::new().simple().to_string();
    let (cache, operator, reader) = (redis_of(&prefix), redis_of(&prefix), redis_of(&prefix));
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Products).await;
    let space = generation.namespace();
    let first = products(&mut writer, 1, 3).await;
    let mut running = shop.start(Arc::new(Products), &generation);
    shop.reach(&generation, first).await;
    keep_cache(&mut running, &shop, &generation, &cache);
    let at = async |checkpoint: &str| cache.checkpoint(&space).await.unwrap().as_deref() == Some(checkpoint);
    let early = shop.checkpoint(&generation).await.to_string();
    until("it begins at the head", async || Box::pin(at(&early)).await).await;
    let second = writer.write(uuid(1), repriced("MUG-1", 5)).await;
    shop.reach(&generation, second).await;
    let head = shop.checkpoint(&generation).await.to_string();
    until("it follows", async || Box::pin(at(&head)).await).await;
    // It is restored: with an old entry, and its old checkpoint. Nothing happens in the shop.
    let key = uuid(1).to_string();
    operator.drop_space(&space).await.unwrap();
    operator.set_checkpoint(&space, &early).await.unwrap();
    let entry = Entry { value: "old".into(), position: first };
    assert!(reader.put(&space, &key, entry).await.unwrap());
    until("the old entry is gone", async || cache.get(&space, &key).await.unwrap().is_none()).await;
    until("it follows", async || Box::pin(at(&head)).await).await;
    // It comes back empty.
    operator.drop_space(&space).await.unwrap();
    until("it follows again", async || Box::pin(at(&head)).await).await;
    running.stop().await;
}
