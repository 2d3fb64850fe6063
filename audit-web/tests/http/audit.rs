//! The audit trail over HTTP.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use soonshop_domain::inventory::{self, Stock};
use soonshop_domain::order::{self, Order};
use soonshop_domain::product::{self, Product};
use soonshop_domain::user::{self, User};
use soonshop_domain::{ActorKind, Channel, Decider, Metadata, Money, Purpose, ids};
use soonshop_event_store::CommandContext;
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::shop::*;

/// Executes a command with this metadata; returns its position.
async fn done<A: Decider>(shop: &Shop, id: Uuid, command: A::Command, metadata: Metadata) -> i64 {
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata);
    shop.command_in::<A>(id, command, context).await
}

fn positions(got: &Got) -> Vec<i64> {
    got.items().iter().map(|item| item["position"].as_i64().unwrap()).collect()
}

fn receive(name: &str, quantity: u32) -> (Uuid, inventory::At) {
    let place = inventory::StockPlace { sku: sku(name), location: "main".to_owned() };
    let id = inventory::stream(&place.sku, "main");
    (id, inventory::At { place, command: inventory::Command::Receive { quantity } })
}

/// A user, two products, and a receipt of stock by a member of staff; their positions are 1 to 4.
async fn four(shop: &Shop) {
    shop.user("Ada", "UK").await;
    shop.product("Mug", &["mug"], Some("kitchen")).await;
    shop.product("100%_cup", &["cup"], None).await;
    let staff = Metadata {
        actor_kind: Some(ActorKind::Staff),
        actor_id: Some("42".to_owned()),
        channel: Some(Channel::Admin),
        reason_code: Some("delivery".to_owned()),
        ..Metadata::default()
    };
    let (id, command) = receive("mug", 5);
    done::<Stock>(shop, id, command, staff).await;
}

#[tokio::test]
async fn every_term_filters_the_timeline_in_the_search_and_as_a_parameter() {
    let shop = Shop::open().await;
    four(&shop).await;
    let stock = inventory::stream(&sku("mug"), "main");
    let first = shop.see("/api/audit/timeline").await;
    assert_eq!(positions(&first), [4, 3, 2, 1]);
    let newest = &first.items()[0];
    assert_eq!(
        (&newest["actor"], &newest["channel"], &newest["summary"]["quantity"]),
        (&json!({"kind": "staff", "id": "42"}), &json!("admin"), &json!(5))
    );
    for (query, expected) in [
        ("order=asc", vec![1, 2, 3, 4]),
        ("type=Product*", vec![3, 2]),
        ("type=ProductCreated&order=asc", vec![2, 3]),
        ("agg=user", vec![1]),
        (&format!("id={stock}"), vec![4]),
        ("actor=staff:42", vec![4]),
        ("actor=staff", vec![4]),
        ("actor=staff:4", vec![]),
        ("chan=admin", vec![4]),
        ("from=2000-01-01", vec![4, 3, 2, 1]),
        ("to=2000-01-01", vec![]),
        ("before=3", vec![2, 1]),
        ("after=3", vec![4]),
        ("q=mug", vec![4, 2]),
        ("q=%22100%25_CUP%22", vec![3]),
        ("q=k_tchen", vec![]),
        ("q=agg:product+kitchen", vec![2]),
        ("q=-type:Product*", vec![4, 1]),
        ("q=-actor:staff", vec![3, 2, 1]),
        ("q=reason:delivery", vec![4]),
        ("q=delivery", vec![4]),
        ("q=created:2000-01-01..2000-01-02", vec![]),
        ("q=type:Product*&agg=user", vec![]),
    ] {
        assert_eq!(positions(&shop.see(&format!("/api/audit/timeline?{query}")).await), expected, "{query}");
    }
}

