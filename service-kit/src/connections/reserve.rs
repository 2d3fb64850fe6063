//! The connections beyond the bound: they are for health and metrics, so that who watches the shop sees it under load.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// Marks a request on a connection of the reserve.
#[derive(Clone, Copy)]
pub(crate) struct Reserved;

/// Whether who watches the shop asks for this.
pub(super) fn is_watching(path: &str) -> bool {
    path.starts_with("/health/") || path == "/metrics"
}

/// Answers health and metrics on a connection of the reserve, and nothing else.
pub(crate) async fn only_health(request: Request, next: Next) -> Response {
    if request.extensions().get::<Reserved>().is_none() || is_watching(request.uri().path()) {
        return next.run(request).await;
    }
    too_many_connections().into_response()
}

/// Said where there is no room for another connection.
pub(super) fn too_many_connections() -> Problem {
    let detail = "every connection is in use: come back later, and use one connection for many requests";
    Problem::unavailable("too-many-connections", detail, Duration::from_secs(1))
}
