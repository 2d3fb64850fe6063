//! What every HTTP service of the shop needs, and nothing that belongs to one of them: problems, extractors, headers,
//! callers and what they may do, tables of endpoints that answer, health, logs, a start and a graceful stop.
//!
//! It knows no database, no bus and no endpoint. Whatever is refused, by a handler or before one is reached, leaves as
//! a [`Problem`]. Start reading at [`problem`], then [`serve`].

pub mod access;
pub mod endpoint;
pub mod extract;
pub mod headers;
pub mod health;
pub mod json_text;
pub mod metrics;
pub mod problem;
mod query_error;
mod request;
pub mod serve;
pub mod telemetry;
mod trace;

pub use problem::{Kind, Problem};

/// What the tests of other crates use as well names this crate as they do.
#[cfg(test)]
extern crate self as soonshop_service_kit;
#[cfg(test)]
#[path = "../tests/fixture/shelf.rs"]
mod shelf;
