//! The box that leads to what is typed, and what a search names.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use sea_orm::ConnectionTrait as _;
use soonshop_domain::ids::{self, CreditNoteId, OrderId};
use soonshop_domain::inventory::{self, Command as Stock};
use soonshop_domain::order::credit_note::{self, CreditNote};
use soonshop_domain::order::credits::CreditedLine;
use soonshop_domain::order::{self, Order};
use soonshop_domain::product::{self, Product, Variant};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Decider, Metadata};
use soonshop_event_log::seal::{Content, Hash};
use soonshop_event_store::CommandContext;
use soonshop_projections::operations::Recorded;
use soonshop_service_kit::access::Role;
use url::form_urlencoded;
use uuid::Uuid;

use crate::shop::*;

/// The answer of the box to support.
async fn typed(shop: &Shop, text: &str) -> Got {
    shop.post_as(Some(Role::Support), "/audit/jump?lang=en", &[("id", text)]).await
}

/// The address that the box leads to.
async fn leads(shop: &Shop, text: &str) -> String {
    let got = typed(shop, text).await;
    assert_eq!(got.status, 303, "{text}: {}", got.text);
    got.header("location").replace("?lang=en", "").replace("&lang=en", "")
}

/// The addresses that the box gives to choose from.
async fn choices(shop: &Shop, text: &str) -> Vec<String> {
    let got = typed(shop, text).await;
    assert_eq!(got.status, 200, "{text}: {}", got.text);
    let list = got.text.split("<ul class=\"found\">").nth(1).unwrap_or_default();
    let list = list.split("</ul>").next().unwrap();
    let hrefs = list.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    hrefs.map(|href| href.replace("?lang=en", "").replace("&amp;lang=en", "")).collect()
}

async fn recorded(shop: &Shop) -> Vec<Recorded> {
    soonshop_projections::operations::last_of(shop.registry.operations(), "look-up", 100).await.unwrap()
}

async fn ready(shop: &Shop) {
    for path in ["/api/audit/timeline", "/orders", "/credit-notes", "/products", "/inventory", "/users"] {
        let got = shop.see(path).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text);
    }
}

#[tokio::test]
async fn every_kind_of_name_leads_to_the_thing_itself() {
    let shop = Shop::open().await;
    let mug = shop.product("Mug", &["mug"], None).await;
    let weathercock = shop.product("Weathercock on a mug", &["cock"], None).await;
    let user = shop.user("Ada", "UK").await;
    let order = ids::new();
    shop.command::<Order>(order, place_of("S-4711", user_id(user), vec![line(1, "cock", 1, 1299)], "UK"))
        .await;
    let note = ids::new();
    let issue = credit_note::Command::Issue {
        number: "C-4711".to_owned(),
        customer: user_id(user),
        lines: vec![line(1, "cock", 1, 1299)],
        country: "UK".to_owned(),
    };
    shop.command::<CreditNote>(note, issue).await;
    ready(&shop).await;
    let page = |kind: &str, id: Uuid| format!("/audit/a/{kind}/{id}");
    for (text, to) in [
        (" S-4711 ", page("order", order)),
        ("s-4711", page("order", order)),
        ("C-4711", page("credit_note", note)),
        ("mug", page("product", mug)),
        ("MUG", page("product", mug)),
        ("weathercock ON a mug", page("product", weathercock)),
        ("weathercock", page("product", weathercock)),
        ("2", "/audit/e/2".to_owned()),
        (&mug.to_string(), page("product", mug)),
        (&mug.simple().to_string(), page("product", mug)),
    ] {
        assert_eq!(leads(&shop, text).await, to, "{text}");
    }
    let items = shop.see("/api/audit/timeline?order=asc").await.items();
    for (at, item) in items.iter().enumerate() {
        let event = item["id"].as_str().unwrap();
        assert_eq!(leads(&shop, event).await, format!("/audit/e/{}", at + 1));
    }
    // A link that holds an id leads there, too.
    let linked = shop.get(&format!("/audit/jump?id={order}")).await;
    assert_eq!((linked.status, linked.header("location")), (303, page("order", order).as_str()));
    assert_eq!(shop.get("/audit/jump").await.header("location"), "/audit/timeline");
    assert_eq!(leads(&shop, "  ").await, "/audit/timeline");
    let to = shop.get("/audit/e/2").await;
    assert!(to.header("location").ends_with("?v=1"));
    assert_eq!((shop.get("/audit/e/99").await.status, shop.get("/audit/e/x").await.status), (404, 404));
    assert!(recorded(&shop).await.is_empty(), "nobody was looked up");
}

