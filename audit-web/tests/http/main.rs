//! The audit trail over HTTP, over read models that real projectors keep, in a folder of each test's own; or, where
//! `QUERY_API_TEST_POSTGRES` names a server, in a database of each test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod audit;
mod causes;
mod changes;
mod chinese;
mod dense;
mod description;
mod forms;
mod front;
mod groups;
mod hostile;
mod integrity;
mod jump;
mod live;
mod names;
mod notes;
mod occurred;
mod operations;
mod pages;
mod places;
mod processes;
mod reasons;
mod refusals;
mod runs;
#[path = "../../../query-api/tests/http/shop.rs"]
#[expect(dead_code, reason = "parts of it are for the other tests that use it")]
mod shop;
mod texts;
mod views;

use std::sync::Arc;

use axum::Router;
use soonshop_audit_web::http::{self, Viewer};
use soonshop_query_api::http::{Queries, router as of_queries};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;

/// The router of a test shop.
fn router(queries: Queries, stop: &CancellationToken) -> Router {
    let viewer = Viewer {
        registry: queries.registry.clone(),
        log: queries.log.clone(),
        search: Arc::clone(&queries.search),
        cache: Arc::clone(&queries.cache),
        health: soonshop_service_kit::health::Health::new(),
        access: queries.access.clone(),
        work: queries.work.clone(),
        stop: stop.clone(),
    };
    of_queries(queries).merge(http::router(viewer))
}

/// The OpenAPI description of the test shop.
fn openapi() -> OpenApi {
    let mut api = soonshop_query_api::http::openapi();
    api.merge(http::openapi());
    api
}
