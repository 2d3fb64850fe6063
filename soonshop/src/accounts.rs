//! Accounts of people at the edges of the shop: over HTTP, in the cookies of pages, and at the command line. What they are
//! is decided in the crate `identity`.

mod body;
mod cache;
pub mod command_line;
mod described;
mod factors;
mod http;
mod mailed;
mod people;
mod problem;
mod request;
mod settings;

pub(crate) use described::openapi;
pub(crate) use people::Accounts;
pub use settings::FactorSettings;

use axum::Router;
use soonshop_event_store::EventStore;
use soonshop_service_kit::access::Access;

/// The endpoints.
pub(crate) fn router(accounts: Accounts, access: Access, store: &EventStore) -> Router {
    mailed::router(accounts.clone(), access.clone(), store.clone()).merge(http::router(accounts, access))
}
