//! The workers that follow the log and act on it, on SQLite and on PostgreSQL: relay, reactor, eraser, purger, sealer, and
//! those of accounts (facts and mails) and of payments.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../projections/tests/projections/fixture.rs"]
#[expect(dead_code, reason = "the projections' tests use more of it")]
mod fixture;
#[path = "../../projections/tests/projections/history.rs"]
#[expect(dead_code, reason = "the projections' tests use more of it")]
mod history;

#[path = "../../identity/tests/fixture/authenticator.rs"]
mod authenticator;
#[path = "workers/checking_out.rs"]
mod checking_out;
#[path = "workers/clients.rs"]
mod clients;
#[path = "workers/erasing.rs"]
mod erasing;
#[path = "workers/erasing_guests.rs"]
mod erasing_guests;
#[path = "workers/expiring.rs"]
mod expiring;
#[path = "workers/factors.rs"]
mod factors;
#[path = "workers/guessing.rs"]
mod guessing;
#[path = "workers/guests.rs"]
mod guests;
#[path = "workers/idle.rs"]
mod idle;
#[path = "workers/keeping.rs"]
mod keeping;
#[path = "workers/mailing.rs"]
mod mailing;
#[path = "workers/operating.rs"]
mod operating;
#[path = "workers/own_roles.rs"]
mod own_roles;
#[path = "workers/passkeys.rs"]
mod passkeys;
#[path = "workers/paying.rs"]
mod paying;
#[path = "workers/providing.rs"]
mod providing;
#[path = "workers/reacting.rs"]
mod reacting;
#[path = "workers/recording.rs"]
mod recording;
#[path = "workers/refreshing.rs"]
mod refreshing;
#[path = "workers/relaying.rs"]
mod relaying;
#[path = "workers/releasing.rs"]
mod releasing;
#[path = "workers/sealing.rs"]
mod sealing;
#[path = "workers/signing_in.rs"]
mod signing_in;
#[path = "workers/telling.rs"]
mod telling;
#[path = "workers/timing.rs"]
mod timing;
