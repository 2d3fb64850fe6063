//! The timeline by commands: rows, what they caused, and pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use soonshop_domain::order::{self, Order};
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Decider, Metadata, Purpose, ids, inventory};
use soonshop_event_store::CommandContext;
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::live::Reader;
use crate::shop::*;

fn position(event: &Value) -> i64 {
    event["position"].as_i64().unwrap()
}

/// A row by the positions of its own events, and of their effects.
type Shape = (Vec<i64>, Vec<i64>);

fn shape(item: &Value) -> Shape {
    let positions = |name: &str| item[name].as_array().unwrap().iter().map(position).collect();
    (positions("events"), positions("effects"))
}

/// All rows, page by page.
async fn walked(shop: &Shop, query: &str) -> Vec<Value> {
    let (mut all, mut path) = (Vec::new(), format!("/api/audit/timeline?group=1&{query}"));
    loop {
        let got = shop.see(&path).await;
        all.extend(got.items());
        let link = got.header("link").to_owned();
        match link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) {
            Some(next) => next.clone_into(&mut path),
            None => return all,
        }
    }
}

/// The metadata of a command that was caused by the event at this position; 0 is an event that does not exist.
async fn because(shop: &Shop, cause: Option<i64>) -> CommandContext {
    let causation_id = match cause {
        None => None,
        Some(0) => Some(Uuid::nil()),
        Some(position) => Some(shop.store.log().read(position, 1).await.unwrap()[0].event_id),
    };
    let metadata = Metadata { causation_id, ..Metadata::default() };
    CommandContext::new(ids::new(), vec![7; 32], metadata)
}

async fn caused<A: Decider>(shop: &Shop, id: Uuid, command: A::Command, cause: Option<i64>) -> i64 {
    let context = because(shop, cause).await;
    shop.command_in::<A>(id, command, context).await
}

async fn received(shop: &Shop, name: &str, cause: Option<i64>) -> i64 {
    let place = inventory::StockPlace { sku: sku(name), location: "main".to_owned() };
    let id = inventory::stream(&place.sku, "main");
    let command = inventory::At { place, command: inventory::Command::Receive { quantity: 1 } };
    caused::<inventory::Stock>(shop, id, command, cause).await
}

async fn registered(shop: &Shop, cause: Option<i64>) -> Uuid {
    let id = ids::new();
    let details = user::Details::try_new(id, Some("Ada"), None, None, Some("UK")).unwrap();
    caused::<User>(shop, id, user::Command::Register { details }, cause).await;
    id
}

/// One command that makes two events.
async fn forgotten(shop: &Shop, id: Uuid, cause: Option<i64>) -> i64 {
    let context = because(shop, cause).await;
    let ask = person::Command::RequestErasure { purposes: vec![Purpose::Account] };
    let done = shop.store.execute_both::<User, Person>((id, user::Command::Delete), (id, ask), context).await;
    let position = done.unwrap().answer.last_position.unwrap();
    shop.written(position.max(shop.store.log().head().await.unwrap().position))
}

