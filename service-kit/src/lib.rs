//! Shared parts of every HTTP service of the shop: problems, extractors, headers, callers and their permissions, rates,
//! tables of endpoints, health, logs, start-up and graceful stop.
//!
//! It knows no database, no bus and no endpoint. Every refusal leaves as a [`Problem`]. Start reading at [`problem`],
//! then [`serve`].

pub mod access;
pub mod answers;
pub mod connections;
pub mod cors;
pub mod endpoint;
pub mod extract;
pub mod grammar;
pub mod headers;
pub mod health;
pub mod hosts;
pub mod json_text;
pub mod listening;
pub mod metrics;
pub mod problem;
mod query_error;
pub mod rates;
pub mod refusal_pages;
mod refusals;
mod request;
pub mod security_headers;
pub mod serve;
pub mod static_file;
pub mod telemetry;
mod trace;
pub mod work;

pub use problem::{Kind, Problem};

/// The test fixture is shared with other crates, and names this crate as they do.
#[cfg(test)]
extern crate self as soonshop_service_kit;
#[cfg(test)]
#[path = "../tests/fixture/shelf.rs"]
mod shelf;
