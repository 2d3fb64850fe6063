//! The query endpoints of all contexts.
//!
//! To add a list, add rows to the file of its context, or a file and a line here.

use std::sync::Arc;

use axum::Router;
use soonshop_service_kit::endpoint;
use utoipa::openapi::OpenApi;

use crate::contexts::{analytics, inventory, order, product, user};
use crate::driver::state::{Endpoint, Shared};

pub use crate::driver::state::Queries;

/// Every query endpoint.
fn table() -> Vec<Endpoint> {
    let contexts = [
        user::endpoints(),
        product::endpoints(),
        inventory::endpoints(),
        order::endpoints(),
        analytics::endpoints(),
    ];
    contexts.into_iter().flatten().collect()
}

/// The endpoints of the served contexts.
pub fn router(queries: Queries) -> Router {
    let served = table().into_iter().filter(|endpoint| queries.contexts.contains(endpoint.context()));
    let served: Vec<_> = served.collect();
    endpoint::router(&Arc::new(Shared::new(queries)), served)
}

/// OpenAPI 3.1 of every query.
pub fn openapi() -> OpenApi {
    endpoint::openapi("SoonShop queries", table())
}

#[cfg(test)]
mod tests {
    use soonshop_domain::context;

    use super::*;

    #[test]
    fn every_endpoint_belongs_to_a_listed_context() {
        for endpoint in table() {
            assert!(context::named(endpoint.context()).is_some(), "{}", endpoint.path);
        }
    }
}
