//! The live stream of the audit trail: server-sent events.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue, Request};
use futures::StreamExt as _;
use serde_json::Value;
use soonshop_service_kit::access::{Access, Role};
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::shop::*;

/// A reader that is connected.
pub(crate) struct Reader {
    body: BodyDataStream,
    held: String,
}

/// One message: its event, its id, and its data.
#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Reader {
    pub(crate) async fn open(shop: &Shop, role: Role, query: &str, last: Option<&str>) -> Self {
        let key = format!("Bearer {}", shop.keys[&role]);
        let headers =
            [("authorization", key.as_str())].into_iter().chain(last.map(|last| ("last-event-id", last)));
        Self::open_with(shop, query, &headers.collect::<Vec<_>>()).await
    }

    async fn open_with(shop: &Shop, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = Request::get(format!("/api/audit/stream?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = shop.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert!(
            response.headers()["cache-control"] == "no-store"
                && !response.headers().contains_key("content-encoding")
        );
        Self { body: response.into_body().into_data_stream(), held: String::new() }
    }

    /// The next message that is about events, or about the stream's beginning or end; `None`: the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.message().await?;
            if message.event != "caught-up" {
                return Some(message);
            }
        }
    }

    /// The next message that is not a keep-alive; `None`: the stream has ended.
    async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.held.find("\n\n") {
                let rest = self.held.split_off(end + 2);
                let message = std::mem::replace(&mut self.held, rest);
                let field = |name: &str| {
                    let lines = message.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                    lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
                };
                let message = Message { event: field("event"), id: field("id"), data: field("data") };
                if message.event != "alive" {
                    return Some(message);
                }
                continue;
            }
            let more = timeout(Duration::from_secs(30), self.body.next()).await.expect("it comes in time");
            self.held.push_str(std::str::from_utf8(&more?.unwrap()).unwrap());
        }
    }

    /// Positions in order of arrival, up to the last one.
    async fn positions(&mut self, last: i64) -> Vec<i64> {
        let mut all = Vec::new();
        while all.last() != Some(&last) {
            let message = self.next().await.unwrap();
            assert_eq!(message.event, "events");
            let data: Value = serde_json::from_str(&message.data).unwrap();
            assert_eq!(message.id, data["position"].to_string());
            all.extend(
                data["items"].as_array().unwrap().iter().map(|item| item["position"].as_i64().unwrap()),
            );
        }
        all
    }
}

#[tokio::test]
async fn a_follower_gets_every_event_once_across_reconnects() {
    let shop = Shop::open().await;
    for name in ["a", "b", "c"] {
        shop.user(name, "UK").await;
    }
    shop.see("/api/audit/timeline").await;
    let mut reader = Reader::open(&shop, Role::Support, "after=1", None).await;
    assert_eq!(reader.next().await.unwrap().event, "begin");
    assert_eq!(reader.positions(3).await, [2, 3]);
    shop.user("d", "UK").await;
    assert_eq!(reader.positions(4).await, [4]);
    drop(reader);
    for number in 0..250 {
        shop.user(&format!("u{number}"), "UK").await;
    }
    shop.see("/api/audit/timeline").await;
    // The browser's last id counts, and not the address of the first request.
    let mut again = Reader::open(&shop, Role::Support, "after=1", Some("4")).await;
    assert_eq!(again.next().await.unwrap().event, "begin");
    assert_eq!(again.positions(254).await, (5..=254).collect::<Vec<_>>());
}

#[tokio::test]
async fn each_message_says_where_it_begins_and_one_message_says_that_a_follower_has_caught_up() {
    let shop = Shop::open().await;
    for name in ["a", "b"] {
        shop.user(name, "UK").await;
    }
    shop.product("Mug", &["mug"], None).await;
    shop.see("/api/audit/timeline").await;
    // Two messages hold the users before, whose head is the product that does not match.
    let mut reader = Reader::open(&shop, Role::Support, "after=1&agg=user", None).await;
    assert_eq!(reader.message().await.unwrap().event, "begin");
    let range = |message: Message| {
        assert_eq!(message.event, "events");
        let data: Value = serde_json::from_str(&message.data).unwrap();
        let items: Vec<_> =
            data["items"].as_array().unwrap().iter().map(|item| item["position"].clone()).collect();
        (data["after"].clone(), data["position"].clone(), Value::from(items))
    };
    assert_eq!(range(reader.message().await.unwrap()), (1.into(), 3.into(), vec![2].into()));
    let caught_up = reader.message().await.unwrap();
    assert_eq!(
        (caught_up.event.as_str(), caught_up.id.as_str(), caught_up.data.as_str()),
        ("caught-up", "3", "3")
    );
    // An event that does not match is in no message, and leaves no gap between those that are sent.
    shop.product("Cup", &["cup"], None).await;
    shop.see("/api/audit/timeline").await;
    shop.user("c", "UK").await;
    assert_eq!(range(reader.message().await.unwrap()), (3.into(), 5.into(), vec![5].into()));
    // A reader that is not behind learns it at once, and one that follows another log does not.
    let mut there = Reader::open(&shop, Role::Support, "agg=user", None).await;
    assert_eq!(there.message().await.unwrap().event, "begin");
    assert_eq!(there.message().await.unwrap().event, "caught-up");
    let mut lost = Reader::open(&shop, Role::Support, "", Some("4711")).await;
    assert_eq!(lost.message().await.unwrap().event, "resync");
    shop.stop.cancel();
    assert_eq!(lost.message().await, None);
}

