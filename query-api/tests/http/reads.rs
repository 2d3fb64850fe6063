//! Look-ups, lists, and refused requests.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use soonshop_domain::ids::{self, OrderId};
use soonshop_domain::order::{self, Order, credit_note};
use soonshop_domain::product::{self, Product};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Money, Purpose, inventory};
use soonshop_event_log::{Database, DatabaseLocation, KeyStore, MasterKeys};
use soonshop_query_api::http;
use soonshop_service_kit::access::Role;
use soonshop_service_kit::serve::stack;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::shop::*;

#[tokio::test]
async fn a_product_is_looked_up_with_its_version_and_position() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug-1", "mug-2"], Some("kitchen")).await;
    let path = format!("/products/{id}");
    let got = shop.see(&path).await;
    let product = got.ok();
    assert_eq!(product["id"], id.to_string());
    assert_eq!((&product["name"], &product["category"]), (&json!("Mug"), &json!("kitchen")));
    assert_eq!(
        product["variants"][1],
        json!({ "sku": "MUG-2", "price": { "amount": 500, "currency": "GBP" } })
    );
    assert_eq!(product["price"], json!({ "amount": 500, "currency": "GBP" }));
    assert_eq!((got.header("etag"), got.header("event-position")), ("\"1\"", "main:1"));
    assert_eq!((got.header("preference-applied"), got.header("content-type")), ("wait", "application/json"));
    assert!(product["created_at"].as_str().unwrap().ends_with('Z'));

    for has in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "\"x,y\"\t, ,W/\"1\"", "*"] {
        let got = shop.get_with(&path, &[("if-none-match", has)]).await;
        assert_eq!((got.status, got.text.as_str(), got.header("etag")), (304, "", "\"1\""), "{has}");
    }
    let lines = [("if-none-match", "\"7\""), ("if-none-match", "W/\"1\"")];
    assert_eq!(shop.get_with(&path, &lines).await.status, 304, "several lines are one list");
    assert_eq!(shop.get_with(&path, &[("if-none-match", "\"2\", W/\"3\"")]).await.status, 200);
    let malformed = shop.get_with(&path, &[("if-none-match", "\"2\", nonsense")]).await;
    assert_eq!(malformed.refused(), (400, "invalid-header".into()));

    let prices = shop.get(&format!("{path}/prices")).await;
    assert_eq!(prices.header("etag"), "\"1\"");
    assert_eq!(prices.ok()["items"][0]["sku"], "MUG-1");
    assert_eq!(prices.ok()["product_id"], id.to_string());
}

#[tokio::test]
async fn missing_and_deleted_entities_are_distinguished() {
    let shop = Shop::open().await;
    let product = shop.product("Mug", &["mug"], None).await;
    let user = shop.user("Ada", "UK").await;
    let forgotten = shop.user("Bob", "UK").await;
    shop.command::<Product>(product, product::Command::Delete).await;
    shop.command::<User>(user, user::Command::Delete).await;
    shop.command::<User>(forgotten, user::Command::Delete).await;
    shop.erase(forgotten, &[Purpose::Account]).await;
    for path in [format!("/products/{product}"), format!("/products/{product}/prices")] {
        assert_eq!(shop.see(&path).await.refused(), (410, "product-deleted".into()));
    }
    for user in [user, forgotten] {
        let got = shop.see(&format!("/users/{user}")).await;
        assert_eq!(got.refused(), (410, "user-deleted".into()));
        assert!(!got.header("event-position").is_empty());
    }
    for path in ["/products", "/users", "/orders", "/credit-notes"] {
        let got = shop.see(&format!("{path}/{}", Uuid::nil())).await;
        assert_eq!(got.refused(), (404, "not-found".into()), "{path}");
        for bad in ["7", "x%00y", "%ff", "'%20OR%201=1"] {
            assert_eq!(
                shop.get(&format!("{path}/{bad}")).await.refused(),
                (400, "invalid-id".into()),
                "{path}"
            );
        }
    }
    assert_eq!(shop.get("/inventory/NONE").await.refused(), (404, "not-found".into()));
    assert_eq!(shop.get("/inventory/a%0Ab").await.refused(), (400, "invalid-id".into()));

    assert_eq!(shop.get("/products").await.items().len(), 0);
    assert_eq!(shop.get("/products?status=deleted").await.items().len(), 1);
    assert_eq!(shop.get("/users").await.items().len(), 0);
    assert_eq!(shop.get("/users?status=deleted").await.items().len(), 1);
    let erased = shop.get("/users?status=erased").await;
    assert_eq!((&erased.items()[0]["name"], erased.text.contains("Bob")), (&Value::Null, false));
}

