//! An alarm of integrity stays, on every page, until what it is about is proved or acknowledged.

use sea_orm::DatabaseBackend;
use serde_json::{Value, json};
use soonshop_domain::{Purpose, ids};
use soonshop_service_kit::access::Role;

use crate::pages::{recorded, seal};
use crate::shop::*;

const ALARM: &str = "Tampering was found.";

const PAGES: [&str; 11] = [
    "/audit",
    "/audit/timeline",
    "/audit/projections",
    "/audit/projections/users",
    "/audit/processes",
    "/audit/parked",
    "/audit/integrity",
    "/audit/keys",
    "/audit/sign-in",
    "/audit/timeline?q=type:%5B",
    "/audit/projections/nowhere",
];

/// A sealed shop of three users.
async fn sealed() -> Shop {
    let shop = Shop::open().await;
    for number in 0..3 {
        shop.user(&format!("u{number}"), "UK").await;
    }
    shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    seal(&shop).await;
    shop.see("/api/audit/timeline").await.ok();
    shop
}

async fn set_type(shop: &Shop, event_type: &str) {
    let sql = format!("UPDATE @events SET event_type = '{event_type}' WHERE position = 2");
    shop.sql(shop.store.log().db(), &sql).await;
}

async fn check(shop: &Shop, form: &[(&str, &str)]) -> String {
    let got = shop.post_as(Some(Role::Support), "/audit/integrity?lang=en", form).await;
    assert_eq!(got.status, 200, "{}", got.text);
    got.text
}

/// Every page has the alarm, or none has; the health says the same.
async fn everywhere(shop: &Shop, red: bool) {
    for page in PAGES {
        let sign = if page.contains('?') { '&' } else { '?' };
        let got = shop.get(&format!("{page}{sign}lang=en")).await;
        assert_eq!(got.text.contains(ALARM), red, "{page}: {}", got.text);
    }
    assert_eq!(shop.get("/audit/timeline?lang=zh-CN").await.text.contains("发现篡改。"), red);
    let health = shop.get("/health/audit").await;
    if red {
        assert_eq!((health.status, &health.json()["healthy"]), (503, &json!(false)));
    }
    assert_eq!(health.json()["integrity"][0]["well"], !red, "{}", health.text);
    assert_eq!(shop.get("/audit?lang=en").await.text.contains("Tampering found"), red);
}

#[tokio::test]
async fn an_alarm_stays_on_every_page_until_a_check_of_it_passes() {
    let shop = sealed().await;
    assert!(check(&shop, &[]).await.contains("Intact"));
    everywhere(&shop, false).await;
    set_type(&shop, "UserGone").await;
    assert!(check(&shop, &[]).await.contains("#2</a>"));
    everywhere(&shop, true).await;
    for form in [&[("from", "999999")][..], &[("of", "record")], &[("of", "record"), ("from", "999999")]] {
        let text = check(&shop, form).await;
        assert!(text.contains(ALARM) && !text.contains("What this proves"), "{form:?} {text}");
        everywhere(&shop, true).await;
    }
    assert!(check(&shop, &[("from", "999999")]).await.contains("Nothing to check"));
    set_type(&shop, "UserRegistered").await;
    everywhere(&shop, true).await;
    assert!(check(&shop, &[]).await.contains("Intact"));
    everywhere(&shop, false).await;
}

