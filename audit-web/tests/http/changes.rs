//! The changes of each event of a list: on the timeline, in exports and in the live stream.

use serde_json::{Value, json};
use soonshop_domain::ids::CreditNoteId;
use soonshop_domain::order::credits::CreditedLine;
use soonshop_domain::order::{self, Order};
use soonshop_domain::product::{self, Product};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Purpose, ids};
use uuid::Uuid;

use crate::shop::*;

const PLANTED: [&str; 4] =
    ["Zebedee Quux", "zebedee@quux.example", "+44 7700 900123", "=HYPERLINK(\"http://x\")"];

/// Interleaved histories of several types: a product, a user who is erased, an order, a stock item.
async fn lived(shop: &Shop) -> [Uuid; 3] {
    let product = shop.product("Mug", &["mug", "mug-2"], None).await;
    let user = ids::new();
    let details = |name, phone| {
        let contact = user::Details::try_new(user, Some(name), Some(PLANTED[1]), phone, Some("UK"));
        contact.unwrap()
    };
    let price = |amount| product::Command::SetPrice { sku: sku("mug-2"), price: pounds(amount) };
    shop.command::<User>(user, user::Command::Register { details: details(PLANTED[0], None) }).await;
    shop.command::<Product>(product, price(777)).await;
    shop.stock("mug", "main", soonshop_domain::inventory::Command::Receive { quantity: 9 }).await;
    let phone = details(PLANTED[0], Some(PLANTED[2]));
    shop.command::<User>(user, user::Command::Change { details: phone }).await;
    let order = ids::new();
    let place = place_of("S-1", user_id(user), vec![line(1, "mug", 1, 500), line(2, "mug", 2, 500)], "UK");
    shop.command::<Order>(order, place).await;
    shop.stock("mug", "main", soonshop_domain::inventory::Command::Receive { quantity: 1 }).await;
    shop.command::<User>(user, user::Command::Change { details: details("Zed", Some(PLANTED[2])) }).await;
    shop.command::<Order>(order, order::Command::Confirm).await;
    shop.command::<Product>(product, price(900)).await;
    let named = product::Details { name: PLANTED[3].to_owned(), ..product::Details::default() };
    shop.command::<Product>(product, product::Command::Change { details: named }).await;
    shop.command::<Product>(product, product::Command::Delete).await;
    [product, user, order]
}

#[tokio::test]
async fn every_amount_of_a_state_is_shown_as_money() {
    let shop = Shop::open().await;
    let order = ids::new();
    shop.command::<Order>(order, place_of("S-1", guest(), vec![line(1, "mug", 3, 500)], "UK")).await;
    let lines = vec![CreditedLine { line: 1, quantity: 2, price: pounds(450) }];
    let credit = order::Command::Credit { credit_note_id: CreditNoteId(ids::new()), lines, earlier: vec![] };
    shop.command::<Order>(order, credit).await;

    let trail = shop.see(&format!("/api/audit/a/order/{order}")).await.ok();
    let credited = json!({ "amount": 900, "currency": "GBP" });
    let of_line = json!({ "amount": credited, "units": 2 });
    assert_eq!(trail["state"]["credits"], json!({ "amount": credited, "lines": { "1": of_line } }));
    let row = shop.see("/api/audit/timeline?type=OrderCredited").await.items().remove(0);
    for changes in [&trail["diff"]["changes"], &row["changes"]] {
        let after = |path: &str| {
            let all = changes.as_array().unwrap().iter();
            all.clone().find(|one| one["path"] == path).unwrap_or_else(|| panic!("{path}: {changes}"))["after"].clone()
        };
        assert_eq!(after("/credits/amount"), credited);
        assert_eq!(after("/credits/lines/1/amount"), credited);
        assert_eq!(after("/credits/lines/1/units"), json!(2));
    }
    for lang in ["en", "zh-CN"] {
        for page in [format!("/audit/a/order/{order}?lang={lang}"), format!("/audit/timeline?lang={lang}")] {
            let text = shop.get(&page).await.text;
            assert!(text.contains("GBP 9.00"), "{page}: {text}");
            assert!(!text.contains(">900<"), "{page}: {text}");
        }
    }
    // The first version with an amount is found by the amount as it is shown.
    let found =
        shop.see(&format!("/api/audit/a/order/{order}?where=/credits/amount%3DGBP%209.00")).await.ok();
    assert_eq!(found["version"], 2);
    let past = shop.see(&format!("/orders/{order}?as_of=v:2")).await.ok();
    assert_eq!(past["state"]["credits"]["amount"], credited);
}

/// A marker without the number that distinguishes the texts of one history.
fn without_number(mut value: Value) -> Value {
    if value["personal"] == "masked" {
        value.as_object_mut().unwrap().remove("value");
    }
    value
}

