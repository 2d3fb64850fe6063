//! Search.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use soonshop_domain::product::{self, Product};

use crate::shop::*;

#[tokio::test]
async fn products_are_searched_with_facets_prices_and_highlights() {
    let shop = Shop::open().await;
    let mug = shop.product("Red Mug", &["mug-1"], Some("kitchen")).await;
    shop.product("Blue Mug", &["mug-2"], Some("office")).await;
    let lamp = shop.product("红色台灯", &["lamp"], Some("office")).await;
    let price = product::Command::SetPrice { sku: sku("mug-2"), price: pounds(900) };
    let blue = shop.see("/products/search?q=blue").await.items()[0]["id"].as_str().unwrap().parse().unwrap();
    shop.command::<Product>(blue, price).await;

    let got = shop.see("/products/search?q=mugg&facets=category,colour&sort=name").await;
    let found = got.ok();
    assert_eq!(names(&got.items(), "name"), ["Blue Mug", "Red Mug"]);
    assert_eq!((&found["total"], &found["next"]), (&json!(2), &Value::Null));
    assert_eq!(
        found["facets"]["category"],
        json!([{ "value": "kitchen", "count": 1 }, { "value": "office", "count": 1 }])
    );
    assert_eq!(found["items"][1]["highlights"]["name"], "Red <mark>Mug</mark>");
    assert_eq!(found["items"][0]["price"], json!({ "amount": 900, "currency": "GBP" }));
    assert_eq!(got.header("event-position"), format!("main:{}", shop.last.load(Ordering::SeqCst)));

    for (query, expected) in [
        ("category=kitchen", vec!["Red Mug"]),
        (
            "facet.category=kitchen&facet.category=office&facet.colour=red&q=mug&sort=name",
            vec!["Blue Mug", "Red Mug"],
        ),
        ("facet.colour=green", vec![]),
        ("price_from=600&currency=GBP", vec!["Blue Mug"]),
        ("price_to=899&sort=-name&q=mug", vec!["Red Mug"]),
        ("q=台灯", vec!["红色台灯"]),
        ("q=MUG-1", vec!["Red Mug"]),
        ("sort=-price&limit=1", vec!["Blue Mug"]),
    ] {
        let path: String = format!("/products/search?{query}").replace("台灯", "%E5%8F%B0%E7%81%AF");
        assert_eq!(names(&shop.get(&path).await.items(), "name"), expected, "{query}");
    }
    let (walked, sizes) = walk(&shop, "/products/search?limit=1&sort=name&facet.colour=red").await;
    assert_eq!((walked.len(), sizes.len()), (3, 3));
    let suggestions = shop.get("/products/suggestions?q=mu&limit=5").await.ok();
    assert_eq!(suggestions["items"].as_array().unwrap().len(), 2);
    assert_eq!(shop.get("/products/suggestions?q=").await.items().len(), 0);

    shop.command::<Product>(lamp, product::Command::Delete).await;
    assert_eq!(shop.see("/products/search").await.ok()["total"], 2);
    shop.command::<Product>(mug, product::Command::Delete).await;
    assert_eq!(names(&shop.see("/products/search?q=mug").await.items(), "name"), ["Blue Mug"]);
}
