//! The pages of the audit trail.

use std::time::Duration;

use soonshop_domain::order::Order;
use soonshop_domain::product::{self, Product};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Metadata, ids};
use soonshop_event_store::CommandContext;
use uuid::Uuid;

use serde_json::json;

use crate::shop::*;

const HOSTILE: &str = "<script>alert('x')</script>\"><b>";

#[tokio::test]
async fn every_page_is_whole_escaped_in_both_languages_and_loads_nothing_from_elsewhere() {
    let shop = Shop::open().await;
    let correlation = Uuid::from_u128(7);
    let product = ids::new();
    let details = product::Details { name: HOSTILE.to_owned(), ..product::Details::default() };
    let variants = vec![product::Variant { sku: sku("mug"), price: Some(pounds(500)) }];
    let metadata = Metadata { correlation_id: Some(correlation), ..Metadata::default() };
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata);
    let create = product::Command::Create { details, variants };
    let done = shop.store.execute::<Product>(product, create, context).await.unwrap();
    shop.feed.wake(done.answer.last_position.unwrap());
    let user = ids::new();
    let planted = ["Zebedee Quux", "zebedee@quux.example"];
    let details = user::Details::try_new(user, Some(planted[0]), Some(planted[1]), None, Some("UK")).unwrap();
    shop.command::<User>(user, user::Command::Register { details }).await;
    let order = ids::new();
    let lines = vec![line(1, "mug", 1, 1299)];
    shop.command::<Order>(order, place_of("S-1", user_id(user), lines, "UK")).await;
    for path in [
        "/audit/timeline".to_owned(),
        "/audit/projections".to_owned(),
        format!("/audit/a/product/{product}"),
        format!("/audit/a/user/{user}"),
        format!("/audit/a/order/{order}"),
        format!("/audit/c/{correlation}"),
    ] {
        for (tag, word) in [("en", "Audit"), ("zh-CN", "审计")] {
            let got = shop.see(&format!("{path}?lang={tag}")).await;
            assert_eq!((got.status, got.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
            let policy = got.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; style-src 'self'") && !policy.contains("unsafe"));
            assert!(got.text.contains(&format!("<html lang=\"{tag}\"")) && got.text.contains(word), "{path}");
            for never in ["<script", "<b>", "style=", "http://", "https://", "eyJ", planted[0], planted[1]] {
                assert!(!got.text.contains(never), "{path}: {never}");
            }
        }
    }
    let timeline = shop.see("/audit/timeline?lang=en&theme=dark").await.text;
    assert!(
        timeline.contains("&lt;script&gt;") && timeline.contains("Order S-1 was placed, lines: 1, GBP 12.99")
    );
    assert!(timeline.contains("data-theme=\"dark\"") && timeline.contains("lang=en&amp;theme=dark"));
    let person = shop.see(&format!("/audit/a/user/{user}?lang=zh-CN")).await.text;
    assert!(person.contains("已遮蔽"));
    let style = shop.get("/audit/audit.css").await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(style.text.len() < 25_000 && style.text.contains("light-dark("));
}

#[tokio::test]
async fn a_page_that_is_refused_says_why_and_shows_nothing() {
    let shop = Shop::open().await;
    shop.product("Mug", &["mug"], None).await;
    let got = shop.see("/audit/timeline?q=mug+type:%5B").await;
    assert_eq!(got.status, 400);
    assert!(got.text.contains("<html") && got.text.contains("token 2") && !got.text.contains("Mug"));
    assert_eq!(shop.see("/audit/timeline?secret=1").await.refused(), (400, "invalid-query".into()));
    assert_eq!(shop.see(&format!("/audit/a/order/{}", Uuid::nil())).await.status, 404);
    let nothing = shop.see("/audit/timeline?q=nowhere&agg=user&lang=en").await;
    assert!(nothing.status == 200 && nothing.text.contains("agg=user") && nothing.text.contains("q=nowhere"));
    // Browsers name their languages; an address that names one wins.
    let headers = [("accept-language", "zh-CN,zh;q=0.9,en;q=0.8")];
    assert!(shop.get_with("/audit/timeline", &headers).await.text.contains("lang=\"zh-CN\""));
    assert!(shop.get_with("/audit/timeline?lang=en", &headers).await.text.contains("<html lang=\"en\""));
}

#[tokio::test]
async fn how_read_models_stand_is_one_answer_for_programs_and_people() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    // Each read model's keeper takes its lease in its own time.
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let kept = tokio::time::timeout(Duration::from_mins(1), async {
        loop {
            ticks.tick().await;
            let got = shop.see("/health/audit").await;
            if got.status == 200 {
                return got;
            }
        }
    });
    let got = kept.await.expect("every read model is kept before long");
    let health: serde_json::Value = serde_json::from_str(&got.text).unwrap();
    let items = health["items"].as_array().unwrap();
    assert_eq!((&health["healthy"], items.len()), (&true.into(), soonshop_projections::all().len()));
    let page = shop.see("/audit/projections?lang=en").await.text;
    assert!(page.contains("Every read model is as it should be.") && page.contains("products"), "{page}");

    let rows = shop.generation("products").await;
    let sql = format!(
        "INSERT INTO @parked (position, event_id, rows, cause) VALUES (1, 'x', '[\"products/{id}\"]', 'broken')"
    );
    shop.sql(&rows, &sql).await;
    let got = shop.see("/health/audit").await;
    assert_eq!(got.status, 503);
    let health: serde_json::Value = serde_json::from_str(&got.text).unwrap();
    let complaint = |name: &str| {
        let items = health["items"].as_array().unwrap();
        items.iter().find(|one| one["projection"] == name).unwrap()["complaint"].clone()
    };
    assert_eq!(complaint("products"), "events parked: 1");
    assert_eq!(complaint("orders"), serde_json::Value::Null);
    let page = shop.see("/audit/projections?lang=en").await.text;
    assert!(page.contains("Something is not as it should be.") && page.contains("events parked: 1"));
}