/// The changes of this event on its aggregate's page.
async fn of_trail(shop: &Shop, row: &Value) -> Value {
    let version = row["version"].as_i64().unwrap();
    if version == 1 {
        return Value::Null;
    }
    let (kind, id) = (row["aggregate_type"].as_str().unwrap(), row["aggregate_id"].as_str().unwrap());
    let trail = shop.see(&format!("/api/audit/a/{kind}/{id}?v={version}")).await.ok();
    let mut changes = trail["diff"]["changes"].clone();
    for change in changes.as_array_mut().unwrap() {
        for side in ["before", "after"] {
            if let Some(value) = change.get_mut(side) {
                *value = without_number(value.take());
            }
        }
    }
    changes
}

#[tokio::test]
async fn a_timeline_row_shows_the_same_changes_as_its_aggregates_page() {
    let shop = Shop::open().await;
    let [product, user, _] = lived(&shop).await;
    for forgotten in [false, true] {
        if forgotten {
            shop.erase(user, &[Purpose::Account]).await;
        }
        let rows = shop.see("/api/audit/timeline?limit=200").await.items();
        assert!(rows.len() >= 12);
        for row in &rows {
            assert_eq!(row["changes"], of_trail(&shop, row).await, "{row}");
        }
        let of = |id: Uuid, version: i64| {
            let found = rows.iter().find(|row| {
                row["aggregate_id"] == id.to_string()
                    && row["version"] == version
                    && row["aggregate_type"] != "person"
            });
            found.unwrap()["changes"].clone()
        };
        assert_eq!(
            of(product, 3),
            json!([{ "path": "/variants/sku=MUG-2/price", "before": { "amount": 777, "currency": "GBP" },
                     "after": { "amount": 900, "currency": "GBP" } }])
        );
        let marker = json!({ "personal": if forgotten { "erased" } else { "masked" } });
        let renamed = json!([{ "path": "/name", "before": marker, "after": marker }]);
        assert_eq!(of(user, 2), json!([{ "path": "/phone", "after": marker }]), "absent is a third thing");
        // For erased values it is no longer known whether the text changed.
        assert_eq!(of(user, 3), if forgotten { json!([]) } else { renamed });
        // The row is the same on any page, in any order and for any search.
        for query in ["limit=3&before=9", "order=asc&limit=5&after=2", "agg=user&limit=1", "q=type:Product*"]
        {
            for row in shop.see(&format!("/api/audit/timeline?{query}")).await.items() {
                assert!(rows.contains(&row), "{query}: {row}");
            }
        }
    }
    let page = shop.see("/audit/timeline?lang=en&agg=product").await.text;
    assert!(
        page.contains("variants/sku=MUG-2/price") && page.contains("GBP 7.77") && page.contains("GBP 9.00")
    );
    assert!(
        page.contains("+3") || page.contains("+4") || page.contains("+5"),
        "more than three are counted: {page}"
    );
}

#[tokio::test]
async fn a_masked_field_on_a_row_shows_only_that_it_changed() {
    let shop = Shop::open().await;
    let [_, user, _] = lived(&shop).await;
    for (tag, words) in [("en", "masked, changed"), ("zh-CN", "已遮蔽，有变更")] {
        let page = shop.see(&format!("/audit/timeline?q=id:{user}&lang={tag}")).await.text;
        let row = page.split("<li").find(|row| row.contains("data-path=\"/name\"")).unwrap();
        let field = row.split("data-path=\"/name\"").nth(1).unwrap().split("</div>").next().unwrap();
        assert!(field.contains(words) && !field.contains("<del>") && !field.contains("<ins>"), "{field}");
        assert!(PLANTED[..3].iter().all(|value| !page.contains(value)));
    }
}

/// The rows of an export, and its manifest.
fn lines(text: &str) -> (Value, Vec<Value>) {
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    (lines.next().unwrap()["manifest"].take(), lines.collect())
}

