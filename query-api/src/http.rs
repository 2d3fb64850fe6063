//! The query endpoints of all contexts.
//!
//! To add a list, add rows to the file of its context.

use std::sync::Arc;

use axum::Router;
use soonshop_service_kit::endpoint;
use utoipa::openapi::OpenApi;

use crate::contexts::endpoints;
use crate::driver::state::Shared;

pub use crate::driver::state::Queries;

/// The endpoints of the served contexts.
pub fn router(queries: Queries) -> Router {
    let served = endpoints().into_iter().filter(|endpoint| queries.contexts.contains(endpoint.context()));
    let served: Vec<_> = served.collect();
    endpoint::router(&Arc::new(Shared::new(queries)), served)
}

/// OpenAPI 3.1 of every query.
pub fn openapi() -> OpenApi {
    endpoint::openapi("SoonShop queries", endpoints())
}
