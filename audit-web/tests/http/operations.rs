//! The record of operations: its list, its filters, its sentences, its exports.

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop_audit::listing::csv_shape;
use soonshop_audit::reading::Reading;
use soonshop_domain::order::Order;
use soonshop_domain::{Purpose, ids};
use soonshop_projections::operations::{self, Operation};
use soonshop_service_kit::access::Role;

use crate::shop::*;

const LIST: &str = "/api/audit/operations";

/// Adds an entry, as somebody with this actor did it.
pub(crate) async fn add(shop: &Shop, actor: &str, action: &'static str, subject: &str, detail: Value) {
    let (actor, subject) = (actor.to_owned(), subject.to_owned());
    let done = Operation { actor, action, subject, detail, note: None };
    operations::add(shop.registry.operations(), &done).await.unwrap();
}

/// An entry of each kind, with the details that it has.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn each_kind() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let order = "order/0199aabb-0000-7000-8000-000000000001";
    let person = "0199aabb-0000-7000-8000-000000000002";
    vec![
        (
            "reveal",
            order,
            json!({ "version": 3, "compared": 2 }),
            "Revealed the personal values of order …00000001, version 3, compared with version 2",
        ),
        ("reveal", "operation/7", json!({ "entry": 7, "action": "swap" }), "Revealed the reason of entry #7"),
        (
            "read-personal",
            order,
            json!({ "person": person, "fields": ["name", "email"], "reason": "parcel-label" }),
            "Looked at personal values of order …00000001: name, email",
        ),
        (
            "look-up",
            "people",
            json!({ "found": [person], "in": ["users.email"] }),
            "Looked up a person: 1 person was found",
        ),
        ("look-up", "people", json!({ "found": [], "in": [] }), "Looked up a person: nobody was found"),
        (
            "export",
            "timeline",
            json!({ "count": 1, "format": "csv", "search": { "terms": ["agg:order"], "texts": 0, "parameters": {} } }),
            "Exported the timeline as CSV: 1 row",
        ),
        (
            "check",
            "log",
            json!({ "verdict": "broken", "from": 1, "to": 9, "rows": 9, "tail": 0, "first_bad": 4 }),
            "Checked the log: tampering found at position 4",
        ),
        (
            "acknowledge",
            "log",
            json!({ "from": 1, "to": 9 }),
            "Acknowledged an alarm about the log, positions 1 to 9",
        ),
        (
            "swap",
            "rm_orders_4",
            json!({ "run": 58, "from": 3, "to": 4, "position": 9, "accepted": null, "rejected": false }),
            "Swapped orders from generation 3 to generation 4",
        ),
        (
            "rollback",
            "rm_orders_3",
            json!({ "run": 59, "from": 4, "to": 3 }),
            "Rolled back orders from generation 4 to generation 3",
        ),
        (
            "rebuild",
            "rm_orders_4",
            json!({ "run": 58, "generation": 4, "version": 2, "resumed": true }),
            "Went on to rebuild orders as generation 4, in run 58",
        ),
        (
            "verify",
            "rm_orders_4",
            json!({ "left": 3, "right": 4, "result": "different", "differences": 1 }),
            "Compared generations 3 and 4 of orders: 1 row differs",
        ),
        ("retire", "rm_orders_2", json!({ "generation": 2 }), "Retired generation 2 of orders"),
        (
            "retire",
            "rm_orders_2",
            json!({ "generation": 2, "because": "not-needed" }),
            "Retired generation 2 of orders: it was not needed any more",
        ),
        (
            "retire",
            "rm_orders_2",
            json!({ "generation": 2, "because": "compared" }),
            "Retired generation 2 of orders: it was made for a comparison",
        ),
        (
            "rollback",
            "rm_orders_3",
            json!({ "run": 59, "from": 4, "to": 3, "alarm": "lag" }),
            "Rolled back orders from generation 4 to generation 3: it was too far behind",
        ),
        (
            "retire",
            "rm_orders_1",
            json!({ "generation": 1, "erasure_of": person, "asked_at_position": 7 }),
            "Retired generation 1 of orders: no worker kept it up to date, and an erasure was overdue there",
        ),
        ("retry", "rm_orders_4", json!({ "positions": [7, 8] }), "Retried 2 parked events of orders v4"),
        ("discard", "rm_orders_4", json!({ "positions": [7] }), "Discarded 1 parked event of orders v4"),
        (
            "process-retry",
            person,
            json!({ "process": "fulfilment", "command": "stock.reserve", "attempts": 3 }),
            "Retried the waiting command stock.reserve of the process manager fulfilment",
        ),
        (
            "process-acknowledge",
            person,
            json!({ "process": "fulfilment", "count": 2, "refusal": "line-shipped" }),
            "Acknowledged the failures of the process manager fulfilment",
        ),
        (
            "key-create",
            person,
            json!({ "role": "support", "prefix": "0badcafe" }),
            "Created the API key “…00000002” (ssk_0badcafe) with the role support",
        ),
        (
            "key-rotate",
            person,
            json!({ "role": "support", "prefix": "0badcafe", "rotated_from": person }),
            "Replaced an API key with the role support by “…00000002” (ssk_0badcafe)",
        ),
        (
            "key-revoke",
            person,
            json!({ "prefix": "0badcafe" }),
            "Revoked the API key “…00000002” (ssk_0badcafe)",
        ),
        (
            "account-open",
            person,
            json!({ "role": "support" }),
            "Opened account …00000002 with the role support",
        ),
        ("account-disable", person, json!({ "reason": "left" }), "Disabled account …00000002: left"),
        (
            "account-enable",
            person,
            json!({ "reason": "mistake" }),
            "Enabled account …00000002 again: mistake",
        ),
        ("account-roles", person, json!({ "role": "ops" }), "Gave account …00000002 the role operations"),
        ("account-end-sessions", person, json!({}), "Ended all sessions of account …00000002"),
        ("account-password", person, json!({}), "Gave account …00000002 another password"),
        (
            "clock-confirm",
            "log",
            json!({ "position": 7, "until": "2026-11-01T00:00:00.000000Z" }),
            "Confirmed the clock, which was ahead at position 7",
        ),
        ("save-view", "refunds", json!({ "replaced": true }), "Replaced the view refunds"),
        ("rename-view", "refunds", json!({ "to": "returns" }), "Renamed the view refunds to returns"),
        ("delete-view", "refunds", json!({}), "Deleted the view refunds"),
        ("sign-in", person, json!({}), "Signed in"),
    ]
}

