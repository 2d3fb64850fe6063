//! The bounds of answers, and the turns of what costs something.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::FutureExt as _;
use serde_json::{Value, json};
use soonshop_domain::ids::{self, OrderId};
use soonshop_domain::order::{Order, credit_note};
use soonshop_domain::product::{self, Product, Variant};
use soonshop_query_api::http::Queries;
use soonshop_service_kit::serve::stack;
use soonshop_service_kit::work::{Price, Work};
use tower::ServiceExt as _;

use crate::shop::*;

/// The bound of a page, and a large row beyond it.
const PAGE: usize = (1 << 20) + (200 << 10);

#[tokio::test]
async fn a_list_shows_the_first_lines_of_an_order_their_number_and_where_the_rest_is() {
    let shop = Shop::open().await;
    let (long, short, note) = (ids::new(), ids::new(), ids::new());
    let lines: Vec<_> = (1..=25).map(|number| line(number, "mug", 2, 250)).collect();
    let customer = guest();
    shop.command::<Order>(long, place_of("LONG", customer, lines.clone(), "France")).await;
    shop.command::<Order>(short, place_of("SHORT", guest(), lines[..10].to_vec(), "France")).await;
    let credit = credit_note::Command::IssueForOrder {
        number: "C1".to_owned(),
        order_id: OrderId(long),
        customer,
        lines: lines[..11].to_vec(),
        order_lines: (1..=11).collect(),
        country: "France".to_owned(),
    };
    shop.command::<credit_note::CreditNote>(note, credit).await;
    for (list, id, count, all) in [
        ("/orders?number=LONG", long, 25, Some(format!("/orders/{long}"))),
        ("/orders?number=SHORT", short, 10, None),
        ("/credit-notes", note, 11, Some(format!("/credit-notes/{note}"))),
    ] {
        let listed = shop.see(list).await.items().remove(0);
        let numbers: Vec<_> =
            listed["lines"].as_array().unwrap().iter().map(|line| line["number"].clone()).collect();
        assert_eq!(numbers, (1..=10).map(Value::from).collect::<Vec<_>>(), "{list}");
        assert_eq!((&listed["id"], &listed["line_count"]), (&json!(id), &json!(count)));
        assert_eq!(listed["all_lines"].as_str(), all.as_deref());
        let context = list.split('?').next().unwrap();
        let whole = shop.see(&format!("{context}/{id}")).await.ok();
        assert_eq!((whole["lines"].as_array().unwrap().len(), &whole["line_count"]), (count, &json!(count)));
        assert!(whole.get("all_lines").is_none(), "they are all here");
    }
}

/// Twelve products of about 150 KiB each.
async fn large_products(shop: &Shop) {
    let attributes: BTreeMap<_, _> = (0..600).map(|number| (format!("a{number}"), "x".repeat(200))).collect();
    for number in 0..12 {
        let details = product::Details {
            name: format!("Large mug {number}"),
            description: "y".repeat(10_000),
            category: None,
            attributes: attributes.clone(),
        };
        let variants = vec![Variant { sku: sku(&format!("large-{number}")), price: Some(pounds(number)) }];
        shop.command::<Product>(ids::new(), product::Command::Create { details, variants }).await;
    }
}

#[tokio::test]
async fn a_page_of_large_rows_ends_at_its_bound_and_the_next_one_goes_on() {
    let shop = Shop::open().await;
    large_products(&shop).await;
    for path in ["/products?limit=200", "/products?limit=200&sort=price", "/products/search?q=mug&limit=100"]
    {
        assert!(shop.see(path).await.text.len() <= PAGE, "{path}");
        let (found, sizes) = walk(&shop, path).await;
        assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (12, 12), "{path}: {sizes:?}");
        assert!(sizes.len() > 1, "{path}: {sizes:?}");
    }
}

/// The same shop with these bounds.
fn with(shop: &Shop, bounds: &str) -> (Router, Work) {
    let work = Work::new(&bounds.parse().unwrap());
    let (log, search, cache) = (shop.store.log().clone(), shop.search.clone(), shop.cache.clone());
    let queries = Queries { work: work.clone(), ..queries(&shop.database, log, search, cache) };
    (stack(crate::router(queries, &shop.stop)), work)
}

async fn status(router: &Router, path: &str, headers: &[(&str, &str)]) -> StatusCode {
    let request =
        headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn what_costs_something_waits_for_its_turn_and_the_rest_does_not() {
    let shop = Shop::open().await;
    let product = shop.product("Mug", &["mug"], Some("kitchen")).await;
    shop.see("/products").await;
    let (router, work) = with(&shop, "queries=1/1,searches=1/1");
    let held = (
        work.turn(Price::Query, "another".into()).await.unwrap(),
        work.turn(Price::Search, "another".into()).await.unwrap(),
    );
    let as_of = format!("/products/{product}?as_of=v:1");
    let dear = [
        "/products?limit=200",
        "/products?sort=price",
        "/products?category=kitchen",
        "/products/search?q=mug",
        "/products/suggestions?q=m",
        "/analytics/sales",
        "/analytics/summary",
        as_of.as_str(),
    ];
    let mut waiting: Vec<_> = dear.iter().map(|path| Box::pin(status(&router, path, &[]))).collect();
    for one in &mut waiting {
        assert!(one.as_mut().now_or_never().is_none());
    }
    let (one, prices) = (format!("/products/{product}"), format!("/products/{product}/prices"));
    for cheap in ["/products", "/products?limit=50", "/orders?limit=1", one.as_str(), prices.as_str()] {
        assert_eq!(status(&router, cheap, &[]).await, 200, "{cheap}");
    }
    for (one, path) in waiting.iter_mut().zip(dear) {
        assert!(one.as_mut().now_or_never().is_none(), "{path}");
    }
    drop(held);
    assert!(futures::future::join_all(waiting).await.iter().all(|status| *status == 200));
}

#[tokio::test]
async fn a_query_that_waits_for_a_position_holds_no_turn() {
    let shop = Shop::open().await;
    shop.product("Mug", &["mug"], None).await;
    shop.see("/products").await;
    let (router, _) = with(&shop, "queries=1/1");
    let later = [("event-position", "main:1000"), ("prefer", "wait=60")];
    let mut waiting = Box::pin(status(&router, "/products?limit=200", &later));
    assert!(waiting.as_mut().now_or_never().is_none());
    for _ in 0..3 {
        assert_eq!(status(&router, "/products?limit=200", &[]).await, 200);
        assert!(waiting.as_mut().now_or_never().is_none());
    }
}