#[tokio::test]
async fn a_row_is_a_command_with_its_direct_effects() {
    let shop = Shop::open().await;
    let order = ids::new();
    let place = place_of("S-1", guest(), vec![line(1, "mug", 1, 500)], "UK");
    assert_eq!(caused::<Order>(&shop, order, place, None).await, 1);
    received(&shop, "mug", Some(1)).await;
    received(&shop, "cup", None).await;
    caused::<Order>(&shop, order, order::Command::Confirm, Some(1)).await;
    received(&shop, "cup", Some(4)).await;
    received(&shop, "pot", Some(0)).await;
    let user = registered(&shop, None).await;
    assert_eq!(forgotten(&shop, user, None).await, 9);
    received(&shop, "pan", Some(9)).await;
    let rows = shop.see("/api/audit/timeline?group=1").await.items();
    let requested: Vec<Shape> = vec![
        (vec![8, 9], vec![10]),
        (vec![7], vec![]),
        (vec![6], vec![]),
        // Two steps away from its root cause, it has a row of its own.
        (vec![5], vec![]),
        (vec![3], vec![]),
        (vec![1], vec![2, 4]),
    ];
    assert_eq!(rows.iter().map(shape).collect::<Vec<_>>(), requested);
    let confirmed = &rows[5]["effects"][1];
    assert_eq!(
        (&confirmed["type"], &confirmed["changes"][0]["path"]),
        (&json!("OrderConfirmed"), &json!("/status"))
    );
    // Events that do not match are in no row, and do not hide others.
    let stock = shop.see("/api/audit/timeline?group=1&agg=stock&order=asc").await.items();
    let alone: Vec<Shape> = [2, 3, 5, 6, 10].map(|position| (vec![position], vec![])).to_vec();
    assert_eq!(stock.iter().map(shape).collect::<Vec<_>>(), alone);

    let page = shop.see("/audit/timeline?group=1&lang=en").await.text;
    assert_eq!(page.matches("<li data-position").count(), 9, "each row, and each effect in it");
    assert_eq!(page.matches("class=\"also\"").count(), 1);
    let row = page.split("<li data-position=\"1\"").nth(1).unwrap();
    assert!(
        row.contains("It caused 2 events:") && row.contains("<details") && row.contains("Order confirmed"),
        "{row}"
    );
    assert!(page.contains("data-live=\"10\""), "rows by command are followed, too");
    assert!(page.contains("name=\"group\" value=\"1\" checked"));
    for export in page.split("href=\"/api/audit/export.").skip(1) {
        assert!(!export.split('"').next().unwrap().contains("group"), "an export is of events");
    }
    for path in ["/api/audit/export.csv", "/api/audit/export.ndjson"] {
        assert_eq!(shop.see(&format!("{path}?group=1")).await.refused(), (400, "invalid-query".into()));
    }
    assert_eq!(shop.see("/api/audit/timeline?group=2").await.refused(), (400, "invalid-query".into()));
}

/// The rows of a follower by command: of a row that comes again, the later form.
async fn followed(reader: &mut Reader, last: i64) -> BTreeMap<i64, Value> {
    let mut rows = BTreeMap::new();
    loop {
        let message = reader.next().await.unwrap();
        assert_eq!(message.event, "events");
        let data: Value = serde_json::from_str(&message.data).unwrap();
        let (items, html) = (data["items"].as_array().unwrap(), data["html"].as_array().unwrap());
        for (item, html) in items.iter().zip(html) {
            let first = position(&item["events"][0]);
            assert!(html.as_str().unwrap().starts_with(&format!("<li data-position=\"{first}\"")), "{html}");
            rows.insert(first, item.clone());
        }
        if position(&data) >= last {
            return rows;
        }
    }
}

#[tokio::test]
async fn a_follower_of_rows_by_command_has_those_of_the_page() {
    let shop = Shop::open().await;
    let open = async |query: &str| {
        Reader::open(&shop, Role::Support, &format!("after=0&group=1&html=1{query}"), None).await
    };
    let (mut all, mut stock) = (open("").await, open("&agg=stock").await);
    for reader in [&mut all, &mut stock] {
        assert_eq!(reader.next().await.unwrap().event, "begin");
    }
    let order = ids::new();
    let place = place_of("S-1", guest(), vec![line(1, "mug", 1, 500)], "UK");
    let first = caused::<Order>(&shop, order, place, None).await;
    received(&shop, "mug", Some(first)).await;
    let user = registered(&shop, None).await;
    shop.see("/api/audit/timeline").await;
    // An effect comes long after its cause, and one has its cause outside of the search.
    for _ in 0..60 {
        received(&shop, "cup", None).await;
    }
    shop.see("/api/audit/timeline").await;
    received(&shop, "pot", Some(first)).await;
    forgotten(&shop, user, None).await;
    received(&shop, "pot", Some(0)).await;
    let last = received(&shop, "pan", Some(5)).await;
    for (reader, query) in [(&mut all, ""), (&mut stock, "agg=stock")] {
        let rows = followed(reader, last).await;
        let page = walked(&shop, &format!("order=asc&limit=200&{query}")).await;
        let without_changes = |mut item: Value| {
            for list in ["events", "effects"] {
                for event in item[list].as_array_mut().unwrap() {
                    event.as_object_mut().unwrap().remove("changes");
                }
            }
            item
        };
        let rows: Vec<_> = rows.into_values().map(without_changes).collect();
        assert_eq!(rows, page.into_iter().map(without_changes).collect::<Vec<_>>(), "{query}");
    }
}

