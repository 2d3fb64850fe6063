//! Faults of a cache and a bus, made by parts of a shop that do what a broken server does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::json;
use soonshop_bus::{Bus, Confirmation, Message, Publisher, Subscription};
use soonshop_cache::{Cache, Entry, Error};

use super::{Fault, green, nothing_is_lost, tried};
use crate::support::{Place, Set, TestShop, eventually};

/// A cache that answers, and takes nothing while it is stuck: a Redis that is full, or was made a replica.
struct StuckCache {
    cache: Arc<dyn Cache>,
    stuck: Arc<AtomicBool>,
    /// Its next answer does not come.
    silent_once: Arc<AtomicBool>,
}

impl StuckCache {
    fn write(&self) -> Result<(), Error> {
        if self.stuck.load(Ordering::Relaxed) {
            let reason = "OOM command not allowed when used memory > 'maxmemory'.".to_owned();
            return Err(Error::Unreachable { backend: "stuck", reason });
        }
        Ok(())
    }
}

#[async_trait]
impl Cache for StuckCache {
    fn backend(&self) -> &'static str {
        self.cache.backend()
    }
    fn shared(&self) -> bool {
        self.cache.shared()
    }
    async fn ping(&self) -> Result<(), Error> {
        self.cache.ping().await
    }
    async fn examine(&self) -> Result<(), Error> {
        self.write()
    }
    async fn get(&self, space: &str, key: &str) -> Result<Option<Entry>, Error> {
        if self.silent_once.swap(false, Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.cache.get(space, key).await
    }
    async fn put(&self, space: &str, key: &str, entry: Entry) -> Result<bool, Error> {
        self.write()?;
        self.cache.put(space, key, entry).await
    }
    async fn invalidate(&self, space: &str, keys: &[String], floor: i64) -> Result<(), Error> {
        self.write()?;
        self.cache.invalidate(space, keys, floor).await
    }
    async fn checkpoint(&self, space: &str) -> Result<Option<String>, Error> {
        self.cache.checkpoint(space).await
    }
    async fn set_checkpoint(&self, space: &str, checkpoint: &str) -> Result<(), Error> {
        self.write()?;
        self.cache.set_checkpoint(space, checkpoint).await
    }
    async fn drop_space(&self, space: &str) -> Result<(), Error> {
        self.write()?;
        self.cache.drop_space(space).await
    }
}

/// A shop with such a cache, and a product in it.
struct CachedProduct {
    shop: TestShop,
    stuck: Arc<AtomicBool>,
    silent_once: Arc<AtomicBool>,
    product: String,
    path: String,
    space: String,
}

