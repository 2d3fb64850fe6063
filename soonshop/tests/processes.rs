//! Process managers at the command line: the output, the record of operations and the exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "fixture/config.rs"]
mod config;

use std::path::Path;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop::migrate::{StartProcess, migrate_and_start};
use soonshop::processes::{Format, Verb, run};
use soonshop::seals::Outcome;
use soonshop::{Config, Role, Shop, doctor, migrate, seed};
use soonshop_projections::operations;

use crate::config::config;

const ORDER: &str = "00000000-0000-0000-0000-000000000001";

fn open(folder: &Path, days: u16) -> Shop {
    let config = Config { cancel_unshipped_after_days: days, ..config(folder) };
    Shop::open(&config, Role::All).unwrap()
}

async fn sql(shop: &Shop, sql: &str) {
    let db = shop.store_database.namespace("process").unwrap();
    db.connection.execute(db.statement(sql, [])).await.unwrap();
}

async fn number(shop: &Shop, sql: &str) -> i64 {
    let db = shop.store_database.namespace("process").unwrap();
    db.connection.query_one(db.statement(sql, [])).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Adds an order whose second reservation waits.
async fn plant(shop: &Shop) {
    let task = r#"{"do":"reserve","place":{"sku":"MUG","location":"main"},"line":2,"quantity":1}"#;
    let far = 9_000_000_000_000_i64;
    sql(
        shop,
        &format!(
            "INSERT INTO @instances (process, instance, state, next, since) \
             VALUES ('fulfilment', '{ORDER}', '{{\"phase\":\"reserving\",\"lines\":[]}}', 2, 1700000000000)"
        ),
    )
    .await;
    sql(
        shop,
        &format!(
            "INSERT INTO @outbox (process, instance, number, input, task, attempts, last_error, waiting_since, retry_at) \
             VALUES ('fulfilment', '{ORDER}', 2, '{ORDER}', '{task}', 7, 'the key store is away', 1700000000000, {far})"
        ),
    )
    .await;
}

fn list(stuck: bool, all: bool, format: Format) -> Verb {
    Verb::List { process: None, stuck, all, most: 100, after: None, format }
}

fn show(process: &str, instance: &str, format: Format) -> Verb {
    Verb::Show { process: process.to_owned(), instance: instance.to_owned(), format }
}

fn retry(instance: &str, reason: Option<&str>) -> Verb {
    Verb::Retry {
        process: "fulfilment".to_owned(),
        instance: instance.to_owned(),
        reason: reason.map(str::to_owned),
        format: Format::Json,
    }
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.text).unwrap()
}

