//! Names of servers that nobody knows for a while. What looks them up is the client of the real server; once the name is
//! known, another part answers in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use soonshop_bus::{Bus, Confirmation, Message, Publisher, Subscription};
use soonshop_cache::{Cache, Entry};
use soonshop_search::{Change, Page, Query, Search, TooLarge};

use super::{Fault, doctor_names, nothing_is_lost, tried};
use crate::support::{Place, Set, TestShop};

/// One part while the name is unknown, and another while it is known.
struct Named<T: ?Sized> {
    unknown: Arc<T>,
    known: Arc<T>,
    is_known: Arc<AtomicBool>,
}

impl<T: ?Sized> Named<T> {
    fn now(&self) -> &T {
        if self.is_known.load(Ordering::Relaxed) { &self.known } else { &self.unknown }
    }
}

struct NamedPublisher {
    unknown: Box<dyn Publisher>,
    known: Box<dyn Publisher>,
    is_known: Arc<AtomicBool>,
}

#[async_trait]
impl Publisher for NamedPublisher {
    async fn send(&mut self, message: Message) -> Result<Confirmation, soonshop_bus::Error> {
        let known = self.is_known.load(Ordering::Relaxed);
        if known { self.known.send(message).await } else { self.unknown.send(message).await }
    }
    fn limit(&self) -> usize {
        self.known.limit()
    }
}

struct NamedSubscription {
    unknown: Box<dyn Subscription>,
    known: Box<dyn Subscription>,
    is_known: Arc<AtomicBool>,
}

#[async_trait]
impl Subscription for NamedSubscription {
    async fn next(&mut self, most: usize) -> Result<Vec<Message>, soonshop_bus::Error> {
        let known = self.is_known.load(Ordering::Relaxed);
        if known { self.known.next(most).await } else { self.unknown.next(most).await }
    }
    async fn acknowledge(&mut self) -> Result<(), soonshop_bus::Error> {
        let known = self.is_known.load(Ordering::Relaxed);
        if known { self.known.acknowledge().await } else { self.unknown.acknowledge().await }
    }
}

#[async_trait]
impl Bus for Named<dyn Bus> {
    fn backend(&self) -> &'static str {
        self.unknown.backend()
    }
    async fn ping(&self) -> Result<(), soonshop_bus::Error> {
        self.now().ping().await
    }
    async fn examine(&self, queue: &str) -> Result<(), soonshop_bus::Error> {
        self.now().examine(queue).await
    }
    async fn publisher(&self) -> Result<Box<dyn Publisher>, soonshop_bus::Error> {
        Ok(Box::new(NamedPublisher {
            unknown: self.unknown.publisher().await?,
            known: self.known.publisher().await?,
            is_known: Arc::clone(&self.is_known),
        }))
    }
    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Subscription>, soonshop_bus::Error> {
        Ok(Box::new(NamedSubscription {
            unknown: self.unknown.subscribe(queue).await?,
            known: self.known.subscribe(queue).await?,
            is_known: Arc::clone(&self.is_known),
        }))
    }
    async fn remove(&self, queue: &str) -> Result<(), soonshop_bus::Error> {
        self.now().remove(queue).await
    }
}

#[async_trait]
impl Cache for Named<dyn Cache> {
    fn backend(&self) -> &'static str {
        self.known.backend()
    }
    fn shared(&self) -> bool {
        self.known.shared()
    }
    async fn ping(&self) -> Result<(), soonshop_cache::Error> {
        self.now().ping().await
    }
    async fn examine(&self) -> Result<(), soonshop_cache::Error> {
        self.now().examine().await
    }
    async fn get(&self, space: &str, key: &str) -> Result<Option<Entry>, soonshop_cache::Error> {
        self.now().get(space, key).await
    }
    async fn put(&self, space: &str, key: &str, entry: Entry) -> Result<bool, soonshop_cache::Error> {
        self.now().put(space, key, entry).await
    }
    async fn invalidate(
        &self,
        space: &str,
        keys: &[String],
        floor: i64,
    ) -> Result<(), soonshop_cache::Error> {
        self.now().invalidate(space, keys, floor).await
    }
    async fn checkpoint(&self, space: &str) -> Result<Option<String>, soonshop_cache::Error> {
        self.now().checkpoint(space).await
    }
    async fn set_checkpoint(&self, space: &str, checkpoint: &str) -> Result<(), soonshop_cache::Error> {
        self.now().set_checkpoint(space, checkpoint).await
    }
    async fn drop_space(&self, space: &str) -> Result<(), soonshop_cache::Error> {
        self.now().drop_space(space).await
    }
}