#[tokio::test]
async fn acknowledging_ends_an_alarm_says_who_and_why_and_proves_nothing() {
    let shop = sealed().await;
    let path = "/api/audit/integrity/acknowledgements";
    let of = |from: &'static str, upto: &'static str, reason: &'static str| {
        [("from", from), ("upto", upto), ("reason", reason)]
    };
    let known = async || shop.get("/api/audit/integrity").await.ok();
    let nothing = shop.post_as(Some(Role::Ops), path, &of("1", "9", "ticket 4711")).await;
    assert_eq!(nothing.refused(), (409, "nothing-to-acknowledge".to_owned()));
    assert!(check(&shop, &[]).await.contains("Intact"));
    set_type(&shop, "UserGone").await;
    check(&shop, &[]).await;
    let red = known().await;
    assert_eq!((&red["well"], &red["items"][0]["of"]), (&json!(false), &json!("log")));
    let states = |known: &Value| {
        let ranges = known["items"][0]["ranges"].as_array().unwrap();
        ranges.iter().map(|one| format!("{}-{} {}", one["from"], one["to"], one["state"])).collect::<Vec<_>>()
    };
    assert_eq!(states(&red), ["1-1 \"proved\"", "2-2 \"broken\"", "3-3 \"proved\""]);
    for role in [Role::Support, Role::Auditor, Role::Service] {
        assert_eq!(shop.post_as(Some(role), path, &of("2", "2", "ticket 4711")).await.status, 403, "{role}");
    }
    for (form, status) in
        [(of("2", "2", " x "), 400), (of("2", "1", "ticket"), 400), (of("3", "9", "ticket"), 409)]
    {
        assert_eq!(shop.post_as(Some(Role::Ops), path, &form).await.status, status, "{form:?}");
    }
    everywhere(&shop, true).await;
    let page = shop.get_as(Role::Ops, "/audit/integrity?lang=en").await.text;
    assert!(page.contains("Acknowledge <span translate=\"no\">2</span>"), "{page}");
    assert!(!shop.get_as(Role::Auditor, "/audit/integrity?lang=en").await.text.contains("Acknowledge <span"));

    // The form of the page, and the same for programs.
    let form = of("2", "2", "ticket 4711: mended by hand");
    let done = shop.post_as(Some(Role::Ops), "/audit/integrity/acknowledgements?lang=en", &form).await;
    assert_eq!((done.status, done.header("location")), (303, "/audit/integrity?lang=en"), "{}", done.text);
    everywhere(&shop, false).await;
    assert_eq!(states(&known().await)[1], "2-2 \"acknowledged\"");
    let lines = recorded(&shop, "acknowledge").await;
    assert_eq!((lines.len(), lines[0].subject.as_str()), (1, "log"));
    let (kind, who) = lines[0].actor.split_once(':').unwrap();
    assert_eq!(kind, "staff");
    let entry = format!("/audit/operations/{}", lines[0].position);
    let page = shop.get_as(Role::Ops, "/audit/integrity?lang=en").await.text;
    for message in
        ["Acknowledged, not proved", "ticket 4711: mended by hand", who, &format!("{entry}?lang=en")]
    {
        assert!(page.contains(message), "{message}: {page}");
    }
    // The reason is hidden from all others, as everywhere; its entry reveals it.
    for role in [Role::Support, Role::Admin, Role::Auditor] {
        let page = shop.get_as(role, "/audit/integrity?lang=en").await.text;
        let shown = page.contains("Acknowledged, not proved") && page.contains(who) && page.contains(&entry);
        assert!(shown && !page.contains("ticket 4711"), "{role}: {page}");
    }
    let auditor = shop.get_as(Role::Auditor, "/audit/integrity?lang=en").await.text;
    assert!(auditor.contains(&format!("{entry}?lang=en#reveal")), "{auditor}");
    assert!(!page.contains("What this proves"), "what was acknowledged is not proved: {page}");
    assert!(lines[0].note.as_deref().is_some_and(|note| !note.contains("4711")));
    assert_eq!(shop.post_as(Some(Role::Ops), path, &form).await.status, 409, "it is acknowledged already");

    // It is found again: the order of entries decides.
    check(&shop, &[]).await;
    everywhere(&shop, true).await;
    let done = shop.post_as(Some(Role::Admin), path, &form).await;
    assert_eq!((done.status, &done.json()["well"]), (200, &json!(true)), "{}", done.text);
    set_type(&shop, "UserRegistered").await;
    check(&shop, &[]).await;
    assert_eq!(states(&known().await), ["1-3 \"proved\""]);
}

#[tokio::test]
async fn the_findings_are_read_from_the_newest_entry_of_the_record() {
    let shop = sealed().await;
    set_type(&shop, "UserGone").await;
    // As a browser sends the form: what is left empty is sent, too.
    check(&shop, &[("of", "log"), ("from", "1"), ("upto", "")]).await;
    let db = shop.registry.operations();
    // Entries of an earlier release carry no ranges.
    let old = "INSERT INTO @entries (position, at, actor, action, subject, detail) \
               SELECT max(position) + 1, max(at), 'staff:7', 'check', 'log', \
                   '{\"verdict\":\"intact\",\"from\":1,\"to\":1,\"rows\":1,\"tail\":0,\"first_bad\":null}' FROM @entries";
    shop.sql(db, old).await;
    everywhere(&shop, true).await;
}

