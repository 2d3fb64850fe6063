//! Reading one's own writes; generations; the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::json;
use soonshop_cache::{Cache, Entry};
use soonshop_domain::product::{self, Product};
use soonshop_projections::Projector;
use soonshop_query_api::http;
use soonshop_service_kit::serve::stack;

use crate::shop::*;

#[tokio::test]
async fn a_query_waits_for_the_requested_position() {
    let shop = Shop::open().await;
    shop.user("Ada", "UK").await;
    let expected = (shop.last.load(Ordering::SeqCst) + 1).to_string();
    let headers = [("event-position", expected.as_str()), ("prefer", "wait=20")];
    let (got, _) = tokio::join!(shop.get_with("/users", &headers), shop.user("Ben", "UK"));
    assert_eq!((got.items().len(), got.header("preference-applied")), (2, "wait"));
    assert_eq!(got.header("event-position"), format!("main:{expected}"));
    // Once it has been reached, nothing waits, and a check succeeds.
    let got = shop.get_with("/users", &[("event-position", &expected)]).await;
    assert_eq!((got.items().len(), got.header("preference-applied")), (2, ""));
}

#[tokio::test]
async fn a_read_model_that_stays_behind_gives_the_reason() {
    let shop = Shop::without_projectors().await;
    for projector in soonshop_projections::all() {
        shop.registry.ensure(&*projector).await.unwrap();
    }
    let id = shop.product("Mug", &["mug"], None).await;
    let path = format!("/products/{id}");

    // A request that did not ask to wait does not wait.
    let got = shop.get_with(&path, &[("event-position", "main:1")]).await;
    assert_eq!((got.refused(), got.header("retry-after")), ((503, "read-model-behind".into()), "1"));
    let problem = got.json();
    assert_eq!(
        (&problem["projection"], &problem["state"], &problem["position"], &problem["wanted"]),
        (&json!("products"), &json!("behind"), &json!(0), &json!(1))
    );
    assert_eq!(problem["reason"], "no worker projects it now");
    assert_eq!((shop.get(&path).await.status, shop.get("/products").await.items().len()), (404, 0));
    let got = shop.get_with("/analytics/summary", &[("event-position", "1"), ("prefer", "wait=1")]).await;
    assert_eq!(
        (got.refused().1.as_str(), &got.json()["projection"]),
        ("read-model-behind", &json!("analytics"))
    );
    let got = shop.get_with("/products/search?q=mug", &[("event-position", "1"), ("prefer", "wait=0")]).await;
    assert_eq!((got.refused().1.as_str(), &got.json()["sink"]), ("read-model-behind", &json!("index")));

    let products = shop.generation("products").await;
    shop.sql(
        &products,
        "INSERT INTO @status (follower, state, reason) VALUES ('rows', 'stopped', 'ahead-of-log')",
    )
    .await;
    let got = shop.get_with(&path, &[("event-position", "1")]).await.json();
    assert_eq!((&got["state"], &got["reason"]), (&json!("stopped"), &json!("ahead-of-log")));
    shop.sql(&products, "DELETE FROM @status").await;

    shop.sql(
        shop.registry.operations(),
        "UPDATE @generations SET state = 'building' WHERE projection = 'products'",
    )
    .await;
    let got = shop.get_with(&path, &[("event-position", "1")]).await.json();
    assert_eq!(got["state"], "rebuilding");
    shop.sql(
        shop.registry.operations(),
        "UPDATE @generations SET state = 'rejected' WHERE projection = 'products'",
    )
    .await;
    assert_eq!(shop.get(&path).await.refused(), (503, "read-model-missing".into()));
}