#[tokio::test]
async fn a_stuck_instance_is_listed_and_shown_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let shop = open(folder.path(), 0);
    migrate::migrate(&shop).await.unwrap();
    let none = run(&shop, &list(true, false, Format::Text)).await.unwrap();
    assert_eq!((none.text.as_str(), none.exit_code), ("no instances", 0));
    plant(&shop).await;
    let stuck = run(&shop, &list(true, false, Format::Text)).await.unwrap();
    assert_eq!(stuck.exit_code, 3);
    for part in
        ["fulfilment", ORDER, "reserving", "reserve 2", "the key store is away", "2023-11-14T22:13:20Z"]
    {
        assert!(stuck.text.contains(part), "{part}: {}", stuck.text);
    }
    let open = run(&shop, &list(false, false, Format::Json)).await.unwrap();
    assert_eq!((json(&open)["instance"].as_str(), open.exit_code), (Some(ORDER), 0));
    let shown = run(&shop, &show("fulfilment", ORDER, Format::Json)).await.unwrap();
    let one = json(&shown);
    assert_eq!(
        (&one["step"], &one["stuck"], &one["history"]),
        (&json!("reserving"), &json!(true), &json!([]))
    );
    assert_eq!(one["waits_with"]["reason"], "the key store is away");
    let text = run(&shop, &show("fulfilment", ORDER, Format::Text)).await.unwrap().text;
    for part in ["step       reserving", "stock.reserve", "because    the key store is away", "tried 7 times"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Adds the failure of an order that was cancelled after its goods had left.
async fn fail(shop: &Shop) {
    let task = r#"{"do":"release","place":{"sku":"MUG","location":"main"},"line":1}"#;
    for insert in [
        format!(
            "INSERT INTO @instances (process, instance, state, next, since) \
             VALUES ('fulfilment', '{ORDER}', '{{\"phase\":\"ended\",\"lines\":[]}}', 3, 1700000000000)"
        ),
        format!(
            "INSERT INTO @failures (process, instance, number, task, slug, failed_at) \
             VALUES ('fulfilment', '{ORDER}', 3, '{task}', 'line-shipped', 1700000000000)"
        ),
    ] {
        sql(shop, &insert).await;
    }
}

#[tokio::test]
async fn a_failure_is_an_alarm_until_it_is_acknowledged_which_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let shop = open(folder.path(), 0);
    migrate::migrate(&shop).await.unwrap();
    let acknowledge = Verb::Acknowledge {
        process: "fulfilment".to_owned(),
        instance: ORDER.to_owned(),
        reason: Some("the parcel came back".to_owned()),
        format: Format::Text,
    };
    fail(&shop).await;
    let stuck = run(&shop, &list(true, false, Format::Text)).await.unwrap();
    assert_eq!(stuck.exit_code, 3);
    assert!(stuck.text.contains("1 failed: release 1 was refused: line-shipped"), "{}", stuck.text);
    let text = run(&shop, &show("fulfilment", ORDER, Format::Text)).await.unwrap().text;
    assert!(text.contains("first      release 1: line-shipped at 2023-11-14T22:13:20Z"), "{text}");
    let found = async || {
        doctor::examine(&shop).await.into_iter().find(|finding| finding.what == "processes").unwrap()
    };
    let finding = found().await;
    assert!(!finding.ok, "{finding:?}");
    assert!(finding.detail.contains(ORDER) && finding.detail.contains("line-shipped"), "{finding:?}");
    assert!(finding.cure.contains("soonshop process acknowledge"), "{finding:?}");
    let done = run(&shop, &acknowledge).await.unwrap();
    assert_eq!(done.exit_code, 0, "{}", done.text);
    let operations = shop.read_database.namespace("operations").unwrap();
    let record = operations::last_of(&operations, None, 5).await.unwrap().remove(0);
    assert_eq!((record.action.as_str(), record.subject.as_str()), ("process-acknowledge", ORDER));
    assert_eq!(record.detail, json!({ "process": "fulfilment", "count": 1, "refusal": "line-shipped" }));
    assert!(record.note.is_some());
    assert_eq!(run(&shop, &list(true, false, Format::Text)).await.unwrap().exit_code, 0);
    assert!(found().await.ok);
    let again = run(&shop, &acknowledge).await.unwrap();
    assert!(again.exit_code == 2 && again.text.contains("nothing to acknowledge"), "{}", again.text);
}

#[tokio::test]
async fn a_retry_is_recorded_with_its_actor_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let shop = open(folder.path(), 0);
    migrate::migrate(&shop).await.unwrap();
    plant(&shop).await;
    let asked = run(&shop, &retry(ORDER, Some("the customer calls"))).await.unwrap();
    assert_eq!((json(&asked)["asked"].as_bool(), asked.exit_code), (Some(true), 0));
    let now = number(&shop, "SELECT retry_at FROM @outbox").await;
    assert!(now < 9_000_000_000_000, "it is tried at once");
    assert_eq!(number(&shop, "SELECT attempts FROM @outbox").await, 7);
    let record =
        operations::last_of(&shop.read_database.namespace("operations").unwrap(), None, 5).await.unwrap();
    assert_eq!((record[0].action.as_str(), record[0].subject.as_str()), ("process-retry", ORDER));
    assert_eq!(record[0].actor, "service:operator");
    assert_eq!(
        record[0].detail,
        json!({ "process": "fulfilment", "command": "stock.reserve", "attempts": 7 })
    );
    let note = record[0].note.as_deref().unwrap();
    assert!(note.starts_with("ey") && !note.contains("customer"), "it is encrypted: {note}");
    // A retry that is refused is not recorded.
    sql(&shop, "DELETE FROM @outbox").await;
    let nothing = run(&shop, &retry(ORDER, None)).await.unwrap();
    assert_eq!(nothing.exit_code, 2);
    assert!(nothing.text.contains("nothing to try again"), "{}", nothing.text);
    let after =
        operations::last_of(&shop.read_database.namespace("operations").unwrap(), None, 5).await.unwrap();
    assert_eq!(after.len(), record.len());
}

