//! Process managers and their instances, for programs and people.

use axum::body::Body;
use axum::http::Request;
use sea_orm::ConnectionTrait as _;
use serde_json::json;
use soonshop_domain::order::Order;
use soonshop_domain::{Purpose, ids};
use soonshop_event_log::Db;
use soonshop_projections::operations;
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::shop::*;

const HOSTILE: &str = "<script>alert(1)</script>";

/// An order whose reservation fails for now, one that was refused, and one that is done.
async fn planted(shop: &Shop) -> [Uuid; 3] {
    let orders = [1, 2, 3].map(Uuid::from_u128);
    let process: Db = shop.store.log().db().beside("process").unwrap();
    let started =
        "INSERT INTO @checkpoints (follower, log, position) VALUES ('reactor:fulfilment', 'main', 0)";
    shop.sql(&process, started).await;
    let state =
        "INSERT INTO @processes (process, state, since) VALUES ('fulfilment', 'running', 1700000000000)";
    shop.sql(&process, state).await;
    for (order, phase) in orders.iter().zip(["reserving", "ended", "confirmed"]) {
        let sql = format!(
            "INSERT INTO @instances (process, instance, state, next, since) VALUES ('fulfilment', '{order}', \
             '{{\"phase\":\"{phase}\",\"lines\":[]}}', 3, 1700000000000)"
        );
        shop.sql(&process, &sql).await;
    }
    let task = r#"{"do":"reserve","place":{"sku":"MUG","location":"main"},"line":2,"quantity":1}"#;
    for number in [3, 4] {
        let waits = if number == 3 {
            format!("4, '{HOSTILE}', 1700000000000, 1700000000000")
        } else {
            "0, NULL, NULL, NULL".to_owned()
        };
        let sql = format!(
            "INSERT INTO @outbox (process, instance, number, input, task, attempts, last_error, waiting_since, retry_at) \
             VALUES ('fulfilment', '{}', {number}, '{}', '{task}', {waits})",
            orders[0],
            Uuid::nil()
        );
        shop.sql(&process, &sql).await;
    }
    let refused = format!(
        "UPDATE @instances SET refused_task = '{task}', refused_slug = 'insufficient-stock', \
         refused_at = 1700000000000 WHERE instance = '{}'",
        orders[1]
    );
    shop.sql(&process, &refused).await;
    orders
}

#[tokio::test]
async fn instances_are_listed_with_their_waiting_command() {
    let shop = Shop::without_projectors().await;
    let [waiting, refused, done] = planted(&shop).await;
    let items = async |query: &str| shop.see(&format!("/api/audit/processes{query}")).await.items();
    let open = items("").await;
    assert_eq!(open, items("?state=stuck").await);
    assert_eq!(open.len(), 1);
    let one = &open[0];
    assert_eq!((&one["instance"], &one["step"]), (&json!(waiting), &json!("reserving")));
    assert_eq!((&one["aggregate_type"], &one["aggregate_id"]), (&json!("order"), &json!(waiting)));
    assert_eq!(
        (&one["stuck"], &one["unsent"], &one["since"]),
        (&json!(true), &json!(2), &json!("2023-11-14T22:13:20Z"))
    );
    let unsent = &one["waits_with"];
    assert_eq!(
        (&unsent["command_type"], &unsent["purpose"], &unsent["key"]),
        (&json!("stock.reserve"), &json!("reserve"), &json!("2"))
    );
    assert_eq!((&unsent["attempts"], &unsent["reason"]), (&json!(4), &json!(HOSTILE)));

    let all = items("?state=all&process=fulfilment").await;
    assert_eq!(
        all.iter().map(|one| one["instance"].clone()).collect::<Vec<_>>(),
        [waiting, refused, done].map(|id| json!(id))
    );
    assert_eq!(all[1]["refused"]["slug"], "insufficient-stock");
    assert!(items("?state=all&process=release-unshipped").await.is_empty());
    // In pages.
    let first = shop.see("/api/audit/processes?state=all&limit=2").await;
    assert!(first.header("link").contains("rel=\"next\""));
    let next = first.ok()["next"].as_str().unwrap().to_owned();
    let rest = items(&format!("?state=all&limit=2&after={next}")).await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0]["instance"], json!(done));

    let status = &first.ok()["processes"][0];
    assert_eq!((&status["name"], &status["state"]), (&json!("fulfilment"), &json!("running")));
    assert_eq!((&status["unsent"], &status["waiting"]), (&json!(2), &json!(1)));

    let one = shop.see(&format!("/api/audit/processes/fulfilment/{refused}")).await.ok();
    assert_eq!((&one["step"], &one["history"]), (&json!("ended"), &json!([])));
}