#[tokio::test]
async fn every_kind_of_entry_is_a_sentence_in_both_languages_and_no_page_shows_json() {
    let shop = Shop::open().await;
    let kinds = each_kind();
    for (action, subject, detail, _) in &kinds {
        add(&shop, "staff:42", action, subject, detail.clone()).await;
    }
    let list = |language: &str| format!("/audit/operations?sign_ins=1&limit=200&lang={language}");
    let english = shop.get(&list("en")).await;
    let chinese = shop.get(&list("zh-CN")).await;
    assert_eq!((english.status, chinese.status), (200, 200));
    for (number, (action, .., sentence)) in kinds.iter().enumerate() {
        assert!(english.text.contains(sentence), "{action}: {sentence}\n{}", english.text);
        assert!(!chinese.text.contains(sentence), "{action} in Chinese");
        for language in ["en", "zh-CN"] {
            let page = shop.get(&format!("/audit/operations/{}?lang={language}", number + 1)).await;
            assert_eq!(page.status, 200, "{action}");
            assert!(
                !page.text.contains("{&quot;") && !page.text.contains("[&quot;"),
                "{action}: {}",
                page.text
            );
            assert_eq!(page.text.contains(sentence), language == "en", "{action}: {}", page.text);
        }
    }
    for page in [&english, &chinese, &shop.get("/audit?lang=en").await] {
        assert!(!page.text.contains("{&quot;") && !page.text.contains("[&quot;"), "{}", page.text);
    }
    let title = shop.get("/audit/operations/10?lang=en").await.text;
    assert!(title.contains("<title>Record of operations #10"), "{title}");
    // An action that no release knows is shown by its name and its object.
    add(&shop, "staff:42", "teleport", "rm_orders_4", json!({ "a": { "b": 1 } })).await;
    assert!(shop.get("/audit/operations?lang=en").await.text.contains("teleport: orders v4"));
    let unknown = shop.get("/audit/operations/9999?lang=en").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(shop.get("/api/audit/operations/x").await.refused(), (404, "not-found".to_owned()));
}

