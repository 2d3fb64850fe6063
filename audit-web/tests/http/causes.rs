//! Everything that followed from one request: how the time was spent, what is folded, and missing steps.

use serde_json::{Value, json};
use soonshop_domain::inventory::{self, Stock};
use soonshop_domain::order::{self, Order};
use soonshop_domain::{Channel, Decider, Metadata, Purpose, ids, user::person};
use soonshop_event_store::CommandContext;
use uuid::Uuid;

use crate::shop::*;

const CORRELATION: Uuid = Uuid::from_u128(7);

/// Executes a command caused by the event at this position, through this channel; returns its own position.
async fn caused<A: Decider>(
    shop: &Shop,
    id: Uuid,
    command: A::Command,
    cause: Option<i64>,
    channel: Channel,
) -> i64 {
    let causation_id = match cause {
        Some(cause) => Some(shop.store.log().read(cause, 1).await.unwrap()[0].event_id),
        None => None,
    };
    let metadata = Metadata {
        correlation_id: Some(CORRELATION),
        causation_id,
        channel: Some(channel),
        ..Metadata::default()
    };
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata);
    shop.command_in::<A>(id, command, context).await
}

async fn received(shop: &Shop, cause: Option<i64>) -> i64 {
    let place = inventory::StockPlace { sku: sku("mug"), location: "main".to_owned() };
    let id = inventory::stream(&place.sku, "main");
    let command = inventory::At { place, command: inventory::Command::Receive { quantity: 1 } };
    caused::<Stock>(shop, id, command, cause, Channel::Process).await
}

async fn placed(shop: &Shop) -> Uuid {
    let order = ids::new();
    let place = place_of("S-1", guest(), vec![line(1, "mug", 1, 500)], "UK");
    caused::<Order>(shop, order, place, None, Channel::Storefront).await;
    order
}

/// The positions of the rows of a page, in order.
fn shown(page: &str) -> Vec<i64> {
    let main = page.split("<main").nth(1).unwrap();
    main.split("data-position=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn events_of_processes_show_waiting_and_handling_times_and_clock_conflicts() {
    let shop = Shop::open().await;
    let order = placed(&shop).await;
    received(&shop, Some(1)).await;
    received(&shop, Some(1)).await;
    caused::<Order>(&shop, order, order::Command::Confirm, Some(1), Channel::Api).await;
    shop.see("/api/audit/timeline").await.ok();
    // When each was recorded and decided, in milliseconds: the third was decided after it was recorded.
    let audit = shop.generation("audit").await;
    for (position, recorded, occurred) in [(1, 0, 0), (2, 210, 160), (3, 400, 500), (4, 7_200_400, 0)] {
        let at = |millis: i64| 1_795_600_000_000_000 + millis * 1_000;
        let (recorded, occurred) = (at(recorded), at(occurred));
        let sql = format!(
            "UPDATE @audit SET recorded_at = {recorded}, occurred_at = {occurred} WHERE position = {position}"
        );
        shop.sql(&audit, &sql).await;
    }
    let tree = shop.see(&format!("/api/audit/c/{CORRELATION}")).await.ok();
    let spans: Vec<_> = tree["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let (queue, handle) = (node["queue_micros"].as_i64(), node["handle_micros"].as_i64());
            (queue, handle, node["clocks_contradict"] == true, node["critical"] == true)
        })
        .collect();
    assert_eq!(
        spans,
        [
            (None, None, false, true),
            (Some(160_000), Some(50_000), false, false),
            (None, None, true, false),
            // For other actors, the time when it occurred is business time.
            (None, None, false, true),
        ]
    );
    let times = [&tree["total_micros"], &tree["active_micros"], &tree["aggregates"], &tree["parked"]];
    assert_eq!(times, [&json!(7_200_400_000_i64), &json!(400_000), &json!(2), &json!(0)]);

    let page = format!("/audit/c/{CORRELATION}?lang=en");
    let short = shop.see(&page).await.text;
    for message in [
        "(waited 160.000 ms, handled in 50.000 ms)",
        "the clocks contradict each other",
        "⁄⁄ 2 h ⁄⁄",
        "of which active <strong>400.000 ms",
        "class=\"both torn\"",
    ] {
        assert!(short.contains(message), "{message}: {short}");
    }
    let long = shop.see(&format!("{page}&gap=0")).await.text;
    assert!(!long.contains("⁄⁄") && long.contains("of which idle 2 h 0 min"), "{long}");
    let table = shop.see(&format!("{page}&view=table")).await.text;
    assert!(table.contains(">160.000 ms</td>") && table.contains(">50.000 ms</td>"), "{table}");
    assert_eq!(shown(&table), shown(&short));
}

