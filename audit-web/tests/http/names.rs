//! Names come first: in sentences, headings and lists, in JSON and in exports.

use std::sync::atomic::Ordering;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop_domain::ids::{self, OrderId};
use soonshop_domain::inventory::{self, Command as Stock};
use soonshop_domain::order::{self, Order};
use soonshop_domain::product::{self, Product};
use soonshop_domain::user::{self, User};
use soonshop_domain::{ActorKind, Channel, Decider, Metadata, Purpose};
use soonshop_event_store::CommandContext;
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::jump::credit;
use crate::operations::add;
use crate::shop::*;

/// Executes a command as a member of staff with that key.
async fn by_key<A: Decider>(shop: &Shop, id: Uuid, command: A::Command, key: Uuid) {
    let metadata = Metadata {
        actor_kind: Some(ActorKind::Staff),
        actor_id: Some(key.to_string()),
        channel: Some(Channel::Admin),
        correlation_id: Some(id),
        ..Metadata::default()
    };
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata);
    let position = shop.store.execute::<A>(id, command, context).await.unwrap().answer.last_position.unwrap();
    shop.last.fetch_max(position, Ordering::SeqCst);
    shop.feed.wake(position);
}

/// Adds an API key to the table of keys.
async fn key(shop: &Shop, name: &str) -> Uuid {
    let (id, db) = (ids::new(), shop.registry.operations());
    let sql = "INSERT INTO @api_keys (id, prefix, hash, role, name, created_at) VALUES ($1, $1, 'x', 'support', $2, 0)";
    db.connection.execute(db.statement(sql, [id.to_string().into(), name.into()])).await.unwrap();
    id
}

struct Sold {
    order: Uuid,
    note: Uuid,
    stock: Uuid,
    key: Uuid,
}

/// An order of one line, number 731, that was reserved, cancelled by hand of a key's holder, and credited.
async fn sold(shop: &Shop) -> Sold {
    let (order, note, key) = (ids::new(), ids::new(), key(shop, "help desk").await);
    shop.stock("mug", "main", Stock::Receive { quantity: 5 }).await;
    let place = place_of("558638", guest(), vec![line(1, "mug", 1, 1299)], "UK");
    by_key::<Order>(shop, order, place, key).await;
    shop.stock("mug", "main", Stock::Reserve { order_id: OrderId(order), line: 731, quantity: 1 }).await;
    by_key::<Order>(shop, order, order::Command::Confirm, key).await;
    credit(shop, order, note).await;
    // An aggregate's page waits for the log only; its names come from the read model.
    shop.see("/api/audit/timeline").await.ok();
    Sold { order, note, stock: inventory::stream(&sku("mug"), "main"), key }
}

fn of_type(items: &[Value], kind: &str) -> Value {
    items.iter().find(|item| item["type"] == kind).unwrap_or_else(|| panic!("no {kind}: {items:?}")).clone()
}

#[tokio::test]
async fn every_event_of_a_list_has_the_names_of_what_it_is_about() {
    let shop = Shop::open().await;
    let Sold { order, note, key, .. } = sold(&shop).await;
    let items = shop.see("/api/audit/timeline").await.items();
    for item in &items {
        let name = if item["aggregate_type"] == "order" { "558638" } else { "" };
        let name = match item["aggregate_type"].as_str().unwrap() {
            "stock" => "MUG · main",
            "credit_note" => "C-1",
            _ => name,
        };
        assert_eq!(item["name"], name, "{item}");
    }
    let named = |kind: &str, name: &str| json!({ "type": kind, "name": name });
    assert_eq!(of_type(&items, "StockReserved")["names"][order.to_string()], named("order", "558638"));
    assert_eq!(of_type(&items, "CreditNoteIssued")["names"][order.to_string()], named("order", "558638"));
    assert_eq!(of_type(&items, "OrderCredited")["names"][note.to_string()], named("credit_note", "C-1"));
    let who = json!({ "kind": "staff", "id": key.to_string(), "name": "help desk" });
    assert_eq!(of_type(&items, "OrderConfirmed")["actor"], who);
    let grouped = shop.see("/api/audit/timeline?group=1").await.items();
    assert!(
        grouped
            .iter()
            .flat_map(|row| row["events"].as_array().unwrap())
            .all(|event| event["name"].is_string())
    );
    let causes = shop.see(&format!("/api/audit/c/{order}")).await.items();
    assert!(!causes.is_empty() && causes.iter().all(|event| event["name"] == "558638"), "{causes:?}");
    let export = shop.see("/api/audit/export.ndjson?order=asc").await.text;
    let rows: Vec<Value> = export.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let names = |rows: &[Value]| {
        rows.iter().map(|row| (row["name"].clone(), row["names"].clone())).collect::<Vec<_>>()
    };
    let listed = shop.see("/api/audit/timeline?order=asc").await.items();
    assert_eq!(names(&rows), names(&listed), "an export has what the list has");
    let csv = shop.see("/api/audit/export.csv?order=asc&type=StockReserved").await.text;
    assert!(csv.lines().next().unwrap().contains(",aggregate_type,name,aggregate_id,"), "{csv}");
    assert!(csv.contains(",stock,MUG · main,") && csv.contains("558638"), "{csv}");
}

