//! The pages and endpoints of the audit trail: of a shop, or of an export in its place.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use soonshop_audit::file::File;
use soonshop_service_kit::access::{Permission, Role};
use soonshop_service_kit::endpoint;
use utoipa::openapi::OpenApi;

use crate::pages::assets::is_asset;
use crate::pages::frame::{is_of_exports, is_page};
use crate::state::Shared;
use crate::{endpoints, pages};

pub use crate::state::Viewer;

/// The context of these endpoints.
pub const CONTEXT: &str = "audit";

/// The routes of a shop.
pub fn router(viewer: Viewer) -> Router {
    let shared = Arc::new(Shared::new(viewer, None, pages::paths()));
    let router = endpoint::router(&shared, endpoints::all().into_iter().chain(pages::table()));
    router.layer(from_fn_with_state(shared, with_alarm))
}

/// Looks up the alarm before a page is made.
async fn with_alarm(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if is_page(path) && !is_asset(path) {
        shared.alarm.look(&shared.status_reader).await;
    }
    next.run(request).await
}

/// The routes of an export: those that its rows alone can answer. There is no sign-in: serve it under the names of the
/// loopback interface only.
pub fn router_of_file(viewer: Viewer, file: Arc<File>) -> Router {
    let shared = Arc::new(Shared::new(viewer, Some(file), Vec::new()));
    let of_shops = endpoints::all().into_iter().chain(pages::table());
    let same = of_shops.filter(|endpoint| is_of_exports(endpoint.path));
    endpoint::router(&shared, same.chain(pages::file::table()))
}

/// The role with this name, if it may see the audit trail. A file for a role that a shop defined is shown as it is to
/// everybody who may see the trail.
pub fn role_that_may_see(name: &str) -> Option<Role> {
    match name.parse() {
        Ok(Role::Own) => Some(Role::Support),
        Ok(role) => role.may(Permission::Audit).then_some(role),
        Err(_) => None,
    }
}

/// OpenAPI 3.1 of the JSON endpoints, without the pages.
pub fn openapi() -> OpenApi {
    endpoint::openapi("SoonShop audit", endpoints::all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_belongs_to_the_audit_context() {
        let all = endpoints::all().into_iter().chain(pages::table()).chain(pages::file::table());
        for endpoint in all {
            assert_eq!(endpoint.context(), CONTEXT, "{}", endpoint.path);
        }
        assert!(soonshop_domain::context::named(CONTEXT).is_some());
    }
}
