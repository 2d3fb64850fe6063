//! The pages of the audit trail.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::future::join_all;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop_domain::order::Order;
use soonshop_domain::product::{self, Product};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Metadata, Purpose, ids};
use soonshop_event_log::Leases;
use soonshop_event_log::seal::{Content, SEALER, Seal, SealKeys, log_id};
use soonshop_event_store::CommandContext;
use soonshop_service_kit::access::Role;
use url::form_urlencoded;
use uuid::Uuid;

use crate::shop::*;

const HOSTILE: &str = "<script>alert('x')</script>\"><b>";

#[tokio::test]
async fn every_page_is_complete_and_escaped_in_both_languages_and_loads_nothing_external() {
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
        "/audit".to_owned(),
        "/audit/timeline".to_owned(),
        "/audit/projections".to_owned(),
        "/audit/projections/orders".to_owned(),
        "/audit/processes".to_owned(),
        "/audit/parked".to_owned(),
        "/audit/integrity".to_owned(),
        "/audit/operations".to_owned(),
        "/audit/keys".to_owned(),
        "/audit/sign-in".to_owned(),
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
            assert_eq!(got.text.matches("<script").count(), 1, "only the script of our own");
            for never in ["<script>", "<b>", "style=", "http://", "https://", "eyJ", planted[0], planted[1]] {
                assert!(!got.text.contains(never), "{path}: {never}");
            }
        }
    }
    let timeline = shop.see("/audit/timeline?lang=en&theme=dark").await.text;
    assert!(
        timeline.contains("&lt;script&gt;") && timeline.contains("Order S-1 was placed: 1 line, GBP 12.99")
    );
    assert!(timeline.contains("data-theme=\"dark\"") && timeline.contains("lang=en&amp;theme=dark"));
    let person = shop.see(&format!("/audit/a/user/{user}?lang=zh-CN")).await.text;
    assert!(person.contains("已遮蔽"));
    let style = shop.get("/audit/audit.css").await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(style.text.len() < 25_000 && style.text.contains("light-dark("));
}

#[tokio::test]
async fn a_refused_page_gives_the_reason_and_shows_no_data() {
    let shop = Shop::open().await;
    shop.product("Mug", &["mug"], None).await;
    let got = shop.see("/audit/timeline?q=mug+type:%5B").await;
    assert_eq!(got.status, 400);
    assert!(
        got.text.contains("<html") && got.text.contains("<mark>type:[</mark>") && !got.text.contains("Mug")
    );
    let got = shop.see("/audit/timeline?secret=1&lang=zh-CN").await;
    assert!(got.status == 400 && got.text.contains("无法识别该搜索"), "{}", got.text);
    assert_eq!(shop.see(&format!("/audit/a/order/{}", Uuid::nil())).await.status, 404);
    let nothing = shop.see("/audit/timeline?q=nowhere&agg=user&lang=en").await;
    assert!(nothing.status == 200 && nothing.text.contains("agg=user") && nothing.text.contains("q=nowhere"));
    // Browsers send their languages; a language in the address has priority.
    let headers = [("accept-language", "zh-CN,zh;q=0.9,en;q=0.8")];
    assert!(shop.get_with("/audit/timeline", &headers).await.text.contains("lang=\"zh-CN\""));
    assert!(shop.get_with("/audit/timeline?lang=en", &headers).await.text.contains("<html lang=\"en\""));
}

#[tokio::test]
async fn pages_and_json_report_the_same_read_model_health() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    // Each read model's worker takes its lease in its own time.
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
    assert!(page.contains("Every read model is healthy.") && page.contains("products"), "{page}");

    let page = shop.see("/audit/projections/products?lang=en").await.text;
    assert!(
        page.contains("rows: position 1") && !page.contains("database role"),
        "a file has no roles: {page}"
    );
    let chinese = shop.see("/audit/projections/products?lang=zh-CN").await.text;
    assert!(chinese.contains("数据行：位置 1"), "{chinese}");

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
    assert!(page.contains("Something needs attention.") && page.contains("Parked: 1"));
}