#[tokio::test]
async fn failures_are_refusals_and_parked_events() {
    let shop = Shop::open().await;
    four(&shop).await;
    let order = ids::new();
    let place = place_of("S-1", guest(), vec![line(1, "mug", 9, 500)], "UK");
    shop.command::<Order>(order, place).await;
    let refusal = order::Refusal { line: 1, sku: sku("mug"), reason: "insufficient-stock".to_owned() };
    shop.command::<Order>(order, order::Command::Refuse { refusal }).await;
    assert_eq!(positions(&shop.see("/api/audit/timeline?failures=1").await), [6]);
    let rows = shop.generation("products").await;
    let parked = |position: i64| {
        format!(
            "INSERT INTO @parked (position, event_id, rows, cause) VALUES ({position}, 'x', '[]', 'broken')"
        )
    };
    for position in [2, 3] {
        shop.sql(&rows, &parked(position)).await;
    }
    for (query, expected) in [
        ("failures=1", vec![6, 3, 2]),
        ("failures=1&agg=product&order=asc", vec![2, 3]),
        ("failures=1&q=-type:OrderRefused&before=3", vec![2]),
        ("", vec![6, 5, 4, 3, 2, 1]),
    ] {
        assert_eq!(positions(&shop.see(&format!("/api/audit/timeline?{query}")).await), expected, "{query}");
        let export = shop.see(&format!("/api/audit/export.ndjson?{query}")).await.text;
        let exported = export.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert_eq!(exported.map(|row| row["position"].as_i64().unwrap()).collect::<Vec<_>>(), expected);
    }
    let page = shop.see("/audit/timeline?failures=1&lang=en").await.text;
    assert!(
        page.contains("<strong>3</strong>") && page.contains("name=\"failures\" value=\"1\" checked"),
        "{page}"
    );
}

#[tokio::test]
async fn a_moment_leads_to_its_page_and_rows_show_elapsed_times() {
    let shop = Shop::open().await;
    four(&shop).await;
    let rows = shop.see("/api/audit/timeline?order=asc").await.items();
    let at = |row: usize| rows[row]["recorded_at"].as_str().unwrap();
    for (query, expected) in [
        (format!("at={}", at(1)), "/audit/timeline?before=3"),
        (format!("at={}&order=asc&group=1&after=9", at(1)), "/audit/timeline?order=asc&group=1&after=1"),
        ("at=2999-01-01&before=1".to_owned(), "/audit/timeline?before=5"),
        ("at=2999-01-01T09:41&tz=Asia/Shanghai".to_owned(), "/audit/timeline?tz=Asia%2FShanghai&before=5"),
        ("at=1999-01-01T09:41:07&order=asc".to_owned(), "/audit/timeline?order=asc&after=0"),
    ] {
        let got = shop.see(&format!("/audit/timeline?{query}")).await;
        assert_eq!((got.status, got.header("location")), (303, expected), "{query}");
    }
    assert_eq!(shop.see("/audit/timeline?at=").await.status, 200);
    // The first event has no predecessor, in either order and on any page.
    for (query, times) in
        [("order=asc", 3), ("order=desc", 3), ("limit=2", 2), ("group=1&limit=2", 2), ("limit=2&before=3", 1)]
    {
        let page = shop.see(&format!("/audit/timeline?{query}&lang=en")).await.text;
        assert_eq!(page.matches("class=\"since\">+").count(), times, "{query}");
    }
    let sql = "UPDATE @audit SET recorded_at = recorded_at + 90000000 WHERE position = 4";
    shop.sql(&shop.generation("audit").await, sql).await;
    assert!(shop.see("/audit/timeline?lang=en").await.text.contains("class=\"since\">+1 min<"));
    assert!(shop.see("/audit/timeline?lang=zh-CN").await.text.contains("class=\"since\">+1 分钟<"));
}

