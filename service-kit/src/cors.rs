//! Pages of other origins that may use the API from a browser: none, unless they are named one by one.
//!
//! Cookies never count for them: the viewer's session is for its own pages. So there are no credentials, and a page
//! sends an API key in `Authorization` as every program does.

use std::time::Duration;

use axum::http::header::{
    AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;

use crate::headers::{
    CORRELATION_ID, EVENT_POSITION, IDEMPOTENCY_KEY, ON_BEHALF_OF, PREFER, REASON, REQUEST_ID, TRACEPARENT,
};

/// How long a browser remembers what was allowed.
const REMEMBERED: Duration = Duration::from_mins(10);

/// The origins whose pages may use the API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<HeaderValue>);

/// Why a text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin: give each as a browser sends it, scheme and host without a path, such as https://shop.example"
)]
pub struct InvalidOrigin(String);

impl Origins {
    /// Empty texts are left out.
    pub fn new<T: AsRef<str>>(origins: impl IntoIterator<Item = T>) -> Result<Self, InvalidOrigin> {
        let mut known = Vec::new();
        for origin in origins {
            let text = origin.as_ref().trim();
            if text.is_empty() {
                continue;
            }
            let parsed = Url::parse(text)
                .ok()
                .filter(|url| ["http", "https"].contains(&url.scheme()) && !text.contains('*'));
            let same = parsed.is_some_and(|url| url.origin().ascii_serialization() == text);
            let value = HeaderValue::from_str(text).ok().filter(|_| same);
            known.push(value.ok_or_else(|| InvalidOrigin(text.to_owned()))?);
        }
        Ok(Self(known))
    }

    /// Answers preflights, and tells browsers which answers these origins may read. `None`: no origin is named.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        let header = HeaderName::from_static;
        (!self.0.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(self.0.iter().cloned()))
                .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
                .allow_headers([
                    AUTHORIZATION,
                    CONTENT_TYPE,
                    IF_MATCH,
                    IF_NONE_MATCH,
                    CORRELATION_ID,
                    EVENT_POSITION,
                    IDEMPOTENCY_KEY,
                    PREFER,
                    TRACEPARENT,
                    ON_BEHALF_OF,
                    REASON,
                    header("last-event-id"),
                    header("x-channel"),
                    header("x-import-key"),
                    header("x-reason-note"),
                ])
                .expose_headers([
                    CONTENT_DISPOSITION,
                    ETAG,
                    LINK,
                    LOCATION,
                    RETRY_AFTER,
                    WWW_AUTHENTICATE,
                    CORRELATION_ID,
                    EVENT_POSITION,
                    REQUEST_ID,
                    header("export-manifest"),
                    header("guest-token"),
                    header("preference-applied"),
                    header("ratelimit"),
                    header("ratelimit-policy"),
                    header("stock-on-hand"),
                ])
                .max_age(REMEMBERED)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_named_as_a_browser_sends_it() {
        for good in ["https://shop.example", "http://localhost:5173", "http://[::1]:8000"] {
            assert!(Origins::new([good]).unwrap().layer().is_some(), "{good}");
        }
        for bad in [
            "*",
            "null",
            "shop.example",
            "https://*.shop.example",
            "https://shop.example/",
            "https://Shop.example",
            "https://shop.example:443",
            "http://[::1]:80",
            "https://user@shop.example",
            "ftp://shop.example",
            "file:///x",
        ] {
            let error = Origins::new([bad]).unwrap_err().to_string();
            assert!(error.contains("such as https://shop.example"), "{error}");
        }
        assert!(Origins::new(["", " "]).unwrap().layer().is_none());
    }
}