#[tokio::test]
async fn sentences_headings_and_paths_show_names_and_ids_are_beside_them_to_copy() {
    let shop = Shop::open().await;
    let Sold { order, note, stock, .. } = sold(&shop).await;
    let page = shop.see("/audit/timeline?lang=en").await.text;
    for message in [
        "1 × MUG reserved for line 731 of order 558638",
        "Order 558638 was confirmed",
        "Credit note C-1 was issued for order 558638, GBP 12.99",
        "order 558638, line 731",
        ">help desk</span>",
    ] {
        assert!(page.contains(message), "{message}: {page}");
    }
    assert!(!page.contains("~1731/reserved<"), "{page}");
    let heading = |page: &str| page.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap().to_owned();
    for (path, name) in [
        (format!("/audit/a/order/{order}"), "558638"),
        (format!("/audit/a/credit_note/{note}"), "C-1"),
        (format!("/audit/a/stock/{stock}"), "MUG · main"),
        (format!("/audit/c/{order}"), "558638"),
    ] {
        for lang in ["en", "zh-CN"] {
            let page = shop.see(&format!("{path}?lang={lang}")).await.text;
            let heading = heading(&page);
            assert!(heading.contains(name) && !heading.contains(&order.to_string()), "{path}: {heading}");
            let id = path.rsplit('/').next().unwrap();
            assert!(page.contains(&format!("data-copy=\"{id}\"")), "{path}");
        }
    }
    let page = shop.see(&format!("/audit/a/stock/{stock}?lang=en")).await.text;
    assert!(page.contains("order 558638, line 731") && !page.contains(&format!(">/lines/{order}")), "{page}");
    let page = shop.see(&format!("/audit/a/stock/{stock}?lang=zh-CN")).await.text;
    assert!(page.contains("订单 558638, 第 731 行"), "{page}");
}

#[tokio::test]
async fn the_page_of_an_order_leads_to_its_credit_notes_and_stock_and_back() {
    let shop = Shop::open().await;
    let Sold { order, note, stock, .. } = sold(&shop).await;
    let paths = [
        format!("/audit/a/order/{order}"),
        format!("/audit/a/credit_note/{note}"),
        format!("/audit/a/stock/{stock}"),
    ];
    let section = |page: &str| {
        let section = page
            .split("<section class=\"related\"")
            .nth(1)
            .unwrap_or_else(|| panic!("nothing related: {page}"));
        section.split("</section>").next().unwrap().to_owned()
    };
    for (from, to) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
        let page = shop.see(&format!("{}?lang=en", paths[from])).await.text;
        assert!(section(&page).contains(&paths[to]), "{} to {}: {}", paths[from], paths[to], section(&page));
    }
    let related = shop.see(&format!("/api/audit/a/order/{order}")).await.ok()["related"].clone();
    let found = |kind: &str| {
        related["aggregates"].as_array().unwrap().iter().find(|one| one["type"] == kind).cloned()
    };
    assert_eq!(
        found("credit_note"),
        Some(json!({ "type": "credit_note", "id": note.to_string(), "name": "C-1" }))
    );
    assert_eq!(found("stock").unwrap()["name"], "MUG · main");

    let process = shop.store.log().db().beside("process").unwrap();
    let sql = "INSERT INTO @instances (process, instance, state, next) VALUES ('fulfilment', $1, $2, 1)";
    let state = soonshop_domain::process_managers::find("fulfilment").unwrap().initial().unwrap();
    process
        .connection
        .execute(process.statement(sql, [order.to_string().into(), state.into()]))
        .await
        .unwrap();
    let page = shop.see(&format!("{}?lang=en", paths[0])).await.text;
    let instance = format!("/audit/processes/fulfilment/{order}");
    assert!(section(&page).contains(&instance), "{page}");
    let page = shop.see(&format!("{instance}?lang=en")).await.text;
    assert!(page.contains("558638</span></h1>") && page.contains(&paths[0]), "{page}");
    let list = shop.see("/audit/processes?state=all&lang=en").await.text;
    assert!(list.contains("558638"), "{list}");
}