#[tokio::test]
async fn an_amount_is_searched_in_units_of_its_currency() {
    let shop = Shop::open().await;
    four(&shop).await;
    for (name, price) in [("mug", pounds(1250)), ("cup", Money::new(900, "JPY".parse().unwrap()))] {
        let got = shop.see(&format!("/api/audit/timeline?q={name}+type:ProductCreated")).await;
        let id = got.items()[0]["aggregate_id"].as_str().unwrap().parse().unwrap();
        shop.command::<Product>(id, product::Command::SetPrice { sku: sku(name), price }).await;
    }
    for (term, expected) in [
        ("amount:%3E100", vec![6]),
        ("amount:%3E=12.50", vec![6, 5]),
        ("amount:%3E12.50", vec![6]),
        ("amount:%3C=12.5", vec![5]),
        ("amount:%3C12.50", vec![]),
        ("amount:12.50", vec![5]),
        ("amount:900", vec![6]),
        ("amount:900.001", vec![]),
        ("amount:10..1000", vec![6, 5]),
        ("amount:10..20gbp", vec![5]),
        ("amount:10..20JPY", vec![]),
        ("amount:%3E100GBP", vec![]),
        ("amount:%3E100JPY", vec![6]),
        ("-amount:%3E100", vec![5, 4, 3, 2, 1]),
        ("amount:%3E-5+agg:product", vec![6, 5]),
        ("amount:%3C0", vec![]),
        ("amount:%3E999999999999999.999", vec![]),
        ("amount:%3C=999999999999999", vec![6, 5]),
    ] {
        assert_eq!(positions(&shop.see(&format!("/api/audit/timeline?q={term}")).await), expected, "{term}");
    }
    for bad in ["", "%3E", "NaN", "1e3", "20..10", "1.2345", "12.345GBP", "5XXX", "1,000", "9999999999999999"]
    {
        let got = shop.see(&format!("/api/audit/timeline?q=amount:{bad}")).await;
        assert_eq!(got.refused(), (400, "invalid-query".into()), "{bad}");
        assert_eq!(got.json()["tokens"][0]["filter"], "amount", "{bad}");
    }
}

#[tokio::test]
async fn an_invalid_search_names_the_wrong_token_and_shows_nothing() {
    let shop = Shop::open().await;
    four(&shop).await;
    let got = shop.see("/api/audit/timeline?q=mug+type:%5B+agg:secret").await;
    assert_eq!(got.refused(), (400, "invalid-query".into()));
    let problem = got.json();
    let tokens: Vec<_> =
        problem["tokens"].as_array().unwrap().iter().map(|one| one["token"].as_i64().unwrap()).collect();
    assert_eq!((tokens, &problem["parameter"]), (vec![2, 3], &json!("q")));
    assert!(problem.get("items").is_none() && !got.text.contains("secret"));
    for bad in [
        "agg=secret",
        "actor=secret",
        "type=%5B",
        "chan=secret",
        "email=secret",
        "limit=201",
        "q=email:secret",
    ] {
        let got = shop.see(&format!("/api/audit/timeline?{bad}")).await;
        assert_eq!(got.refused(), (400, "invalid-query".into()), "{bad}");
        assert!(!got.text.contains("secret"), "{}", got.text);
    }
}

#[tokio::test]
async fn pages_of_the_timeline_neither_skip_nor_repeat_in_either_order() {
    let shop = Shop::open().await;
    for number in 0..7 {
        shop.product(&format!("P{number}"), &[&format!("p{number}")], None).await;
    }
    for (order, mut expected) in [("desc", (1..=7).rev().collect::<Vec<_>>()), ("asc", (1..=7).collect())] {
        let mut path = format!("/api/audit/timeline?limit=3&order={order}");
        let mut seen = Vec::new();
        loop {
            let got = shop.see(&path).await;
            seen.extend(positions(&got));
            let link = got.header("link").to_owned();
            let Some(next) = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""))
            else {
                assert_eq!(got.ok()["next"], Value::Null);
                break;
            };
            next.clone_into(&mut path);
            // Events added meanwhile come before the newest page, or after the oldest.
            if order == "desc" {
                shop.product("late", &[&format!("late-{}", seen.len())], None).await;
            } else if expected.len() == 7 {
                expected.extend(8..=shop.last.load(Ordering::SeqCst));
            }
        }
        assert_eq!(seen, expected, "{order}");
    }
}

