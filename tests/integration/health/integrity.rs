//! Tampering that a check has found, by whatever way it was made, is red everywhere until it is proved again or
//! acknowledged, also after a restart.

use std::time::Duration;

use soonshop::seals;

use super::{Fault, doctor_names, green, red, run};
use crate::replay::{code, lines, ran, sold};
use crate::support::{Set, TestShop, eventually};

const FAULT: Fault<'_> = Fault { check: "integrity", object: "log 2", remedy: "integrity" };

/// The exit code of a check by `soonshop`.
async fn checked(shop: &TestShop, from: i64, record: bool) -> u8 {
    let verb = seals::Verb::Check { from, to: None, pubkey: None, record, offline: None, json: true };
    seals::run(&shop.place.config, &verb).await.unwrap().exit_code
}

async fn by_tool(shop: &TestShop, args: &[&str]) -> i32 {
    code(&ran(&shop.place, args).await)
}

/// The tool says the same as all others.
async fn tool_says(shop: &TestShop, well: bool) {
    let status = ran(&shop.place, &["status", "--json"]).await;
    let summary = lines(&status).pop().unwrap();
    assert_eq!((code(&status), &summary["healthy"]), (if well { 0 } else { 3 }, &well.into()), "{summary}");
    let doctor = ran(&shop.place, &["doctor"]).await;
    assert_eq!(code(&doctor), if well { 0 } else { 3 });
    let message = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(message.contains("replay-tool acknowledge"), !well, "the remedy: {message}");
}