#[tokio::test]
async fn a_visitor_without_a_key_is_sent_to_sign_in_and_back() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let page = format!("/audit/a/product/{id}?v=1");
    let got = shop.send(None, Request::get(&page), &[], Body::empty()).await;
    assert_eq!(got.status, 303);
    let to: String = form_urlencoded::byte_serialize(page.as_bytes()).collect();
    assert_eq!(got.header("location"), format!("/audit/sign-in?to={to}"));
    let door = shop.send(None, Request::get(got.header("location")), &[], Body::empty()).await;
    assert!(door.status == 200 && door.text.contains("name=\"key\"") && door.text.contains(&page));

    let wrong = shop.post_as(None, "/audit/sign-in", &[("key", "ssk_0_0"), ("to", &page)]).await;
    assert!(
        wrong.status == 401 && wrong.header("set-cookie").is_empty() && wrong.text.contains("name=\"key\"")
    );
    let key = shop.keys[&Role::Support].clone();
    let elsewhere = shop.post_as(None, "/audit/sign-in", &[("key", &key), ("to", "//evil.example")]).await;
    assert_eq!((elsewhere.status, elsewhere.header("location")), (303, "/audit"));
    let signed = shop.post_as(None, "/audit/sign-in", &[("key", &key), ("to", &page)]).await;
    assert_eq!((signed.status, signed.header("location")), (303, page.as_str()));
    let cookie = signed.header("set-cookie").split(';').next().unwrap().to_owned();
    let headers = [("cookie", cookie.as_str())];
    let got = shop.send(None, Request::get(&page), &headers, Body::empty()).await;
    assert!(got.status == 200 && got.text.contains("Mug"), "{}", got.text);
    // A role without the permission gets a refusal, and no redirect loop.
    assert_eq!(shop.get_as(Role::Service, &page).await.status, 403);

    // A form from another site has no effect, with or without a session.
    let evil = [("cookie", cookie.as_str()), ("origin", "https://evil.example"), ("host", "shop.example")];
    let out = shop.send(None, Request::post("/audit/sign-out"), &evil, Body::empty()).await;
    assert_eq!(out.status, 403);
    let form = [("cookie", cookie.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let out = shop.send(None, Request::post("/audit/sign-out"), &form, Body::empty()).await;
    assert!(out.status == 303 && out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(shop.send(None, Request::get(&page), &headers, Body::empty()).await.status, 303);
}

#[tokio::test]
async fn personal_values_are_revealed_with_permission_and_a_recorded_reason() {
    let shop = Shop::open().await;
    let user = shop.user("Zebedee", "UK").await;
    let gone = shop.user("Quentin", "UK").await;
    shop.erase(gone, &[Purpose::Account]).await;
    for id in [user, gone] {
        shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
        let page = format!("/audit/a/user/{id}");
        let json = format!("/api/audit/a/user/{id}/reveals");
        let form = [("reason", "ticket 4711")];
        assert_eq!(shop.post_as(Some(Role::Support), &page, &form).await.status, 403);
        assert_eq!(shop.post_as(Some(Role::Support), &json, &form).await.status, 403);
        assert_eq!(shop.post_as(None, &json, &form).await.status, 403);
        assert_eq!(shop.post_as(Some(Role::Auditor), &json, &[("reason", " x ")]).await.status, 400);
        assert_eq!(shop.post_as(Some(Role::Auditor), &json, &[]).await.status, 400);
        assert!(recorded(&shop, "reveal").await.iter().all(|line| line.subject != format!("user/{id}")));
        let shown = shop.post_as(Some(Role::Auditor), &page, &form).await;
        let data = shop.post_as(Some(Role::Auditor), &json, &form).await;
        assert_eq!((shown.status, data.status), (200, 200), "{} {}", shown.text, data.text);
        let clear = id == user;
        assert_eq!((shown.text.contains("Zebedee"), data.text.contains("zebedee@")), (clear, false));
        assert_eq!(data.text.contains("Zebedee@example.org"), clear, "{}", data.text);
        assert_eq!(data.text.contains("\"erased\""), !clear);
        assert!(!shop.get_as(Role::Auditor, &page).await.text.contains("Zebedee"), "it is masked again");
        let lines = recorded(&shop, "reveal").await;
        let of_it: Vec<_> = lines.iter().filter(|line| line.subject == format!("user/{id}")).collect();
        assert_eq!(of_it.len(), 2);
        assert!(of_it.iter().all(|line| line.detail == json!({ "version": 1, "compared": 0 })));
        assert!(of_it.iter().all(|line| line.note.as_deref().is_some_and(|note| !note.contains("4711"))));
    }
}

pub(crate) async fn recorded(shop: &Shop, action: &str) -> Vec<soonshop_projections::operations::Recorded> {
    let db = shop.registry.operations();
    soonshop_projections::operations::last_of(db, action, 100).await.unwrap()
}

#[tokio::test]
async fn a_look_up_matches_exact_values_and_is_recorded_without_them() {
    let shop = Shop::open().await;
    let user = shop.user("Zebedee", "UK").await;
    shop.see("/users").await;
    let find = |value: &'static str| {
        let shop = &shop;
        async move { shop.post_as(Some(Role::Support), "/audit/look-up", &[("value", value)]).await }
    };
    let found = find("zebedee@EXAMPLE.org").await;
    assert_eq!(found.status, 303, "{}", found.text);
    assert_eq!(found.header("location"), format!("/audit/timeline?q=subject%3A{user}"));
    assert_eq!(find("zebedee").await.status, 303, "by name");
    assert_eq!(find("zebedee@example").await.status, 200, "no part of one");
    assert_eq!(find("zebe*").await.status, 400);
    assert_eq!(find("%").await.status, 400);
    let lines = recorded(&shop, "look-up").await;
    assert_eq!(lines.len(), 3);
    // Upper and lower case are equal for non-ASCII letters, too.
    let other = shop.user("Élodie", "FR").await;
    shop.see("/users").await;
    assert_eq!(find("ÉLODIE").await.header("location"), format!("/audit/timeline?q=subject%3A{other}"));
    assert!(!serde_json::to_string(&lines).unwrap().to_lowercase().contains("zebedee"));
    assert_eq!(find("nobody").await.status, 200);
    assert_eq!(shop.post_as(Some(Role::Service), "/audit/look-up", &[("value", "x")]).await.status, 403);
}

#[tokio::test]
async fn a_view_opens_its_search_and_a_frozen_one_without_newer_events() {
    let shop = Shop::open().await;
    shop.product("Mug", &["mug"], None).await;
    let save = |title: &'static str, query: &'static str, until: &'static str| {
        let form = [("title", title), ("query", query), ("until", until)];
        let form: Vec<_> = form.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let shop = &shop;
        async move { shop.post_as(Some(Role::Ops), "/audit/views", &form).await }
    };
    let saved = save("Mugs, all", "q=mug&type=Product*&before=7", "").await;
    assert_eq!((saved.status, saved.header("location")), (303, "/audit/views/mugs-all"));
    let to = shop.get("/audit/views/mugs-all").await;
    assert_eq!((to.status, to.header("location")), (303, "/audit/timeline?q=mug&type=Product*"));
    save("今天", "q=mug", "41").await;
    let to = shop.get("/audit/views/%E4%BB%8A%E5%A4%A9").await;
    assert_eq!(to.header("location"), "/audit/timeline?q=mug&before=42");
    let looks = save("Looks", "q=mug&agg=&lang=zh-CN&tz=Asia/Shanghai&limit=9", "").await;
    assert_eq!((looks.status, looks.header("location")), (303, "/audit/views/looks"), "{}", looks.text);
    assert_eq!(shop.get("/audit/views/looks").await.header("location"), "/audit/timeline?q=mug&limit=9");
    save("Days", "from=2026-03-29&tz=Europe/London&lang=en", "").await;
    let to = shop.get("/audit/views/days").await;
    assert_eq!(
        to.header("location"),
        "/audit/timeline?from=2026-03-29&tz=Europe%2FLondon",
        "days keep their zone"
    );
    assert_eq!(save("x", "q=type:%5B", "").await.status, 400, "it would be refused each time");
    assert_eq!(save("..", "q=mug", "").await.status, 400);
    // A view of another actor is not replaced, except with the permission to repair.
    let form = [("title", "Looks"), ("query", "q=cup")];
    let taken = shop.post_as(Some(Role::Auditor), "/audit/views", &form).await;
    assert_eq!(taken.status, 409, "{}", taken.text);
    assert_eq!(shop.get("/audit/views/looks").await.header("location"), "/audit/timeline?q=mug&limit=9");
    // A name with the same address replaces the view, and that is recorded.
    assert_eq!(save("LOOKS!", "q=cup", "").await.header("location"), "/audit/views/looks");
    let lines = recorded(&shop, "save-view").await;
    assert_eq!((&lines[0].detail["replaced"], &lines[1].detail["replaced"]), (&json!(true), &json!(false)));
    assert_eq!(save("x", "secret=1", "").await.status, 400);
    assert_eq!(save("!", "q=mug", "").await.status, 400);
    assert_eq!(shop.get("/audit/views/none").await.status, 404);
    let page = shop.see("/audit/timeline").await.text;
    assert!(page.contains("Mugs, all") && page.contains("/audit/views/mugs-all"));
}