#[tokio::test]
async fn a_name_that_changed_is_shown_as_it_is_now_and_one_that_is_unknown_as_a_short_id() {
    let shop = Shop::open().await;
    let mug = shop.product("Mug", &["mug"], None).await;
    let price = product::Command::SetPrice { sku: sku("mug"), price: pounds(700) };
    shop.command::<Product>(mug, price).await;
    assert_eq!(shop.see("/api/audit/timeline").await.items()[0]["name"], "Mug");
    let details = product::Details { name: "Cup".to_owned(), ..product::Details::default() };
    shop.command::<Product>(mug, product::Command::Change { details }).await;
    let items = shop.see("/api/audit/timeline").await.items();
    assert!(items.iter().all(|item| item["name"] == "Cup"), "{items:?}");
    let page = shop.see("/audit/timeline?lang=en").await.text;
    assert!(page.contains("The price of MUG, “Cup”, changed to GBP 7.00"), "{page}");

    // A reservation of an order that the trail does not know.
    let order = ids::new();
    shop.stock("mug", "main", Stock::Receive { quantity: 5 }).await;
    shop.stock("mug", "main", Stock::Reserve { order_id: OrderId(order), line: 1, quantity: 1 }).await;
    let id = order.to_string();
    let page = shop.see("/audit/timeline?lang=en").await.text;
    assert!(page.contains(&format!("of order …{}", &id[id.len() - 8..])), "{page}");
}

#[tokio::test]
async fn people_have_no_name_in_the_trail_for_any_role_and_erased_people_neither() {
    let shop = Shop::open().await;
    let (zebedee, gone) = (shop.user("Zebedee", "UK").await, shop.user("Quentin", "UK").await);
    shop.erase(gone, &[Purpose::Account]).await;
    let details = user::Details::try_new(zebedee, Some("Zebediah"), None, None, Some("UK")).unwrap();
    shop.command::<User>(zebedee, user::Command::Change { details }).await;
    shop.see("/users").await;
    for role in [Role::Support, Role::Ops, Role::Auditor, Role::Admin] {
        for path in [
            "/audit/timeline".to_owned(),
            "/api/audit/timeline".to_owned(),
            format!("/audit/a/user/{zebedee}"),
            format!("/api/audit/a/user/{zebedee}"),
            format!("/audit/a/user/{gone}"),
            format!("/audit/a/person/{gone}"),
            format!("/audit/timeline?q={zebedee}"),
        ] {
            let got = shop.see_as(role, &path, &[]).await;
            assert_eq!(got.status, 200, "{path}");
            let text = got.text.to_lowercase();
            assert!(!text.contains("zebed") && !text.contains("quentin"), "{role} {path}");
            let id = if path.contains(&gone.to_string()) { gone } else { zebedee }.to_string();
            assert!(text.contains(&id[id.len() - 8..]), "{role} {path}: a short id stands for the name");
        }
    }
    // A reveal shows the name first, to those who may, and not in the title, which a browser keeps.
    shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    let form = [("reason", "ticket 4711")];
    for (id, shows) in [(zebedee, true), (gone, false)] {
        let got = shop.post_as(Some(Role::Auditor), &format!("/audit/a/user/{id}?lang=en"), &form).await;
        assert_eq!(got.status, 200, "{}", got.text);
        let heading = got.text.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap();
        assert_eq!(heading.contains("Zebediah"), shows, "{heading}");
        assert!(!got.text.contains("Quentin"));
        let title = got.text.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
        assert!(!title.contains("Zebediah") && title.contains(", version "), "{title}");
    }
}

#[tokio::test]
async fn pages_name_the_actor_of_each_check_saved_view_and_reveal() {
    let shop = Shop::open().await;
    let Sold { order, key, .. } = sold(&shop).await;
    let (actor, subject) = (format!("staff:{key}"), format!("order/{order}"));
    add(&shop, &actor, "reveal", &subject, json!({ "version": 1 })).await;
    let proved = json!({ "verdict": "intact", "from": 1, "to": 1, "rows": 1, "tail": 0, "first_bad": null });
    add(&shop, &actor, "check", "log", proved).await;
    let db = shop.registry.operations();
    let sql = "INSERT INTO @views (slug, title, query, actor, saved_at) VALUES ('late', 'Late', '', $1, 0)";
    db.connection.execute(db.statement(sql, [actor.as_str().into()])).await.unwrap();

    let entry = shop.see("/api/audit/operations?action=reveal").await.items().remove(0);
    assert_eq!(entry["names"][order.to_string()], json!({ "type": "order", "name": "558638" }), "{entry}");
    assert_eq!(entry["names"][key.to_string()]["name"], "help desk", "{entry}");
    let position = &entry["position"];
    for page in [
        "/audit/operations?lang=en".to_owned(),
        format!("/audit/operations/{position}?lang=en"),
        "/audit?lang=en".to_owned(),
    ] {
        let text = shop.see(&page).await.text;
        assert!(text.contains("help desk") && text.contains("order 558638"), "{page}: {text}");
        assert!(text.contains(&format!("title=\"{key}\"")), "{page}");
    }
    for page in ["/audit/views?lang=en", "/audit/integrity?lang=en"] {
        let text = shop.see(page).await.text;
        assert!(text.contains("help desk"), "{page}: {text}");
    }
    for format in ["csv", "ndjson"] {
        let file = shop.see(&format!("/api/audit/operations/export.{format}")).await.text;
        assert!(file.contains("help desk") && file.contains("558638"), "{file}");
    }
}