#[tokio::test]
async fn a_parked_event_stops_its_row_and_not_the_others() {
    let shop = Shop::open().await;
    let broken = shop.product("Mug", &["mug"], None).await;
    let whole = shop.product("Cup", &["cup"], None).await;
    shop.see("/products").await.ok();
    let products = shop.generation("products").await;
    let park = format!(
        "INSERT INTO @parked (position, event_id, rows, cause) VALUES (1, 'x', '[\"products/{broken}\"]', 'broken')"
    );
    shop.sql(&products, &park).await;

    let got = shop.see(&format!("/products/{broken}")).await;
    assert_eq!((got.refused().0, &got.json()["state"]), (503, &json!("stopped")));
    assert!(got.json()["reason"].as_str().unwrap().contains("parked"));
    assert_eq!(shop.see(&format!("/products/{whole}")).await.status, 200);
    assert_eq!(shop.see("/products").await.items().len(), 2, "the list was asked for what came later");
    let got = shop.get_with("/products", &[("event-position", "1")]).await;
    assert_eq!((got.refused().0, &got.json()["state"]), (503, &json!("stopped")), "it is this very event");
    assert_eq!(
        shop.get(&format!("/products/{broken}")).await.status,
        200,
        "who waits for nothing gets what is there"
    );
    assert_eq!(shop.see(&format!("/products/{broken}")).await.refused().0, 503, "and that is not kept");
}

#[tokio::test]
async fn a_cursor_stays_in_its_generation_while_that_exists() {
    let shop = Shop::open().await;
    for n in 0..4 {
        shop.product(&format!("Mug {n}"), &[&format!("mug-{n}")], None).await;
    }
    let first = shop.see("/products?limit=1&sort=created").await.ok();
    let found = shop.see("/products/search?limit=1&sort=name").await.ok();
    let next = first["next"].as_str().unwrap().to_owned();
    let found_next = found["next"].as_str().unwrap().to_owned();

    let projector: Arc<dyn Projector> = Arc::new(soonshop_projections::product::Products);
    let second = shop.registry.create(&*projector).await.unwrap();
    assert_eq!(second.number, 2);
    shop.follow(projector, &second, &shop.stop);
    shop.registry.activate(&second).await.unwrap();
    // Only the old generation has this name.
    let old = shop.database.namespace("rm_products_1").unwrap();
    shop.sql(&old, "UPDATE @products SET name = 'of the old one' WHERE name = 'Mug 1'").await;

    assert_eq!(names(&shop.see("/products?limit=2&sort=created").await.items(), "name"), ["Mug 0", "Mug 1"]);
    let path = format!("/products?limit=1&sort=created&after={next}");
    let page = shop.get(&path).await;
    assert_eq!(names(&page.items(), "name"), ["of the old one"]);
    let third = page.ok()["next"].as_str().unwrap().to_owned();
    let page = shop.get(&format!("/products?limit=1&sort=created&after={third}")).await;
    assert_eq!(names(&page.items(), "name"), ["Mug 2"]);
    let search = format!("/products/search?limit=1&sort=name&after={found_next}");
    assert_eq!(names(&shop.get(&search).await.items(), "name"), ["Mug 1"]);
    assert!(
        shop.see("/products/search?limit=1&sort=name").await.ok()["next"].as_str().unwrap().starts_with("2.")
    );

    for state in ["retired", "rejected"] {
        let sql = format!(
            "UPDATE @generations SET state = '{state}' WHERE projection = 'products' AND generation = 1"
        );
        shop.sql(shop.registry.operations(), &sql).await;
        assert_eq!(shop.get(&path).await.refused(), (410, "cursor-expired".into()));
        assert_eq!(shop.get(&search).await.refused(), (410, "cursor-expired".into()));
        assert_eq!(shop.get("/products").await.items().len(), 4);
    }
}