#[tokio::test]
async fn stock_is_looked_up_by_sku_and_location() {
    let shop = Shop::open().await;
    shop.stock("mug 1/2", "main", inventory::Command::Receive { quantity: 5 }).await;
    shop.stock("mug 1/2", "north", inventory::Command::Receive { quantity: 9 }).await;
    shop.stock("cup", "main", inventory::Command::Receive { quantity: 7 }).await;
    let order_id = OrderId(Uuid::nil());
    shop.stock("cup", "main", inventory::Command::Reserve { order_id, line: 1, quantity: 3 }).await;

    let got = shop.see("/inventory/mug%201%2F2").await;
    assert_eq!((got.ok()["available"].as_i64(), got.header("etag")), (Some(5), "\"1\""));
    let got = shop.get("/inventory/MUG%201%2F2?location=north").await.ok();
    assert_eq!((got["sku"].as_str(), got["on_hand"].as_i64()), (Some("MUG 1/2"), Some(9)));
    assert_eq!(shop.get("/inventory/cup?location=North!").await.refused(), (400, "invalid-query".into()));
    let got = shop.get("/inventory/cup").await.ok();
    assert_eq!(
        (got["on_hand"].as_i64(), got["reserved"].as_i64(), got["available"].as_i64()),
        (Some(7), Some(3), Some(4))
    );

    assert_eq!(names(&shop.get("/inventory").await.items(), "sku"), ["CUP", "MUG 1/2", "MUG 1/2"]);
    assert_eq!(names(&shop.get("/inventory?sku=%20mug%201/2").await.items(), "sku").len(), 2);
    assert_eq!(names(&shop.get("/inventory?location=north").await.items(), "sku"), ["MUG 1/2"]);
    assert_eq!(names(&shop.get("/inventory?available_below=5").await.items(), "sku"), ["CUP"]);
    let available =
        |items: Vec<Value>| items.iter().map(|item| item["available"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(available(shop.get("/inventory?sort=-available").await.items()), [9, 5, 4]);
}

#[tokio::test]
async fn orders_are_filtered_and_found_by_their_number() {
    let shop = Shop::open().await;
    let (ada, bob) = (ids::new(), ids::new());
    let mut ids = Vec::new();
    for (number, customer, country, day) in [
        ("A 1", user_id(ada), "France", "2011-01-31T23:59:59.999999Z"),
        ("A 2", user_id(bob), "France", "2011-02-01T00:00:00Z"),
        ("A 3", user_id(ada), "Spain", "2011-02-28T12:00:00Z"),
        ("A 4", guest(), "Spain", "2011-03-01T00:00:00Z"),
    ] {
        let id = ids::new();
        shop.command_at::<Order>(
            id,
            place_of(number, customer, vec![line(1, "mug", 2, 250)], country),
            at(day),
        )
        .await;
        ids.push(id);
    }
    shop.command::<Order>(ids[1], order::Command::Confirm).await;

    let order = shop.see_as(Role::Admin, &format!("/orders/{}", ids[0]), &[]).await;
    let order = order.ok();
    assert_eq!(
        (&order["number"], &order["status"], &order["customer"]),
        (&json!("A 1"), &json!("placed"), &json!({ "user": ada }))
    );
    assert_eq!(order["total"], json!({ "amount": 500, "currency": "GBP" }));
    assert_eq!((&order["lines"][0]["quantity"], &order["contact"]["name"]), (&json!(2), &json!("Ada")));
    assert_eq!(order["placed_at"], "2011-01-31T23:59:59.999999Z");

    for (query, expected) in [
        ("", vec!["A 4", "A 3", "A 2", "A 1"]),
        ("sort=placed", vec!["A 1", "A 2", "A 3", "A 4"]),
        ("number=A%202", vec!["A 2"]),
        ("number=a+2", vec![]),
        ("status=confirmed", vec!["A 2"]),
        ("status=placed&country=Spain", vec!["A 4", "A 3"]),
        ("placed_from=2011-02-01&placed_to=2011-03-01", vec!["A 3", "A 2"]),
        ("placed_to=2011-02-01T00:00:00Z", vec!["A 1"]),
        ("placed_from=2011-02-01&placed_to=2011-03-01&tz=Asia/Shanghai", vec!["A 3", "A 2", "A 1"]),
        ("placed_from=2011-02-01&placed_to=2011-03-02&tz=America/New_York", vec!["A 4", "A 3"]),
        (&format!("customer={ada}"), vec!["A 3", "A 1"]),
        (&format!("customer={}&sort=placed", ada.simple()), vec!["A 1", "A 3"]),
    ] {
        assert_eq!(
            names(&shop.get(&format!("/orders?{query}")).await.items(), "number"),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn credit_notes_and_users_have_lists_too() {
    let shop = Shop::open().await;
    let (order_id, note) = (OrderId(ids::new()), ids::new());
    let (customer, country) = (guest(), "France".to_owned());
    let placed = place_of("S-1", customer, vec![line(1, "cup", 1, 100), line(2, "mug", 2, 250)], "France");
    shop.command::<Order>(order_id.0, placed).await;
    let lines = vec![line(1, "mug", 1, 250)];
    let of_order = credit_note::Command::IssueForOrder {
        number: "C1".to_owned(),
        order_id,
        customer,
        lines: lines.clone(),
        order_lines: vec![2],
        country: country.clone(),
    };
    shop.command::<credit_note::CreditNote>(note, of_order).await;
    let without = credit_note::Command::Issue { number: "C2".to_owned(), customer, lines, country };
    shop.command::<credit_note::CreditNote>(ids::new(), without).await;
    let got = shop.see(&format!("/credit-notes/{note}")).await.ok();
    assert_eq!(
        (&got["number"], &got["order_id"], &got["total"]["amount"]),
        (&json!("C1"), &json!(order_id), &json!(250))
    );
    assert_eq!((&got["without_order"], &got["lines"][0]["order_line"]), (&json!(false), &json!(2)));
    let ordered = shop.see(&format!("/orders/{order_id}")).await.ok();
    assert_eq!(
        (&ordered["total"]["amount"], &ordered["credited"]),
        (&json!(600), &json!({ "amount": 250, "currency": "GBP" }))
    );
    let free = shop.get("/credit-notes?number=C2").await.items().remove(0);
    assert_eq!((&free["without_order"], &free["order_id"]), (&json!(true), &Value::Null));
    assert!(free["lines"][0].get("order_line").is_none());
    assert_eq!(names(&shop.get(&format!("/credit-notes?order={order_id}")).await.items(), "number"), ["C1"]);
    assert_eq!(names(&shop.get("/credit-notes?number=C2").await.items(), "number"), ["C2"]);
    assert_eq!(shop.get("/credit-notes?issued_to=2001-01-01").await.items().len(), 0);

    let ada = shop.user("Ada", "UK").await;
    let ben = shop.user("Ben", "France").await;
    let got = shop.see_as(Role::Admin, &format!("/users/{ada}"), &[]).await.ok();
    assert_eq!(
        (&got["name"], &got["email"], &got["phone"]),
        (&json!("Ada"), &json!("Ada@example.org"), &Value::Null)
    );
    let (ada, ben) = (ada.to_string(), ben.to_string());
    assert_eq!(names(&shop.get("/users?sort=registered").await.items(), "id"), [ada, ben.clone()]);
    assert_eq!(names(&shop.get("/users?country=France").await.items(), "id"), [ben]);
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat() {
    let shop = Shop::open().await;
    // Many orders have the same time: then the id decides.
    let placing = (0..450).map(|n| {
        let command = place_of(
            &format!("N{n}"),
            guest(),
            vec![line(1, "mug", 1, 1)],
            if n % 3 == 0 { "Spain" } else { "France" },
        );
        let moment = at("2011-01-01T00:00:00Z") + chrono::Duration::hours(n / 100);
        shop.command_at::<Order>(ids::new(), command, moment)
    });
    futures::future::join_all(placing).await;
    let all = shop.see("/orders?limit=200").await;
    assert_eq!(all.items().len(), 200);

    let (down, sizes) = walk(&shop, "/orders?limit=200").await;
    assert_eq!((sizes, down.iter().collect::<BTreeSet<_>>().len()), (vec![200, 200, 50], 450));
    let (mut up, _) = walk(&shop, "/orders?limit=7&sort=placed").await;
    up.reverse();
    assert_eq!(up, down);
    let (spanish, sizes) = walk(&shop, "/orders?country=Spain").await;
    assert_eq!((spanish.len(), sizes), (150, vec![50, 50, 50]));

    // Rows added meanwhile are newer than the first page, and do not change the later ones.
    let first = shop.get("/orders?limit=200").await.ok();
    shop.command::<Order>(ids::new(), place_of("NEW", guest(), vec![line(1, "mug", 1, 1)], "France")).await;
    shop.see("/orders?limit=1").await.ok();
    let second = shop.get(&format!("/orders?limit=200&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!(names(&second.items(), "id"), down[200..400]);
}

/// The page that follows.
async fn next_page(shop: &Shop, path: &str, got: &Got) -> Got {
    let next = got.ok()["next"].as_str().unwrap().to_owned();
    shop.see(&format!("{path}&after={next}")).await
}

#[tokio::test]
async fn pages_by_a_value_that_changes_list_every_row_and_say_which_changed() {
    let shop = Shop::open().await;
    let receive = |quantity| inventory::Command::Receive { quantity };
    for n in 1..=6 {
        shop.stock(&format!("s{n}"), "main", receive(n * 10)).await;
    }
    for (sort, order) in [
        ("available", ["S1", "S2", "S3", "S4", "S5", "S6"]),
        ("-available", ["S6", "S5", "S4", "S3", "S2", "S1"]),
    ] {
        let path = format!("/inventory?sort={sort}&limit=2");
        let first = shop.see(&path).await;
        assert_eq!(names(&first.items(), "sku"), order[..2]);
        let second = next_page(&shop, &path, &first).await;
        let third = next_page(&shop, &path, &second).await;
        assert_eq!(names(&[second.items(), third.items()].concat(), "sku"), order[2..]);
        assert_eq!((&third.ok()["next"], third.ok().get("changed")), (&Value::Null, None), "nothing changed");
    }

    // While somebody pages, one row that was listed moves behind the page, and one that was not moves before it.
    let path = "/inventory?sort=available&limit=2";
    let first = shop.see(path).await;
    shop.stock("s1", "main", receive(1_000)).await;
    shop.stock("s5", "main", inventory::Command::Adjust { quantity: -49, reason: "lost".into() }).await;
    shop.stock("s7", "main", receive(35)).await;
    let second = next_page(&shop, path, &first).await;
    assert_eq!(names(&second.items(), "sku"), ["S3", "S4"]);
    let third = next_page(&shop, path, &second).await;
    assert_eq!((names(&third.items(), "sku"), third.ok().get("changed")), (vec!["S6".to_owned()], None));
    let fourth = next_page(&shop, path, &third).await;
    let fifth = next_page(&shop, path, &fourth).await;
    let changed: BTreeSet<String> =
        names(&[fourth.items(), fifth.items()].concat(), "sku").into_iter().collect();
    assert_eq!(changed, BTreeSet::from(["S1", "S5", "S7"].map(str::to_owned)), "each once more, or at last");
    for page in [&fourth, &fifth] {
        assert_eq!(page.ok()["changed"], true, "and it is said");
    }
    assert_eq!(fifth.ok()["next"], Value::Null);
}

async fn priced(shop: &Shop, name: &str, category: Option<&str>, prices: &[(&str, i64, &str)]) -> Uuid {
    let details = product::Details {
        name: name.to_owned(),
        category: category.map(str::to_owned),
        ..product::Details::default()
    };
    let money = |amount, currency: &str| Money::new(amount, currency.parse().unwrap());
    let variants = prices.iter().map(|(name, amount, currency)| product::Variant {
        sku: sku(name),
        price: Some(money(*amount, currency)),
    });
    let id = ids::new();
    shop.command::<Product>(id, product::Command::Create { details, variants: variants.collect() }).await;
    id
}

#[tokio::test]
async fn the_list_and_the_search_find_a_product_by_any_of_its_prices_in_the_asked_currency() {
    let shop = Shop::open().await;
    priced(&shop, "Zed shirt", None, &[("zed-s", 1000, "GBP"), ("zed-xl", 5000, "GBP")]).await;
    let vase = priced(&shop, "Zed vase", None, &[("zv-1", 1500, "GBP"), ("zv-2", 1200, "JPY")]).await;
    priced(&shop, "Zed fan", None, &[("zf-1", 9000, "JPY"), ("zf-2", 10, "JPY")]).await;
    for (query, expected) in [
        ("currency=GBP&price_from=4000&price_to=6000", vec![("Zed shirt", 5000, "GBP")]),
        ("currency=GBP", vec![("Zed shirt", 1000, "GBP"), ("Zed vase", 1500, "GBP")]),
        ("currency=GBP&price_from=1400&price_to=1600", vec![("Zed vase", 1500, "GBP")]),
        ("currency=GBP&price_from=1001&price_to=1499", vec![]),
        ("currency=GBP&price_from=1001", vec![("Zed vase", 1500, "GBP"), ("Zed shirt", 5000, "GBP")]),
        ("currency=JPY&price_from=11", vec![("Zed vase", 1200, "JPY"), ("Zed fan", 9000, "JPY")]),
        ("currency=EUR", vec![]),
        ("price_from=1200&price_to=1200", vec![("Zed vase", 1200, "JPY")]),
        ("", vec![("Zed fan", 10, "JPY"), ("Zed shirt", 1000, "GBP"), ("Zed vase", 1200, "JPY")]),
    ] {
        for (sort, turned) in [("price", false), ("-price", true)] {
            let mut expected: Vec<Value> = expected
                .iter()
                .map(|(name, amount, currency)| json!([name, { "amount": amount, "currency": currency }]))
                .collect();
            if turned {
                expected.reverse();
            }
            for path in ["/products", "/products/search"] {
                let path = format!("{path}?{query}&sort={sort}");
                let mut page = shop.see(&format!("{path}&limit=1")).await;
                let mut found = page.items();
                while page.ok()["next"].is_string() {
                    page = next_page(&shop, &format!("{path}&limit=1"), &page).await;
                    found.extend(page.items());
                }
                let found: Vec<Value> =
                    found.iter().map(|item| json!([item["name"], item["price"]])).collect();
                assert_eq!(found, expected, "{path}");
            }
        }
    }
    // A price that was set later counts from then on.
    let price = product::Command::SetPrice {
        sku: sku("zv-2"),
        price: Money::new(5500, soonshop_domain::Currency::GBP),
    };
    shop.command::<Product>(vase, price).await;
    for path in ["/products", "/products/search"] {
        let got = shop.see(&format!("{path}?currency=GBP&price_from=4000&sort=price")).await;
        assert_eq!(names(&got.items(), "name"), ["Zed shirt", "Zed vase"], "{path}");
        assert_eq!(shop.see(&format!("{path}?currency=JPY&price_to=1200")).await.items().len(), 1, "{path}");
    }
}

#[tokio::test]
async fn the_list_and_the_search_agree_on_categories_that_look_the_same() {
    let shop = Shop::open().await;
    priced(&shop, "One", Some("Tea  Mugs"), &[("c-1", 1, "GBP")]).await;
    priced(&shop, "Two", Some("tea mugs"), &[("c-2", 1, "GBP")]).await;
    priced(&shop, "Three", Some("Téa mugs"), &[("c-3", 1, "GBP")]).await;
    for (category, expected) in
        [("TEA%20MUGS", vec!["One", "Two"]), ("tea", vec![]), ("t%C3%A9a%20Mugs", vec!["Three"])]
    {
        for path in ["/products?sort=created", "/products/search?sort=-created"] {
            let mut found = names(&shop.see(&format!("{path}&category={category}")).await.items(), "name");
            if path.contains("search") {
                found.reverse();
            }
            assert_eq!(found, expected, "{path} {category}");
        }
    }
}

#[tokio::test]
async fn invalid_parameters_are_refused_by_name() {
    let shop = Shop::open().await;
    let long = "x".repeat(300);
    for (path, parameter) in [
        ("/orders?colour=red", "colour"),
        ("/orders/00000000-0000-0000-0000-000000000000?status=placed", "status"),
        ("/orders?status=gone", "status"),
        ("/orders?status=placed&status=placed", "status"),
        ("/orders?limit=0", "limit"),
        ("/orders?limit=201", "limit"),
        ("/orders?limit=-1", "limit"),
        ("/orders?limit=1e2", "limit"),
        ("/orders?limit=99999999999999999999", "limit"),
        ("/orders?customer=me", "customer"),
        ("/orders?placed_from=yesterday", "placed_from"),
        ("/orders?tz=Mars", "tz"),
        ("/users?tz=Europe/London", "tz"),
        ("/orders?number=%00", "number"),
        (&format!("/orders?country={long}"), "country"),
        ("/orders?sort=total%3B%20DROP%20TABLE%20orders", "sort"),
        ("/orders?after=", "after"),
        ("/orders?after=nonsense", "after"),
        ("/orders?after=e30", "after"),
        ("/inventory?available_below=-1", "available_below"),
        ("/inventory?sku=%00", "sku"),
        ("/users/00000000-0000-0000-0000-000000000000?as_of=", "as_of"),
        ("/users/00000000-0000-0000-0000-000000000000?as_of=v:0", "as_of"),
        ("/products/search?limit=0", "limit"),
        ("/products/search?sort=best", "sort"),
        ("/products/search?colour=red", "colour"),
        ("/products/search?after=nonsense", "after"),
        ("/products/search?after=1.nonsense", "after"),
        ("/products/search?currency=pounds", "currency"),
        (&format!("/products/search?q={}", "x".repeat(3_000)), "q"),
        (&format!("/products/search?facets={}", "a,".repeat(30)), "facets"),
        ("/products/suggestions", "q"),
        ("/analytics/sales?interval=week", "interval"),
        ("/analytics/sales?group_by=customer", "group_by"),
        ("/analytics/sales?order_by=name", "order_by"),
        ("/analytics/sales?from=2011-02-30", "from"),
        ("/analytics/sales?from=2011-03-01&to=2011-02-01", "to"),
        ("/analytics/sales?limit=10001", "limit"),
        ("/analytics/stock?from=2011-01-01", "from"),
        ("/analytics/summary?interval=day", "interval"),
    ] {
        let got = shop.get(path).await;
        assert_eq!(got.refused(), (400, "invalid-query".into()), "{path}");
        assert_eq!(got.json()["parameter"], parameter, "{path}");
    }
    for headers in [
        [("event-position", "other:7"), ("prefer", "wait=1")],
        [("event-position", "-7"), ("prefer", "wait=1")],
        [("event-position", "main:99999999999999999999"), ("prefer", "wait=1")],
        [("event-position", "main:7"), ("prefer", "wait=forever")],
    ] {
        assert_eq!(
            shop.get_with("/orders", &headers).await.refused(),
            (400, "invalid-header".into()),
            "{headers:?}"
        );
    }
    // A cursor is only valid for its list, filters and order.
    for n in 0..2 {
        let place = place_of(&format!("N{n}"), guest(), vec![line(1, "mug", 1, 1)], "France");
        shop.command::<Order>(ids::new(), place).await;
    }
    let next = shop.see("/orders?limit=1").await.ok()["next"].as_str().unwrap().to_owned();
    assert_eq!(shop.get(&format!("/orders?limit=1&after={next}")).await.items().len(), 1);
    for other in ["/orders?sort=placed", "/orders?country=France", "/credit-notes?limit=1", "/users?limit=1"]
    {
        let got = shop.get(&format!("{other}&after={next}")).await;
        assert_eq!(got.refused(), (400, "invalid-query".into()), "{other}");
    }
}

#[tokio::test]
async fn an_unmigrated_shop_and_a_database_that_is_down_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let queries = |place| {
        let database = Database::new(place);
        let file = folder.path().join("master.key");
        MasterKeys::create(&file).unwrap();
        let keys = KeyStore::new(database.namespace("keys").unwrap(), MasterKeys::read(&file).unwrap());
        let log = soonshop_event_log::EventLog::new(database.namespace("log").unwrap(), keys);
        let search =
            soonshop_search::connect(&format!("tantivy://{}/index", folder.path().display())).unwrap();
        let cache = soonshop_cache::connect("moka:").unwrap();
        stack(http::router(queries(&database, log, search, cache)))
    };
    let ask = async |router: Router, path: &str| {
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(axum::body::to_bytes(body, 10_000).await.unwrap().to_vec()).unwrap();
        Got { status: parts.status.as_u16(), headers: parts.headers, text }
    };
    let new = queries(DatabaseLocation::Sqlite(folder.path().to_owned()));
    for path in ["/orders", "/products/search?q=x", "/analytics/summary", &format!("/users/{}", Uuid::nil())]
    {
        let got = ask(new.clone(), path).await;
        assert_eq!(got.refused(), (503, "read-model-missing".into()), "{path}");
        assert!(got.text.contains("soonshop migrate") && !got.header("retry-after").is_empty());
    }
    // Nothing listens there.
    let down = queries(DatabaseLocation::Postgres("postgres://nobody@127.0.0.1:1/none".to_owned()));
    let got = ask(down.clone(), "/orders").await;
    assert_eq!((got.refused(), got.header("retry-after")), ((503, "database-unavailable".into()), "1"));
    let got = ask(down, &format!("/orders/{}?as_of=v:1", Uuid::nil())).await;
    assert_eq!(got.refused(), (503, "database-unavailable".into()));
}
