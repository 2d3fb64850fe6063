//! The pages that a problem's `type` leads to: `docs/problems/`, built into the binary.

use axum::Router;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use soonshop_service_kit::Problem;
use soonshop_service_kit::rates::{self, Class};

/// Each problem's slug and page, in the order of the slugs.
pub const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/problems.rs"));

/// `/problems/{slug}`.
pub fn router() -> Router {
    rates::counted_as(Router::new().route("/problems/{slug}", get(page)), Class::Reads)
}

async fn page(Path(slug): Path<String>) -> Response {
    match PAGES.binary_search_by_key(&slug.as_str(), |(slug, _)| slug) {
        Ok(index) => ([(CONTENT_TYPE, "text/markdown; charset=utf-8")], PAGES[index].1).into_response(),
        Err(_) => Problem::not_found("not-found", "there is no problem of this name").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stand_in_order_so_that_they_are_found() {
        assert!(PAGES.is_sorted_by(|a, b| a.0 < b.0));
    }
}