#[tokio::test]
async fn an_export_equals_the_screen_and_is_recorded() {
    let shop = Shop::open().await;
    shop.product("=HYPERLINK(\"http://x\")", &["mug"], None).await;
    shop.user("Zebedee", "UK").await;
    shop.product("Mug", &["cup"], None).await;
    let listed: Vec<_> = shop.see("/api/audit/timeline").await.items();
    let got = shop.see("/api/audit/export.ndjson").await;
    let lines: Vec<serde_json::Value> =
        got.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[1..], listed[..]);
    assert_eq!((&lines[0]["manifest"]["count"], &lines[0]["manifest"]["head"]), (&3.into(), &3.into()));
    let csv = shop.see("/api/audit/export.csv?order=asc&q=agg:product").await;
    assert_eq!(csv.text.lines().count(), 4);
    let last = csv.text.lines().last().unwrap();
    assert!(last.starts_with("#manifest,") && !csv.text.contains("\n#manifest,\n"), "{last}");
    assert!(csv.text.contains("HYPERLINK") && !csv.text.contains("\n=") && !csv.text.contains(",="));
    let manifest: serde_json::Value = serde_json::from_str(csv.header("export-manifest")).unwrap();
    assert_eq!((&manifest["count"], &manifest["filter"]["q"]), (&2.into(), &"agg:product".into()));
    for text in [&got.text, &csv.text] {
        assert!(!text.to_lowercase().contains("zebedee"));
    }
    let query = "q=zebedee@quux.example+agg:product+%22a+b%22&actor=staff&chan=";
    assert_eq!(shop.see(&format!("/api/audit/export.csv?{query}")).await.status, 200);
    let lines = recorded(&shop, "export").await;
    assert_eq!(lines.len(), 3);
    let search = json!({ "terms": ["agg:product"], "texts": 2, "parameters": { "actor": "staff" } });
    assert_eq!(lines[0].detail["search"], search, "a text may be anybody's name");
    assert_eq!(shop.see("/api/audit/export.csv?q=type:%5B").await.status, 400);
    assert_eq!(shop.get_as(Role::Service, "/api/audit/export.csv").await.status, 403);
}

