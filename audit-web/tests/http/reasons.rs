//! Reasons in people's own words: hidden, shown to their writer, and revealed for a reason that is recorded.

use serde_json::{Value, json};
use soonshop_domain::metadata::{Actor, ActorKind};
use soonshop_domain::order::{self, Order};
use soonshop_domain::product::{self, Product};
use soonshop_domain::user::{self, User, person};
use soonshop_domain::{Decider, Metadata, Personal, Purpose, ids};
use soonshop_event_store::CommandContext;
use soonshop_projections::operations::{self, Operation};
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::shop::*;

const WHY: [(&str, &str); 1] = [("reason", "a complaint")];

/// The marker of a hidden reason.
fn masked() -> Value {
    json!({ "personal": "masked" })
}

/// The marker of an erased reason.
fn erased() -> Value {
    json!({ "personal": "erased" })
}

/// The id of the key with this role, which gets a key for its notes as `soonshop key create` makes one.
async fn writer(shop: &Shop, role: Role, stream: &str) -> Uuid {
    let notes = format!("/api/audit/a/{stream}/notes");
    let tagged = shop.post_as(Some(role), &notes, &[("version", "1"), ("tags", "begun")]).await.ok();
    let writer = tagged["by"].as_str().unwrap().strip_prefix("staff:").unwrap().parse().unwrap();
    shop.store.keys().ensure(writer, Purpose::Account).await.unwrap();
    writer
}

/// Executes a command as the holder of a key, with a reason in their own words.
async fn with_reason<A: Decider>(shop: &Shop, by: Uuid, id: Uuid, command: A::Command, text: &str) {
    let actor = Actor { kind: ActorKind::Staff, id: by.to_string() };
    let metadata = Metadata {
        actor_kind: Some(actor.kind),
        actor_id: Some(actor.id),
        reason_note: Some(Personal::new(text.to_owned(), by, Purpose::Account)),
        ..Metadata::default()
    };
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata);
    shop.command_in::<A>(id, command, context).await;
}

/// The reason beside the last event.
fn last(trail: &Value) -> Value {
    trail["events"].as_array().unwrap().last().unwrap()["reason_note"].clone()
}

#[tokio::test]
async fn the_reason_of_a_command_is_hidden_but_for_its_writer_and_in_a_reveal() {
    let shop = Shop::open().await;
    shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    let product = shop.product("Mug", &["mug"], None).await;
    let support = writer(&shop, Role::Support, &format!("product/{product}")).await;
    with_reason::<Product>(&shop, support, product, product::Command::Delete, "it broke <b>twice</b>").await;
    let trail = format!("/api/audit/a/product/{product}");
    let page = format!("/audit/a/product/{product}?lang=en");

    let own = shop.get_as(Role::Support, &trail).await.ok();
    assert_eq!(last(&own), json!("it broke <b>twice</b>"), "{own}");
    assert_eq!(own["events"][0]["reason_note"], Value::Null, "it has none");
    for other in [Role::Ops, Role::Auditor, Role::Admin] {
        let got = shop.get_as(other, &trail).await;
        assert_eq!(last(&got.ok()), masked(), "{other}");
        assert!(!got.text.contains("broke"), "{other}");
        assert!(!shop.get_as(other, &page).await.text.contains("broke"), "{other}");
    }
    let reveals = format!("{trail}/reveals");
    assert_eq!(shop.post_as(Some(Role::Ops), &reveals, &WHY).await.status, 403);
    assert_eq!(
        last(&shop.post_as(Some(Role::Auditor), &reveals, &WHY).await.ok()),
        json!("it broke <b>twice</b>")
    );
    let lines = operations::last_of(shop.registry.operations(), "reveal", 10).await.unwrap();
    assert_eq!((lines.len(), lines[0].subject.clone()), (1, format!("product/{product}")));

    let hidden = shop.get_as(Role::Ops, &page).await.text;
    assert!(hidden.contains("In their own words: ") && hidden.contains("hidden"), "{hidden}");
    assert!(!hidden.contains("reveal with a reason"), "ops may not: {hidden}");
    let may = shop.get_as(Role::Auditor, &page).await.text;
    assert!(may.contains("hidden, reveal with a reason") && may.contains("id=\"reveal\""), "{may}");
    let chinese = shop.get_as(Role::Auditor, &page.replace("=en", "=zh-CN")).await.text;
    assert!(chinese.contains("已隐藏，填写原因后显示"), "{chinese}");
    let shown = shop.post_as(Some(Role::Auditor), &page, &WHY).await.text;
    assert!(shown.contains("it broke &lt;b&gt;twice&lt;/b&gt;"), "{shown}");
    let rows = shop.see("/audit/timeline?lang=en").await.text;
    assert!(rows.contains("In their own words: hidden"), "{rows}");
}

