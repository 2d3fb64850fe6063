//! The endpoints over HTTP, over read models that real projectors keep, in a folder of each test's own; or, where
//! `QUERY_API_TEST_POSTGRES` names a server, in a database of each test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod behind;
mod bounds;
mod description;
mod figures;
mod past;
mod personal;
mod reads;
mod search;
#[expect(dead_code, reason = "parts of it are for the other tests that use it")]
mod shop;

use axum::Router;
use soonshop_query_api::http::{self, Queries};
use tokio_util::sync::CancellationToken;

/// The router of a test shop.
fn router(queries: Queries, _stop: &CancellationToken) -> Router {
    http::router(queries)
}
