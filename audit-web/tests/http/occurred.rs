//! Business time beside the time of recording: what happened in 2011 and was recorded today is found, sorted and shown
//! by either.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseBackend};
use serde_json::{Value, json};
use soonshop_domain::inventory::{self, Stock};
use soonshop_service_kit::access::Role;

use crate::shop::*;

/// Units of a SKU that came in at this time.
async fn received(shop: &Shop, name: &str, occurred: DateTime<Utc>) -> i64 {
    let place = inventory::StockPlace { sku: sku(name), location: "main".to_owned() };
    let id = inventory::stream(&place.sku, "main");
    let command = inventory::At { place, command: inventory::Command::Receive { quantity: 1 } };
    shop.command_at::<Stock>(id, command, occurred).await
}

/// Events of 2011, some at the same time, in another order than that of the log, and one of now.
async fn imported(shop: &Shop) -> Vec<i64> {
    let begun = at("2011-01-04T08:26:00Z");
    let mut positions = Vec::new();
    for number in 0..23_i64 {
        let day = TimeDelta::days((number * 7) % 10);
        let name = if number % 3 == 0 { "mug" } else { "cup" };
        positions.push(received(shop, name, begun + day).await);
    }
    positions.push(received(shop, "mug", soonshop_domain::clock::now()).await);
    positions
}

fn position(event: &Value) -> i64 {
    event["position"].as_i64().unwrap()
}

/// The key that sorts an event by business time.
fn key(event: &Value) -> (DateTime<Utc>, i64) {
    (at(event["occurred_at"].as_str().unwrap()), position(event))
}

/// The address of the page after this one.
fn next(got: &Got) -> Option<String> {
    let link = got.header("link");
    let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
    assert_eq!(next.is_some(), !got.ok()["next"].is_null());
    next.map(str::to_owned)
}

/// All rows, page by page; `between` is called after each page.
async fn walked(shop: &Shop, query: &str, mut between: impl AsyncFnMut()) -> Vec<Value> {
    let (mut all, mut path) = (Vec::new(), format!("/api/audit/timeline?{query}"));
    loop {
        let got = shop.see(&path).await;
        all.extend(got.items());
        match next(&got) {
            Some(further) => path = further,
            None => return all,
        }
        between().await;
    }
}

#[tokio::test]
async fn pages_by_business_time_neither_skip_nor_repeat_an_event() {
    let shop = Shop::open().await;
    imported(&shop).await;
    let all = walked(&shop, "limit=200", async || {}).await;
    for (query, of) in [("", None), ("&q=mug", Some("MUG")), ("&q=agg:stock+cup", Some("CUP"))] {
        let mut expected: Vec<_> = all
            .iter()
            .filter(|event| of.is_none_or(|name| event["summary"]["sku"] == name))
            .cloned()
            .collect();
        expected.sort_by_key(key);
        for (order, limit) in [("asc", 1), ("asc", 4), ("desc", 4), ("desc", 100)] {
            let query = format!("sort=occurred&order={order}&limit={limit}{query}");
            let found = walked(&shop, &query, async || {}).await;
            let mut found: Vec<_> = found.iter().map(position).collect();
            if order == "desc" {
                found.reverse();
            }
            assert_eq!(found, expected.iter().map(position).collect::<Vec<_>>(), "{query}");
        }
    }
}

#[tokio::test]
async fn pages_by_business_time_stay_in_order_while_events_come_in() {
    let shop = Shop::open().await;
    let there: BTreeSet<i64> = imported(&shop).await.into_iter().collect();
    for (order, limit) in [("asc", 3), ("desc", 5)] {
        let query = format!("sort=occurred&order={order}&limit={limit}");
        let found = walked(&shop, &query, async || {
            // Before the pages that were read, at a time that others have, and after the last of them.
            for occurred in ["2010-12-01T00:00:00Z", "2011-01-07T08:26:00Z", "2011-03-01T00:00:00Z"] {
                received(&shop, "pot", at(occurred)).await;
            }
        })
        .await;
        let keys: Vec<_> = found.iter().map(key).collect();
        let mut sorted: Vec<_> = keys.iter().collect::<BTreeSet<_>>().into_iter().copied().collect();
        if order == "desc" {
            sorted.reverse();
        }
        assert_eq!(keys, sorted, "{order}: in order, and each once");
        let found: BTreeSet<i64> = found.iter().map(position).collect();
        assert!(there.is_subset(&found), "{order}");
    }
}