#[tokio::test]
async fn an_export_has_the_changes_in_both_formats_and_orders_unless_left_out() {
    let shop = Shop::open().await;
    lived(&shop).await;
    for query in ["order=desc", "order=asc", "q=agg:user", "type=ProductPriceChanged", "q=nowhere"] {
        let rows = shop.see(&format!("/api/audit/timeline?{query}&limit=200")).await.items();
        let got = shop.see(&format!("/api/audit/export.ndjson?{query}")).await;
        let (manifest, exported) = lines(&got.text);
        assert_eq!((&exported, &manifest["count"]), (&rows, &json!(rows.len())), "{query}");

        let csv = shop.see(&format!("/api/audit/export.csv?{query}")).await;
        let mut reader = csv::Reader::from_reader(csv.text.as_bytes());
        let column = reader.headers().unwrap().iter().position(|name| name == "changes").unwrap();
        let mut records: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(&records.pop().unwrap()[0], "#manifest");
        assert_eq!(records.len(), rows.len());
        for (record, row) in records.iter().zip(&rows) {
            let cell = &record[column];
            let read = if cell.is_empty() { Value::Null } else { serde_json::from_str(cell).unwrap() };
            assert_eq!(read, row["changes"]);
            assert!(record.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])));
        }
        for text in [&got.text, &csv.text] {
            assert!(PLANTED[..3].iter().all(|value| !text.contains(value)) && !text.contains("eyJ"));
        }

        let (manifest, without) =
            lines(&shop.see(&format!("/api/audit/export.ndjson?{query}&changes=0")).await.text);
        assert_eq!(manifest["filter"]["changes"], "0");
        assert!(without.len() == rows.len() && without.iter().all(|row| row.get("changes").is_none()));
        let csv = shop.see(&format!("/api/audit/export.csv?{query}&changes=0")).await.text;
        assert!(!csv.lines().next().unwrap().contains("changes"));
    }
    let csv = shop.see("/api/audit/export.csv").await.text;
    assert!(csv.contains("HYPERLINK"), "a formula stands inside of the changes");
    assert_eq!(shop.see("/api/audit/export.csv?changes=1").await.refused(), (400, "invalid-query".into()));
    assert_eq!(shop.see("/api/audit/timeline?changes=0").await.refused(), (400, "invalid-query".into()));
}

#[tokio::test]
async fn the_page_of_a_stock_shows_some_of_its_lines_and_changes_and_says_how_many_there_are() {
    use soonshop_domain::inventory::{self, Command, MAIN};
    let shop = Shop::without_projectors().await;
    shop.stock("mug", MAIN, Command::Receive { quantity: 900 }).await;
    let reserve = |number: u128| {
        let order_id = ids::OrderId(Uuid::from_u128(number));
        shop.stock("mug", MAIN, Command::Reserve { order_id, line: 1, quantity: 1 })
    };
    futures::future::join_all((0..600).map(reserve)).await;
    let path = format!("/api/audit/a/stock/{}", inventory::stream(&sku("mug"), MAIN));
    let trail = shop.get(&format!("{path}?v=601&cmp=1")).await.ok();
    // Each line, the sum of what is reserved, and that there are lines at all.
    assert_eq!(trail["diff"]["more"], 102);
    assert_eq!(trail["diff"]["changes"].as_array().unwrap().len(), 500);
    assert_eq!((&trail["state"]["reserved"], &trail["parts"]["total"]), (&json!(600), &json!(600)));
    let lines =
        |trail: &Value| trail["state"]["lines"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let named = |range: std::ops::Range<u128>| {
        range.map(|number| format!("{}/1", Uuid::from_u128(number))).collect::<Vec<_>>()
    };
    assert_eq!(lines(&trail), named(0..100));
    let next = trail["parts"]["next"].as_str().unwrap();
    let second = shop.get(&format!("{path}?v=601&parts_after={next}")).await.ok();
    assert_eq!(lines(&second), named(100..200));
    assert_eq!(second["diff"]["changes"].as_array().unwrap().len(), 2, "one line, and the sum");
    let page = shop.get(&format!("{}?v=601&cmp=1&lang=en", path.replace("/api", ""))).await.text;
    assert!(
        page.contains("There are 102 more changes.") && page.contains("The state has 600 parts."),
        "{page}"
    );
    assert!(page.contains(&format!("parts_after={}", next.replace('/', "%2F"))), "{page}");
}

#[tokio::test]
async fn a_page_of_large_changes_ends_at_its_bound_and_the_next_one_goes_on() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    for number in 0..70 {
        let description = format!("{number} {}", "y".repeat(9_990));
        let details = product::Details { name: "Mug".to_owned(), description, ..product::Details::default() };
        shop.command::<Product>(id, product::Command::Change { details }).await;
    }
    let (mut seen, mut pages, mut path) = (Vec::new(), 0, "/api/audit/timeline?limit=200".to_owned());
    loop {
        let got = shop.see(&path).await;
        assert!(got.text.len() <= (1 << 20) + (64 << 10), "{} bytes", got.text.len());
        pages += 1;
        seen.extend(got.items().iter().map(|item| item["position"].as_i64().unwrap()));
        let Some(next) = got.ok()["next"].as_i64() else { break };
        path = format!("/api/audit/timeline?limit=200&before={next}");
    }
    assert_eq!(seen, (1..=71).rev().collect::<Vec<_>>());
    assert!(pages > 1);
}
