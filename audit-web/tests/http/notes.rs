//! Notes and tags that people leave on events.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop_domain::Purpose;
use soonshop_domain::product::{self, Product};
use soonshop_projections::operations::{self, EVENT_NOTE, MOST_NOTES, MOST_ON_EVENT, Recorded};
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::shop::*;

const TEXT: &str = "Mr Quux rang: <b>call back</b>\non Monday";

async fn recorded(shop: &Shop) -> Vec<Recorded> {
    operations::last_of(shop.registry.operations(), EVENT_NOTE, 100).await.unwrap()
}

/// Adds a key with this role and a notes key, as `soonshop key create` makes one.
async fn writer(shop: &Shop, role: Role, notes: &str) -> Uuid {
    let tagged = shop.post_as(Some(role), notes, &[("version", "1"), ("tags", "begun")]).await.ok();
    let writer = tagged["by"].as_str().unwrap().strip_prefix("staff:").unwrap().parse().unwrap();
    shop.store.keys().ensure(writer, Purpose::Account).await.unwrap();
    writer
}

/// The notes on the first event that this role sees.
async fn seen(shop: &Shop, role: Role, trail: &str) -> Vec<Value> {
    let got = shop.get_as(role, trail).await.ok();
    let texts = got["events"][0]["notes"].as_array().unwrap().iter();
    texts.map(|note| note["text"].clone()).filter(|text| !text.is_null()).collect()
}

#[tokio::test]
async fn a_note_is_private_until_shared_and_erased_with_its_writer() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let (trail, page) = (format!("/api/audit/a/product/{id}"), format!("/audit/a/product/{id}"));
    let notes = format!("{trail}/notes");
    let support = writer(&shop, Role::Support, &notes).await;
    let before = shop.get_as(Role::Auditor, &trail).await.ok();

    let own = [("version", "1"), ("text", TEXT), ("tags", "call-back late call-back")];
    let left = shop.post_as(Some(Role::Support), &notes, &own).await.ok();
    assert_eq!((&left["text"], &left["shared"], &left["position"]), (&json!(TEXT), &json!(false), &json!(1)));
    assert_eq!(left["tags"], json!(["call-back", "late"]));
    assert_eq!(seen(&shop, Role::Support, &trail).await, [TEXT]);
    for other in [Role::Auditor, Role::Ops, Role::Admin] {
        assert_eq!(seen(&shop, other, &trail).await, Vec::<Value>::new(), "{other}");
        let page = shop.get_as(other, &page).await.text;
        assert!(!page.contains("Quux") && !page.contains("call-back</span>"), "{other} {page}");
    }
    // The form of the page, with its checkbox.
    let shared = [("version", "1"), ("text", "for everybody"), ("tags", ""), ("shared", "1")];
    let to = shop.post_as(Some(Role::Support), &format!("{page}/notes?lang=en"), &shared).await;
    assert_eq!((to.status, to.header("location")), (303, format!("{page}?v=1&lang=en#v1").as_str()));
    for other in [Role::Auditor, Role::Ops, Role::Admin] {
        assert_eq!(seen(&shop, other, &trail).await, ["for everybody"], "{other}");
    }
    let mine = shop.get_as(Role::Support, &format!("{page}?lang=en")).await.text;
    for message in [
        "Mr Quux rang: &lt;b&gt;call back&lt;/b&gt;",
        "only you can see it",
        "call-back</span>",
        "for everybody",
    ] {
        assert!(mine.contains(message), "{message}: {mine}");
    }

    // It is an encrypted line of the record of operations, and part of no history: nothing else shows or counts it.
    let lines = recorded(&shop).await;
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.subject == format!("product/{id}")));
    assert!(!serde_json::to_string(&lines).unwrap().contains("Quux"));
    assert_eq!(operations::last_of(shop.registry.operations(), None, 10).await.unwrap().len(), 0);
    let after = shop.get_as(Role::Auditor, &trail).await.ok();
    let without = |mut trail: Value| {
        trail["events"][0].as_object_mut().unwrap().remove("notes");
        trail
    };
    assert_eq!(without(after), without(before));
    for other in ["/audit", "/audit/timeline", "/api/audit/timeline", "/api/audit/export.ndjson"] {
        let text = shop.get_as(Role::Support, other).await.text;
        assert!(!text.contains("Quux") && !text.contains("for everybody"), "{other}");
    }

    shop.store.keys().erase(support, &[Purpose::Account]).await.unwrap();
    let erased = json!({ "personal": "erased" });
    assert_eq!(seen(&shop, Role::Support, &trail).await, [erased.clone(), erased.clone()]);
    assert_eq!(seen(&shop, Role::Auditor, &trail).await, [erased]);
    assert!(shop.get_as(Role::Auditor, &format!("{page}?lang=zh-CN")).await.text.contains("已删除"));
    let more = shop.post_as(Some(Role::Support), &notes, &own).await;
    assert_eq!(more.refused(), (410, "person-erased".to_owned()));
}