#[tokio::test]
async fn a_reason_is_erased_with_the_person_it_is_about_and_with_its_writer() {
    let shop = Shop::open().await;
    shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    let (ada, bob) = (shop.user("Ada", "UK").await, shop.user("Bob", "UK").await);
    let product = shop.product("Mug", &["mug"], None).await;
    let support = writer(&shop, Role::Support, &format!("product/{product}")).await;
    let details = user::Details::try_new(ada, Some("Ada L"), None, None, None).unwrap();
    let change = user::Command::Change { details };
    with_reason::<User>(&shop, support, ada, change, "she married").await;
    let order = ids::new();
    let lines = vec![line(1, "mug", 1, 1299)];
    shop.command::<Order>(order, place_of("S-1", user_id(ada), lines, "UK")).await;
    let cancel = order::Command::Cancel { reason: "changed-my-mind".to_owned() };
    with_reason::<Order>(&shop, support, order, cancel, "she rang").await;
    let details = user::Details::try_new(bob, Some("Bob M"), None, None, None).unwrap();
    with_reason::<User>(&shop, support, bob, user::Command::Change { details }, "he wrote").await;
    with_reason::<Product>(&shop, support, product, product::Command::Delete, "it broke").await;
    let request = person::Command::RequestErasure { purposes: vec![Purpose::Account] };
    with_reason::<person::Person>(&shop, support, ada, request, "asked by letter").await;

    let reason = async |stream: &str| {
        let reveals = format!("/api/audit/a/{stream}/reveals");
        last(&shop.post_as(Some(Role::Auditor), &reveals, &WHY).await.ok())
    };
    let all = [
        (format!("user/{ada}"), "she married"),
        (format!("order/{order}"), "she rang"),
        (format!("user/{bob}"), "he wrote"),
        (format!("product/{product}"), "it broke"),
        (format!("person/{ada}"), "asked by letter"),
    ];
    for (stream, text) in &all {
        assert_eq!(reason(stream).await, json!(text), "{stream}");
    }
    shop.store.keys().erase(ada, &[Purpose::Account]).await.unwrap();
    for (stream, text) in &all {
        // Why she was erased stays: it is what the shop has to account for.
        let about_her = *stream == format!("user/{ada}") || *stream == format!("order/{order}");
        let expected = if about_her { erased() } else { json!(text) };
        assert_eq!(reason(stream).await, expected, "{stream}");
        let masked_too = shop.get_as(Role::Ops, &format!("/api/audit/a/{stream}")).await.ok();
        assert_eq!(last(&masked_too), if about_her { erased() } else { masked() }, "{stream}");
    }
    let page = shop.get_as(Role::Auditor, &format!("/audit/a/order/{order}?lang=zh-CN")).await.text;
    assert!(page.contains("已删除"), "{page}");
    shop.store.keys().erase(support, &[Purpose::Account]).await.unwrap();
    for (stream, _) in &all {
        assert_eq!(reason(stream).await, erased(), "{stream}");
    }
}

#[tokio::test]
async fn a_note_on_an_event_is_erased_with_the_person_it_is_about() {
    let shop = Shop::open().await;
    let ada = shop.user("Ada", "UK").await;
    let guest = guest();
    let (order, product) = (ids::new(), shop.product("Mug", &["mug"], None).await);
    shop.command::<Order>(order, place_of("S-1", guest, vec![line(1, "mug", 1, 1299)], "UK")).await;
    writer(&shop, Role::Support, &format!("product/{product}")).await;
    let streams = [format!("user/{ada}"), format!("order/{order}"), format!("product/{product}")];
    let text = async |stream: &str| {
        let trail = shop.get_as(Role::Ops, &format!("/api/audit/a/{stream}")).await.ok();
        let notes = trail["events"][0]["notes"].as_array().unwrap().clone();
        notes.iter().map(|note| note["text"].clone()).find(|text| !text.is_null()).unwrap_or_default()
    };
    for stream in &streams {
        let form = [("version", "1"), ("text", "rang on Monday"), ("shared", "1")];
        let left =
            shop.post_as(Some(Role::Support), &format!("/api/audit/a/{stream}/notes"), &form).await.ok();
        assert_eq!(left["text"], "rang on Monday");
        assert_eq!(text(stream).await, "rang on Monday", "{stream}");
    }
    shop.store.keys().erase(ada, &[Purpose::Account]).await.unwrap();
    assert_eq!(text(&streams[0]).await, erased());
    assert_eq!(text(&streams[1]).await, "rang on Monday");
    shop.store.keys().erase(guest.subject(), &[Purpose::Invoice]).await.unwrap();
    assert_eq!(text(&streams[1]).await, erased(), "a guest has no account");
    assert_eq!(text(&streams[2]).await, "rang on Monday");
}