#[tokio::test]
async fn a_page_by_business_time_goes_on_after_an_event_that_is_parked() {
    let shop = Shop::open().await;
    let all = imported(&shop).await;
    let path = "/api/audit/timeline?sort=occurred&order=asc&limit=200";
    let mut sorted: Vec<_> = shop.see(path).await.items().iter().map(position).collect();
    let parked = sorted.remove(5);
    let audit = shop.generation("audit").await;
    shop.sql(&audit, &format!("DELETE FROM @audit WHERE position = {parked}")).await;
    let further: Vec<_> =
        shop.see(&format!("{path}&past={parked}")).await.items().iter().map(position).collect();
    assert_eq!(further, sorted[5..]);
    let nowhere = shop.see(&format!("{path}&past={}", all.len() + 1_000)).await;
    assert_eq!(nowhere.refused(), (400, "invalid-query".to_owned()));
    assert_eq!(nowhere.json()["parameter"], "past");
    // In the order of the log it is a position like `before` and `after`.
    for (order, same) in [("asc", "after"), ("desc", "before")] {
        let of =
            async |name: &str| shop.see(&format!("/api/audit/timeline?order={order}&{name}=7")).await.items();
        assert_eq!(of("past").await, of(same).await);
    }
}

#[tokio::test]
async fn events_are_filtered_by_when_they_happened() {
    let shop = Shop::open().await;
    imported(&shop).await;
    let all = walked(&shop, "limit=200", async || {}).await;
    let between = |from: &str, to: &str| -> BTreeSet<i64> {
        let (from, to) = (at(from), at(to));
        let fits = all.iter().filter(|event| (from..to).contains(&key(event).0));
        fits.map(position).collect()
    };
    let [first, last] = ["2011-01-01T00:00:00Z", "2011-03-01T00:00:00Z"];
    let some = between("2011-01-06T00:00:00Z", "2011-01-09T00:00:00Z");
    let old = between(first, last);
    assert!(!some.is_empty() && some.len() < old.len() && old.len() + 1 == all.len());
    for (query, expected) in [
        ("occurred_from=2011-01-06&occurred_to=2011-01-09", some.clone()),
        ("q=occurred:2011-01-06..2011-01-09", some.clone()),
        // A moment names its zone itself.
        ("q=occurred:2011-01-06T00:00:00Z..2011-01-09T00:00:00Z&tz=Asia/Shanghai", some),
        ("q=occurred:2011-01..2011-03", old.clone()),
        ("q=occurred:2011-01+-occurred:last:24h", old.clone()),
        ("occurred_to=2011-03-01", old),
        (
            "q=occurred:2011-01-04&occurred_to=2011-01-05&tz=UTC",
            between("2011-01-04T00:00:00Z", "2011-01-05T00:00:00Z"),
        ),
        (
            "occurred_from=2011-01-04&occurred_to=2011-01-05&tz=Pacific/Auckland",
            between("2011-01-03T11:00:00Z", "2011-01-04T11:00:00Z"),
        ),
        // Nothing was recorded then.
        ("from=2011-01-01&to=2011-03-01", BTreeSet::new()),
        ("q=created:2011-01..2011-03", BTreeSet::new()),
    ] {
        for path in ["/api/audit/timeline?limit=200", "/api/audit/timeline?limit=200&sort=occurred"] {
            let found = shop.see(&format!("{path}&{query}")).await.items();
            assert_eq!(found.iter().map(position).collect::<BTreeSet<_>>(), expected, "{query}");
        }
    }
    let refused = shop.see("/api/audit/timeline?q=occurred:soon").await;
    assert_eq!(refused.json()["tokens"][0]["filter"], "occurred");
    for language in ["en", "zh-CN"] {
        let page = shop.see(&format!("/audit/timeline?q=occurred:soon&lang={language}")).await;
        assert!(page.status == 400 && page.text.contains("<mark>occurred:soon</mark>"), "{}", page.text);
        assert!(page.text.contains("occurred: "), "it says what the term takes: {}", page.text);
    }
}