#[tokio::test]
async fn a_trail_shows_the_state_the_changes_and_the_event_that_set_each_field() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug", "mug-2"], None).await;
    let price = product::Command::SetPrice { sku: sku("mug-2"), price: pounds(777) };
    shop.command::<Product>(id, price).await;
    shop.command::<Product>(id, product::Command::Delete).await;
    let path = format!("/api/audit/a/product/{id}");
    let second = shop.see(&format!("{path}?v=2")).await.ok();
    assert_eq!((&second["version"], &second["last"]), (&json!(2), &json!(3)));
    assert_eq!(
        second["diff"],
        json!({ "from": 1, "to": 2, "changes": [{
            "path": "/variants/sku=MUG-2/price",
            "before": { "amount": 500, "currency": "GBP" },
            "after": { "amount": 777, "currency": "GBP" },
        }] })
    );
    assert_eq!(second["blame"]["/variants/sku=MUG-2/price"]["version"], 2);
    assert_eq!(second["blame"]["/variants/sku=MUG/price"]["type"], "ProductCreated");
    assert_eq!(second["events"].as_array().unwrap().len(), 3);
    // It equals the state that `as_of` folds.
    let folded = shop.see(&format!("/products/{id}?as_of=v:2")).await.ok();
    assert_eq!(second["state"], folded["state"]);

    let last = shop.see(&path).await.ok();
    assert_eq!((&last["version"], &last["state"]["status"]), (&json!(3), &json!("deleted")));
    let gone = last["diff"]["changes"].as_array().unwrap();
    let name = gone.iter().find(|change| change["path"] == "/name").unwrap();
    assert!(name["before"] == "Mug" && name.get("after").is_none());
    // A deleted product keeps its SKUs until they are given back.
    assert_eq!(last["blame"].as_object().unwrap().keys().collect::<Vec<_>>(), ["/skus", "/status"]);
    // In reverse, from before the first event, and the events below a version.
    let back = shop.see(&format!("{path}?v=1&cmp=2")).await.ok();
    assert_eq!(back["diff"]["changes"][0]["after"]["amount"], 500);
    let first = shop.see(&format!("{path}?v=1&before=2")).await.ok();
    assert!(first["diff"]["changes"].as_array().unwrap().iter().all(|change| change.get("before").is_none()));
    assert_eq!(first["events"].as_array().unwrap().len(), 1);

    assert_eq!(shop.see(&format!("{path}?v=4")).await.refused(), (400, "invalid-query".into()));
    for (path, refusal) in [
        (format!("/api/audit/a/payment/{id}"), (404, "not-found".to_owned())),
        (format!("/api/audit/a/order/{id}"), (404, "not-found".to_owned())),
        ("/api/audit/a/order/7".to_owned(), (400, "invalid-id".to_owned())),
    ] {
        assert_eq!(shop.see(&path).await.refused(), refusal, "{path}");
    }
}