#[tokio::test]
async fn a_follower_gets_matching_rows_masked_as_on_the_page() {
    let shop = Shop::open().await;
    let mut reader = Reader::open(&shop, Role::Auditor, "after=0&agg=user&html=1&lang=zh-CN", None).await;
    reader.next().await.unwrap();
    shop.product("Mug", &["mug"], None).await;
    shop.user("Zebedee", "UK").await;
    let message = reader.next().await.unwrap();
    assert!(
        ["用户 …", " 注册</a>", "<li", "已遮蔽"].iter().all(|part| message.data.contains(part)),
        "{message:?}"
    );
    assert!(!message.data.contains("Zebedee") && !message.data.contains("Mug"), "{message:?}");
    let page = shop.see("/audit/timeline?agg=user&lang=zh-CN").await.text;
    let data: Value = serde_json::from_str(&message.data).unwrap();
    let row = data["html"][0].as_str().unwrap();
    let of = |text: &str| {
        text.split("<li").nth(1).unwrap().split("</li>").next().unwrap().replace("&amp;lang=zh-CN", "")
    };
    assert!(page.contains("class=\"row\"") && of(row).contains("class=\"row\""));
}

#[tokio::test]
async fn a_live_row_shows_the_same_changes_as_the_reloaded_page() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let mut reader = Reader::open(&shop, Role::Support, "after=1&html=1&lang=en", None).await;
    reader.next().await.unwrap();
    let price = soonshop_domain::product::Command::SetPrice { sku: sku("mug"), price: pounds(700) };
    shop.command::<soonshop_domain::product::Product>(id, price).await;
    let data: Value = serde_json::from_str(&reader.next().await.unwrap().data).unwrap();
    let page = shop.see("/api/audit/timeline?limit=1").await.items();
    assert_eq!((&data["items"][0], &page[0]["changes"][0]["after"]["amount"]), (&page[0], &700.into()));
    let row = data["html"][0].as_str().unwrap();
    assert!(row.contains("<del>") && row.contains("GBP 5.00") && row.contains("GBP 7.00"), "{row}");
}

#[tokio::test]
async fn a_position_of_another_log_restarts_the_stream_and_a_stop_ends_it() {
    let shop = Shop::open().await;
    shop.user("a", "UK").await;
    shop.see("/api/audit/timeline").await;
    let mut ahead = Reader::open(&shop, Role::Ops, "", Some("4711")).await;
    assert_eq!(
        ahead.next().await.unwrap(),
        Message { event: "resync".into(), id: String::new(), data: "1".into() }
    );
    let mut open = Reader::open(&shop, Role::Ops, "", None).await;
    assert_eq!(open.next().await.unwrap().data, "1");
    shop.stop.cancel();
    assert_eq!(open.next().await, None);
    for query in ["q=type:%5B", "after=x", "limit=3", "secret=1", "tz=Mars"] {
        assert_eq!(
            shop.get(&format!("/api/audit/stream?{query}")).await.refused(),
            (400, "invalid-query".into()),
            "{query}"
        );
    }
    assert_eq!(shop.get_with("/api/audit/stream", &[("last-event-id", "x")]).await.status, 400);
    assert_eq!(shop.get_as(Role::Service, "/api/audit/stream").await.status, 403);
}

#[tokio::test]
async fn a_stream_ends_with_its_session_or_key() {
    let shop = Shop::open().await;
    let (key, id) = shop.shelf.add(Role::Support, |_| {}).unwrap();
    let bearer = format!("Bearer {}", key.text());
    let mut by_key = Reader::open_with(&shop, "", &[("authorization", &bearer)]).await;
    let signed = shop.post_as(None, "/audit/sign-in", &[("key", &shop.keys[&Role::Ops])]).await;
    let cookie = signed.header("set-cookie").split(';').next().unwrap().to_owned();
    let mut by_session = Reader::open_with(&shop, "", &[("cookie", &cookie)]).await;
    for reader in [&mut by_key, &mut by_session] {
        assert_eq!(reader.next().await.unwrap().event, "begin");
    }
    shop.user("a", "UK").await;
    for reader in [&mut by_key, &mut by_session] {
        assert_eq!(reader.positions(1).await, [1]);
    }
    // The one is revoked, the other signs out in another process.
    shop.shelf.change(id, |known| known.revoked = true);
    let other = Access::new(None).with_keys(shop.shelf.clone());
    let sent = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&cookie).unwrap())]);
    other.sign_out(&sent).await.unwrap();
    for reader in [&mut by_key, &mut by_session] {
        let end = timeout(Duration::from_secs(30), reader.next()).await.expect("it is told within seconds");
        assert_eq!(end.unwrap().event, "signed-out");
        assert_eq!(reader.next().await, None);
    }
}

#[tokio::test]
async fn a_hundred_followers_get_the_same_and_a_stalled_one_delays_no_other() {
    let shop = Shop::open().await;
    let mut readers = Vec::new();
    for _ in 0..100 {
        readers.push(Reader::open(&shop, Role::Support, "after=0&html=1", None).await);
    }
    let asleep = Reader::open(&shop, Role::Support, "after=0&html=1", None).await;
    for number in 0..150 {
        shop.user(&format!("u{number}"), "UK").await;
    }
    let all = futures::future::join_all(readers.iter_mut().map(async |reader| {
        assert_eq!(reader.next().await.unwrap().event, "begin");
        reader.positions(150).await
    }));
    assert!(all.await.into_iter().all(|positions| positions == (1..=150).collect::<Vec<_>>()));
    let mut late = asleep;
    assert_eq!(late.next().await.unwrap().event, "begin");
    assert_eq!(late.positions(150).await, (1..=150).collect::<Vec<_>>());
}