/// Executes a command of a request.
async fn done<A: Decider>(
    shop: &Shop,
    id: Uuid,
    command: A::Command,
    command_id: Uuid,
    correlation: Uuid,
) -> i64 {
    let metadata =
        Metadata { command_id: Some(command_id), correlation_id: Some(correlation), ..Metadata::default() };
    let context = CommandContext::new(command_id, vec![7; 32], metadata);
    let position = shop.store.execute::<A>(id, command, context).await.unwrap().answer.last_position.unwrap();
    shop.last.fetch_max(position, Ordering::SeqCst);
    shop.feed.wake(position);
    position
}

#[tokio::test]
async fn the_ids_of_a_command_and_of_a_request_and_hashes_and_keys_lead_to_what_they_are_of() {
    let shop = Shop::open().await;
    let (order, command, correlation) = (ids::new(), ids::new(), ids::new());
    let place = place_of("S-1", guest(), vec![line(1, "mug", 1, 1299)], "UK");
    done::<Order>(&shop, order, place, command, correlation).await;
    shop.command::<Order>(ids::new(), place_of("S-2", guest(), vec![line(1, "mug", 1, 1299)], "UK")).await;
    let stored = shop.see("/api/audit/timeline?order=asc").await.items()[0].clone();
    let command = stored["command_id"].as_str().unwrap().to_owned();
    let metadata = Metadata {
        causation_id: Some(stored["id"].as_str().unwrap().parse().unwrap()),
        ..Metadata::default()
    };
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata);
    let done = shop.store.execute::<Order>(order, order::Command::Confirm, context).await.unwrap();
    shop.last.fetch_max(done.answer.last_position.unwrap(), Ordering::SeqCst);
    shop.feed.wake(done.answer.last_position.unwrap());
    let to = leads(&shop, &command).await;
    assert_eq!(to, format!("/audit/timeline?q=command%3A{command}&group=1"));
    let rows = shop.see(&format!("/api/audit/timeline?q=command:{command}")).await.items();
    let kinds: Vec<_> = rows.iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["OrderConfirmed", "OrderPlaced"], "its own event, and what that caused");
    let group = shop.see(&to.replace("/audit/", "/api/audit/")).await.items();
    let sizes =
        |row: &serde_json::Value| ["events", "effects"].map(|part| row[part].as_array().unwrap().len());
    assert_eq!(group.iter().map(sizes).collect::<Vec<_>>(), [[1, 1]], "as one row");
    assert_eq!(leads(&shop, &correlation.to_string()).await, format!("/audit/c/{correlation}"));
    assert_eq!(leads(&shop, &correlation.simple().to_string()).await, format!("/audit/c/{correlation}"));

    let key = ids::new();
    let operations = shop.registry.operations();
    let sql = "INSERT INTO @api_keys (id, prefix, hash, role, name, created_at) VALUES ($1, '0badcafe', 'x', 'support', 'help desk', 0)";
    operations.connection.execute(operations.statement(sql, [key.to_string().into()])).await.unwrap();
    for text in [
        "0badcafe",
        "ssk_0badcafe",
        "ssk_0badcafe_Zm9v_YmFy",
        " ssk_0BADCAFE ",
        "Help Desk",
        &key.to_string(),
    ] {
        assert_eq!(leads(&shop, text).await, format!("/audit/timeline?q=actor%3Astaff%3A{key}"), "{text}");
    }

    let unknown = typed(&shop, "ssk_00000000_Zm9vYmFy").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    assert!(unknown.text.contains("ssk_00000000") && !unknown.text.contains("Zm9vYmFy"), "{}", unknown.text);

    let rows = shop.store.log().read(1, 10).await.unwrap();
    let leaves: Vec<Hash> = rows.iter().map(|row| Content::of(row).at(row.position)).collect();
    let bytes: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.0).collect();
    let root = Hash::of(&bytes);
    let db = shop.store.log().db().beside("seals").unwrap();
    let sql = "INSERT INTO @seals (number, version, kind, log, log_id, first_position, last_position, events, root, previous, \
               last_event, sealed_at, signing_key, signature, leaves) \
               VALUES (1, 1, 'events', 'main', $1, 1, 2, 2, $2, $3, $1, 0, $3, $3, $4)";
    let values =
        [Uuid::nil().to_string().into(), root.0.to_vec().into(), vec![0_u8; 32].into(), bytes.into()];
    db.connection.execute(db.statement(sql, values)).await.unwrap();
    let digits = |hash: &Hash| {
        let halves = hash.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        halves.filter_map(|half| char::from_digit(half.into(), 16)).collect::<String>()
    };
    assert_eq!(leads(&shop, &digits(&leaves[1])).await, "/audit/e/2");
    assert_eq!(leads(&shop, &digits(&root)).await, "/audit/timeline?after=0&before=3&order=asc");
    assert_eq!(typed(&shop, &"0f".repeat(32)).await.status, 404, "no seal has it");
}