#[tokio::test]
async fn health_tells_of_the_log_the_relay_the_seals_and_what_is_parked() {
    let shop = Shop::still().await;
    let health = async || {
        let got = shop.see("/health/audit").await;
        (got.status, serde_json::from_str::<serde_json::Value>(&got.text).unwrap())
    };
    let (status, empty) = health().await;
    assert_eq!(
        (status, &empty["append"]["position"], &empty["append"]["age_seconds"]),
        (200, &json!(0), &json!(null))
    );
    shop.product("Mug", &["mug"], None).await;
    let (status, new) = health().await;
    let head = shop.store.log().head().await.unwrap();
    assert_eq!((status, &new["append"]["position"]), (200, &json!(head.position)));
    assert!(new["append"]["age_seconds"].as_f64().is_some_and(|age| (0.0..60.0).contains(&age)), "{new}");
    // Nobody publishes and nobody seals here: all of it waits.
    for name in ["relay", "seals"] {
        let (position, lag) = (&new[name]["position"], &new[name]["lag_events"]);
        assert_eq!(lag, &json!(head.position), "{name} {position}");
        assert_eq!(new[name]["complaint"], json!(null));
    }
    assert_eq!(new["parked"], 0);

    let process = shop.store.log().db().beside("process").unwrap();
    head.begin(&process, &process.connection, "relay").await.unwrap();
    let (_, published) = health().await;
    assert_eq!(
        (&published["relay"]["position"], &published["relay"]["lag_events"]),
        (&json!(head.position), &json!(0))
    );
    // It published another history than this one.
    shop.sql(&process, "UPDATE @checkpoints SET event_id = '00000000-0000-0000-0000-000000000001'").await;
    let (status, other) = health().await;
    assert_eq!((status, &other["healthy"]), (503, &json!(false)));
    assert!(other["relay"]["complaint"].as_str().unwrap().starts_with("ahead-of-log: relay"), "{other}");
    // What waits for longer than a minute is late.
    shop.sql(&process, "DELETE FROM @checkpoints").await;
    let old = match shop.store.log().db().backend() {
        sea_orm::DatabaseBackend::Postgres => "UPDATE @events SET recorded_at = now() - interval '2 minutes'",
        _ => "UPDATE @events SET recorded_at = recorded_at - 120000000",
    };
    shop.sql(shop.store.log().db(), old).await;
    let (_, late) = health().await;
    for name in ["relay", "seals"] {
        assert!(late[name]["complaint"].as_str().unwrap().ends_with(" s behind"), "{late}");
    }
}
