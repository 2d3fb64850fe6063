//! Parts of the documentation, built into the binary, so that the page at `/` can lead to them wherever it runs.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use soonshop_audit_web::front::{DOCUMENTATION, Document};
use soonshop_service_kit::Problem;
use soonshop_service_kit::extract::Path;
use soonshop_service_kit::static_file::StaticFile;

/// The documents that the page at `/` links to, in its order.
pub(crate) const DOCUMENTS: &[Document] = &[
    Document { name: "readme", translated: true },
    Document { name: "api", translated: false },
    Document { name: "audit", translated: false },
    Document { name: "architecture", translated: false },
    Document { name: "operating", translated: false },
    Document { name: "deployment", translated: false },
];

/// The text of each, by the end of its address.
const TEXTS: &[(&str, &str)] = &[
    ("readme", include_str!("../../README.md")),
    ("readme.zh-CN", include_str!("../../README.zh-CN.md")),
    ("api", include_str!("../../docs/api.md")),
    ("audit", include_str!("../../docs/audit.md")),
    ("architecture", include_str!("../../docs/architecture.md")),
    ("operating", include_str!("../../docs/operating.md")),
    ("deployment", include_str!("../../docs/deployment.md")),
];

/// `/documentation/{name}`.
pub(crate) fn router() -> Router {
    Router::new().route(&format!("{DOCUMENTATION}/{{name}}"), get(page))
}

/// As plain text: every browser shows it, and programs get it as it was written.
static FILES: LazyLock<HashMap<&str, StaticFile>> = LazyLock::new(|| {
    TEXTS.iter().map(|(name, text)| (*name, StaticFile::new("text/plain; charset=utf-8", *text))).collect()
});

async fn page(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match FILES.get(name.as_str()) {
        Some(file) => file.answer(&headers).await,
        None => Problem::not_found("not-found", "there is no document of this name").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_that_is_led_to_is_there() {
        let there = |name: &str| TEXTS.iter().any(|(known, _)| *known == name);
        for one in DOCUMENTS {
            assert!(there(one.name), "{}", one.name);
            assert_eq!(there(&format!("{}.zh-CN", one.name)), one.translated, "{}", one.name);
        }
    }
}
