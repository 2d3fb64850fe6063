//! Schemas: brought up to date once, refused if they are newer or older than this release.

use sea_orm::ConnectionTrait as _;
use soonshop_migrations::indexes::missing;
use soonshop_migrations::{Error, Namespace, check, migrate};

use crate::fixture::{Fixture, on_both};

on_both! {
    migrating_again_changes_nothing,
    a_schema_of_a_newer_release_is_refused,
    a_schema_that_lacks_a_step_is_pending,
    every_index_that_a_step_makes_is_there_and_one_that_is_dropped_is_named,
    timeouts_of_the_release_before_get_the_names_of_their_processes_and_keep_the_rest,
}

async fn migrating_again_changes_nothing(shop: Fixture) {
    for namespace in Namespace::ALL {
        let connection = shop.db(namespace.name()).connection;
        migrate(namespace, &connection).await.unwrap();
        let log_id = match namespace {
            Namespace::Log => Some(shop.text("log", "SELECT CAST(log_id AS TEXT) FROM @head").await),
            _ => None,
        };
        migrate(namespace, &connection).await.unwrap();
        check(namespace, &connection).await.unwrap();
        if let Some(log_id) = log_id {
            assert_eq!(shop.text("log", "SELECT CAST(log_id AS TEXT) FROM @head").await, log_id);
            assert_eq!(uuid::Uuid::parse_str(&log_id).unwrap().get_version_num(), 4);
        }
    }
}

async fn a_schema_of_a_newer_release_is_refused(shop: Fixture) {
    let connection = shop.db("log").connection;
    let newer = "INSERT INTO soonshop_log_steps (version, applied_at) VALUES ('999_later', 0)";
    connection.execute_unprepared(newer).await.unwrap();
    for outcome in [check(Namespace::Log, &connection).await, migrate(Namespace::Log, &connection).await] {
        assert!(matches!(&outcome, Err(Error::Newer { step, .. }) if step == "999_later"), "{outcome:?}");
    }
    check(Namespace::Keys, &shop.db("keys").connection).await.unwrap();
}

async fn a_schema_that_lacks_a_step_is_pending(shop: Fixture) {
    // One that was never migrated, and one that lost a step.
    let process = shop.db("process").connection;
    assert!(matches!(check(Namespace::Process, &process).await, Err(Error::Pending { .. })));
    let log = shop.db("log").connection;
    log.execute_unprepared("DELETE FROM soonshop_log_steps").await.unwrap();
    let pending = check(Namespace::Log, &log).await;
    assert!(matches!(pending, Err(Error::Pending { .. })), "{pending:?}");
}

async fn every_index_that_a_step_makes_is_there_and_one_that_is_dropped_is_named(shop: Fixture) {
    for namespace in Namespace::ALL {
        let connection = shop.db(namespace.name()).connection;
        migrate(namespace, &connection).await.unwrap();
        assert_eq!(missing(namespace, &connection).await.unwrap(), [], "{namespace:?}");
    }
    shop.run("log", "DROP INDEX @credit_notes_by_order").await;
    let log = shop.db("log").connection;
    let found = missing(Namespace::Log, &log).await.unwrap();
    let [one] = &found[..] else { panic!("{found:?}") };
    assert_eq!(one.object(), "log.credit_notes_by_order");
    // The statement in the message makes it again.
    let statement = one.reason().split('`').nth(1).unwrap().to_owned();
    log.execute_unprepared(&statement).await.unwrap();
    assert_eq!(missing(Namespace::Log, &log).await.unwrap(), []);
}

async fn timeouts_of_the_release_before_get_the_names_of_their_processes_and_keep_the_rest(shop: Fixture) {
    let connection = shop.db("process").connection;
    migrate(Namespace::Process, &connection).await.unwrap();
    // As it was before, on one connection.
    let before = [
        "DELETE FROM soonshop_process_steps WHERE version = '005_timeouts'",
        "DROP TABLE @timeouts",
        "CREATE TABLE @timeouts (process TEXT NOT NULL, instance TEXT NOT NULL, id TEXT NOT NULL, due_at BIGINT NOT NULL, \
         not_before BIGINT, causation_id TEXT, correlation_id TEXT, on_behalf_of TEXT, PRIMARY KEY (process, instance))",
        "CREATE INDEX timeouts_by_time ON @timeouts (due_at)",
        "INSERT INTO @timeouts VALUES ('fulfilment', 'one', 'id-1', 5, 7, 'cause', 'correlation', 'customer')",
        "INSERT INTO @timeouts VALUES ('release-unshipped', 'one', 'id-2', 6, NULL, NULL, NULL, NULL)",
        "INSERT INTO @timeouts VALUES ('of-another', 'one', 'id-3', 8, NULL, NULL, NULL, NULL)",
    ];
    shop.run("process", &before.join(";\n")).await;
    migrate(Namespace::Process, &connection).await.unwrap();
    assert_eq!(missing(Namespace::Process, &connection).await.unwrap(), []);
    for (row, expected) in [
        ("id-1", "fulfilment one confirmation 5 7 cause correlation customer"),
        ("id-2", "release-unshipped one shipment 6 - - - -"),
        ("id-3", "of-another one  8 - - - -"),
    ] {
        let sql = format!(
            "SELECT process || ' ' || instance || ' ' || name || ' ' || due_at || ' ' || \
             coalesce(CAST(not_before AS TEXT), '-') || ' ' || coalesce(causation_id, '-') || ' ' || \
             coalesce(correlation_id, '-') || ' ' || coalesce(on_behalf_of, '-') FROM @timeouts WHERE id = '{row}'"
        );
        assert_eq!(shop.text("process", &sql).await, expected);
    }
    // A process of the release before that still runs goes on as it did; and others set several.
    let old = "INSERT INTO @timeouts (process, instance, id, due_at) VALUES ('fulfilment', 'two', 'id-4', 9)";
    shop.run("process", old).await;
    let named =
        "INSERT INTO @timeouts (process, instance, name, id, due_at) VALUES ('checkout', 'one', $, 'id', 1)";
    for name in ["'hold'", "'expiry'"] {
        shop.run("process", &named.replace('$', name)).await;
    }
    assert_eq!(shop.number("process", "SELECT count(*) FROM @timeouts").await, 6);
}
