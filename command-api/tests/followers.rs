//! What follows the log in order to act, on SQLite and on PostgreSQL: relay, reactor, eraser, purger, sealer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../projections/tests/projections/fixture.rs"]
#[expect(dead_code, reason = "the projections' tests use more of it")]
mod fixture;
#[path = "../../projections/tests/projections/history.rs"]
#[expect(dead_code, reason = "the projections' tests use more of it")]
mod history;

#[path = "followers/erasing.rs"]
mod erasing;
#[path = "followers/keeping.rs"]
mod keeping;
#[path = "followers/reacting.rs"]
mod reacting;
#[path = "followers/relaying.rs"]
mod relaying;
#[path = "followers/sealing.rs"]
mod sealing;
