//! Refusals as RFC 9457 problems: a stable name, a status out of one table, a sentence for people.
//!
//! A problem never carries the value of a field, and an internal error never carries its cause: that one is logged.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::request::RequestContext;

/// The media type of every problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The kind of a refusal: the one table from kind to status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Malformed,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    Conflict,
    Gone,
    Precondition,
    TooLarge,
    UriTooLong,
    UnsupportedMediaType,
    Misdirected,
    Invalid,
    PreconditionRequired,
    TooMany,
    HeadTooLarge,
    Internal,
    Unavailable,
}

impl Kind {
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A refusal on its way to the client. Boxed, so that a `Result` with it stays small.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    slug: Cow<'static, str>,
    kind: Kind,
    detail: Cow<'static, str>,
    instance: Option<Uuid>,
    extensions: Map<String, Value>,
    retry_after: Option<Duration>,
    headers: HeaderMap,
}

/// The JSON of a problem, for API descriptions.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct Body {
    /// Stable, and a page that explains it: `/problems/<slug>`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/insufficient-stock")]
    pub kind: String,
    #[schema(example = "Insufficient stock")]
    pub title: String,
    #[schema(example = 409)]
    pub status: u16,
    pub detail: String,
    /// The request, as in the header `X-Request-Id` and in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "urn:uuid:5b0e9a3c-8a0c-4c53-9d0f-0c5b0a7f1c2d")]
    pub instance: Option<String>,
    /// More that belongs to this type of problem, such as `pointer`, a JSON pointer to the field at fault.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub extensions: Map<String, Value>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(slug: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
            Self::new(Kind::$kind, slug, detail)
        }
    )+};
}

impl Problem {
    pub fn new(kind: Kind, slug: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut headers = HeaderMap::new();
        if kind == Kind::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Self(Box::new(Inner {
            slug: slug.into(),
            kind,
            detail: detail.into(),
            instance: None,
            extensions: Map::new(),
            retry_after: None,
            headers,
        }))
    }

    constructors! {
        /// 400: it cannot be read.
        malformed => Malformed,
        /// 401: the caller is unknown.
        unauthenticated => Unauthenticated,
        /// 403: they may not.
        forbidden => Forbidden,
        /// 404.
        not_found => NotFound,
        /// 409: the state forbids it just now.
        conflict => Conflict,
        /// 410: it existed, and is gone for good.
        gone => Gone,
        /// 412: `If-Match` names another version.
        precondition => Precondition,
        /// 413.
        too_large => TooLarge,
        /// 415.
        unsupported_media_type => UnsupportedMediaType,
        /// 422: it is well-formed, but invalid.
        invalid => Invalid,
        /// 428: `If-Match` or `Idempotency-Key` is required here.
        precondition_required => PreconditionRequired,
        /// 429: not so fast.
        too_many => TooMany,
    }

    /// 503, and when to come back.
    pub fn unavailable(
        slug: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
        retry_after: Duration,
    ) -> Self {
        Self::new(Kind::Unavailable, slug, detail).with_retry_after(retry_after)
    }