#[tokio::test]
async fn masked_erased_and_absent_values_differ_and_no_byte_is_personal() {
    let shop = Shop::open().await;
    let planted = ["Zebedee Quux", "zebedee@quux.example", "+44 7700 900123", "ada@example.org"];
    let id = ids::new();
    let details =
        |phone| user::Details::try_new(id, Some(planted[0]), Some(planted[1]), phone, Some("UK")).unwrap();
    shop.command::<User>(id, user::Command::Register { details: details(None) }).await;
    shop.command::<User>(id, user::Command::Change { details: details(Some(planted[2])) }).await;
    let order = ids::new();
    let lines = vec![line(1, "mug", 1, 500)];
    shop.command::<Order>(order, place_of("S-1", user_id(id), lines, "UK")).await;

    let trail = format!("/api/audit/a/user/{id}");
    let first = shop.see(&format!("{trail}?v=1")).await;
    let second = shop.see(&trail).await;
    let (was, is) = (first.ok()["state"].clone(), second.ok()["state"].clone());
    // Equal texts are equal although each is encrypted anew: only the phone has changed.
    assert_eq!(was["email"]["personal"], "masked");
    assert_eq!((&was["email"], &was["name"]), (&is["email"], &is["name"]));
    assert_ne!(is["email"], is["name"]);
    assert!(was.get("phone").is_none() && is["phone"]["personal"] == "masked");
    let changes = second.ok()["diff"]["changes"].as_array().unwrap().clone();
    assert_eq!(changes.iter().map(|change| &change["path"]).collect::<Vec<_>>(), ["/phone"]);
    let mut bytes = vec![first.text, second.text];
    for path in [
        "/api/audit/timeline".to_owned(),
        format!("/api/audit/timeline?q=subject:{id}"),
        format!("/api/audit/a/order/{order}"),
    ] {
        let got = shop.see(&path).await;
        got.ok();
        bytes.push(got.text);
    }
    let by_text = shop.see("/api/audit/timeline?q=zebedee").await;
    assert_eq!(positions(&by_text), Vec::<i64>::new(), "what is personal cannot be looked for");

    shop.erase(id, &[Purpose::Account]).await;
    let erased = shop.see(&trail).await;
    assert_eq!(erased.ok()["state"]["email"], json!({ "personal": "erased" }));
    let kept = shop.see(&format!("/api/audit/a/order/{order}")).await;
    assert_eq!(kept.ok()["state"]["placed"]["contact"]["email"]["personal"], "masked");
    bytes.extend([erased.text, kept.text]);
    for text in bytes {
        for value in planted {
            assert!(!text.to_lowercase().contains(&value.to_lowercase()), "{value}");
        }
        assert!(!text.contains("eyJ"), "no seal is shown");
    }
}