/// The actions whose entries may have a reason.
const ACTIONS: [&str; 12] = [
    "reveal",
    "swap",
    "rollback",
    "rebuild",
    "verify",
    "retire",
    "retry",
    "discard",
    "process-retry",
    "process-acknowledge",
    "clock-confirm",
    "acknowledge",
];

#[tokio::test]
async fn the_reason_of_every_kind_of_operation_is_read_by_its_writer_and_revealed_to_others() {
    let shop = Shop::open().await;
    shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    let product = shop.product("Mug", &["mug"], None).await;
    let admin = writer(&shop, Role::Admin, &format!("product/{product}")).await;
    let db = shop.registry.operations();
    let mut entries = Vec::new();
    for action in ACTIONS {
        let reason = format!("why {action} <b>");
        let note = operations::note(shop.store.keys().store(), &reason).await.unwrap();
        let (actor, subject) = (format!("staff:{admin}"), "rm_orders_2".to_owned());
        let done = Operation { actor, action, subject, detail: json!({}), note: Some(note) };
        operations::add(db, &done).await.unwrap();
        entries.push((operations::last_of(db, None, 1).await.unwrap()[0].position, reason));
    }
    for (position, reason) in &entries {
        let entry = format!("/api/audit/operations/{position}");
        assert_eq!(shop.get_as(Role::Admin, &entry).await.ok()["reason"], json!(reason), "its writer");
        for other in [Role::Support, Role::Ops, Role::Auditor] {
            let got = shop.get_as(other, &entry).await.ok();
            assert_eq!((&got["has_reason"], &got["reason"]), (&json!(true), &masked()), "{other}");
        }
        let (reveals, before) =
            (format!("{entry}/reveals"), operations::last_of(db, None, 1).await.unwrap()[0].position);
        for refused in [Role::Support, Role::Ops] {
            assert_eq!(shop.post_as(Some(refused), &reveals, &WHY).await.status, 403, "{refused}");
        }
        assert_eq!(shop.post_as(None, &reveals, &WHY).await.status, 403);
        assert_eq!(shop.post_as(Some(Role::Auditor), &reveals, &[("reason", " x ")]).await.status, 400);
        assert_eq!(
            operations::last_of(db, None, 1).await.unwrap()[0].position,
            before,
            "nothing was revealed"
        );
        let shown = shop.post_as(Some(Role::Auditor), &reveals, &WHY).await.ok();
        assert_eq!(shown["reason"], json!(reason));
        let line = operations::last_of(db, None, 1).await.unwrap().remove(0);
        assert_eq!((line.action.as_str(), line.subject), ("reveal", format!("operation/{position}")));
        assert!(line.note.is_some_and(|note| !note.contains("complaint")), "its own reason is hidden, too");
    }
    let (position, reason) = &entries[0];
    let page = format!("/audit/operations/{position}?lang=en");
    let ops = shop.get_as(Role::Ops, &page).await.text;
    assert!(ops.contains("In their own words: ") && !ops.contains("<form class=\"column\""), "{ops}");
    let auditor = shop.get_as(Role::Auditor, &page).await.text;
    assert!(auditor.contains("hidden, reveal with a reason") && !auditor.contains("why reveal"), "{auditor}");
    let shown = shop.post_as(Some(Role::Auditor), &page, &WHY).await.text;
    assert!(shown.contains(&reason.replace("<b>", "&lt;b&gt;")), "{shown}");
    assert_eq!(shop.post_as(Some(Role::Ops), &page, &WHY).await.status, 403);
    let chinese = shop.get_as(Role::Auditor, &page.replace("=en", "=zh-CN")).await.text;
    assert!(chinese.contains("已隐藏，填写原因后显示"), "{chinese}");
    // The list, and the file, show none.
    for path in
        ["/api/audit/operations?limit=200", "/audit/operations", "/api/audit/operations/export.ndjson"]
    {
        let text = shop.get_as(Role::Auditor, path).await.text;
        assert!(!text.contains("why "), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_note_that_looks_like_an_encrypted_value_is_shown_as_it_was_written() {
    let shop = Shop::open().await;
    shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    let (ada, product) = (shop.user("Ada", "UK").await, shop.product("Mug", &["mug"], None).await);
    let support = writer(&shop, Role::Support, &format!("product/{product}")).await;
    let payload: Value =
        serde_json::from_str(&shop.store.log().read(1, 1).await.unwrap()[0].payload).unwrap();
    let jwe = payload.pointer("/UserRegistered/name").unwrap().as_str().unwrap().to_owned();
    assert!(jwe.starts_with("eyJ"), "{ada}: {payload}");
    with_reason::<Product>(&shop, support, product, product::Command::Delete, &jwe).await;
    let trail = shop.get_as(Role::Support, &format!("/api/audit/a/product/{product}")).await.ok();
    assert_eq!(last(&trail), json!(jwe), "nobody has a value decrypted by writing it down");
}
