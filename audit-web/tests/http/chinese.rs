//! Chinese pages are Chinese: whatever they show, no English is left, except ids, codes, names that the shop gave, and
//! texts that are marked as English.

use std::collections::BTreeSet;

use serde_json::json;
use soonshop_domain::order::{self, Order};
use soonshop_domain::product::{self, Product};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Channel, Metadata, Purpose, ids, inventory};
use soonshop_event_store::CommandContext;
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::operations::{add, each_kind};
use crate::shop::*;

/// Words of other languages that Chinese texts use themselves.
#[rustfmt::skip]
const KEPT: &[&str] = &[
    // Names of products and formats.
    "API", "CSV", "JSON", "NDJSON", "OpenAPI", "SoonShop", "UUID", "UTC",
    // The other language, by its own name.
    "English",
    // A currency.
    "GBP",
    // An example of a tag, which takes Latin letters only.
    "call", "back", "late",
];

/// Elements whose text is a code, or is for programs.
const CODES: [&str; 5] = ["code", "pre", "kbd", "script", "style"];

/// Elements without an end.
const VOID: [&str; 4] = ["input", "link", "meta", "br"];

/// The value of an attribute in a tag.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    tag.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| Some(rest.split_once('"')?.0))
}

/// The readable parts of a page: its texts, and the attributes that are read out or shown; without what is marked as a
/// code, or as another language.
fn message(page: &str) -> Vec<String> {
    let (mut message, mut open): (Vec<String>, Vec<(String, bool)>) = (Vec::new(), Vec::new());
    for piece in page.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        let name = tag.split([' ', '/']).next().unwrap().to_owned();
        if let Some(ended) = tag.strip_prefix('/') {
            while open.pop().is_some_and(|(name, _)| name != ended) {}
        } else {
            let hidden = CODES.contains(&name.as_str())
                || attribute(tag, "translate") == Some("no")
                || attribute(tag, "lang").is_some_and(|lang| !lang.starts_with("zh"))
                || open.last().is_some_and(|(_, hidden)| *hidden);
            if !hidden {
                let read =
                    ["aria-label", "aria-valuetext", "placeholder", "data-name", "data-title", "data-stop"];
                message.extend(read.iter().filter_map(|name| attribute(tag, name)).map(str::to_owned));
            }
            if !VOID.contains(&name.as_str()) && !name.starts_with('!') {
                open.push((name, hidden));
            }
        }
        if !open.last().is_some_and(|(_, hidden)| *hidden) {
            message.push(text.to_owned());
        }
    }
    message
}

/// Words of at least two Latin letters. A search as it is typed, such as `agg:order`, an amount and an address are none.
fn words(text: &str) -> Vec<String> {
    let typed = |part: &str| {
        part.contains([':', '/', '_', '@', '=']) || part.contains(|sign: char| sign.is_ascii_digit())
    };
    let text = ["&amp;", "&lt;", "&gt;", "&quot;"]
        .iter()
        .fold(text.to_owned(), |text, sign| text.replace(sign, " "));
    let parts = text.split_whitespace().filter(|part| !typed(part));
    let words = parts.flat_map(|part| part.split(|sign: char| !sign.is_ascii_alphabetic()));
    words.filter(|word| word.len() > 1 && !KEPT.contains(word)).map(str::to_owned).collect()
}

/// Names that the shop of this test gave, what was searched for, and the name of a read model.
const GIVEN: &[&str] =
    &["main", "Cups", "colour", "red", "France", "late", "lost", "for", "every", "day", "zzz", "orders"];

async fn metadata(shop: &Shop, id: Uuid, command: order::Command, channel: Channel, reason: &str) {
    let metadata = Metadata {
        correlation_id: Some(Uuid::from_u128(7)),
        channel: Some(channel),
        reason_code: Some(reason.to_owned()),
        actor_kind: Some(soonshop_domain::ActorKind::Staff),
        actor_id: Some("42".to_owned()),
        command_type: Some("order.cancel".to_owned()),
        ..Metadata::default()
    };
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata);
    let done = shop.store.execute::<Order>(id, command, context).await.unwrap();
    let position = done.answer.last_position.unwrap();
    shop.last.fetch_max(position, std::sync::atomic::Ordering::SeqCst);
    shop.feed.wake(position);
}