/// Follows `Link` to the end; the positions, and the sizes of the pages.
async fn walk(shop: &Shop, first: &str) -> (Vec<i64>, Vec<usize>) {
    let (mut positions, mut sizes, mut path) = (Vec::new(), Vec::new(), first.to_owned());
    loop {
        let got = shop.get(&path).await;
        let items = got.items();
        sizes.push(items.len());
        positions.extend(items.iter().map(|item| item["position"].as_i64().unwrap()));
        let Some(link) = got.header("link").strip_prefix('<') else {
            assert_eq!(got.json()["next"], Value::Null);
            return (positions, sizes);
        };
        link.strip_suffix(">; rel=\"next\"").unwrap().clone_into(&mut path);
        assert!(path.contains(&format!("before={}", got.json()["next"])), "{path}");
    }
}

#[tokio::test]
async fn the_record_is_read_to_its_first_entry_by_who_what_and_when() {
    let shop = Shop::open().await;
    for (actor, action, subject) in [
        ("staff:1", "swap", "rm_orders_2"),
        ("staff:1", "sign-in", "1"),
        ("staff:11", "export", "timeline"),
        ("system:eraser", "retire", "rm_orders_1"),
        ("staff:1", "event.note", "order/7"),
        ("service:operator", "swap", "rm_orders_3"),
        ("staff:11", "sign-in", "11"),
        ("staff:1", "export", "timeline"),
    ] {
        add(&shop, actor, action, subject, json!({})).await;
    }
    let (all, sizes) = walk(&shop, &format!("{LIST}?limit=2")).await;
    assert_eq!((all, sizes), (vec![8, 6, 4, 3, 1], vec![2, 2, 1]), "without sign-ins, and never notes");
    let found = async |query: &str| walk(&shop, &format!("{LIST}?{query}")).await.0;
    assert_eq!(found("sign_ins=1").await, [8, 7, 6, 4, 3, 2, 1]);
    assert_eq!(found("action=sign-in").await, [7, 2]);
    assert_eq!(found("action=swap").await, [6, 1]);
    assert_eq!(found("actor=staff:1").await, [8, 1], "not staff:11");
    assert_eq!(found("actor=staff&sign_ins=1").await, [8, 7, 3, 2, 1]);
    assert_eq!(found("actor=system").await, [4]);
    assert_eq!(found("subject=rm_orders_3&action=swap&actor=service").await, [6]);
    assert_eq!(found("actor=staff:1&action=swap&subject=timeline").await, Vec::<i64>::new());
    assert_eq!(found("from=2000-01-01&to=2999-01-01").await, [8, 6, 4, 3, 1]);
    assert_eq!(found("to=2000-01-01").await, Vec::<i64>::new());
    assert_eq!(found("from=2999-01-01").await, Vec::<i64>::new());
    let at = shop.get(&format!("{LIST}/4")).await.ok()["at"].as_str().unwrap().to_owned();
    let since = found(&format!("from={}", at.replace(':', "%3A"))).await;
    assert!(since.starts_with(&[8, 6, 4]), "{since:?}");
    for bad in ["action=swop", "action=event.note", "q=mug", "limit=0", "before=x", "from=yesterday"] {
        let refused = shop.get(&format!("{LIST}?{bad}")).await;
        assert_eq!(refused.refused(), (400, "invalid-query".to_owned()), "{bad}");
        // A page shows its default in place of a limit that it does not know, and says so.
        let page = shop.get(&format!("/audit/operations?{bad}")).await;
        assert_eq!(page.status, if bad == "limit=0" { 200 } else { 400 }, "{bad}");
        assert_eq!(page.text.contains("class=\"missed\""), bad == "limit=0", "{bad}");
    }
    assert_eq!(shop.get(&format!("{LIST}/5")).await.refused(), (404, "not-found".to_owned()), "it is a note");
    assert_eq!(shop.get_as(Role::Service, LIST).await.status, 403);

    // The page has the same, and keeps what was asked for.
    let page = shop.get("/audit/operations?actor=staff:1&limit=1&lang=en").await.text;
    assert!(page.contains("data-position=\"8\"") && !page.contains("data-position=\"1\""), "{page}");
    assert!(page.contains("value=\"staff:1\"") && page.contains("before=8"), "{page}");
    assert!(page.contains("Sign-ins are left out.") && page.contains("sign_ins=1"), "{page}");
    let nothing = shop.get("/audit/operations?actor=guest&lang=en").await.text;
    assert!(nothing.contains("actor=guest</code>") && nothing.contains("Nothing matches"), "{nothing}");
}