#[tokio::test]
async fn health_reports_the_log_the_relay_the_seals_and_parked_events() {
    let shop = Shop::without_projectors().await;
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
    // Neither relay nor sealer runs here: all events wait.
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
    // It has published another history than this one.
    shop.sql(&process, "UPDATE @checkpoints SET event_id = '00000000-0000-0000-0000-000000000001'").await;
    let (status, other) = health().await;
    assert_eq!((status, &other["healthy"]), (503, &json!(false)));
    assert!(other["relay"]["complaint"].as_str().unwrap().starts_with("ahead-of-log: relay"), "{other}");
    // After a minute of waiting it is late.
    shop.sql(&process, "DELETE FROM @checkpoints").await;
    age(&shop).await;
    let (_, late) = health().await;
    for name in ["relay", "seals"] {
        let message = (&late[name]["complaint"], &late[name]["remedy"], &late[name]["holder"]);
        assert_eq!(message, (&json!("no worker is running"), &json!("workers"), &Value::Null), "{late}");
    }
    for (number, lease) in [soonshop_event_log::checkpoint::RELAY, SEALER].into_iter().enumerate() {
        Leases::new(process.clone(), format!("worker-{number}")).acquire(lease).await.unwrap().unwrap();
    }
    let (_, held) = health().await;
    for (number, name) in ["relay", "seals"].into_iter().enumerate() {
        assert_eq!(held[name]["holder"], json!(format!("worker-{number}")), "{held}");
        assert!(held[name]["complaint"].as_str().unwrap().ends_with(" s behind"), "{held}");
    }
}

