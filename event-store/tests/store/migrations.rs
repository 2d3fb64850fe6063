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