#[tokio::test]
async fn nothing_is_claimed_before_something_is_proved() {
    let shop = sealed().await;
    let page = async || shop.get("/audit/integrity?lang=en").await.text;
    assert!(!page().await.contains("What this proves"));
    check(&shop, &[]).await;
    assert!(page().await.contains("At the positions that are proved, nothing was changed"));
}

#[tokio::test]
async fn seals_that_were_removed_are_found_where_their_positions_were_proved() {
    let shop = sealed().await;
    assert!(check(&shop, &[]).await.contains("Intact"));
    let seals = shop.store.log().db().beside("seals").unwrap();
    let allow = if seals.backend() == DatabaseBackend::Postgres {
        "DROP TRIGGER refuse_change ON @seals"
    } else {
        "DROP TRIGGER refuse_delete"
    };
    shop.sql(&seals, allow).await;
    shop.sql(&seals, "DELETE FROM @seals").await;
    let text = check(&shop, &[("from", "2")]).await;
    assert!(
        text.contains("#2 the positions up to 3 were under a seal before, and are not any more"),
        "{text}"
    );
    everywhere(&shop, true).await;
    let known = shop.get("/api/audit/integrity").await.ok();
    assert_eq!(known["items"][0]["ranges"][1], json!({ "from": 2, "to": 3, "state": "broken", "entry": 2 }));
    seal(&shop).await;
    check(&shop, &[]).await;
    everywhere(&shop, false).await;
}

#[tokio::test]
async fn the_entry_of_a_check_says_what_was_found_without_the_ranges_that_it_carries() {
    let shop = sealed().await;
    check(&shop, &[]).await;
    set_type(&shop, "UserGone").await;
    check(&shop, &[]).await;
    let lines = recorded(&shop, "check").await;
    assert!(lines.len() == 2 && lines.iter().all(|line| line.detail["integrity"]["ranges"].is_array()));
    let position = lines.iter().map(|line| line.position).max().unwrap();
    let one = shop.get(&format!("/api/audit/operations/{position}")).await.ok();
    assert_eq!((&one["detail"]["first_bad"], &one["detail"]["integrity"]), (&json!(2), &Value::Null));
    let page = shop.get(&format!("/audit/operations/{position}?lang=en")).await.text;
    assert!(page.contains("Checked the log: tampering found at position 2"), "{page}");
    assert!(!page.contains("integrity/"), "{page}");
    for address in ["/api/audit/operations", "/api/audit/operations/export.ndjson"] {
        let got = shop.get(address).await;
        assert!(got.text.contains("first_bad") && !got.text.contains("\"ranges\""), "{}", got.text);
    }
}

#[tokio::test]
async fn the_overview_says_which_positions_were_proved_last_and_when() {
    let shop = sealed().await;
    let card = async |lang: &str| {
        let text = shop.get(&format!("/audit?lang={lang}")).await.text;
        let card =
            text.split("<section class=\"card\">").skip(1).find(|card| card.contains("/audit/integrity"));
        card.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert!(card("en").await.contains("No position is proved yet"));
    assert!(card("zh-CN").await.contains("尚无已证明的位置"));
    check(&shop, &[]).await;
    let entry = recorded(&shop, "check").await.remove(0);
    let at = soonshop_domain::clock::from_micros(entry.at * 1_000).format("%Y-%m-%d %H:%M:%S").to_string();
    for (lang, message) in [("en", "positions 1…3"), ("zh-CN", "位置 1…3")] {
        let card = card(lang).await;
        assert!(card.contains(message) && card.contains(&at), "{message} {at}: {card}");
        assert!(card.contains(&format!("/audit/operations/{}", entry.position)), "{card}");
    }
    // A range in which something was found is not proved any more.
    set_type(&shop, "UserGone").await;
    check(&shop, &[]).await;
    let card = card("en").await;
    assert!(card.contains("position 1, position 3"), "{card}");
}