#[tokio::test]
async fn a_note_is_refused_without_an_event_or_valid_content() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let notes = |kind: &str, id: &str| format!("/api/audit/a/{kind}/{id}/notes");
    let here = notes("product", &id.to_string());
    writer(&shop, Role::Support, &here).await;
    let post = async |path: &str, form: &[(&str, &str)]| {
        shop.post_as(Some(Role::Support), path, form).await.refused()
    };
    let good = [("version", "1"), ("text", "a")];
    for (path, form, refusal) in [
        (here.clone(), [("version", "2"), ("text", "a")], (404, "not-found")),
        (notes("order", &id.to_string()), good, (404, "not-found")),
        (notes("payment", &id.to_string()), good, (404, "not-found")),
        (notes("product", "7"), good, (400, "invalid-id")),
        (here.clone(), [("version", "1"), ("text", " \r\n ")], (400, "invalid-query")),
        (here.clone(), [("version", "1"), ("text", "a\u{0}b")], (400, "invalid-query")),
        (here.clone(), [("version", "1"), ("tags", "Not-Small")], (400, "invalid-query")),
        (here.clone(), [("version", "1"), ("text", &"x".repeat(2_001))], (400, "invalid-query")),
    ] {
        assert_eq!(post(&path, &form).await, (refusal.0, refusal.1.to_owned()), "{path} {form:?}");
    }
    assert_eq!(shop.post_as(Some(Role::Service), &here, &good).await.status, 403);
    assert_eq!(shop.post_as(None, &here, &good).await.status, 403);
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", "https://evil.example"),
        ("host", "shop.example"),
    ];
    let evil =
        shop.send(Some(Role::Support), Request::post(&here), &form, Body::from("version=1&text=a")).await;
    assert_eq!(evil.refused(), (403, "cross-site".to_owned()));
    // A caller without a notes key is refused, and nothing is stored unencrypted.
    let keyless = shop.post_as(Some(Role::Ops), &here, &good).await;
    assert_eq!(keyless.refused(), (503, "key-store-unavailable".to_owned()));
    assert_eq!(recorded(&shop).await.len(), 1, "the one that was not refused");
}

#[tokio::test]
async fn an_event_takes_no_more_notes_than_are_shown_and_the_page_says_how_many_there_are() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let (trail, page) = (format!("/api/audit/a/product/{id}"), format!("/audit/a/product/{id}"));
    let notes = format!("{trail}/notes");
    for number in 0..MOST_ON_EVENT {
        let tag = format!("tag-{number}");
        shop.post_as(Some(Role::Support), &notes, &[("version", "1"), ("tags", &tag)]).await.ok();
    }
    let shown = shop.get_as(Role::Support, &trail).await.ok();
    assert_eq!(shown["events"][0]["notes"].as_array().unwrap().len(), 50);
    for (lang, says) in [("en", "(50 notes of at most 50)"), ("zh-CN", "（50 条备注，最多 50 条）")]
    {
        let text = shop.get_as(Role::Support, &format!("{page}?lang={lang}")).await.text;
        assert!(text.contains(says), "{text}");
    }
    // Also those of others count, which are not shown.
    let one = [("version", "1"), ("text", ""), ("tags", "one-more")];
    for role in [Role::Support, Role::Auditor] {
        let refused = shop.post_as(Some(role), &notes, &one).await;
        assert_eq!(refused.refused(), (409, "notes-full".to_owned()), "{role}");
        assert_eq!(refused.json()["most"], 50);
    }
    for (lang, says) in [("en", "There is no room for another note here."), ("zh-CN", "此处不能再添加备注。")]
    {
        let got = shop.post_as(Some(Role::Support), &format!("{page}/notes?lang={lang}"), &one).await;
        assert!(
            got.status == 409 && got.text.contains(says) && got.text.contains("one-more"),
            "{}",
            got.text
        );
    }
    assert_eq!(recorded(&shop).await.len(), 50, "what is refused is not recorded");

    // Another event has room of its own; all events of a thing together have a bound, too.
    let details = product::Details {
        name: "Cup".to_owned(),
        description: "A cup".to_owned(),
        category: None,
        attributes: BTreeMap::new(),
    };
    shop.command::<Product>(id, product::Command::Change { details }).await;
    let second = [("version", "2"), ("tags", "late")];
    shop.post_as(Some(Role::Support), &notes, &second).await.ok();
    let db = shop.registry.operations();
    let subject = format!("product/{id}");
    let sql = "INSERT INTO @entries (position, at, actor, action, subject, detail) VALUES ($1, 0, 'staff:1', 'event.note', $2, '{}')";
    for position in 1_000..1_000 + MOST_NOTES - MOST_ON_EVENT - 1 {
        db.connection.execute(db.statement(sql, [position.into(), subject.as_str().into()])).await.unwrap();
    }
    let refused = shop.post_as(Some(Role::Support), &notes, &second).await;
    assert_eq!((refused.refused(), &refused.json()["most"]), ((409, "notes-full".to_owned()), &json!(1_000)));
}