async fn until_sealed(shop: &TestShop) {
    let head = shop.shop.log().unwrap().head().await.unwrap().position;
    eventually("all is sealed", Duration::from_secs(30), async || {
        let last = shop.shop.seals().unwrap().last().await.unwrap();
        last.is_some_and(|seal| seal.unwrap().last == head)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tampering_is_red_everywhere_and_after_a_restart_until_it_is_proved_or_acknowledged() {
    let shop = sold(Set::Embedded, 3).await;
    until_sealed(&shop).await;
    assert_eq!(checked(&shop, 1, false).await, 0);
    green(&shop.client, "integrity").await;
    tool_says(&shop, true).await;
    run(&shop.shop, "log", "UPDATE events SET payload = replace(payload, ':', ': ') WHERE position = 2")
        .await;
    assert_eq!(by_tool(&shop, &["check"]).await, 3);
    red(&shop.client, &FAULT).await;
    doctor_names(&shop.shop, &FAULT).await;
    tool_says(&shop, false).await;
    // A check of nothing, and one of the record of operations, end no alarm, whoever makes them.
    assert_eq!(by_tool(&shop, &["check", "--from", "999999"]).await, 3);
    assert_eq!(checked(&shop, 999_999, false).await, 3);
    checked(&shop, 1, true).await;
    red(&shop.client, &FAULT).await;
    let front = shop.client.get("/").await.expect(200).json();
    assert_eq!(front["ready"], true, "it can do its work: {front}");
    let headers = [("accept", "text/html"), ("accept-language", "en")];
    let page = shop.client.send(reqwest::Method::GET, "/", None, &headers).await.expect(200);
    assert!(String::from_utf8(page.bytes).unwrap().contains("Tampering was found."));

    let shop = TestShop::serve(shop.close().await).await;
    red(&shop.client, &FAULT).await;
    tool_says(&shop, false).await;
    run(&shop.shop, "log", "UPDATE events SET payload = replace(payload, ': ', ':') WHERE position = 2")
        .await;
    red(&shop.client, &FAULT).await;
    assert_eq!(by_tool(&shop, &["check"]).await, 0);
    green(&shop.client, "integrity").await;

    run(&shop.shop, "log", "UPDATE events SET event_type = 'Other' WHERE position = 2").await;
    assert_eq!(checked(&shop, 1, false).await, 3);
    red(&shop.client, &FAULT).await;
    let acknowledge = ["acknowledge", "--from", "2", "--reason", "ticket 4711"];
    assert_eq!(by_tool(&shop, &["acknowledge", "--from", "9", "--reason", "ticket 4711"]).await, 4);
    assert_eq!(by_tool(&shop, &acknowledge).await, 0);
    green(&shop.client, "integrity").await;
    assert_eq!(by_tool(&shop, &acknowledge).await, 4, "it is acknowledged already");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_made_in_the_place_of_one_that_the_shop_has_used() {
    let shop = sold(Set::Embedded, 1).await;
    until_sealed(&shop).await;
    let place = shop.close().await;
    let shop = soonshop::Shop::open(&place.config, soonshop::Role::All).unwrap();
    for file in [&place.config.master_key_file, &place.config.seal_key_file] {
        let kept = file.with_extension("kept");
        std::fs::rename(file, &kept).unwrap();
        let refused = soonshop::migrate::migrate(&shop).await.unwrap_err().to_string();
        assert!(refused.contains("put it back from its backup") && !file.exists(), "{refused}");
        std::fs::rename(kept, file).unwrap();
    }
    soonshop::migrate::migrate(&shop).await.unwrap();
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_missing_is_named_although_most_callers_do_not_need_it() {
    let shop = sold(Set::Embedded, 1).await;
    for (namespace, table) in [("log", "claims"), ("operations", "api_keys")] {
        green(&shop.client, "schema").await;
        run(&shop.shop, namespace, &format!("ALTER TABLE {table} RENAME TO away")).await;
        let object = format!("{namespace}.{table}");
        red(&shop.client, &Fault { check: "schema", object: &object, remedy: "migrate" }).await;
        run(&shop.shop, namespace, &format!("ALTER TABLE away RENAME TO {table}")).await;
    }
    green(&shop.client, "schema").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_that_was_cut_off_is_red_whatever_is_appended_later() {
    let shop = sold(Set::Embedded, 2).await;
    until_sealed(&shop).await;
    assert_eq!(checked(&shop, 1, false).await, 0);
    // Nothing new is sealed, and the workers are gone.
    let place = shop.close().await;
    let shop = soonshop::Shop::open(&place.config, soonshop::Role::All).unwrap();
    let head = shop.log().unwrap().head().await.unwrap().position;
    let sealed = shop.seals().unwrap().last().await.unwrap().unwrap().unwrap();
    let unseal = format!("DROP TRIGGER refuse_delete; DELETE FROM seals WHERE last_position >= {head}");
    run(&shop, "seals", &unseal).await;
    run(&shop, "log", &format!("DELETE FROM events WHERE position = {head}")).await;
    let verb =
        seals::Verb::Check { from: 1, to: None, pubkey: None, record: false, offline: None, json: true };
    let found = seals::run(&place.config, &verb).await.unwrap();
    let report: serde_json::Value = serde_json::from_str(&found.text).unwrap();
    assert_eq!((found.exit_code, &report["verdict"]), (3, &"broken".into()), "{report}");
    // The range of the seal that is gone, and the event.
    let found = report["findings"].as_array().unwrap();
    assert!(sealed.last == head && found.iter().any(|finding| finding["position"] == head), "{report}");
    assert_eq!(found[0]["position"], sealed.first, "{report}");
    // The second check finds the event again.
    let before = match head - sealed.first {
        0 => String::new(),
        1 => format!("{}, ", sealed.first),
        _ => format!("{}…{}, ", sealed.first, head - 1),
    };
    assert_eq!(code(&ran(&place, &["check"]).await), 3);
    assert_eq!(code(&ran(&place, &["status"]).await), 3);
    doctor_names(
        &shop,
        &Fault { check: "integrity", object: &format!("log {before}{head}"), remedy: "integrity" },
    )
    .await;
}

/// The position of the last entry of the record, once all entries are sealed.
async fn until_record_sealed(shop: &TestShop) -> i64 {
    let head = shop.shop.record().unwrap().head().await.unwrap().position;
    eventually("the record is sealed", Duration::from_secs(30), async || {
        let last = shop.shop.record_seals().unwrap().last().await.unwrap();
        last.is_some_and(|seal| seal.unwrap().last == head)
    })
    .await;
    head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changing_the_newest_entry_about_the_seals_ends_no_alarm_and_is_one() {
    let shop = sold(Set::Embedded, 3).await;
    until_sealed(&shop).await;
    run(&shop.shop, "log", "UPDATE events SET payload = replace(payload, ':', ': ') WHERE position = 2")
        .await;
    for _ in 0..2 {
        assert_eq!(checked(&shop, 1, false).await, 3);
    }
    let newest = until_record_sealed(&shop).await;
    red(&shop.client, &FAULT).await;
    let kept = format!(
        "DROP TRIGGER entries_are_not_changed; CREATE TABLE kept AS SELECT * FROM entries WHERE position = {newest}"
    );
    run(&shop.shop, "operations", &kept).await;
    let forged = serde_json::json!({
        "verdict": "intact", "from": 1, "to": 9, "rows": 9, "tail": 0, "head": 9, "key_given": false,
        "integrity": {"ranges": [{"from": 1, "to": 9, "state": "proved", "entry": newest}], "head": 9},
    });
    let forge = format!("UPDATE entries SET detail = '{forged}' WHERE position = {newest}");
    run(&shop.shop, "operations", &forge).await;
    // What the entry before it says still counts, and the entry itself is found.
    red(&shop.client, &FAULT).await;
    let of_record = format!("record {newest}");
    let changed = Fault { check: "integrity", object: &of_record, remedy: "integrity" };
    red(&shop.client, &changed).await;
    doctor_names(&shop.shop, &changed).await;
    tool_says(&shop, false).await;
    // Nor does a check of something else that is recorded and sealed after it.
    assert_eq!(checked(&shop, 999_999, false).await, 3);
    until_record_sealed(&shop).await;
    red(&shop.client, &FAULT).await;
    red(&shop.client, &changed).await;
    let back = format!(
        "UPDATE entries SET detail = (SELECT detail FROM kept) WHERE position = {newest}; DROP TABLE kept"
    );
    run(&shop.shop, "operations", &back).await;
    run(&shop.shop, "log", "UPDATE events SET payload = replace(payload, ': ', ':') WHERE position = 2")
        .await;
    assert_eq!(checked(&shop, 1, true).await, 0);
    assert_eq!(checked(&shop, 1, false).await, 0);
    green(&shop.client, "integrity").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_whose_end_was_cut_off_says_so_and_what_to_do() {
    let shop = sold(Set::Embedded, 1).await;
    until_sealed(&shop).await;
    for _ in 0..3 {
        assert_eq!(checked(&shop, 1, false).await, 0);
    }
    let newest = until_record_sealed(&shop).await;
    green(&shop.client, "integrity").await;
    let first = newest - 1;
    let cut = format!("DROP TRIGGER entries_are_not_removed; DELETE FROM entries WHERE position >= {first}");
    run(&shop.shop, "operations", &cut).await;
    let range = format!("record {first}…{newest}");
    let fault = Fault { check: "integrity", object: &range, remedy: "integrity" };
    red(&shop.client, &fault).await;
    doctor_names(&shop.shop, &fault).await;
    let sealer = async || {
        let body = shop.client.get("/health/audit").await.json();
        let sealer = &body["record_seals"];
        let complaint = sealer["complaint"].as_str().unwrap_or_default();
        complaint.contains("its end was cut off")
            && !complaint.contains("rebuild")
            && sealer["remedy"] == "cut-off"
    };
    eventually("the sealer says what happened and what to do", Duration::from_secs(30), sealer).await;
    let (from, to) = (first.to_string(), newest.to_string());
    let reason = ["--reason", "compared with the backup"];
    let acknowledge = [&["acknowledge", "--record", "--from", &from, "--to", &to], &reason[..]].concat();
    assert_eq!(by_tool(&shop, &acknowledge).await, 0);
    green(&shop.client, "integrity").await;
    shop.stop().await;
}