#[tokio::test]
async fn sign_ins_push_nothing_out_of_the_overview() {
    let shop = Shop::open().await;
    add(&shop, "staff:1", "swap", "rm_orders_2", json!({ "from": 1, "to": 2 })).await;
    for _ in 0..60 {
        add(&shop, "staff:2", "sign-in", "2", json!({})).await;
    }
    let overview = shop.get("/audit?lang=en").await.text;
    assert!(overview.contains("Swapped orders from generation 1 to generation 2"));
    assert!(!overview.contains("Signed in") && overview.contains("/audit/operations"), "{overview}");
    let page = shop.get("/audit/operations?lang=en").await.text;
    assert!(page.contains("data-position=\"1\"") && !page.contains("data-position=\"61\""), "{page}");
}

#[tokio::test]
async fn an_export_of_the_record_equals_the_list_and_is_recorded_without_what_was_typed() {
    let shop = Shop::open().await;
    shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    add(&shop, "staff:1", "save-view", "=HYPERLINK(\"http://x\")", json!({ "replaced": false })).await;
    let note = operations::note(shop.store.keys().store(), "ticket 4711").await.unwrap();
    let done = Operation {
        actor: "service:operator".to_owned(),
        action: "swap",
        subject: "rm_orders_2".to_owned(),
        detail: json!({ "from": 1, "to": 2 }),
        note: Some(note),
    };
    operations::add(shop.registry.operations(), &done).await.unwrap();
    add(&shop, "staff:1", "sign-in", "1", json!({})).await;
    let listed = shop.get(LIST).await.items();
    let got = shop.get("/api/audit/operations/export.ndjson").await;
    let lines: Vec<Value> = got.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[1..], listed[..]);
    let manifest = &lines[0]["manifest"];
    assert_eq!(
        (&manifest["of"], &manifest["count"], &manifest["head"]),
        (&json!("operations"), &json!(2), &json!(3))
    );
    assert_eq!((&manifest["order"], &manifest["role"]), (&json!("desc"), &json!("support")));
    assert!(!got.text.contains("4711") && !got.text.contains("eyJ"), "{}", got.text);

    let csv =
        shop.get("/api/audit/operations/export.csv?subject=Zebedee&sign_ins=1&separator=semicolon").await;
    assert_eq!(
        (csv.status, csv.text.lines().count()),
        (200, 2),
        "its columns, and its manifest: {}",
        csv.text
    );
    let csv = shop.get("/api/audit/operations/export.csv?actor=staff:1").await;
    let mut reading = Reading::begin(csv.text.as_bytes(), &csv_shape()).unwrap();
    let mut row: Value = reading.row().unwrap().unwrap();
    row["reason"] = Value::Null;
    assert_eq!(row.as_object_mut().unwrap().remove("names"), Some(Value::Null), "there is no name");
    assert_eq!(row, listed[1], "without the reason's place");
    assert!(reading.row::<Value>().unwrap().is_none());
    assert_eq!(reading.finish().unwrap().listed().of.as_deref(), Some("operations"));
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"operations.csv\"");
    assert!(
        csv.text.contains("HYPERLINK") && !csv.text.contains(",=") && !csv.text.contains(",\"="),
        "{}",
        csv.text
    );
    let manifest: Value = serde_json::from_str(csv.header("export-manifest")).unwrap();
    assert_eq!((&manifest["count"], &manifest["filter"]), (&json!(1), &json!({ "actor": "staff:1" })));

    let recorded = operations::last_of(shop.registry.operations(), "export", 10).await.unwrap();
    assert_eq!(recorded.len(), 3);
    assert!(recorded.iter().all(|line| line.subject == "operations" && line.detail["format"].is_string()));
    assert!(!serde_json::to_string(&recorded).unwrap().contains("Zebedee"), "{recorded:?}");
    assert_eq!(shop.get_as(Role::Service, "/api/audit/operations/export.csv").await.status, 403);
}