#[tokio::test]
async fn an_unknown_process_instance_or_cursor_is_refused() {
    let shop = Shop::without_projectors().await;
    planted(&shop).await;
    for query in ["process=nothing", "after=nothing", "state=lost", "limit=0", "secret=1"] {
        let got = shop.see(&format!("/api/audit/processes?{query}")).await;
        assert_eq!(got.refused(), (400, "invalid-query".to_owned()), "{query}");
    }
    let known = shop.see("/api/audit/processes?process=nothing").await.json();
    assert!(
        known["detail"].as_str().unwrap().contains("fulfilment, release-unshipped, cart-expiry"),
        "{known}"
    );
    for path in [format!("fulfilment/{}", Uuid::from_u128(9)), format!("nothing/{}", Uuid::from_u128(1))] {
        let got = shop.see(&format!("/api/audit/processes/{path}")).await;
        assert_eq!(got.refused(), (404, "not-found".to_owned()), "{path}");
    }
    assert_eq!(shop.see("/audit/processes?process=nothing").await.status, 400);
    for (role, may) in [(Role::Support, true), (Role::Service, false)] {
        let status = shop.get_as(role, "/api/audit/processes").await.status;
        assert_eq!(status, if may { 200 } else { 403 });
    }
}

#[tokio::test]
async fn pages_show_the_same_in_both_languages_and_health_names_each_process() {
    let shop = Shop::without_projectors().await;
    let [waiting, refused, _] = planted(&shop).await;
    let page = shop.see("/audit/processes?lang=en").await.text;
    for part in [
        "fulfilment",
        "reserving stock",
        "stock.reserve",
        "&lt;script&gt;",
        &format!("/audit/a/order/{waiting}"),
        &format!("/audit/processes/fulfilment/{waiting}?lang=en"),
        "soonshop process retry fulfilment",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains(HOSTILE) && !page.contains(&refused.to_string()));
    let all = shop.see("/audit/processes?state=all&lang=zh-CN").await.text;
    assert!(all.contains("流程管理器") && all.contains("正在预留库存") && all.contains("insufficient-stock"));
    let health = shop.see("/health/audit").await.json();
    let one = &health["processes"][0];
    assert_eq!(
        (&one["name"], &one["waiting"], &one["complaint"]),
        (&json!("fulfilment"), &json!(1), &json!(null))
    );
    assert_eq!(health["healthy"], true, "{health}");

    // A process manager that stopped is named, with the reason.
    let process = shop.store.log().db().beside("process").unwrap();
    shop.sql(&process, "UPDATE @processes SET state = 'stopped', reason = 'it cannot be read'").await;
    let health = shop.see("/health/audit").await;
    assert_eq!(health.status, 503);
    assert_eq!(health.json()["processes"][0]["complaint"], "it cannot be read");
    for projector in soonshop_projections::all() {
        shop.registry.ensure(&*projector).await.unwrap();
    }
    let overview = shop.get("/audit?lang=en").await.text;
    assert!(overview.contains("stopped: <span lang=\"en\">it cannot be read</span>"), "{overview}");
    shop.sql(&process, "UPDATE @processes SET state = 'off', reason = NULL").await;
    assert_eq!(shop.see("/health/audit").await.json()["processes"][0]["complaint"], json!(null));
}