/// Makes all events two minutes older.
async fn age(shop: &Shop) {
    let older = match shop.store.log().db().backend() {
        sea_orm::DatabaseBackend::Postgres => "UPDATE @events SET recorded_at = now() - interval '2 minutes'",
        _ => "UPDATE @events SET recorded_at = recorded_at - 120000000",
    };
    shop.sql(shop.store.log().db(), older).await;
}

#[tokio::test]
async fn the_trouble_of_the_relay_and_the_seals_is_shown_in_the_language_of_the_page() {
    let shop = Shop::open().await;
    shop.product("Mug", &["mug"], None).await;
    shop.see("/api/audit/timeline").await.ok();
    age(&shop).await;
    for (language, message) in [("en", "No worker is running"), ("zh-CN", "没有正在运行的工作进程")]
    {
        let page = shop.get(&format!("/audit?lang={language}")).await.text;
        assert!(page.contains(message) && !page.contains("no worker is running"), "{page}");
        assert!(!page.contains(" s behind"), "{page}");
    }
}

#[tokio::test]
async fn an_empty_check_is_not_green_and_a_found_change_is_shown_on_every_page() {
    let shop = Shop::open().await;
    let check = async |form: &[(&str, &str)]| {
        let got = shop.post_as(Some(Role::Support), "/audit/integrity?lang=en", form).await;
        (got.status, got.text.contains("Intact"), got.text)
    };
    let (status, green, _) = check(&[]).await;
    assert_eq!((status, green), (200, false), "there is nothing");
    assert!(check(&[]).await.2.contains("Nothing to check"));
    for number in 0..3 {
        shop.user(&format!("u{number}"), "UK").await;
    }
    let (status, green, _) = check(&[]).await;
    assert_eq!((status, green), (200, false), "no seal was ever made");
    seal(&shop).await;
    let (_, green, text) = check(&[]).await;
    assert!(green, "{text}");
    let last = i64::MAX.to_string();
    for form in
        [[("from", "2"), ("upto", "9")], [("from", "4"), ("upto", "4")], [("from", &last), ("upto", &last)]]
    {
        let (status, green, text) = check(&form).await;
        assert_eq!((status, green), (200, false), "{form:?} {text}");
    }
    assert!(!check(&[("from", &last)]).await.1);
    let (status, _, text) = check(&[("from", "3"), ("upto", "2")]).await;
    assert!(status == 400 && text.contains("the last one is not before it"), "{text}");
    let range = [("from", "3"), ("upto", "2")];
    let got = shop.post_as(Some(Role::Support), "/audit/integrity?lang=zh-CN", &range).await;
    assert!(got.status == 400 && got.text.contains("结束位置不能小于起始位置"), "{}", got.text);

    // Unsealed events are not part of a green result, and it is reported that the last of them are missing.
    for number in 3..5 {
        shop.user(&format!("u{number}"), "UK").await;
    }
    let (_, green, text) = check(&[]).await;
    assert!(
        !green
            && text.contains("The events after the last seal are not sealed")
            && text.contains("2 events are not sealed yet."),
        "{text}"
    );
    assert!(!text.contains("missing"), "{text}");
    shop.see("/api/audit/timeline").await.ok();
    for (deleted, first) in [(5, "#5"), (4, "#4")] {
        let delete = format!("DELETE FROM @events WHERE position = {deleted}");
        shop.sql(shop.store.log().db(), &delete).await;
        let (_, green, text) = check(&[]).await;
        let found = format!("{first} the events up to position 5 were there before, and are missing");
        assert!(!green && text.contains("Tampering found") && text.contains(&found), "{text}");
        // Nothing is claimed about the rest.
        let claims = [
            "What this proves",
            "Every sealed position",
            "not sealed: it cannot be proved",
            "Positions <strong>",
        ];
        assert!(claims.iter().all(|claim| !text.contains(claim)), "{text}");
    }

    let changed = "UPDATE @events SET event_type = 'UserGone' WHERE position = 2";
    shop.sql(shop.store.log().db(), changed).await;
    let (_, green, text) = check(&[]).await;
    assert!(
        !green
            && text.contains("#2</a>")
            && text.contains("Tampering found: not everything matches its seal."),
        "{text}"
    );
    assert!(text.contains("#2 the event here is not the one that was sealed"), "{text}");
    let chinese = shop.post_as(Some(Role::Support), "/audit/integrity?lang=zh-CN", &[]).await.text;
    assert!(chinese.contains("#2 此处的事件不是封存时的事件"), "{chinese}");
    assert!(!chinese.contains("the event here"), "{chinese}");
    let overview = shop.get("/audit?lang=en").await.text;
    assert!(
        overview.contains("Tampering found: not everything matches its seal.")
            && overview.contains("banner ill"),
        "{overview}"
    );

    // The record of operations has seals of its own. The checks above are in the record, and not sealed; that does not
    // change the result for the log.
    let (status, green, text) = check(&[("of", "record")]).await;
    assert_eq!((status, green), (200, false), "{text}");
    assert!(text.contains("The record of operations: <strong>No fault was found"), "{text}");
    assert!(shop.get("/audit?lang=en").await.text.contains("not everything matches its seal."));
    assert_eq!(check(&[("of", "everything")]).await.0, 400);
}