#[tokio::test]
async fn a_cached_product_is_never_older_than_requested() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let path = format!("/products/{id}");
    shop.see(&path).await.ok();
    let entry = shop.cache.get("rm_products_1", &id.to_string()).await.unwrap().unwrap();
    assert_eq!(entry.position, 1);

    // A cached value is answered without reading rows.
    let kept =
        String::from_utf8(entry.value.to_vec()).unwrap().replace("\"name\":\"Mug\"", "\"name\":\"Kept\"");
    // The cache is not read before it has seen what the rows have seen, which is looked at twice a second.
    let from_the_cache = async {
        loop {
            let entry = Entry { value: kept.clone().into(), position: 1 };
            shop.cache.put("rm_products_1", &id.to_string(), entry).await.unwrap();
            let got = shop.get(&path).await;
            if got.ok()["name"] == "Kept" {
                break got;
            }
            tokio::task::yield_now().await;
        }
    };
    let got = tokio::time::timeout(Duration::from_secs(30), from_the_cache).await.expect("the cache is read");
    assert_eq!(got.header("event-position"), "main:1");
    let other = shop.product("Cup", &["cup"], None).await;
    // A request for a later position bypasses the cache, and then the new value is cached.
    assert_eq!(shop.see(&path).await.ok()["name"], "Mug");
    assert_eq!(shop.get(&path).await.ok()["name"], "Mug");

    // A price change removes it from the cache.
    let price = product::Command::SetPrice { sku: sku("mug"), price: pounds(777) };
    shop.command::<Product>(id, price).await;
    let got = shop.see(&path).await;
    assert_eq!((&got.ok()["price"]["amount"], got.header("etag")), (&json!(777), "\"2\""));
    assert_eq!(shop.get(&format!("{path}/prices")).await.ok()["items"][0]["price"]["amount"], 777);
    // A broken cached value is read again from rows.
    let broken = Entry { value: "nonsense".into(), position: 1_000 };
    shop.cache.put("rm_products_1", &other.to_string(), broken).await.unwrap();
    assert_eq!(shop.get(&format!("/products/{other}")).await.ok()["name"], "Cup");
}

/// A cache that is down, and counts its calls.
struct Down(AtomicI64);

fn down<T>() -> Result<T, soonshop_cache::Error> {
    Err(soonshop_cache::Error::Unreachable { backend: "none", reason: "it is down".to_owned() })
}

#[async_trait::async_trait]
impl Cache for Down {
    fn backend(&self) -> &'static str {
        "none"
    }
    fn shared(&self) -> bool {
        true
    }
    async fn ping(&self) -> Result<(), soonshop_cache::Error> {
        down()
    }
    async fn get(&self, _: &str, _: &str) -> Result<Option<Entry>, soonshop_cache::Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        // The first one never answers.
        if self.0.load(Ordering::SeqCst) == 1 { std::future::pending().await } else { down() }
    }
    async fn put(&self, _: &str, _: &str, _: Entry) -> Result<bool, soonshop_cache::Error> {
        down()
    }
    async fn invalidate(&self, _: &str, _: &[String], _: i64) -> Result<(), soonshop_cache::Error> {
        down()
    }
    async fn checkpoint(&self, _: &str) -> Result<Option<String>, soonshop_cache::Error> {
        down()
    }
    async fn set_checkpoint(&self, _: &str, _: &str) -> Result<(), soonshop_cache::Error> {
        down()
    }
    async fn drop_space(&self, _: &str) -> Result<(), soonshop_cache::Error> {
        down()
    }
}

#[tokio::test]
async fn everything_else_works_without_cache_and_search() {
    let mut shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let cache = Arc::new(Down(AtomicI64::new(0)));
    let search = soonshop_search::connect("http://127.0.0.1:1").unwrap();
    let queries = queries(&shop.database, shop.store.log().clone(), search, cache.clone());
    shop.router = stack(http::router(queries));
    for _ in 0..20 {
        assert_eq!(shop.see(&format!("/products/{id}")).await.ok()["name"], "Mug");
    }
    assert!(cache.0.load(Ordering::SeqCst) < 20, "it is passed by for a while");
    assert_eq!(shop.get("/products").await.items().len(), 1);
    for path in ["/products/search?q=mug", "/products/suggestions?q=m"] {
        let got = shop.get(path).await;
        assert_eq!((got.refused(), got.header("retry-after")), ((503, "search-unavailable".into()), "1"));
    }
}