/// Something of every kind, with names that are no words; returns the pages of it.
async fn lived(shop: &Shop) -> Vec<String> {
    let product = shop.product("杯子", &["C1"], Some("Cups")).await;
    let price = product::Command::SetPrice { sku: sku("C1"), price: pounds(700) };
    shop.command::<Product>(product, price).await;
    shop.stock("C1", "main", inventory::Command::Receive { quantity: 7 }).await;
    let count = inventory::Command::Adjust { quantity: -1, reason: "lost".to_owned() };
    shop.stock("C1", "main", count).await;
    let user = shop.user("U7", "France").await;
    let mut orders = Vec::new();
    for number in 1..=4 {
        let order = ids::new();
        let place = place_of(&format!("S-{number}"), user_id(user), vec![line(1, "C1", 1, 500)], "France");
        shop.command_at::<Order>(order, place, at("2011-01-04T08:26:00Z")).await;
        orders.push(order);
    }
    let refusal = order::Refusal { line: 1, sku: sku("C1"), reason: "insufficient-stock".to_owned() };
    shop.command::<Order>(orders[1], order::Command::Refuse { refusal }).await;
    shop.command::<Order>(orders[2], order::Command::Confirm).await;
    shop.command::<Order>(orders[2], order::Command::Ship).await;
    let cancel = order::Command::Cancel { reason: "not-shipped-in-time".to_owned() };
    metadata(shop, orders[3], cancel, Channel::Admin, "not-shipped-in-time").await;
    shop.command::<User>(user, user::Command::Delete).await;
    shop.erase(user, &[Purpose::Account, Purpose::Invoice]).await;
    let stock = inventory::stream(&sku("C1"), "main");
    let note = [("version", "1"), ("tags", "late"), ("shared", "1")];
    let path = format!("/audit/a/order/{}", orders[0]);
    assert_eq!(shop.post_as(Some(Role::Auditor), &format!("{path}/notes"), &note).await.status, 303);
    let view = [("title", "杯子"), ("query", "q=agg:order")];
    assert_eq!(shop.post_as(Some(Role::Ops), "/audit/views", &view).await.status, 303);
    shop.post_as(Some(Role::Auditor), &path, &[("reason", "茶茶茶")]).await;
    let rows = shop.generation("products").await;
    let parked = "INSERT INTO @parked (position, event_id, rows, cause) VALUES (2, 'x', '[]', '坏')";
    shop.sql(&rows, parked).await;
    let mut pages: Vec<String> = [
        "/",
        "/audit",
        "/audit/timeline",
        "/audit/timeline?group=1",
        "/audit/timeline?sort=occurred&order=asc",
        "/audit/timeline?q=nothing:1",
        "/audit/timeline?q=%22zzz%22",
        "/audit/timeline?from=soon",
        "/audit/projections",
        "/audit/projections/orders",
        "/audit/processes",
        "/audit/processes?state=all",
        "/audit/parked",
        "/audit/integrity",
        "/audit/operations",
        "/audit/operations?sign_ins=1&actor=guest",
        "/audit/operations/1",
        "/audit/views",
        "/audit/jump?id=nothing-1",
        "/audit/keys",
        "/audit/sign-in",
        "/audit/nowhere",
        "/audit/e/999999",
    ]
    .map(str::to_owned)
    .into();
    let correlation = format!("/audit/c/{}", Uuid::from_u128(7));
    pages.extend(["waterfall", "tree", "table"].map(|view| format!("{correlation}?view={view}")));
    pages.extend(orders.iter().map(|order| format!("/audit/a/order/{order}")));
    pages.extend([
        format!("/audit/a/product/{product}"),
        format!("/audit/a/stock/{stock}"),
        format!("/audit/a/user/{user}"),
        format!("/audit/a/person/{user}"),
        format!("/audit/a/user/{user}?v=1"),
    ]);
    pages
}