impl CachedProduct {
    async fn new() -> Self {
        let (stuck, silent_once) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let shop = TestShop::serve_with(Place::new(Set::Embedded).await, |shop| {
            shop.cache = Arc::new(StuckCache {
                cache: Arc::clone(&shop.cache),
                stuck: Arc::clone(&stuck),
                silent_once: Arc::clone(&silent_once),
            });
        })
        .await;
        let (product, position) = shop.client.product("MUG", "Thing", 500, 1).await;
        let path = format!("/products/{product}");
        shop.client.get_at(&path, &position).await.expect(200);
        shop.settle().await;
        // Read until it comes from the cache.
        let space = soonshop_projections::Generation {
            projection: "products".into(),
            number: 1,
            version: 1,
            shape: 1,
        }
        .namespace();
        eventually("the product is cached", std::time::Duration::from_secs(30), async || {
            shop.client.get(&path).await.expect(200);
            shop.shop.cache.get(&space, &product).await.unwrap().is_some()
        })
        .await;
        Self { shop, stuck, silent_once, product, path, space }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_cannot_be_invalidated_is_not_read_and_is_named() {
    let CachedProduct { shop, stuck, path, product, space, .. } = CachedProduct::new().await;
    let fault = Fault { check: "cache", object: "maxmemory", remedy: "cache-writes" };
    let make = async || {
        stuck.store(true, Ordering::Relaxed);
        let price = json!({"sku": "MUG", "price": {"amount": 700, "currency": "GBP"}});
        shop.client.operate(&format!("{path}/prices"), &price).await.expect(200);
        eventually("everybody sees the new price", std::time::Duration::from_secs(30), async || {
            shop.client.get(&path).await.expect(200).json().to_string().contains("700")
        })
        .await;
        // And nobody the old one, which is still in the cache.
        for _ in 0..20 {
            assert!(shop.client.get(&path).await.expect(200).json().to_string().contains("700"));
        }
        let old = shop.shop.cache.get(&space, &product).await.unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&old.value).contains("700"));
    };
    tried(&shop, fault, make, async || stuck.store(false, Ordering::Relaxed)).await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_new_value_was_read_beside_the_cache_no_old_one_comes_from_it() {
    let CachedProduct { shop, stuck, silent_once, path, .. } = CachedProduct::new().await;
    stuck.store(true, Ordering::Relaxed);
    let price = json!({"sku": "MUG", "price": {"amount": 700, "currency": "GBP"}});
    let changed = shop.client.operate(&format!("{path}/prices"), &price).await.expect(200);
    shop.client.get_at(&path, &changed.position()).await.expect(200);
    // The next reader gets no answer from the cache in time, and reads the rows.
    silent_once.store(true, Ordering::Relaxed);
    let reads = async || shop.client.get(&path).await.expect(200).json().to_string().contains("700");
    eventually("somebody reads the new price", std::time::Duration::from_secs(30), reads).await;
    // Longer than a cache that failed is bypassed.
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(2_500) {
        assert!(reads().await, "the old price came after the new one");
    }
    shop.stop().await;
}

/// The fault of a bus.
#[derive(Default)]
struct Wrong {
    /// It confirms messages that arrive nowhere.
    loses: AtomicBool,
    /// It takes no message.
    full: AtomicBool,
}

#[derive(Clone)]
struct WrongBus(Arc<dyn Bus>, Arc<Wrong>);

struct WrongPublisher(Box<dyn Publisher>, Arc<Wrong>);

#[async_trait]
impl Publisher for WrongPublisher {
    async fn send(&mut self, message: Message) -> Result<Confirmation, soonshop_bus::Error> {
        if self.1.full.load(Ordering::Relaxed) {
            let reason = "it takes no messages just now (short of memory or disk)".to_owned();
            return Err(soonshop_bus::Error::Refused { backend: "wrong", reason });
        }
        if self.1.loses.load(Ordering::Relaxed) {
            return Ok(Box::pin(std::future::ready(Ok(soonshop_bus::Delivery::Confirmed))));
        }
        self.0.send(message).await
    }
    fn limit(&self) -> usize {
        self.0.limit()
    }
}

#[async_trait]
impl Bus for WrongBus {
    fn backend(&self) -> &'static str {
        self.0.backend()
    }
    async fn ping(&self) -> Result<(), soonshop_bus::Error> {
        self.0.ping().await
    }
    async fn publisher(&self) -> Result<Box<dyn Publisher>, soonshop_bus::Error> {
        Ok(Box::new(WrongPublisher(self.0.publisher().await?, Arc::clone(&self.1))))
    }
    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Subscription>, soonshop_bus::Error> {
        self.0.subscribe(queue).await
    }
    async fn remove(&self, queue: &str) -> Result<(), soonshop_bus::Error> {
        self.0.remove(queue).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_loses_or_refuses_messages_is_named_and_recovers() {
    let wrong = Arc::new(Wrong::default());
    let shop = TestShop::serve_with(Place::new(Set::Embedded).await, |shop| {
        shop.bus = Arc::new(WrongBus(Arc::clone(&shop.bus), Arc::clone(&wrong)));
    })
    .await;
    green(&shop.client, "bus").await;
    for (fault, switch) in [
        (Fault { check: "bus", object: "queue projector-test", remedy: "bus" }, &wrong.loses),
        (Fault { check: "bus", object: "short of memory", remedy: "broker-full" }, &wrong.full),
    ] {
        let make = async || switch.store(true, Ordering::Relaxed);
        tried(&shop, fault, make, async || switch.store(false, Ordering::Relaxed)).await;
    }
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}