#[async_trait]
impl Search for Named<dyn Search> {
    fn backend(&self) -> &'static str {
        self.known.backend()
    }
    async fn ping(&self) -> Result<(), soonshop_search::Error> {
        self.now().ping().await
    }
    async fn examine(&self, index: &str) -> Result<(), soonshop_search::Error> {
        self.now().examine(index).await
    }
    async fn create(&self, index: &str) -> Result<(), soonshop_search::Error> {
        self.now().create(index).await
    }
    async fn remove(&self, index: &str) -> Result<(), soonshop_search::Error> {
        self.now().remove(index).await
    }
    async fn checkpoint(&self, index: &str) -> Result<Option<String>, soonshop_search::Error> {
        self.now().checkpoint(index).await
    }
    async fn apply(
        &self,
        index: &str,
        changes: &[Change],
        checkpoint: &str,
    ) -> Result<Vec<TooLarge>, soonshop_search::Error> {
        self.now().apply(index, changes, checkpoint).await
    }
    async fn refresh(&self, index: &str) -> Result<(), soonshop_search::Error> {
        self.now().refresh(index).await
    }
    async fn let_go(&self, index: &str) -> Result<(), soonshop_search::Error> {
        self.now().let_go(index).await
    }
    async fn search(&self, index: &str, query: &Query) -> Result<Page, soonshop_search::Error> {
        self.now().search(index, query).await
    }
    async fn suggest(
        &self,
        index: &str,
        prefix: &str,
        most: usize,
    ) -> Result<Vec<String>, soonshop_search::Error> {
        self.now().suggest(index, prefix, most).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_nobody_knows_for_a_while_is_named_and_its_server_is_used_once_it_is_known() {
    let is_known = Arc::new(AtomicBool::new(true));
    let shop = TestShop::serve_with(Place::new(Set::Embedded).await, |shop| {
        let name = |scheme: &str, port: u16| format!("{scheme}://shop-{scheme}.invalid:{port}");
        (shop.config.bus, shop.config.cache) = (name("amqp", 5672), name("redis", 6379));
        shop.config.search = name("http", 9200);
        let (bus, cache, search) = (&shop.config.bus, &shop.config.cache, &shop.config.search);
        shop.bus = Arc::new(Named {
            unknown: soonshop_bus::connect(bus).unwrap(),
            known: Arc::clone(&shop.bus),
            is_known: Arc::clone(&is_known),
        });
        shop.cache = Arc::new(Named {
            unknown: soonshop_cache::connect(cache).unwrap(),
            known: Arc::clone(&shop.cache),
            is_known: Arc::clone(&is_known),
        });
        shop.search = Arc::new(Named {
            unknown: soonshop_search::connect(search).unwrap(),
            known: Arc::clone(&shop.search),
            is_known: Arc::clone(&is_known),
        });
    })
    .await;
    nothing_is_lost(&shop, "BEFORE").await;
    for (check, object) in [
        ("bus", "amqp://shop-amqp.invalid:5672"),
        ("cache", "redis://shop-redis.invalid:6379"),
        ("search", "http://shop-http.invalid:9200"),
    ] {
        let fault = || Fault { check, object, remedy: "name" };
        let make = async || {
            is_known.store(false, Ordering::Relaxed);
            // Selling goes on without them.
            let (_, position) = shop.client.product(&format!("WITHOUT-{check}"), "Thing", 100, 0).await;
            shop.client.get_at("/products", &position).await.expect(200);
            doctor_names(&shop.shop, &fault()).await;
        };
        tried(&shop, fault(), make, async || is_known.store(true, Ordering::Relaxed)).await;
        nothing_is_lost(&shop, &format!("AFTER-{check}")).await;
    }
    shop.stop().await;
}
