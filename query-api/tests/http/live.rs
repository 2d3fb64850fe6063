//! The audit trail as it happens: server-sent events.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures::StreamExt as _;
use serde_json::Value;
use soonshop_service_kit::access::Role;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::shop::*;

/// A reader that is connected.
struct Reader {
    body: BodyDataStream,
    held: String,
}

/// One message: what it is, its id, and its data.
#[derive(Debug, PartialEq)]
struct Message {
    event: String,
    id: String,
    data: String,
}

impl Reader {
    async fn open(shop: &Shop, role: Role, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("/api/audit/stream?{query}"))
            .header("authorization", format!("Bearer {}", shop.keys[&role]));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
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

    /// The next one that is no sign of life; `None`: the stream is over.
    async fn next(&mut self) -> Option<Message> {
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

    /// Positions as they come, until the last one is there.
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
async fn a_reader_misses_nothing_over_breaks_and_has_nothing_twice() {
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
    // The browser says where it was; that counts, and not what the address said at first.
    let mut again = Reader::open(&shop, Role::Support, "after=1", Some("4")).await;
    assert_eq!(again.next().await.unwrap().event, "begin");
    assert_eq!(again.positions(254).await, (5..=254).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_has_what_it_looks_for_masked_and_as_the_page_shows_it() {
    let shop = Shop::open().await;
    let mut reader = Reader::open(&shop, Role::Auditor, "after=0&agg=user&html=1&lang=zh-CN", None).await;
    reader.next().await.unwrap();
    shop.product("Mug", &["mug"], None).await;
    shop.user("Zebedee", "UK").await;
    let message = reader.next().await.unwrap();
    assert!(
        message.data.contains("用户注册") && message.data.contains("<li") && message.data.contains("已遮蔽"),
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
async fn a_reader_of_another_log_begins_anew_and_a_stop_ends_all() {
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