#[tokio::test]
async fn the_record_is_filtered_by_names_of_keys_orders_skus_and_views() {
    let shop = Shop::open().await;
    let (user, order, key) = (shop.user("Zoe", "UK").await, ids::new(), ids::new().to_string());
    let product = shop.product("Mug", &["MUG-01"], None).await;
    let lines = vec![line(1, "MUG-01", 1, 1299)];
    shop.command::<Order>(order, place_of("558638", user_id(user), lines, "UK")).await;
    let (db, staff) = (shop.registry.operations(), format!("staff:{key}"));
    let sql = "INSERT INTO @api_keys (id, prefix, hash, role, name, created_at) VALUES ($1, $1, 'x', 'support', $2, 0)";
    let values = [key.clone().into(), "Kim at the desk".into()];
    db.connection.execute(db.statement(sql, values)).await.unwrap();
    for path in ["/api/audit/timeline", "/orders", "/products", "/users"] {
        shop.see(path).await.ok();
    }
    let subjects = [
        (staff.as_str(), "reveal", format!("order/{order}")),
        (staff.as_str(), "reveal", format!("product/{product}")),
        ("staff:1", "save-view", "refunds-today".to_owned()),
        ("staff:1", "swap", "rm_orders_4".to_owned()),
        ("staff:1", "key-create", key.clone()),
    ];
    for (actor, action, subject) in &subjects {
        add(&shop, actor, action, subject, json!({})).await;
    }
    let account = format!("staff:{user}");
    add(&shop, &account, "swap", "rm_orders_5", json!({})).await;
    let found = async |query: &str| {
        let got = shop.get(&format!("{LIST}?{query}")).await;
        got.ok();
        let positions: Vec<i64> = got.items().iter().map(|item| item["position"].as_i64().unwrap()).collect();
        // The page and the file have the same.
        let page = shop.get(&format!("/audit/operations?{query}")).await;
        for position in 1..=6 {
            let there = page.text.contains(&format!("data-position=\"{position}\""));
            assert_eq!(there, positions.contains(&position), "{query} {position}");
        }
        positions
    };
    for (query, expected) in [
        ("actor=Kim+at+the+desk", vec![2, 1]),
        ("actor=kim+AT+the+desk&action=reveal", vec![2, 1]),
        (&*format!("actor={key}"), vec![2, 1]),
        (&*format!("actor={user}"), vec![6]),
        (&*format!("actor={account}"), vec![6]),
        ("subject=558638", vec![1]),
        ("subject=mug-01", vec![2]),
        ("subject=Mug", vec![2]),
        ("subject=Refunds,+today!", vec![3]),
        ("subject=orders+v4", vec![4]),
        ("subject=Kim+at+the+desk", vec![5]),
        (&*format!("subject=order/{order}&actor=Kim+at+the+desk"), vec![1]),
        ("subject=nothing-of-this-name", vec![]),
        ("actor=nobody-of-this-name", vec![]),
    ] {
        assert_eq!(found(query).await, expected, "{query}");
    }
    let csv = shop.get("/api/audit/operations/export.csv?actor=Kim+at+the+desk&subject=558638").await;
    assert_eq!(csv.text.lines().count(), 3, "its columns, one row, its manifest: {}", csv.text);

    // An e-mail address is in no address: it is looked up by a form, and that is recorded.
    for field in ["actor", "subject"] {
        let path = format!("?{field}=zoe%40example.org");
        assert_eq!(shop.get(&format!("{LIST}{path}")).await.refused(), (400, "invalid-query".to_owned()));
        for (lang, sentence) in [("en", "look the person up"), ("zh-CN", "请查找当事人")] {
            let page = shop.get(&format!("/audit/operations{path}&lang={lang}")).await;
            assert_eq!(page.status, 400);
            assert!(page.text.contains(sentence), "{}", page.text);
        }
    }
    let form = [("value", "Zoe@Example.org")];
    let got = shop.post_as(Some(Role::Support), "/audit/operations/look-up?lang=en", &form).await;
    let to = format!("/audit/operations?actor={user}&lang=en");
    assert_eq!((got.status, got.header("location")), (303, to.as_str()));
    let looked = operations::last_of(shop.registry.operations(), "look-up", 10).await.unwrap();
    assert_eq!(looked.len(), 1);
    let nobody = [("value", "nobody@example.org")];
    let got = shop.post_as(Some(Role::Support), "/audit/operations/look-up?lang=zh-CN", &nobody).await;
    assert_eq!(got.status, 200);
    assert!(!got.text.contains("nobody@"), "{}", got.text);
}