#[tokio::test]
async fn an_unknown_process_or_instance_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let shop = open(folder.path(), 0);
    migrate::migrate(&shop).await.unwrap();
    let of_nothing = Verb::List {
        process: Some("nothing".to_owned()),
        stuck: false,
        all: false,
        most: 1,
        after: None,
        format: Format::Text,
    };
    let no_cursor = Verb::List {
        process: None,
        stuck: false,
        all: true,
        most: 1,
        after: Some("x".to_owned()),
        format: Format::Text,
    };
    for (verb, detail) in [
        (of_nothing, "fulfilment, release-unshipped, cart-expiry"),
        (no_cursor, "PROCESS/INSTANCE"),
        (show("nothing", ORDER, Format::Text), "there is no process \"nothing\""),
        (show("fulfilment", ORDER, Format::Text), "fulfilment has no instance"),
        (retry("'; DROP TABLE outbox; --", None), "fulfilment has no instance"),
    ] {
        let outcome = run(&shop, &verb).await.unwrap();
        assert_eq!(outcome.exit_code, 2, "{verb:?}");
        assert!(outcome.text.contains(detail), "{verb:?}: {}", outcome.text);
    }
}

#[tokio::test]
async fn a_process_added_to_an_existing_log_starts_at_the_given_place() {
    let folder = tempfile::tempdir().unwrap();
    let shop = open(folder.path(), 0);
    migrate::migrate(&shop).await.unwrap();
    let position = "SELECT position FROM @checkpoints WHERE follower = 'reactor:release-unshipped'";
    let there = format!("SELECT count(*) FROM ({position}) found");
    assert_eq!(number(&shop, &there).await, 0, "what is switched off does not begin");
    assert_eq!(
        number(&shop, "SELECT position FROM @checkpoints WHERE follower = 'reactor:fulfilment'").await,
        0
    );
    let start = |text: &str| [text.parse::<StartProcess>().unwrap()];
    let off = migrate_and_start(&shop, &start("release-unshipped=beginning")).await.unwrap_err();
    assert!(off.to_string().contains("switched off"), "{off}");
    let store = shop.event_store().unwrap();
    seed::seed(&store).await.unwrap();
    store.close().await;
    let head = shop.log().unwrap().head().await.unwrap().position;
    assert!(head > 0);

    let shop = open(folder.path(), 3);
    let missing = doctor::examine(&shop).await;
    let missing = missing.iter().find(|finding| finding.what == "reactor:release-unshipped").unwrap();
    assert_eq!((missing.ok, missing.detail.as_str()), (false, "has never begun"));
    let detail = migrate_and_start(&shop, &start("release-unshipped=beginning")).await.unwrap();
    assert_eq!(detail, ["release-unshipped starts after position 0"]);
    assert_eq!(number(&shop, position).await, 0);
    let detail = migrate_and_start(&shop, &start("release-unshipped=head")).await.unwrap();
    assert_eq!(detail, ["release-unshipped had begun before, and goes on after position 0"]);
    sql(&shop, "DELETE FROM @checkpoints WHERE follower = 'reactor:release-unshipped'").await;
    migrate::migrate(&shop).await.unwrap();
    assert_eq!(number(&shop, position).await, head, "where nothing is said it starts at the head");
}

#[tokio::test]
async fn the_doctor_names_a_generation_of_another_release_with_which_something_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let shop = open(folder.path(), 0);
    migrate::migrate(&shop).await.unwrap();
    let registry = shop.registry().unwrap();
    let operations = registry.operations();
    let other = "UPDATE @generations SET version = version + 1 WHERE projection = 'orders'";
    operations.connection.execute(operations.statement(other, [])).await.unwrap();
    let status = shop.status_reader().unwrap().read(&soonshop_projections::all()).await.unwrap();
    let one = status.generations.iter().find(|one| one.projection == "orders").unwrap();
    assert!(one.complaint.is_some() && !status.healthy(), "no worker keeps it");
    let findings = doctor::examine(&shop).await;
    let finding = findings.iter().find(|finding| finding.what == one.namespace()).unwrap();
    assert!(!finding.ok && finding.detail.contains("no worker is running"), "{finding:?}");
}