#[tokio::test]
async fn commands_by_business_time_have_each_event_once() {
    let shop = Shop::open().await;
    imported(&shop).await;
    for order in ["asc", "desc"] {
        let rows = walked(&shop, &format!("sort=occurred&group=1&limit=3&order={order}"), async || {}).await;
        let mut events: Vec<_> = rows.iter().map(|row| key(&row["events"][0])).collect();
        if order == "desc" {
            events.reverse();
        }
        assert_eq!((events.len(), events.is_sorted()), (24, true), "{order}");
    }
}

#[tokio::test]
async fn rows_and_details_say_when_an_event_happened_and_when_it_was_recorded() {
    let shop = Shop::open().await;
    let id = inventory::stream(&sku("mug"), "main");
    received(&shop, "mug", at("2011-01-04T08:26:00Z")).await;
    received(&shop, "mug", soonshop_domain::clock::now()).await;
    for path in ["/audit/timeline".to_owned(), format!("/audit/a/stock/{id}")] {
        for (language, happened, recorded) in [("en", "happened", "recorded"), ("zh-CN", "发生于", "记录于")]
        {
            let page = shop.see(&format!("{path}?lang={language}")).await.text;
            let both = format!(
                "<span class=\"happened\">{happened} <time datetime=\"2011-01-04T08:26:00.000000Z\" \
                 title=\"2011-01-04T08:26:00.000000Z\">2011-01-04 08:26:00.000 <span class=\"zone\">UTC</span></time></span>\
                 <span class=\"recorded\">{recorded} <time datetime="
            );
            assert!(page.contains(&both), "{both}: {page}");
            assert_eq!(
                page.matches("class=\"happened\"").count(),
                1,
                "the other was recorded at once: {page}"
            );
        }
    }
    let trail = shop.see(&format!("/api/audit/a/stock/{id}")).await.ok();
    assert_eq!(trail["events"][0]["occurred_at"], "2011-01-04T08:26:00Z");
}

#[tokio::test]
async fn the_page_sorted_by_business_time_leads_on_and_to_a_moment() {
    let shop = Shop::open().await;
    imported(&shop).await;
    let shown = |page: &str| -> Vec<i64> {
        let main = page.split("<main").nth(1).unwrap();
        let rows = main.split("<li data-position=\"").skip(1);
        rows.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    };
    let listed = |query: &str| {
        let (shop, path) = (&shop, format!("/api/audit/timeline?limit=200&sort=occurred&{query}"));
        async move { shop.see(&path).await.items() }
    };
    for order in ["asc", "desc"] {
        let (mut path, mut found) =
            (format!("/audit/timeline?sort=occurred&order={order}&limit=9"), Vec::new());
        loop {
            let page = shop.see(&path).await.text;
            found.extend(shown(&page));
            assert!(!page.contains("data-live"), "it cannot be followed live");
            let Some(link) = page.split("rel=\"next\" href=\"").nth(1) else { break };
            path = link.split('"').next().unwrap().replace("&amp;", "&");
            assert!(path.contains("past="), "{path}");
        }
        let all = listed(&format!("order={order}")).await;
        assert_eq!(found, all.iter().map(position).collect::<Vec<_>>(), "{order}");
        for moment in ["2011-01-07", "2010-01-01", "2011-01-07T08:26:00Z"] {
            let got =
                shop.see(&format!("/audit/timeline?sort=occurred&order={order}&limit=100&at={moment}")).await;
            if order == "desc" && moment == "2010-01-01" {
                // Nothing had happened by then: the list stays as it is.
                assert_eq!((got.status, shown(&got.text)), (404, found.clone()), "{}", got.text);
                assert!(
                    got.text.contains("id=\"missed\"") && got.text.contains(&format!("value=\"{moment}\""))
                );
                continue;
            }
            assert_eq!(got.status, 303, "{}", got.text);
            let begins =
                at(&if moment.len() == 10 { format!("{moment}T00:00:00Z") } else { moment.to_owned() });
            let fits = |event: &&Value| {
                let time = key(event).0;
                if order == "asc" { time >= begins } else { time <= begins }
            };
            let expected: Vec<_> = all.iter().filter(fits).map(position).collect();
            let page = shop.see(got.header("location")).await.text;
            assert_eq!(shown(&page), expected, "{order} {moment}");
        }
    }
}

