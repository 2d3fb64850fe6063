//! Means that keep pages short: windows of long histories, groups that fold, titles, and how much room a row takes.

use soonshop_domain::Metadata;
use soonshop_domain::ids::{self, OrderId};
use soonshop_domain::inventory;
use soonshop_domain::order::{self, Order};
use soonshop_domain::product::{self, Product};
use soonshop_event_store::CommandContext;
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::shop::*;

/// A product with so many versions.
async fn priced(shop: &Shop, versions: i64) -> Uuid {
    let id = shop.product("Mug", &["mug"], None).await;
    for version in 2..=versions {
        let price = product::Command::SetPrice { sku: sku("mug"), price: pounds(500 + version) };
        shop.command::<Product>(id, price).await;
    }
    id
}

/// The versions that a page lists, in order.
fn listed(page: &str) -> Vec<i64> {
    let rows = page.split("<li id=\"v").skip(1);
    rows.map(|row| row.split('"').next().unwrap().parse().unwrap()).collect()
}

/// The address of the link that begins with this sign.
fn link(page: &str, sign: char) -> Option<String> {
    let found = page
        .split("<a href=\"")
        .skip(1)
        .find(|link| link.split_once('>').is_some_and(|(_, text)| text.starts_with(sign)));
    Some(found?.split('"').next().unwrap().replace("&amp;", "&"))
}

fn title(page: &str) -> &str {
    page.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0
}

#[tokio::test]
async fn a_history_lists_a_window_around_the_selected_version_whose_pages_join() {
    let shop = Shop::open().await;
    let page = format!("/audit/a/product/{}", priced(&shop, 90).await);
    for (query, expected) in [
        ("", 86..=90),
        ("?v=90", 86..=90),
        ("?v=1", 1..=21),
        ("?v=5", 1..=25),
        ("?v=6", 2..=26),
        ("?v=50", 46..=70),
        ("?v=80", 76..=90),
        // Another page of the list, while the same version stays selected.
        ("?v=50&before=30", 5..=29),
        ("?v=50&before=3", 1..=2),
        ("?v=50&before=9223372036854775807", 66..=90),
    ] {
        let got = shop.see(&format!("{page}{query}")).await;
        let expected: Vec<_> = expected.collect();
        assert_eq!((got.status, listed(&got.text)), (200, expected.clone()), "{query}");
        let (first, last) = (expected.first(), expected.last());
        assert_eq!(link(&got.text, '▴').is_some(), first.is_some_and(|first| *first > 1), "{query}");
        assert_eq!(link(&got.text, '▾').is_some(), last.is_some_and(|last| *last < 90), "{query}");
    }
    for (sign, begin) in [('▾', "?v=1"), ('▴', "?v=90")] {
        let (mut way, mut seen) = (format!("{page}{begin}"), Vec::new());
        loop {
            let text = shop.see(&way).await.text;
            seen.push(listed(&text));
            let Some(next) = link(&text, sign) else { break };
            way = next;
        }
        if sign == '▴' {
            seen.reverse();
        }
        assert_eq!(seen.concat(), (1..=90).collect::<Vec<_>>(), "{sign} neither skips nor repeats");
    }
    // The endpoint lists as many as before.
    let json = shop.see(&format!("/api{page}?v=50")).await.ok();
    assert_eq!(json["events"].as_array().unwrap().len(), 90);
}

#[tokio::test]
async fn a_state_of_many_fields_is_folded_after_the_first_ones() {
    let shop = Shop::open().await;
    shop.stock("mug", "main", inventory::Command::Receive { quantity: 1_000 }).await;
    let order_id = OrderId(ids::new());
    for line in 1..=60 {
        shop.stock("mug", "main", inventory::Command::Reserve { order_id, line, quantity: 1 }).await;
    }
    let stock = inventory::stream(&sku("mug"), "main");
    let page = shop.see(&format!("/audit/a/stock/{stock}?cmp=0&lang=en")).await.text;
    let json = shop.see(&format!("/api/audit/a/stock/{stock}?cmp=0")).await.ok();
    let changes = json["diff"]["changes"].as_array().unwrap().len();
    assert!(changes > 60, "{changes}");
    let folds: Vec<_> = page.split("<details class=\"others\">").skip(1).collect();
    assert_eq!(folds.len(), 2, "of what changed, and of the state");
    for fold in &folds {
        let rows = fold.split("</details>").next().unwrap().matches("<tr>").count();
        // Its head is a row, too.
        assert!(fold.contains(&format!("<summary>{} more fields</summary>", rows - 1)), "{fold}");
    }
    let rows_before = page.split("<details class=\"others\">").next().unwrap().matches("<tr>").count();
    assert_eq!(rows_before, 31, "a head and thirty rows");
    assert_eq!(page.matches("data-name=\"Before\"").count(), changes, "every change is on the page");
}