#[tokio::test]
async fn an_order_number_comes_before_a_position_and_every_kind_that_was_found_is_named() {
    let shop = Shop::open().await;
    let order = ids::new();
    shop.product("Mug", &["mug"], None).await;
    shop.stock("mug", "main", Stock::Receive { quantity: 5 }).await;
    shop.command::<Order>(order, place_of("2", guest(), vec![line(1, "mug", 1, 1299)], "UK")).await;
    shop.command::<Order>(ids::new(), place_of("558638", guest(), vec![line(1, "mug", 1, 1299)], "UK")).await;
    ready(&shop).await;
    assert_eq!(choices(&shop, "2").await, [format!("/audit/a/order/{order}"), "/audit/e/2".to_owned()]);
    let page = typed(&shop, "2").await.text;
    assert!(page.contains("by its number") && page.contains("by its position"), "{page}");
    assert!(leads(&shop, "558638").await.starts_with("/audit/a/order/"), "there is no such position");
    let stock = inventory::stream(&sku("mug"), "main");
    let of_sku = choices(&shop, "mug").await;
    assert_eq!(of_sku.len(), 2, "{of_sku:?}");
    assert!(of_sku[1] == format!("/audit/a/stock/{stock}") || of_sku[0] == format!("/audit/a/stock/{stock}"));
    let chinese = shop.post_as(Some(Role::Support), "/audit/jump?lang=zh-CN", &[("id", "2")]).await.text;
    assert!(chinese.contains("按单号") && chinese.contains("按位置"), "{chinese}");
}