#[tokio::test]
async fn deep_and_numerous_rows_are_folded_with_a_count_and_a_link() {
    let shop = Shop::open().await;
    placed(&shop).await;
    for _ in 0..30 {
        received(&shop, Some(1)).await;
    }
    received(&shop, Some(31)).await;
    received(&shop, Some(32)).await;
    received(&shop, Some(2)).await;
    let page = format!("/audit/c/{CORRELATION}?lang=en");
    let at = async |query: &str| shop.see(&format!("{page}&{query}")).await;
    let [first_twenty, all]: [Vec<i64>; 2] =
        [[1, 2, 34].into_iter().chain(3..=21).collect(), [1, 2, 34].into_iter().chain(3..=33).collect()];
    for (query, expected, message) in [
        ("", first_twenty.clone(), vec!["show 12 more", "sel=22#at-22"]),
        ("depth=1", (1..=21).collect(), vec!["show 12 more", "show 1 deeper", "sel=34#at-34"]),
        ("depth=0", vec![1], vec!["show 33 deeper", "sel=2#at-2"]),
        // The path to the selected event is open.
        ("sel=33", all.clone(), vec![]),
        ("depth=1&sel=32", [(1..=31).collect(), vec![32]].concat(), vec!["show 1 deeper"]),
        ("depth=0&sel=34", [vec![1, 2, 34], (3..=31).collect()].concat(), vec!["show 2 deeper"]),
    ] {
        for view in ["waterfall", "tree", "table"] {
            let got = at(&format!("{query}&view={view}")).await;
            assert_eq!((got.status, shown(&got.text)), (200, expected.clone()), "{view} {query}");
            assert!(message.iter().all(|message| got.text.contains(message)), "{view} {query}: {}", got.text);
            let chosen = got.text.matches("data-chosen").count();
            assert_eq!(chosen, usize::from(query.contains("sel=")), "{view} {query}");
            assert!(chosen == 0 || got.text.contains("<dl class=\"closer\">"), "{view} {query}");
            for tag in ["ol", "li", "details"] {
                let opened = got.text.matches(&format!("<{tag}>")).count()
                    + got.text.matches(&format!("<{tag} ")).count();
                assert_eq!(opened, got.text.matches(&format!("</{tag}>")).count(), "{view} {query}");
            }
        }
    }
    let [all_rows, folded] = [at("sel=33").await.text, at("").await.text];
    assert!(all_rows.len() > folded.len() && all_rows.contains("Close"));
    for (unknown, name) in [
        ("sel=35", "sel"),
        ("sel=0", "sel"),
        ("sel=x", "sel"),
        ("depth=-1", "depth"),
        ("depth=1001", "depth"),
        ("gap=2", "gap"),
        ("view=list", "view"),
    ] {
        let got = at(unknown).await;
        assert_eq!((got.status, shown(&got.text)), (200, first_twenty.clone()), "{unknown}");
        let message = format!("The address gives “{name}” a value that this page does not know.");
        assert!(
            got.text.contains(&message) && !got.text.contains(&format!("{unknown}&")),
            "{unknown}: {}",
            got.text
        );
    }
    assert_eq!(at("sel=33&sel=2").await.text.matches("data-chosen").count(), 1, "the first one counts");
}

/// Moves all recorded times back by so many minutes.
async fn earlier(shop: &Shop, minutes: i64) {
    shop.see("/api/audit/timeline").await.ok();
    let (log, micros) = (shop.store.log().db(), minutes * 60_000_000);
    let sql = match log.backend() {
        sea_orm::DatabaseBackend::Postgres => {
            format!("UPDATE @events SET recorded_at = recorded_at - interval '{minutes} minutes'")
        }
        _ => format!("UPDATE @events SET recorded_at = recorded_at - {micros}"),
    };
    shop.sql(log, &sql).await;
    let sql = format!("UPDATE @audit SET recorded_at = recorded_at - {micros}");
    shop.sql(&shop.generation("audit").await, &sql).await;
}

#[tokio::test]
async fn an_overdue_step_is_shown_until_it_comes_or_is_not_needed() {
    let shop = Shop::open().await;
    let order = placed(&shop).await;
    let (tree, trail) = (format!("c/{CORRELATION}"), format!("a/order/{order}"));
    let pending = async |address: &str| {
        let pending = shop.see(&format!("/api/audit/{address}")).await.ok()["pending"].clone();
        let page = shop.see(&format!("/audit/{address}?lang=en")).await.text;
        let shown = page.matches("still missing").count();
        assert_eq!(pending.as_array().unwrap().len(), shown, "{page}");
        (pending, page)
    };
    for address in [&tree, &trail] {
        assert_eq!(pending(address).await.0, json!([]), "it has time");
    }
    earlier(&shop, 40).await;
    for address in [&tree, &trail] {
        let (pending, page) = pending(address).await;
        let one = &pending[0];
        assert_eq!(
            (&one["after"], &one["type"], &one["within_seconds"]),
            (&json!(1), &json!("OrderPlaced"), &json!(900))
        );
        assert_eq!(one["expected"], json!(["OrderConfirmed", "OrderRefused", "OrderCancelled"]));
        assert!(one["overdue_seconds"].as_i64().is_some_and(|late| (1_500..1_800).contains(&late)), "{one}");
        let message = "ago; still missing: Order confirmed or Order refused or Order cancelled (expected within 15 min)";
        assert!(page.contains("Order placed 40 min") && page.contains(message), "{page}");
    }
    for view in ["tree", "table"] {
        let page = shop.see(&format!("/audit/{tree}?view={view}&lang=zh-CN")).await.text;
        assert!(page.contains("应在 15 分钟内") && page.contains("missing"), "{view} {page}");
    }
    // Another request makes it unnecessary: none of its events is in this correlation.
    shop.command::<Order>(order, order::Command::Cancel { reason: "changed my mind".to_owned() }).await;
    for address in [&tree, &trail] {
        assert_eq!(pending(address).await.0, json!([]), "it is needed no more");
    }
}

#[tokio::test]
async fn an_overdue_erasure_is_shown() {
    let shop = Shop::open().await;
    let user = shop.user("Zebedee", "UK").await;
    let purposes = vec![Purpose::Account];
    let ask = person::Command::RequestErasure { purposes: purposes.clone() };
    shop.command::<person::Person>(user, ask).await;
    earlier(&shop, 20).await;
    let trail = format!("/api/audit/a/person/{user}");
    let pending = async || shop.see(&trail).await.ok()["pending"].clone();
    assert_eq!(pending().await[0]["expected"], json!(["PersonErased"]));
    shop.store.keys().erase(user, &purposes).await.unwrap();
    shop.command::<person::Person>(user, person::Command::ConfirmErasure { purposes }).await;
    assert_eq!(pending().await, Value::Array(Vec::new()), "it came late");
}
