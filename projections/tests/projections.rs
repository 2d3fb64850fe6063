//! The promises of the projection side, on SQLite and on PostgreSQL. Suites run on both backends; each test has its
//! own database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "projections/fixture.rs"]
mod fixture;
#[path = "projections/history.rs"]
mod history;

#[path = "projections/adding.rs"]
mod adding;
#[path = "projections/auditing.rs"]
mod auditing;
#[path = "projections/erasing.rs"]
mod erasing;
#[path = "projections/feeding.rs"]
mod feeding;
#[path = "projections/generations.rs"]
mod generations;
#[path = "projections/golden.rs"]
mod golden;
#[path = "projections/leases.rs"]
mod leases;
#[path = "projections/parking.rs"]
mod parking;
#[path = "projections/restored.rs"]
mod restored;
#[path = "projections/sinks.rs"]
mod sinks;
#[path = "projections/unreliable.rs"]
mod unreliable;