    /// 500. The cause goes into the log with its whole chain, here and nowhere else; the client learns nothing of it.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        let mut chain = cause.to_string();
        let mut source = cause.source();
        while let Some(error) = source {
            chain.push_str(": ");
            chain.push_str(&error.to_string());
            source = error.source();
        }
        tracing::error!(error = chain, "the request failed inside");
        Self::new(Kind::Internal, "internal-error", "something went wrong inside; the log names this request")
    }

    /// Another member. The standard ones cannot be replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let name = name.into();
        debug_assert!(
            !["type", "title", "status", "detail", "instance"].contains(&name.as_str()),
            "{name} is a standard member"
        );
        self.0.extensions.insert(name, value.into());
        self
    }

    /// The same without that member.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.extensions.remove(name);
        self
    }

    /// The field at fault, as an RFC 6901 JSON pointer (`/items/0/sku`).
    #[must_use]
    pub fn with_pointer(self, pointer: impl Into<String>) -> Self {
        self.with("pointer", pointer.into())
    }

    /// When to retry, if known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The same as `Retry-After` says it: in whole seconds, rounded up, and at least one.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.0.retry_after.map(|after| (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1))
    }

    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.0.retry_after = Some(retry_after);
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The request it belongs to; without this, the one that is being answered.
    #[must_use]
    pub fn with_instance(mut self, request_id: Uuid) -> Self {
        self.0.instance = Some(request_id);
        self
    }

    pub fn slug(&self) -> &str {
        &self.0.slug
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn status(&self) -> StatusCode {
        self.0.kind.status()
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn extensions(&self) -> &Map<String, Value> {
        &self.0.extensions
    }

    /// The form that is sent.
    pub fn body(&self) -> Body {
        Body {
            kind: format!("/problems/{}", self.slug()),
            title: title_of(self.slug()),
            status: self.status().as_u16(),
            detail: self.0.detail.to_string(),
            instance: self
                .0
                .instance
                .or_else(|| RequestContext::current().map(|context| context.request_id))
                .map(|id| id.urn().to_string()),
            extensions: self.0.extensions.clone(),
        }
    }
}

/// The title belongs to the type, so it is made from its name: `insufficient-stock` reads `Insufficient stock`.
fn title_of(slug: &str) -> String {
    let mut title = slug.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.slug(), self.status().as_u16(), self.detail())
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (body, again) = (self.body(), self.retry_after_seconds());
        let headers = self.0.headers.clone();
        let mut response = (self.status(), headers, axum::Json(body)).into_response();
        // From which a page can be made of it.
        response.extensions_mut().insert(self);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        // A cache may keep 404, 405 and 410 unless a header forbids it.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = again {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn json(response: Response) -> Value {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn a_problem_is_rendered_with_its_type_and_its_extensions() {
        let id = Uuid::new_v4();
        let response = Problem::conflict("insufficient-stock", "3 are left")
            .with("available", 3)
            .with_pointer("/items/0/quantity")
            .with_instance(id)
            .into_response();
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(
            json(response).await,
            serde_json::json!({
                "type": "/problems/insufficient-stock", "title": "Insufficient stock", "status": 409,
                "detail": "3 are left", "instance": format!("urn:uuid:{id}"),
                "available": 3, "pointer": "/items/0/quantity",
            })
        );
    }

    #[tokio::test]
    async fn the_cause_of_an_internal_error_stays_inside() {
        let response = Problem::internal("password=hunter2").into_response();
        assert_eq!(response.status(), 500);
        assert!(!json(response).await.to_string().contains("hunter2"));
    }

    #[test]
    fn retry_after_is_a_whole_second_at_least() {
        for (given, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2")] {
            let problem = Problem::unavailable("read-model-behind", "wait", Duration::from_millis(given));
            assert_eq!(problem.into_response().headers()[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn not_being_known_says_how_to_be() {
        let response = Problem::unauthenticated("token-expired", "sign in again").into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    }

    #[test]
    fn each_kind_has_a_status_of_its_own() {
        use Kind::*;
        let table = [
            (Malformed, 400),
            (Unauthenticated, 401),
            (Forbidden, 403),
            (NotFound, 404),
            (MethodNotAllowed, 405),
            (RequestTimeout, 408),
            (Conflict, 409),
            (Gone, 410),
            (Precondition, 412),
            (TooLarge, 413),
            (UriTooLong, 414),
            (UnsupportedMediaType, 415),
            (Misdirected, 421),
            (Invalid, 422),
            (PreconditionRequired, 428),
            (TooMany, 429),
            (HeadTooLarge, 431),
            (Internal, 500),
            (Unavailable, 503),
        ];
        for (kind, status) in table {
            assert_eq!(kind.status(), status);
        }
    }
}