#[tokio::test]
async fn a_page_shows_one_instance_in_both_languages() {
    let shop = Shop::open().await;
    let [waiting, refused, done] = planted(&shop).await;
    // The order of the instance, with events to show.
    shop.command::<Order>(waiting, place_of("S-1", guest(), vec![line(1, "mug", 1, 1299)], "UK")).await;
    let page = async |id: Uuid, tag: &str| {
        let got = shop.see(&format!("/audit/processes/fulfilment/{id}?lang={tag}")).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.text
    };
    let text = page(waiting, "en").await;
    for part in [
        "This instance is stuck",
        "reserving stock",
        "stock.reserve</code>, line 2",
        "Why it waits",
        "&lt;script&gt;",
        "Order placed",
        "href=\"/audit/e/1?lang=en\"",
        &format!("href=\"/audit/a/order/{waiting}?lang=en\""),
        "href=\"/audit/a/stock/",
        "href=\"/audit/processes?process=fulfilment&amp;lang=en\"",
        "2023-11-14 22:13:20",
        "soonshop process retry fulfilment",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains(HOSTILE));
    let text = page(waiting, "zh-CN").await;
    for part in ["此实例已卡住", "正在预留库存", "等待原因", "stock.reserve</code>、第 2 行"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let text = page(refused, "en").await;
    assert!(
        text.contains("reserve</code>, line 2 <code translate=\"no\">insufficient-stock</code>"),
        "{text}"
    );
    let text = page(refused, "zh-CN").await;
    let message =
        "reserve</code>、第 2 行 <span class=\"coded\" title=\"insufficient-stock\">库存不足</span>";
    assert!(text.contains(message), "{text}");
    // A code without a name is shown by the text of its problem.
    let process = shop.store.log().db().beside("process").unwrap();
    shop.sql(&process, "UPDATE @instances SET refused_slug = 'person-erased' WHERE refused_slug IS NOT NULL")
        .await;
    let text = page(refused, "zh-CN").await;
    assert!(text.contains("<span class=\"coded\" title=\"person-erased\">该当事人的数据已删除"), "{text}");
    let text = page(done, "en").await;
    assert!(text.contains("confirmed") && text.contains("There are no events yet."), "{text}");
    assert!(!text.contains("This instance is stuck") && !text.contains("soonshop process retry"), "{text}");
    for path in ["nothing/1", "fulfilment/1"] {
        assert_eq!(shop.see(&format!("/audit/processes/{path}")).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn only_those_who_may_can_retry_a_command_from_its_page_and_it_is_recorded() {
    let shop = Shop::without_projectors().await;
    let [waiting, _, done] = planted(&shop).await;
    shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    let process: Db = shop.store.log().db().beside("process").unwrap();
    let far = 9_000_000_000_000_i64;
    shop.sql(&process, &format!("UPDATE @outbox SET retry_at = {far} WHERE number = 3")).await;
    let retry_at = async || -> i64 {
        let sql = process.statement("SELECT retry_at FROM @outbox WHERE number = 3", []);
        process.connection.query_one(sql).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    };
    let recorded =
        async || operations::last_of(shop.registry.operations(), "process-retry", 10).await.unwrap();
    let page = format!("/audit/processes/fulfilment/{waiting}");
    let form = "/retries?lang=en\"";
    assert!(shop.get_as(Role::Ops, &format!("{page}?lang=en")).await.text.contains(form));
    assert!(!shop.get_as(Role::Support, &format!("{page}?lang=en")).await.text.contains(form));

    let retries = format!("{page}/retries?lang=en");
    for role in [Role::Support, Role::Auditor, Role::Service] {
        assert_eq!(shop.post_as(Some(role), &retries, &[]).await.status, 403, "{role}");
    }
    let elsewhere = [
        ("origin", "https://evil.example"),
        ("host", "shop.example"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let forged = shop.send(Some(Role::Ops), Request::post(&retries), &elsewhere, Body::empty()).await;
    assert_eq!(forged.status, 403, "{}", forged.text);
    assert!(retry_at().await == far && recorded().await.is_empty());

    let form = [("reason", "the customer calls")];
    let retried = shop.post_as(Some(Role::Ops), &retries, &form).await;
    assert_eq!(retried.status, 303, "{}", retried.text);
    assert_eq!(retried.header("location"), format!("{page}?retry=requested&lang=en"));
    assert!(retry_at().await < far);
    let after = shop.get_as(Role::Ops, retried.header("location")).await;
    assert!(after.text.contains("The command will be retried at once"), "{}", after.text);
    let lines = recorded().await;
    assert_eq!((lines.len(), lines[0].subject.as_str()), (1, waiting.to_string().as_str()));
    let detail = json!({ "process": "fulfilment", "command": "stock.reserve", "attempts": 4 });
    assert_eq!(lines[0].detail, detail);
    assert!(lines[0].actor.starts_with("staff:"), "{}", lines[0].actor);
    assert!(lines[0].note.as_deref().is_some_and(|note| !note.contains("customer")), "it is encrypted");

    // Without a command to send, nothing is done or recorded.
    let nothing = format!("/audit/processes/fulfilment/{done}");
    let retried = shop.post_as(Some(Role::Ops), &format!("{nothing}/retries"), &form).await;
    assert_eq!(
        (retried.status, retried.header("location")),
        (303, format!("{nothing}?retry=nothing").as_str())
    );
    let after = shop.get_as(Role::Ops, &format!("{nothing}?retry=nothing&lang=zh-CN")).await;
    assert!(after.text.contains("没有可重试的命令"), "{}", after.text);
    assert_eq!(shop.post_as(Some(Role::Ops), "/audit/processes/fulfilment/1/retries", &[]).await.status, 404);
    assert_eq!(recorded().await.len(), 1);
}