#[tokio::test]
async fn an_export_is_sorted_by_business_time_and_has_both_times() {
    let shop = Shop::open().await;
    imported(&shop).await;
    for order in ["asc", "desc"] {
        let query = format!("sort=occurred&order={order}&occurred_to=2012-01-01");
        let listed = shop.see(&format!("/api/audit/timeline?limit=200&{query}")).await.items();
        assert_eq!(listed.len(), 23);
        let got = shop.see(&format!("/api/audit/export.ndjson?{query}")).await;
        let mut lines = got.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let manifest = lines.next().unwrap()["manifest"].take();
        assert_eq!((&manifest["sort"], &manifest["order"]), (&json!("occurred"), &json!(order)));
        assert_eq!(manifest["filter"], json!({ "occurred_to": "2012-01-01" }));
        assert_eq!(lines.collect::<Vec<_>>(), listed);
        let got = shop.see(&format!("/api/audit/export.csv?{query}")).await;
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .from_reader(got.text.trim_start_matches('\u{feff}').as_bytes());
        let names = reader.headers().unwrap().clone();
        let column = |name: &str| names.iter().position(|one| one == name).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), listed.len());
        for (row, event) in rows.iter().zip(&listed) {
            for name in ["occurred_at", "recorded_at"] {
                assert_eq!(row[column(name)], *event[name].as_str().unwrap());
            }
        }
    }
    // One in the order of the log is what it always was.
    let got = shop.see("/api/audit/export.ndjson?sort=recorded").await;
    let first: Value = serde_json::from_str(got.text.lines().next().unwrap()).unwrap();
    assert_eq!((first["manifest"].get("sort"), &first["manifest"]["filter"]), (None, &json!({})));
}

#[tokio::test]
async fn a_view_keeps_business_time_and_the_zone_of_its_days() {
    let shop = Shop::open().await;
    imported(&shop).await;
    for (title, query, kept) in [
        (
            "Old",
            "occurred_from=2011-01-01&sort=occurred&order=asc&past=9&tz=Asia/Shanghai&lang=en",
            "occurred_from=2011-01-01&sort=occurred&order=asc&tz=Asia%2FShanghai",
        ),
        ("Term", "q=occurred:2011-01&tz=Asia/Shanghai", "q=occurred%3A2011-01&tz=Asia%2FShanghai"),
    ] {
        let form = [("title", title), ("query", query)];
        let saved = shop.post_as(Some(Role::Ops), "/audit/views", &form).await;
        assert_eq!(saved.status, 303, "{}", saved.text);
        let to = shop.get(saved.header("location")).await;
        assert_eq!(to.header("location"), format!("/audit/timeline?{kept}"));
        assert_eq!(shop.see(to.header("location")).await.status, 200);
    }
}

#[tokio::test]
async fn a_page_by_business_time_is_read_by_an_index() {
    let shop = Shop::open().await;
    imported(&shop).await;
    shop.see("/api/audit/timeline").await.ok();
    let audit = shop.generation("audit").await;
    // Indexes are built once the rows are at the head of the log.
    let named = match audit.backend() {
        DatabaseBackend::Sqlite => "SELECT name FROM sqlite_master WHERE name = 'audit_by_business_time'",
        _ => "SELECT indexname FROM pg_indexes WHERE indexname = 'audit_by_business_time'",
    };
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let is_built = async {
        while audit.connection.query_all(audit.statement(named, [])).await.unwrap().is_empty() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), is_built).await.expect("no index was built");
    if audit.backend() == DatabaseBackend::Sqlite {
        // Few rows are sorted without an index: that it could serve is asked for by its name.
        let sql = "EXPLAIN QUERY PLAN SELECT summary FROM @audit INDEXED BY audit_by_business_time \
                   WHERE (occurred_at, position) < (7, 7) ORDER BY occurred_at DESC, position DESC LIMIT 51";
        let rows = audit.connection.query_all(audit.statement(sql, [])).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.try_get_by_index(3).unwrap()).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("audit_by_business_time") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}