#[tokio::test]
async fn a_correlation_is_a_tree_in_log_order_with_placeholders_for_missing_causes() {
    let shop = Shop::open().await;
    let correlation = Uuid::from_u128(7);
    let caused = |causation_id| Metadata {
        correlation_id: Some(correlation),
        causation_id,
        actor_kind: Some(ActorKind::System),
        actor_id: Some("fulfilment".to_owned()),
        ..Metadata::default()
    };
    let order = ids::new();
    let place = place_of("S-1", guest(), vec![line(1, "mug", 1, 500)], "UK");
    done::<Order>(&shop, order, place, caused(None)).await;
    let began = shop.store.log().read(1, 1).await.unwrap()[0].event_id;
    let (cup, receive_cup) = receive("cup", 1);
    done::<Stock>(&shop, cup, receive_cup, caused(Some(Uuid::from_u128(8)))).await;
    let (mug, receive_mug) = receive("mug", 1);
    done::<Stock>(&shop, mug, receive_mug, caused(Some(began))).await;
    done::<Order>(&shop, order, order::Command::Confirm, caused(Some(began))).await;

    let tree = shop.see(&format!("/api/audit/c/{correlation}")).await.ok();
    let shape: Vec<_> = tree["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let latency = node["latency_micros"].as_i64();
            assert_eq!(latency.is_some(), node["link"] == "caused");
            assert!(latency.is_none_or(|micros| micros >= 0));
            (
                node["position"].as_i64().unwrap(),
                node["depth"].as_i64().unwrap(),
                node["link"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(shape, [(1, 0, "root"), (3, 1, "caused"), (4, 1, "caused"), (2, 0, "cause-missing")]);
    assert_eq!(tree["missing"], json!([Uuid::from_u128(8)]));
    let nobody = shop.see(&format!("/api/audit/c/{}", Uuid::nil())).await;
    assert_eq!(nobody.refused(), (404, "not-found".into()));
    assert_eq!(shop.see("/api/audit/c/7").await.refused(), (400, "invalid-id".into()));
}

#[tokio::test]
async fn a_version_is_found_by_number_time_or_content_and_shown_as_stored() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let price = |amount| product::Command::SetPrice { sku: sku("mug"), price: pounds(amount) };
    shop.command::<Product>(id, price(700)).await;
    shop.command::<Product>(id, price(900)).await;
    let user = shop.user("Zebedee", "UK").await;
    let page = format!("/api/audit/a/product/{id}");
    let version = |query: &str| {
        let (shop, address) = (&shop, format!("{page}?{query}"));
        async move { shop.see(&address).await }
    };
    let all = version("").await.ok();
    let path = all["diff"]["changes"][0]["path"].as_str().unwrap().to_owned();
    assert_eq!(all["stored"]["ProductPriceChanged"]["price"]["amount"], 900, "{all}");
    assert_eq!((&all["seal"], &all["version"]), (&Value::Null, &json!(3)));
    let value = r#"{"amount":700,"currency":"GBP"}"#;
    let form: String = url::form_urlencoded::byte_serialize(format!("{path}={value}").as_bytes()).collect();
    assert_eq!(version(&format!("where={form}")).await.ok()["version"], 2);
    let second = all["events"][1]["recorded_at"].as_str().unwrap();
    assert_eq!(version(&format!("asof={second}")).await.ok()["version"], 2);
    for bad in ["asof=2001-01-01", "asof=x", "where=status", "where=/status=nowhere", "v=1&where=/a=b", "v=9"]
    {
        assert_eq!(version(bad).await.refused(), (400, "invalid-query".into()), "{bad}");
    }
    // Personal values are stored encrypted, shown masked, and cannot be searched for.
    let of_user = format!("/api/audit/a/user/{user}");
    let got = shop.see(&of_user).await;
    assert!(!got.text.contains("eyJ") && !got.text.contains("Zebedee"), "{}", got.text);
    assert!(got.json()["stored"].to_string().contains("masked"));
    for guess in ["where=/name=Zebedee", "where=/details/name=Zebedee"] {
        assert_eq!(shop.see(&format!("{of_user}?{guess}")).await.status, 400);
    }
}

/// A search for a value in the parts of a state finds the events that changed it.
#[tokio::test]
async fn a_version_of_a_stock_is_found_by_a_quantity_and_by_one_of_its_lines() {
    use soonshop_domain::inventory::{Command, MAIN, stream};

    let shop = Shop::open().await;
    let orders: Vec<_> = (1..=3).map(|number| ids::OrderId(Uuid::from_u128(number))).collect();
    shop.stock("mug", MAIN, Command::Receive { quantity: 5 }).await;
    shop.stock("mug", MAIN, Command::Adjust { quantity: 2, reason: "count".to_owned() }).await;
    for order_id in &orders {
        shop.stock("mug", MAIN, Command::Reserve { order_id: *order_id, line: 1, quantity: 2 }).await;
    }
    shop.stock("mug", MAIN, Command::Release { order_id: orders[0], line: 1 }).await;
    let id = stream(&sku("mug"), MAIN);
    let line = |order: &ids::OrderId, value: &str| format!("/lines/{order}~11={value}");
    for (expected, version) in [
        ("/on_hand=5".to_owned(), Some(1)),
        ("/on_hand=7".to_owned(), Some(2)),
        ("/reserved=4".to_owned(), Some(4)),
        ("/reserved=6".to_owned(), Some(5)),
        (line(&orders[0], "released"), Some(6)),
        (line(&orders[1], "released"), None),
        ("/on_hand=-1".to_owned(), None),
    ] {
        let form: String = url::form_urlencoded::byte_serialize(expected.as_bytes()).collect();
        let got = shop.see(&format!("/api/audit/a/stock/{id}?where={form}")).await;
        match version {
            Some(version) => assert_eq!(got.ok()["version"], version, "{expected}"),
            None => assert_eq!(got.refused(), (400, "invalid-query".into()), "{expected}"),
        }
    }
}

#[tokio::test]
async fn days_of_the_timeline_begin_in_the_asked_time_zone() {
    let shop = Shop::open().await;
    four(&shop).await;
    shop.see("/api/audit/timeline").await.ok();
    // Before and after London's day of 23 hours, and in its last hour.
    let moments =
        ["2026-03-28T23:59:59Z", "2026-03-29T00:00:00Z", "2026-03-29T22:59:59Z", "2026-03-29T23:00:00Z"];
    let rows = shop.generation("audit").await;
    for (position, moment) in (1..).zip(moments) {
        let micros = at(moment).timestamp_micros();
        shop.sql(&rows, &format!("UPDATE @audit SET recorded_at = {micros} WHERE position = {position}"))
            .await;
    }
    for (query, expected) in [
        ("from=2026-03-29&to=2026-03-30&tz=Europe/London", vec![3, 2]),
        ("q=created:2026-03-29..2026-03-30&tz=Europe/London", vec![3, 2]),
        ("from=2026-03-29&to=2026-03-30", vec![4, 3, 2]),
        ("from=2026-03-29&tz=America/New_York", vec![4, 3]),
        ("to=2026-03-29&tz=Asia/Kathmandu", vec![]),
        ("from=2026-03-29T00:00:00Z&tz=Asia/Kathmandu", vec![4, 3, 2]),
    ] {
        assert_eq!(positions(&shop.get(&format!("/api/audit/timeline?{query}")).await), expected, "{query}");
        let export = shop.get(&format!("/api/audit/export.ndjson?{query}")).await.text;
        assert_eq!(export.lines().count(), expected.len() + 1, "{query}");
        let page = shop.get(&format!("/audit/timeline?{query}&lang=en")).await.text;
        assert_eq!(page.matches("<li data-position").count(), expected.len(), "{query}");
    }
    // The pages' days begin in the zone that the browser keeps, and the file has the same.
    let kept = [
        ("cookie", "soonshop_tz=Europe/London"),
        ("authorization", &format!("Bearer {}", shop.keys[&Role::Support])),
    ];
    let page = shop.get_with("/audit/timeline?from=2026-03-29&to=2026-03-30", &kept).await.text;
    assert_eq!(page.matches("<li data-position").count(), 2, "{page}");
    assert!(
        page.contains("/api/audit/export.csv?from=2026-03-29&amp;to=2026-03-30&amp;tz=Europe%2FLondon"),
        "{page}"
    );
    let refused = shop.get("/api/audit/timeline?tz=Mars").await;
    assert_eq!(refused.refused(), (400, "invalid-query".into()));
    assert!(refused.text.contains("such as Europe/London"), "{}", refused.text);
}

#[tokio::test]
async fn an_export_in_csv_opens_in_a_spreadsheet_with_chinese_in_it() {
    let shop = Shop::open().await;
    shop.product("＝茶杯", &["mug"], None).await;
    shop.see("/api/audit/timeline").await.ok();
    for (separator, sign) in
        [("", ','), ("separator=comma", ','), ("separator=semicolon", ';'), ("separator=tab", '\t')]
    {
        let got = shop.see(&format!("/api/audit/export.csv?{separator}")).await;
        assert_eq!(got.header("content-type"), "text/csv; charset=utf-8; header=present");
        let text = got.text.strip_prefix('\u{feff}').expect("a byte order mark");
        assert!(
            text.starts_with(&format!("position{sign}recorded_at{sign}")) && text.contains("茶杯"),
            "{text}"
        );
    }
    assert_eq!(shop.see("/api/audit/export.csv?separator=%7C").await.status, 400);
    assert_eq!(shop.see("/api/audit/export.ndjson?separator=tab").await.status, 400, "it has none");
}
