//! A process that runs: its page at `/`, the documents that it leads to, and read models of another release.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "fixture/config.rs"]
mod config;

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use soonshop::serve::{Options, start};
use soonshop::{Role, Shop, contexts, migrate, seed, settle};

use crate::config::config;

/// The names of the contexts that a process says it serves.
fn names(told: &Value) -> Vec<&str> {
    told["contexts"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_at_the_root_says_what_the_process_is_and_every_link_works() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(&config(folder.path()), Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    // All of it, and then a process that serves one context only.
    for (list, served) in [
        (None, &["user", "product", "inventory", "order", "analytics", "audit"][..]),
        (Some("order"), &["order"]),
    ] {
        let listen = "127.0.0.1:0".parse().unwrap();
        let options = Options { role: Role::All, contexts: contexts(list).unwrap(), listen };
        let running = start(shop.clone(), options, Vec::new()).await.unwrap();
        let origin = format!("http://{}", running.address);
        let told: Value = client.get(format!("{origin}/")).send().await.unwrap().json().await.unwrap();
        assert_eq!((&told["role"], &told["ready"]), (&"all".into(), &true.into()), "{told}");
        assert_eq!(names(&told), served);
        let page =
            client.get(format!("{origin}/?lang=en")).header("accept", "text/html").send().await.unwrap();
        assert_eq!(page.status(), 200);
        let page = page.text().await.unwrap();
        assert!(page.contains("This process does everything."), "{page}");
        let ways = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let ways: Vec<_> = ways.filter(|way| way.starts_with('/')).collect();
        let trail = served.contains(&"audit");
        assert_eq!(ways.iter().any(|way| way.starts_with("/audit?")), trail, "{ways:?}");
        for way in ways {
            let way = way.replace("&amp;", "&");
            let status = client.get(format!("{origin}{way}")).send().await.unwrap().status();
            // Nobody keeps the read models of this shop, which /health/audit says.
            assert!(status == 200 || way == "/health/audit" && status == 503, "{way}: {status}");
        }
        for (name, status) in [("readme.zh-CN", 200), ("nothing", 404), ("..%2FCargo.toml", 404)] {
            let got = client.get(format!("{origin}/documentation/{name}")).send().await.unwrap();
            assert_eq!(got.status(), status, "{name}");
        }
        running.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_of_another_release_are_made_anew_where_that_is_asked_for() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(&config(folder.path()), Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let store = shop.event_store().unwrap();
    seed::seed(&store).await.unwrap();
    store.close().await;
    assert_eq!(migrate::renew_read_models(&shop).await.unwrap(), [""; 0], "those of this release stay");
    let registry = shop.registry().unwrap();
    let sql = registry.operations().sql("UPDATE @generations SET version = 0 WHERE projection = 'products'");
    registry.operations().connection.execute_unprepared(&sql).await.unwrap();
    migrate::migrate(&shop).await.unwrap();

    assert_eq!(migrate::renew_read_models(&shop).await.unwrap(), ["products"]);
    assert_eq!(migrate::renew_read_models(&shop).await.unwrap(), [""; 0], "and only once");
    let options = Options {
        role: Role::All,
        contexts: contexts(None).unwrap(),
        listen: "127.0.0.1:0".parse().unwrap(),
    };
    let running = start(shop.clone(), options, soonshop_projections::all()).await.unwrap();
    settle::settle(&shop, Duration::from_secs(30)).await.unwrap();
    let listed = reqwest::get(format!("http://{}/products", running.address)).await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    assert!(listed["items"].as_array().is_some_and(|items| !items.is_empty()), "{listed}");
    running.stop().await.unwrap();
}
