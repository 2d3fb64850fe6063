//! Seals at the command line: the output and the exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "fixture/config.rs"]
mod config;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::Value;
use soonshop::seals::{Outcome, Verb, run};
use soonshop::serve::{self, Options, Running};
use soonshop::{Config, Role, Shop, doctor, migrate, seed, settle};
use soonshop_projections::operations::{self, Operation};

use crate::config::config;

async fn served(shop: &Shop) -> Running {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = Options { role: Role::All, contexts: soonshop::contexts(None).unwrap(), listen };
    serve::start(shop.clone(), options, soonshop_projections::all()).await.unwrap()
}

fn checking() -> Verb {
    Verb::Check { from: 1, to: None, pubkey: None, record: false, offline: None, json: true }
}

fn offline(file: PathBuf, key: &str) -> Verb {
    let pubkey = Some(key.parse().unwrap());
    Verb::Check { from: 1, to: None, pubkey, record: false, offline: Some(file), json: true }
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.text).unwrap()
}

/// The doctor's finding about the sealer.
async fn sealer(shop: &Shop) -> doctor::Finding {
    doctor::examine(shop).await.into_iter().find(|finding| finding.what == "sealer").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_shop_is_sealed_and_every_check_has_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let shop = Shop::open(&config, Role::All).unwrap();
    assert!(run(&config, &checking()).await.is_err(), "an error is not a finding");
    migrate::migrate(&shop).await.unwrap();
    let mode = std::fs::metadata(&config.seal_key_file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The record of operations is sealed as well. It is still empty: each check adds a line.
    let of_record =
        || Verb::Check { from: 1, to: None, pubkey: None, record: true, offline: None, json: true };
    for verb in [of_record(), checking()] {
        let nothing = run(&config, &verb).await.unwrap();
        assert_eq!((nothing.exit_code, json(&nothing)["verdict"].as_str()), (3, Some("nothing")));
    }

    let store = shop.event_store().unwrap();
    seed::seed(&store).await.unwrap();
    store.close().await;
    let unproven = run(&config, &checking()).await.unwrap();
    assert_eq!((unproven.exit_code, json(&unproven)["verdict"].as_str()), (3, Some("unproven")));
    let running = served(&shop).await;
    settle::settle(&shop, Duration::from_secs(30)).await.unwrap();
    // A stopped sealer seals the rest before it ends.
    running.stop().await.unwrap();
    let head = shop.log().unwrap().head().await.unwrap().position;
    let intact = run(&config, &checking()).await.unwrap();
    assert_eq!(intact.exit_code, 0, "{}", intact.text);
    assert_eq!((json(&intact)["to"].as_i64(), json(&intact)["tail"].clone()), (Some(head), Value::Null));
    assert!(sealer(&shop).await.ok, "{:?}", sealer(&shop).await);

    // The record of operations is sealed by the same key.
    let operations = shop.registry().unwrap().operations().clone();
    let done = Operation {
        actor: "ops:one".to_owned(),
        action: "swap",
        subject: "rm_orders_2".to_owned(),
        detail: Value::Null,
        note: None,
    };
    let tx = operations.connection.begin().await.unwrap();
    operations::record(&operations, &tx, &done).await.unwrap();
    tx.commit().await.unwrap();
    served(&shop).await.stop().await.unwrap();
    let sealed = run(&config, &of_record()).await.unwrap();
    assert_eq!((sealed.exit_code, json(&sealed)["keys"][0].as_str()), (0, json(&intact)["keys"][0].as_str()));

    // With the key that the shop shows, and from a file that needs no shop.
    let shown = run(&config, &Verb::Key { renew: false }).await.unwrap().text;
    let (key, fingerprint) = shown.split_once("  ").unwrap();
    assert_eq!(json(&intact)["keys"][0].as_str(), Some(fingerprint));
    let file = folder.path().join("log.ndjson");
    let exporting = Verb::Export { from: 1, to: None, record: false, file: file.clone() };
    assert_eq!(run(&config, &exporting).await.unwrap().exit_code, 0);
    assert!(run(&config, &exporting).await.is_err(), "a file that is there stays");
    let away = Config { store: "sqlite:///nowhere".to_owned(), ..config.clone() };
    for trusted in [key, fingerprint] {
        let report = run(&away, &offline(file.clone(), trusted)).await.unwrap();
        assert_eq!((report.exit_code, json(&report)["key_given"].as_bool()), (0, Some(true)));
    }
    let stranger = fingerprint.chars().rev().collect::<String>();
    assert_eq!(run(&away, &offline(file.clone(), &stranger)).await.unwrap().exit_code, 3);
    assert!(run(&away, &offline(folder.path().join("none"), key)).await.is_err());

    // One byte of one event: red online, red in a file, and the position is named.
    let log = shop.log().unwrap();
    let change = "UPDATE @events SET payload = replace(payload, ':', ': ') WHERE position = 5";
    log.db().connection.execute(log.db().statement(change, [])).await.unwrap();
    let broken = run(&config, &checking()).await.unwrap();
    assert_eq!((broken.exit_code, json(&broken)["findings"][0]["position"].as_i64()), (3, Some(5)));
    assert_eq!(json(&broken)["findings"][0]["wrong"], "changed");
    let integrity = async || {
        doctor::examine(&shop).await.into_iter().find(|finding| finding.what == "integrity").unwrap()
    };
    let finding = integrity().await;
    assert!(
        !finding.ok && finding.detail.contains("log 5") && finding.cure.contains("acknowledge"),
        "{finding:?}"
    );
    // A check of a range without anything, and one of another log, end no alarm.
    let beyond =
        Verb::Check { from: 999_999, to: None, pubkey: None, record: false, offline: None, json: true };
    assert_eq!(json(&run(&config, &beyond).await.unwrap())["verdict"], "nothing");
    run(&config, &of_record()).await.unwrap();
    assert!(!integrity().await.ok);
    let file = folder.path().join("changed.ndjson");
    run(&config, &Verb::Export { from: 1, to: None, record: false, file: file.clone() }).await.unwrap();
    let report = run(&away, &offline(file, key)).await.unwrap();
    assert_eq!((report.exit_code, &json(&report)["findings"]), (3, &json(&broken)["findings"]));

    // A restored log: the doctor says that nothing more is sealed.
    let back = format!("DELETE FROM @events WHERE position = {head}");
    log.db().connection.execute(log.db().statement(&back, [])).await.unwrap();
    let finding = sealer(&shop).await;
    assert!(!finding.ok && finding.detail.contains("ahead-of-log"), "{finding:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_put_above_the_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    assert!(run(&config, &Verb::Key { renew: true }).await.is_err(), "there is none to go on from");
    migrate::migrate(&Shop::open(&config, Role::All).unwrap()).await.unwrap();
    let before = run(&config, &Verb::Key { renew: false }).await.unwrap().text;
    let after = run(&config, &Verb::Key { renew: true }).await.unwrap().text;
    assert_eq!(after.lines().skip(1).collect::<Vec<_>>(), [&before]);
    assert_eq!(run(&config, &Verb::Key { renew: false }).await.unwrap().text, after);
    let mode = std::fs::metadata(&config.seal_key_file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Migrating again changes nothing.
    migrate::migrate(&Shop::open(&config, Role::All).unwrap()).await.unwrap();
    assert_eq!(run(&config, &Verb::Key { renew: false }).await.unwrap().text, after);
}