#[tokio::test]
async fn no_english_is_left_on_a_chinese_page() {
    let shop = Shop::open().await;
    let pages = lived(&shop).await;
    shop.see("/api/audit/timeline").await.ok();
    let mut left = Vec::new();
    for path in pages {
        let sign = if path.contains('?') { '&' } else { '?' };
        let got =
            shop.see_as(Role::Admin, &format!("{path}{sign}lang=zh-CN"), &[("accept", "text/html")]).await;
        if !got.header("content-type").starts_with("text/html") {
            // This process has no such page.
            assert!([404, 303].contains(&got.status), "{path}: {}", got.text);
            continue;
        }
        assert!(got.text.contains("lang=\"zh-CN\""), "{path}");
        let found: BTreeSet<String> = message(&got.text).iter().flat_map(|text| words(text)).collect();
        left.extend(
            found.into_iter().filter(|word| !GIVEN.contains(&word.as_str())).map(|word| (path.clone(), word)),
        );
    }
    assert!(left.is_empty(), "{left:#?}");
}

/// Everything that the entries of the record name: read models, views, a process manager and its command.
const OF_ENTRIES: &[&str] = &["orders", "refunds", "returns", "fulfilment", "stock", "reserve"];

#[tokio::test]
async fn the_page_of_an_entry_of_any_kind_is_chinese() {
    let shop = Shop::open().await;
    let kinds = each_kind();
    let mut left = Vec::new();
    for (number, (action, subject, detail, _)) in kinds.iter().enumerate() {
        add(&shop, "staff:42", action, subject, detail.clone()).await;
        let page = shop.get(&format!("/audit/operations/{}?lang=zh-CN", number + 1)).await;
        assert_eq!(page.status, 200, "{action}: {}", page.text);
        let found: BTreeSet<String> = message(&page.text).iter().flat_map(|text| words(text)).collect();
        left.extend(
            found.into_iter().filter(|word| !OF_ENTRIES.contains(&word.as_str())).map(|word| (*action, word)),
        );
    }
    assert!(left.is_empty(), "{left:#?}");
    let page = shop.get("/audit/operations/3?lang=zh-CN").await.text;
    for message in [
        "<span class=\"field\" title=\"person\">当事人</span>",
        "<span class=\"coded\" title=\"name, email\">名称、邮箱</span>",
        "<span class=\"coded\" title=\"parcel-label\">包裹标签</span>",
    ] {
        assert!(page.contains(message), "{message}: {page}");
    }
    let english = shop.get("/audit/operations/3?lang=en").await.text;
    assert!(english.contains("<code translate=\"no\">person</code>"), "{english}");
}

#[tokio::test]
async fn fields_values_and_reasons_have_chinese_names() {
    let shop = Shop::open().await;
    let pages = lived(&shop).await;
    let cancelled = pages.iter().filter(|path| path.starts_with("/audit/a/order/")).nth(3).unwrap();
    let page = shop.see(&format!("{cancelled}?lang=zh-CN")).await.text;
    for message in [
        "<span class=\"field\" title=\"/status\">状态</span>",
        "<span class=\"coded\" title=\"cancelled\">已取消</span>",
        "<span class=\"field\" title=\"/placed/lines/number=1/quantity\">下单内容 / 各行 / 第 1 行 / 数量</span>",
        "原因：<span class=\"coded\" title=\"not-shipped-in-time\">未按时发货</span>",
    ] {
        assert!(page.contains(message), "{message}: {page}");
    }
    let english = shop.see(&format!("{cancelled}?lang=en")).await.text;
    assert!(english.contains("<code translate=\"no\">/status</code>"), "{english}");
    let line = "title=\"/placed/lines/number=1/quantity\">/placed/lines/line 1/quantity</code>";
    assert!(english.contains(line), "{english}");
    assert!(english.contains("replay-tool show order S-4 --as-of v2"), "{english}");
}

#[test]
fn the_test_reads_what_people_read() {
    let page = "<p aria-label=\"One two\">三 <code>four</code> <b translate=\"no\">five <i>six</i></b> seven<br>8</p>\
                <span lang=\"en\">nine</span><input placeholder=\"agg:order ten\"> CSV";
    let found: Vec<String> = message(page).iter().flat_map(|text| words(text)).collect();
    assert_eq!(json!(found), json!(["One", "two", "seven", "ten"]));
}