/// Seals all events, with a key of its own.
pub(crate) async fn seal(shop: &Shop) {
    let log = shop.store.log();
    let rows = log.read(1, 1_000).await.unwrap();
    let leaves: Vec<_> = rows.iter().map(|row| Content::of(row).at(row.position)).collect();
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let keys = SealKeys::parse(&BASE64.encode([&prefix[..], &[7; 32]].concat())).unwrap();
    let last = rows.last().unwrap().event_id;
    let seal = Seal::over(
        None,
        (log.name(), log_id(log).await.unwrap()),
        &leaves,
        last,
        1_795_600_000_000_000,
        keys.current(),
    );
    let db = log.db().beside("seals").unwrap();
    let sql = "INSERT INTO @seals (number, version, kind, log, log_id, first_position, last_position, events, root, \
               previous, last_event, sealed_at, signing_key, signature, leaves) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    let values = [
        seal.number.into(),
        seal.version.into(),
        seal.kind.name().into(),
        seal.log.as_str().into(),
        seal.log_id.to_string().into(),
        seal.first.into(),
        seal.last.into(),
        seal.count.into(),
        seal.root.0.to_vec().into(),
        seal.previous.0.to_vec().into(),
        seal.last_event.to_string().into(),
        seal.sealed_at.into(),
        seal.key.0.to_vec().into(),
        seal.signature.0.clone().into(),
        seal.leaves.0.clone().into(),
    ];
    db.connection.execute(db.statement(sql, values)).await.unwrap();
}

