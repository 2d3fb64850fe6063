//! The pages that a problem's `type` leads to: `docs/problems/`, built into the binary.

use axum::Router;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use soonshop_service_kit::Problem;

macro_rules! pages {
    ($($slug:literal)+) => {
        /// Each problem's slug and page, in the order of the slugs.
        pub const PAGES: &[(&str, &str)] =
            &[$(($slug, include_str!(concat!("../../../docs/problems/", $slug, ".md")))),+];
    };
}

pages! {
    "bad-lines" "bad-price" "bad-quantity" "bad-token" "bad-variants" "body-too-large"
    "credit-note-exists" "credit-note-number-taken" "cross-site" "cursor-expired" "database-unavailable" "email-taken"
    "erasure-not-requested" "event-store-unavailable" "event-too-large" "history-unreadable"
    "idempotency-key-not-random" "idempotency-key-required" "idempotency-key-reused" "if-match-required"
    "imported-before" "insufficient-stock" "internal-error" "invalid-body" "invalid-header" "invalid-id"
    "invalid-query" "key-store-unavailable" "line-not-reserved" "line-released"
    "line-reserved-differently" "line-shipped" "malformed-json" "method-not-allowed" "no-such-path"
    "no-such-variant" "not-found" "not-permitted" "not-yet-there" "operator-only" "order-exists" "order-not-found"
    "order-number-taken" "person-erased" "person-not-found" "product-deleted" "product-exists" "product-not-found"
    "read-model-behind" "read-model-missing" "search-unavailable" "sku-not-sold" "sku-taken"
    "sku-without-price" "stale-version" "timed-out" "token-expired" "too-many-checks" "too-many-exports" "too-many-look-ups"
    "too-many-notes" "total-too-large"
    "unexpected-body"
    "unknown-customer" "unknown-order" "unknown-sku" "unreadable-body" "unsupported-media-type"
    "user-deleted" "user-exists" "user-not-found" "view-taken" "wrong-order-state"
}

/// `/problems/{slug}`.
pub fn router() -> Router {
    Router::new().route("/problems/{slug}", get(page))
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
