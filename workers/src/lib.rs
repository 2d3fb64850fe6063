//! Workers that follow the log and act on it: the relay publishes events to the bus, the reactors run process managers,
//! the eraser deletes the keys of erased people, the sealers sign the log, the purger removes old command records, the
//! worker of facts appends what the tables of accounts say, the one of mails sends them, and the one of payments asks their
//! providers.
//!
//! Each worker keeps a checkpoint and holds a lease, so that only one process at a time does its work; the loop that they
//! run in is [`soonshop_event_log::follow`]. Nothing here knows HTTP. Start reading at [`relay`] and [`reactor`].

pub mod claimed_guests;
pub mod claiming;
pub mod eraser;
pub mod facts;
pub mod mails;
pub mod payments;
pub mod purger;
pub mod questions;
pub mod reactor;
pub mod readdressing;
pub mod registering;
pub mod relay;
pub mod sealer;
