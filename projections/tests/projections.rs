//! The projection side against what it promises, on SQLite and on PostgreSQL. Suites run on both backends; each test
//! has a database of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "projections/fixture.rs"]
mod fixture;
#[path = "projections/history.rs"]
mod history;

#[path = "projections/golden.rs"]
mod golden;
