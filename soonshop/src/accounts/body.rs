//! What the endpoints of accounts read of a request, and how long their answers are kept.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use serde::de::DeserializeOwned;
use soonshop_service_kit::Problem;
use soonshop_service_kit::json_text::JsonText;
use soonshop_service_kit::work::address_of;

/// Nobody keeps an answer of these: there may be tokens in it.
pub(crate) async fn never_stored(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Reads a body of that shape. Its texts stay as they were sent: a password is not for anybody to improve. What is wrong
/// with it is said without a word of it.
pub(super) async fn read<T: DeserializeOwned>(
    request: Request,
    fields: &str,
) -> Result<(HeaderMap, Arc<str>, T), Problem> {
    let (parts, body) = request.into_parts();
    let network = address_of(&parts.extensions);
    let text = JsonText::read(&parts.headers, body).await?;
    let malformed = serde_json::from_str::<serde::de::IgnoredAny>(text.value()).is_err();
    if malformed {
        return Err(Problem::malformed("malformed-json", "the body is no JSON"));
    }
    let value = serde_json::from_str(text.value());
    let value = value.map_err(|_| {
        Problem::invalid(
            "invalid-body",
            format!("the body has these fields, each once, and no others: {fields}"),
        )
    })?;
    Ok((parts.headers, network, value))
}