#[tokio::test]
async fn concurrent_exports_are_limited() {
    let shop = Shop::open().await;
    shop.user("Zebedee", "UK").await;
    shop.see("/users").await;
    let export = || shop.get_as(Role::Auditor, "/api/audit/export.ndjson");
    let got = join_all((0..64).map(|_| export())).await;
    let done = got.iter().filter(|got| got.status == 200).count();
    let refused: Vec<_> = got.iter().filter(|got| got.status == 429).collect();
    assert!((4..64).contains(&done) && done + refused.len() == 64, "{done} of 64");
    let problem = refused[0].refused();
    assert_eq!((problem.1.as_str(), refused[0].header("retry-after")), ("too-many-exports", "10"));
    assert_eq!(export().await.status, 200, "whoever waits gets it");
}

#[tokio::test]
async fn checks_run_one_at_a_time() {
    let shop = Shop::open().await;
    let checks = (0..8).map(|_| shop.post_as(Some(Role::Auditor), "/audit/integrity", &[]));
    let mut statuses: Vec<_> = join_all(checks).await.iter().map(|got| got.status).collect();
    statuses.sort_unstable();
    assert!(
        statuses[0] == 200 && statuses.contains(&429) && statuses.iter().all(|s| [200, 429].contains(s)),
        "{statuses:?}"
    );
    assert_eq!(
        shop.post_as(Some(Role::Auditor), "/audit/integrity", &[]).await.status,
        200,
        "the next check can run"
    );
}

#[tokio::test]
async fn parked_events_are_retried_once_and_only_while_parked() {
    let shop = Shop::without_projectors().await;
    for projector in soonshop_projections::all() {
        shop.registry.ensure(&*projector).await.unwrap();
    }
    for name in ["a", "b", "c"] {
        shop.product(name, &[name], None).await;
    }
    let rows = shop.generation("products").await;
    // Longer than a form field may be, and with several lines.
    let long = format!("broken\n\\u{{1}} \"{}\"", "x".repeat(3_000));
    for (position, cause) in [(1, long.as_str()), (2, "other"), (3, long.as_str())] {
        let sql =
            "INSERT INTO @parked (position, event_id, rows, cause) VALUES ($1, 'x', '[\"products/a\"]', $2)";
        rows.connection.execute(rows.statement(sql, [position.into(), cause.into()])).await.unwrap();
    }
    let page = shop.get_as(Role::Ops, "/audit/parked").await.text;
    assert!(
        page.contains("name=\"like\" value=\"1\"") && page.contains("name=\"like\" value=\"2\""),
        "{page}"
    );
    assert!(page.contains("<strong>3</strong>"), "as of the head of the log: {page}");
    shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    let retry = |generation: &'static str, more: (&'static str, &'static str)| {
        let shop = &shop;
        async move {
            let form = [("generation", generation), more];
            shop.post_as(Some(Role::Ops), "/audit/parked/retries", &form).await.status
        }
    };
    let both =
        join_all([retry("rm_products_1", ("position", "1")), retry("rm_products_1", ("like", "3"))]).await;
    assert_eq!(both, [303, 303]);
    let asked = rows.statement("SELECT position FROM @retries ORDER BY position", []);
    let asked = rows.connection.query_all(asked).await.unwrap();
    let asked: Vec<i64> = asked.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    assert_eq!(asked, [1, 3]);
    for (generation, more) in [
        ("rm_products_1", ("position", "4")),
        ("rm_products_1", ("position", "9223372036854775807")),
        ("rm_products_1", ("like", "4")),
        ("rm_products_2", ("position", "1")),
        ("rm_orders_1", ("position", "1")),
        ("rm_orders_1", ("like", "1")),
        ("'; DROP TABLE parked; --", ("position", "1")),
    ] {
        assert_eq!(retry(generation, more).await, 404, "{generation} {more:?}");
    }
    assert_eq!(retry("rm_products_1", ("reason", "why")).await, 400, "neither a position nor a cause");
    assert_eq!(recorded(&shop, "retry").await.len(), 2);
}