#[tokio::test]
async fn a_title_names_what_a_page_shows_in_both_languages() {
    let shop = Shop::open().await;
    let product = priced(&shop, 3).await;
    let order = ids::new();
    let place = place_of("558638", guest(), vec![line(1, "mug", 2, 500)], "UK");
    let correlation = Uuid::from_u128(7);
    let metadata = Metadata { correlation_id: Some(correlation), ..Metadata::default() };
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata);
    shop.feed.wake(
        shop.store.execute::<Order>(order, place, context).await.unwrap().answer.last_position.unwrap(),
    );
    shop.command::<Order>(order, order::Command::Confirm).await;
    shop.stock("mug", "main", inventory::Command::Receive { quantity: 1 }).await;
    let user = shop.user("Zebedee", "UK").await;
    let short = format!("…{}", &user.to_string()[28..]);
    // Names come from the read model, which the page of an aggregate does not wait for.
    shop.see("/api/audit/timeline").await.ok();
    let stock = inventory::stream(&sku("mug"), "main");
    for (path, english, chinese) in [
        (format!("/audit/a/order/{order}?v=1"), "Order 558638, version 1", "订单 558638，版本 1"),
        (format!("/audit/a/order/{order}"), "Order 558638, version 2", "订单 558638，版本 2"),
        (format!("/audit/a/product/{product}"), "Product Mug, version 3", "商品 Mug，版本 3"),
        (format!("/audit/a/stock/{stock}"), "Stock MUG · main, version 1", "库存 MUG · main，版本 1"),
        (
            format!("/audit/a/user/{user}"),
            &format!("User {short}, version 1"),
            &format!("用户 {short}，版本 1"),
        ),
        ("/audit/timeline".to_owned(), "Timeline", "时间线"),
        (
            "/audit/timeline?q=mug&agg=product&order=asc".to_owned(),
            "Timeline: mug agg:product",
            "时间线：mug agg:product",
        ),
        ("/audit/projections/orders".to_owned(), "Read models: orders", "读模型：orders"),
    ] {
        for (tag, expected, place) in [("en", english, "Audit"), ("zh-CN", chinese, "审计")] {
            let and = if path.contains('?') { '&' } else { '?' };
            let got = shop.see(&format!("{path}{and}lang={tag}")).await;
            assert_eq!(
                (got.status, title(&got.text)),
                (200, format!("{expected} · {place}").as_str()),
                "{path}"
            );
        }
    }
    let page = shop.see(&format!("/audit/c/{correlation}?lang=en")).await.text;
    assert!(
        title(&page).starts_with("Cause and effect: Order 558638 was placed: 1 line"),
        "{}",
        title(&page)
    );
    // Revealed values stay out of it.
    let revealed = [("reason", "ticket 4711")];
    shop.store.keys().ensure(ids::OPERATOR, soonshop_domain::Purpose::Account).await.unwrap();
    let page = format!("/audit/a/user/{user}?lang=en");
    let shown = shop.post_as(Some(Role::Auditor), &page, &revealed).await.text;
    assert!(shown.contains("Zebedee") && title(&shown) == format!("User {short}, version 1 · Audit"));
}

#[tokio::test]
async fn the_room_that_a_row_takes_is_chosen_once_and_kept() {
    let shop = Shop::open().await;
    let compact = "data-density=\"compact\"";
    let comfortable = "data-density=\"comfortable\"";
    let page = shop.see("/audit/timeline?lang=en").await;
    assert!(page.text.contains(compact) && page.header("set-cookie").contains("soonshop_lang"));
    assert!(page.text.contains("density=comfortable"), "a link chooses the other one");
    let chosen = shop.see("/audit/timeline?density=comfortable").await;
    let cookie = chosen.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(cookie, "soonshop_density=comfortable");
    assert!(chosen.text.contains(comfortable) && !chosen.text.contains(compact));
    let with = [("cookie", cookie.as_str())];
    for path in ["/audit", "/audit/parked", "/audit/timeline?q=mug"] {
        assert!(shop.see_as(Role::Support, path, &with).await.text.contains(comfortable), "{path}");
    }
    let both = shop.see_as(Role::Support, "/audit?density=compact", &with).await.text;
    assert!(both.contains(compact), "the address goes before the cookie");
    let unknown = [("cookie", "soonshop_density=\"><b>")];
    assert!(shop.see_as(Role::Support, "/audit", &unknown).await.text.contains(compact));
    let huge = shop.see_as(Role::Support, "/audit?density=huge", &with).await;
    assert!(huge.status == 200 && huge.text.contains(comfortable), "what was chosen before stays");
    assert!(!huge.header("set-cookie").contains("density"), "{}", huge.header("set-cookie"));
    // It is no part of a search: neither an export nor a saved view keeps it.
    assert!(!chosen.text.contains("export.csv?density"), "{}", chosen.text);
    let form = [("title", "Roomy"), ("query", "q=mug&density=comfortable")];
    shop.post_as(Some(Role::Ops), "/audit/views", &form).await;
    assert_eq!(shop.get("/audit/views/roomy").await.header("location"), "/audit/timeline?q=mug");
}
