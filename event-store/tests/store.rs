//! The promises of the event store, on SQLite and on PostgreSQL: the rules of the log, each with a test that fails
//! when the rule is broken. Suites run on both backends; each test has its own database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../tests/services/encrypted.rs"]
mod encrypted;
#[path = "store/fixture.rs"]
mod fixture;

#[path = "store/adopt.rs"]
mod adopt;
#[path = "store/append.rs"]
mod append;
#[path = "store/batches.rs"]
mod batches;
#[path = "store/claims.rs"]
mod claims;
#[path = "store/connection.rs"]
mod connection;
#[path = "store/credits.rs"]
mod credits;
#[path = "store/four.rs"]
mod four;
#[path = "store/idempotency.rs"]
mod idempotency;
#[path = "store/joined.rs"]
mod joined;
#[path = "store/locks.rs"]
mod locks;
#[path = "store/migrations.rs"]
mod migrations;
#[path = "store/over_tls.rs"]
mod over_tls;
#[path = "store/parts.rs"]
mod parts;
#[path = "store/payments.rs"]
mod payments;
#[path = "store/personal.rs"]
mod personal;
#[path = "store/postgres_es.rs"]
mod postgres_es_crate;
#[path = "store/purging.rs"]
mod purging;
#[path = "store/reading.rs"]
mod reading;
#[path = "store/snapshots.rs"]
mod snapshots;
#[path = "store/sqlite.rs"]
mod sqlite_files;
#[path = "store/torture.rs"]
mod torture;
#[path = "store/upcasting.rs"]
mod upcasting;