#[tokio::test]
async fn a_personal_value_typed_into_the_box_is_in_no_address_and_the_look_up_is_recorded() {
    let shop = Shop::open().await;
    let user = shop.user("Zebedee", "UK").await;
    shop.user("Quentin", "UK").await;
    ready(&shop).await;
    let page = shop.get("/audit?lang=en").await.text;
    assert!(page.contains("<form class=\"jump\" method=\"post\" action=\"/audit/jump?lang=en\""), "{page}");
    let to = format!("/audit/timeline?q=subject%3A{user}");
    for value in ["Zebedee@example.org", "zebedee@EXAMPLE.org", "Zebedee"] {
        assert_eq!(leads(&shop, value).await, to, "{value}");
    }
    assert_eq!(recorded(&shop).await.len(), 3);
    for value in ["nobody@quux.example", "+44 7700 900789", "Nobody Quux"] {
        let got = typed(&shop, value).await;
        assert_eq!(got.status, 404, "{value}");
        let hrefs: Vec<_> =
            got.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(
            hrefs
                .iter()
                .all(|href| !href.contains("quux") && !href.contains("Quux") && !href.contains("7700")),
            "{hrefs:?}"
        );
        assert!(got.text.contains("Nothing has this name"), "{}", got.text);
        // Nor is it in the box, where it is an address or a number: a name that nobody has may be any text.
        let is_kept = got.text.contains(&format!("name=\"id\" value=\"{value}\""));
        assert_eq!(
            (is_kept, got.text.contains(value)),
            (value == "Nobody Quux", value == "Nobody Quux"),
            "{value}"
        );
    }
    let lines = recorded(&shop).await;
    assert_eq!(lines.len(), 6);
    let lines = serde_json::to_string(&lines).unwrap().to_lowercase();
    assert!(!lines.contains("zebedee") && !lines.contains("quux"), "{lines}");
    // A text in an address is never looked up as a personal value.
    let linked = shop.get("/audit/jump?id=zebedee@example.org").await;
    assert_eq!((linked.status, linked.header("location")), (404, ""));
    assert_eq!(recorded(&shop).await.len(), 6);
    assert_eq!(leads(&shop, &user.to_string()).await, format!("/audit/a/user/{user}"), "an id is no look-up");
    // Nobody else may use it, and no other site.
    let form = [("id", "Zebedee")];
    assert_eq!(shop.post_as(Some(Role::Service), "/audit/jump", &form).await.status, 403);
    let evil = [
        ("origin", "https://evil.example"),
        ("host", "shop.example"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let got = shop.send(Some(Role::Support), Request::post("/audit/jump"), &evil, Body::from("id=1")).await;
    assert_ne!(got.status, 303, "{}", got.text);
}

#[tokio::test]
async fn a_text_of_several_things_is_shown_on_the_page_and_in_no_address() {
    let shop = Shop::open().await;
    shop.product("Red mug", &["red"], None).await;
    shop.product("Blue mug", &["blue"], None).await;
    ready(&shop).await;
    let got = typed(&shop, "mug").await;
    assert_eq!((got.status, got.header("location")), (200, ""));
    assert!(got.text.contains("“Red mug”") && got.text.contains("“Blue mug”"), "{}", got.text);
    assert!(
        got.text.contains("<h1>Events that contain this text</h1>") && got.text.contains("/audit/look-up")
    );
    let quoted = typed(&shop, "<b>\"mug\"</b>").await;
    assert!(quoted.status == 404 && !quoted.text.contains("<b>"), "{}", quoted.text);
}

#[tokio::test]
async fn a_search_for_an_order_shows_its_own_events_first_and_what_belongs_to_it() {
    let shop = Shop::open().await;
    let (order, note) = (ids::new(), ids::new());
    shop.stock("mug", "main", Stock::Receive { quantity: 5 }).await;
    shop.command::<Order>(order, place_of("558638", guest(), vec![line(1, "mug", 1, 1299)], "UK")).await;
    let reserve = Stock::Reserve { order_id: OrderId(order), line: 1, quantity: 1 };
    shop.stock("mug", "main", reserve).await;
    shop.command::<Order>(order, order::Command::Confirm).await;
    credit(&shop, order, note).await;
    ready(&shop).await;
    for q in ["558638", "%22558638%22", &order.to_string(), &format!("id:{order}")] {
        let page = shop.see(&format!("/audit/timeline?q={q}&lang=en")).await.text;
        let card = page.split("named-thing").nth(1).unwrap_or_else(|| panic!("{q}: {page}"));
        let card = card.split("</section>").next().unwrap();
        let own: Vec<_> =
            ["Order 558638 was placed", "Order 558638 was confirmed", "Order 558638 was credited"]
                .iter()
                .map(|message| card.find(message))
                .collect();
        assert!(own.iter().all(Option::is_some) && own.is_sorted(), "{q}: {card}");
        let stock = inventory::stream(&sku("mug"), "main");
        for part in [
            format!("/audit/a/credit_note/{note}"),
            format!("/audit/a/stock/{stock}"),
            "C-1".to_owned(),
            "MUG · main".to_owned(),
        ] {
            assert!(page.contains(&part), "{q}: {part} in {page}");
        }
    }
    let other = shop.see("/audit/timeline?q=agg:order+558638&lang=en").await.text;
    assert!(!other.contains("named-thing"), "that is more than a name");
}

#[tokio::test]
async fn every_name_in_an_answer_leads_to_what_has_it() {
    let shop = Shop::open().await;
    shop.product("Red cup", &["mug"], None).await;
    for place in ["main", "north"] {
        shop.stock("mug", place, Stock::Receive { quantity: 5 }).await;
    }
    let (order, note) = (ids::new(), ids::new());
    shop.command::<Order>(order, place_of("558638", guest(), vec![line(1, "mug", 1, 1299)], "UK")).await;
    shop.command::<Order>(order, order::Command::Confirm).await;
    credit(&shop, order, note).await;
    ready(&shop).await;
    let items = shop.see("/api/audit/timeline?order=asc").await.items();
    let mut names = 0;
    for item in &items {
        let Some(name) = item["name"].as_str() else { continue };
        let page = format!(
            "/audit/a/{}/{}",
            item["aggregate_type"].as_str().unwrap(),
            item["aggregate_id"].as_str().unwrap()
        );
        assert_eq!(leads(&shop, name).await, page, "{name}");
        names += 1;
    }
    assert!(names >= 5, "{items:?}");
    let stock = inventory::stream(&sku("mug"), "north");
    assert_eq!(leads(&shop, " mug · north ").await, format!("/audit/a/stock/{stock}"));
    assert_eq!(typed(&shop, "MUG · nowhere").await.status, 404);
}

/// Issues the credit note `C-1` for line 1 of an order, in one append.
pub(crate) async fn credit(shop: &Shop, order: Uuid, note: Uuid) {
    let issue = credit_note::Command::IssueForOrder {
        number: "C-1".to_owned(),
        order_id: OrderId(order),
        customer: guest(),
        lines: vec![line(1, "mug", 1, 1299)],
        order_lines: vec![1],
        country: "UK".to_owned(),
    };
    let lines = vec![CreditedLine { line: 1, quantity: 1, price: pounds(1299) }];
    let agree = order::Command::Credit { credit_note_id: CreditNoteId(note), lines, earlier: Vec::new() };
    let context = CommandContext::new(ids::new(), vec![7; 32], Metadata::default());
    let both = shop.store.execute_both::<CreditNote, Order>((note, issue), (order, agree), context);
    let position = Box::pin(both).await.unwrap().answer.last_position.unwrap();
    shop.last.fetch_max(position, Ordering::SeqCst);
    shop.feed.wake(position);
}

#[tokio::test]
async fn every_sku_leads_to_its_product_with_and_without_a_price() {
    let shop = Shop::open().await;
    let id = ids::new();
    let details = product::Details {
        name: "Tea set".to_owned(),
        description: "A set".to_owned(),
        category: None,
        attributes: BTreeMap::new(),
    };
    let unpriced = |name: &str| Variant { sku: sku(name), price: None };
    let create = product::Command::Create { details, variants: vec![unpriced("SET-1")] };
    shop.command::<Product>(id, create).await;
    shop.command::<Product>(id, product::Command::AddVariant { variant: unpriced("SET-2") }).await;
    let priced = Variant { sku: sku("SET-3"), price: Some(pounds(500)) };
    shop.command::<Product>(id, product::Command::AddVariant { variant: priced }).await;
    // One of which there is only stock.
    shop.stock("LONE-1", "main", Stock::Receive { quantity: 5 }).await;
    ready(&shop).await;
    for text in ["SET-1", "set-2", "SET-3"] {
        assert_eq!(leads(&shop, text).await, format!("/audit/a/product/{id}"), "{text}");
    }
    let stock = inventory::stream(&sku("LONE-1"), "main");
    assert_eq!(leads(&shop, "lone-1").await, format!("/audit/a/stock/{stock}"));
    shop.command::<Product>(id, product::Command::Delete).await;
    ready(&shop).await;
    assert_eq!(leads(&shop, "SET-1").await, format!("/audit/a/product/{id}"), "also of a deleted product");
}

#[tokio::test]
async fn what_pages_show_is_found_when_it_is_pasted_back() {
    let shop = Shop::open().await;
    let (order, user) = (ids::new(), shop.user("Ada", "UK").await);
    shop.product("Mug", &["mug"], None).await;
    shop.stock("mug", "main", Stock::Receive { quantity: 5 }).await;
    let place = place_of("R-1001", user_id(user), vec![line(1, "mug", 1, 1299)], "UK");
    shop.command::<Order>(order, place).await;
    shop.command::<Order>(order, order::Command::Confirm).await;
    ready(&shop).await;
    let of_order = format!("/audit/a/order/{order}");
    let stock = inventory::stream(&sku("mug"), "main");
    let short = |id: Uuid| format!("…{}", &id.to_string()[28..]);
    for (text, to) in [
        ("Order R-1001".to_owned(), of_order.clone()),
        ("order r-1001".to_owned(), of_order.clone()),
        ("订单 R-1001".to_owned(), of_order.clone()),
        ("order R-1001, line 1".to_owned(), of_order.clone()),
        ("Order R-1001, version 2".to_owned(), format!("{of_order}?v=2")),
        ("订单 R-1001，版本 2".to_owned(), format!("{of_order}?v=2")),
        ("stock MUG · main".to_owned(), format!("/audit/a/stock/{stock}")),
        (short(order), of_order.clone()),
        (short(user), format!("/audit/a/user/{user}")),
        (format!("user {}", short(user)), format!("/audit/a/user/{user}")),
        (format!("Customer {}", short(user)), format!("/audit/a/user/{user}")),
        (format!("用户 {}", short(user)), format!("/audit/a/user/{user}")),
        (short(user).trim_start_matches('…').to_owned(), format!("/audit/a/user/{user}")),
    ] {
        assert_eq!(leads(&shop, &text).await, to, "{text}");
    }
    // A title of a page, as a browser's history has it.
    let page = shop.get(&format!("{of_order}?v=1&lang=en")).await.text;
    let title = page.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    assert_eq!(leads(&shop, title).await, format!("{of_order}?v=1"), "{title}");
    // A version alone is of the page that the box is on.
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("referer", &*format!("http://localhost{of_order}?v=2&lang=en")),
    ];
    for text in ["version 1", "v1"] {
        let body = form_urlencoded::Serializer::new(String::new()).append_pair("id", text).finish();
        let request = Request::post("/audit/jump?lang=en");
        let got = shop.send(Some(Role::Support), request, &form, Body::from(body)).await;
        assert_eq!(got.header("location"), format!("{of_order}?v=1&lang=en"), "{text}");
    }
}

#[tokio::test]
async fn a_short_id_that_is_not_one_thing_lists_what_it_may_be() {
    let shop = Shop::open().await;
    let ends = ["7fd56d43", "7fd5ffff", "aaaa6d43"];
    let id = |first: char, end: &str| -> Uuid {
        format!("{first}199aabb-0000-7000-8000-0000{end}").parse().unwrap()
    };
    for (first, end) in [('0', ends[0]), ('1', ends[0]), ('0', ends[1]), ('0', ends[2])] {
        let details = user::Details::try_new(id(first, end), Some("Ada"), None, None, None).unwrap();
        shop.command::<User>(id(first, end), user::Command::Register { details }).await;
    }
    ready(&shop).await;
    let page = |first: char, end: &str| format!("/audit/a/user/{}", id(first, end));
    let both = vec![page('0', ends[0]), page('1', ends[0])];
    assert_eq!(choices(&shop, "…7fd56d43").await, both, "two have it");
    assert_eq!(leads(&shop, "…aaaa6d43").await, page('0', ends[2]));
    // Nothing has it: those whose ids begin or end as it does.
    let alike = choices(&shop, "…aaaaffff").await;
    assert_eq!(alike, [page('0', ends[1]), page('0', ends[2])]);
    let got = typed(&shop, "…aaaaffff").await.text;
    assert!(got.contains("its id is similar"), "{got}");
    assert_eq!(choices(&shop, "…6d43").await.len(), 3, "four digits are enough");
    assert_eq!(typed(&shop, "…00000001").await.status, 404);
}