#[tokio::test]
async fn commands_with_many_effects_are_complete_on_short_pages() {
    let shop = Shop::open().await;
    let mut requested: Vec<Shape> = Vec::new();
    for caused in [90, 90, 3, 230, 3] {
        let first = received(&shop, "mug", None).await;
        let mut effects = Vec::new();
        for _ in 0..caused {
            effects.push(received(&shop, "cup", Some(first)).await);
        }
        requested.push((vec![first], effects));
    }
    for (order, sizes) in [("asc", [3, 1, 1]), ("desc", [1, 1, 3])] {
        let mut path = format!("/api/audit/timeline?group=1&order={order}");
        let mut found = Vec::new();
        for size in sizes {
            let got = shop.see(&path).await;
            assert_eq!(got.items().len(), size, "{order}");
            found.extend(got.items().iter().map(shape));
            let parameter = if order == "asc" { "after" } else { "before" };
            path = format!("/api/audit/timeline?group=1&order={order}&{parameter}={}", got.ok()["next"]);
        }
        assert!(path.ends_with("null"), "{path}");
        assert!(found == requested, "{order}");
        requested.reverse();
    }
}

/// The next commands, and how far back the cause of each is: none, a missing one, or an event.
fn steps() -> impl Strategy<Value = Vec<(u8, Option<usize>)>> {
    prop::collection::vec((0_u8..4, prop::option::weighted(0.7, 0_usize..12)), 25..40)
}

/// The expected rows for the found events, oldest first.
fn expected(events: &[Value]) -> Vec<Shape> {
    let by_id: BTreeMap<&str, &Value> =
        events.iter().map(|event| (event["id"].as_str().unwrap(), event)).collect();
    let cause = |event: &Value| {
        let cause = by_id.get(event["causation_id"].as_str()?)?;
        cause["causation_id"].is_null().then(|| position(cause))
    };
    let mut rows: Vec<Shape> = Vec::new();
    let mut last = Value::Null;
    for event in events.iter().filter(|event| cause(event).is_none()) {
        match rows.last_mut().filter(|_| last == event["command_id"]) {
            Some(row) => row.0.push(position(event)),
            None => rows.push((vec![position(event)], vec![])),
        }
        last = event["command_id"].clone();
    }
    for event in events {
        if let Some(cause) = cause(event) {
            rows.iter_mut().find(|row| row.0.contains(&cause)).unwrap().1.push(position(event));
        }
    }
    rows
}

#[tokio::test]
async fn all_pages_together_have_every_event_once_for_any_causes() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..4 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let shop = Shop::open().await;
        let mut waiting = Vec::new();
        for (what, back) in &steps {
            let head = shop.last.load(Ordering::SeqCst);
            let cause = back.map(|back| (head - i64::try_from(back).unwrap()).max(0));
            match (what, waiting.pop()) {
                (0, Some(user)) => drop(forgotten(&shop, user, cause).await),
                (0 | 1, waits) => {
                    waiting.extend(waits);
                    waiting.push(registered(&shop, cause).await);
                }
                (_, waits) => {
                    waiting.extend(waits);
                    received(&shop, "mug", cause).await;
                }
            }
        }
        for search in ["", "q=-type:UserDeleted", "agg=stock", "q=-agg:stock"] {
            let all = shop.see(&format!("/api/audit/timeline?order=asc&limit=200&{search}")).await.items();
            assert!(all.len() > 3, "{steps:?}");
            let mut requested = expected(&all);
            for order in ["asc", "desc"] {
                for limit in [1, 2, 3, 7, 200] {
                    let rows = walked(&shop, &format!("order={order}&limit={limit}&{search}")).await;
                    let found: Vec<Shape> = rows.iter().map(shape).collect();
                    assert_eq!(found, requested, "{order} {limit} {search} {steps:?}");
                    let each = found.iter().flat_map(|(own, effects)| own.iter().chain(effects));
                    let each: Vec<i64> = each.copied().collect();
                    assert_eq!(each.len(), all.len());
                    assert_eq!(each.into_iter().collect::<BTreeSet<_>>(), all.iter().map(position).collect());
                }
                requested.reverse();
            }
        }
    }
}
