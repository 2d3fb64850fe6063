//! Search.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use soonshop_domain::ids;
use soonshop_domain::product::{self, Product};
use url::form_urlencoded;
use uuid::Uuid;

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
    assert_eq!(found["fuzzy"], true, "no mug is typed like this");
    assert_eq!(shop.get("/products/search?q=mug").await.ok()["fuzzy"], false);
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
        ("q=mug1", vec!["Red Mug"]),
        ("q=redmug", vec!["Red Mug"]),
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

async fn described(shop: &Shop, name: &str, category: Option<&str>, attributes: &[(&str, &str)]) {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let details = product::Details {
        name: name.to_owned(),
        category: category.map(str::to_owned),
        attributes: attributes.collect(),
        ..product::Details::default()
    };
    let variants = vec![product::Variant { sku: sku(name), price: Some(pounds(100)) }];
    shop.command::<Product>(ids::new(), product::Command::Create { details, variants }).await;
}

#[tokio::test]
async fn any_name_of_an_attribute_can_be_asked_for_and_none_hides_the_category() {
    let shop = Shop::open().await;
    let odd =
        [("category", "Gift"), ("Size, EU", "42"), ("a=b", "1"), ("say \"hi\"", "2"), ("attribute.x", "3")];
    described(&shop, "Clash mug", Some("Mugs"), &odd).await;
    described(&shop, "Plain mug", Some("Gift"), &[("x", "4")]).await;
    for (query, expected) in [
        ("/products?category=Mugs", vec!["Clash mug"]),
        ("/products/search?category=Mugs", vec!["Clash mug"]),
        ("/products/search?facet.category=Mugs", vec!["Clash mug"]),
        ("/products?category=Gift", vec!["Plain mug"]),
        ("/products/search?category=Gift", vec!["Plain mug"]),
        ("/products/search?facet.attribute.category=Gift", vec!["Clash mug"]),
        ("/products/search?facet.Size,%20EU=42", vec!["Clash mug"]),
        ("/products/search?facet.a%3Db=1", vec!["Clash mug"]),
        ("/products/search?facet.attribute.attribute.x=3", vec!["Clash mug"]),
        ("/products/search?facet.attribute.x=4", vec!["Plain mug"]),
        ("/products/search?facet.x=4", vec!["Plain mug"]),
    ] {
        assert_eq!(names(&shop.see(query).await.items(), "name"), expected, "{query}");
    }
    let facets = async |asked: &str| {
        let asked: String = form_urlencoded::byte_serialize(asked.as_bytes()).collect();
        shop.see(&format!("/products/search?q=clash&facets={asked}")).await.ok()["facets"].clone()
    };
    let one = |value: &str| json!([{ "value": value, "count": 1 }]);
    assert_eq!(facets("category").await, json!({ "category": one("Mugs") }));
    assert_eq!(facets("attribute.category").await, json!({ "attribute.category": one("Gift") }));
    assert_eq!(facets("Size, EU").await, json!({ "Size, EU": one("42") }));
    assert_eq!(
        facets("category,\"Size, EU\", a=b ,\"say \"\"hi\"\"\"").await,
        json!({ "category": one("Mugs"), "Size, EU": one("42"), "a=b": one("1"), "say \"hi\"": one("2") })
    );
    assert_eq!(facets("category,none").await, json!({ "category": one("Mugs"), "none": [] }));
    let item = &shop.see("/products/search?q=clash").await.items()[0];
    assert_eq!(item["facets"]["category"], json!(["Mugs"]));
    assert_eq!(item["facets"]["attribute.category"], json!(["Gift"]));
    let refused = shop.see("/products/search?facets=%22open").await;
    assert_eq!(refused.refused(), (400, "invalid-query".into()));
}

#[tokio::test]
async fn facets_say_how_many_values_are_left_out_and_list_what_was_chosen() {
    let shop = Shop::open().await;
    for n in 0..60 {
        described(&shop, &format!("Brandtest {n:02}"), None, &[("brand", &format!("Brand {n:02}"))]).await;
    }
    described(&shop, "Brandtest again", None, &[("brand", "BRAND 59")]).await;
    let got = shop.see("/products/search?q=brandtest&facets=brand&limit=1").await.ok();
    assert_eq!(
        (got["facets"]["brand"].as_array().unwrap().len(), &got["facets_more"]["brand"]),
        (50, &json!(10))
    );
    assert_eq!(got["facets"]["brand"][0], json!({ "value": "Brand 59", "count": 2 }), "as first written");
    let got = shop.see("/products/search?q=brandtest&facets=brand&facet.brand=brand%2058").await.ok();
    let listed = got["facets"]["brand"].as_array().unwrap();
    assert_eq!((&got["total"], listed.len(), &got["facets_more"]["brand"]), (&json!(1), 51, &json!(9)));
    assert!(listed.contains(&json!({ "value": "Brand 58", "count": 1 })), "{listed:?}");
    let got = shop.see("/products/search?facets=brand&facet_limit=100").await.ok();
    assert_eq!(
        (got["facets"]["brand"].as_array().unwrap().len(), &got["facets_more"]["brand"]),
        (60, &json!(0))
    );
}

#[tokio::test]
async fn pages_of_a_search_say_that_something_changed_meanwhile() {
    let shop = Shop::open().await;
    for (name, pence) in [("Mug a", 1), ("Mug b", 2), ("Mug c", 3)] {
        described(&shop, name, None, &[]).await;
        let id = shop.see(&format!("/products/search?q={}&sort=-created", &name[4..])).await.items()[0]["id"]
            .clone();
        let price = product::Command::SetPrice { sku: sku(name), price: pounds(pence) };
        shop.command::<Product>(id.as_str().unwrap().parse().unwrap(), price).await;
    }
    let page = async |sort: &str, after: &Value| {
        shop.see(&format!("/products/search?q=mug&limit=1&sort={sort}&after={}", after.as_str().unwrap()))
            .await
            .ok()
    };
    let first = shop.see("/products/search?q=mug&limit=1&sort=price").await.ok();
    let newest = shop.see("/products/search?q=mug&limit=1&sort=-created").await.ok();
    assert_eq!(page("price", &first["next"]).await.get("changed"), None);
    let listed: Uuid = first["items"][0]["id"].as_str().unwrap().parse().unwrap();
    let price = product::Command::SetPrice { sku: sku("Mug a"), price: pounds(99) };
    shop.command::<Product>(listed, price).await;
    assert_eq!(page("price", &first["next"]).await["changed"], true);
    assert_eq!(page("-created", &newest["next"]).await.get("changed"), None, "this order does not change");
}
